//! Receives that wait for several queues at once.
//!
//! A long poll that is cancelled may hide messages until their visibility timeout, so none is. Each queue has at most one
//! long poll, which all waiting receives share. A message that nobody waits for any more is returned at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::schedule::Schedule;
use crate::error::chain;
use crate::queue::{Message, Queue, QueueError, ReceiptHandle};
use crate::tenant::Weight;

/// Maximum number of messages per receive.
const MAX_RECEIVE: usize = 10;
/// Minimum wait of a long poll.
const MIN_WAIT: Duration = Duration::from_secs(1);

/// The state that clones of [`InputQueues`](super::InputQueues) share.
pub(super) struct Shared {
    queues: Vec<Arc<dyn Queue>>,
    state: Mutex<State>,
    /// Notified at the end of each long poll.
    changed: Notify,
}

pub(super) struct State {
    pub(super) schedule: Schedule,
    polls: Vec<Poll>,
    /// Number of waiting receives.
    waiting: usize,
    /// Messages for waiting receives, with their queues; at most one per receive.
    arrived: VecDeque<(usize, Message)>,
    failed: Option<QueueError>,
}

#[derive(Clone, Copy, Default)]
struct Poll {
    in_flight: bool,
    /// Time at which a long poll last found the queue empty.
    empty_at: Option<Instant>,
}

/// A message that nobody waits for.
type Surplus = (usize, ReceiptHandle);

impl Shared {
    pub(super) fn new(queues: impl Iterator<Item = (Arc<dyn Queue>, Weight)>) -> Self {
        let (queues, weights): (Vec<_>, Vec<_>) = queues.unzip();
        Self {
            state: Mutex::new(State {
                schedule: Schedule::new(weights),
                polls: vec![Poll::default(); queues.len()],
                waiting: 0,
                arrived: VecDeque::new(),
                failed: None,
            }),
            queues,
            changed: Notify::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a message in any queue until `end`, and until each queue was empty at some time since `began`.
    pub(super) async fn wait(
        self: &Arc<Self>,
        began: Instant,
        visibility: Duration,
        end: Instant,
    ) -> Result<Option<(usize, Message)>, QueueError> {
        let _waiting = Waiting::new(self);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let step = self.state().next_step(began, Instant::now(), end);
            match step {
                Step::Take(message) => return Ok(Some(message)),
                Step::Fail(error) => return Err(error),
                Step::End => return Ok(None),
                Step::Wait(polls) => {
                    for (queue, max_messages) in polls {
                        tokio::spawn(Arc::clone(self).poll(queue, max_messages, visibility, end));
                    }
                }
            }
            changed.await;
        }
    }

    /// Polls a queue once, and hands over its messages.
    async fn poll(self: Arc<Self>, queue: usize, max_messages: usize, visibility: Duration, end: Instant) {
        let in_flight = InFlight { shared: &self, queue };
        let wait = end.saturating_duration_since(Instant::now()).max(MIN_WAIT);
        let answer = self.queues[queue].receive(max_messages, visibility, wait).await;
        let surplus = self.state().polled(queue, answer, Instant::now());
        drop(in_flight);
        self.give_back(surplus).await;
    }

    /// Makes messages visible at once. A message that cannot be returned is redelivered after its visibility timeout.
    async fn give_back(&self, surplus: Vec<Surplus>) {
        for (queue, receipt) in surplus {
            let queue = &self.queues[queue];
            if let Err(error) = queue.set_visibility(&receipt, Duration::ZERO).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, queue = queue.name(), "failed to return a message");
            }
        }
    }
}

/// What a waiting receive does next.
enum Step {
    Take((usize, Message)),
    Fail(QueueError),
    End,
    /// Waits for the end of a long poll, after starting these with a maximum number of messages each.
    Wait(Vec<(usize, usize)>),
}

impl State {
    fn next_step(&mut self, began: Instant, now: Instant, end: Instant) -> Step {
        if let Some(message) = self.arrived.pop_front() {
            return Step::Take(message);
        }
        if let Some(error) = self.failed.take() {
            return Step::Fail(error);
        }
        let was_empty = |poll: &Poll| poll.empty_at.is_some_and(|at| at >= began);
        if now >= end && self.polls.iter().all(was_empty) {
            return Step::End;
        }
        let max_messages = self.waiting.clamp(1, MAX_RECEIVE);
        let mut start = Vec::new();
        for (queue, poll) in self.polls.iter_mut().enumerate() {
            if !poll.in_flight && (now < end || !was_empty(poll)) {
                poll.in_flight = true;
                start.push((queue, max_messages));
            }
        }
        Step::Wait(start)
    }

    /// Hands over the messages of a long poll, and returns those that nobody waits for.
    fn polled(
        &mut self,
        queue: usize,
        answer: Result<Vec<Message>, QueueError>,
        now: Instant,
    ) -> Vec<Surplus> {
        let mut surplus = Vec::new();
        match answer {
            Ok(messages) if messages.is_empty() => {
                self.polls[queue].empty_at = Some(now);
                self.schedule.is_empty(queue, now);
            }
            Ok(messages) => {
                self.schedule.arrived(queue);
                for message in messages {
                    match self.arrived.len() < self.waiting {
                        true => self.arrived.push_back((queue, message)),
                        false => surplus.push((queue, message.receipt)),
                    }
                }
            }
            Err(error) if self.waiting > 0 => self.failed = Some(error),
            Err(error) => tracing::debug!(error = chain(&error), "failed to poll an input queue"),
        }
        surplus
    }
}

/// A long poll, until its end.
struct InFlight<'a> {
    shared: &'a Shared,
    queue: usize,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.shared.state().polls[self.queue].in_flight = false;
        self.shared.changed.notify_waiters();
    }
}

/// A waiting receive, until its end.
struct Waiting<'a>(&'a Arc<Shared>);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Arc<Shared>) -> Self {
        shared.state().waiting += 1;
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting -= 1;
        let kept = state.waiting.min(state.arrived.len());
        let surplus = state.arrived.split_off(kept);
        drop(state);
        if surplus.is_empty() {
            return;
        }
        // Without a runtime, the messages are redelivered after their visibility timeout.
        if let Ok(runtime) = Handle::try_current() {
            let shared = Arc::clone(self.0);
            let surplus = surplus
                .into_iter()
                .map(|(queue, message)| (queue, message.receipt));
            let surplus = surplus.collect();
            runtime.spawn(async move { shared.give_back(surplus).await });
        }
    }
}
