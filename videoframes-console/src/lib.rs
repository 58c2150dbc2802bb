//! Command-line code shared by `vf` and `vf-worker`: option groups, exit codes, errors, output and signals.
//!
//! An option has the same name, values and help text in both programs, and each exit code has one meaning.
//! The option groups are parsed to the types of `videoframes-core`; this crate does no I/O on videos.

mod completions;
pub mod exit;
mod failure;
mod log;
mod man;
pub mod options;
mod parse;
mod print;
mod s3_uri;
mod signals;
mod style;
mod version;

pub use completions::{CompletionsArgs, print_completions};
pub use failure::{Failure, INSTALL_FFMPEG};
pub use log::OneLine;
pub use man::{ManArgs, write_man_pages};
pub use parse::parse;
pub use print::{Delivery, print, print_json, print_json_line, to_json, warn};
pub use s3_uri::{S3Uri, has_scheme};
pub use signals::cancelled_by_signals;
pub use style::{HELP_WIDTH, STYLES};
pub use version::{LONG_VERSION, VERSION};
