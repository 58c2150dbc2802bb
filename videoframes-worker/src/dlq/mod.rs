//! `vf-worker dlq`: lists, redrives and deletes dead-letter messages.

mod args;
mod database;
mod letter;
mod mailbox;
mod sqs;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use videoframes_console::{Failure, exit, to_json};
use videoframes_core::queue::{DatabaseQueue, Queue};
use videoframes_core::text::printable;

use self::args::DlqAction;
pub(crate) use self::args::DlqArgs;
use self::database::DatabaseDeadLetters;
use self::letter::table;
use self::mailbox::{Mailbox, Which, redrive};
use self::sqs::SqsDeadLetters;
use crate::args::Place;
use crate::aws;
use crate::config::{Config, QueueAddress, QueuePlace, Reader};
use crate::jobs::print;
use crate::parts::open_existing;
use crate::queues::Messages;

/// Minimum number of messages that `redrive --all` sends, if present: counts of SQS are delayed.
const MIN_REDRIVE: u64 = 10;

/// Finds the queue of dead-letter messages and runs the action.
pub(crate) async fn run(place: &Place, args: &DlqArgs) -> Result<ExitCode, Failure> {
    let of_sqs = |text: &str| match QueueAddress::is_sqs(text) {
        true => text.parse().map(Some),
        false => Ok(None),
    };
    let mut read = Reader::from_environment();
    let mut variable = |name| match place.local {
        // `--local` ignores the environment.
        Some(_) => None,
        None => read.optional(name, of_sqs).flatten(),
    };
    let (letters, input) = (variable("VF_DEAD_LETTER_QUEUE"), variable("VF_INPUT_QUEUE"));
    let letters = match &args.queue {
        Some(text) => read.flag("--queue", text, str::parse),
        None => letters,
    };
    let errors = read.into_errors();
    if !errors.is_empty() {
        return Err(Failure::all(exit::USAGE, errors));
    }
    match letters {
        Some(address) => in_sqs(&address, input, args).await,
        None => in_database(place, args).await,
    }
}

async fn in_sqs(
    address: &QueueAddress,
    input: Option<QueueAddress>,
    args: &DlqArgs,
) -> Result<ExitCode, Failure> {
    let client = aws_sdk_sqs::Client::new(&aws::environment().await?);
    let letters = SqsDeadLetters::open(client, address).await?;
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
            Some(letters.destination(&to).await?)
        }
        _ => None,
    };
    if let DlqAction::List { .. } = &args.action {
        let depth = letters.depth().await?;
        eprintln!("about {depth} messages; messages in flight are not listed");
    }
    act(&letters, address.name(), to.as_ref(), &args.action).await
}

fn wrong_destination(text: &str, expected: String) -> Failure {
    Failure::new(exit::USAGE, format!("--to: '{text}' is not {expected}"))
}

async fn in_database(place: &Place, args: &DlqArgs) -> Result<ExitCode, Failure> {
    let config = Config::read(place)?;
    let places = [&config.places.input, &config.places.notifier];
    let names: Vec<String> = places.into_iter().filter_map(QueuePlace::in_database).collect();
    let to = match &args.action {
        DlqAction::Redrive { to, .. } => Some(to.clone().unwrap_or_else(|| names[0].clone())),
        _ => None,
    };
    // No worker reads other queues of the database.
    if let Some(to) = &to
        && !names.contains(to)
    {
        let expected = format!("one of the queues '{}'", names.join("' and '"));
        return Err(wrong_destination(to, expected));
    }
    let Some(place) = open_existing(&config).await? else {
        return match &args.action {
            DlqAction::List { json, .. } => print(if json.json { "[]\n" } else { "" }),
            DlqAction::Redrive { ids, .. } if ids.is_empty() => Ok(ExitCode::SUCCESS),
            DlqAction::Purge { .. } => Ok(ExitCode::SUCCESS),
            DlqAction::Show { id } => Err(missing(id)),
            DlqAction::Redrive { ids, .. } => Err(missing(&ids.join(", "))),
        };
    };
    let to = to.map(|name| DatabaseQueue::new(place.database.clone(), name));
    let Messages::Database(letters) = place.queues(&config).await?.dead_letters else {
        unreachable!("messages in SQS are handled by in_sqs");
    };
    let name = letters.name().to_owned();
    let done = act(&DatabaseDeadLetters(letters), &name, to.as_ref(), &args.action).await;
    place.database.close().await;
    done
}

fn missing(ids: &str) -> Failure {
    Failure::new(
        exit::NOT_FOUND,
        format!("no dead-letter message has the ID {ids}"),
    )
    .hint("'vf-worker dlq list' lists the messages; messages in flight are hidden for a while")
}

async fn act<M: Mailbox>(
    letters: &M,
    name: &str,
    to: Option<&M::Destination>,
    action: &DlqAction,
) -> Result<ExitCode, Failure> {
    match action {
        DlqAction::List { json, most } => {
            let letters = letters.list(*most).await?;
            print(&if json.json {
                to_json(&letters)?
            } else {
                table(&letters)
            })
        }
        DlqAction::Show { id } => {
            let letter = letters.find(id).await?.ok_or_else(|| missing(id))?;
            print(&body(&letter.body, std::io::stdout().is_terminal()))
        }
        DlqAction::Redrive { ids, all, .. } => {
            let which = match all {
                true => Which::All(letters.depth().await?.max(MIN_REDRIVE)),
                false => Which::Ids(ids.iter().cloned().collect()),
            };
            let to = to.ok_or_else(|| Failure::new(exit::USAGE, "no destination: give --to QUEUE"))?;
            let report = |id: &str| print(&format!("{id}\n")).map(|_| ());
            let absent = redrive(letters, &which, to, report).await?;
            match absent.is_empty() {
                true => Ok(ExitCode::SUCCESS),
                false => Err(missing(&absent.into_iter().collect::<Vec<_>>().join(", "))),
            }
        }
        DlqAction::Purge { yes } => {
            let depth = letters.depth().await?;
            if !yes && !confirmed(&format!("delete all messages of '{name}', about {depth}?"))? {
                return Err(Failure::new(exit::CANCELLED, "nothing was deleted"));
            }
            letters.purge().await?;
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
