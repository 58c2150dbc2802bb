//! Colours and width of help, usage and errors.

use clap::builder::styling::{AnsiColor, Styles};

/// Maximum width of help in columns; wider terminals get help of this width.
pub const HELP_WIDTH: usize = 110;

/// Colours of both programs, for clap and for [`crate::Failure`].
pub const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());
