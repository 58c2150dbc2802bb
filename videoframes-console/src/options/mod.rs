//! Option groups, each parsed to types of `videoframes-core`.

mod choice;
mod limits;
mod network;
mod output;
mod picture;
mod select;
mod values;
mod verbose;

pub use choice::{Choice, choice};
pub use limits::{InputLimitArgs, LimitArgs, OutputLimitArgs, PlanLimitArgs};
pub use network::NetworkArgs;
pub use output::{DamageArgs, JsonArgs, NameArgs, ProgressKind, ReplaceArgs, ReportArgs};
pub use picture::{AppearanceArgs, DeinterlaceArgs, PictureArgs};
pub use select::{FilterArgs, SelectArgs, StreamArgs};
pub use values::{positive_size, positive_time, wall_time};
pub use verbose::VerboseArgs;
