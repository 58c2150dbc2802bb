//! Arguments of `vf-worker dlq`.

use clap::{Args, Subcommand};
use videoframes_console::options::JsonArgs;

#[derive(Debug, Args)]
pub(crate) struct DlqArgs {
    /// SQS queue of dead-letter messages: sqs:NAME or a URL (VF_DEAD_LETTER_QUEUE) [default: the queue in the
    /// database]
    #[arg(long, global = true, value_name = "QUEUE")]
    pub(crate) queue: Option<String>,
    #[command(subcommand)]
    pub(crate) action: DlqAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DlqAction {
    /// List dead-letter messages, one per line; complete bodies are in the JSON. In SQS, listing receives the
    /// messages: their receive counts grow, and messages in flight are missing
    List {
        #[command(flatten)]
        json: JsonArgs,
        /// Maximum number of messages; 0 lists all
        #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Print the body of a dead-letter message
    Show {
        /// ID of the message, from 'dlq list'
        id: String,
    },
    /// Send dead-letter messages to a queue again and delete them, one by one. No message is lost; after a
    /// failure, a message may be sent twice. Prints the IDs
    Redrive {
        /// IDs of the messages, from 'dlq list'
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// Redrive all current messages
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// Destination: sqs:NAME or a URL; in a database, the name of a queue [default: the input queue]
        #[arg(long, value_name = "QUEUE")]
        to: Option<String>,
    },
    /// Delete all dead-letter messages
    Purge {
        /// Do not ask for confirmation
        #[arg(short = 'y', long)]
        yes: bool,
    },
}
