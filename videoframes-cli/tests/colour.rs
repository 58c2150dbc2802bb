//! Pictures have the colours of the video, as JPEG, PNG, WebP and in all pixel formats, for all colour tags.
//!
//! The patches are converted to YUV here, by the formulas of ITU-R BT.601 and BT.709.
#![allow(clippy::unwrap_used)]

mod corpus;

use std::path::{Path, PathBuf};
use std::process::Command;

use corpus::{cache, vf};
use videoframes_core::extract::PixelFormat;

const COLUMNS: usize = 4;
const ROWS: usize = 2;
const PATCHES: [[u8; 3]; COLUMNS * ROWS] = [
    [200, 50, 50],
    [50, 200, 50],
    [50, 50, 200],
    [235, 180, 30],
    [30, 30, 30],
    [128, 128, 128],
    [225, 225, 225],
    [90, 160, 190],
];
/// Maximum difference of a channel in code values.
const TOLERANCE: i32 = 4;

#[derive(Debug, Clone, Copy)]
enum Matrix {
    Bt601,
    Bt709,
}

/// A clip of flat patches.
#[derive(Debug)]
struct Flat {
    name: &'static str,
    size: (usize, usize),
    matrix: Matrix,
    full_range: bool,
    tags: &'static str,
    /// Expected tags of the decoded video, compared with `ffprobe`.
    seen: &'static str,
}

fn flats() -> Vec<Flat> {
    vec![
        Flat {
            name: "flat_bt709.mp4",
            size: (1280, 720),
            matrix: Matrix::Bt709,
            full_range: false,
            tags: "-color_range tv -colorspace bt709 -color_primaries bt709 -color_trc bt709",
            seen: "tv bt709",
        },
        Flat {
            name: "flat_untagged_hd.mp4",
            size: (1280, 720),
            matrix: Matrix::Bt709,
            full_range: false,
            tags: "",
            seen: "unknown unknown",
        },
        Flat {
            name: "flat_bt601.mp4",
            size: (640, 480),
            matrix: Matrix::Bt601,
            full_range: false,
            tags: "-color_range tv -colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m",
            seen: "tv smpte170m",
        },
        Flat {
            name: "flat_untagged_sd.mp4",
            size: (640, 480),
            matrix: Matrix::Bt601,
            full_range: false,
            tags: "",
            seen: "unknown unknown",
        },
        Flat {
            name: "flat_full_range.mp4",
            size: (1280, 720),
            matrix: Matrix::Bt709,
            full_range: true,
            tags: "-color_range pc -colorspace bt709 -color_primaries bt709 -color_trc bt709",
            seen: "pc bt709",
        },
    ]
}

/// Converts R'G'B' to Y'CbCr, both in 8-bit codes.
fn yuv([r, g, b]: [u8; 3], matrix: Matrix, full_range: bool) -> [u8; 3] {
    let (kr, kb) = match matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
    };
    let [r, g, b] = [r, g, b].map(|v| f64::from(v) / 255.0);
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let (cb, cr) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
    let (offset, luma, chroma) = if full_range {
        (0.0, 255.0, 255.0)
    } else {
        (16.0, 219.0, 224.0)
    };
    [offset + luma * y, 128.0 + chroma * cb, 128.0 + chroma * cr].map(|v| v.round() as u8)
}

impl Flat {
    fn raw(&self) -> Vec<u8> {
        let (w, h) = self.size;
        let patches = PATCHES.map(|rgb| yuv(rgb, self.matrix, self.full_range));
        let plane = |channel: usize, w: usize, h: usize| {
            (0..w * h).map(move |i| patches[(i / w) * ROWS / h * COLUMNS + (i % w) * COLUMNS / w][channel])
        };
        plane(0, w, h)
            .chain(plane(1, w / 2, h / 2))
            .chain(plane(2, w / 2, h / 2))
            .collect()
    }

    fn ready(&self) -> Result<PathBuf, String> {
        let recipe = format!("1 {self:?} {PATCHES:?} {:?}", cache::encoder());
        cache::kept(self.name, &recipe, |place| self.make(&place.join(self.name)))
            .map(|place| place.join(self.name))
    }

    fn make(&self, target: &Path) -> Result<(), String> {
        let mut command = Command::new(cache::encoder());
        command.args([
            "-hide_banner",
            "-v",
            "error",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
        ]);
        command.args([
            "-s",
            &format!("{}x{}", self.size.0, self.size.1),
            "-r",
            "25",
            "-i",
            "-",
        ]);
        command.args(["-c:v", "libx264", "-preset", "veryfast", "-qp", "4", "-bf", "0"]);
        command.args(self.tags.split_whitespace()).arg(target);
        cache::run(&mut command, &self.raw().repeat(5))?;
        self.check(target)
    }

    /// Fails unless the clip contains the converted patches and the intended tags.
    fn check(&self, clip: &Path) -> Result<(), String> {
        let mut command = Command::new("ffprobe");
        command.args([
            "-v",
            "error",
            "-select_streams",
            "V:0",
            "-of",
            "default=nw=1:nk=1",
        ]);
        command
            .args(["-show_entries", "stream=color_range,color_space"])
            .arg(clip);
        let printed = cache::run(&mut command, &[])?;
        let seen = String::from_utf8_lossy(&printed.stdout)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        if seen != self.seen {
            return Err(format!("is tagged {seen}, not {}", self.seen));
        }
        let mut command = Command::new(cache::encoder());
        command.args(["-nostdin", "-v", "error", "-i"]).arg(clip);
        // Requests the format of the decoder, since another format would cause a conversion.
        command.args(["-frames:v", "1", "-f", "rawvideo", "-"]);
        let decoded = cache::run(&mut command, &[])?.stdout;
        let raw = self.raw();
        // Nearly all bytes must be close; edges of patches ring.
        let off = raw
            .iter()
            .zip(&decoded)
            .filter(|(a, b)| a.abs_diff(**b) > 1)
            .count();
        if decoded.len() != raw.len() || off * 50 > raw.len() {
            return Err(format!("{off} of {} bytes are not as drawn", raw.len()));
        }
        Ok(())
    }

    /// Returns the mean samples in the middle of each patch, in the second uncompressed picture.
    fn raw_samples(&self, pixels: &str, ffmpeg: Option<&Path>) -> Result<Vec<Vec<i32>>, String> {
        let args = ["--all", "-f", "raw", "--pixels", pixels];
        let archive = vf::extract(&self.ready()?, &args, ffmpeg)?;
        let picture = archive.pictures.get(1).ok_or("fewer than two pictures")?;
        let format: PixelFormat = pixels.parse().unwrap();
        let (width, height) = (self.size.0 as u32, self.size.1 as u32);
        if picture.bytes.len() != format.picture_bytes(width, height) {
            return Err(format!("{} bytes", picture.bytes.len()));
        }
        let bytes = format.sample_bytes();
        let mean = |patch: usize| {
            let planes = format.planes(width, height);
            planes.into_iter().flat_map(move |plane| {
                let channels = if pixels.starts_with("rgb") { 3 } else { 1 };
                let (w, h) = (plane.stride / bytes / channels / COLUMNS, plane.rows / ROWS);
                let (left, top) = (patch % COLUMNS * w + w / 4, patch / COLUMNS * h + h / 4);
                (0..channels).map(move |channel| {
                    let mut sum = 0;
                    for y in top..top + h / 2 {
                        for x in left..left + w / 2 {
                            let at = plane.offset + y * plane.stride + (x * channels + channel) * bytes;
                            sum += match bytes {
                                1 => u64::from(picture.bytes[at]),
                                _ => {
                                    u64::from(u16::from_le_bytes([picture.bytes[at], picture.bytes[at + 1]]))
                                }
                            };
                        }
                    }
                    let count = (w / 2 * (h / 2)) as u64;
                    ((sum + count / 2) / count) as i32
                })
            })
        };
        Ok((0..PATCHES.len()).map(|patch| mean(patch).collect()).collect())
    }

    /// Returns the samples of a patch in a pixel format, according to its documentation.
    fn expected_samples(&self, patch: usize, pixels: &str) -> Vec<i32> {
        let [r, g, b] = PATCHES[patch].map(i32::from);
        let luma = i32::from(yuv(PATCHES[patch], self.matrix, true)[0]);
        match pixels {
            "rgb24" => vec![r, g, b],
            "rgb48" => [r, g, b].map(|v| v * 257).to_vec(),
            "gray8" => vec![luma],
            "gray16" => vec![luma * 257],
            _ => yuv(PATCHES[patch], self.matrix, self.full_range)
                .map(i32::from)
                .to_vec(),
        }
    }

    /// Returns the mean colours in the middle of each patch, in the second picture of `vf extract --all`.
    fn extracted(&self, format: &str, ffmpeg: Option<&Path>) -> Result<Vec<[i32; 3]>, String> {
        let archive = vf::extract(&self.ready()?, &["--all", "-f", format], ffmpeg)?;
        let picture = archive.pictures.get(1).ok_or("fewer than two pictures")?;
        if !picture.name.ends_with(&format!(".{format}")) {
            return Err(format!("{} is no {format}", picture.name));
        }
        let image = picture.decode()?.to_rgb8();
        if (image.width() as usize, image.height() as usize) != self.size {
            return Err(format!(
                "{} is {}x{}",
                picture.name,
                image.width(),
                image.height()
            ));
        }
        let (w, h) = (self.size.0 / COLUMNS, self.size.1 / ROWS);
        let middle = |patch: usize| {
            let (left, top) = (patch % COLUMNS * w + w / 4, patch / COLUMNS * h + h / 4);
            let mut sum = [0u64; 3];
            for y in top..top + h / 2 {
                for x in left..left + w / 2 {
                    let pixel = image.get_pixel(x as u32, y as u32).0;
                    (0..3).for_each(|c| sum[c] += u64::from(pixel[c]));
                }
            }
            let count = (w / 2 * (h / 2)) as u64;
            sum.map(|sum| ((sum + count / 2) / count) as i32)
        };
        Ok((0..PATCHES.len()).map(middle).collect())
    }
}

fn far(a: [i32; 3], b: [i32; 3]) -> bool {
    a.iter().zip(b).any(|(a, b)| (a - b).abs() > TOLERANCE)
}

fn failures(flat: &Flat, ffmpeg: Option<&Path>) -> Vec<String> {
    let mut failures = Vec::new();
    let mut formats = Vec::new();
    for format in ["png", "jpg", "webp", "avif"] {
        match flat.extracted(format, ffmpeg) {
            Ok(colours) => formats.push((format, colours)),
            Err(e) => failures.push(format!("{} as {format}: {e}", flat.name)),
        }
    }
    for (patch, rgb) in PATCHES.iter().enumerate() {
        for (n, (format, colours)) in formats.iter().enumerate() {
            let (drawn, seen) = (rgb.map(i32::from), colours[patch]);
            if far(drawn, seen) {
                failures.push(format!(
                    "{} as {format}: {seen:?} instead of {drawn:?}",
                    flat.name
                ));
            }
            for (other, others) in &formats[..n] {
                if far(others[patch], seen) {
                    failures.push(format!(
                        "{}: {format} {seen:?}, {other} {:?}",
                        flat.name, others[patch]
                    ));
                }
            }
        }
    }
    for pixels in ["rgb24", "gray8", "yuv420p", "rgb48", "gray16"] {
        let samples = match flat.raw_samples(pixels, ffmpeg) {
            Ok(samples) => samples,
            Err(e) => {
                failures.push(format!("{} in {pixels}: {e}", flat.name));
                continue;
            }
        };
        let tolerance = if pixels.ends_with("48") || pixels.ends_with("16") {
            257
        } else {
            1
        } * TOLERANCE;
        for (patch, seen) in samples.iter().enumerate() {
            let expected = flat.expected_samples(patch, pixels);
            let far = expected.len() != seen.len()
                || expected.iter().zip(seen).any(|(a, b)| (a - b).abs() > tolerance);
            if far {
                failures.push(format!(
                    "{} in {pixels}: {seen:?} instead of {expected:?}",
                    flat.name
                ));
            }
        }
    }
    failures
}

fn run(ffmpeg: Option<&Path>) {
    let all: Vec<String> = flats().iter().flat_map(|flat| failures(flat, ffmpeg)).collect();
    assert!(all.is_empty(), "{} failures:\n\n{}\n", all.len(), all.join("\n"));
}

#[test]
fn colours_match_the_video_in_every_format() {
    run(None);
}

#[test]
fn colours_match_the_video_in_every_format_with_another_ffmpeg() {
    if let Some(ffmpeg) = vf::other_ffmpeg() {
        run(Some(&ffmpeg));
    }
}

#[test]
fn conversion_to_yuv_agrees_with_published_values() {
    // Limited-range primaries: BT.601 red (81, 90, 240), BT.709 red (63, 102, 240).
    assert_eq!(yuv([255, 0, 0], Matrix::Bt601, false), [81, 90, 240]);
    assert_eq!(yuv([255, 0, 0], Matrix::Bt709, false), [63, 102, 240]);
    assert_eq!(yuv([255, 255, 255], Matrix::Bt709, false), [235, 128, 128]);
    assert_eq!(yuv([0, 0, 0], Matrix::Bt709, true), [0, 128, 128]);
}
