//! The client: submits the planned jobs, and records in the ledger what was accepted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::clips::{Clips, LONG_FRAMES, NOISE_FRAMES, SHORT_FRAMES};
use super::ledger::{Accepted, COMPLETED, Foreign, Ledger, Letter};
use super::messages::{enveloped, event, event_bridge, native};
use super::plan::{Kind, Poison, Ticket};
use crate::servers::cloud::{BUCKET, Cloud};
use crate::wait::within;
use crate::workers::fleet::Fleet;

/// Maximum time until a job appears or ends that an operator wants to change. The operator gives up then.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(60);

/// The client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) clips: Clips,
    pub(crate) ledger: Arc<Ledger>,
}

impl Client {
    /// Submits the planned jobs at their times.
    pub(crate) async fn run(self: Arc<Self>, plan: Vec<Ticket>) {
        let since = Instant::now();
        let mut submissions = tokio::task::JoinSet::new();
        for ticket in plan {
            tokio::time::sleep(ticket.at.saturating_sub(since.elapsed())).await;
            let client = Arc::clone(&self);
            submissions.spawn_local(async move {
                if let Err(error) = client.submit(ticket).await {
                    client.ledger.entries().refused += 1;
                    eprintln!(
                        "ticket {} ({:?}) was not accepted: {error:#}",
                        ticket.number, ticket.kind
                    );
                }
            });
            while submissions.try_join_next().is_some() {}
        }
        submissions.join_all().await;
    }

    fn cloud(&self) -> &Cloud {
        &self.fleet.servers.cloud
    }

    /// Stores a source; returns its ETag.
    async fn put(&self, key: &str, content: &[u8]) -> anyhow::Result<String> {
        let put = self.cloud().s3.put_object().bucket(BUCKET).key(key);
        let stored = put.body(content.to_vec().into()).send().await?;
        Ok(stored
            .e_tag
            .context("the object has no ETag")?
            .trim_matches('"')
            .to_owned())
    }

    async fn send(&self, body: &str) -> anyhow::Result<()> {
        self.cloud().send(&self.cloud().input, body).await
    }

    /// Records a request before it is sent: a message may be lost right after the queue has accepted it.
    async fn request(&self, accepted: Accepted, messages: &[String]) -> anyhow::Result<()> {
        let ticket = accepted.ticket;
        self.ledger.entries().accepted.push(accepted);
        for message in messages {
            if let Err(error) = self.send(message).await {
                self.ledger
                    .entries()
                    .accepted
                    .retain(|accepted| accepted.ticket != ticket);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Submits jobs that copy their sources, in addition to the plan.
    pub(crate) async fn submit_copied(&self, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
        for number in numbers {
            let (at, kind) = (Duration::ZERO, Kind::Copied);
            self.submit(Ticket { number, at, kind }).await?;
        }
        Ok(())
    }

    async fn submit(&self, ticket: Ticket) -> anyhow::Result<()> {
        let number = ticket.number;
        let name = format!("{:?}", ticket.kind);
        let accepted =
            |source: &str, outcomes: &[&'static str]| Accepted::new(number, name.clone(), source, outcomes);
        let key = json!({"idempotency_key": format!("ticket-{number}")});
        let count = json!({"count": 5});
        let short = &self.clips.short;
        match ticket.kind {
            Kind::Message | Kind::MessageTwice => {
                let source = format!("in/message-{number}.mp4");
                self.put(&source, short).await?;
                let message = native(&source, count, key);
                let times = if ticket.kind == Kind::Message { 1 } else { 2 };
                let accepted = accepted(&source, &[COMPLETED]).frames(&[5]);
                self.request(accepted, &vec![message; times]).await
            }
            Kind::Event | Kind::EventAgain | Kind::OddKey | Kind::EventBridge | Kind::Sns => {
                let source = match ticket.kind {
                    Kind::OddKey => format!("in/event-odd é +100%25 {number}.mp4"),
                    _ => format!("in/event-{number}.mp4"),
                };
                let etag = self.put(&source, short).await?;
                let sequencer = format!("{number:016X}");
                let message = match ticket.kind {
                    Kind::EventBridge => event_bridge(&source, &etag, &sequencer),
                    Kind::Sns => enveloped(&event(&[(&source, &etag, &sequencer)])),
                    _ => event(&[(&source, &etag, &sequencer)]),
                };
                if ticket.kind == Kind::OddKey {
                    self.ledger.entries().odd.push(source.clone());
                }
                let accepted = accepted(&source, &[COMPLETED]).frames(&[4]);
                self.request(accepted, std::slice::from_ref(&message)).await?;
                match ticket.kind {
                    Kind::EventAgain => self.send_after_end(&source, &message).await,
                    _ => Ok(()),
                }
            }
            Kind::EventRecords => {
                let sources = [0, 1, 2].map(|index| format!("in/event-{number}-{index}.mp4"));
                let mut objects = Vec::new();
                for source in &sources {
                    objects.push((source.as_str(), self.put(source, short).await?));
                }
                let records: Vec<_> = objects
                    .iter()
                    .map(|(source, etag)| (*source, etag.as_str(), "0A"))
                    .collect();
                let message = event(&records);
                for source in &sources {
                    let accepted = accepted(source, &[COMPLETED]).frames(&[4]);
                    self.ledger.entries().accepted.push(accepted);
                }
                let sent = self.send(&message).await;
                if sent.is_err() {
                    self.ledger
                        .entries()
                        .accepted
                        .retain(|accepted| accepted.ticket != number);
                }
                sent
            }
            Kind::Reordered => {
                let source = format!("in/event-{number}.mp4");
                let etag = self.put(&source, short).await?;
                let messages =
                    ["0B", "0A"].map(|sequencer| event(&[(source.as_str(), etag.as_str(), sequencer)]));
                let mut accepted = accepted(&source, &[COMPLETED, "SUPERSEDED"]).frames(&[4]);
                (accepted.jobs, accepted.one_of) = (2, Some(COMPLETED));
                self.request(accepted, &messages).await
            }
            Kind::TestEvent => {
                self.send(
                    &json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}).to_string(),
                )
                .await
            }
            Kind::Submit => {
                let source = format!("in/submitted-{number}.mp4");
                self.put(&source, short).await?;
                let uri = format!("s3://{BUCKET}/{source}");
                // A command that fails may have submitted the job.
                let mut accepted = accepted(&source, &[COMPLETED]).frames(&[5]);
                accepted.may_vanish = true;
                self.ledger.entries().accepted.push(accepted);
                self.fleet.command(&["submit", &uri, "-n", "5"]).await?;
                let accepted = &mut self.ledger.entries().accepted;
                for accepted in accepted.iter_mut().filter(|accepted| accepted.source == source) {
                    accepted.may_vanish = false;
                }
                Ok(())
            }
            Kind::Long | Kind::Cancelled | Kind::Deadline => {
                let source = format!("in/long-{number}.mp4");
                self.put(&source, &self.clips.long).await?;
                let (outcomes, more): (&[_], _) = match ticket.kind {
                    Kind::Cancelled => (&[COMPLETED, "CANCELLED"], key),
                    Kind::Deadline => (
                        &[COMPLETED, "DEADLINE_EXCEEDED"],
                        json!({"limits": {"deadline_s": 1}}),
                    ),
                    _ => (&[COMPLETED], key),
                };
                let accepted = accepted(&source, outcomes).frames(&[LONG_FRAMES]);
                self.request(accepted, &[native(&source, json!({"all": true}), more)])
                    .await?;
                match ticket.kind {
                    Kind::Cancelled => self.cancel(&source).await,
                    _ => Ok(()),
                }
            }
            Kind::Copied | Kind::Denied => {
                let place = if ticket.kind == Kind::Copied {
                    "copied"
                } else {
                    "denied"
                };
                let source = format!("in/{place}-{number}.mp4");
                self.put(&source, short).await?;
                let accepted = accepted(&source, &[COMPLETED]).frames(&[SHORT_FRAMES]);
                self.request(accepted, &[native(&source, json!({"all": true}), key)])
                    .await
            }
            Kind::Large => {
                let source = format!("in/large-{number}.mp4");
                self.put(&source, &self.clips.noise).await?;
                let more = json!({"picture": {"format": "png"}});
                let accepted = accepted(&source, &[COMPLETED]).frames(&[NOISE_FRAMES]);
                self.request(accepted, &[native(&source, json!({"all": true}), more)])
                    .await
            }
            Kind::Rendition => {
                let source = format!("in/rendition-{number}.mp4");
                self.put(&source, short).await?;
                let rendition = json!({"max_height": 48, "quality": 30});
                let more = json!({"renditions": [rendition, {"max_height": 32, "quality": 30}]});
                let accepted = accepted(&source, &[COMPLETED]).frames(&[5]);
                self.request(accepted, &[native(&source, count, more)]).await
            }
            Kind::Retried => {
                let source = format!("in/retried-{number}.mp4");
                self.put(&source, b"no video").await?;
                let accepted = accepted(&source, &["NOT_A_VIDEO"]);
                self.request(accepted, &[native(&source, count, key)]).await?;
                self.retry(&source).await
            }
            Kind::Missing => {
                let source = format!("in/missing-{number}.mp4");
                let accepted = accepted(&source, &["SOURCE_NOT_FOUND"]);
                self.request(accepted, &[native(&source, count, key)]).await
            }
            Kind::ForeignOutput | Kind::FixedOutput => {
                let source = format!("in/output-{number}.mp4");
                let output = format!("out/{number}.zip");
                self.put(&source, short).await?;
                let outcomes: &[_] = match ticket.kind {
                    Kind::ForeignOutput => {
                        let content = format!("object of another program {number}").into_bytes();
                        self.put(&output, &content).await?;
                        let key = output.clone();
                        self.ledger.entries().foreign.push(Foreign { key, content });
                        &["OUTPUT_EXISTS"]
                    }
                    _ => &[COMPLETED],
                };
                let accepted = accepted(&source, outcomes).frames(&[5]);
                let more = json!({"output": {"key": output}});
                self.request(accepted, &[native(&source, count, more)]).await
            }
            Kind::Replaced => {
                let source = format!("in/replaced-{number}.mp4");
                self.put(&source, &self.clips.long).await?;
                let accepted =
                    accepted(&source, &[COMPLETED, "INPUT_CHANGED"]).frames(&[SHORT_FRAMES, LONG_FRAMES]);
                self.request(accepted, &[native(&source, json!({"all": true}), key)])
                    .await?;
                self.wait_for_status(&source, &["processing", "retry_wait", "completed"])
                    .await?;
                self.put(&source, short).await?;
                Ok(())
            }
            Kind::Conflict => {
                let source = format!("in/conflict-{number}.mp4");
                self.put(&source, short).await?;
                let messages = [5, 6].map(|count| native(&source, json!({"count": count}), key.clone()));
                let text = source.clone();
                let may_vanish = false;
                self.ledger.entries().letters.push(Letter {
                    ticket: number,
                    text,
                    may_vanish,
                });
                let accepted = accepted(&source, &[COMPLETED]).frames(&[5, 6]);
                let sent = self.request(accepted, &messages).await;
                if sent.is_err() {
                    self.ledger
                        .entries()
                        .letters
                        .retain(|letter| letter.ticket != number);
                }
                sent
            }
            Kind::Redriven => self.redrive().await,
            Kind::Hostile(kind) => {
                let (content, extension, codes) = self.clips.hostile(kind);
                let source = format!("in/hostile-{number}.{extension}");
                self.put(&source, &content).await?;
                let more = json!({"idempotency_key": format!("ticket-{number}"), "on_damage": "fail"});
                let message = native(&source, json!({"all": true}), more);
                self.request(accepted(&source, codes), &[message]).await
            }
            Kind::Poison(kind) => self.poison(number, kind).await,
        }
    }

    async fn poison(&self, ticket: usize, kind: Poison) -> anyhow::Result<()> {
        let text = format!("poison-{ticket}-");
        let body = match kind {
            Poison::NotJson => format!("{{{text} is no JSON"),
            Poison::UnknownVersion => json!({"a": text, "version": 99, "source": {"key": "x"}}).to_string(),
            Poison::NoSource => json!({"a": text, "version": 1}).to_string(),
            Poison::Oversized => {
                json!({"a": text, "version": 1, "padding": "x".repeat(300 << 10)}).to_string()
            }
        };
        let may_vanish = false;
        self.ledger.entries().letters.push(Letter {
            ticket,
            text,
            may_vanish,
        });
        let sent = self.send(&body).await;
        if sent.is_err() {
            self.ledger
                .entries()
                .letters
                .retain(|letter| letter.ticket != ticket);
        }
        sent
    }

    /// Returns ID and status of the job of a source, if it exists.
    async fn job(&self, source: &str) -> anyhow::Result<Option<(String, String)>> {
        let query = format!(
            "SELECT id::text, status FROM video_jobs WHERE source::json->>'key' = '{source}' LIMIT 1"
        );
        let rows = self.fleet.servers.postgres.rows(&query).await?;
        Ok(rows
            .first()
            .and_then(|row| Some((row["id"].as_str()?.to_owned(), row["status"].as_str()?.to_owned()))))
    }

    async fn wait_for_status(&self, source: &str, statuses: &[&str]) -> anyhow::Result<()> {
        let reached = async || {
            let job = self.job(source).await?;
            Ok(job.is_some_and(|(_, status)| statuses.contains(&status.as_str())))
        };
        // A message that was lost with the queue has no job.
        let _ = within(OPERATOR_PATIENCE, "the job of an operator", reached).await;
        Ok(())
    }

    async fn send_after_end(&self, source: &str, message: &str) -> anyhow::Result<()> {
        self.wait_for_status(source, &["completed"]).await?;
        self.ledger.entries().redelivered += 1;
        self.send(message).await
    }

    async fn cancel(&self, source: &str) -> anyhow::Result<()> {
        self.wait_for_status(source, &["processing"]).await?;
        if let Some((id, _)) = self.job(source).await? {
            // The job may have ended before.
            let _ = self.fleet.command(&["cancel", &id]).await;
        }
        Ok(())
    }

    async fn retry(&self, source: &str) -> anyhow::Result<()> {
        self.wait_for_status(source, &["failed"]).await?;
        if let Some((id, status)) = self.job(source).await?
            && status == "failed"
            && self.fleet.command(&["retry", &id]).await.is_ok()
        {
            let accepted = &mut self.ledger.entries().accepted;
            for accepted in accepted.iter_mut().filter(|accepted| accepted.source == source) {
                accepted.retried = true;
            }
        }
        Ok(())
    }

    /// Sends a message about a job that has ended, as a redrive of dead-letter messages does.
    async fn redrive(&self) -> anyhow::Result<()> {
        let query = "SELECT id::text FROM video_jobs WHERE finished_at IS NOT NULL ORDER BY random() LIMIT 1";
        let rows = self.fleet.servers.postgres.rows(query).await.unwrap_or_default();
        if let Some(id) = rows.first().and_then(|row| row["id"].as_str()) {
            self.send(&json!({"version": 1, "job_id": id}).to_string())
                .await?;
            self.ledger.entries().redelivered += 1;
        }
        Ok(())
    }
}
