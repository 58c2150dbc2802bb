//! Reads of a source, several at a time.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use bytes::Bytes;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::limits::EXCERPT_READS;
use crate::pipeline::error::Error;
use crate::pipeline::input::Counted;
use crate::source::Source;

pub(super) async fn read_range(source: &Counted, range: Range<u64>) -> Result<Bytes, Error> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    source.read_at(range.start, length).await.map_err(Error::Source)
}

/// Runs `work`, several at a time, and returns the results in order.
pub(super) fn in_order<F>(work: impl Iterator<Item = F>) -> InOrder<impl Iterator<Item = F>, F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    InOrder {
        waiting: work,
        running: VecDeque::new(),
    }
}

/// Running work.
pub(super) struct InOrder<I, T> {
    waiting: I,
    running: VecDeque<AbortOnDropHandle<T>>,
}

impl<I, F> InOrder<I, F::Output>
where
    I: Iterator<Item = F>,
    F: Future<Output: Send> + Send + 'static,
{
    /// Returns the next result, or the error of a task that panicked.
    pub(super) async fn next(&mut self) -> Option<io::Result<F::Output>> {
        while self.running.len() < EXCERPT_READS
            && let Some(work) = self.waiting.next()
        {
            let task = tokio::spawn(work.in_current_span());
            self.running.push_back(AbortOnDropHandle::new(task));
        }
        let task = self.running.pop_front()?;
        Some(task.await.map_err(io::Error::other))
    }
}
