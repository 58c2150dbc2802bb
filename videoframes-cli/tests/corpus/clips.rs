//! The clips: their recipes and properties known by construction.

use std::path::PathBuf;
use std::process::Command;

use super::barcode::{self, Chroma, Rotation};
use super::cache;
use super::rational::Q;
use super::truth::Truth;

/// Version of the cache. Bump when the bar code, the generation of clips or the reference decode changes.
const VERSION: u32 = 3;

/// The test to which a clip belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Containers,
    Codecs,
    Timing,
    Geometry,
}

/// The recipe of one clip.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Unique file name.
    pub name: &'static str,
    pub group: Group,
    frames: u32,
    rate: (u32, u32),
    stored: (usize, usize),
    /// Size of the upright picture with square pixels.
    pub shown: (usize, usize),
    rotation: Rotation,
    chroma: Chroma,
    interlaced: bool,
    /// Extension of the intermediate file if `then` creates the clip.
    first: &'static str,
    encode: &'static str,
    then: Option<&'static str>,
    numbers: Numbers,
    times: Times,
    /// Maximum rounding by the container of the difference of two timestamps.
    rounding: (u32, u32),
}

/// The frames known to be presented.
#[derive(Debug, Clone, Copy)]
enum Numbers {
    All,
    /// The last frames: at least one frame is missing at the start, none in between.
    Tail,
    /// The frames from this number on.
    From(u32),
    /// The frames for which the function returns true.
    Kept(fn(u32) -> bool),
}

/// The known presentation times.
#[derive(Debug, Clone, Copy)]
enum Times {
    /// Frame n is at n frame intervals.
    Constant,
    /// Frame n is at the returned number of milliseconds.
    Milliseconds(fn(u32) -> u32),
}

const X264: &str = "-c:v libx264 -preset veryfast -crf 18 -g 30 -bf 2 -threads 1";
const MKV: (u32, u32) = (1, 1000);
const TS: (u32, u32) = (2, 90_000);

impl Clip {
    fn new(group: Group, name: &'static str, encode: &'static str) -> Self {
        let rounding = match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("mkv" | "webm" | "flv") => MKV,
            Some("ts" | "mpg") => TS,
            _ => (0, 1),
        };
        Self {
            name,
            group,
            frames: 50,
            rate: (25, 1),
            stored: (160, 96),
            shown: (160, 96),
            rotation: Rotation::None,
            chroma: Chroma::Quartered,
            interlaced: false,
            first: "",
            encode,
            then: None,
            numbers: Numbers::All,
            times: Times::Constant,
            rounding,
        }
    }

    fn frames(self, frames: u32) -> Self {
        Self { frames, ..self }
    }

    fn rate(self, num: u32, den: u32) -> Self {
        Self {
            rate: (num, den),
            ..self
        }
    }

    fn size(self, w: usize, h: usize) -> Self {
        Self {
            stored: (w, h),
            shown: (w, h),
            ..self
        }
    }

    fn shown(self, w: usize, h: usize) -> Self {
        Self {
            shown: (w, h),
            ..self
        }
    }

    fn rotated(self, rotation: Rotation) -> Self {
        let (w, h) = self.stored;
        let shown = if rotation == Rotation::Half {
            (w, h)
        } else {
            (h, w)
        };
        Self {
            rotation,
            shown,
            ..self
        }
    }

    fn full_chroma(self) -> Self {
        Self {
            chroma: Chroma::Full,
            ..self
        }
    }

    fn interlaced(self) -> Self {
        Self {
            interlaced: true,
            ..self
        }
    }

    /// Creates the clip from an intermediate file with extension `first` and these arguments.
    fn then(self, first: &'static str, args: &'static str) -> Self {
        Self {
            first,
            then: Some(args),
            ..self
        }
    }

    fn numbers(self, numbers: Numbers) -> Self {
        Self { numbers, ..self }
    }

    fn milliseconds(self, times: fn(u32) -> u32) -> Self {
        // The raw video is read at 1000 frames per second, so that `setpts` counts in a time base of one
        // millisecond.
        Self {
            times: Times::Milliseconds(times),
            rate: (1000, 1),
            ..self
        }
    }

    /// Returns the file and the truth of the clip, generated if not cached.
    pub fn ready(&self) -> Result<(PathBuf, Truth), String> {
        let place = cache::kept(self.name, &self.recipe(), |place| {
            self.make(place)?;
            let upright = if matches!(self.rotation, Rotation::None | Rotation::Half) {
                self.stored
            } else {
                self.shown
            };
            let truth = Truth::of(&place.join(self.name), upright)?;
            self.check(&truth)?;
            std::fs::write(place.join("truth"), truth.to_text()).map_err(|e| e.to_string())
        })?;
        let text = std::fs::read_to_string(place.join("truth")).map_err(|e| format!("{}: {e}", self.name))?;
        let truth = Truth::from_text(&text).ok_or_else(|| format!("{}: an unreadable truth", self.name))?;
        Ok((place.join(self.name), truth))
    }

    /// Returns the cache key of the clip. Functions have no name, so their values are part of the key.
    fn recipe(&self) -> String {
        let numbers: Vec<u32> = (0..self.frames)
            .filter(|&n| match self.numbers {
                Numbers::All | Numbers::Tail => true,
                Numbers::From(first) => n >= first,
                Numbers::Kept(kept) => kept(n),
            })
            .collect();
        let times: Vec<Q> = (0..self.frames).map(|n| self.time(n)).collect();
        format!(
            "{VERSION} {:?} {:?} {:?} {:?} {:?} {} {} {:?} {:?} {numbers:?} {times:?} {:?}",
            self.rate,
            self.stored,
            self.rotation,
            self.chroma,
            self.interlaced,
            self.first,
            self.encode,
            self.then,
            cache::encoder(),
            self.rounding,
        )
    }

    fn make(&self, place: &std::path::Path) -> Result<(), String> {
        let (w, h) = self.stored;
        let raw: Vec<u8> = (0..self.frames)
            .flat_map(|n| barcode::draw(n, w, h, self.rotation, self.chroma))
            .collect();
        let target = place.join(self.name);
        let encoded = if self.then.is_some() {
            place.join(format!("first.{}", self.first))
        } else {
            target.clone()
        };
        let format = if self.chroma == Chroma::Full {
            "yuv444p"
        } else {
            "yuv420p"
        };
        let mut command = Command::new(cache::encoder());
        command.args([
            "-hide_banner",
            "-v",
            "error",
            "-f",
            "rawvideo",
            "-pix_fmt",
            format,
        ]);
        command.args([
            "-s",
            &format!("{w}x{h}"),
            "-r",
            &format!("{}/{}", self.rate.0, self.rate.1),
            "-i",
            "-",
        ]);
        command
            .args(["-fps_mode", "passthrough"])
            .args(self.encode.split_whitespace())
            .arg(&encoded);
        cache::run(&mut command, &raw)?;
        let Some(then) = self.then else { return Ok(()) };
        let mut command = Command::new(cache::encoder());
        command.args(["-nostdin", "-hide_banner", "-v", "error"]);
        for arg in then.split_whitespace() {
            if arg == "{in}" {
                command.arg(&encoded)
            } else {
                command.arg(arg)
            };
        }
        cache::run(command.arg(&target), &[])?;
        std::fs::remove_file(encoded).map_err(|e| e.to_string())
    }

    /// Returns the presentation time of frame `n` in the input of the encoder.
    fn time(&self, n: u32) -> Q {
        match self.times {
            Times::Constant => Q::new(i128::from(n) * i128::from(self.rate.1), self.rate.0.into()),
            Times::Milliseconds(at) => Q::new(at(n).into(), 1000),
        }
    }

    /// Compares the result of a full decode with the properties known by construction.
    fn check(&self, truth: &Truth) -> Result<(), String> {
        let seen: Vec<u32> = truth.frames.iter().map(|frame| frame.number).collect();
        let expected: Vec<u32> = match self.numbers {
            Numbers::All => (0..self.frames).collect(),
            Numbers::Tail => (seen[0].max(1)..self.frames).collect(),
            Numbers::From(first) => (first..self.frames).collect(),
            Numbers::Kept(kept) => (0..self.frames).filter(|&n| kept(n)).collect(),
        };
        if seen != expected {
            return Err(format!("presents {seen:?}, built to present {expected:?}"));
        }
        let rounding = Q::new(self.rounding.0.into(), self.rounding.1.into());
        for (i, &n) in seen.iter().enumerate() {
            let built = self.time(n).minus(self.time(seen[0]));
            if truth.time(i).distance(built) > rounding {
                return Err(format!(
                    "frame {n} is at {}, built to be at {built}",
                    truth.time(i)
                ));
            }
        }
        if truth.duration() <= truth.time(seen.len() - 1) {
            return Err("the last frame has no duration".into());
        }
        Ok(())
    }
}

/// Irregular and exact: gaps of 17 to 97 ms. The same formula as in `STAMPED`.
fn irregular(n: u32) -> u32 {
    n * 57 + n * n * 7 % 41
}

/// A slide show: pauses of over a second between bursts. The same formula as in `SLIDES`.
fn slides(n: u32) -> u32 {
    n * 40 + n / 5 * 1170
}

fn not_third_or_fourth_of_seven(n: u32) -> bool {
    !(2..=3).contains(&(n % 7))
}

fn same_time(n: u32) -> u32 {
    (n - u32::from(n % 7 == 4)) * 40
}

fn not_fourth_of_seven(n: u32) -> bool {
    n % 7 != 3
}

/// Every clip of the corpus.
pub fn all() -> Vec<Clip> {
    [containers(), codecs(), timing(), geometry()].concat()
}

fn containers() -> Vec<Clip> {
    let clip = |name, encode| Clip::new(Group::Containers, name, encode);
    vec![
        clip("h264.mp4", X264).rate(30_000, 1001).frames(90),
        clip("h264_60fps.mp4", X264).rate(60, 1).frames(70),
        clip("h264_slow.mp4", X264).rate(5, 1).frames(20),
        clip("h264.mov", X264),
        clip("h264.mkv", X264).rate(24_000, 1001).frames(72),
        clip(
            "vp9.webm",
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 0 -crf 30 -g 30",
        ),
        clip(
            "vp8.webm",
            "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 800k -g 30 -auto-alt-ref 1",
        ),
        clip("h264.ts", X264),
        clip("mpeg2.mpg", "-c:v mpeg2video -q:v 3 -g 12 -bf 2"),
        clip("mpeg4.avi", "-c:v mpeg4 -q:v 3 -g 25"),
        clip("mjpeg.avi", "-c:v mjpeg -q:v 3"),
        clip("h264.avi", X264),
        clip("h264.flv", X264),
        clip("fragmented.mp4", X264).then(
            "mp4",
            "-i {in} -c copy -movflags frag_keyframe+empty_moov+default_base_moof",
        ),
        clip("offset.ts", X264).then("ts", "-i {in} -c copy -output_ts_offset 3.7"),
        clip("offset.mkv", X264).then("mkv", "-i {in} -c copy -output_ts_offset 3.7"),
        clip("offset.mp4", X264).then("mp4", "-i {in} -c copy -output_ts_offset 3.7"),
    ]
}

fn codecs() -> Vec<Clip> {
    let clip = |name, encode| Clip::new(Group::Codecs, name, encode);
    vec![
        clip(
            "hevc.mp4",
            "-c:v libx265 -preset superfast -crf 18 -tag:v hvc1 -x265-params log-level=none:pools=none:bframes=3",
        ),
        clip(
            "hevc_10bit.mkv",
            "-pix_fmt yuv420p10le -c:v libx265 -preset superfast -crf 18 -x265-params log-level=none:pools=none",
        ),
        clip(
            "h264_10bit.mp4",
            "-pix_fmt yuv420p10le -c:v libx264 -preset veryfast -crf 18 -profile:v high10",
        ),
        clip(
            "vp9.mp4",
            "-c:v libvpx-vp9 -deadline good -cpu-used 5 -b:v 0 -crf 30 -g 30 -lag-in-frames 16 -auto-alt-ref 1",
        ),
        clip("av1_svt.mp4", "-c:v libsvtav1 -preset 10 -qp 30 -g 30"),
        clip(
            "av1_aom.webm",
            "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 0 -crf 35 -g 30",
        )
        .frames(30),
        clip("mpeg2.ts", "-c:v mpeg2video -q:v 3 -g 12 -bf 2"),
        clip("mpeg4.mp4", "-c:v mpeg4 -q:v 3 -g 25 -bf 2"),
        clip("mpeg4.mkv", "-c:v mpeg4 -q:v 3 -g 25 -bf 2"),
        clip("mjpeg.mov", "-c:v mjpeg -q:v 3"),
    ]
}

const STAMPED: &str =
    "-vf setpts=N*57+mod(N*N*7\\,41) -enc_time_base 1/1000 -c:v libx264 -preset veryfast -crf 18 -g 30 -bf 3";
const SLIDES: &str =
    "-vf setpts=N*40+trunc(N/5)*1170 -enc_time_base 1/1000 -c:v libx264 -preset veryfast -crf 18 -bf 2";
const DROPPED: &str =
    "-vf select=not(between(mod(n\\,7)\\,2\\,3)) -c:v libx264 -preset veryfast -crf 18 -g 30 -bf 3";

fn timing() -> Vec<Clip> {
    let clip = |name, encode| Clip::new(Group::Timing, name, encode);
    let hevc_open = "-c:v libx265 -preset superfast -crf 18 -x265-params log-level=none:pools=none:open-gop=1:keyint=20:min-keyint=20:scenecut=0:bframes=4";
    vec![
        clip("vfr_stamped.mp4", STAMPED).milliseconds(irregular),
        clip("vfr_stamped.mkv", STAMPED).milliseconds(irregular),
        clip("vfr_stamped.ts", STAMPED).milliseconds(irregular),
        clip("vfr_slides.mp4", SLIDES).milliseconds(slides).frames(14),
        clip("vfr_dropped.mp4", DROPPED).numbers(Numbers::Kept(not_third_or_fourth_of_seven)).rate(30, 1).frames(80),
        clip("vfr_dropped.mkv", DROPPED).numbers(Numbers::Kept(not_third_or_fourth_of_seven)).rate(30, 1).frames(80),
        // Some frames have the time of the previous frame, which is then never displayed.
        clip("same_time.mkv", "-vf setpts=N*40 -enc_time_base 1/1000 -c:v libx264 -preset veryfast -crf 18 -bf 0")
            .then("mkv", "-i {in} -c copy -bsf:v setts=ts=TS-40*eq(mod(N\\,7)\\,4)")
            .milliseconds(same_time)
            .numbers(Numbers::Kept(not_fourth_of_seven)),
        clip("b_pyramid.mp4", "-c:v libx264 -preset fast -crf 18 -x264-params b-pyramid=normal:bframes=8:b-adapt=0:keyint=40:scenecut=0"),
        clip("open_gop.mp4", "-c:v libx264 -preset veryfast -crf 18 -x264-params open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0"),
        clip("open_gop_hevc.mp4", hevc_open),
        // Starts at a CRA picture whose leading pictures refer to missing pictures; decoders skip them.
        clip("open_gop_cut.ts", hevc_open)
            .then("mp4", "-ss 0.9 -i {in} -c copy")
            .numbers(Numbers::From(20)),
        clip("intra_refresh.mp4", "-c:v libx264 -preset veryfast -crf 18 -x264-params intra-refresh=1:keyint=15:bframes=0"),
        // Starts at frame 0, which an edit list hides with all frames before 0.6 s.
        clip("edit_list.mp4", X264).then("mp4", "-ss 0.6 -i {in} -c copy").numbers(Numbers::From(15)),
        clip("edit_list_between_frames.mp4", X264)
            .then("mp4", "-ss 0.61 -i {in} -c copy")
            .numbers(Numbers::Tail),
        clip("edit_list.mov", X264).then("mov", "-ss 0.6 -i {in} -c copy").numbers(Numbers::From(15)),
        // An empty edit: the video starts 0.7 s after the audio.
        clip("start_delay.mp4", X264).then(
            "mp4",
            "-itsoffset 0.7 -i {in} -f lavfi -i sine=duration=3 -map 0:v -map 1:a -c:v copy -c:a aac -b:a 32k",
        ),
        clip("one_frame.mp4", X264).frames(1),
        clip("one_frame.mkv", X264).frames(1),
        clip("seven_frames.mp4", X264).frames(7).rate(10, 1),
        clip("seven_frames.mkv", X264).frames(7).rate(10, 1),
    ]
}

fn geometry() -> Vec<Clip> {
    let clip = |name, encode| Clip::new(Group::Geometry, name, encode);
    vec![
        // `rotate` is counter-clockwise in ffmpeg 5.1: the truth fails if the encoder reads it otherwise.
        clip("rotated_90.mp4", X264).rotated(Rotation::Quarter).then("mp4", "-i {in} -c copy -metadata:s:v rotate=270"),
        clip("rotated_180.mp4", X264).rotated(Rotation::Half).then("mp4", "-i {in} -c copy -metadata:s:v rotate=180"),
        clip("rotated_270.mov", X264)
            .rotated(Rotation::ThreeQuarters)
            .then("mov", "-i {in} -c copy -metadata:s:v rotate=90"),
        clip("anamorphic.mp4", "-vf setsar=4/3 -c:v libx264 -preset veryfast -crf 18").size(162, 96).shown(216, 96),
        clip("interlaced.mkv", "-vf setfield=tff -flags +ilme+ildct -c:v libx264 -preset veryfast -crf 18 -x264-params tff=1")
            .interlaced(),
        clip("interlaced.mp4", "-vf setfield=bff -flags +ilme+ildct -c:v libx264 -preset veryfast -crf 18 -x264-params bff=1")
            .interlaced(),
        clip("interlaced.mpg", "-vf setfield=tff -flags +ilme+ildct -c:v mpeg2video -q:v 3 -g 12 -bf 2")
            .interlaced(),
        clip("odd.mp4", "-c:v libx264 -preset veryfast -crf 18 -profile:v high444").size(161, 97).full_chroma(),
        clip("odd.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 0 -crf 30").size(161, 97),
        clip("audio_first.mp4", X264).then(
            "mp4",
            "-f lavfi -i sine=duration=2 -i {in} -map 0:a -map 1:v -c:v copy -c:a aac -b:a 32k",
        ),
        clip("audio_first.mkv", X264).then(
            "mkv",
            "-f lavfi -i sine=duration=2.5 -i {in} -map 0:a -map 1:v -c:v copy -c:a aac -b:a 32k",
        ),
        // The cover is a video stream, but not a video.
        clip("cover_art.mp4", X264).then(
            "mp4",
            "-f lavfi -i color=red:s=64x64:r=25:d=0.04 -i {in} -map 0:v -map 1:v -c:v:0 mjpeg -c:v:1 copy -disposition:v:0 attached_pic",
        ),
    ]
}
