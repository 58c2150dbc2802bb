//! One decode from start to end: events from ffmpeg's two pipes, watched over.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::child::{ChildGroup, Intake, Stdin, for_each_line};
use super::damage::Evidence;
use super::limit::{exceeded, is_of_no_space};
pub(crate) use super::log::Frame;
use super::log::{LogLine, LogReader};
use super::program::{Program, Version};
use super::room;
use super::split::PictureReader;
use crate::extract::{ExtractError, ExtractReport, PictureFormat};

/// How often a waiting decode looks at its cancellation token.
const TICK: Duration = Duration::from_millis(50);
/// Error lines that are kept for a message.
const TAIL_LINES: usize = 3;

/// What happened.
pub(crate) enum Event {
    Decoded(Frame),
    Picked {
        pts: i64,
        interlaced: bool,
    },
    /// A frame comes for the encoder of a compressed video, as so many before it.
    Encoded {
        place: u64,
        pts: i64,
        interlaced: bool,
    },
    /// How similar two videos were: 0 to 1.
    Compared(f64),
    /// A sound pauses for longer than can be filled.
    Paused,
    Picture {
        bytes: Bytes,
        width: u32,
        height: u32,
    },
}

enum Message {
    Event(Event),
    Version(String),
    Limit(String),
    Damage(String),
    /// The demuxer marks a packet of a stream as corrupt.
    CorruptPacket(u32, Option<i64>),
    /// A packet of a stream that is marked as corrupt goes to its decoder.
    CorruptInput(u32),
    Broken(io::Error),
    PipeClosed,
}

/// A command line of ffmpeg, and its pipes.
pub(crate) struct DecodeCommand {
    pub(crate) args: Vec<OsString>,
    pub(crate) stdin: Stdin,
    /// Format of the pictures on stdout, if the command writes any.
    pub(crate) format: Option<PictureFormat>,
}

impl DecodeCommand {
    /// Returns a command that reads nothing from stdin and writes no pictures.
    pub(crate) fn new(args: Vec<OsString>) -> Self {
        Self {
            args,
            stdin: Stdin::Empty,
            format: None,
        }
    }
}

/// A running decode.
pub(crate) struct Decode<'a> {
    child: ChildGroup,
    messages: Receiver<Message>,
    tail: Arc<Mutex<VecDeque<String>>>,
    /// Whether ffmpeg has said that it cannot write.
    unwritten: Arc<AtomicBool>,
    /// Whether ffmpeg has said that it lacks memory.
    starved: Arc<AtomicBool>,
    cancel: &'a CancellationToken,
    stall: Duration,
    open_pipes: u8,
    intake: Arc<Intake>,
    /// Bytes of the intake that the watchdog has seen.
    seen: u64,
    /// Files that are written, and how they were when the watchdog last looked.
    written: Vec<(PathBuf, Option<(u64, SystemTime)>)>,
    version: Option<Version>,
    evidence: Evidence,
    /// Whether an output prints the metadata of the source into the log.
    doubtful: bool,
    /// Frames that have come so far.
    frames: u64,
}

impl<'a> Decode<'a> {
    /// Starts ffmpeg, which is killed after `stall` without progress.
    pub(crate) fn start(
        program: &Program,
        command: DecodeCommand,
        stall: Duration,
        cancel: &'a CancellationToken,
    ) -> Result<Self, ExtractError> {
        let DecodeCommand { args, stdin, format } = command;
        let mut child = ChildGroup::ffmpeg(program, args)?;
        let intake = child.feed(stdin);
        let (sender, messages) = sync_channel(256);
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let unwritten = Arc::new(AtomicBool::new(false));
        let starved = Arc::new(AtomicBool::new(false));
        let mut open_pipes = 0;
        if let Some(stderr) = child.take_stderr() {
            open_pipes += 1;
            let notes = Notes {
                tail: Arc::clone(&tail),
                unwritten: Arc::clone(&unwritten),
                starved: Arc::clone(&starved),
            };
            let sender = sender.clone();
            std::thread::spawn(move || read_log(stderr, &sender, &notes));
        }
        if let Some(stdout) = child.take_stdout() {
            open_pipes += 1;
            std::thread::spawn(move || read_pictures(stdout, format, &sender));
        }
        Ok(Self {
            child,
            messages,
            tail,
            unwritten,
            starved,
            cancel,
            stall,
            open_pipes,
            intake,
            seen: 0,
            written: Vec::new(),
            version: None,
            evidence: Evidence::default(),
            doubtful: false,
            frames: 0,
        })
    }

    /// How the decode of `input` went, once it has given all that was asked for.
    pub(crate) fn report(&self, warnings: &[String], input: Option<&Path>) -> ExtractReport {
        ExtractReport {
            decoder: format!("ffmpeg {}", self.version()),
            warnings: warnings.to_vec(),
            damage: self.damage(input),
        }
    }

    /// What of `input` was lost or spoiled so far. Where an output keeps the metadata of its source, the log
    /// proves nothing: a scan has to confirm it.
    pub(crate) fn damage(&self, input: Option<&Path>) -> Option<String> {
        self.evidence.damage(input, self.cancel)
    }

    /// Begins or ends the part of the decode in front of the first keyframe, whose frames are not shown and
    /// cannot be decoded. What a decoder says of them is no damage.
    pub(crate) fn set_lead_in(&mut self, lead_in: bool) {
        self.evidence.set_lead_in(lead_in);
    }

    /// Whether the decoder complained in front of the first keyframe.
    pub(crate) fn has_damaged_head(&self) -> bool {
        self.evidence.has_head()
    }

    /// Counts complaints in front of the first keyframe as damage after all.
    pub(crate) fn count_head(&mut self) {
        self.evidence.count_head();
    }

    /// Trusts no error in the log without a check, since an output prints the metadata of the source into it.
    pub(crate) fn doubt_log(&mut self) {
        self.doubtful = true;
    }

    /// Has a file that changes count as a sign of life: an index is put in front of a large one long after
    /// its last frame.
    pub(crate) fn watch_file(&mut self, path: &Path) {
        self.written.push((path.to_owned(), None));
    }

    /// Whether a watched file has changed since this was last asked.
    fn writes(&mut self) -> bool {
        let mut changed = false;
        for (path, before) in &mut self.written {
            let now = path.metadata().ok();
            let now = now.and_then(|file| Some((file.len(), file.modified().ok()?)));
            changed |= now.is_some() && now != std::mem::replace(before, now);
        }
        changed
    }

    /// The version of the ffmpeg, once it has said it.
    pub(crate) fn version(&self) -> &str {
        self.version.as_ref().map_or("unknown", |version| &version.text)
    }

    /// The next event; `None` once ffmpeg has ended well.
    ///
    /// # Errors
    /// Cancellation, a stall, or a failure of ffmpeg.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, ExtractError> {
        let mut quiet_since = Instant::now();
        while self.open_pipes > 0 {
            if self.cancel.is_cancelled() {
                return Err(ExtractError::Cancelled);
            }
            match self.messages.recv_timeout(TICK) {
                Ok(Message::Event(event)) => {
                    self.frames += 1;
                    return Ok(Some(event));
                }
                Ok(Message::Version(line)) => {
                    self.version = Version::parse(&line).map(Version::supported).transpose()?;
                }
                // A scan, whose log is not in doubt, confirms it.
                Ok(Message::Limit(line)) if self.doubtful => self.evidence.complaint(line),
                Ok(Message::Limit(line)) => {
                    return Err(exceeded(&line).unwrap_or(ExtractError::DecoderFailed(line)));
                }
                Ok(Message::Damage(line)) => self.evidence.complaint(line),
                Ok(Message::CorruptPacket(stream, dts)) => self.evidence.corrupt_packet(stream, dts),
                Ok(Message::CorruptInput(stream)) => self.evidence.corrupt_input(stream),
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
            let taken = self.intake.bytes();
            // A source that is slow has limits of its own.
            if taken > self.seen || self.intake.waits() {
                self.seen = taken;
                quiet_since = Instant::now();
            }
            if quiet_since.elapsed() > self.stall {
                if !self.writes() {
                    return Err(ExtractError::Stalled(self.stall.as_secs()));
                }
                quiet_since = Instant::now();
            }
        }
        let status = self.exit(&mut quiet_since)?;
        // Older versions end well though the last of an output did not fit on the disk.
        if status.success() && !self.is_unwritten() {
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

    /// Whether something could not be written: ffmpeg says so, and the disk is found to be full where the log
    /// is in doubt.
    fn is_unwritten(&self) -> bool {
        let exhausted = || self.written.iter().any(|(file, _)| room::is_exhausted(file));
        self.unwritten.load(Ordering::Relaxed) && (!self.doubtful || exhausted())
    }

    fn failure(&self, status: ExitStatus) -> ExtractError {
        // It ended by itself, and not one frame came, since none can be decoded.
        let by_itself = status.code().is_some() && !self.starved.load(Ordering::Relaxed);
        if let (true, 0, Some(damage)) = (by_itself, self.frames, self.evidence.complained()) {
            return ExtractError::Damaged(damage.to_owned());
        }
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

/// What is noted of a log beside its events.
struct Notes {
    /// The last errors.
    tail: Arc<Mutex<VecDeque<String>>>,
    unwritten: Arc<AtomicBool>,
    starved: Arc<AtomicBool>,
}

impl Notes {
    fn keep(&self, line: &str) {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line.to_owned());
    }

    fn error(&self, line: &str) {
        if line.contains("Cannot allocate memory") {
            self.starved.store(true, Ordering::Relaxed);
        }
        // It is said last, or drowned by what follows from it.
        if is_of_no_space(line) && !self.unwritten.swap(true, Ordering::Relaxed) {
            self.keep(line);
        }
        if !self.unwritten.load(Ordering::Relaxed) {
            self.keep(line);
        }
    }
}

fn read_log(stderr: impl io::Read, sender: &SyncSender<Message>, notes: &Notes) {
    let mut log = LogReader::new();
    for_each_line(stderr, |line| {
        let mut messages = log.read(line).filter_map(|line| message(line, notes));
        messages.all(|message| sender.send(message).is_ok())
    });
    let _ = sender.send(Message::PipeClosed);
}

/// Returns the message that a line stands for, and notes its error.
fn message(line: LogLine, notes: &Notes) -> Option<Message> {
    Some(match line {
        LogLine::Decoded(frame) => Message::Event(Event::Decoded(frame)),
        LogLine::Picked { pts, interlaced } => Message::Event(Event::Picked { pts, interlaced }),
        LogLine::Encoded {
            place,
            pts,
            interlaced,
        } => Message::Event(Event::Encoded {
            place,
            pts,
            interlaced,
        }),
        LogLine::Compared(similarity) => Message::Event(Event::Compared(similarity)),
        LogLine::Paused => Message::Event(Event::Paused),
        LogLine::Version(line) => Message::Version(line),
        LogLine::Limit(line) => Message::Limit(line),
        LogLine::CorruptPacket { stream, dts } => Message::CorruptPacket(stream, dts),
        LogLine::CorruptInput { stream } => Message::CorruptInput(stream),
        LogLine::Damage(line) => {
            notes.keep(&line);
            Message::Damage(line)
        }
        LogLine::Error(line) => {
            notes.error(&line);
            return None;
        }
        LogLine::Opened => return None,
    })
}

fn read_pictures(stdout: impl io::Read, format: Option<PictureFormat>, sender: &SyncSender<Message>) {
    let Some(format) = format else {
        let mut stdout = stdout;
        let _ = io::copy(&mut stdout, &mut io::sink());
        let _ = sender.send(Message::PipeClosed);
        return;
    };
    let in_flight = Arc::new(InFlight::default());
    let mut pictures = PictureReader::new(stdout, format);
    loop {
        // The last picture may wait for the end to be seen, so that there is no waiting before the end.
        if pictures.is_at_end().is_ok_and(|end| !end) {
            in_flight.wait_for_room();
        }
        let message = match pictures.next() {
            Ok(Some((bytes, width, height))) => {
                let bytes = in_flight.count(bytes);
                Message::Event(Event::Picture { bytes, width, height })
            }
            Ok(None) => Message::PipeClosed,
            Err(error) => Message::Broken(error),
        };
        let last = !matches!(message, Message::Event(..));
        if sender.send(message).is_err() || last {
            return;
        }
    }
}

/// Bytes of encoded pictures between ffmpeg's stdout and the end of their way. Waiting for room is
/// what slows ffmpeg down when pictures are written slowly, and keeps memory flat.
#[derive(Default)]
struct InFlight {
    bytes: Mutex<usize>,
    less: Condvar,
}

impl InFlight {
    /// A picture is only read on top of less than this: of small ones several wait, of a large one
    /// there is one at a time.
    const ENOUGH: usize = 4 << 20;

    fn wait_for_room(&self) {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let _room = self
            .less
            .wait_while(bytes, |bytes| *bytes >= Self::ENOUGH)
            .unwrap_or_else(PoisonError::into_inner);
    }

    /// The same bytes, counted until the last copy of them is dropped.
    fn count(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) += bytes.len();
        Bytes::from_owner(Counted {
            bytes,
            in_flight: Arc::clone(self),
        })
    }
}

struct Counted {
    bytes: Bytes,
    in_flight: Arc<InFlight>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let bytes = &self.in_flight.bytes;
        *bytes.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes.len();
        self.in_flight.less.notify_all();
    }
}
