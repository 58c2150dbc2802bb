//! Options for output, damage and reports.

use clap::{Args, ValueEnum};
use videoframes_core::archive::NameTemplate;
use videoframes_core::pipeline::OnDamage;
use videoframes_core::storage::IfExists;

use super::{Choice, choice};

const ON_DAMAGE: &[Choice<OnDamage>] = &[("fail", &[], OnDamage::Fail), ("partial", &[], OnDamage::Partial)];

/// `-y`.
#[derive(Debug, Clone, Copy, Args)]
pub struct ReplaceArgs {
    /// Replace an existing output
    #[arg(short = 'y', long)]
    pub yes: bool,
}

impl ReplaceArgs {
    /// Returns the behaviour for an existing output.
    pub fn if_exists(self) -> IfExists {
        match self.yes {
            true => IfExists::Replace,
            false => IfExists::Refuse,
        }
    }
}

/// `--name`.
#[derive(Debug, Clone, Args)]
pub struct NameArgs {
    /// Template for picture names, without extension: {index}, {frame}, {stem}, {time}, {hh}, {mm}, {ss}, {ms}, {pts}; {index:06} pads
    /// [default: frame_{index:06}]
    #[arg(long, value_name = "TEMPLATE")]
    pub name: Option<NameTemplate>,
}

/// `--on-error`.
#[derive(Debug, Clone, Copy, Args)]
pub struct DamageArgs {
    /// For a damaged video: write nothing (fail), or keep the frames that decode (partial)
    #[arg(long, value_name = "ACTION", default_value = "fail", value_parser = choice(ON_DAMAGE), ignore_case = true)]
    pub on_error: OnDamage,
}

/// `--json`, for commands that print to stdout.
#[derive(Debug, Clone, Copy, Args)]
pub struct JsonArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options for progress and the printed result.
#[derive(Debug, Clone, Copy, Args)]
pub struct ReportArgs {
    /// Show progress on stderr [default: bar on a terminal, else none]
    #[arg(long, value_name = "KIND")]
    pub progress: Option<ProgressKind>,
    /// Print the result as JSON on stdout
    #[arg(long)]
    pub json: bool,
    /// Print only errors
    #[arg(long)]
    pub quiet: bool,
}

/// The form of progress reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressKind {
    /// A progress bar.
    Bar,
    /// JSON, one object per line.
    Json,
    /// No progress.
    None,
}
