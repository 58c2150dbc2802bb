//! The distribution of decoders over videos. Pure.

use std::num::NonZeroUsize;

/// Resources of one video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// Number of decoders that the video may use at the same time.
    pub(super) decoders: NonZeroUsize,
    /// Number of threads of a decoder that decodes the video alone.
    pub(super) threads: NonZeroUsize,
}

/// The decoders of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoders {
    /// Maximum number of decoders at the same time.
    pub(super) total: NonZeroUsize,
    pub(super) cores: NonZeroUsize,
}

impl Decoders {
    /// Returns the share of the next video, if a decoder is free. `waiting` videos have not started, including this one.
    ///
    /// Many videos get one decoder each, which takes the least CPU time. The last videos share all free decoders.
    pub(super) fn share(self, free: usize, waiting: usize) -> Option<Share> {
        let decoders = (free / waiting.max(1)).max(1);
        let decoders = NonZeroUsize::new(decoders).filter(|decoders| decoders.get() <= free)?;
        let threads = self.cores.get() * decoders.get() / self.total;
        Some(Share {
            decoders,
            threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn many_videos_get_one_decoder_each_and_the_last_all_that_are_free() {
        let n = |n| NonZeroUsize::new(n).unwrap();
        for (total, cores, free, waiting, expected) in [
            (8, 8, 8, 1000, Some((1, 1))),
            (8, 8, 1, 1000, Some((1, 1))),
            (8, 8, 0, 1000, None),
            (8, 8, 8, 3, Some((2, 2))),
            (8, 8, 6, 2, Some((3, 3))),
            (8, 8, 3, 1, Some((3, 3))),
            (2, 8, 2, 1000, Some((1, 4))),
            (16, 8, 16, 1000, Some((1, 1))),
            (1, 8, 1, 1, Some((1, 8))),
        ] {
            let decoders = Decoders {
                total: n(total),
                cores: n(cores),
            };
            let share = decoders.share(free, waiting);
            let share = share.map(|share| (share.decoders.get(), share.threads.get()));
            assert_eq!(share, expected, "{total} {cores} {free} {waiting}");
        }
    }
}
