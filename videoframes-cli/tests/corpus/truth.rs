//! The presented frames of a clip, by a full decode with ffmpeg, independent of the program under test.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::rational::Q;
use super::{barcode, cache};

/// One presented frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The number encoded in the picture.
    pub number: u32,
    /// The timestamp of the stream in seconds.
    pub pts: Q,
}

/// The presented frames of a clip, in order.
#[derive(Debug, Clone)]
pub struct Truth {
    pub frames: Vec<Frame>,
    /// End of the last frame, on the timeline of [`Frame::pts`].
    pub end: Q,
}

impl Truth {
    pub fn origin(&self) -> Q {
        self.frames[0].pts
    }

    /// Returns the duration from the first frame to the end.
    pub fn duration(&self) -> Q {
        self.end.minus(self.origin())
    }

    /// Returns the time of frame `i` relative to the first frame.
    pub fn time(&self, i: usize) -> Q {
        self.frames[i].pts.minus(self.origin())
    }

    /// Applies the selection rule: the last frame at or before `t` seconds after the first frame.
    pub fn shown_at(&self, t: Q) -> usize {
        (0..self.frames.len())
            .rev()
            .find(|i| self.time(*i) <= t)
            .expect("a time at or after 0")
    }

    /// Decodes all of `clip`, whose upright pictures are `shape` in stored (not square) pixels.
    pub fn of(clip: &Path, shape: (usize, usize)) -> Result<Self, String> {
        let mut command = Command::new(cache::encoder());
        command
            .args(["-nostdin", "-hide_banner", "-copyts", "-i"])
            .arg(clip);
        command.args([
            "-map",
            "0:V:0",
            "-vf",
            "showinfo=checksum=0",
            "-fps_mode",
            "passthrough",
        ]);
        command.args(["-pix_fmt", "gray", "-f", "rawvideo", "-"]);
        let printed = cache::run(&mut command, &[])?;
        let (time_base, stamps) = read_showinfo(&printed.stderr)?;
        let pictures = printed.stdout.chunks(shape.0 * shape.1);
        if pictures.len() != stamps.len() || stamps.is_empty() {
            return Err(format!(
                "{} pictures and {} timestamps",
                pictures.len(),
                stamps.len()
            ));
        }
        let frames = pictures
            .zip(&stamps)
            .map(|(picture, pts)| {
                let number =
                    barcode::read(picture, shape.0, shape.1).map_err(|e| format!("at pts {pts}: {e}"))?;
                Ok(Frame {
                    number,
                    pts: Q::int((*pts).into()).times(time_base),
                })
            })
            .collect::<Result<Vec<_>, String>>()?;
        // Of several frames with one time, the last is displayed.
        let frames: Vec<Frame> = frames
            .chunk_by(|a, b| a.pts == b.pts)
            .filter_map(|same| same.last().copied())
            .collect();
        if let Some(pair) = frames.windows(2).find(|pair| pair[0].pts >= pair[1].pts) {
            return Err(format!("times do not increase: {pair:?}"));
        }
        let last = frames[frames.len() - 1].pts;
        let gap = frames.len().checked_sub(2).map(|i| last.minus(frames[i].pts));
        let duration = stored_duration(clip, last)?
            .or(gap)
            .ok_or("a single frame of unknown duration")?;
        Ok(Self {
            end: last.plus(duration),
            frames,
        })
    }

    /// Returns one line for the end and one line per frame.
    pub fn to_text(&self) -> String {
        let frames = self.frames.iter().map(|f| format!("{} {}\n", f.number, f.pts));
        std::iter::once(format!("end {}\n", self.end))
            .chain(frames)
            .collect()
    }

    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let end = Q::parse(lines.next()?.strip_prefix("end ")?)?;
        let frame = |line: &str| {
            let (number, pts) = line.split_once(' ')?;
            Some(Frame {
                number: number.parse().ok()?,
                pts: Q::parse(pts)?,
            })
        };
        Some(Self {
            end,
            frames: lines.map(frame).collect::<Option<_>>()?,
        })
    }
}

/// Parses the time base and the timestamps from the output of the `showinfo` filter.
fn read_showinfo(stderr: &str) -> Result<(Q, Vec<i64>), String> {
    let lines = || stderr.lines().filter(|line| line.contains("Parsed_showinfo"));
    let time_base = lines()
        .find_map(|line| line.split_once("config in time_base: ")?.1.split(',').next())
        .and_then(|text| Q::parse(text.trim()))
        .ok_or("showinfo reported no time base")?;
    let pts = lines()
        .filter_map(|line| line.split_once(" pts:"))
        .map(|(_, rest)| rest.split_whitespace().next().and_then(|pts| pts.parse().ok()))
        .collect::<Option<Vec<i64>>>()
        .ok_or("a decoded frame has no timestamp")?;
    Ok((time_base, pts))
}

/// Returns the stored duration of the packet presented at `pts`: normally the duration of the packet. In MP4 and
/// QuickTime, whose tables contain a duration that ffprobe does not always print, the time for which ffmpeg
/// displays the frame. If packets carry no timestamps (AVI), the duration common to all packets.
fn stored_duration(clip: &Path, pts: Q) -> Result<Option<Q>, String> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "V:0", "-of", "default=nw=1"]);
    command
        .args(["-show_entries", "stream=time_base:packet=pts,duration"])
        .arg(clip);
    let printed = cache::run(&mut command, &[])?;
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    let values = |key: &'static str| {
        text.lines()
            .filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='))
    };
    let time_base = values("time_base")
        .next_back()
        .and_then(Q::parse)
        .ok_or("ffprobe reported no time base")?;
    let seconds = |value: &str| {
        value
            .parse::<i64>()
            .ok()
            .map(|v| Q::int(v.into()).times(time_base))
    };
    let packets: Vec<_> = values("pts")
        .map(seconds)
        .zip(values("duration").map(seconds))
        .collect();
    if let Some((_, duration)) = packets.iter().find(|(at, _)| *at == Some(pts)) {
        return match duration {
            None if clip.extension().is_some_and(|e| e == "mp4" || e == "mov") => {
                shown_duration(clip, time_base, pts).map(Some)
            }
            known => Ok(*known),
        };
    }
    let shared: BTreeMap<_, _> = packets.iter().filter_map(|(_, d)| d.map(|d| (d, ()))).collect();
    Ok(if shared.len() == 1 {
        shared.into_keys().next()
    } else {
        None
    })
}

/// Measures for how long ffmpeg displays the last frame, by the number of ticks at which the frame is visible.
fn shown_duration(clip: &Path, time_base: Q, last: Q) -> Result<Q, String> {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-v", "error", "-copyts", "-i"])
        .arg(clip);
    let ticks = Q::int(1).over(time_base);
    // Only the last frame is repeated for each tick.
    let from = last.over(time_base);
    let filters = format!("scale=16:16,settb={time_base},trim=start_pts={from},fps={ticks}:round=up");
    command.args(["-map", "0:V:0", "-vf", &filters, "-fps_mode", "passthrough"]);
    command.args(["-f", "framecrc", "-"]);
    let printed = cache::run(&mut command, &[])?;
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    let shown = text.lines().filter(|line| !line.starts_with('#'));
    let pts = |line: &str| line.split(',').nth(2)?.trim().parse::<i64>().ok();
    let end = shown.filter_map(pts).max().ok_or("ffmpeg shows no frame")?;
    Ok(Q::int(i128::from(end) + 1).times(time_base).minus(last))
}
