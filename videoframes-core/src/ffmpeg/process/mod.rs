//! Child processes: discovery of programs, limits, input, watchdog, and parsing of their output.

pub(crate) mod blocking;
pub(crate) mod capabilities;
pub(crate) mod child;
pub(crate) mod damage;
pub(crate) mod decode;
pub(crate) mod interruption;
pub(crate) mod invocation;
mod ivf;
pub(crate) mod left_out;
pub(crate) mod limit;
#[cfg(not(fuzzing))]
mod log;
#[cfg(fuzzing)]
pub(crate) mod log;
pub(crate) mod memory;
pub(crate) mod probe;
pub(crate) mod program;
pub(crate) mod programs;
pub(crate) mod registry;
pub(crate) mod sandbox;
pub(crate) mod space;
pub(crate) mod spawn;
pub(crate) mod split;
mod trial;
pub(crate) mod version;
pub(crate) mod watchdog;
