//! A stream of frames as the target of an extraction.
//!
//! Frames that were delivered cannot be undone. A pass after a surprise therefore decodes them again, compares them,
//! and delivers the following ones only.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use crc32fast::Hasher;
use tokio::sync::{mpsc, oneshot};

use super::Frame;
use crate::extract::{ExtractError, Picture, PixelFormat, Surprise};
use crate::pipeline::error::Error;
use crate::pipeline::session::Session;
use crate::pipeline::summary::Progress;
use crate::pipeline::target::{PictureTarget, PictureWriter, Selected};
use crate::video::VideoInfo;

/// Properties of a stream, known before its first frame.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) video: VideoInfo,
    /// Number of picks in the current pass.
    pub(super) total: Arc<AtomicUsize>,
}

/// The receiver of frames.
pub(super) struct FramesTarget<'a> {
    session: &'a Session<'a>,
    pixels: PixelFormat,
    frames: mpsc::Sender<Frame>,
    opened: Mutex<Option<oneshot::Sender<Opened>>>,
    total: Arc<AtomicUsize>,
    delivered: Arc<Mutex<Delivered>>,
}

/// The frames that were delivered in all passes.
#[derive(Debug, Default)]
struct Delivered {
    /// The selection of the last pass.
    selected: Option<Selected>,
    /// Number of picks.
    picks: usize,
    /// Number of bytes.
    bytes: u64,
    /// Checksum of the pixels. Every frame counts once, however often it was picked.
    checksum: Hasher,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> FramesTarget<'a> {
    pub(super) fn new(
        session: &'a Session<'a>,
        pixels: PixelFormat,
        frames: mpsc::Sender<Frame>,
        opened: oneshot::Sender<Opened>,
    ) -> Self {
        Self {
            session,
            pixels,
            frames,
            opened: Mutex::new(Some(opened)),
            total: Arc::default(),
            delivered: Arc::default(),
        }
    }
}

impl<'a> PictureTarget for FramesTarget<'a> {
    type Writer = FrameWriter<'a>;

    fn can_restart(&self) -> bool {
        true
    }

    fn is_immediate(&self) -> bool {
        true
    }

    async fn start(&self, video: &VideoInfo, selected: Selected) -> Result<FrameWriter<'a>, Error> {
        let mut delivered = lock(&self.delivered);
        if let Some(before) = &delivered.selected
            && !have_same_start(before, &selected, delivered.picks)
        {
            return Err(changed());
        }
        delivered.selected = Some(selected.clone());
        self.total.store(selected.picks.len(), Ordering::Relaxed);
        if let Some(opened) = lock(&self.opened).take() {
            let video = video.clone();
            // Without a receiver, the stream was dropped.
            let _ = opened.send(Opened {
                video,
                total: Arc::clone(&self.total),
            });
        }
        Ok(FrameWriter {
            session: self.session,
            pixels: self.pixels,
            frames: self.frames.clone(),
            selected,
            next: 0,
            skip: delivered.picks,
            skipped: Hasher::new(),
            delivered: Arc::clone(&self.delivered),
        })
    }
}

/// Returns whether the first `count` picks are the same frames at the same times.
fn have_same_start(a: &Selected, b: &Selected, count: usize) -> bool {
    let same = |index: usize| {
        let (Some(pick), Some(other)) = (a.picks.get(index), b.picks.get(index)) else {
            return false;
        };
        pick == other
            && a.timeline.pts().get(pick.frame) == b.timeline.pts().get(pick.frame)
            && a.timeline.time(pick.frame) == b.timeline.time(pick.frame)
    };
    (0..count).all(same)
}

/// Returns the error for delivered frames that another decode does not confirm.
fn changed() -> Error {
    let why = "frames that were already delivered have changed";
    Error::Inconsistent(Surprise::TimelineMismatch(why.to_owned()))
}

/// Delivers the frames of one pass that were not delivered before.
pub(super) struct FrameWriter<'a> {
    session: &'a Session<'a>,
    pixels: PixelFormat,
    frames: mpsc::Sender<Frame>,
    selected: Selected,
    /// The next pick.
    next: usize,
    /// Number of picks that were delivered in earlier passes.
    skip: usize,
    /// Checksum of the pixels of these picks in this pass.
    skipped: Hasher,
    delivered: Arc<Mutex<Delivered>>,
}

impl PictureWriter for FrameWriter<'_> {
    fn is_untouched(&self) -> bool {
        lock(&self.delivered).picks == 0
    }

    async fn abort(self) {}

    async fn add(&mut self, picture: Picture) -> Result<(), Error> {
        let picks = self.picks_of(picture.frame);
        if self.next < self.skip {
            return self.compare(&picture, picks);
        }
        // The decoder counts its bytes as memory in flight until they are dropped. Receivers may keep frames.
        let data = Bytes::copy_from_slice(&picture.bytes);
        lock(&self.delivered).checksum.update(&data);
        for index in self.next..self.next + picks {
            let frame = self.frame(index, &picture, data.clone());
            self.count(data.len())?;
            // The receiver is dropped together with the stream.
            let sent = self.frames.send(frame).await;
            sent.map_err(|_| ExtractError::Cancelled)?;
        }
        self.next += picks;
        Ok(())
    }
}

impl FrameWriter<'_> {
    /// Returns the number of next picks of a frame.
    fn picks_of(&self, frame: usize) -> usize {
        let rest = self.selected.picks.get(self.next..).unwrap_or_default();
        rest.iter().take_while(|pick| pick.frame == frame).count()
    }

    /// Compares a picture with the one that was delivered in an earlier pass.
    fn compare(&mut self, picture: &Picture, picks: usize) -> Result<(), Error> {
        self.skipped.update(&picture.bytes);
        self.next += picks;
        let is_last = self.next >= self.skip;
        let same = || lock(&self.delivered).checksum.clone().finalize() == self.skipped.clone().finalize();
        match is_last && !same() {
            true => Err(changed()),
            false => Ok(()),
        }
    }

    fn frame(&self, index: usize, picture: &Picture, data: Bytes) -> Frame {
        let Selected { timeline, picks, .. } = &self.selected;
        let pick = &picks[index];
        Frame {
            index,
            frame: pick.frame,
            target: pick.target,
            pts: timeline.pts()[pick.frame],
            time_base: timeline.time_base(),
            timestamp: timeline.time(pick.frame),
            repeated: index > self.next,
            width: picture.width,
            height: picture.height,
            pixels: self.pixels,
            data,
        }
    }

    /// Counts a frame, and reports the progress.
    fn count(&self, bytes: usize) -> Result<(), Error> {
        let mut delivered = lock(&self.delivered);
        delivered.bytes = delivered.bytes.saturating_add(bytes as u64);
        let limit = self.session.limits().output_bytes;
        if delivered.bytes > limit {
            return Err(Error::LimitExceeded(format!(
                "the frames are larger than {limit} bytes"
            )));
        }
        delivered.picks += 1;
        let progress = Progress {
            frames: delivered.picks as u64,
            total: self.selected.picks.len() as u64,
            bytes: delivered.bytes,
            examining: false,
        };
        drop(delivered);
        (self.session.context.on_progress)(progress);
        Ok(())
    }

    /// Returns the number of frames that were delivered in all passes.
    pub(super) fn delivered(&self) -> u64 {
        lock(&self.delivered).picks as u64
    }

    /// Returns the selection of this pass.
    pub(super) fn selected(&self) -> &Selected {
        &self.selected
    }
}
