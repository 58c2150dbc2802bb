//! The command: lists, decides, applies and reports.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::BucketVersioningStatus;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;
use videoframes_console::{Failure, cancelled_by_signals, exit, to_json};
use videoframes_core::text::printable;

use super::apply::Applier;
use super::args::RestoreObjectsArgs;
use super::copy::Copier;
use super::fault;
use super::listing::Listing;
use super::place::Place;
use super::tally::{Done, Tally};
use crate::args::LocationArgs;
use crate::aws::{self, Refusal};
use crate::stdout::print;
use crate::terminal::ProgressLine;

/// Number of keys that a dry run prints.
const SHOWN: usize = 20;

pub(crate) async fn run(location: &LocationArgs, args: &RestoreObjectsArgs) -> Result<ExitCode, Failure> {
    let place = Place::read(location, args)?;
    let now = OffsetDateTime::now_utc();
    let at = args.at.resolve(now);
    if at > now {
        return Err(Failure::new(exit::USAGE, "--at is in the future"));
    }
    if now - at > place.retention && !args.incomplete {
        return Err(expired(&place));
    }
    let aws = aws::environment().await?;
    let config = aws_sdk_s3::config::Builder::from(&aws).force_path_style(place.path_style);
    let client = Client::from_conf(config.build());
    require_versions(&client, &place.bucket).await?;
    let stop = cancelled_by_signals(Duration::ZERO).map_err(|e| Failure::internal(&e))?;
    let applier = Applier {
        copier: Arc::new(Copier::new(
            client.clone(),
            place.bucket.clone(),
            place.encryption,
        )),
        at: i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX),
        dry_run: args.dry_run,
        concurrency: usize::from(args.jobs),
    };
    let mut restore = Restore {
        tally: Tally::default(),
        shown: Vec::new(),
        line: ProgressLine::new(),
    };
    let mut listing = Listing::new(&client, &place.bucket, place.prefix.clone());
    let ended = restore.pages(&mut listing, &applier, &stop).await;
    let Restore { tally, shown, line } = restore;
    // The report precedes errors.
    drop(line);
    print(&match args.json.json {
        true => {
            let mut report = tally.object();
            report["bucket"] = json!(place.bucket);
            report["prefix"] = json!(place.prefix);
            report["at"] = json!(at.format(&Rfc3339).map_err(|e| Failure::internal(&e))?);
            report["dry_run"] = json!(args.dry_run);
            to_json(&report)?
        }
        false => format!("{}{}\n", shown.concat(), tally.summary(args.dry_run)),
    })?;
    ended.map_err(|refusal| Failure::from(refusal).hint(REPEAT))?;
    if tally.has_failed() {
        return Err(Failure::all(exit::UNAVAILABLE, tally.errors()).hint(REPEAT));
    }
    if stop.is_cancelled() {
        eprintln!("stopped: {REPEAT}");
        return Ok(ExitCode::from(exit::CANCELLED));
    }
    Ok(ExitCode::SUCCESS)
}

const REPEAT: &str = "repeat the command for the remaining objects";

fn expired(place: &Place) -> Failure {
    let days = place.retention.as_secs_f64() / 86400.0;
    let text = format!("versions of that time may have expired: the bucket keeps them for {days} days");
    Failure::new(exit::NOT_FOUND, text).hint(
        "VF_VERSION_RETENTION must be the actual retention of the bucket; --incomplete restores what is left",
    )
}

/// Fails if the bucket has no versions.
async fn require_versions(client: &Client, bucket: &str) -> Result<(), Failure> {
    let response = client.get_bucket_versioning().bucket(bucket).send().await;
    let what = format!("read the versioning of the bucket '{bucket}'");
    let found = response.map_err(|e| Failure::from(Refusal::new("s3:GetBucketVersioning", what, &e)))?;
    match found.status {
        // Older versions still exist.
        Some(BucketVersioningStatus::Enabled | BucketVersioningStatus::Suspended) => Ok(()),
        _ => Err(Failure::new(
            exit::UNAVAILABLE,
            format!("the bucket '{bucket}' has no versions: nothing can be restored"),
        )
        .hint("'vf-worker provision' enables versioning for later losses")),
    }
}

/// The progress of the command.
struct Restore {
    tally: Tally,
    /// Lines of a dry run.
    shown: Vec<String>,
    line: ProgressLine,
}

impl Restore {
    /// Restores page by page, until a page with failures.
    async fn pages(
        &mut self,
        listing: &mut Listing<'_>,
        applier: &Applier,
        stop: &CancellationToken,
    ) -> Result<(), Refusal> {
        while let Some(keys) = listing.next().await? {
            fault::reached("versions_listed");
            applier
                .all(keys, stop, |(key, done)| self.add(key, done, applier.dry_run))
                .await;
            if stop.is_cancelled() || self.tally.has_failed() {
                break;
            }
        }
        Ok(())
    }

    fn add(&mut self, key: String, done: Result<Done, Refusal>, dry_run: bool) {
        match done {
            Ok(done) => {
                self.tally.add(done);
                if dry_run && done.is_change() && self.shown.len() < SHOWN {
                    self.shown
                        .push(format!("{:<14}  {}\n", done.label(), printable(&key)));
                }
            }
            Err(refusal) => self.tally.fail(key, Failure::from(refusal).to_string()),
        }
        self.line.show(&self.tally.summary(dry_run));
    }
}
