//! The planned and the plain strategy produce the same bytes.
#![allow(clippy::unwrap_used)]

mod corpus;

use std::path::Path;
use std::process::Command;

use corpus::clips::{self, Clip};
use corpus::{cache, runner, vf};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Requests that skip many samples, few samples, and no samples.
const REQUESTS: [&[&str]; 6] = [
    &["--fps", "2"],
    &["--fps", "7/3", "-s", "0.21"],
    &["--count", "3"],
    &["--at", "0.4,90%"],
    &["--every", "0.31", "-f", "png", "-W", "80"],
    &["--all", "-s", "50%"],
];

/// Returns the archive of `vf extract`, or the exit code and stderr.
fn run(clip: &Path, request: &[&str], strategy: &str, ffmpeg: Option<&Path>) -> Result<Vec<u8>, String> {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out.zip");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
    command.arg("extract").arg(clip).args(request);
    command
        .args(["--strategy", strategy, "--progress", "none", "-o"])
        .arg(&out);
    if let Some(ffmpeg) = ffmpeg {
        command.arg("--ffmpeg").arg(ffmpeg);
    }
    let printed = command.output().unwrap();
    match printed.status.code() {
        Some(0) => Ok(std::fs::read(&out).unwrap()),
        code => Err(format!("{code:?} {}", String::from_utf8_lossy(&printed.stderr))),
    }
}

/// Returns the reason that the planned strategy does not support a clip.
fn not_plannable(clip: &Clip) -> Option<&'static str> {
    let container = Path::new(clip.name).extension()?.to_str()?;
    match clip.name {
        _ if !["mp4", "mov", "mkv", "webm", "ts", "flv", "avi"].contains(&container) => Some("no index"),
        "interlaced.mp4" | "interlaced.mkv" => Some("interlaced"),
        "mpeg2.ts" => Some("another codec"),
        "same_time.mkv" => Some("packets share timestamps"),
        "open_gop_cut.ts" => Some("no decodable beginning"),
        "h264.avi" => Some("packets lack timestamps"),
        "intra_refresh.mp4" => Some("cannot be planned"),
        _ => None,
    }
}

fn failures(clip: &Clip, ffmpeg: Option<&Path>) -> Vec<String> {
    let (path, _) = match clip.ready() {
        Ok(ready) => ready,
        Err(e) => return vec![format!("cannot make {e}")],
    };
    let mut failures = Vec::new();
    for request in REQUESTS {
        let what = format!("{} {}", clip.name, request.join(" "));
        let plain = run(&path, request, "plain", ffmpeg);
        if run(&path, request, "auto", ffmpeg) != plain {
            failures.push(format!("{what}: auto differs from plain"));
        }
        let planned = run(&path, request, "planned", ffmpeg);
        if planned.is_ok() {
            let side_by_side = [request, &["--jobs", "3"]].concat();
            if run(&path, &side_by_side, "planned", ffmpeg) != plain {
                failures.push(format!("{what}: three decoders differ from plain"));
            }
        }
        match (not_plannable(clip), planned) {
            (None, planned) if planned.is_err() && plain.is_ok() => {
                failures.push(format!("{what}: not planned: {}", planned.unwrap_err()));
            }
            (None, planned) if planned != plain => {
                failures.push(format!("{what}: planned differs from plain"))
            }
            (Some(why), Ok(_)) => failures.push(format!("{what}: planned, although {why}")),
            (Some(_), Err(error)) if !error.contains("Some(13)") && plain.is_ok() => {
                failures.push(format!("{what}: {error}"));
            }
            _ => {}
        }
    }
    failures
}

fn run_all(ffmpeg: Option<&Path>) {
    runner::run(|_| true, |clip| failures(clip, ffmpeg));
}

#[test]
fn strategies_agree_on_every_clip() {
    run_all(None);
}

#[test]
fn strategies_agree_on_every_clip_with_another_ffmpeg() {
    if let Some(ffmpeg) = vf::other_ffmpeg() {
        run_all(Some(&ffmpeg));
    }
}

#[test]
fn files_that_lack_the_reordering_of_their_b_frames_are_not_planned() {
    // The timestamps of libxvid are those of the decode order.
    let encode = "-f lavfi -i testsrc2=size=176x144:rate=25:duration=3 -c:v libxvid -g 25 -bf 3";
    let place = tempfile::tempdir().unwrap();
    for name in ["video.mp4", "video.mkv"] {
        let clip = place.path().join(name);
        let mut command = Command::new("ffmpeg");
        let made = command
            .args(["-v", "error"])
            .args(encode.split(' '))
            .arg(&clip)
            .status();
        assert!(made.unwrap().success());
        let error = run(&clip, &["--keyframes"], "planned", None).unwrap_err();
        assert!(
            error.contains("the timestamps may lack the reordering of B-frames"),
            "{name}: {error}"
        );
        let [auto, plain] =
            ["auto", "plain"].map(|strategy| run(&clip, &["--keyframes"], strategy, None).unwrap());
        assert!(auto == plain, "{name}");
    }
}

/// A random encode of moving pictures.
#[derive(Debug, Clone)]
struct Encode {
    hevc: bool,
    frames: u32,
    group: u32,
    b_frames: u32,
    references: u32,
    pyramid: bool,
    open: bool,
    fragmented: bool,
    container: &'static str,
    scene_cut: bool,
    rate: &'static str,
}

fn encodes() -> impl Strategy<Value = Encode> {
    let structure = (1u32..40, 0u32..6, 1u32..5, any::<bool>(), any::<bool>());
    let containers = prop::sample::select(vec!["mp4", "mov", "mkv", "ts", "flv"]);
    let container = (any::<bool>(), containers);
    let rates = prop::sample::select(vec!["25", "30000/1001", "10", "60"]);
    (
        any::<bool>(),
        1u32..90,
        structure,
        container,
        any::<bool>(),
        rates,
    )
        .prop_map(
            |(
                hevc,
                frames,
                (group, b_frames, references, pyramid, open),
                (fragmented, container),
                scene_cut,
                rate,
            )| Encode {
                hevc,
                frames,
                group,
                b_frames,
                references,
                pyramid,
                open,
                fragmented,
                container: if hevc && container == "flv" {
                    "mkv"
                } else {
                    container
                },
                scene_cut,
                rate,
            },
        )
}

impl Encode {
    fn make(&self, place: &Path) -> Result<std::path::PathBuf, String> {
        let path = place.join(format!("clip.{}", self.container));
        let Self {
            frames,
            group,
            b_frames,
            references,
            rate,
            ..
        } = self;
        let cut = if self.scene_cut { 40 } else { 0 };
        let (codec, name, parameters) = if self.hevc {
            let (pyramid, open) = (u8::from(self.pyramid), u8::from(self.open));
            let parameters = format!(
                "keyint={group}:min-keyint=1:bframes={b_frames}:ref={references}:b-pyramid={pyramid}:open-gop={open}:\
                 scenecut={cut}:log-level=none:pools=1:frame-threads=1"
            );
            ("libx265", "-x265-params", parameters)
        } else {
            let (pyramid, open) = (if self.pyramid { "normal" } else { "none" }, u8::from(self.open));
            let parameters = format!(
                "keyint={group}:min-keyint=1:bframes={b_frames}:ref={references}:b-pyramid={pyramid}:open-gop={open}:\
                 scenecut={cut}"
            );
            ("libx264", "-x264-params", parameters)
        };
        let mut command = Command::new(cache::encoder());
        command.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"]);
        // Cuts and noise exercise the decisions of the encoder.
        command.arg(format!(
            "testsrc2=s=128x96:r={rate},noise=alls=20:allf=t,hue=h='if(lt(mod(n,17),8),0,90)'"
        ));
        command.args([
            "-frames:v",
            &frames.to_string(),
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            codec,
        ]);
        command.args(["-preset", "veryfast", name, &parameters]);
        if self.fragmented && ["mp4", "mov"].contains(&self.container) {
            command.args(["-movflags", "frag_keyframe+empty_moov+default_base_moof"]);
        }
        cache::run(command.arg(&path), &[])?;
        Ok(path)
    }
}

/// Checks jumps that exceed the range of the picture order counters.
#[test]
fn strategies_agree_on_long_jumps() {
    for (hevc, open, references) in [
        (true, true, 3),
        (true, false, 3),
        (true, true, 1),
        (true, false, 1),
        (false, true, 3),
        (false, false, 3),
    ] {
        let encode = Encode {
            hevc,
            frames: 700,
            group: 60,
            b_frames: 4,
            references,
            pyramid: true,
            open,
            fragmented: false,
            container: "mp4",
            scene_cut: false,
            rate: "25",
        };
        let place = tempfile::tempdir().unwrap();
        let clip = encode.make(place.path()).unwrap();
        for request in [
            &["--at", "1%,9%,40%,69%,96%"][..],
            &["--every", "5.7s"],
            &["-n", "9"],
        ] {
            let plain = run(&clip, request, "plain", None);
            let planned = run(&clip, request, "planned", None);
            assert!(
                plain.is_ok() && planned == plain,
                "{encode:?} {request:?}: {:?}",
                planned.err()
            );
        }
        // Runs of several groups are split over the decoders.
        let dense = ["--all", "-s", "10%", "-e", "60%", "-W", "64"];
        let plain = run(&clip, &dense, "plain", None);
        let split = run(&clip, &[&dense[..], &["--jobs", "3"]].concat(), "planned", None);
        assert!(
            plain.is_ok() && split == plain,
            "{encode:?}, three decoders: {:?}",
            split.err()
        );
    }
}

/// Checks random frames of random encodes. `VF_TEST_ENCODES` sets their number.
#[test]
fn strategies_agree_on_random_encodes() {
    let cases = std::env::var("VF_TEST_ENCODES").ok().and_then(|n| n.parse().ok());
    let mut runner = TestRunner::new(Config {
        cases: cases.unwrap_or(24),
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    });
    let frames = prop::collection::vec(0u32..100, 1..6);
    let outcome = runner.run(&(encodes(), frames), |(encode, percents)| {
        let place = tempfile::tempdir().unwrap();
        let clip = encode.make(place.path()).map_err(TestCaseError::fail)?;
        let list: Vec<String> = percents.iter().map(|p| format!("{p}%")).collect();
        let list = list.join(",");
        for request in [
            &["--at", &list][..],
            &["--fps", "3"],
            &["--all", "-s", "30%", "-e", "75%"],
        ] {
            let plain = run(&clip, request, "plain", None);
            let planned = run(&clip, request, "planned", None);
            prop_assert!(plain.is_ok(), "{request:?}: {plain:?}");
            prop_assert!(planned.is_ok(), "{request:?}: {planned:?}");
            prop_assert!(planned == plain, "{request:?}: planned differs from plain");
            let side_by_side = [request, &["--jobs", "2"]].concat();
            let planned = run(&clip, &side_by_side, "planned", None);
            prop_assert!(
                planned == plain,
                "{request:?}: two decoders differ from plain: {planned:?}"
            );
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn plans_are_printed_without_decoding() {
    let clip = |name: &str| {
        let all = clips::all();
        all.iter()
            .find(|clip| clip.name == name)
            .unwrap()
            .ready()
            .unwrap()
            .0
    };
    let plan = |name: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
        // A plan needs only the index, not a decoder.
        let command = command.arg("plan").arg(clip(name)).args(args);
        command
            .args(["--ffmpeg", "/nonexistent/ffmpeg"])
            .output()
            .unwrap()
    };
    let printed = plan("h264.mp4", &["-n", "2", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(
        (&shown["strategy"], &shown["pictures"]),
        (&"planned".into(), &2.into())
    );
    assert!(shown["samples"].as_u64() < shown["all_samples"].as_u64());
    assert!(shown["bytes_read"].as_u64().unwrap() > 0);

    let printed = plan("h264.mp4", &["--all"]);
    assert!(String::from_utf8_lossy(&printed.stdout).contains("plain: nearly all samples are needed"));
    let printed = plan("h264.mp4", &["--at", "99"]);
    assert_eq!(printed.status.code(), Some(2));
    let printed = plan(
        "h264.mp4",
        &["-n", "2", "--deinterlace", "on", "--strategy", "planned"],
    );
    assert_eq!(printed.status.code(), Some(13));
    assert!(String::from_utf8_lossy(&printed.stderr).contains("neighbours"));
}

#[test]
fn bytes_that_are_read_twice_count_once() {
    let place = tempfile::tempdir().unwrap();
    let (clip, out) = (place.path().join("short.mp4"), place.path().join("out.zip"));
    let mut make = Command::new(cache::encoder());
    make.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=4"]);
    make.args(["-c:v", "libx264", "-g", "30"]).arg(&clip);
    cache::run(&mut make, &[]).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
    command.arg("extract").arg(&clip);
    command.args([
        "--all",
        "--strategy",
        "planned",
        "--json",
        "--progress",
        "none",
        "-o",
    ]);
    let printed = cache::run(command.arg(&out), &[]).unwrap();
    let result: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    let (read, size) = (&result["bytes_read"], &result["source_bytes"]);
    assert!(
        0 < read.as_u64().unwrap() && read.as_u64() <= size.as_u64(),
        "{read} of {size}"
    );
}
