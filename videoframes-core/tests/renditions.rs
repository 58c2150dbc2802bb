//! Renditions in addition to pictures: neither affects the other, for every kind of video.
#![allow(clippy::unwrap_used)]

mod resources;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use videoframes_core::Error;
use videoframes_core::archive::ZipFile;
use videoframes_core::compress::{
    Codec, CompressError, CompressOptions, CompressRequest, Compressor, Origin, VideoTarget,
};
use videoframes_core::extract::{Decoded, FrameExtractor};
use videoframes_core::ffmpeg::{FfmpegCompressor, FfmpegExtractor};
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::{
    AdditionalOutputs, Pipeline, Rendition, RenditionOutcome, Request, Scratch, Summary,
};
use videoframes_core::plan::Strategy;
use videoframes_core::select::{Position, Selection};
use videoframes_core::source::{FileSource, MemorySource, Source};
use videoframes_core::storage::IfExists;

struct Setup {
    folder: tempfile::TempDir,
    extractor: FfmpegExtractor,
    /// Frames of a rendition that was made after the pictures, according to its progress.
    heard: Arc<AtomicU64>,
    scratch: Scratch,
}

impl Setup {
    fn new(ffmpeg: Option<PathBuf>) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            extractor: FfmpegExtractor::new(ffmpeg),
            heard: Arc::default(),
            scratch: Scratch::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn make(&self, args: &str, name: &str) -> PathBuf {
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y"])
            .args(args.split_whitespace())
            .arg(self.path(name))
            .status();
        assert!(made.unwrap().success(), "{args}");
        self.path(name)
    }

    fn rendition(&self, name: &str, options: CompressOptions) -> Rendition {
        let target = VideoTarget::File {
            path: self.path(name),
            if_exists: IfExists::Replace,
        };
        Rendition::new(options, target)
    }

    async fn run(
        &self,
        source: Arc<dyn Source>,
        request: &Request,
        renditions: &[Rendition],
        archive: &str,
    ) -> Result<Summary, Error> {
        let target = ZipFile::new(self.path(archive)).if_exists(IfExists::Replace);
        let heard = Arc::clone(&self.heard);
        let pipeline = Pipeline::new(self.extractor.clone())
            .compressor(FfmpegCompressor::new(&self.extractor))
            .scratch(self.scratch.clone())
            .on_compress_progress(move |progress| heard.store(progress.frames, Ordering::Relaxed));
        let outputs = AdditionalOutputs::default().renditions(renditions.to_vec());
        pipeline
            .extract_with_outputs(source, request, &outputs, &target)
            .await
    }

    fn left(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.starts_with(".vf-") || name.starts_with("vf-scratch"))
            .collect()
    }
}

fn low() -> CompressOptions {
    CompressOptions::default().quality("20".parse().unwrap())
}

fn frames(file: &Path) -> u64 {
    let said = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-select_streams", "v"])
        .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(file)
        .output()
        .unwrap();
    String::from_utf8_lossy(&said.stdout).trim().parse().unwrap()
}

/// The ffmpeg on the `PATH` and the ffmpeg in `VF_TEST_FFMPEG`.
fn ffmpegs() -> Vec<Option<PathBuf>> {
    let other = resources::named("VF_TEST_FFMPEG", "testing only the ffmpeg on the PATH");
    std::iter::once(None)
        .chain(other.map(|path| Some(path.into())))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_identical_and_videos_have_all_frames() {
    const X264: &str = "-c:v libx264 -preset veryfast -crf 8";
    for ffmpeg in ffmpegs() {
        let setup = Setup::new(ffmpeg);
        let source = "-f lavfi -i testsrc2=d=3:s=160x96:r=10";
        let plain = setup.make(&format!("{source} {X264} -g 5"), "plain.mp4");
        let rotate = format!("-i {} -c copy -metadata:s:v rotate=90", plain.display());
        let interlaced = "-vf setfield=tff -flags +ilme+ildct -x264-params tff=1";
        let clips = [
            plain,
            setup.make(&rotate, "turned.mp4"),
            setup.make(&format!("{source} {X264} {interlaced}"), "interlaced.mp4"),
            setup.make(
                &format!("{source} -c:v mpeg2video -q:v 2 -output_ts_offset 2"),
                "offset.ts",
            ),
        ];
        for clip in clips {
            let open = || Arc::new(FileSource::open(&clip).unwrap()) as Arc<dyn Source>;
            let request = Request::default();
            setup.run(open(), &request, &[], "alone.zip").await.unwrap();
            let vp9 = low().codec(Codec::Vp9).max_height(48);
            let wanted = [setup.rendition("a.mp4", low()), setup.rendition("b.webm", vp9)];
            let summary = setup.run(open(), &request, &wanted, "with.zip").await.unwrap();
            let bytes = |name: &str| std::fs::read(setup.path(name)).unwrap();
            assert!(bytes("alone.zip") == bytes("with.zip"), "{}", clip.display());
            assert_eq!(summary.work.strategy, Strategy::Plain);
            for (outcome, name) in summary.renditions.iter().zip(["a.mp4", "b.webm"]) {
                let RenditionOutcome::Made(video) = outcome else {
                    panic!("{outcome:?}");
                };
                assert_eq!((video.frames, frames(&setup.path(name))), (30, 30), "{name}");
                assert_eq!(video.origin, Origin::Encoded);
                assert_eq!(video.bytes, bytes(name).len() as u64);
            }
            assert_eq!(setup.left(), Vec::<String>::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_plan_is_used_and_the_rendition_is_made_afterwards() {
    let setup = Setup::new(None);
    let clip = setup.make("-f lavfi -i testsrc2=d=3:s=160x96:r=10 -g 5 -crf 8", "plain.mp4");
    let source = Arc::new(FileSource::open(&clip).unwrap());
    let request = Request::default().strategy(Strategy::Planned);
    let wanted = [setup.rendition("a.mp4", low())];
    let summary = setup.run(source, &request, &wanted, "with.zip").await.unwrap();
    assert_eq!(summary.work.strategy, Strategy::Planned);
    assert_eq!(frames(&setup.path("a.mp4")), 30);
    assert_eq!(setup.heard.load(Ordering::Relaxed), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_with_equal_timestamps_are_one_frame_of_the_rendition() {
    let setup = Setup::new(None);
    let plain = setup.make("-f lavfi -i testsrc2=d=3:s=160x96:r=10 -bf 0 -crf 8", "plain.mkv");
    let same = format!("-i {} -c copy -bsf:v setts=ts=TS-100*eq(N\\,7)", plain.display());
    let clip = setup.make(&same, "same.mkv");
    let source = Arc::new(FileSource::open(&clip).unwrap());
    let wanted = [setup.rendition("a.mp4", low())];
    let request = Request::default();
    let summary = setup.run(source, &request, &wanted, "with.zip").await.unwrap();
    assert!(matches!(&summary.renditions[..], [RenditionOutcome::Made(video)] if video.frames == 29));
    assert_eq!(frames(&setup.path("a.mp4")), 29);
    assert_eq!(summary.manifest.frames.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_without_rotation_are_decoded_separately() {
    let setup = Setup::new(None);
    let plain = setup.make("-f lavfi -i testsrc2=d=1:s=160x96:r=10 -crf 8", "plain.mp4");
    let rotate = format!("-i {} -c copy -metadata:s:v rotate=90", plain.display());
    let clip = setup.make(&rotate, "turned.mp4");
    let mut request = Request::default();
    request.picture.rotate = false;
    let open = || Arc::new(FileSource::open(&clip).unwrap()) as Arc<dyn Source>;
    setup.run(open(), &request, &[], "alone.zip").await.unwrap();
    let wanted = [setup.rendition("a.mp4", low())];
    let summary = setup.run(open(), &request, &wanted, "with.zip").await.unwrap();
    let bytes = |name: &str| std::fs::read(setup.path(name)).unwrap();
    assert!(bytes("alone.zip") == bytes("with.zip"));
    let [RenditionOutcome::Made(video)] = &summary.renditions[..] else {
        panic!("{:?}", summary.renditions);
    };
    assert_eq!((video.width, video.height), (96, 160));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_rendition_is_an_error_unless_it_is_optional() {
    let setup = Setup::new(None);
    let clip = setup.make("-f lavfi -i testsrc2=d=2:s=160x96:r=10 -crf 8", "clip.mp4");
    let open = || Arc::new(FileSource::open(&clip).unwrap()) as Arc<dyn Source>;
    let impossible = low().max_bytes(NonZeroU64::new(600).unwrap());
    let mut wanted = [
        setup.rendition("a.mp4", low()),
        setup.rendition("b.mp4", impossible),
    ];
    let failed = setup.run(open(), &Request::default(), &wanted, "out.zip").await;
    assert!(
        matches!(
            failed,
            Err(Error::Compress(CompressError::SizeOutOfReach { limit: 600, .. }))
        ),
        "{failed:?}"
    );
    assert!(!setup.path("out.zip").exists() && !setup.path("b.mp4").exists());
    wanted[1].optional = true;
    let summary = setup
        .run(open(), &Request::default(), &wanted, "out.zip")
        .await
        .unwrap();
    assert!(matches!(&summary.renditions[0], RenditionOutcome::Made(_)));
    assert!(matches!(&summary.renditions[1], RenditionOutcome::Failed(why) if why.contains("600 bytes")));
    assert!(setup.path("out.zip").exists() && !setup.path("b.mp4").exists());
    assert_eq!(setup.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_source_is_copied_once_and_all_space_is_released() {
    let mut setup = Setup::new(None);
    let clip = setup.make("-f lavfi -i testsrc2=d=2:s=160x96:r=10 -crf 8", "clip.mp4");
    let bytes = std::fs::read(&clip).unwrap();
    let folder = setup.path("scratch");
    std::fs::create_dir(&folder).unwrap();
    let storage = Arc::new(videoframes_core::storage::MemoryStorage::default());
    let object = |name: &str| {
        let target = VideoTarget::Object {
            storage: storage.clone(),
            key: name.parse().unwrap(),
            options: IfExists::Refuse.into(),
            describe: None,
        };
        Rendition::new(low(), target)
    };
    // The quota allows one such job at a time: the second job waits, and both complete.
    setup.scratch = Scratch::new(&folder, 70 << 20);
    let request = Request::default();
    let source = |name: &str| Arc::new(MemorySource::new(name, bytes.clone())) as Arc<dyn Source>;
    let plain = request.clone().strategy(Strategy::Plain);
    let alone = setup
        .run(source("alone.mp4"), &plain, &[], "alone.zip")
        .await
        .unwrap();
    let (first, second) = ([object("a.mp4")], [object("b.mp4")]);
    let (first, second) = tokio::join!(
        setup.run(source("first.mp4"), &request, &first, "first.zip"),
        setup.run(source("second.mp4"), &request, &second, "second.zip"),
    );
    for summary in [first.unwrap(), second.unwrap()] {
        assert!(matches!(&summary.renditions[..], [RenditionOutcome::Made(_)]));
        // The pictures need no more than part of a copy.
        assert_eq!(summary.work, alone.work);
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    setup.scratch = Scratch::new(&folder, 10 << 20);
    let refused = setup
        .run(source("x.mp4"), &request, &[object("c.mp4")], "x.zip")
        .await;
    assert!(matches!(refused, Err(Error::LimitExceeded(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_after_the_last_picture_fails_only_the_renditions() {
    let setup = Setup::new(None);
    let clip = setup.make(
        "-f lavfi -i testsrc2=d=6:s=320x180:r=10 -g 10 -crf 8 -bf 0 -movflags +faststart",
        "clip.mp4",
    );
    let mut bytes = std::fs::read(&clip).unwrap();
    let end = bytes.len();
    bytes[end - 40_000..end - 10_000].fill(0x5a);
    std::fs::write(&clip, bytes).unwrap();
    let open = || Arc::new(FileSource::open(&clip).unwrap()) as Arc<dyn Source>;
    let request = Request::new(Selection::At(vec![
        Position::Time(1.into()),
        Position::Time(2.into()),
    ]));
    let mut wanted = [setup.rendition("a.mp4", low())];
    let failed = setup.run(open(), &request, &wanted, "out.zip").await;
    assert!(matches!(failed, Err(Error::Damaged(_))), "{failed:?}");
    assert!(!setup.path("out.zip").exists());
    wanted[0].optional = true;
    let summary = setup.run(open(), &request, &wanted, "out.zip").await.unwrap();
    assert_eq!(summary.manifest.frames.len(), 2);
    assert!(
        matches!(&summary.renditions[..], [RenditionOutcome::Failed(why)] if why.contains("damaged")),
        "{:?}",
        summary.renditions
    );
    assert!(!setup.path("a.mp4").exists());
    assert_eq!(setup.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn encodes_with_smaller_statistics_if_they_do_not_fit() {
    let setup = Setup::new(None);
    let clip = setup.make(
        "-f lavfi -i testsrc2=s=320x180:r=30:d=10,noise=alls=10:allf=t -pix_fmt yuv420p -b:v 2M",
        "clip.mp4",
    );
    let (limits, cancel) = (Limits::default(), CancellationToken::new());
    let video = setup
        .extractor
        .describe(&clip, None, &limits, &cancel)
        .await
        .unwrap()
        .video;
    let compressor = FfmpegCompressor::new(&setup.extractor);
    for codec in [Codec::H264, Codec::Hevc] {
        let notes = setup.path(codec.as_str());
        std::fs::create_dir(&notes).unwrap();
        let mut request = CompressRequest::new(video.clone(), setup.path("small.mp4"), notes.clone());
        request.options = CompressOptions::default()
            .codec(codec)
            .max_bytes(NonZeroU64::new(400_000).unwrap());
        // The complete statistics have about 100,000 bytes.
        request.statistics_ceiling = 60_000;
        let progress = watch::Sender::default();
        let made = compressor.compress(&clip, &request, &progress, &cancel).await;
        let Ok(Decoded::Complete(made)) = made else {
            panic!("{made:?}");
        };
        assert_eq!(made.timeline.pts().len(), 300);
        let size = request.output.metadata().unwrap().len();
        assert!((388_000..=400_000).contains(&size), "{codec}: {size}");

        request.statistics_ceiling = 10_000;
        let refused = compressor.compress(&clip, &request, &progress, &cancel).await;
        assert!(
            matches!(refused, Err(CompressError::StatisticsTooLarge(10_000))),
            "{refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_pause_in_the_audio_fails_only_the_rendition() {
    for ffmpeg in ffmpegs() {
        let setup = Setup::new(ffmpeg);
        let clip = setup.make(
            "-f lavfi -i testsrc2=d=810:s=64x64:r=1 -f lavfi -i sine=d=6:r=48000 -ac 2 \
             -af asetnsamples=480,asetpts=PTS+gte(T\\,2)*800/TB -c:v libx264 -crf 8 -c:a pcm_s16le",
            "clip.mkv",
        );
        let source = Arc::new(FileSource::open(&clip).unwrap());
        let mut wanted = [setup.rendition("a.mp4", low())];
        wanted[0].optional = true;
        let request = Request::new(Selection::Count(10));
        let summary = setup.run(source, &request, &wanted, "out.zip").await.unwrap();
        assert_eq!(summary.manifest.frames.len(), 10);
        assert!(
            matches!(&summary.renditions[..], [RenditionOutcome::Failed(why)] if why.contains("pauses")),
            "{:?}",
            summary.renditions
        );
        assert_eq!(setup.left(), Vec::<String>::new());
    }
}
