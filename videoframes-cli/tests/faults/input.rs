//! Inputs that are not videos, are damaged, or contain wrong metadata.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use crate::{Place, ffmpeg, manifest, vf};

#[test]
fn inputs_without_video_have_distinct_errors() {
    let place = Place::new();
    place.fails(&place.path("missing.mp4"), &[], 3, "no such file");
    place.fails(place.folder.path(), &[], 3, "directory");
    fs::write(place.path("empty.mp4"), "").unwrap();
    place.fails(&place.path("empty.mp4"), &[], 4, "empty");
    fs::write(place.path("text.mp4"), "just some text\n".repeat(500)).unwrap();
    place.fails(&place.path("text.mp4"), &[], 4, "not a video");
    ffmpeg(&["-f", "lavfi", "-i", "sine=d=1"], &place.path("audio.m4a"));
    place.fails(&place.path("audio.m4a"), &[], 5, "no video stream");
    ffmpeg(&["-f", "lavfi", "-i", "sine=d=1"], &place.path("audio.wav"));
    place.fails(&place.path("audio.wav"), &[], 5, "no video stream");
    ffmpeg(
        &["-f", "lavfi", "-i", "testsrc2=s=64x64", "-frames:v", "1"],
        &place.path("cover.png"),
    );
    let (audio, cover) = (place.path("audio.m4a"), place.path("cover.png"));
    let inputs = ["-i", audio.to_str().unwrap(), "-i", cover.to_str().unwrap()];
    let args = [
        &inputs[..],
        &[
            "-map",
            "0",
            "-map",
            "1",
            "-c",
            "copy",
            "-disposition:v:0",
            "attached_pic",
        ],
    ]
    .concat();
    ffmpeg(&args, &place.path("covered.m4a"));
    place.fails(&place.path("covered.m4a"), &[], 5, "no video stream");
    let fifo = place.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    place.fails(&fifo, &[], 3, "not a regular file");
}

#[test]
fn playlists_and_scripts_open_no_other_files() {
    let place = Place::new();
    let video = place.video.to_str().unwrap();
    let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{video}\n#EXT-X-ENDLIST\n");
    for (name, text) in [
        ("list.m3u8", playlist.clone()),
        ("list.mp4", playlist),
        ("list.ffconcat", format!("ffconcat version 1.0\nfile '{video}'\n")),
        (
            "list.sdp",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n".to_owned(),
        ),
    ] {
        fs::write(place.path(name), text).unwrap();
        place.fails(&place.path(name), &[], 4, "not a video");
    }
}

#[test]
fn damaged_videos_fail_or_are_partial() {
    let place = Place::new();
    let whole = fs::read(&place.video).unwrap();
    fs::write(place.path("no_moov.mp4"), &whole[..whole.len() / 2]).unwrap();
    place.fails(&place.path("no_moov.mp4"), &[], 6, "damaged");

    let mkv = place.path("whole.mkv");
    ffmpeg(&["-i", place.video.to_str().unwrap(), "-c", "copy"], &mkv);
    let bytes = fs::read(&mkv).unwrap();
    fs::write(place.path("cut.mkv"), &bytes[..bytes.len() * 2 / 3]).unwrap();
    place.fails(&place.path("cut.mkv"), &["--all"], 6, "damaged");
    let output = place.extract(&place.path("cut.mkv"), &["--all", "--on-error", "partial"]);
    assert_eq!(
        output.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let kept = manifest(&place.path("out.zip"));
    assert_eq!(kept["partial"], true);
    let frames = kept["frames"].as_array().unwrap().len();
    assert!((10..30).contains(&frames), "{frames} frames of 30");
    fs::remove_file(place.path("out.zip")).unwrap();

    let mut flipped = whole.clone();
    let middle = whole.len() / 2;
    flipped[middle..middle + 2000].iter_mut().for_each(|b| *b ^= 0x5a);
    fs::write(place.path("flipped.mp4"), flipped).unwrap();
    place.fails(&place.path("flipped.mp4"), &["--all"], 6, "damaged");
    let output = place.extract(&place.path("flipped.mp4"), &["--all", "--on-error", "partial"]);
    assert_eq!(
        output.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn file_names_have_no_special_meaning() {
    let place = Place::new();
    let names: [&[u8]; 8] = [
        b"with space.mp4",
        b"quo'te\".mp4",
        b"per%dcent%03d.mp4",
        b"-dash.mp4",
        b"non\xffutf8.mp4",
        b"a:b,c;[d].mp4",
        b"[error] corrupt.mp4",
        b"a\n[showinfo@decoded @ 0x1] [info] n:0 pts:77 i:P \nb.mp4",
    ];
    for name in names {
        let path = place.folder.path().join(std::ffi::OsStr::from_bytes(name));
        fs::copy(&place.video, &path).unwrap();
        let manifest = place.succeeds(&path, &["-n", "2", "-y"]);
        assert_eq!(
            manifest["source"]["name"],
            path.file_name().unwrap().to_string_lossy().as_ref()
        );
    }
    let output = vf()
        .current_dir(place.folder.path())
        .args(["extract", "-n", "1", "--", "-dash.mp4"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(place.path("-dash.frames.zip").is_file());
}

#[test]
fn metadata_have_no_special_meaning() {
    let place = Place::new();
    let named = place.path("named.mp4");
    let video = place.video.to_str().unwrap();
    let title = "title=[error] damaged: hello\n[h264 @ 0x1] [error] corrupt";
    ffmpeg(&["-i", video, "-c", "copy", "-metadata", title], &named);
    place.succeeds(&named, &["-n", "2", "--strategy", "plain"]);
}

#[test]
fn videos_with_changing_size_or_restarting_timestamps_are_extracted() {
    let place = Place::new();
    let (wide, tall) = (place.path("wide.ts"), place.path("tall.ts"));
    for (size, offset, out) in [("320x240", "0", &wide), ("240x426", "1", &tall)] {
        let source = format!("testsrc2=s={size}:r=10:d=1");
        let args = [
            "-f",
            "lavfi",
            "-i",
            &source,
            "-pix_fmt",
            "yuv420p",
            "-output_ts_offset",
            offset,
        ];
        ffmpeg(&[&args[..], &["-muxdelay", "0"]].concat(), out);
    }
    let joined = place.path("joined.ts");
    let parts = [fs::read(&wide).unwrap(), fs::read(&tall).unwrap()];
    fs::write(&joined, parts.concat()).unwrap();
    // In a stream joined this way, the packet counters jump, which counts as damage.
    let extract = |video: &Path, format: &str| {
        let output = place.extract(video, &["--all", "-y", "-f", format, "--on-error", "partial"]);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 7)), "{printed}");
        manifest(&place.path("out.zip"))["frames"]
            .as_array()
            .unwrap()
            .clone()
    };
    for format in ["jpg", "png"] {
        let frames = extract(&joined, format);
        assert!(frames.len() >= 18, "{}", frames.len());
        assert!(frames.iter().all(|f| f["width"] == 320 && f["height"] == 240));
    }
    let again = place.path("again.ts");
    fs::write(&again, [&parts[0][..], &parts[0]].concat()).unwrap();
    assert!(extract(&again, "jpg").len() >= 10);
}

#[test]
fn damage_after_the_last_pick_is_ignored() {
    let place = Place::with("testsrc2=s=320x180:r=25:d=20,noise=alls=20:allf=t");
    let video = place.path("spoiled.mkv");
    let copy = ["-i", place.video.to_str().unwrap(), "-c", "copy"];
    ffmpeg(&copy, &video);
    let mut bytes = fs::read(&video).unwrap();
    let (from, to) = (bytes.len() / 2, bytes.len() * 9 / 10);
    bytes[from..to].fill(0x55);
    fs::write(&video, bytes).unwrap();
    // Decoding stops after the last pick, so the decoder must output the last pick before decoding the rest.
    for range in [["--all", "--end=2s"], ["--at=1s", "--quiet"]] {
        place.succeeds(&video, &[&range[..], &["-y", "--strategy", "plain"]].concat());
    }
    fs::remove_file(place.path("out.zip")).unwrap();
    place.fails(&video, &["--fps", "1"], 6, "damaged");
}
