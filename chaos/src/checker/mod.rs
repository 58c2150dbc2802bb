//! The outside checker: decides on the invariant of the job protocol from rows, objects, queues, processes, files and
//! metrics, without any code of the product.

pub(crate) mod alerts;
pub(crate) mod archive;
pub(crate) mod collect;
pub(crate) mod growth;
pub(crate) mod invariant;
pub(crate) mod limits;
pub(crate) mod observed;
#[cfg(test)]
mod tests;
pub(crate) mod watch;
