//! Options of a job, and their form as JSON.

mod limits;
mod options;
mod outputs;
mod picture;
mod selection;
mod value;

pub use self::limits::RequestedLimits;
pub use self::options::JobOptions;
pub use self::outputs::{ContactSheetOptions, JobOutputs, OutputFrames, PreviewOptions, StoryboardOptions};
pub use self::value::InvalidOptions;
