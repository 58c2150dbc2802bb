//! An input with the programs, limits and cancellation token of the processes that read it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::blocking::blocking;
use super::memory::Workload;
use super::program::Program;
use super::programs::Programs;
use crate::extract::ExtractError;
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
        let ffmpeg = self.programs.ffmpeg.with_memory(workload.memory(self.limits));
        ffmpeg.with_cpu_of(self.limits)
    }

    /// Replaces a failure by its cause where the cause is known. Blocks its thread, which must not be a thread
    /// of the runtime.
    pub(crate) fn explain(&self, error: ExtractError) -> ExtractError {
        self.programs.explain(error, self.cancel)
    }
}

/// An input with the programs and limits of processes that a thread for blocking work runs.
#[derive(Debug, Clone)]
pub(crate) struct BlockingInvocation {
    programs: Arc<Programs>,
    input: PathBuf,
    limits: Limits,
}

impl BlockingInvocation {
    pub(crate) fn new(programs: &Arc<Programs>, input: &Path, limits: &Limits) -> Self {
        Self {
            programs: Arc::clone(programs),
            input: input.to_owned(),
            limits: *limits,
        }
    }

    /// Calls `work` on a thread for blocking work. Dropping the future cancels `work`, which kills its child
    /// processes.
    pub(crate) async fn run<T: Send + 'static, E: From<ExtractError> + Send + 'static>(
        self,
        cancel: &CancellationToken,
        work: impl FnOnce(Invocation<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        blocking(cancel, move |cancel| {
            work(Invocation {
                programs: &self.programs,
                input: &self.input,
                limits: &self.limits,
                cancel,
            })
        })
        .await
    }
}
