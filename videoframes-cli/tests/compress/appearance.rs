//! Colours, HDR metadata and rotation.

use std::path::Path;

use serde_json::Value;

use crate::corpus::vf;
use crate::{compress, make, probe};

const TAGS: &str = "-select_streams v -show_entries \
    stream=codec_name,codec_tag_string,pix_fmt,color_space,color_transfer,color_primaries,color_range";

fn tags(file: &Path) -> Value {
    probe(TAGS, file)["streams"][0].clone()
}

fn colours(file: &Path) -> [String; 4] {
    let tags = tags(file);
    ["color_space", "color_transfer", "color_primaries", "color_range"]
        .map(|name| tags[name].as_str().unwrap_or("-").to_owned())
}

#[test]
fn colour_tags_are_kept() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    for (given, wanted) in [
        (
            "colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv",
            ["bt709", "bt709", "bt709", "tv"],
        ),
        (
            "colorspace=smpte170m:color_primaries=bt470bg:color_trc=smpte170m:range=pc",
            ["smpte170m", "smpte170m", "bt470bg", "pc"],
        ),
        (
            "colorspace=bt2020nc:color_primaries=bt2020:color_trc=bt2020-10:range=tv",
            ["bt2020nc", "bt2020-10", "bt2020", "tv"],
        ),
    ] {
        let source = "-f lavfi -i testsrc2=d=1:s=160x96:r=10";
        make(
            &format!("{source} -vf format=yuv420p,setparams={given} -c:v libx264 -crf 1"),
            &path("in.mp4"),
        );
        assert_eq!(colours(&path("in.mp4")), wanted, "the clip itself");
        for ffmpeg in crate::all_ffmpegs() {
            for args in [
                &["-q", "40"][..],
                &["-q", "40", "--codec", "hevc", "--max-height", "48"],
            ] {
                let result = compress(&path("in.mp4"), args, &path("out.mp4"), ffmpeg.as_deref()).unwrap();
                assert_eq!(result["origin"], "encoded", "{args:?}");
                assert_eq!(colours(&path("out.mp4")), wanted, "{args:?}");
            }
        }
    }
}

#[test]
fn rare_colour_tags_are_no_error() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let plain = path("plain.mp4");
    make(
        "-f lavfi -i testsrc2=d=1:s=160x96:r=10 -c:v libx264 -crf 1",
        &plain,
    );
    let plain = plain.display();
    // YCgCo, ICtCp, IPT-C2 and reserved codes (ITU-T H.273).
    for (printed, matrix) in [
        ("matrix_coefficients=8", Some("ycgco")),
        ("matrix_coefficients=14", Some("ictcp")),
        (
            "matrix_coefficients=10:transfer_characteristics=16:colour_primaries=9",
            None,
        ),
        ("matrix_coefficients=15", None),
        (
            "matrix_coefficients=3:colour_primaries=3:transfer_characteristics=3",
            None,
        ),
        ("colour_primaries=22:transfer_characteristics=10", None),
    ] {
        let clip = path("in.mp4");
        make(
            &format!("-i {plain} -c copy -bsf:v h264_metadata={printed}"),
            &clip,
        );
        for ffmpeg in crate::all_ffmpegs() {
            for codec in ["h264", "hevc"] {
                let args = ["-q", "40", "--codec", codec];
                compress(&clip, &args, &path("out.mp4"), ffmpeg.as_deref()).unwrap();
                if let Some(matrix) = matrix {
                    assert_eq!(colours(&path("out.mp4"))[0], matrix, "{codec}");
                }
            }
            for format in ["png", "jpg", "webp"] {
                let args = ["-n", "1", "--format", format];
                vf::extract(&clip, &args, ffmpeg.as_deref()).unwrap();
            }
        }
    }
}

/// Returns the mean of each plane of the first frame, in 8-bit limited range.
fn means(file: &Path) -> Vec<f64> {
    let mut command = std::process::Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-i"]).arg(file);
    command.args([
        "-frames:v",
        "1",
        "-vf",
        "scale=out_range=tv,format=yuv444p",
        "-f",
        "rawvideo",
        "-",
    ]);
    let planes = crate::corpus::cache::run(&mut command, &[]).unwrap().stdout;
    let mean = |plane: &[u8]| plane.iter().map(|&v| f64::from(v)).sum::<f64>() / plane.len() as f64;
    planes.chunks(planes.len() / 3).map(mean).collect()
}

#[test]
fn colours_look_the_same_for_every_encoding_of_colour() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    for format in ["yuv420p", "yuvj420p", "yuv444p", "yuv422p10le"] {
        let source = "-f lavfi -i smptebars=d=1:s=160x96:r=10";
        make(
            &format!("{source} -pix_fmt {format} -c:v libx264 -crf 1"),
            &path("in.mp4"),
        );
        let wanted = means(&path("in.mp4"));
        for ffmpeg in crate::all_ffmpegs() {
            for codec in ["h264", "hevc", "av1", "vp9"] {
                let args = ["-q", "60", "--codec", codec];
                compress(&path("in.mp4"), &args, &path("out.mp4"), ffmpeg.as_deref()).unwrap();
                let found = means(&path("out.mp4"));
                let near = found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1.5);
                assert!(near, "{format} as {codec}: {found:?} and not {wanted:?}");
            }
        }
    }
}

const HDR: &str = "-f lavfi -i testsrc2=d=1:s=320x180:r=10 -c:v libx265 -pix_fmt yuv420p10le -crf 4 \
    -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -x265-params \
    master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400:log-level=none";

#[test]
fn hdr_is_kept_if_the_codec_supports_it_and_converted_to_sdr_otherwise() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    make(HDR, &path("in.mp4"));
    let light = |file: &Path| {
        let frames = probe(
            "-select_streams V:0 -read_intervals %+#1 -show_frames -show_entries frame=side_data_list",
            file,
        );
        let sides = frames["frames"][0]["side_data_list"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let find = |name: &str| {
            sides
                .iter()
                .map(|side| side[name].clone())
                .find(|value| !value.is_null())
        };
        let ratio = |text: Value| {
            let (n, d) = text
                .as_str()
                .unwrap()
                .split_once('/')
                .map(|(n, d)| (n.to_owned(), d.to_owned()))
                .unwrap();
            n.parse::<f64>().unwrap() / d.parse::<f64>().unwrap()
        };
        (
            find("max_luminance").map(ratio),
            find("red_x").map(ratio),
            find("max_content").and_then(|v| v.as_u64()),
        )
    };
    for ffmpeg in crate::all_ffmpegs() {
        for codec in ["hevc", "av1", "vp9"] {
            let args = ["-q", "40", "--codec", codec];
            compress(&path("in.mp4"), &args, &path("out.mp4"), ffmpeg.as_deref()).unwrap();
            assert_eq!(
                colours(&path("out.mp4")),
                ["bt2020nc", "smpte2084", "bt2020", "tv"],
                "{codec}"
            );
            assert_eq!(tags(&path("out.mp4"))["pix_fmt"], "yuv420p10le", "{codec}");
            if codec != "vp9" {
                let (luminance, red, content) = light(&path("out.mp4"));
                assert!(
                    (luminance.unwrap() - 1000.0).abs() < 1.0,
                    "{codec}: {luminance:?}"
                );
                assert!((red.unwrap() - 0.68).abs() < 0.001, "{codec}: {red:?}");
                assert_eq!(content, Some(1000), "{codec}");
            }
        }
        compress(
            &path("in.mp4"),
            &["-q", "40"],
            &path("out.mp4"),
            ffmpeg.as_deref(),
        )
        .unwrap();
        assert_eq!(colours(&path("out.mp4")), ["bt709", "bt709", "bt709", "tv"]);
        assert_eq!(light(&path("out.mp4")), (None, None, None));
    }
}

#[test]
fn hevc_has_the_tag_that_apple_players_require() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    make(
        "-f lavfi -i testsrc2=d=1:s=160x96 -c:v libx265 -crf 25 -x265-params log-level=none",
        &path("in.mp4"),
    );
    for (quality, origin) in [("20", "encoded"), ("100", "remuxed")] {
        let args = ["--codec", "hevc", "-q", quality];
        let result = compress(&path("in.mp4"), &args, &path("out.mp4"), None).unwrap();
        assert_eq!(result["origin"], origin);
        assert_eq!(tags(&path("out.mp4"))["codec_tag_string"], "hvc1", "{origin}");
    }
}

#[test]
fn hdr_with_only_a_transfer_function_is_converted_to_sdr() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    make(HDR, &path("hdr.mp4"));
    let bare = "hevc_metadata=colour_primaries=2:transfer_characteristics=16:matrix_coefficients=2";
    make(
        &format!("-i {} -c copy -bsf:v {bare}", path("hdr.mp4").display()),
        &path("in.mkv"),
    );
    for ffmpeg in crate::all_ffmpegs() {
        compress(
            &path("in.mkv"),
            &["-q", "40"],
            &path("out.mp4"),
            ffmpeg.as_deref(),
        )
        .unwrap();
        assert_eq!(colours(&path("out.mp4")), ["bt709", "bt709", "bt709", "tv"]);
    }
}

#[test]
fn an_output_that_would_grow_is_still_converted() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let source = "-f lavfi -i testsrc2=d=0.6:s=320x180:r=25";
    let pq = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc";
    for (name, made, codec, format) in [
        (
            "interlaced",
            "-vf tinterlace=interleave_top,fieldorder=tff -c:v libx264 -flags +ilme+ildct -crf 40".to_owned(),
            "h264",
            "yuv420p",
        ),
        (
            "deep",
            format!("-vf format=yuv420p10le,{pq} -c:v libx265 -x265-params log-level=none -crf 45"),
            "h264",
            "yuv420p",
        ),
        (
            "hdr",
            format!("-vf format=yuv420p10le,{pq} -c:v libx264 -crf 45"),
            "h264",
            "yuv420p",
        ),
        (
            "chroma 422",
            "-pix_fmt yuv422p -c:v libx264 -crf 40".to_owned(),
            "h264",
            "yuv420p",
        ),
        (
            "chroma 444",
            "-pix_fmt yuv444p -c:v libx264 -crf 40".to_owned(),
            "h264",
            "yuv420p",
        ),
        (
            "other codec",
            "-pix_fmt yuv420p -c:v libx264 -crf 40".to_owned(),
            "hevc",
            "yuv420p",
        ),
    ] {
        let clip = path(&format!("{name}.mp4"));
        make(&format!("{source} {made}"), &clip);
        for ffmpeg in crate::all_ffmpegs() {
            let out = path("out.mp4");
            let result = compress(&clip, &["-q", "100", "--codec", codec], &out, ffmpeg.as_deref()).unwrap();
            assert_eq!(
                (&result["origin"], &result["codec"]),
                (&"encoded".into(), &codec.into()),
                "{name}: {result}"
            );
            let stream = probe(
                "-select_streams v -show_entries stream=codec_name,pix_fmt,field_order,color_transfer",
                &out,
            );
            let stream = &stream["streams"][0];
            assert_eq!(
                (&stream["codec_name"], &stream["pix_fmt"]),
                (&codec.into(), &format.into()),
                "{name}"
            );
            assert!(
                matches!(
                    stream["field_order"].as_str(),
                    None | Some("progressive" | "unknown")
                ),
                "{name}: {stream}"
            );
            assert_ne!(stream["color_transfer"], "smpte2084", "{name}");
        }
    }
}
