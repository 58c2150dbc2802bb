//! Detection of damage, and the presented frames of cut or joined streams.
//!
//! Set `VF_TEST_FFMPEG` to run everything with a second ffmpeg as well.
#![allow(clippy::unwrap_used)]

mod corpus;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use corpus::barcode::{self, Chroma, Rotation};
use corpus::{cache, vf};

const SIDE: (usize, usize) = (160, 96);
/// Size of a packet of a transport stream in bytes.
const PACKET: usize = 188;

/// A folder, and the ffmpeg to test.
struct Place {
    folder: tempfile::TempDir,
    ffmpeg: Option<PathBuf>,
}

impl Place {
    /// Returns one value with the ffmpeg in `PATH`, and one with the second ffmpeg.
    fn each() -> Vec<Self> {
        let other = vf::other_ffmpeg();
        let ffmpegs = std::iter::once(None).chain(other.map(Some));
        ffmpegs
            .map(|ffmpeg| Self {
                folder: tempfile::tempdir().unwrap(),
                ffmpeg,
            })
            .collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Encodes `frames` numbered frames at 30 frames per second, with audio.
    fn numbered(&self, frames: u32, args: &str, name: &str) -> PathBuf {
        let out = self.path(name);
        let raw: Vec<u8> = (0..frames)
            .flat_map(|number| barcode::draw(number, SIDE.0, SIDE.1, Rotation::None, Chroma::Quartered))
            .collect();
        let mut command = Command::new(cache::encoder());
        let size = format!("{}x{}", SIDE.0, SIDE.1);
        command.args([
            "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-r", "30",
        ]);
        command.args(["-s", &size, "-i", "pipe:0", "-f", "lavfi"]);
        let seconds = f64::from(frames) / 30.0;
        command.args(["-i", &format!("sine=r=48000:d={seconds}")]);
        command.args(args.split_whitespace()).arg(&out);
        cache::run(&mut command, &raw).unwrap();
        out
    }

    fn run(&self, verb: &str, input: &Path, out: &Path, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
        command.arg(verb).arg(input).args(args);
        command.args(["--progress", "none", "-y", "-o"]).arg(out);
        if let Some(ffmpeg) = &self.ffmpeg {
            command.arg("--ffmpeg").arg(ffmpeg);
        }
        command.output().unwrap()
    }

    /// Returns the numbers of the extracted frames.
    fn numbers(&self, input: &Path, args: &[&str]) -> Vec<u32> {
        let archive = vf::extract(input, args, self.ffmpeg.as_deref()).unwrap();
        let pictures = archive.pictures.iter();
        pictures
            .map(|picture| {
                let image = picture.decode().unwrap().to_luma8();
                let (w, h) = (image.width() as usize, image.height() as usize);
                barcode::read(image.as_raw(), w, h).unwrap()
            })
            .collect()
    }

    #[track_caller]
    fn fails(&self, verb: &str, input: &Path, args: &[&str], code: i32) {
        let out = if verb == "compress" {
            "failed.mp4"
        } else {
            "failed.zip"
        };
        let output = self.run(verb, input, &self.path(out), args);
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{verb} {} {args:?} with {:?}: {printed}",
            input.display(),
            self.ffmpeg
        );
    }

    #[track_caller]
    fn compresses(&self, input: &Path, args: &[&str]) -> String {
        let output = self.run("compress", input, &self.path("small.mp4"), args);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{} with {:?}: {printed}",
            input.display(),
            self.ffmpeg
        );
        printed
    }

    /// Splits a video into segments that restart their counters, and joins the segments.
    fn joined(&self, video: &Path, seconds: &str) -> PathBuf {
        let segments = self.path("segments");
        fs::create_dir(&segments).unwrap();
        let mut command = Command::new(cache::encoder());
        command.args(["-v", "error", "-i"]).arg(video);
        command.args(["-c", "copy", "-f", "segment", "-segment_time", seconds]);
        command.arg(segments.join("%03d.ts"));
        cache::run(&mut command, &[]).unwrap();
        let mut names: Vec<PathBuf> = fs::read_dir(&segments)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        assert!(names.len() > 2, "{names:?}");
        let bytes: Vec<u8> = names.iter().flat_map(|name| fs::read(name).unwrap()).collect();
        fs::remove_dir_all(&segments).unwrap();
        let joined = self.path("joined.ts");
        fs::write(&joined, bytes).unwrap();
        joined
    }
}

/// Encoders of the clips. The first decoder detects most losses, the second few, and the third codec has no
/// references across many pictures.
const CODECS: [&str; 3] = [
    "-c:v libx264 -g 30 -bf 3 -x264-params b-pyramid=normal:scenecut=0",
    "-c:v libx265 -g 30 -x265-params log-level=error:scenecut=0",
    "-c:v mpeg2video -g 15 -bf 2 -q:v 3",
];

fn is_video(packet: &[u8]) -> bool {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == 0x100
}

fn begins_picture(packet: &[u8]) -> bool {
    packet[1] & 0x40 != 0
}

/// Removes the first video packet that matches `which` after the fraction `share` of a transport stream.
fn lose(stream: &Path, share: f64, which: impl Fn(&[u8]) -> bool, out: &Path) {
    let mut bytes = fs::read(stream).unwrap();
    let packets = bytes.len() / PACKET;
    let from = (packets as f64 * share) as usize;
    let lost = (from..packets)
        .find(|at| {
            let packet = &bytes[at * PACKET..(at + 1) * PACKET];
            is_video(packet) && which(packet)
        })
        .unwrap();
    bytes.drain(lost * PACKET..(lost + 1) * PACKET);
    fs::write(out, bytes).unwrap();
}

#[test]
fn joined_segments_are_an_undamaged_video() {
    for place in Place::each() {
        for (codec, audio) in CODECS.iter().zip(["-c:a aac", "-an", "-c:a mp2"]) {
            let video = place.numbered(150, &format!("{codec} {audio}"), "whole.ts");
            let joined = place.joined(&video, "1");
            let all: Vec<u32> = (0..150).collect();
            assert_eq!(place.numbers(&joined, &["--all"]), all, "{codec}");
            assert_eq!(place.numbers(&joined, &["--at", "0"]), [0], "{codec}");
            place.compresses(&joined, &[]);
        }
    }
}

#[test]
fn a_stream_joined_to_itself_is_undamaged() {
    for place in Place::each() {
        let video = place.numbered(60, CODECS[0], "once.ts");
        let twice = place.path("twice.ts");
        fs::write(
            &twice,
            [fs::read(&video).unwrap(), fs::read(&video).unwrap()].concat(),
        )
        .unwrap();
        // Frames whose time goes back are not displayed.
        let shown: Vec<u32> = (0..60).collect();
        assert_eq!(place.numbers(&twice, &["--all"]), shown);
    }
}

#[test]
fn a_lost_packet_is_damage_for_the_following_pictures() {
    for place in Place::each() {
        for codec in CODECS {
            let video = place.numbered(240, &format!("{codec} -c:a mp2"), "whole.ts");
            let lost = place.path("lost.ts");
            for begins in [false, true] {
                lose(&video, 0.75, |packet| begins_picture(packet) == begins, &lost);
                place.fails("extract", &lost, &["--all"], 6);
                place.fails("extract", &lost, &["--all", "--on-error", "partial"], 7);
                place.fails("compress", &lost, &[], 6);
                assert_eq!(place.numbers(&lost, &["--at", "0,1,2"]), [0, 30, 60], "{codec}");
            }
        }
    }
}

#[test]
fn a_truncated_video_is_damaged_wherever_the_pictures_go() {
    for place in Place::each() {
        let encoding = "-c:v libx264 -g 48 -bf 3 -pix_fmt yuv420p -c:a aac -movflags +faststart";
        let whole = place.numbered(240, encoding, "whole.mp4");
        let truncated = place.path("truncated.mp4");
        let content = fs::read(whole).unwrap();
        fs::write(&truncated, &content[..content.len() / 2]).unwrap();
        for (out, format) in [("-", "png"), ("-", "npy"), ("-", "jpg"), ("out.zip", "png")] {
            let args = ["--all", "-f", format, "--quiet"];
            let out = match out {
                "-" => PathBuf::from(out),
                file => place.path(file),
            };
            let output = place.run("extract", &truncated, &out, &args);
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(
                output.status.code(),
                Some(6),
                "{format} to {}: {text}",
                out.display()
            );
        }
    }
}

#[test]
fn a_loss_in_joined_segments_is_still_damage() {
    for place in Place::each() {
        let video = place.numbered(240, CODECS[1], "whole.ts");
        let joined = place.joined(&video, "1");
        let lost = place.path("lost.ts");
        lose(&joined, 0.8, |packet| !begins_picture(packet), &lost);
        place.fails("extract", &lost, &["--all"], 6);
        assert_eq!(place.numbers(&lost, &["--at", "0,1.5"]), [0, 45]);
    }
}

/// Removes the first sixth of a transport stream with a keyframe at least every 30 frames.
fn cut_head(video: &Path, out: &Path) {
    let bytes = fs::read(video).unwrap();
    let at = bytes.len() / PACKET / 6 * PACKET;
    fs::write(out, &bytes[at..]).unwrap();
}

#[test]
fn a_recording_cut_inside_a_gop_starts_with_its_first_keyframe() {
    for place in Place::each() {
        for codec in CODECS {
            let video = place.numbered(120, &format!("{codec} -c:a mp2"), "whole.ts");
            let recording = place.path("recording.ts");
            cut_head(&video, &recording);
            let numbers = place.numbers(&recording, &["--all"]);
            let first = numbers[0];
            assert!(first > 0 && first % 15 == 0, "{codec}: {first} is no keyframe");
            assert_eq!(numbers, (first..120).collect::<Vec<_>>(), "{codec}");
            assert_eq!(place.numbers(&recording, &["--at", "0,1"]), [first, first + 30]);
            let output = place.run("extract", &recording, &place.path("out.zip"), &["-n", "1"]);
            let printed = String::from_utf8_lossy(&output.stderr);
            assert!(
                printed.contains("warning: the video begins in the middle"),
                "{printed}"
            );
            let printed = place.compresses(&recording, &[]);
            assert!(
                printed.contains("warning: the video begins in the middle"),
                "{printed}"
            );
            assert_eq!(place.numbers(&place.path("small.mp4"), &["--at", "0"]), [first]);
        }
    }
}

#[test]
fn other_containers_without_a_leading_keyframe_start_with_their_first_keyframe() {
    for place in Place::each() {
        for (codec, name) in [
            (CODECS[0], "late.mkv"),
            (CODECS[0], "late.mp4"),
            (CODECS[0], "late.flv"),
            (CODECS[2], "late.mpg"),
            ("-c:v mpeg4 -g 15 -q:v 3", "late.avi"),
        ] {
            let video = place.numbered(120, &format!("{codec} -an"), "whole.mkv");
            let late = place.path(name);
            let mut command = Command::new(cache::encoder());
            command.args(["-v", "error", "-y", "-i"]).arg(&video);
            // Keyframes are at 0, 15 or 30.
            command.args(["-c", "copy", "-copyinkf", "-bsf:v"]);
            command.arg("noise=drop='lt(n,7)'").arg(&late);
            cache::run(&mut command, &[]).unwrap();
            let numbers = place.numbers(&late, &["--all"]);
            let first = numbers[0];
            assert!(first == 15 || first == 30, "{name}: {first}");
            assert_eq!(numbers, (first..120).collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn a_loss_after_the_first_keyframe_of_a_recording_is_damage() {
    for place in Place::each() {
        for codec in CODECS {
            let video = place.numbered(120, codec, "whole.ts");
            let (recording, lost) = (place.path("recording.ts"), place.path("lost.ts"));
            cut_head(&video, &recording);
            // The first packet of a keyframe has the random access indicator; the next packet belongs to the keyframe.
            let bytes = fs::read(&recording).unwrap();
            let entry = |packet: &[u8]| {
                is_video(packet) && begins_picture(packet) && packet[3] & 0x20 != 0 && packet[5] & 0x40 != 0
            };
            let key = bytes.chunks_exact(PACKET).position(entry).unwrap();
            let share = (key + 2) as f64 / (bytes.len() / PACKET) as f64;
            lose(&recording, share, |packet| !begins_picture(packet), &lost);
            place.fails("extract", &lost, &["--all"], 6);
            place.fails("compress", &lost, &[], 6);
        }
    }
}

#[test]
fn a_video_without_decodable_frames_is_damaged() {
    for place in Place::each() {
        for codec in [CODECS[0], "-c:v mpeg4", "-c:v prores_ks"] {
            let video = place.numbered(60, &format!("{codec} -an"), "whole.mov");
            let mut bytes = fs::read(&video).unwrap();
            let at = bytes.windows(4).position(|kind| kind == b"mdat").unwrap();
            let size = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
            bytes[at + 4..at - 4 + size].fill(0);
            let zeroed = place.path("zeroed.mov");
            fs::write(&zeroed, bytes).unwrap();
            for args in [
                &["--all"][..],
                &["--at", "0"],
                &["--all", "--on-error", "partial"],
            ] {
                place.fails("extract", &zeroed, args, 6);
            }
            place.fails("compress", &zeroed, &[], 6);
        }
    }
}
