//! Metadata of outputs: chapters and titles are kept, location and device are dropped.

use std::path::Path;

use serde_json::Value;

use crate::{compress, make, probe};

/// Generates a clip with the metadata of a phone, and with chapters.
fn phone(place: &Path) -> std::path::PathBuf {
    let chapters = place.join("chapters.txt");
    let text = ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n\
                [CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Zwö\n";
    std::fs::write(&chapters, text).unwrap();
    let clip = place.join("phone.mov");
    let chapters = chapters.display();
    make(
        &format!(
            "-f lavfi -i testsrc2=d=2:s=160x96 -i {chapters} -map 0:v -map_chapters 1 -map_metadata:g -1 \
             -c:v libx264 -crf 4 -movflags use_metadata_tags -metadata title=Trip \
             -metadata location=+38.7223-009.1393/ -metadata com.apple.quicktime.location.ISO6709=+38.7223-009.1393/ \
             -metadata com.apple.quicktime.make=Apple -metadata com.apple.quicktime.model=iPhone \
             -metadata com.apple.quicktime.software=18.1 -metadata creation_time=2026-01-01T10:00:00Z \
             -metadata:s:v handler_name=Core_Media_Video"
        ),
        &clip,
    );
    clip
}

fn printed(file: &Path) -> Value {
    probe("-show_format -show_streams -show_chapters", file)
}

#[test]
fn location_and_device_are_dropped_and_chapters_kept() {
    let place = tempfile::tempdir().unwrap();
    let clip = phone(place.path());
    assert!(printed(&clip).to_string().contains("+38.7223"), "the clip itself");
    for ffmpeg in crate::all_ffmpegs() {
        // Encoded, and with the streams of the source.
        for (quality, out) in [("30", "a.mp4"), ("100", "b.mp4"), ("30", "c.webm")] {
            let out = place.path().join(out);
            compress(&clip, &["-q", quality], &out, ffmpeg.as_deref()).unwrap();
            let bytes = std::fs::read(&out).unwrap();
            for word in ["38.72", "iPhone", "Apple", "18.1", "Core_Media"] {
                let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
                assert!(!found, "{word} is in {}", out.display());
            }
            let printed = printed(&out);
            let title = &printed["format"]["tags"];
            assert!(title["title"] == "Trip" || title["TITLE"] == "Trip", "{printed}");
            let chapters = printed["chapters"].as_array().unwrap();
            let chapters: Vec<_> = chapters
                .iter()
                .map(|c| {
                    (
                        c["start_time"].as_str().unwrap(),
                        c["tags"]["title"].as_str().unwrap(),
                    )
                })
                .collect();
            assert_eq!(chapters, [("0.000000", "One"), ("1.000000", "Zwö")]);
        }
    }
}

#[test]
fn all_metadata_are_kept_on_request() {
    let place = tempfile::tempdir().unwrap();
    let clip = phone(place.path());
    let out = place.path().join("out.mp4");
    for ffmpeg in crate::all_ffmpegs() {
        compress(&clip, &["-q", "30", "--keep-metadata"], &out, ffmpeg.as_deref()).unwrap();
        let tags = &printed(&out)["format"]["tags"];
        assert_eq!(tags["com.apple.quicktime.make"], "Apple", "{tags}");
        assert_eq!(
            tags["com.apple.quicktime.location.ISO6709"], "+38.7223-009.1393/",
            "{tags}"
        );
        assert_eq!(tags["major_brand"], "isom", "{tags}");
        let created = tags["creation_time"].as_str().unwrap();
        assert!(created.starts_with("2026-01-01T10:00:00"), "{tags}");
    }
}

#[test]
fn languages_are_kept_with_all_and_with_reduced_metadata() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let inputs = "-f lavfi -i testsrc2=d=2:s=160x96:r=10 -f lavfi -i sine=d=2 -map 0 -map 1 -map 1";
    let printed = "-metadata:s:a:0 language=deu -metadata:s:a:0 title=Ton -metadata:s:a:1 language=fra";
    make(
        &format!("{inputs} -c:v libx264 -crf 4 -c:a flac {printed}"),
        &path("in.mkv"),
    );
    for ffmpeg in crate::all_ffmpegs() {
        for args in [&["-q", "30"][..], &["-q", "30", "--keep-metadata"]] {
            for out in ["out.mp4", "out.webm"] {
                compress(&path("in.mkv"), args, &path(out), ffmpeg.as_deref()).unwrap();
                let streams = probe(
                    "-select_streams a -show_entries stream_tags=language,title",
                    &path(out),
                );
                let language = |place: usize| streams["streams"][place]["tags"]["language"].clone();
                // ISO 639-2 has two codes for each of these languages.
                assert!(
                    language(0) == "deu" || language(0) == "ger",
                    "{out} {args:?}: {streams}"
                );
                assert!(
                    language(1) == "fra" || language(1) == "fre",
                    "{out} {args:?}: {streams}"
                );
                // MP4 has no field for the title of a track.
                let titled = args.contains(&"--keep-metadata") && out == "out.webm";
                assert_eq!(
                    streams["streams"][0]["tags"]["title"] == "Ton",
                    titled,
                    "{out} {args:?}"
                );
            }
        }
    }
}

#[test]
fn the_index_comes_first() {
    let place = tempfile::tempdir().unwrap();
    let clip = phone(place.path());
    let out = place.path().join("out.mp4");
    for quality in ["30", "100"] {
        compress(&clip, &["-q", quality], &out, None).unwrap();
        let bytes = std::fs::read(&out).unwrap();
        let at = |name: &[u8]| bytes.windows(4).position(|window| window == name).unwrap();
        assert!(at(b"moov") < at(b"mdat"));
    }
}

#[test]
fn harmless_tags_are_kept_under_the_names_of_every_container() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let tags = "-metadata artist=Ana -metadata album=Far -metadata copyright=Free -metadata comment=Hello";
    make(
        &format!("-f lavfi -i testsrc2=d=1:s=160x96 -c:v libx264 -crf 4 {tags}"),
        &path("in.mkv"),
    );
    compress(&path("in.mkv"), &["-q", "30"], &path("out.mp4"), None).unwrap();
    let tags = printed(&path("out.mp4"))["format"]["tags"].clone();
    let words =
        ["artist", "album", "copyright", "comment"].map(|name| tags[name].as_str().unwrap_or("-").to_owned());
    assert_eq!(words, ["Ana", "Far", "Free", "Hello"], "{tags}");
}
