//! The iterator of decoded frames, for programs without an async runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Frame, FrameStream, FramesRequest, FramesSummary};
use crate::extract::{ExtractError, PixelFormat};
use crate::pipeline::context::Context;
use crate::pipeline::error::Error;
use crate::source::Source;
use crate::video::VideoInfo;

/// Time in which a dropped iterator waits for the threads of its decoder.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Decoded frames in order of time, created by [`Pipeline::frames_blocking`](crate::Pipeline::frames_blocking).
///
/// The iterator has the guarantees of [`FrameStream`], and its own thread with its own runtime. Dropping the iterator
/// ends the decoder, and waits for its end.
#[derive(Debug)]
pub struct FrameIter {
    opened: Properties,
    // Fields are dropped in this order: a cancelled thread may wait for its receiver.
    cancel: Option<DropGuard>,
    messages: Option<Receiver<Message>>,
    thread: Option<JoinHandle<()>>,
    summary: Option<FramesSummary>,
}

/// Properties of a stream.
#[derive(Debug)]
struct Properties {
    total: Arc<AtomicUsize>,
    size: (u32, u32),
    pixels: PixelFormat,
    video: VideoInfo,
}

#[derive(Debug)]
enum Message {
    Opened(Box<Properties>),
    Frame(Box<Frame>),
    Ended(Result<Box<FramesSummary>, Box<Error>>),
}

impl FrameIter {
    /// Opens the source and selects the frames, in a new thread.
    pub(in crate::pipeline) fn open(
        context: Context,
        source: impl Source + 'static,
        request: &FramesRequest,
    ) -> Result<Self, Error> {
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        // A frame is handed over directly: others wait in the stream.
        let (sender, messages) = sync_channel(0);
        let request = request.clone();
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new()
            .name("frames".to_owned())
            .spawn(move || span.in_scope(|| deliver(context, source, &request, &cancel, &sender)))
            .map_err(failed)?;
        let opened = match messages.recv() {
            Ok(Message::Opened(opened)) => *opened,
            Ok(Message::Ended(Err(error))) => return Err(*error),
            _ => return Err(ExtractError::Cancelled.into()),
        };
        Ok(Self {
            opened,
            cancel: Some(guard),
            messages: Some(messages),
            thread: Some(thread),
            summary: None,
        })
    }

    /// Returns the number of selected frames. See [`FrameStream::total`].
    pub fn total(&self) -> usize {
        self.opened.total.load(Ordering::Relaxed)
    }

    /// Returns width and height of the frames.
    pub fn size(&self) -> (u32, u32) {
        self.opened.size
    }

    /// Returns the pixel format of the frames.
    pub fn pixels(&self) -> PixelFormat {
        self.opened.pixels
    }

    /// Returns the description of the video, with the tags of its colours.
    pub fn video(&self) -> &VideoInfo {
        &self.opened.video
    }

    /// Returns how the iterator ended: `None` before the end and after an error.
    pub fn summary(&self) -> Option<&FramesSummary> {
        self.summary.as_ref()
    }
}

impl Iterator for FrameIter {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.messages.as_ref()?.recv() {
            Ok(Message::Frame(frame)) => return Some(Ok(*frame)),
            Ok(Message::Ended(Ok(summary))) => self.summary = Some(*summary),
            Ok(Message::Ended(Err(error))) => {
                self.messages = None;
                return Some(Err(*error));
            }
            Ok(Message::Opened(_)) => {}
            Err(_) => {
                self.messages = None;
                let text = "the thread of a decoder panicked".to_owned();
                return Some(Err(ExtractError::DecoderFailed(text).into()));
            }
        }
        self.messages = None;
        None
    }
}

impl Drop for FrameIter {
    fn drop(&mut self) {
        self.cancel = None;
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported as an error.
            let _ = thread.join();
        }
    }
}

/// Returns the error for a thread or a runtime that cannot be started.
fn failed(error: std::io::Error) -> Error {
    ExtractError::DecoderFailed(format!("failed to start a thread: {error}")).into()
}

/// Delivers the frames until the stream ends or the iterator is dropped.
fn deliver(
    context: Context,
    source: impl Source + 'static,
    request: &FramesRequest,
    cancel: &CancellationToken,
    sender: &SyncSender<Message>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = sender.send(Message::Ended(Err(failed(error).into())));
            return;
        }
    };
    let opening = FrameStream::open(context, source, request);
    let opened = runtime.block_on(cancel.run_until_cancelled(opening));
    match opened {
        Some(Ok(mut stream)) => {
            let opened = Properties {
                total: stream.shared_total(),
                size: stream.size(),
                pixels: stream.pixels(),
                video: stream.video().clone(),
            };
            let mut sent = sender.send(Message::Opened(opened.into()));
            while sent.is_ok() {
                let next = runtime.block_on(cancel.run_until_cancelled(stream.next()));
                sent = match next {
                    Some(Some(Ok(frame))) => sender.send(Message::Frame(frame.into())),
                    Some(Some(Err(error))) => {
                        let _ = sender.send(Message::Ended(Err(error.into())));
                        break;
                    }
                    Some(None) => {
                        if let Some(summary) = stream.summary() {
                            let _ = sender.send(Message::Ended(Ok(summary.clone().into())));
                        }
                        break;
                    }
                    None => break,
                };
            }
        }
        Some(Err(error)) => {
            let _ = sender.send(Message::Ended(Err(error.into())));
        }
        None => {}
    }
    // The stream was dropped, so the blocking threads of the runtime end soon.
    runtime.shutdown_timeout(SHUTDOWN);
}
