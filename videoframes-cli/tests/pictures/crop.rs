//! `--crop`: a rectangle has exactly the pixels of the whole picture.

use std::path::{Path, PathBuf};
use std::process::Command;

use image::{DynamicImage, GenericImageView};

use super::corpus::{cache, vf};
use super::{all_ffmpegs, make};

const SOURCE: &str = "-f lavfi -i testsrc2=s=162x90:r=10:d=1,gblur=3";
const H264: &str = "-pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 5";

/// Generates clips with their displayed sizes.
fn clips(folder: &Path) -> Vec<(PathBuf, u32, u32)> {
    let upright = folder.join("upright.mp4");
    make(&format!("{SOURCE} {H264}"), &upright);
    let rotated = folder.join("rotated.mp4");
    make(
        &format!("-i {} -c copy -metadata:s:v rotate=90", upright.display()),
        &rotated,
    );
    let wide = folder.join("wide.mp4");
    make(&format!("{SOURCE} -vf setsar=4/3 {H264}"), &wide);
    let odd = folder.join("odd.mkv");
    make(
        "-f lavfi -i testsrc2=s=162x92:r=10:d=1,gblur=3,format=yuv444p,crop=161:91:0:0:exact=1 -c:v ffv1",
        &odd,
    );
    vec![
        (upright, 162, 90),
        (rotated, 90, 162),
        (wide, 216, 90),
        (odd, 161, 91),
    ]
}

fn pictures(clip: &Path, args: &[&str], ffmpeg: Option<&Path>) -> Vec<DynamicImage> {
    let archive = vf::extract(clip, args, ffmpeg).unwrap();
    let pictures = archive.pictures.iter();
    pictures.map(|picture| picture.decode().unwrap()).collect()
}

/// Returns the mean absolute difference of two pictures of the same size in code values.
fn difference(one: &DynamicImage, other: &DynamicImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    let (one, other) = (one.to_rgb8(), other.to_rgb8());
    let pairs = one.as_raw().iter().zip(other.as_raw());
    pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / one.as_raw().len() as f64
}

#[test]
fn a_rectangle_has_exactly_the_pixels_of_the_whole_picture() {
    let folder = tempfile::tempdir().unwrap();
    for ffmpeg in all_ffmpegs() {
        for (clip, width, height) in clips(folder.path()) {
            let ffmpeg = ffmpeg.as_deref();
            let select = ["--frames", "0,7", "-f"];
            let png = pictures(&clip, &[&select[..], &["png"]].concat(), ffmpeg);
            assert_eq!(png[0].dimensions(), (width, height), "{}", clip.display());
            // An odd position, an even one, and the lower right corner.
            let rectangles = [
                (33, 21, 13, 7),
                (32, 20, 12, 8),
                (51, 31, width - 51, height - 31),
            ];
            for (index, (w, h, x, y)) in rectangles.into_iter().enumerate() {
                let rectangle = format!("{w}x{h}+{x}+{y}");
                let cropped = |format: &str| {
                    let args = [format, "--crop", &rectangle];
                    vf::extract(&clip, &[&select[..], &args].concat(), ffmpeg).unwrap()
                };
                let what = format!("{rectangle} of {} with {ffmpeg:?}", clip.display());
                let archive = cropped("png");
                assert_eq!(archive.manifest["frames"][1]["width"], w, "{what}");
                assert_eq!(archive.manifest["frames"][1]["height"], h, "{what}");
                assert_eq!(archive.manifest["request"]["crop"], rectangle.as_str());
                for (whole, found) in png.iter().zip(&archive.pictures) {
                    let expected = whole.crop_imm(x, y, w, h).to_rgb8();
                    assert!(found.decode().unwrap().to_rgb8() == expected, "{what}");
                }
                // Chroma of these formats is stored for every second pixel.
                let lossy: &[&str] = match index < 2 && height == 90 {
                    true => &["jpg", "webp"],
                    false => &[],
                };
                for format in lossy {
                    let found = cropped(format).pictures[1].decode().unwrap();
                    let found = difference(&found, &png[1].crop_imm(x, y, w, h));
                    assert!(found < 6.0, "{what} as {format}: {found}");
                }
            }
        }
    }
}

#[test]
fn planned_samples_and_luma_give_the_same_rectangle() {
    let folder = tempfile::tempdir().unwrap();
    let (clip, ..) = clips(folder.path()).swap_remove(0);
    for ffmpeg in all_ffmpegs() {
        let bytes = |args: &[&str]| {
            let archive = vf::extract(&clip, &[&["--frames", "7"], args].concat(), ffmpeg.as_deref());
            archive.unwrap().pictures.remove(0).bytes
        };
        for args in [["--crop", "33x21+13+7"], ["--crop", "16:9"], ["--crop", "64x64"]] {
            for small in [&[][..], &["-W", "20"]] {
                let of = |strategy| bytes(&[&args[..], small, &["--strategy", strategy]].concat());
                assert!(of("planned") == of("plain"), "{args:?} {small:?}");
            }
        }
        // The samples of luma are stored for every pixel, and chroma for every second.
        let whole = bytes(&["-f", "raw", "--pixels", "yuv420p"]);
        for (w, h, x, y) in [(33_usize, 21_usize, 13, 7), (32, 20, 12, 8)] {
            let rectangle = format!("{w}x{h}+{x}+{y}");
            let found = bytes(&["-f", "raw", "--pixels", "yuv420p", "--crop", &rectangle]);
            assert_eq!(found.len(), w * h + 2 * w.div_ceil(2) * h.div_ceil(2));
            for row in 0..h {
                let expected = &whole[(y + row) * 162 + x..][..w];
                assert!(found[row * w..][..w] == *expected, "{rectangle}");
            }
            let found = bytes(&["-f", "raw", "--crop", &rectangle]);
            let streamed = ["-f", "raw", "--crop", &rectangle, "--every-nth", "7", "-o", "-"];
            let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
            let streamed = cache::run(command.arg("extract").arg(&clip).args(streamed), &[]).unwrap();
            assert!(
                streamed.stdout[found.len()..] == *found,
                "{rectangle} as a stream"
            );
            let expected = bytes(&["-f", "png", "--crop", &rectangle]);
            let expected = image::load_from_memory(&expected).unwrap().to_rgb8();
            assert!(found == *expected.as_raw(), "{rectangle}");
        }
    }
}

#[test]
fn a_rectangle_is_reduced_after_it_was_cut_out() {
    let folder = tempfile::tempdir().unwrap();
    for ffmpeg in all_ffmpegs() {
        // Square pixels, and others.
        for (clip, ..) in clips(folder.path()).into_iter().step_by(2) {
            // An even and an odd position: the rectangle of the frame, and that of the picture.
            for rectangle in ["64x48+12+8", "64x48+13+9"] {
                for format in ["png", "jpg"] {
                    let picture = |args: &[&str]| {
                        let base = ["--frames", "3", "-f", format, "--crop", rectangle];
                        pictures(&clip, &[&base, args].concat(), ffmpeg.as_deref()).remove(0)
                    };
                    let expected = picture(&[]).resize_exact(32, 24, image::imageops::CatmullRom);
                    let found = difference(&picture(&["-W", "32"]), &expected);
                    let what = format!("{rectangle} of {} as {format} with {ffmpeg:?}", clip.display());
                    assert!(found < 4.0, "{what}: {found}");
                }
            }
        }
    }
}

#[test]
fn a_frame_of_another_size_is_fitted_before_the_rectangle_is_cut_out() {
    let folder = tempfile::tempdir().unwrap();
    let part = |name: &str, source: &str, start: &str| {
        let path = folder.path().join(name);
        make(
            &format!("-f lavfi -i {source},gblur=3 {H264} -output_ts_offset {start} -f mpegts"),
            &path,
        );
        std::fs::read(path).unwrap()
    };
    // The second part has another shape.
    let parts = [
        part("a.ts", "testsrc2=s=128x96:r=10:d=0.5", "0"),
        part("b.ts", "testsrc2=s=64x96:r=10:d=0.5", "0.5"),
    ];
    let clip = folder.path().join("sizes.ts");
    std::fs::write(&clip, parts.concat()).unwrap();
    for ffmpeg in all_ffmpegs() {
        let whole = pictures(&clip, &["--all", "-f", "png"], ffmpeg.as_deref());
        assert!(whole.len() > 6, "{} pictures", whole.len());
        let cropped = pictures(
            &clip,
            &["--all", "-f", "png", "--crop", "25x47+13+25"],
            ffmpeg.as_deref(),
        );
        let small = ["--all", "-f", "png", "--crop", "32x48+12+24", "-W", "16"];
        let small = pictures(&clip, &small, ffmpeg.as_deref());
        assert_eq!((cropped.len(), small.len()), (whole.len(), whole.len()));
        for ((whole, cropped), small) in whole.iter().zip(&cropped).zip(&small) {
            // Borders around the fitted frames begin at whole chroma samples.
            let found = difference(cropped, &whole.crop_imm(13, 25, 25, 47));
            assert!(found < 4.0, "{found}");
            let expected = whole.crop_imm(12, 24, 32, 48);
            let expected = expected.resize_exact(16, 24, image::imageops::CatmullRom);
            let found = difference(small, &expected);
            assert!(found < 4.0, "{found}");
        }
    }
}

#[test]
fn a_rectangle_outside_the_picture_is_an_error_that_names_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let (clip, ..) = clips(folder.path()).swap_remove(1);
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
        let output = command
            .current_dir(folder.path())
            .args(args)
            .arg(&clip)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for command in ["extract", "thumbnail", "sheet", "storyboard"] {
        let (code, stderr) = run(&[command, "--crop", "91x5+0+0"]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(
            stderr.contains("91x5+0+0") && stderr.contains("90×162"),
            "{stderr}"
        );
    }
    let (code, stderr) = run(&["extract", "--crop", "5x0+0+0"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("WIDTHxHEIGHT+X+Y") && stderr.contains("--crop"),
        "{stderr}"
    );
    assert!(
        cache::run(Command::new("ls").arg(folder.path()), &[])
            .is_ok_and(|said| { !String::from_utf8_lossy(&said.stdout).contains("zip") })
    );
}
