//! Packets of a video, as ffprobe lists them.

use super::ffprobe::Ffprobe;
use crate::extract::ExtractError;
use crate::ffmpeg::args;
use crate::ffmpeg::process::invocation::Invocation;
use crate::limits::TIMELINE_FRAMES;
use crate::units::TimeBase;
use crate::video::{Timeline, VideoInfo};

/// Presented frames according to the packets.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    /// Frames of all packets; `None` if a packet lacks a timestamp or two packets share one.
    pub(crate) all: Option<Timeline>,
    /// Frames from the first keyframe on, if other packets precede it.
    pub(crate) from_keyframe: Option<Timeline>,
}

/// Collects packets in decode order.
#[derive(Debug, Default)]
struct PacketReader {
    pts: Vec<i64>,
    last: Option<(i64, Option<i64>)>,
    /// Index and timestamp of the first keyframe, if other packets precede it.
    keyframe: Option<(usize, i64)>,
    /// Whether the stream begins with a packet that is not a keyframe, and no keyframe has followed yet.
    begins_late: Option<bool>,
    unreliable: bool,
    too_many: bool,
}

impl PacketReader {
    /// Adds a line of `pts,duration,flags`.
    fn packet(&mut self, line: &str) {
        let mut fields = line.split(',');
        let time = fields.next().and_then(|f| f.parse::<i64>().ok());
        let duration = fields.next().and_then(|f| f.parse::<i64>().ok());
        let flags = fields.next().unwrap_or_default();
        if line.is_empty() {
            return;
        }
        let late = self.begins_late.get_or_insert(!flags.contains('K'));
        if *late && flags.contains('K') {
            *late = false;
            self.keyframe = time.map(|time| (self.pts.len(), time));
        }
        if flags.contains('D') {
            return;
        }
        self.too_many |= self.pts.len() >= TIMELINE_FRAMES;
        match time {
            Some(time) if !self.unreliable && !self.too_many => {
                self.pts.push(time);
                if self.last.is_none_or(|(latest, _)| time > latest) {
                    self.last = Some((time, duration));
                }
            }
            _ => self.unreliable = true,
        }
    }

    fn finish(self, time_base: TimeBase) -> Packets {
        if self.unreliable {
            return Packets::default();
        }
        let duration = self.last.and_then(|(_, duration)| duration);
        let timeline = |pts: Vec<i64>| {
            let count = pts.len();
            Timeline::new(time_base, pts, duration).filter(|timeline| timeline.pts().len() == count)
        };
        let from_keyframe = self.keyframe.and_then(|(index, start)| {
            let shown = self.pts[index..].iter().copied().filter(|&pts| pts >= start);
            timeline(shown.collect())
        });
        Packets {
            all: timeline(self.pts),
            from_keyframe,
        }
    }
}

/// Reads the packets of the video.
pub(crate) fn packets(invocation: Invocation<'_>, video: &VideoInfo) -> Result<Packets, ExtractError> {
    let mut reader = PacketReader::default();
    let args = args::probe_packets(invocation.opened(video));
    match Ffprobe::opening(invocation).lines(args, |line| reader.packet(line)) {
        // Damage in the packets is left to the decoder.
        Ok(()) | Err(ExtractError::NotAVideo(_) | ExtractError::Damaged(_)) => {}
        Err(other) => return Err(other),
    }
    if reader.too_many {
        return Err(ExtractError::LimitExceeded(format!(
            "the video has more than {TIMELINE_FRAMES} frames"
        )));
    }
    Ok(reader.finish(video.time_base))
}

/// Returns whether the first packet of the video is a keyframe according to the container.
pub(crate) fn begins_with_keyframe(
    invocation: Invocation<'_>,
    video: &VideoInfo,
) -> Result<bool, ExtractError> {
    let mut first = None;
    let args = args::probe_first_packet(invocation.opened(video));
    Ffprobe::opening(invocation).lines(args, |line| {
        if first.is_none() && !line.is_empty() {
            first = Some(line.contains('K'));
        }
    })?;
    Ok(first.unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (Option<Vec<i64>>, Option<Vec<i64>>) {
        let mut reader = PacketReader::default();
        lines.iter().for_each(|line| reader.packet(line));
        let packets = reader.finish(TimeBase::new(1, 30).unwrap());
        let pts = |timeline: Option<Timeline>| timeline.map(|timeline| timeline.pts().to_vec());
        (pts(packets.all), pts(packets.from_keyframe))
    }

    #[test]
    fn presents_frames_from_the_first_keyframe_on() {
        let usual = read(&["0,1,K__", "2,1,___", "1,1,___", "3,1,K__"]);
        assert_eq!(usual, (Some(vec![0, 1, 2, 3]), None));
        // Frames presented before the keyframe refer to missing packets.
        let late = read(&["1,1,___", "5,1,K__", "3,1,___", "6,1,___"]);
        assert_eq!(late, (Some(vec![1, 3, 5, 6]), Some(vec![5, 6])));
        // The keyframe exists but is not presented.
        let edited = read(&["0,1,KD_", "1,1,___", "2,1,K__"]);
        assert_eq!(edited, (Some(vec![1, 2]), None));
        assert_eq!(read(&["0,1,___", "1,1,___"]), (Some(vec![0, 1]), None));
        assert_eq!(read(&["0,1,___", "N/A,1,K__"]), (None, None));
    }
}
