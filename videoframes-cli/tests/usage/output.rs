//! Single pictures as files or on stdout, and existing outputs.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use image::ImageFormat;

use crate::{Place, picture};

#[test]
fn one_picture_is_written_as_a_picture_file() {
    let place = Place::new();
    for (args, format) in [
        (&["--at", "1", "-o", "thumb.jpg"][..], ImageFormat::Jpeg),
        (&["-n", "1", "-o", "thumb.jpeg"], ImageFormat::Jpeg),
        (&["--at", "-1", "-o", "thumb.PNG"], ImageFormat::Png),
        (
            &["-n", "1", "-W", "80", "-o", "thumb.webp", "-f", "webp"],
            ImageFormat::WebP,
        ),
        (&["--all", "-e", "0.02", "-o", "first.png"], ImageFormat::Png),
    ] {
        let run = place.run(&[&["extract", "video.mp4", "--json"], args].concat());
        let result = run.json();
        let name = result["output"].as_str().unwrap();
        let width = if args.contains(&"-W") { 80 } else { 160 };
        let (found, found_width, _) = picture(&place.path(name));
        assert_eq!((found, found_width), (format, width), "{args:?}");
        assert_eq!(result["frames"], 1);
        assert_eq!(result["bytes"], fs::metadata(place.path(name)).unwrap().len());
    }
    // The picture equals the picture in the archive.
    place.run(&["extract", "video.mp4", "--at", "1", "-o", "folder/"]);
    let same = fs::read(place.path("folder/frame_000000.jpg")).unwrap();
    assert_eq!(fs::read(place.path("thumb.jpg")).unwrap(), same);
}

#[test]
fn a_picture_file_is_rejected_for_several_pictures_another_format_or_an_existing_file() {
    let place = Place::new();
    let extract = |args: &[&str]| place.run(&[&["extract", "video.mp4"], args].concat());
    for args in [
        &["--fps", "1"][..],
        &["--at", "1,2"],
        &["-n", "2"],
        &["--all"],
        &[],
    ] {
        let several = extract(&[args, &["-o", "thumb.jpg"]].concat());
        several.fails(
            2,
            &["several pictures, but thumb.jpg holds one", "--at TIME or -n 1"],
        );
    }
    let other = extract(&["-n", "1", "-o", "thumb.jpg", "-f", "png"]);
    other.fails(
        2,
        &["--format png contradicts -o thumb.jpg", "hint: omit --format"],
    );
    extract(&["-n", "1", "-o", "thumb.bmp"]).fails(
        2,
        &["'.bmp' is not a supported type of output", ".jpg, .png, .webp"],
    );
    assert_eq!(place.made(), Vec::<String>::new());

    fs::write(place.path("thumb.jpg"), "mine").unwrap();
    extract(&["-n", "1", "-o", "thumb.jpg"]).fails(9, &["-y replaces the existing output"]);
    assert_eq!(fs::read(place.path("thumb.jpg")).unwrap(), b"mine");
    assert_eq!(extract(&["-n", "1", "-o", "thumb.jpg", "--yes"]).code, Some(0));
    assert_eq!(picture(&place.path("thumb.jpg")).0, ImageFormat::Jpeg);
    // A failed run leaves the old file unchanged.
    let before = fs::read(place.path("thumb.jpg")).unwrap();
    extract(&["--at", "1h", "-o", "thumb.jpg", "-y"]).fails(2, &["beyond the end"]);
    assert_eq!(fs::read(place.path("thumb.jpg")).unwrap(), before);
    assert_eq!(place.made(), ["thumb.jpg"]);
}

#[test]
fn stdout_gets_a_picture_for_one_picture_with_a_format_and_a_zip_otherwise() {
    let place = Place::new();
    let bytes = |args: &[&str]| {
        let run = place.run(&[&["extract", "video.mp4", "-o", "-"], args].concat());
        assert_eq!(run.code, Some(0), "{args:?}: {}", run.stderr);
        run.stdout
    };
    for (args, format) in [
        (&["--at", "1", "-f", "png"][..], ImageFormat::Png),
        (&["-n", "1", "--format", "jpg"], ImageFormat::Jpeg),
    ] {
        assert_eq!(image::guess_format(&bytes(args)).unwrap(), format, "{args:?}");
    }
    for args in [
        &["--at", "1"][..],
        &["-n", "2", "-f", "png"],
        &["--all", "-e", "0.02", "-f", "png"],
    ] {
        let archive = zip::ZipArchive::new(std::io::Cursor::new(bytes(args)));
        assert!(archive.is_ok(), "{args:?}");
    }
}

#[test]
fn uncompressed_pictures_are_raw_or_arrays() {
    let place = Place::new();
    let size = 160 * 90 * 3;
    for (args, length) in [
        (&["--at", "1", "-o", "one.raw"][..], size),
        (&["--at", "1", "-o", "one.NPY"], size + 128),
        (
            &["--at", "1", "-o", "deep.npy", "--pixels", "RGB48"],
            2 * size + 128,
        ),
        (
            &["--at", "1", "-W", "80", "-o", "gray.raw", "--pixels", "gray8"],
            80 * 45,
        ),
    ] {
        let result = place
            .run(&[&["extract", "video.mp4", "--json"], args].concat())
            .json();
        let name = result["output"].as_str().unwrap();
        assert_eq!(fs::read(place.path(name)).unwrap().len(), length, "{args:?}");
    }
    let raw = fs::read(place.path("one.raw")).unwrap();
    assert_eq!(&fs::read(place.path("one.NPY")).unwrap()[128..], &raw);
    place.run(&["extract", "video.mp4", "--at", "1", "-o", "one.png"]);
    let png = image::open(place.path("one.png")).unwrap().to_rgb8();
    assert_eq!(&raw, png.as_raw());

    let stdout = |args: &[&str]| {
        let run = place.run(&[&["extract", "video.mp4", "-o", "-"], args].concat());
        assert_eq!(run.code, Some(0), "{args:?}: {}", run.stderr);
        run
    };
    // One picture has no dimension for pictures; several have one.
    assert_eq!(stdout(&["--at", "1", "-f", "raw"]).stdout, raw);
    assert_eq!(stdout(&["--at", "1", "-f", "npy"]).stdout[128..], raw);
    let several = stdout(&["--at", "1,1,2", "-f", "npy"]);
    let shape = String::from_utf8_lossy(&several.stdout[..128]).into_owned();
    assert!(shape.contains("'shape': (3, 90, 160, 3)"), "{shape}");
    assert!(several.stdout[128..].starts_with(&[&raw[..], &raw].concat()));
    assert_eq!(several.stdout.len(), 128 + 3 * size);
    assert!(several.stderr.contains("stdout: 3 frames"), "{}", several.stderr);
    let none = stdout(&["--all", "-s", "1.001", "-e", "1.002", "-f", "npy"]);
    assert!(String::from_utf8_lossy(&none.stdout).contains("'shape': (0, 90, 160, 3)"));
    assert_eq!(stdout(&["--fps", "2", "-f", "raw"]).stdout.len(), 10 * size);
}

#[test]
fn options_of_uncompressed_pictures_are_checked() {
    let place = Place::new();
    let extract = |args: &[&str]| place.run(&[&["extract", "video.mp4"], args].concat());
    extract(&["-f", "png", "--pixels", "rgb24"]).fails(
        2,
        &[
            "--pixels has no effect on png",
            "hint: omit --pixels, or use --format raw or npy",
        ],
    );
    extract(&["--at", "1", "-o", "x.npy", "-q", "5"])
        .fails(2, &["--quality has no effect on npy, which is lossless"]);
    extract(&["-f", "raw", "--pixels", "rgba"]).fails(2, &["rgba", "rgb24, gray8, yuv420p, rgb48, gray16"]);
    extract(&["--all", "-o", "x.npy"]).fails(2, &["several pictures, but x.npy holds one"]);
    extract(&["--all", "-f", "raw", "-o", "-", "--json"]).fails(2, &["--json and -o - both write to stdout"]);
    extract(&["--at", "9", "-f", "raw", "-o", "-"]).fails(2, &["beyond the end"]);
    assert_eq!(place.made(), Vec::<String>::new());
}

#[test]
fn a_closed_pipe_ends_the_decoder() {
    let place = Place::new();
    let mut command = crate::vf();
    command
        .current_dir(place.folder.path())
        .args(["extract", "video.mp4", "--all", "-f", "raw", "-o", "-"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = vec![0; 160 * 90 * 3];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(11),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn nothing_is_written_through_a_link() {
    let place = Place::new();
    fs::write(place.path("precious"), "mine").unwrap();
    for (name, target) in [
        ("link.zip", "precious"),
        ("link.jpg", "precious"),
        ("dangling.zip", "nowhere"),
    ] {
        std::os::unix::fs::symlink(target, place.path(name)).unwrap();
        let run = place.run(&["extract", "video.mp4", "-n", "1", "-y", "-o", name]);
        run.fails(11, &["is a symbolic link"]);
    }
    std::os::unix::fs::symlink("precious", place.path("link.mp4")).unwrap();
    place
        .run(&["compress", "video.mp4", "-y", "-o", "link.mp4"])
        .fails(11, &["is a symbolic link"]);
    assert_eq!(fs::read(place.path("precious")).unwrap(), b"mine");
    assert!(!place.path("nowhere").exists());
}

#[test]
fn names_of_entries_hold_the_time_and_are_valid_on_every_system() {
    let place = Place::new();
    fs::copy(place.path("video.mp4"), place.path("CON.mp4")).unwrap();
    let name = "{stem}/{index:3}_{time}";
    let run = place.run(&[
        "extract", "CON.mp4", "--at", "1.2,2", "--name", name, "-o", "out/",
    ]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for file in ["out/CON_/000_00-00-01.200.jpg", "out/CON_/001_00-00-02.000.jpg"] {
        assert!(place.path(file).is_file(), "{file}");
    }
}
