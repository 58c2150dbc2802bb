//! `--metadata`: Exif and XMP inside of pictures, read by an independent parser.

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use exif::{In, Tag, Value};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use videoframes_core::extract::FrameExtractor;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::limits::Limits;
use videoframes_core::video::IndexReader;

use super::corpus::cache;
use super::corpus::vf::{self, Archive};
use super::make;

const SOURCE: &str = "-f lavfi -i testsrc2=s=160x90:r=30000/1001:d=2 -pix_fmt yuv420p -g 10";
const NAME: &str = "a <b> & 'c' \u{e9}.mov";

/// Writes a clip with these tags.
fn tagged(source: &Path, options: &[&str], tags: &[(&str, &str)], out: &Path) {
    let mut command = Command::new(cache::encoder());
    command
        .args(["-v", "error", "-y", "-i"])
        .arg(source)
        .args(["-c", "copy"])
        .args(options);
    for (name, value) in tags {
        command.arg("-metadata").arg(format!("{name}={value}"));
    }
    cache::run(command.arg(out), &[]).unwrap();
}

/// Makes a clip like that of a phone, with an unusual name.
fn phone(folder: &Path) -> std::path::PathBuf {
    let plain = folder.join("plain.mov");
    make(SOURCE, &plain);
    let clip = folder.join(NAME);
    let tags = [
        ("creation_time", "2024-05-01T12:00:00Z"),
        ("com.apple.quicktime.creationdate", "2024-12-31T23:59:59-0330"),
        ("com.apple.quicktime.make", "Acme]]> <&\">"),
        ("com.apple.quicktime.model", "M\u{f6}bius\u{202e}\n7"),
        ("com.apple.quicktime.location.ISO6709", "-33.5+151.25-010.5/"),
    ];
    tagged(&plain, &["-movflags", "use_metadata_tags"], &tags, &clip);
    clip
}

/// Returns the field of a picture.
fn field(exif: &exif::Exif, tag: Tag) -> String {
    let field = exif.get_field(tag, In::PRIMARY);
    match field.map(|field| &field.value) {
        Some(Value::Ascii(texts)) => String::from_utf8(texts[0].clone()).unwrap(),
        Some(value) => value.display_as(tag).to_string(),
        None => String::new(),
    }
}

/// Returns the XMP packet, which is stored verbatim in all formats.
fn xmp(bytes: &[u8]) -> String {
    let find = |text: &[u8]| bytes.windows(text.len()).position(|window| window == text);
    let (start, end) = (find(b"<?xpacket begin").unwrap(), find(b"<?xpacket end").unwrap());
    String::from_utf8(bytes[start..end].to_vec()).unwrap()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn pictures_tell_their_source_position_and_recording_and_keep_their_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let clip = phone(folder.path());
    let extract = |args: &[&str]| vf::extract(&clip, &[&["--frames", "0,30"], args].concat(), None).unwrap();
    for format in ["jpg", "png", "webp"] {
        let plain = extract(&["-f", format]);
        let archive = extract(&["--metadata", "-f", format]);
        assert_eq!(archive.manifest["request"]["metadata"], "basic");
        assert!(plain.manifest["request"].get("metadata").is_none());
        for (n, (picture, plain)) in archive.pictures.iter().zip(&plain.pictures).enumerate() {
            assert!(
                !has(&plain.bytes, "xpacket") && !has(&plain.bytes, "Exif"),
                "{format}"
            );
            assert!(picture.decode().unwrap() == plain.decode().unwrap(), "{format}");
            let entry = &archive.manifest["frames"][n];
            assert_eq!(entry["bytes"], picture.bytes.len());
            let digest: String = Sha256::digest(&picture.bytes)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(entry["sha256"], digest.as_str());
            assert!(!has(&picture.bytes, "GPS"), "{format}");

            let container = &mut Cursor::new(&picture.bytes);
            let exif = exif::Reader::new().read_from_container(container).unwrap();
            // Frame 30 at 1.001 s, in the zone of the camera.
            let expected = [
                ("2024:12:31 23:59:59", "000", "0"),
                ("2025:01:01 00:00:00", "001", "30"),
            ][n];
            assert_eq!(field(&exif, Tag::DateTimeOriginal), expected.0, "{format}");
            assert_eq!(field(&exif, Tag::SubSecTimeOriginal), expected.1);
            assert_eq!(field(&exif, Tag::OffsetTimeOriginal), "-03:30");
            assert_eq!(field(&exif, Tag(exif::Context::Tiff, 0x9211)), expected.2);
            assert_eq!(field(&exif, Tag::Make), "Acme]]> <&\">");
            assert!(field(&exif, Tag::Software).starts_with("videoframes "));
            // Exif has no text outside of ASCII.
            assert_eq!(field(&exif, Tag::Model), "");
            assert!(
                exif.fields()
                    .all(|field| field.tag.context() != exif::Context::Gps)
            );

            let xmp = xmp(&picture.bytes);
            let source = "a &lt;b&gt; &amp; &apos;c&apos; \u{e9}.mov";
            let position = ["time:0d1001f30000", "time:30030f30000d1001f30000"][n];
            for part in [
                format!("<dc:source>{source}</dc:source>"),
                format!("<stRef:fromPart>/content/visual/video/{position}</stRef:fromPart>"),
                "<tiff:Make>Acme]]&gt; &lt;&amp;&quot;&gt;</tiff:Make>".to_owned(),
                "<tiff:Model>M\u{f6}bius7</tiff:Model>".to_owned(),
            ] {
                assert!(xmp.contains(&part), "{part} is not in {format}: {xmp}");
            }
            assert!(xmp.contains(["2024-12-31T23:59:59.000-03:30", "2025-01-01T00:00:00.001-03:30"][n]));
        }
    }
}

#[test]
fn the_location_is_embedded_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let clip = phone(folder.path());
    for format in ["jpg", "png", "webp"] {
        let archive = vf::extract(&clip, &["-n", "1", "-f", format, "--metadata", "gps"], None).unwrap();
        let container = &mut Cursor::new(&archive.pictures[0].bytes);
        let exif = exif::Reader::new().read_from_container(container).unwrap();
        assert_eq!(field(&exif, Tag::GPSLatitude), "33 deg 30 min 0 sec");
        assert_eq!(field(&exif, Tag::GPSLatitudeRef), "S");
        assert_eq!(field(&exif, Tag::GPSLongitude), "151 deg 15 min 0 sec");
        assert_eq!(field(&exif, Tag::GPSLongitudeRef), "E");
        assert_eq!(field(&exif, Tag::GPSAltitude), "10.5");
        assert_eq!(field(&exif, Tag::GPSAltitudeRef), "below sea level");
    }
}

#[test]
fn pictures_with_an_alpha_channel_and_without_a_recording_have_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("alpha.mov");
    make(
        "-f lavfi -i color=red@0.5:s=64x48:r=10:d=0.3,format=rgba -c:v png",
        &clip,
    );
    for format in ["png", "webp"] {
        let pictures = |args: &[&str]| -> Archive {
            vf::extract(&clip, &[&["-n", "1", "-f", format], args].concat(), None).unwrap()
        };
        let (plain, archive) = (pictures(&[]), pictures(&["--metadata", "gps"]));
        let picture = &archive.pictures[0];
        assert!(picture.decode().unwrap() == plain.pictures[0].decode().unwrap());
        let exif = exif::Reader::new()
            .read_from_container(&mut Cursor::new(&picture.bytes))
            .unwrap();
        assert_eq!(field(&exif, Tag::DateTimeOriginal), "");
        assert!(xmp(&picture.bytes).contains("time:0d"));
        if format == "webp" {
            // The extended header announces alpha channel, Exif and XMP.
            assert_eq!(picture.bytes[20] & 0b0001_1100, 0b0001_1100);
        }
    }
}

#[test]
fn the_index_of_an_mp4_has_the_recording_that_ffprobe_finds() {
    let folder = tempfile::tempdir().unwrap();
    let phone = phone(folder.path());
    let plain = folder.path().join("plain.mov");
    let path = |name: &str| folder.path().join(name);
    let tags = [
        ("creation_time", "2024-05-01T12:00:00Z"),
        ("make", "Acme"),
        ("model", "M\u{f6}bius"),
        ("location", "+48.8577+002.2950/"),
    ];
    tagged(&plain, &[], &tags, &path("user_data.mov"));
    tagged(&plain, &[], &tags, &path("user_data.mp4"));
    tagged(&plain, &[], &[], &path("none.mp4"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut found = Vec::new();
    for clip in [
        phone,
        path("user_data.mov"),
        path("user_data.mp4"),
        path("none.mp4"),
    ] {
        let file = Bytes::from(std::fs::read(&clip).unwrap());
        let mut reader = IndexReader::new(file.len() as u64);
        while let Some(range) = reader.wanted() {
            reader.supply(range.start, file.slice(range.start as usize..range.end as usize));
        }
        let index = reader.finish().unwrap().video.unwrap();
        let (extractor, limits) = (FfmpegExtractor::default(), Limits::default());
        let cancel = CancellationToken::new();
        let described = runtime
            .block_on(extractor.describe(&clip, None, &limits, &cancel))
            .unwrap();
        assert_eq!(index.recording, described.video.recording, "{}", clip.display());
        found.push(index.recording);
    }
    assert!(found[0].location.is_some() && found[1].location.is_some() && found[1].model.is_some());
    assert_eq!(found[3], videoframes_core::video::Recording::default());
}
