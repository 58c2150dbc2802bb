//! Reads of the samples of a plan: in order, each once, and several at a time where a read takes a round trip.

use std::collections::VecDeque;
use std::io;
use std::iter::Peekable;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::limits::{READ_AHEAD_BYTES, READS_AHEAD};
use crate::source::Source;
use crate::video::Sample;

/// Maximum gap in bytes between two samples that are read at once. Gaps mostly contain audio.
const GAP: u64 = 64 << 10;
/// Maximum number of bytes per read, except for a larger sample.
pub(super) const READ: u64 = 2 << 20;

/// Reads of byte ranges of a source.
pub(super) struct ReadAhead {
    source: Arc<dyn Source>,
    /// Ranges that are not requested yet.
    waiting: Peekable<Box<dyn Iterator<Item = Range<u64>> + Send>>,
    /// Requested reads, in order, with their lengths.
    requested: VecDeque<(usize, AbortOnDropHandle<io::Result<Bytes>>)>,
    /// A read that is returned again.
    returned: Option<Bytes>,
    /// Number of reads that may be requested at once. One is requested in any case.
    reads: usize,
    /// Maximum of `reads`.
    max_reads: usize,
    /// Maximum number of requested bytes. One read is requested in any case.
    max_bytes: usize,
}

impl ReadAhead {
    /// Creates the reads of `ranges` for one of `jobs` concurrent decoders.
    pub(super) fn new(
        source: Arc<dyn Source>,
        ranges: impl Iterator<Item = Range<u64>> + Send + 'static,
        jobs: usize,
    ) -> Self {
        let ranges: Box<dyn Iterator<Item = Range<u64>> + Send> = Box::new(ranges);
        // A local read is faster than decoding.
        let max_reads = match source.local_path() {
            Some(_) => 1,
            None => (READS_AHEAD / jobs).max(2),
        };
        Self {
            source,
            waiting: ranges.peekable(),
            requested: VecDeque::new(),
            returned: None,
            reads: max_reads,
            max_reads,
            max_bytes: READ_AHEAD_BYTES / jobs,
        }
    }

    /// Begins with one read at a time, and doubles the number with every read: the decoder may need a few only.
    pub(super) fn begin_small(mut self) -> Self {
        self.reads = 1;
        self
    }

    /// Returns the bytes of the next range.
    pub(super) async fn next(&mut self) -> io::Result<Bytes> {
        if let Some(bytes) = self.returned.take() {
            return Ok(bytes);
        }
        self.request();
        let (length, read) = self.requested.pop_front().ok_or(io::ErrorKind::UnexpectedEof)?;
        // The source is busy while the decoder works on these bytes.
        self.request();
        self.reads = (2 * self.reads).min(self.max_reads);
        let bytes = read.await.map_err(io::Error::other)??;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Lets [`next`](Self::next) return these bytes again.
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        self.returned = Some(bytes);
    }

    /// Requests as many reads as the limits allow.
    fn request(&mut self) {
        let mut bytes: usize = self.requested.iter().map(|(length, _)| length).sum();
        while let Some(range) = self.waiting.peek() {
            let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            let reads = self.requested.len();
            if reads > 0 && (reads >= self.reads || bytes.saturating_add(length) > self.max_bytes) {
                return;
            }
            let (source, offset) = (Arc::clone(&self.source), range.start);
            let read = async move { source.read_at(offset, length).await };
            let task = tokio::spawn(read.in_current_span());
            self.requested.push_back((length, AbortOnDropHandle::new(task)));
            self.waiting.next();
            bytes = bytes.saturating_add(length);
        }
    }
}

/// Returns the range of bytes from the first to the last of these samples.
pub(super) fn range(samples: &[Sample]) -> Range<u64> {
    let end = |s: &Sample| s.offset + u64::from(s.size);
    match samples {
        [] => 0..0,
        [first, ..] => first.offset..samples.last().map_or(0, end),
    }
}

/// Groups samples that are close enough to each other to be read at once.
pub(super) fn reads(samples: &[Sample]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        let joins = groups.last().is_some_and(|group| {
            let before = range(&samples[group.clone()]);
            let gap = sample.offset.checked_sub(before.end);
            let whole = (sample.offset + u64::from(sample.size)).saturating_sub(before.start);
            gap.is_some_and(|gap| gap <= GAP) && whole <= READ
        });
        match groups.last_mut() {
            Some(group) if joins => group.end = at + 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::source::Verifier;

    /// A remote source of zeros. Reads end only when permits are added.
    struct Remote {
        length: u64,
        permits: Semaphore,
        begun: Mutex<Vec<u64>>,
        ended: AtomicUsize,
    }

    impl Remote {
        fn new(length: u64, permits: usize) -> Arc<Self> {
            Arc::new(Self {
                length,
                permits: Semaphore::new(permits),
                begun: Mutex::default(),
                ended: AtomicUsize::new(0),
            })
        }

        fn begun(&self) -> Vec<u64> {
            let mut begun = self.begun.lock().unwrap().clone();
            begun.sort_unstable();
            begun
        }
    }

    #[async_trait]
    impl Source for Remote {
        fn name(&self) -> &str {
            "remote"
        }

        fn len(&self) -> u64 {
            self.length
        }

        fn local_path(&self) -> Option<&Path> {
            None
        }

        fn verifier(&self) -> Option<Box<dyn Verifier>> {
            None
        }

        async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
            self.begun.lock().unwrap().push(offset);
            self.permits.acquire().await.unwrap().forget();
            self.ended.fetch_add(1, Ordering::SeqCst);
            let rest = usize::try_from(self.length.saturating_sub(offset)).unwrap();
            Ok(vec![(offset % 251) as u8; length.min(rest)].into())
        }
    }

    fn ranges(count: u64, length: u64) -> impl Iterator<Item = Range<u64>> {
        (0..count).map(move |at| at * length..(at + 1) * length)
    }

    /// Waits until no more read begins.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn requests_several_reads_and_returns_them_in_order() {
        let source = Remote::new(1000, 0);
        let mut reads = ReadAhead::new(source.clone(), ranges(20, 50), 1);
        let (first, ()) = tokio::join!(reads.next(), async {
            settle().await;
            assert_eq!(source.begun().len(), READS_AHEAD + 1);
            source.permits.add_permits(20);
        });
        assert_eq!(first.unwrap()[..], [0; 50]);
        for at in 1..20 {
            assert_eq!(reads.next().await.unwrap()[..], [(at * 50 % 251) as u8; 50]);
        }
        assert!(reads.next().await.is_err(), "no range is left");
        assert_eq!(source.begun(), (0..20).map(|at| at * 50).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn requested_bytes_are_limited_and_shared_by_jobs() {
        const LARGE: u64 = 9 << 20;
        for (jobs, expected) in [(1, 3 + 1), (2, 1 + 1), (64, 1 + 1)] {
            let source = Remote::new(100 * LARGE, 0);
            let mut reads = ReadAhead::new(source.clone(), ranges(100, LARGE), jobs);
            let _ = tokio::join!(reads.next(), async {
                settle().await;
                assert_eq!(source.begun().len(), expected, "{jobs}");
                source.permits.add_permits(1);
            });
        }
    }

    #[tokio::test]
    async fn a_read_that_is_put_back_is_not_requested_again() {
        let source = Remote::new(1000, 20);
        let mut reads = ReadAhead::new(source.clone(), ranges(2, 50), 1);
        let first = reads.next().await.unwrap();
        reads.put_back(first.clone());
        assert_eq!(reads.next().await.unwrap(), first);
        assert_eq!(reads.next().await.unwrap()[0], 50);
        assert_eq!(source.begun(), [0, 50]);
    }

    #[tokio::test]
    async fn a_truncated_read_is_an_error() {
        let mut reads = ReadAhead::new(Remote::new(70, 20), ranges(2, 50), 1);
        assert!(reads.next().await.is_ok());
        assert_eq!(
            reads.next().await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[tokio::test]
    async fn dropped_reads_are_cancelled() {
        let source = Remote::new(1000, 1);
        let mut reads = ReadAhead::new(source.clone(), ranges(20, 50), 1);
        assert!(reads.next().await.is_ok());
        settle().await;
        drop(reads);
        settle().await;
        source.permits.add_permits(20);
        settle().await;
        assert_eq!(source.ended.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn reads_adjacent_samples_at_once() {
        let sample = |offset, size| Sample {
            offset,
            size,
            order: 0,
            sync: false,
        };
        let near = [sample(100, 50), sample(150, 50), sample(250, 10)];
        assert_eq!(reads(&near), std::iter::once(0..3).collect::<Vec<_>>());
        // Far away, backwards, and too much for one read.
        let far = [sample(0, 50), sample(50 + GAP + 1, 50), sample(60, 5)];
        assert_eq!(reads(&far), [0..1, 1..2, 2..3]);
        let large = [
            sample(0, 3 << 20),
            sample(3 << 20, 50),
            sample((3 << 20) + 50, 50),
        ];
        assert_eq!(reads(&large), [0..1, 1..3]);
        assert!(reads(&[]).is_empty());
    }
}
