//! `--burn-in time`: pictures show their time, and are otherwise unchanged.

use image::{GenericImageView, RgbImage};

use super::corpus::vf;
use super::{all_ffmpegs, make};

/// Returns the picture without the lower left corner, where the time is.
fn outside(picture: &RgbImage) -> Vec<[u8; 3]> {
    let (width, height) = picture.dimensions();
    let is_outside = |x: u32, y: u32| y < height - 40 || x > width / 2;
    let pixels = picture.enumerate_pixels();
    pixels
        .filter(|(x, y, _)| is_outside(*x, *y))
        .map(|(_, _, pixel)| pixel.0)
        .collect()
}

#[test]
fn every_picture_shows_its_time_and_is_otherwise_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    make(
        "-f lavfi -i testsrc2=s=320x180:r=10:d=4 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 10",
        &clip,
    );
    for ffmpeg in all_ffmpegs() {
        let ffmpeg = ffmpeg.as_deref();
        let extract = |args: &[&str]| vf::extract(&clip, args, ffmpeg).unwrap();
        let plain = extract(&["--all", "-f", "png"]);
        let burned = extract(&["--all", "-f", "png", "--burn-in", "time"]);
        assert_eq!(burned.manifest["request"]["burn_in"], "time");
        assert_eq!((plain.pictures.len(), burned.pictures.len()), (40, 40));
        let mut labels = Vec::new();
        for (without, with) in plain.pictures.iter().zip(&burned.pictures) {
            let (without, with) = (
                without.decode().unwrap().to_rgb8(),
                with.decode().unwrap().to_rgb8(),
            );
            assert!(outside(&without) == outside(&with), "{ffmpeg:?}");
            // The box of the time: white digits on a dark background.
            let label = with.view(0, 180 - 20, 110, 20).to_image();
            let is_white = |pixel: &image::Rgb<u8>| pixel.0.iter().all(|sample| *sample > 240);
            assert!(label.pixels().any(is_white), "{ffmpeg:?}");
            labels.push(label);
        }
        labels.dedup();
        assert_eq!(labels.len(), 40, "every time is another text");

        // The bytes depend neither on the other pictures nor on the strategy.
        for format in ["png", "jpg", "webp"] {
            let burned = |args: &[&str]| extract(&[&["-f", format, "--burn-in", "time"], args].concat());
            let all = burned(&["--all", "--strategy", "plain"]);
            let some = burned(&["--frames", "3,25", "--strategy", "planned", "-j", "2"]);
            assert!(
                some.pictures[1].bytes == all.pictures[25].bytes,
                "{format} {ffmpeg:?}"
            );
        }
    }
}
