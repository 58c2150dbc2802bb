//! Single pictures as files or on stdout, and existing outputs.

use std::fs;

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
