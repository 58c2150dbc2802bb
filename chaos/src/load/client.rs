//! The client: submits the planned jobs, and records in the ledger what was accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::clips::{Clips, SHORT_FRAMES};
use super::ledger::{Accepted, COMPLETED, Ledger, Letter};
use super::messages::{enveloped, event, event_bridge, poison, test_event};
use super::plan::{Kind, Ticket};
use super::request::Request;
use crate::servers::cloud::{BUCKET, Cloud};
use crate::workers::environment::LIMITED;
use crate::workers::fleet::Fleet;

/// First number of tickets in addition to the plan, which has lower numbers.
const ADDITIONAL: usize = 1_000_000;

/// The client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) clips: Clips,
    pub(crate) ledger: Arc<Ledger>,
    /// Number of tickets in addition to the plan.
    pub(crate) additional: AtomicUsize,
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

    pub(super) async fn send(&self, body: &str) -> anyhow::Result<()> {
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

    /// Submits jobs in addition to the plan.
    pub(crate) async fn submit_also(&self, kind: Kind, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            let number = ADDITIONAL + self.additional.fetch_add(1, Ordering::Relaxed);
            let at = Duration::ZERO;
            self.submit(Ticket { number, at, kind }).await?;
        }
        Ok(())
    }

    async fn submit(&self, ticket: Ticket) -> anyhow::Result<()> {
        let number = ticket.number;
        match ticket.kind {
            Kind::Event | Kind::EventAgain | Kind::OddKey | Kind::EventBridge | Kind::Sns => {
                self.event(ticket).await
            }
            Kind::EventRecords => self.records(ticket, "event", 3, 4).await,
            Kind::Limited => self.records(ticket, LIMITED, 5, SHORT_FRAMES).await,
            Kind::Reordered => {
                let source = format!("in/event-{number}.mp4");
                let etag = self.put(&source, &self.clips.short).await?;
                let messages =
                    ["0B", "0A"].map(|sequencer| event(&[(source.as_str(), etag.as_str(), sequencer)]));
                let mut accepted = ticket.accepted(&source, &[COMPLETED, "SUPERSEDED"]).frames(&[4]);
                (accepted.jobs, accepted.one_of) = (2, Some(COMPLETED));
                self.request(accepted, &messages).await
            }
            Kind::TestEvent => self.send(&test_event()).await,
            Kind::Submit => self.submit_by_command(ticket).await,
            Kind::Redriven => self.redrive().await,
            Kind::LettersRedriven => self.redrive_letters().await,
            Kind::Poison(kind) => {
                let text = format!("poison-{number}-");
                let body = poison(kind, &text);
                self.letter(number, text, || self.send(&body)).await
            }
            Kind::Conflict => {
                let request = Request::new(ticket, &self.clips);
                self.put(&request.accepted.source, &request.content.unwrap_or_default())
                    .await?;
                let text = request.accepted.source.clone();
                self.letter(number, text, || self.request(request.accepted, &request.messages))
                    .await
            }
            _ => self.native(ticket).await,
        }
    }

    /// Submits a job by a native message, and does with the job what its kind requires.
    async fn native(&self, ticket: Ticket) -> anyhow::Result<()> {
        let Request {
            content,
            foreign,
            messages,
            accepted,
        } = Request::new(ticket, &self.clips);
        let source = accepted.source.clone();
        if let Some(content) = content {
            self.put(&source, &content).await?;
        }
        if let Some(foreign) = foreign {
            self.put(&foreign.key, &foreign.content).await?;
            self.ledger.entries().foreign.push(foreign);
        }
        self.request(accepted, &messages).await?;
        match ticket.kind {
            Kind::Cancelled => self.cancel(&source).await,
            Kind::Retried => self.retry(&source).await,
            Kind::Replaced => {
                self.wait_for_status(&source, &["processing", "retry_wait", "completed"])
                    .await;
                self.put(&source, &self.clips.short).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Reports a new object.
    async fn event(&self, ticket: Ticket) -> anyhow::Result<()> {
        let number = ticket.number;
        let source = match ticket.kind {
            Kind::OddKey => format!("in/event-odd é +100%25 {number}.mp4"),
            _ => format!("in/event-{number}.mp4"),
        };
        let etag = self.put(&source, &self.clips.short).await?;
        let sequencer = format!("{number:016X}");
        let message = match ticket.kind {
            Kind::EventBridge => event_bridge(&source, &etag, &sequencer),
            Kind::Sns => enveloped(&event(&[(&source, &etag, &sequencer)])),
            _ => event(&[(&source, &etag, &sequencer)]),
        };
        if ticket.kind == Kind::OddKey {
            self.ledger.entries().odd.push(source.clone());
        }
        let accepted = ticket.accepted(&source, &[COMPLETED]).frames(&[4]);
        self.request(accepted, std::slice::from_ref(&message)).await?;
        match ticket.kind {
            Kind::EventAgain => self.send_after_end(&source, &message).await,
            _ => Ok(()),
        }
    }

    /// Reports several new objects in one message.
    async fn records(&self, ticket: Ticket, name: &str, count: usize, frames: u64) -> anyhow::Result<()> {
        let mut objects = Vec::new();
        for index in 0..count {
            let source = format!("in/{name}-{}-{index}.mp4", ticket.number);
            let etag = self.put(&source, &self.clips.short).await?;
            objects.push((source, etag));
        }
        let records: Vec<_> = objects
            .iter()
            .map(|(source, etag)| (source.as_str(), etag.as_str(), "0A"))
            .collect();
        for (source, _) in &objects[1..] {
            let accepted = ticket.accepted(source, &[COMPLETED]).frames(&[frames]);
            self.ledger.entries().accepted.push(accepted);
        }
        // A failure removes all requests of the ticket.
        let accepted = ticket.accepted(&objects[0].0, &[COMPLETED]).frames(&[frames]);
        self.request(accepted, &[event(&records)]).await
    }

    async fn submit_by_command(&self, ticket: Ticket) -> anyhow::Result<()> {
        let source = format!("in/submitted-{}.mp4", ticket.number);
        self.put(&source, &self.clips.short).await?;
        let uri = format!("s3://{BUCKET}/{source}");
        // A command that fails may have submitted the job.
        let mut accepted = ticket.accepted(&source, &[COMPLETED]).frames(&[5]);
        accepted.may_vanish = true;
        self.ledger.entries().accepted.push(accepted);
        self.fleet.command(&["submit", &uri, "-n", "5"]).await?;
        self.ledger
            .change(&source, |accepted| accepted.may_vanish = false);
        Ok(())
    }

    /// Records that a message must be dead-lettered, and sends it.
    async fn letter<T: Future<Output = anyhow::Result<()>>>(
        &self,
        ticket: usize,
        text: String,
        send: impl FnOnce() -> T,
    ) -> anyhow::Result<()> {
        let may_vanish = false;
        let letter = Letter {
            ticket,
            text,
            may_vanish,
        };
        self.ledger.entries().letters.push(letter);
        let sent = send().await;
        if sent.is_err() {
            self.ledger
                .entries()
                .letters
                .retain(|letter| letter.ticket != ticket);
        }
        sent
    }
}
