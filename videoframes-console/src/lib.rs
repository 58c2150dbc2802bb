//! What `vf` and `vf-worker` share on the command line: option groups, exit codes, errors, output and signals.
//!
//! The same option has the same name, value and help text in both programs, and one exit code means one thing.
//! The option groups are parsed to the types of `videoframes-core`; nothing here does I/O on videos.

pub mod exit;
mod failure;
mod log;
pub mod options;
mod parse;
mod print;
mod s3_uri;
mod signals;
mod style;

pub use failure::{Failure, INSTALL_FFMPEG};
pub use log::OneLine;
pub use parse::parse;
pub use print::{Delivery, print, print_json, print_json_line, to_json, warn};
pub use s3_uri::{S3Uri, has_scheme};
pub use signals::cancelled_by_signals;
pub use style::{HELP_WIDTH, STYLES};
