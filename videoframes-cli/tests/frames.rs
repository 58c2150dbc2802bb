//! Uncompressed frames are the frames of `vf extract -f png`, on every clip of the corpus: as a stream of the
//! library, and as bytes of `vf`. Set `VF_TEST_FFMPEG` to run everything with a second ffmpeg as well.
#![allow(clippy::unwrap_used)]

mod corpus;

use std::path::Path;
use std::process::Command;

use corpus::clips::{Clip, Group};
use corpus::truth::Truth;
use corpus::{barcode, cache, runner, vf};
use videoframes_core::extract::PixelFormat;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::{Frame, FramesRequest, Pipeline};
use videoframes_core::plan::Strategy;
use videoframes_core::select::Selection;
use videoframes_core::source::FileSource;

/// Returns all frames of a clip.
fn stream(clip: &Path, request: FramesRequest, ffmpeg: Option<&Path>) -> Result<Vec<Frame>, String> {
    let pipeline = Pipeline::new(FfmpegExtractor::new(ffmpeg.map(Path::to_owned)));
    let source = FileSource::open(clip).map_err(|e| e.to_string())?;
    let frames = pipeline.frames_blocking(source, &request);
    let frames: Result<Vec<Frame>, _> = frames.map_err(|e| e.to_string())?.collect();
    frames.map_err(|e| e.to_string())
}

fn all() -> FramesRequest {
    FramesRequest::new(Selection::All)
}

/// Runs `vf extract CLIP ARGS -o -`, and returns stdout.
fn stdout(clip: &Path, args: &[&str], ffmpeg: Option<&Path>) -> Result<Vec<u8>, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
    command.arg("extract").arg(clip).args(args).args(["-o", "-"]);
    if let Some(ffmpeg) = ffmpeg {
        command.arg("--ffmpeg").arg(ffmpeg);
    }
    Ok(cache::run(&mut command, &[])?.stdout)
}

/// Compares a stream of RGB frames with PNG pictures and the manifest.
fn check_stream(archive: &vf::Archive, frames: &[Frame], truth: &Truth) -> Result<(), String> {
    if frames.len() != archive.pictures.len() {
        return Err(format!(
            "{} frames, {} pictures",
            frames.len(),
            archive.pictures.len()
        ));
    }
    for (index, (frame, picture)) in frames.iter().zip(&archive.pictures).enumerate() {
        let image = picture.decode()?.to_rgb8();
        if (frame.width, frame.height) != image.dimensions() {
            return Err(format!("frame {index} is {}x{}", frame.width, frame.height));
        }
        if frame.shape() != [frame.height as usize, frame.width as usize, 3] {
            return Err(format!("frame {index} has the shape {:?}", frame.shape()));
        }
        if frame.data != image.as_raw() {
            return Err(format!("frame {index} has other pixels than its PNG"));
        }
        let entry = &archive.manifest["frames"][index];
        let same = entry["pts"] == frame.pts
            && entry["frame"] == frame.frame
            && entry["target"] == frame.target.to_string()
            && entry["time_base"] == frame.time_base.to_string()
            && entry["repeated"] == frame.repeated;
        if !same || frame.index != index || frame.timestamp != frame.target {
            return Err(format!("{frame:?} is not {entry}"));
        }
        let time = truth.time(index).to_f64();
        let timestamp = *frame.timestamp.numer() as f64 / *frame.timestamp.denom() as f64;
        if (timestamp - time).abs() > 1e-9 {
            return Err(format!("frame {index} is at {timestamp}, not at {time}"));
        }
    }
    Ok(())
}

/// Compares the numbers in luma with those of the clip.
fn check_numbers(luma: &[u8], clip: &Clip, truth: &Truth) -> Result<(), String> {
    let (w, h) = clip.shown;
    let numbers: Result<Vec<u32>, String> = luma.chunks(w * h).map(|l| barcode::read(l, w, h)).collect();
    let expected: Vec<u32> = truth.frames.iter().map(|frame| frame.number).collect();
    match numbers? == expected {
        true => Ok(()),
        false => Err("other frames than in the clip".to_owned()),
    }
}

fn failures(clip: &Clip, ffmpeg: Option<&Path>) -> Vec<String> {
    let (path, truth) = match clip.ready() {
        Ok(ready) => ready,
        Err(e) => return vec![format!("cannot make {e}")],
    };
    let archive = match vf::extract(&path, &["--all", "-f", "png"], ffmpeg) {
        Ok(archive) => archive,
        Err(e) => return vec![format!("{} as png: {e}", clip.name)],
    };
    let mut failures = Vec::new();
    let mut check = |what: &str, outcome: Result<(), String>| {
        failures.extend(outcome.err().map(|e| format!("{} {what}: {e}", clip.name)));
    };
    for strategy in [Strategy::Auto, Strategy::Plain] {
        let frames = stream(&path, all().strategy(strategy), ffmpeg);
        let checked = frames.and_then(|frames| check_stream(&archive, &frames, &truth));
        check(&format!("by {strategy}"), checked);
    }
    let planned = match stream(&path, all().strategy(Strategy::Planned), ffmpeg) {
        Err(e) if e.contains("cannot be planned") => Ok(()),
        frames => frames.and_then(|frames| check_stream(&archive, &frames, &truth)),
    };
    check("by a plan", planned);
    let gray = stdout(&path, &["--all", "-f", "raw", "--pixels", "gray8"], ffmpeg);
    check(
        "in gray",
        gray.and_then(|luma| check_numbers(&luma, clip, &truth)),
    );
    let npy = stdout(&path, &["--all", "-f", "npy", "-j", "2"], ffmpeg).and_then(|npy| {
        let (w, h) = (clip.shown.0 as u32, clip.shown.1 as u32);
        let mut expected = PixelFormat::Rgb24.npy_header(w, h, Some(archive.pictures.len()));
        for picture in &archive.pictures {
            expected.extend(picture.decode()?.to_rgb8().as_raw());
        }
        match npy == expected {
            true => Ok(()),
            false => Err("another array than of the pictures".to_owned()),
        }
    });
    check("as npy", npy);
    failures
}

fn run(group: Group, ffmpeg: Option<&Path>) {
    runner::run(|clip| clip.group == group, |clip| failures(clip, ffmpeg));
}

/// Runs the group with the second ffmpeg, or reports that there is none.
fn run_other(group: Group) {
    if let Some(ffmpeg) = vf::other_ffmpeg() {
        run(group, Some(&ffmpeg));
    }
}

#[test]
fn frames_are_exact_in_every_container() {
    run(Group::Containers, None);
}

#[test]
fn frames_are_exact_in_every_container_with_another_ffmpeg() {
    run_other(Group::Containers);
}

#[test]
fn frames_are_exact_for_every_codec() {
    run(Group::Codecs, None);
}

#[test]
fn frames_are_exact_for_every_codec_with_another_ffmpeg() {
    run_other(Group::Codecs);
}

#[test]
fn frames_are_exact_for_irregular_times() {
    run(Group::Timing, None);
}

#[test]
fn frames_are_exact_for_irregular_times_with_another_ffmpeg() {
    run_other(Group::Timing);
}

#[test]
fn frames_are_upright_square_and_whole() {
    run(Group::Geometry, None);
}

#[test]
fn frames_are_upright_square_and_whole_with_another_ffmpeg() {
    run_other(Group::Geometry);
}

#[test]
fn samples_of_yuv_videos_stay_unchanged() {
    let clip = |name| {
        corpus::clips::all()
            .into_iter()
            .find(|clip| clip.name == name)
            .unwrap()
    };
    for (name, pixels) in [
        ("h264.mp4", "yuv420p"),
        ("odd.webm", "yuv420p"),
        ("mjpeg.mov", "yuvj420p"),
    ] {
        let (path, _) = clip(name).ready().unwrap();
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-nostdin", "-i"]).arg(&path);
        ffmpeg.args([
            "-pix_fmt",
            pixels,
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-",
        ]);
        let decoded = cache::run(&mut ffmpeg, &[]).unwrap().stdout;
        let raw = stdout(&path, &["--all", "-f", "raw", "--pixels", "yuv420p"], None).unwrap();
        assert!(
            raw == decoded,
            "{name}: {} and {} bytes",
            raw.len(),
            decoded.len()
        );
        let frames = stream(&path, all().pixels(PixelFormat::Yuv420p), None).unwrap();
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.data.to_vec()).collect();
        assert!(bytes == decoded, "{name}");
    }
}

#[test]
fn deep_frames_hold_more_than_eight_bits() {
    let clip = corpus::clips::all()
        .into_iter()
        .find(|clip| clip.name == "h264_10bit.mp4");
    let (path, truth) = clip.as_ref().unwrap().ready().unwrap();
    let frames = |pixels| stream(&path, all().pixels(pixels), None).unwrap();
    let (eight, deep) = (frames(PixelFormat::Rgb24), frames(PixelFormat::Rgb48));
    assert_eq!(deep.len(), truth.frames.len());
    let mut between = 0;
    for (eight, deep) in eight.iter().zip(&deep) {
        assert_eq!(deep.data.len(), 2 * eight.data.len());
        for (low, high) in eight.data.iter().zip(deep.data.chunks_exact(2)) {
            let high = u32::from(u16::from_le_bytes([high[0], high[1]]));
            // The 8-bit value times 257 is the same colour.
            assert!(
                high.abs_diff(u32::from(*low) * 257) <= 3 * 257,
                "{low} and {high}"
            );
            between += u32::from(high % 257 != 0);
        }
    }
    assert!(between > 1000, "{between} samples between two 8-bit values");

    let gray = frames(PixelFormat::Gray16);
    let luma: Vec<u8> = gray
        .iter()
        .flat_map(|frame| frame.data.chunks_exact(2).map(|s| s[1]))
        .collect();
    check_numbers(&luma, clip.as_ref().unwrap(), &truth).unwrap();
}

#[test]
fn smaller_and_selected_frames_are_those_of_an_archive() {
    let clip = corpus::clips::all()
        .into_iter()
        .find(|clip| clip.name == "rotated_90.mp4");
    let (path, _) = clip.unwrap().ready().unwrap();
    for args in [
        &["--fps", "60", "-W", "48"][..],
        &["--at", "0.4,0.4,90%", "-H", "33"],
        &["--random", "7", "--no-rotate"],
        &["--all", "-s", "50%"],
    ] {
        let archive = |format: &str| vf::extract(&path, &[args, &["-f", format]].concat(), None).unwrap();
        let (png, raw, npy) = (archive("png"), archive("raw"), archive("npy"));
        assert_eq!(raw.manifest["request"]["pixels"], "rgb24");
        assert_eq!(raw.manifest["request"]["quality"], serde_json::Value::Null);
        let mut bytes = Vec::<u8>::new();
        for (index, picture) in png.pictures.iter().enumerate() {
            let image = picture.decode().unwrap().to_rgb8();
            assert!(raw.pictures[index].name.ends_with(".raw") && npy.pictures[index].name.ends_with(".npy"));
            assert!(&raw.pictures[index].bytes == image.as_raw(), "{args:?} {index}");
            let header = PixelFormat::Rgb24.npy_header(image.width(), image.height(), None);
            assert!(npy.pictures[index].bytes == [&header, image.as_raw().as_slice()].concat());
            bytes.extend(image.as_raw());
        }
        let streamed = stdout(&path, &[args, &["-f", "raw"]].concat(), None).unwrap();
        assert!(streamed == bytes, "{args:?}");
    }
}
