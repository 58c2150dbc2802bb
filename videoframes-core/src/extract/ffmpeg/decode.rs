//! One decode from start to end: events from ffmpeg's two pipes, watched over.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::child::{ChildGroup, for_each_line};
use super::log::{LogLine, parse};
use super::split::PictureReader;
use crate::extract::{ExtractError, PictureFormat};

/// How often a waiting decode looks at its cancellation token.
const TICK: Duration = Duration::from_millis(50);
/// Encoded pictures that wait between ffmpeg's stdout and the one who takes them.
const PICTURES_IN_FLIGHT: usize = 2;
/// Error lines that are kept for a message.
const TAIL_LINES: usize = 3;

/// What happened.
pub(super) enum Event {
    Decoded {
        pts: Option<i64>,
        duration: Option<i64>,
        interlaced: bool,
    },
    Picked {
        pts: i64,
    },
    Picture {
        bytes: Bytes,
        width: u32,
        height: u32,
    },
}

enum Message {
    Event(Event, Option<Permit>),
    Damage(String),
    Broken(io::Error),
    PipeClosed,
}

/// One of the places for pictures in flight; given back when dropped.
struct Permit(SyncSender<()>);

impl Drop for Permit {
    fn drop(&mut self) {
        // The reader is gone when nobody waits for a place.
        let _ = self.0.try_send(());
    }
}

/// A running decode.
pub(super) struct Decode<'a> {
    child: ChildGroup,
    messages: Receiver<Message>,
    tail: Arc<Mutex<VecDeque<String>>>,
    cancel: &'a CancellationToken,
    stall: Duration,
    open_pipes: u8,
    /// The first complaint about lost or spoiled data.
    pub(super) damage: Option<String>,
}

impl<'a> Decode<'a> {
    /// Starts ffmpeg. Pictures of `format` are read from its stdout, where one is given.
    pub(super) fn start(
        program: &Path,
        args: Vec<OsString>,
        graph: Option<String>,
        format: Option<PictureFormat>,
        stall: Duration,
        cancel: &'a CancellationToken,
    ) -> Result<Self, ExtractError> {
        let mut child = ChildGroup::ffmpeg(program, args)?;
        child.feed(graph.unwrap_or_default());
        let (sender, messages) = sync_channel(256);
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let mut open_pipes = 0;
        if let Some(stderr) = child.take_stderr() {
            open_pipes += 1;
            let (sender, tail) = (sender.clone(), Arc::clone(&tail));
            std::thread::spawn(move || read_log(stderr, &sender, &tail));
        }
        if let Some(stdout) = child.take_stdout() {
            open_pipes += 1;
            std::thread::spawn(move || read_pictures(stdout, format, &sender));
        }
        Ok(Self {
            child,
            messages,
            tail,
            cancel,
            stall,
            open_pipes,
            damage: None,
        })
    }

    /// The next event; `None` once ffmpeg has ended well.
    ///
    /// # Errors
    /// Cancellation, a stall, or a failure of ffmpeg.
    pub(super) fn next(&mut self) -> Result<Option<Event>, ExtractError> {
        let mut quiet_since = Instant::now();
        while self.open_pipes > 0 {
            if self.cancel.is_cancelled() {
                return Err(ExtractError::Cancelled);
            }
            match self.messages.recv_timeout(TICK) {
                Ok(Message::Event(event, permit)) => {
                    drop(permit);
                    return Ok(Some(event));
                }
                Ok(Message::Damage(line)) => {
                    self.damage.get_or_insert(line);
                }
                Ok(Message::Broken(error)) => {
                    let status = self.exit(&mut quiet_since)?;
                    if status.success() {
                        return Err(ExtractError::DecoderFailed(format!(
                            "its pictures cannot be read: {error}"
                        )));
                    }
                    return Err(self.failure(status));
                }
                Ok(Message::PipeClosed) => self.open_pipes -= 1,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if quiet_since.elapsed() > self.stall {
                return Err(ExtractError::Stalled(self.stall.as_secs()));
            }
        }
        let status = self.exit(&mut quiet_since)?;
        if status.success() {
            Ok(None)
        } else {
            Err(self.failure(status))
        }
    }

    fn exit(&mut self, quiet_since: &mut Instant) -> Result<ExitStatus, ExtractError> {
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .map_err(|e| ExtractError::DecoderFailed(e.to_string()))?
            {
                return Ok(status);
            }
            if self.cancel.is_cancelled() {
                return Err(ExtractError::Cancelled);
            }
            if quiet_since.elapsed() > self.stall {
                return Err(ExtractError::Stalled(self.stall.as_secs()));
            }
            // Both pipes are closed, so that nothing but the exit itself is left to wait for.
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn failure(&self, status: ExitStatus) -> ExtractError {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let said: Vec<&str> = tail.iter().map(String::as_str).collect();
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(": {}", said.join("; "))
        };
        ExtractError::DecoderFailed(format!("{status}{said}"))
    }
}

fn read_log(stderr: impl io::Read, sender: &SyncSender<Message>, tail: &Mutex<VecDeque<String>>) {
    let keep = |line: &str| {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line.to_owned());
    };
    for_each_line(stderr, |line| {
        let message = match parse(line) {
            Some(LogLine::Decoded {
                pts,
                duration,
                interlaced,
            }) => Message::Event(
                Event::Decoded {
                    pts,
                    duration,
                    interlaced,
                },
                None,
            ),
            Some(LogLine::Picked { pts }) => Message::Event(Event::Picked { pts }, None),
            Some(LogLine::Damage(line)) => {
                keep(&line);
                Message::Damage(line)
            }
            Some(LogLine::Error(line)) => {
                keep(&line);
                return true;
            }
            None => return true,
        };
        sender.send(message).is_ok()
    });
    let _ = sender.send(Message::PipeClosed);
}

fn read_pictures(stdout: impl io::Read, format: Option<PictureFormat>, sender: &SyncSender<Message>) {
    let Some(format) = format else {
        let mut stdout = stdout;
        let _ = io::copy(&mut stdout, &mut io::sink());
        let _ = sender.send(Message::PipeClosed);
        return;
    };
    let (give_back, places) = sync_channel(PICTURES_IN_FLIGHT);
    for _ in 0..PICTURES_IN_FLIGHT {
        let _ = give_back.try_send(());
    }
    let mut pictures = PictureReader::new(stdout, format);
    loop {
        if places.recv().is_err() {
            return;
        }
        let message = match pictures.next() {
            Ok(Some((bytes, width, height))) => Message::Event(
                Event::Picture { bytes, width, height },
                Some(Permit(give_back.clone())),
            ),
            Ok(None) => Message::PipeClosed,
            Err(error) => Message::Broken(error),
        };
        let last = !matches!(message, Message::Event(..));
        if sender.send(message).is_err() || last {
            return;
        }
    }
}
