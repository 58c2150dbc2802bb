//! An input with the programs, limits and cancellation token of the processes that read it.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::memory::Workload;
use super::program::{Program, Programs};
use crate::ffmpeg::args::Opened;
use crate::limits::Limits;
use crate::video::VideoInfo;

/// An input with the programs, limits and cancellation token of the processes that read it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Invocation<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) input: &'a Path,
    pub(crate) limits: &'a Limits,
    pub(crate) cancel: &'a CancellationToken,
}

impl<'a> Invocation<'a> {
    /// Returns the input with the stream of `video`, for a command line.
    pub(crate) fn opened(&self, video: &VideoInfo) -> Opened<'a> {
        Opened::new(self.input, video, self.limits)
    }

    /// Returns ffmpeg with the memory limit for a decode of `video`.
    pub(crate) fn decoder(&self, video: &VideoInfo) -> Program {
        let workload = Workload::opening(self.input).decoding(video);
        self.programs.ffmpeg.with_memory(workload.memory(self.limits))
    }
}
