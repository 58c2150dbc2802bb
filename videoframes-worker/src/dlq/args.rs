//! What the command line says of dead letters.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct DlqArgs {
    /// The queue of SQS that holds them, as sqs:NAME or its URL (VF_DEAD_LETTER_QUEUE); else they are
    /// those of the database.
    #[arg(long, global = true, value_name = "QUEUE")]
    pub(crate) queue: Option<String>,
    #[command(subcommand)]
    pub(crate) action: DlqAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DlqAction {
    /// List dead letters, one a line. SQS lists by receiving: each counts as received once more, and those
    /// that somebody else holds are missing.
    List {
        /// As a JSON array, with whole bodies.
        #[arg(long)]
        json: bool,
        /// At most so many.
        #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
        most: usize,
    },
    /// Print the body of one.
    Show {
        /// Its id, from the list.
        id: String,
    },
    /// Send dead letters to a queue again, then delete them, one by one: whatever happens none is lost;
    /// one may be sent twice. Prints the ids.
    Redrive {
        /// Their ids, from the list.
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// All that are there now.
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// Where to: sqs:NAME or a URL; in a database, a queue's name [default: the input queue].
        #[arg(long, value_name = "QUEUE")]
        to: Option<String>,
    },
    /// Delete all of them.
    Purge {
        /// Do not ask
        #[arg(short = 'y', long)]
        yes: bool,
    },
}
