//! Options of a job, and their form as JSON.

mod limits;
mod options;
mod picture;
mod selection;
mod value;

pub use self::limits::RequestedLimits;
pub use self::options::JobOptions;
pub use self::value::InvalidOptions;
