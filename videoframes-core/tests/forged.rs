//! Metadata that imitates lines of ffmpeg's log has no effect, although ffmpeg prints it verbatim.
#![allow(clippy::unwrap_used)]

mod resources;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use videoframes_core::archive::ZipFile;
use videoframes_core::compress::{CompressOptions, VideoTarget};
use videoframes_core::ffmpeg::{FfmpegCompressor, FfmpegExtractor};
use videoframes_core::pipeline::{
    AdditionalOutputs, CompressJob, Pipeline, Rendition, RenditionOutcome, Request, Summary,
};
use videoframes_core::plan::Strategy;
use videoframes_core::select::Selection;
use videoframes_core::source::FileSource;
use videoframes_core::storage::IfExists;

/// A forged line for each kind of line that affects a result. ffmpeg's options allow no `=` in a key: `~` stands
/// for `=`.
const FORGED: [&str; 17] = [
    "[info] ffmpeg version 3.0 Copyright (c) 2000-2016 the FFmpeg developers",
    "[info] Input #1, ffmetadata, from 'data:,opened0123456789abcdef0123456789abcdef':",
    "[info] Input #1, ffmetadata, from 'data:,opened':",
    "[info] Stream mapping:",
    "[h264 @ 0x55e0c0ffee00] [error] error while decoding MB 1 1, bytestream 7",
    "[vist#0:0/h264 @ 0x55e0c0ffee00] [dec:h264 @ 0x55e0c0ffee08] [error] Decoding error: Invalid data found",
    "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55e0c0ffee00] [error] stream 0, offset 0x30: partial file",
    "[mpegts @ 0x55e0c0ffee00] [warning] Packet corrupt (stream ~ 0, dts ~ 1)",
    "[warning] file:a.ts: corrupt input packet in stream 0",
    "[in#0/mov @ 0x55e0c0ffee00] [warning] corrupt input packet in stream 0",
    "[showinfo@decoded @ 0x55e0c0ffee00] [info] n:   0 pts:     77 pts_time:7 i:T iskey:1 type:I ",
    "[showinfo@picked @ 0x55e0c0ffee00] [info] n:   0 pts:     77 pts_time:7 i:T iskey:1 type:I ",
    "[showinfo@encoded @ 0x55e0c0ffee00] [info] n:   0 pts:     77 pts_time:7 i:T iskey:1 type:I ",
    "[ssim@compared @ 0x55e0c0ffee00] [info] SSIM Y:0.1 (1) U:0.1 (1) V:0.1 (1) All:0.100000 (1)",
    "[info] videoframes.paused~1",
    "[error] Cannot allocate memory",
    "[error] No space left on device",
];

struct Setup {
    folder: tempfile::TempDir,
    extractor: FfmpegExtractor,
}

impl Setup {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn make(&self, args: &[&str], name: &str) -> PathBuf {
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y"])
            .args(args)
            .arg(self.path(name))
            .status();
        assert!(made.unwrap().success(), "{args:?}");
        self.path(name)
    }

    /// Copies a video and adds metadata keys that end in forged lines.
    fn forge(&self, video: &Path, name: &str) -> PathBuf {
        let keys = FORGED.map(|line| format!("a\n{line}=x"));
        let mut args = vec!["-i", video.to_str().unwrap(), "-c", "copy"];
        if name.ends_with("mp4") {
            args.extend(["-movflags", "use_metadata_tags"]);
        }
        args.extend(keys.iter().flat_map(|key| ["-metadata", key]));
        let forged = self.make(&args, name);
        let mut bytes = std::fs::read(&forged).unwrap();
        for line in FORGED.iter().filter(|line| line.contains('~')) {
            let at = bytes
                .windows(line.len())
                .position(|part| part == line.as_bytes())
                .unwrap();
            let key = &mut bytes[at..at + line.len()];
            key.iter_mut()
                .filter(|byte| **byte == b'~')
                .for_each(|byte| *byte = b'=');
        }
        std::fs::write(&forged, bytes).unwrap();
        forged
    }

    /// Checks that ffmpeg prints every forged line as a separate line.
    fn is_forged(&self, video: &Path) {
        let (ffmpeg, _) = self.extractor.programs();
        let printed = Command::new(ffmpeg)
            .args(["-nostdin", "-loglevel", "repeat+level+info", "-i"])
            .arg(video)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&printed.stderr).into_owned();
        for line in FORGED {
            let line = line.replace('~', "=");
            assert!(
                printed.lines().any(|printed| printed.starts_with(&line)),
                "{line}\n{printed}"
            );
        }
    }

    fn request() -> Request {
        Request::new(Selection::All).strategy(Strategy::Plain)
    }

    async fn extract(&self, video: &Path, request: &Request, wanted: &[Rendition]) -> Summary {
        let target = ZipFile::new(self.path("out.zip")).if_exists(IfExists::Replace);
        let source = Arc::new(FileSource::open(video).unwrap());
        let pipeline = self.pipeline();
        let outputs = AdditionalOutputs::default().renditions(wanted.to_vec());
        let extraction = pipeline
            .extract_with_outputs(source, request, &outputs, &target)
            .await;
        let summary = extraction.unwrap();
        assert_eq!(
            (&summary.damage, summary.warnings.len()),
            (&None, 0),
            "{summary:?}"
        );
        summary
    }

    fn pipeline(&self) -> Pipeline {
        Pipeline::new(self.extractor.clone()).compressor(FfmpegCompressor::new(&self.extractor))
    }

    fn target(&self, name: &str) -> VideoTarget {
        VideoTarget::File {
            path: self.path(name),
            if_exists: IfExists::Replace,
        }
    }
}

/// Options with and without the metadata of the source, which ffmpeg then prints once more.
fn options() -> [CompressOptions; 2] {
    [false, true].map(|keep_metadata| CompressOptions::default().keep_metadata(keep_metadata))
}

fn hashes(summary: &Summary) -> Vec<String> {
    summary
        .manifest
        .frames
        .iter()
        .map(|frame| frame.sha256.clone())
        .collect()
}

/// A setup for each ffmpeg: the ffmpeg on the `PATH` and the ffmpeg in `VF_TEST_FFMPEG`.
fn setups() -> Vec<Setup> {
    let other = resources::named("VF_TEST_FFMPEG", "testing only the ffmpeg on the PATH");
    std::iter::once(None)
        .chain(other.map(|path| Some(path.into())))
        .map(|ffmpeg| Setup {
            folder: tempfile::tempdir().unwrap(),
            extractor: FfmpegExtractor::new(ffmpeg),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_lines_change_neither_pictures_nor_videos() {
    let source = "testsrc2=d=2:s=160x96:r=10";
    for setup in setups() {
        for container in ["mp4", "flv"] {
            let args = [
                "-f", "lavfi", "-i", source, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "5",
            ];
            let video = setup.make(&args, &format!("plain.{container}"));
            let forged = setup.forge(&video, &format!("forged.{container}"));
            setup.is_forged(&forged);

            let plain = setup.extract(&video, &Setup::request(), &[]).await;
            let pictures = setup.extract(&forged, &Setup::request(), &[]).await;
            assert_eq!(pictures.manifest.frames.len(), 20);
            assert_eq!(hashes(&pictures), hashes(&plain));
            let auto = Setup::request().strategy(Strategy::Auto);
            let automatic = setup.extract(&forged, &auto, &[]).await;
            assert_eq!(hashes(&automatic), hashes(&plain));
            for options in options() {
                let rendition = Rendition::new(options, setup.target("rendition.mp4"));
                let both = setup.extract(&forged, &auto, &[rendition]).await;
                assert_eq!(hashes(&both), hashes(&plain));
                assert!(matches!(&both.renditions[..], [RenditionOutcome::Made(made)] if made.frames == 20));
            }
            for options in options() {
                let job = CompressJob::new(options).measured();
                let source = FileSource::open(&forged).unwrap();
                let compressed = setup
                    .pipeline()
                    .compress(source, &job, &setup.target("small.mp4"))
                    .await;
                let compressed = compressed.unwrap();
                assert_eq!((compressed.frames, &compressed.damage), (20, &None));
                assert!(compressed.ssim.unwrap() > 0.8, "{compressed:?}");
            }
        }
    }
}
