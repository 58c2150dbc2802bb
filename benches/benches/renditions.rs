//! Measures the gain of a shared decode for pictures and a rendition, compared to separate decodes.
//!
//! Run `cargo bench -p videoframes-benches --bench renditions`. `VIDEO` is a clip to use instead of the generated
//! clip, `ROUNDS` (5) is the number of rounds.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use videoframes_core::archive::ZipFile;
use videoframes_core::compress::{CompressOptions, VideoTarget};
use videoframes_core::ffmpeg::{FfmpegCompressor, FfmpegExtractor};
use videoframes_core::pipeline::{AdditionalOutputs, CompressJob, Pipeline, Rendition, Request};
use videoframes_core::source::FileSource;
use videoframes_core::storage::IfExists;

/// Wall-clock time, and CPU time of this process and its ended children.
type Cost = (Duration, Duration);

struct Place {
    video: PathBuf,
    archive: ZipFile,
    small: VideoTarget,
    extractor: FfmpegExtractor,
    compressor: FfmpegCompressor,
    options: CompressOptions,
}

impl Place {
    fn source(&self) -> Arc<FileSource> {
        Arc::new(FileSource::open(&self.video).unwrap())
    }

    async fn apart(&self) {
        let pipeline = self.pipeline();
        let request = Request::default();
        let extraction = pipeline.extract(self.source(), &request, &self.archive);
        extraction.await.unwrap();
        let job = CompressJob::new(self.options);
        pipeline.compress(self.source(), &job, &self.small).await.unwrap();
    }

    async fn together(&self) {
        let wanted = [Rendition::new(self.options, self.small.clone())];
        let wanted = AdditionalOutputs::default().renditions(wanted);
        let pipeline = self.pipeline();
        let request = Request::default();
        let extraction = pipeline.extract_with_outputs(self.source(), &request, &wanted, &self.archive);
        extraction.await.unwrap();
    }

    fn pipeline(&self) -> Pipeline {
        Pipeline::new(self.extractor.clone()).compressor(self.compressor.clone())
    }
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let video = std::env::var_os("VIDEO").map_or_else(|| make(folder.path()), PathBuf::from);
    let rounds: usize = std::env::var("ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    let extractor = FfmpegExtractor::default();
    println!("one picture a second and an H.264 rendition; medians of {rounds} rounds\n");
    println!("| rendition | wall apart, s | together | ratio | CPU apart, s | together | ratio |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for max_height in [None, Some(720), Some(360)] {
        let mut options = CompressOptions::default();
        options.max_height = max_height;
        let place = Place {
            video: video.clone(),
            archive: ZipFile::new(folder.path().join("frames.zip")).if_exists(IfExists::Replace),
            small: VideoTarget::File {
                path: folder.path().join("small.mp4"),
                if_exists: IfExists::Replace,
            },
            compressor: FfmpegCompressor::new(&extractor),
            extractor: extractor.clone(),
            options,
        };
        let (mut apart, mut together) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            apart.push(cost(place.apart()).await);
            together.push(cost(place.together()).await);
        }
        let [wall, cpu] = [|cost: &Cost| cost.0, |cost: &Cost| cost.1]
            .map(|part| [median(&apart, part), median(&together, part)]);
        let height = max_height.map_or("full size".to_owned(), |height| format!("{height} lines"));
        println!(
            "| {height} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            wall[0],
            wall[1],
            wall[1] / wall[0],
            cpu[0],
            cpu[1],
            cpu[1] / cpu[0]
        );
    }
}

async fn cost(work: impl Future<Output = ()>) -> Cost {
    let (began, before) = (Instant::now(), cpu());
    work.await;
    (began.elapsed(), cpu().saturating_sub(before))
}

/// Reads the user and system time of the process and its children from `/proc/self/stat`, in hundredths of a
/// second (`proc(5)`).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .skip(11)
        .take(4);
    let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

fn median(costs: &[Cost], part: fn(&Cost) -> Duration) -> f64 {
    let mut parts: Vec<Duration> = costs.iter().map(part).collect();
    parts.sort_unstable();
    parts[parts.len() / 2].as_secs_f64()
}

/// Generates a clip of ten seconds in 1080p with grain, similar to a recording of a phone.
fn make(folder: &Path) -> PathBuf {
    let video = folder.join("video.mp4");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i"])
        .arg("testsrc2=s=1920x1080:r=30:d=10,noise=alls=4:allf=t,format=yuv420p")
        .args(["-preset", "ultrafast", "-b:v", "17M"])
        .arg(&video)
        .status();
    assert!(made.unwrap().success());
    video
}
