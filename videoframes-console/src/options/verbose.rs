//! The option for the log level.

use clap::{ArgAction, Args};
use tracing_subscriber::filter::LevelFilter;

/// `-v`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct VerboseArgs {
    /// Log to stderr; repeat for more detail
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

impl VerboseArgs {
    /// Returns the requested level; `None` without `-v`.
    pub fn level(self) -> Option<LevelFilter> {
        match self.verbose {
            0 => None,
            1 => Some(LevelFilter::DEBUG),
            _ => Some(LevelFilter::TRACE),
        }
    }
}
