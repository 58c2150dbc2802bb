//! Pictures of videos with an alpha channel, and animated pictures as videos.
//!
//! Set `VF_TEST_FFMPEG` to run everything with a second ffmpeg as well.
#![allow(clippy::unwrap_used)]

mod corpus;

use std::path::{Path, PathBuf};
use std::process::Command;

use corpus::{cache, vf};
use image::{DynamicImage, GenericImageView};

fn all_ffmpegs() -> Vec<Option<PathBuf>> {
    let other = vf::other_ffmpeg();
    std::iter::once(None).chain(other.map(Some)).collect()
}

fn make(args: &str, out: &Path) {
    let mut command = Command::new(cache::encoder());
    command.args(["-v", "error", "-y"]);
    command.args(args.split_whitespace()).arg(out);
    cache::run(&mut command, &[]).unwrap();
}

/// Red pictures whose alpha increases from left to right.
const RED: &str = "-f lavfi -i color=red:s=160x96:r=10:d=1,format=rgba,geq=r=255:g=0:b=0:a=255*X/W";

/// Generates one clip for each way to store an alpha channel.
fn clips(folder: &Path) -> Vec<PathBuf> {
    [
        ("vp9.webm", "-c:v libvpx-vp9 -pix_fmt yuva420p -auto-alt-ref 0"),
        ("vp8.webm", "-c:v libvpx -pix_fmt yuva420p -auto-alt-ref 0"),
        (
            "prores.mov",
            "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le",
        ),
        ("png.mov", "-c:v png"),
        ("qtrle.mov", "-c:v qtrle"),
    ]
    .into_iter()
    .map(|(name, args)| {
        let clip = folder.join(name);
        make(&format!("{RED} {args}"), &clip);
        clip
    })
    .collect()
}

fn pictures(clip: &Path, args: &[&str], ffmpeg: Option<&Path>) -> Vec<DynamicImage> {
    let archive = vf::extract(clip, args, ffmpeg).unwrap();
    let pictures = archive.pictures.iter();
    pictures.map(|picture| picture.decode().unwrap()).collect()
}

#[track_caller]
fn is_near(picture: &DynamicImage, x: u32, expected: [i32; 4], what: &str) {
    let found = picture.get_pixel(x, 48).0;
    let near = found
        .iter()
        .zip(expected)
        .all(|(&found, expected)| (i32::from(found) - expected).abs() <= 12);
    assert!(near, "{what} at {x}: {found:?}, not {expected:?}");
}

#[test]
fn uncompressed_pictures_get_a_white_background() {
    let folder = tempfile::tempdir().unwrap();
    let clips = clips(folder.path());
    for ffmpeg in all_ffmpegs() {
        for clip in &clips {
            for pixels in ["rgb24", "rgb48", "gray8", "gray16", "yuv420p"] {
                let args = ["-n", "1", "-f", "raw", "--pixels", pixels];
                let archive = vf::extract(clip, &args, ffmpeg.as_deref()).unwrap();
                let bytes = &archive.pictures[0].bytes;
                for x in [1, 80, 158] {
                    let what = format!("{} in {pixels} with {ffmpeg:?} at {x}", clip.display());
                    let at = 48 * 160 + x;
                    // The upper byte of a sample with 16 bits.
                    let found: &[u8] = match pixels {
                        "rgb24" => &bytes[3 * at..3 * at + 3],
                        "rgb48" => &[1, 3, 5].map(|byte| bytes[6 * at + byte]),
                        "gray16" => &bytes[2 * at + 1..2 * at + 2],
                        _ => &bytes[at..=at],
                    };
                    let white = 255 - 255 * x as i32 / 160;
                    let luma = (299 * 255 + 701 * white) / 1000;
                    let expected = match pixels {
                        "rgb24" | "rgb48" => vec![255, white, white],
                        "yuv420p" => vec![16 + luma * 219 / 255],
                        _ => vec![luma],
                    };
                    let near = found
                        .iter()
                        .zip(&expected)
                        .all(|(&found, expected)| (i32::from(found) - expected).abs() <= 12);
                    assert!(
                        near && found.len() == expected.len(),
                        "{what}: {found:?}, not {expected:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn png_and_webp_keep_the_alpha_channel_and_jpeg_gets_a_white_background() {
    let folder = tempfile::tempdir().unwrap();
    let clips = clips(folder.path());
    for ffmpeg in all_ffmpegs() {
        for clip in &clips {
            for format in ["png", "webp", "jpg"] {
                let what = format!("{} as {format} with {ffmpeg:?}", clip.display());
                let found = pictures(clip, &["-n", "2", "-f", format], ffmpeg.as_deref());
                assert_eq!(found.len(), 2);
                for picture in &found {
                    assert_eq!((picture.width(), picture.height()), (160, 96));
                    for x in [1, 80, 158] {
                        let alpha = (255 * x / 160) as i32;
                        let white = 255 - alpha;
                        let expected = match format {
                            "jpg" => [255, white, white, 255],
                            // Some encoders do not preserve the colours of transparent pixels.
                            _ if alpha < 12 => {
                                let [.., alpha] = picture.get_pixel(x, 48).0;
                                assert!(alpha < 12, "{what}: {alpha}");
                                continue;
                            }
                            _ => [255, 0, 0, alpha],
                        };
                        is_near(picture, x, expected, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn planned_and_plain_pictures_with_an_alpha_channel_are_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let clips = clips(folder.path());
    for ffmpeg in all_ffmpegs() {
        // Codecs that the planned strategy supports.
        let planned = |clip: &&PathBuf| clip.ends_with("prores.mov") || clip.ends_with("png.mov");
        for clip in clips.iter().filter(planned) {
            for format in ["png", "webp", "jpg"] {
                let bytes = |strategy| {
                    let args = ["-n", "3", "-f", format, "--strategy", strategy];
                    let archive = vf::extract(clip, &args, ffmpeg.as_deref()).unwrap();
                    archive.pictures.into_iter().map(|p| p.bytes).collect::<Vec<_>>()
                };
                assert!(bytes("planned") == bytes("plain"), "{} {format}", clip.display());
            }
        }
    }
}

#[test]
fn a_video_without_an_alpha_channel_gives_pictures_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("opaque.mp4");
    make("-f lavfi -i testsrc2=s=160x96:r=10:d=1 -pix_fmt yuv420p", &clip);
    for picture in pictures(&clip, &["-n", "2", "-f", "png"], None) {
        assert!(!picture.color().has_alpha());
    }
}

#[test]
fn an_animated_png_is_a_video_and_a_still_one_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let (animated, still) = (folder.path().join("a.png"), folder.path().join("still.png"));
    make(&format!("{RED} -f apng -plays 0"), &animated);
    make(&format!("{RED} -frames:v 1"), &still);
    for ffmpeg in all_ffmpegs() {
        let found = pictures(&animated, &["--all", "-f", "png"], ffmpeg.as_deref());
        assert_eq!(found.len(), 10);
        is_near(&found[9], 80, [255, 0, 0, 127], "the last frame");
        let error = vf::extract(&still, &[], ffmpeg.as_deref()).err().unwrap();
        assert!(error.contains("it is a still picture (PNG)"), "{error}");
    }
}

#[test]
fn an_animated_webp_is_read_or_the_error_names_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (animated, still) = (folder.path().join("a.webp"), folder.path().join("still.webp"));
    make("-f lavfi -i testsrc2=s=160x96:r=10:d=1 -loop 0", &animated);
    make("-f lavfi -i testsrc2=s=160x96:r=10:d=1 -frames:v 1", &still);
    for ffmpeg in all_ffmpegs() {
        match vf::extract(&animated, &["--all"], ffmpeg.as_deref()) {
            Ok(archive) => assert_eq!(archive.pictures.len(), 10),
            Err(error) => assert!(error.contains("does not support animated WebP"), "{error}"),
        }
        let error = vf::extract(&still, &[], ffmpeg.as_deref()).err().unwrap();
        assert!(error.contains("it is a still picture (WebP)"), "{error}");
    }
}
