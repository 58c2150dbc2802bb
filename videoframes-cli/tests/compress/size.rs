//! Size of outputs, and similarity to their sources.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::{compress, make, probe, run};

/// Generates a large clip with motion and grain, similar to a recording of a camera.
fn clip(place: &Path, source: &str, options: &str) -> PathBuf {
    let path = place.join("clip.mp4");
    let audio = "-f lavfi -i sine=d=6 -c:a aac -b:a 128k";
    make(
        &format!("-f lavfi -i {source} {audio} -c:v libx264 -preset ultrafast {options} -shortest"),
        &path,
    );
    path
}

#[test]
fn the_requested_size_is_met() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out.mp4");
    for (source, limits) in [
        (
            "testsrc2=d=6:s=320x180:r=25,noise=alls=20:allf=t",
            [400_000, 1_000_000],
        ),
        ("mandelbrot=s=320x180:r=30,trim=duration=4", [100_000, 250_000]),
        (
            "life=s=160x96:r=12:mold=10:ratio=0.4:death_color=#C83232,trim=duration=5",
            [120_000, 200_000],
        ),
    ] {
        let clip = clip(place.path(), source, "-crf 3");
        let whole = clip.metadata().unwrap().len();
        for ffmpeg in crate::all_ffmpegs() {
            for limit in limits {
                assert!(whole > limit, "{source}: the clip has only {whole} bytes");
                let asked = limit.to_string();
                let result = compress(&clip, &["--max-size", &asked], &out, ffmpeg.as_deref()).unwrap();
                let size = out.metadata().unwrap().len();
                assert!(
                    size <= limit && size >= limit * 97 / 100,
                    "{source}: {size} of {limit}"
                );
                assert_eq!(result["bytes"], size);
                assert_eq!(result["origin"], "encoded");
            }
        }
    }
}

#[test]
fn every_codec_meets_a_size() {
    let place = tempfile::tempdir().unwrap();
    let clip = clip(
        place.path(),
        "testsrc2=d=4:s=320x180:r=25,noise=alls=20:allf=t",
        "-crf 8",
    );
    for ffmpeg in crate::all_ffmpegs() {
        for (codec, out) in [("hevc", "x.mp4"), ("av1", "x.mp4"), ("vp9", "x.webm")] {
            let out = place.path().join(out);
            let args = ["--codec", codec, "--max-size", "300kB"];
            compress(&clip, &args, &out, ffmpeg.as_deref()).unwrap();
            let size = out.metadata().unwrap().len();
            assert!((291_000..=300_000).contains(&size), "{codec}: {size}");
        }
    }
}

#[test]
fn an_impossible_size_is_reported() {
    let place = tempfile::tempdir().unwrap();
    let clip = clip(place.path(), "testsrc2=d=6:s=320x180:r=25", "-crf 8");
    let out = place.path().join("out.mp4");
    for (args, expected) in [
        (&["--max-size", "50kB"][..], "the audio alone takes about"),
        (&["--max-size", "6kB", "--audio", "none"], "bytes"),
    ] {
        let refused = run(&clip, args, &out, None);
        let printed = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(13), "{printed}");
        assert!(
            printed.contains("cannot be made as small as") && printed.contains(expected),
            "{printed}"
        );
        assert!(printed.contains("hint: ") && !out.exists());
    }
}

#[test]
fn streams_are_kept_if_encoding_would_enlarge_the_video() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let clip = clip(place.path(), "testsrc2=d=3:s=320x180:r=25", "-crf 40");
    let result = compress(&clip, &["-q", "100"], &path("out.mp4"), None).unwrap();
    assert_eq!(result["origin"], "remuxed");
    assert_eq!(result["warnings"], serde_json::json!([]));
    // The maximum height has priority over the size.
    let lower = compress(
        &clip,
        &["-q", "100", "--max-height", "178"],
        &path("lower.mp4"),
        None,
    )
    .unwrap();
    assert_eq!(
        (&lower["origin"], &lower["height"]),
        (&"encoded".into(), &178.into()),
        "{lower}"
    );
    let packets = |file: &Path| probe("-select_streams v -show_entries packet=pts_time,size", file);
    assert_eq!(packets(&clip), packets(&path("out.mp4")));
    // A maximum size above the size of the source does not reduce the quality.
    let result = compress(&clip, &["--max-size", "10MB"], &path("roomy.mp4"), None).unwrap();
    assert!(
        result["bytes"].as_u64() <= result["source_bytes"].as_u64(),
        "{result}"
    );
    // If the container cannot contain the streams of the source, they are encoded regardless.
    let result = compress(&clip, &["-q", "100", "--audio", "none"], &path("out.webm"), None).unwrap();
    assert_eq!(
        (&result["origin"], &result["codec"]),
        (&"encoded".into(), &"vp9".into())
    );
    assert!(
        result["bytes"].as_u64() <= result["source_bytes"].as_u64(),
        "{result}"
    );
}

#[test]
fn the_default_quality_is_much_smaller_and_visually_identical() {
    let place = tempfile::tempdir().unwrap();
    let clip = clip(
        place.path(),
        "mandelbrot=s=1920x1080:r=30:start_scale=0.5,noise=alls=4:allf=t,trim=duration=1",
        "-b:v 17M -maxrate 20M -bufsize 20M -bf 0",
    );
    let out = place.path().join("out.mp4");
    let result = compress(&clip, &["--measure"], &out, None).unwrap();
    assert!(result["ratio"].as_f64().unwrap() <= 0.7, "{result}");
    let ssim = result["ssim"].as_f64().unwrap();
    assert!((0.95..1.0).contains(&ssim), "{result}");
    // The similarity equals the result of ffmpeg for both files.
    let compared = crate::corpus::cache::run(
        std::process::Command::new("ffmpeg")
            .args(["-nostdin", "-i"])
            .arg(&out)
            .arg("-i")
            .arg(&clip)
            .args(["-lavfi", "ssim", "-f", "null", "-"]),
        &[],
    );
    let printed = compared.unwrap().stderr;
    let all = printed
        .split("All:")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .unwrap();
    assert!(
        (ssim - all.parse::<f64>().unwrap()).abs() < 1e-4,
        "{ssim} and {all}"
    );
}

#[test]
fn videos_are_never_enlarged_and_keep_their_aspect_ratio() {
    let place = tempfile::tempdir().unwrap();
    let clip = clip(place.path(), "testsrc2=d=1:s=426x240:r=25,setsar=4/3", "-crf 5");
    let out = place.path().join("out.mp4");
    for (height, size) in [
        ("1080", (426, 240)),
        ("240", (426, 240)),
        ("120", (214, 120)),
        ("99", (174, 98)),
    ] {
        let result = compress(&clip, &["--max-height", height, "-q", "30"], &out, None).unwrap();
        assert_eq!(
            (&result["width"], &result["height"]),
            (&size.0.into(), &size.1.into()),
            "{height}"
        );
        let streams = probe(
            "-select_streams v -show_entries stream=width,height,sample_aspect_ratio",
            &out,
        );
        let stream = &streams["streams"][0];
        assert_eq!(stream["sample_aspect_ratio"], "4:3");
        assert_eq!(
            (&stream["width"], &stream["height"]),
            (&size.0.into(), &size.1.into())
        );
    }
}

#[test]
fn sizes_that_an_encoder_rejects_are_reported() {
    let place = tempfile::tempdir().unwrap();
    let clip = clip(place.path(), "testsrc2=d=1:s=320x180:r=25", "-crf 5");
    let out = place.path().join("out.mp4");
    for (codec, height, expected) in [
        (
            "av1",
            "16",
            "av1 requires sides of at least 64 pixels, but the output would have 28×16",
        ),
        ("h264", "16", ""),
        ("hevc", "16", ""),
    ] {
        let refused = run(
            &clip,
            &["--codec", codec, "--max-height", height, "-q", "20"],
            &out,
            None,
        );
        let printed = String::from_utf8_lossy(&refused.stderr).into_owned();
        let code = if expected.is_empty() { 0 } else { 13 };
        assert_eq!(refused.status.code(), Some(code), "{codec}: {printed}");
        assert!(printed.contains(expected), "{printed}");
    }
    let wide = place.path().join("wide.mkv");
    make("-f lavfi -i color=s=16400x64:r=5:d=0.4 -c:v ffv1", &wide);
    let refused = run(&wide, &[], &out, None);
    let printed = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(13), "{printed}");
    assert!(
        printed.contains("h264 requires at most 16384×16384 pixels"),
        "{printed}"
    );
}

#[test]
fn two_pass_statistics_are_kept_in_a_folder_of_any_name() {
    let place = tempfile::tempdir().unwrap();
    let clip = clip(place.path(), "testsrc2=d=2:s=160x96:r=10", "-crf 8");
    let folder = place.path().join(OsStr::from_bytes(b"o:d=d '\\\xff"));
    std::fs::create_dir(&folder).unwrap();
    let out = place.path().join("out.mp4");
    for ffmpeg in crate::all_ffmpegs() {
        for codec in ["h264", "hevc"] {
            let args = ["--max-size", "15kB", "--audio", "none", "--codec", codec];
            let mut command = crate::command(&clip, &args, &out, ffmpeg.as_deref());
            let made = command.env("TMPDIR", &folder).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_frame_rate_above_the_maximum_of_an_encoder_is_no_error() {
    let place = tempfile::tempdir().unwrap();
    let clip = place.path().join("noise.mkv");
    make(
        "-f lavfi -i nullsrc=s=1280x720:r=30:d=0.2,geq=random(1)*255:128:128 -c:v ffv1",
        &clip,
    );
    let limit = clip.metadata().unwrap().len() * 4 / 5;
    for ffmpeg in crate::all_ffmpegs() {
        let out = place.path().join("out.mp4");
        let args = ["--codec", "av1", "--max-size", &limit.to_string()];
        let made = compress(&clip, &args, &out, ffmpeg.as_deref()).unwrap();
        assert!(made["bytes"].as_u64().unwrap() <= limit, "{made}");
    }
}
