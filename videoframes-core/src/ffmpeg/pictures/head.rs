//! Beginning of a stream that does not begin with a keyframe.

use std::ffi::OsString;
use std::io::Read;
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::args;
use crate::extract::ExtractError;
use crate::ffmpeg::process::child::{ChildGroup, Stdin, for_each_line};
use crate::ffmpeg::process::decode::{Decode, DecodeCommand, Event, Frame};
use crate::ffmpeg::process::invocation::Invocation;
use crate::ffmpeg::process::watchdog::{Timeout, Watchdog};
use crate::limits::HEAD_BYTES;
use crate::video::VideoInfo;

/// The beginning of one video stream.
pub(super) struct Head<'a> {
    pub(super) invocation: Invocation<'a>,
    pub(super) video: &'a VideoInfo,
}

impl<'a> Head<'a> {
    /// Returns whether decoding has to start at the keyframe with the timestamp `start`, and can: packets before
    /// the keyframe cannot be decoded, and no later packet refers to them.
    pub(super) fn is_entry(&self, start: i64) -> Result<bool, ExtractError> {
        match self.first_frame()? {
            // The container reports its keyframes incorrectly.
            Some(Frame {
                key: true,
                pts: Some(pts),
                ..
            }) if pts < start => Ok(false),
            None => Ok(false),
            Some(_) => self.is_clean(),
        }
    }

    /// Returns whether the packets from the first keyframe on can be decoded without the packets before it. Tests
    /// more packets than a decoder needs before it returns the first frame.
    pub(super) fn is_clean(&self) -> Result<bool, ExtractError> {
        let head = self.copy()?;
        if head.is_empty() {
            return Ok(false);
        }
        let (sender, parts) = mpsc::channel(1);
        // The channel has capacity for all parts.
        let _ = sender.try_send(head);
        drop(sender);
        let mut decode = self.decode(
            args::scan_copied(self.invocation.limits.pixels),
            Stdin::Parts(parts),
        )?;
        loop {
            match decode.next() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(decode.damage(None).is_none()),
                Err(ExtractError::Damaged(_) | ExtractError::DecoderFailed(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn decode(&self, args: Vec<OsString>, stdin: Stdin) -> Result<Decode<'a>, ExtractError> {
        let command = DecodeCommand {
            stdin,
            ..DecodeCommand::new(args)
        };
        let Invocation { limits, cancel, .. } = self.invocation;
        Decode::start(
            &self.invocation.decoder(self.video),
            command,
            limits.stall,
            cancel,
        )
    }

    /// Returns the first frame that the decoder outputs.
    fn first_frame(&self) -> Result<Option<Frame>, ExtractError> {
        let mut decode = self.decode(args::scan(self.invocation.opened(self.video)), Stdin::Empty)?;
        loop {
            match decode.next() {
                Ok(Some(Event::Decoded(frame))) => return Ok(Some(frame)),
                Ok(Some(_)) => {}
                Ok(None) | Err(ExtractError::Damaged(_) | ExtractError::DecoderFailed(_)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Copies the first packets from the first keyframe on into a separate container.
    fn copy(&self) -> Result<Bytes, ExtractError> {
        let mut child = ChildGroup::ffmpeg(
            &self.invocation.decoder(self.video),
            args::copy_head(self.invocation.opened(self.video)),
        )?;
        if let Some(stderr) = child.take_stderr() {
            std::thread::spawn(move || for_each_line(stderr, |_| true));
        }
        let (sender, copied) = sync_channel(1);
        if let Some(stdout) = child.take_stdout() {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                // The last packet may extend beyond the limit that ffmpeg enforces.
                let read = stdout.take(2 * HEAD_BYTES as u64).read_to_end(&mut bytes);
                let _ = sender.send(read.map_or_else(|_| Bytes::new(), |_| bytes.into()));
            });
        }
        let Invocation { limits, cancel, .. } = self.invocation;
        let mut watchdog = Watchdog::new(child, Stdin::Empty, Timeout::Total(limits.stall), cancel);
        Ok(watchdog.receive(&copied)?.unwrap_or_default())
    }
}
