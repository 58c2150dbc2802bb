//! Runs of ffprobe under the watchdog.

use std::ffi::OsString;
use std::io::Read;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::refusal::refusal;
use crate::extract::ExtractError;
use crate::ffmpeg::process::child::{ChildGroup, Stdin, for_each_line};
use crate::ffmpeg::process::invocation::Invocation;
use crate::ffmpeg::process::memory::Workload;
use crate::ffmpeg::process::program::Program;
use crate::ffmpeg::process::watchdog::{Timeout, Watchdog};
use crate::limits::{Limits, PROBE_JSON_BYTES};

/// Number of lines of ffprobe's log that are kept.
const LOG_LINES: usize = 8;
/// Number of lines per message, since a video may have millions of packets.
const BATCH: usize = 512;

/// ffprobe with the limits and the cancellation token of its runs.
pub(crate) struct Ffprobe<'a> {
    program: Program,
    limits: &'a Limits,
    cancel: &'a CancellationToken,
}

/// A message from a reader of ffprobe's pipes.
enum Message {
    Document(Vec<u8>),
    Lines(Vec<String>),
    Log(String),
    PipeClosed,
}

impl<'a> Ffprobe<'a> {
    /// Uses the memory limit that programs have by default.
    pub(crate) fn new(invocation: Invocation<'a>) -> Self {
        Self {
            program: invocation.programs.ffprobe.with_cpu_of(invocation.limits),
            limits: invocation.limits,
            cancel: invocation.cancel,
        }
    }

    /// Returns an invocation with the memory limit for opening the input.
    pub(crate) fn opening(invocation: Invocation<'a>) -> Self {
        Self::new(invocation).with_workload(Workload::opening(invocation.input))
    }

    /// Uses the memory limit for this workload.
    pub(crate) fn with_workload(self, workload: Workload) -> Self {
        Self {
            program: self.program.with_memory(workload.memory(self.limits)),
            ..self
        }
    }

    /// Runs ffprobe and parses its JSON output.
    pub(crate) fn ask<T: DeserializeOwned>(&self, args: Vec<OsString>) -> Result<T, ExtractError> {
        Ok(self.answer(args)?.0)
    }

    /// Runs ffprobe and parses its JSON output. Also returns the last lines of its log.
    pub(super) fn answer<T: DeserializeOwned>(
        &self,
        args: Vec<OsString>,
    ) -> Result<(T, Vec<String>), ExtractError> {
        let mut json = Vec::new();
        let log = self.run(args, Output::Document, |message| {
            if let Message::Document(document) = message {
                json = document;
            }
        })?;
        let document = serde_json::from_slice(&json)
            .map_err(|e| ExtractError::NotAVideo(format!("failed to parse the output of ffprobe ({e})")))?;
        Ok((document, log))
    }

    /// Runs ffprobe and calls `each` for every line of its output. Returns the last lines of its log.
    pub(super) fn lines(
        &self,
        args: Vec<OsString>,
        mut each: impl FnMut(&str),
    ) -> Result<Vec<String>, ExtractError> {
        self.run(args, Output::Lines, |message| {
            if let Message::Lines(lines) = message {
                lines.iter().for_each(|line| each(line));
            }
        })
    }

    /// Runs ffprobe to completion and passes its output to `receive`. Returns the last lines of the log.
    fn run(
        &self,
        args: Vec<OsString>,
        output: Output,
        mut receive: impl FnMut(Message),
    ) -> Result<Vec<String>, ExtractError> {
        let mut child = ChildGroup::ffprobe(&self.program, args)?;
        let (sender, messages) = sync_channel(16);
        let mut open_pipes = 0;
        if let Some(stderr) = child.take_stderr() {
            open_pipes += 1;
            let sender = sender.clone();
            std::thread::spawn(move || {
                for_each_line(stderr, |line| sender.send(Message::Log(line.to_owned())).is_ok());
                let _ = sender.send(Message::PipeClosed);
            });
        }
        if let Some(mut stdout) = child.take_stdout() {
            open_pipes += 1;
            std::thread::spawn(move || {
                output.read(&mut stdout, &sender);
                let _ = sender.send(Message::PipeClosed);
            });
        }
        let mut watchdog = Watchdog::new(
            child,
            Stdin::Empty,
            output.timeout(self.limits.stall),
            self.cancel,
        );
        let mut log: Vec<String> = Vec::new();
        while open_pipes > 0 {
            let Some(message) = watchdog.receive(&messages)? else {
                break;
            };
            match message {
                Message::Log(line) => {
                    if log.len() == LOG_LINES {
                        log.remove(0);
                    }
                    log.push(line.chars().take(200).collect());
                }
                Message::PipeClosed => open_pipes -= 1,
                message => {
                    watchdog.progress();
                    receive(message);
                }
            }
        }
        let status = watchdog.wait()?;
        match status.code() {
            Some(0) => Ok(log),
            Some(_) => Err(refusal(&log)),
            None => Err(ExtractError::DecoderFailed(format!("ffprobe: {status}"))),
        }
    }
}

/// Form of ffprobe's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// One document of bounded size, which arrives at the end.
    Document,
    /// Lines, which arrive in batches.
    Lines,
}

impl Output {
    fn timeout(self, stall: Duration) -> Timeout {
        match self {
            Self::Document => Timeout::Total(stall),
            Self::Lines => Timeout::Stall(stall),
        }
    }

    /// Sends the output until its end.
    fn read(self, stdout: &mut dyn Read, sender: &SyncSender<Message>) {
        match self {
            Self::Document => {
                let mut bytes = Vec::new();
                let _ = stdout.take(PROBE_JSON_BYTES).read_to_end(&mut bytes);
                let _ = sender.send(Message::Document(bytes));
            }
            Self::Lines => {
                let mut batch = Vec::new();
                for_each_line(stdout, |line| {
                    batch.push(line.to_owned());
                    batch.len() < BATCH || sender.send(Message::Lines(std::mem::take(&mut batch))).is_ok()
                });
                let _ = sender.send(Message::Lines(batch));
            }
        }
    }
}
