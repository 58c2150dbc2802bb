//! `vf-worker dlq`: lists, redrives and deletes dead-letter messages.

mod access;
mod args;
mod database;
mod message;
mod queue;
mod sqs;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use videoframes_console::{Failure, exit, to_json};
use videoframes_core::queue::{DatabaseQueue, Queue};
use videoframes_core::text::printable;

pub(crate) use self::access::{DeadLetters, Redriven};
use self::args::DlqAction;
pub(crate) use self::args::DlqArgs;
use self::database::{DatabaseDeadLetterQueue, DatabaseDestination};
pub(crate) use self::message::DeadLetterMessage;
use self::message::table;
use self::queue::{DeadLetterQueue, Which, redrive};
use self::sqs::SqsDeadLetterQueue;
use crate::args::LocationArgs;
use crate::aws;
use crate::config::{Config, InputPlaces, QueueAddress, QueuePlace, Reader};
use crate::connections::open_existing;
use crate::queues::Messages;
use crate::stdout::print;

/// Minimum number of messages that `redrive --all` sends, if present: counts of SQS are delayed.
const MIN_REDRIVE: u64 = 10;

/// Finds the queue of dead-letter messages and runs the action.
pub(crate) async fn run(location: &LocationArgs, args: &DlqArgs) -> Result<ExitCode, Failure> {
    let of_sqs = |text: &str| match QueueAddress::is_sqs(text) {
        true => text.parse().map(Some),
        false => Ok(None),
    };
    let mut read = Reader::from_environment();
    let mut variable = |name| match location.local {
        // `--local` ignores the environment.
        Some(_) => None,
        None => read.optional(name, of_sqs).flatten(),
    };
    let dead_letter_queue = variable("VF_DEAD_LETTER_QUEUE");
    let inputs = match location.local {
        Some(_) => None,
        None => read.optional("VF_INPUT_QUEUE", InputPlaces::parse),
    };
    let input = inputs.and_then(|inputs| inputs.main().in_sqs().cloned());
    let dead_letter_queue = match &args.queue {
        Some(text) => read.flag("--queue", text, str::parse),
        None => dead_letter_queue,
    };
    let errors = read.into_errors();
    if !errors.is_empty() {
        return Err(Failure::all(exit::USAGE, errors));
    }
    match dead_letter_queue {
        Some(address) => in_sqs(&address, input, args).await,
        None => in_database(location, args).await,
    }
}

async fn in_sqs(
    address: &QueueAddress,
    input: Option<QueueAddress>,
    args: &DlqArgs,
) -> Result<ExitCode, Failure> {
    let client = aws_sdk_sqs::Client::new(&aws::environment().await?);
    let queue = SqsDeadLetterQueue::open(client, address).await?;
    let to = match &args.action {
        DlqAction::Redrive { to, .. } => {
            let to = match to {
                Some(text) => Some(
                    text.parse()
                        .map_err(|expected| wrong_destination(text, expected))?,
                ),
                None => input,
            };
            let to = to.ok_or_else(|| {
                Failure::new(exit::USAGE, "no destination: VF_INPUT_QUEUE is not an SQS queue")
                    .hint("give --to sqs:NAME, or the URL of a queue")
            })?;
            Some(queue.destination(&to).await?)
        }
        _ => None,
    };
    if let DlqAction::List { .. } = &args.action {
        let depth = queue.depth().await?;
        eprintln!("about {depth} messages; messages in flight are not listed");
    }
    act(&queue, address.name(), to.as_ref(), &args.action).await
}

fn wrong_destination(text: &str, expected: String) -> Failure {
    Failure::new(exit::USAGE, format!("--to: '{text}' is not {expected}"))
}

async fn in_database(location: &LocationArgs, args: &DlqArgs) -> Result<ExitCode, Failure> {
    let config = Config::read(location)?;
    let places = &config.places;
    let inputs = places.inputs.iter().map(|input| &input.queue);
    let names = inputs
        .chain([&places.notifier])
        .filter_map(QueuePlace::in_database);
    let names: Vec<String> = names.collect();
    let main = places.inputs.main().in_database().unwrap_or_default();
    let to = match &args.action {
        DlqAction::Redrive { to, .. } => Some(to.clone().unwrap_or(main)),
        _ => None,
    };
    // No worker reads other queues of the database.
    if let Some(to) = &to
        && !names.contains(to)
    {
        let expected = format!("one of the queues '{}'", names.join("' and '"));
        return Err(wrong_destination(to, expected));
    }
    let Some(connections) = open_existing(&config).await? else {
        return match &args.action {
            DlqAction::List { json, .. } => print(if json.json { "[]\n" } else { "" }),
            DlqAction::Redrive { ids, .. } if ids.is_empty() => Ok(ExitCode::SUCCESS),
            DlqAction::Purge { .. } => Ok(ExitCode::SUCCESS),
            DlqAction::Show { id } => Err(missing(id)),
            DlqAction::Redrive { ids, .. } => Err(missing(&ids.join(", "))),
        };
    };
    let to = to.map(|name| DatabaseDestination {
        queue: DatabaseQueue::new(connections.database.clone(), name),
        tenants: config.tenants.clone(),
    });
    let Messages::Database(queue) = connections.queues(&config).await?.dead_letter_queue else {
        unreachable!("messages in SQS are handled by in_sqs");
    };
    let name = queue.name().to_owned();
    let done = act(&DatabaseDeadLetterQueue(queue), &name, to.as_ref(), &args.action).await;
    connections.database.close().await;
    done
}

fn missing(ids: &str) -> Failure {
    Failure::new(
        exit::NOT_FOUND,
        format!("no dead-letter message has the ID {ids}"),
    )
    .hint("'vf-worker dlq list' lists the messages; messages in flight are hidden for a while")
}

async fn act<M: DeadLetterQueue>(
    queue: &M,
    name: &str,
    to: Option<&M::Destination>,
    action: &DlqAction,
) -> Result<ExitCode, Failure> {
    match action {
        DlqAction::List { json, limit } => {
            let max = if *limit == 0 { usize::MAX } else { *limit };
            let messages = queue.list(max).await?;
            print(&if json.json {
                to_json(&messages)?
            } else {
                table(&messages)
            })
        }
        DlqAction::Show { id } => {
            let message = queue.find(id).await?.ok_or_else(|| missing(id))?;
            print(&body(&message.body, std::io::stdout().is_terminal()))
        }
        DlqAction::Redrive { ids, all, .. } => {
            let which = match all {
                true => Which::All(queue.depth().await?.max(MIN_REDRIVE)),
                false => Which::Ids(ids.iter().cloned().collect()),
            };
            let to = to.ok_or_else(|| Failure::new(exit::USAGE, "no destination: give --to QUEUE"))?;
            let report = |id: &str| print(&format!("{id}\n")).map(|_| ());
            let absent = redrive(queue, &which, to, report).await?;
            match absent.is_empty() {
                true => Ok(ExitCode::SUCCESS),
                false => Err(missing(&absent.into_iter().collect::<Vec<_>>().join(", "))),
            }
        }
        DlqAction::Purge { yes } => {
            let depth = queue.depth().await?;
            if !yes && !confirmed(&format!("delete all messages of '{name}', about {depth}?"))? {
                return Err(Failure::new(exit::CANCELLED, "nothing was deleted"));
            }
            queue.purge().await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Returns a body unchanged, or, for a terminal, without control characters.
fn body(text: &str, on_terminal: bool) -> String {
    match on_terminal {
        true => text
            .split('\n')
            .map(|line| format!("{}\n", printable(line)))
            .collect(),
        false => format!("{text}\n"),
    }
}

/// Asks for confirmation on the terminal.
fn confirmed(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            exit::USAGE,
            "failed to ask for confirmation: stdin is not a terminal",
        )
        .hint("give --yes"));
    }
    eprint!("{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::internal(&error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
