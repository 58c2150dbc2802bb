//! The load: jobs of all kinds at a steady rate, whose outcomes are known.

pub(crate) mod client;
pub(crate) mod clips;
pub(crate) mod ledger;
pub(crate) mod messages;
mod operator;
pub(crate) mod plan;
mod request;
