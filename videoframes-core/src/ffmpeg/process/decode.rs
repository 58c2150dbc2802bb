//! One decode from start to end: events from ffmpeg's stdout and stderr, under a watchdog.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::child::{ChildGroup, Stdin, for_each_line};
use super::damage::{Evidence, Part};
use super::left_out::LeftOut;
use super::limit::{exceeded, is_no_space};
pub(crate) use super::log::Frame;
use super::log::{LogLine, LogReader};
use super::program::Program;
use super::space;
use super::split::{Framing, PictureReader};
use super::version::Version;
use super::watchdog::{Timeout, Watchdog};
use crate::extract::{ExtractError, ExtractReport};
use crate::limits::DAMAGE_MESSAGES;

/// Number of error lines kept for an error message.
const TAIL_LINES: usize = 3;
/// Maximum size in bytes of the last error lines in the log of this process.
const LOGGED_TAIL: usize = 2048;

/// An event of a decode.
pub(crate) enum Event {
    Decoded(Frame),
    Picked {
        pts: i64,
        interlaced: bool,
    },
    /// A frame is passed to the encoder of a compressed video; `index` counts such frames.
    Encoded {
        index: u64,
        pts: i64,
        interlaced: bool,
    },
    /// Similarity of two videos, 0 to 1.
    Compared(f64),
    /// A pause in the audio is too long to be filled.
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
    /// A reference is missing; with its picture order count.
    MissingReference(i64, String),
    /// The decoder marked a picture as corrupt.
    CorruptPicture(String),
    /// The demuxer marked a packet of a stream as corrupt.
    CorruptPacket(u32, Option<i64>),
    /// A packet of a stream that is marked as corrupt is passed to its decoder.
    CorruptInput(u32),
    Broken(io::Error),
    PipeClosed,
}

/// Command line of ffmpeg with its input and output.
pub(crate) struct DecodeCommand {
    pub(crate) args: Vec<OsString>,
    pub(crate) stdin: Stdin,
    /// Framing of the pictures on stdout, if the command writes any.
    pub(crate) pictures: Option<Framing>,
    /// Size in bytes up to which the receiver may keep pictures before it passes them on.
    pub(crate) waiting_bytes: usize,
    /// References that were left out of the input.
    pub(crate) left_out: Option<Arc<LeftOut>>,
}

impl DecodeCommand {
    /// Creates a command that reads nothing from stdin and writes no pictures.
    pub(crate) fn new(args: Vec<OsString>) -> Self {
        Self {
            args,
            stdin: Stdin::Empty,
            pictures: None,
            waiting_bytes: 0,
            left_out: None,
        }
    }
}

/// A running decode.
pub(crate) struct Decode<'a> {
    watchdog: Watchdog<'a>,
    messages: Receiver<Message>,
    tail: Arc<Mutex<VecDeque<String>>>,
    /// Whether ffmpeg reported a failed write.
    unwritten: Arc<AtomicBool>,
    /// Whether ffmpeg reported a lack of memory.
    starved: Arc<AtomicBool>,
    cancel: &'a CancellationToken,
    open_pipes: u8,
    version: Option<Version>,
    evidence: Evidence,
    /// Pieces of evidence at the last search for new damage.
    examined: u64,
    left_out: Option<Arc<LeftOut>>,
    /// Whether an output prints the metadata of the source into the log.
    doubtful: bool,
    /// Number of events received so far.
    frames: u64,
    /// Number of messages about damage.
    damage_messages: u64,
}

impl<'a> Decode<'a> {
    /// Starts ffmpeg. The watchdog kills the process after `stall` without progress.
    pub(crate) fn start(
        program: &Program,
        command: DecodeCommand,
        stall: Duration,
        cancel: &'a CancellationToken,
    ) -> Result<Self, ExtractError> {
        let DecodeCommand {
            args,
            stdin,
            pictures,
            waiting_bytes,
            left_out,
        } = command;
        let mut child = ChildGroup::ffmpeg(program, args)?;
        let (sender, messages) = sync_channel(256);
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let unwritten = Arc::new(AtomicBool::new(false));
        let starved = Arc::new(AtomicBool::new(false));
        let mut open_pipes = 0;
        if let Some(stderr) = child.take_stderr() {
            open_pipes += 1;
            let errors = LogErrors {
                tail: Arc::clone(&tail),
                unwritten: Arc::clone(&unwritten),
                starved: Arc::clone(&starved),
            };
            let sender = sender.clone();
            std::thread::spawn(move || read_log(stderr, &sender, &errors));
        }
        if let Some(stdout) = child.take_stdout() {
            open_pipes += 1;
            std::thread::spawn(move || read_pictures(stdout, pictures, waiting_bytes, &sender));
        }
        Ok(Self {
            watchdog: Watchdog::new(child, stdin, Timeout::Stall(stall), cancel),
            messages,
            tail,
            unwritten,
            starved,
            cancel,
            open_pipes,
            version: None,
            evidence: Evidence::default(),
            examined: 0,
            left_out,
            doubtful: false,
            frames: 0,
            damage_messages: 0,
        })
    }

    /// Returns the report on a decode of `input` that delivered everything requested.
    pub(crate) fn report(&self, warnings: &[String], input: Option<&Path>) -> ExtractReport {
        ExtractReport {
            decoder: format!("ffmpeg {}", self.version()),
            warnings: warnings.to_vec(),
            damage: self.damage(input),
        }
    }

    /// Returns new damage: `None` if the log contains no new evidence since the last call.
    pub(crate) fn new_damage(&mut self, input: Option<&Path>) -> Option<String> {
        let pieces = self.evidence.pieces();
        let is_new = std::mem::replace(&mut self.examined, pieces) != pieces;
        is_new.then(|| self.damage(input)).flatten()
    }

    /// Returns the damage found in `input` so far. Where an output keeps the metadata of its source, the log
    /// proves nothing, and a scan has to confirm the damage.
    pub(crate) fn damage(&self, input: Option<&Path>) -> Option<String> {
        self.evidence.damage(input, self.cancel)
    }

    /// Begins a part of the decode. Frames before the first keyframe cannot be decoded and are not presented, so errors of
    /// the decoder about them are not damage. Nor are errors about frames after the last requested frame.
    pub(crate) fn begin(&mut self, part: Part) {
        self.evidence.begin(part);
    }

    /// Counts errors after the last requested frame as damage, since another frame replaces that frame.
    pub(crate) fn count_surplus(&mut self) {
        self.evidence.count_surplus();
    }

    /// Returns whether the decoder reported errors before the first keyframe.
    pub(crate) fn has_damaged_head(&self) -> bool {
        self.evidence.has_head()
    }

    /// Counts errors before the first keyframe as damage.
    pub(crate) fn count_head(&mut self) {
        self.evidence.count_head();
    }

    /// Requires a check of every error in the log, since an output prints the metadata of the source into the
    /// log.
    pub(crate) fn doubt_log(&mut self) {
        self.doubtful = true;
    }

    /// Treats changes of a file as progress, so that the stall timeout starts again.
    pub(crate) fn watch_file(&mut self, path: &Path) {
        self.watchdog.watch_file(path);
    }

    /// Returns the version of ffmpeg, or `unknown` before ffmpeg has printed it.
    pub(crate) fn version(&self) -> &str {
        self.version.as_ref().map_or("unknown", |version| &version.text)
    }

    /// Returns the next event, or `None` after ffmpeg has succeeded.
    ///
    /// # Errors
    /// Fails on cancellation, after a stall, and if ffmpeg fails.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, ExtractError> {
        self.watchdog.progress();
        while self.open_pipes > 0 {
            let Some(message) = self.watchdog.receive(&self.messages)? else {
                break;
            };
            match message {
                Message::Event(event) => {
                    self.frames += 1;
                    return Ok(Some(event));
                }
                Message::Version(line) => {
                    self.version = Version::parse(&line).map(Version::supported).transpose()?;
                }
                // A scan confirms the limit; its log contains no metadata.
                Message::Limit(line) if self.doubtful => self.evidence.add_error(line),
                Message::Limit(line) => {
                    return Err(exceeded(&line).unwrap_or(ExtractError::DecoderFailed(line)));
                }
                Message::Damage(line) => {
                    self.damage_messages += 1;
                    if self.frames == 0 && self.damage_messages > DAMAGE_MESSAGES {
                        return Err(ExtractError::Damaged(line));
                    }
                    self.evidence.add_error(line);
                }
                Message::MissingReference(order, line) => {
                    if self.left_out.as_ref().is_some_and(|left| !left.explains(order)) {
                        self.evidence.add_error(line);
                    }
                }
                Message::CorruptPicture(line) => {
                    if !self.left_out.as_ref().is_some_and(|left| left.marks_pictures()) {
                        self.evidence.add_error(line);
                    }
                }
                Message::CorruptPacket(stream, dts) => self.evidence.corrupt_packet(stream, dts),
                Message::CorruptInput(stream) => self.evidence.corrupt_input(stream),
                Message::Broken(error) => {
                    let status = self.watchdog.wait()?;
                    if status.success() {
                        return Err(ExtractError::DecoderFailed(format!(
                            "failed to read its pictures: {error}"
                        )));
                    }
                    return Err(self.failure(status));
                }
                Message::PipeClosed => self.open_pipes -= 1,
            }
        }
        let status = self.watchdog.wait()?;
        // Older versions exit successfully even if the end of an output did not fit on the disk.
        if status.success() && !self.is_unwritten() {
            Ok(None)
        } else {
            Err(self.failure(status))
        }
    }

    /// Returns whether ffmpeg reported a failed write. If the log contains metadata of the source, the disk must
    /// be full too.
    fn is_unwritten(&self) -> bool {
        let exhausted = || self.watchdog.files().any(space::is_exhausted);
        self.unwritten.load(Ordering::Relaxed) && (!self.doubtful || exhausted())
    }

    fn failure(&self, status: ExitStatus) -> ExtractError {
        // ffmpeg exited by itself without one frame, so no frame can be decoded.
        let by_itself = status.code().is_some() && !self.starved.load(Ordering::Relaxed);
        if let (true, 0, Some(damage)) = (by_itself, self.frames, self.evidence.first_error()) {
            return ExtractError::Damaged(damage.to_owned());
        }
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let said: Vec<&str> = tail.iter().map(String::as_str).collect();
        tracing::info!(
            ffmpeg.exit_code = status.code(),
            ffmpeg.stderr_tail = end_of(&said.join("\n")),
            "ffmpeg failed"
        );
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(": {}", said.join("; "))
        };
        ExtractError::DecoderFailed(format!("{status}{said}"))
    }
}

/// Returns the last [`LOGGED_TAIL`] bytes of a text, without a character that is cut.
fn end_of(text: &str) -> &str {
    let mut start = text.len().saturating_sub(LOGGED_TAIL);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Errors of a log that are kept in addition to its events.
struct LogErrors {
    /// Last error lines.
    tail: Arc<Mutex<VecDeque<String>>>,
    unwritten: Arc<AtomicBool>,
    starved: Arc<AtomicBool>,
}

impl LogErrors {
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
        // This error is either the last line, or its consequences would displace the line.
        if is_no_space(line) && !self.unwritten.swap(true, Ordering::Relaxed) {
            self.keep(line);
        }
        if !self.unwritten.load(Ordering::Relaxed) {
            self.keep(line);
        }
    }
}

fn read_log(stderr: impl io::Read, sender: &SyncSender<Message>, errors: &LogErrors) {
    let mut log = LogReader::new();
    for_each_line(stderr, |line| {
        let mut messages = log.read(line).filter_map(|line| message(line, errors));
        messages.all(|message| sender.send(message).is_ok())
    });
    let _ = sender.send(Message::PipeClosed);
}

/// Converts a line to a message. Stores its error in `errors`.
fn message(line: LogLine, errors: &LogErrors) -> Option<Message> {
    Some(match line {
        LogLine::Decoded(frame) => Message::Event(Event::Decoded(frame)),
        LogLine::Picked { pts, interlaced } => Message::Event(Event::Picked { pts, interlaced }),
        LogLine::Encoded {
            index,
            pts,
            interlaced,
        } => Message::Event(Event::Encoded {
            index,
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
            errors.keep(&line);
            Message::Damage(line)
        }
        LogLine::MissingReference { order, line } => Message::MissingReference(order, line),
        LogLine::CorruptPicture(line) => Message::CorruptPicture(line),
        LogLine::Error(line) => {
            errors.error(&line);
            return None;
        }
        LogLine::Opened => return None,
    })
}

fn read_pictures(
    stdout: impl io::Read,
    framing: Option<Framing>,
    waiting_bytes: usize,
    sender: &SyncSender<Message>,
) {
    let Some(framing) = framing else {
        let mut stdout = stdout;
        let _ = io::copy(&mut stdout, &mut io::sink());
        let _ = sender.send(Message::PipeClosed);
        return;
    };
    let in_flight = Arc::new(InFlight::new(framing.in_flight() + waiting_bytes));
    let mut pictures = PictureReader::new(stdout, framing);
    loop {
        // The last picture is read without waiting for capacity, since the end of the stream may only become
        // visible afterwards.
        if pictures.is_at_end().is_ok_and(|end| !end) {
            in_flight.wait_for_capacity();
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

/// Bytes of pictures between ffmpeg's stdout and their destination. Waiting for capacity slows ffmpeg down when
/// pictures are written slowly, and bounds memory.
struct InFlight {
    bytes: Mutex<usize>,
    less: Condvar,
    /// Number of bytes below which another picture is read.
    capacity: usize,
}

impl InFlight {
    fn new(capacity: usize) -> Self {
        Self {
            bytes: Mutex::default(),
            less: Condvar::new(),
            capacity,
        }
    }

    fn wait_for_capacity(&self) {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let _capacity = self
            .less
            .wait_while(bytes, |bytes| *bytes >= self.capacity)
            .unwrap_or_else(PoisonError::into_inner);
    }

    /// Returns the same bytes, counted until their last copy is dropped.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of pictures of 1 MiB that are read while the receiver keeps all of them.
    fn read_ahead(waiting_bytes: usize) -> usize {
        const PICTURE: usize = 1 << 20;
        let framing = Framing::Fixed {
            header: Vec::new(),
            bytes: PICTURE,
            width: 1024,
            height: 1024,
        };
        let (sender, receiver) = sync_channel(256);
        std::thread::spawn(move || read_pictures(io::repeat(0), Some(framing), waiting_bytes, &sender));
        let mut kept = Vec::new();
        // Nothing signals that the reader waits, so a pause without a picture ends the test.
        while let Ok(message) = receiver.recv_timeout(Duration::from_secs(1)) {
            kept.push(message);
        }
        kept.len()
    }

    #[test]
    fn pictures_that_wait_for_other_decoders_do_not_stop_their_decoder() {
        assert_eq!(read_ahead(0), 4);
        assert_eq!(read_ahead(16 << 20), 20);
    }
}
