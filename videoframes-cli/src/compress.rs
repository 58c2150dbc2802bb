//! `vf compress`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use videoframes_console::options::ReportArgs;
use videoframes_console::{Failure, S3Uri, cancelled_by_signals, exit};
use videoframes_core::compress::{Compressed, Container, Origin, VideoTarget};
use videoframes_core::ffmpeg::FfmpegCompressor;
use videoframes_core::pipeline::Pipeline;
use videoframes_core::storage::IfExists;
use videoframes_core::text::printable;

use crate::args::{CompressArgs, addresses};
use crate::extract::PATIENCE;
use crate::failure;
use crate::input::VideoInput;
use crate::output::{is_same_file, output_uri, replaces};
use crate::progress::Reporter;
use crate::report;

pub(crate) async fn run(args: CompressArgs) -> Result<u8, Failure> {
    let started = Instant::now();
    let path = output(&args);
    let container = container(&path)?;
    let job = args.job(container);
    let mut limits = args.limits();
    if !container.holds(job.options.codec) {
        let (codec, extension) = (job.options.codec, container.extension());
        let text = format!("a .{extension} file cannot contain {codec}");
        return Err(Failure::new(exit::USAGE, text).hint("give -o a .mp4 file"));
    }
    let cancel = cancelled_by_signals(PATIENCE).map_err(|error| Failure::internal(&error))?;
    let target = target(&path, &args).await?;
    target.check().map_err(|error| Failure::of_output(&error))?;
    let opened = args
        .file
        .open(&mut limits, addresses(args.network), &cancel)
        .await?;
    let extractor = args.ffmpeg.extractor();
    let compressor = FfmpegCompressor::new(&extractor);
    let report = args.output.report;
    let reporter = Arc::new(Reporter::new(report.progress, report.quiet));
    let shown = Arc::clone(&reporter);
    let outcome = Pipeline::new(extractor)
        .compressor(compressor)
        .limits(limits)
        .cancel(cancel.clone())
        .on_compress_progress(move |progress| shown.show(progress.frames, progress.total, None))
        .compress(opened.source(), &job, &target)
        .await;
    reporter.done();
    let compressed = outcome.map_err(|error| match cancel.is_cancelled() {
        true => failure::cancelled(),
        false => failure::of_compression(&error, &args.file, &path),
    })?;
    let finished = Finished {
        path: &path,
        container,
        compressed: &compressed,
        seconds: started.elapsed().as_secs_f64(),
    };
    finished.report(args.output.report)?;
    Ok(match compressed.damage {
        Some(_) => exit::PARTIAL,
        None => exit::SUCCESS,
    })
}

fn output(args: &CompressArgs) -> PathBuf {
    args.output.output.clone().unwrap_or_else(|| {
        let mut name = args.file.stem();
        name.push(".compressed.mp4");
        PathBuf::from(name)
    })
}

/// Returns the container that the extension of the output implies.
fn container(path: &Path) -> Result<Container, Failure> {
    let invalid = |text: String| Err(Failure::new(exit::USAGE, text).hint("-o takes a .mp4 or .webm file"));
    if path.as_os_str() == "-" {
        return invalid(
            "a compressed video cannot be written to stdout: its index precedes the frames and is written last"
                .to_owned(),
        );
    }
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("mp4" | "m4v") => Ok(Container::Mp4),
        Some("webm") => Ok(Container::WebM),
        Some(other) => invalid(format!("'.{other}' is not a supported type of output")),
        None => invalid(format!(
            "'{}' has no extension, which sets the type of the output",
            path.display()
        )),
    }
}

async fn target(path: &Path, args: &CompressArgs) -> Result<VideoTarget, Failure> {
    let if_exists = args.output.replace.if_exists();
    if let Some(address) = output_uri(path)? {
        if matches!(&args.file, VideoInput::Object(input) if *input == address) {
            return Err(replaces(&address.to_string()));
        }
        return object(&address, if_exists).await;
    }
    if args.file.path().is_some_and(|input| is_same_file(path, input)) {
        return Err(replaces(&path.to_string_lossy()));
    }
    Ok(VideoTarget::File {
        path: path.to_owned(),
        if_exists,
    })
}

#[cfg(feature = "s3")]
async fn object(address: &S3Uri, if_exists: IfExists) -> Result<VideoTarget, Failure> {
    let storage = crate::store::open_to_write(address, if_exists).await;
    Ok(VideoTarget::Object {
        storage: storage.map_err(|error| Failure::of_output(&error))?,
        key: address.key.clone(),
        options: if_exists.into(),
        describe: None,
    })
}

#[cfg(not(feature = "s3"))]
async fn object(_: &S3Uri, _: IfExists) -> Result<VideoTarget, Failure> {
    Err(failure::without_s3())
}

/// A compressed video that is stored.
struct Finished<'a> {
    path: &'a Path,
    container: Container,
    compressed: &'a Compressed,
    /// Duration of the compression in seconds.
    seconds: f64,
}

impl Finished<'_> {
    /// Prints the warnings and the result.
    fn report(&self, report: ReportArgs) -> Result<(), Failure> {
        let warnings = report::warnings(&self.compressed.warnings, self.compressed.damage.as_deref());
        report::print(report, warnings, || self.json(), || self.line())
    }

    /// Returns the size of the output as a fraction of the size of the source.
    fn ratio(&self) -> f64 {
        self.compressed.bytes as f64 / self.compressed.source_bytes.max(1) as f64
    }

    fn json(&self) -> serde_json::Value {
        let compressed = self.compressed;
        serde_json::json!({
            "status": if compressed.damage.is_some() { "partial" } else { "complete" },
            "output": self.path.to_string_lossy(),
            "origin": compressed.origin.as_str(),
            "container": self.container.extension(),
            "codec": compressed.codec,
            "width": compressed.width,
            "height": compressed.height,
            "frames": compressed.frames,
            "duration_s": compressed.duration_s,
            "source_bytes": compressed.source_bytes,
            "bytes": compressed.bytes,
            "ratio": self.ratio(),
            "ssim": compressed.ssim,
            "sha256": compressed.sha256,
            "elapsed_s": self.seconds,
            "encoder": compressed.encoder,
            "damage": compressed.damage,
            "warnings": compressed.warnings,
        })
    }

    fn line(&self) -> String {
        let (compressed, seconds) = (self.compressed, self.seconds);
        let human = indicatif::HumanBytes;
        let change = 100.0 * (1.0 - self.ratio());
        let change = match change >= 0.0 {
            true => format!("{change:.0} % less"),
            false => format!("{:.0} % more", -change),
        };
        let similar = compressed
            .ssim
            .map_or(String::new(), |ssim| format!(", SSIM {ssim:.4}"));
        let plural = if compressed.frames == 1 { "" } else { "s" };
        let kept = match compressed.origin {
            Origin::Remuxed => ", not encoded: the source is already small",
            _ => "",
        };
        format!(
            "{}: {} ({change} than {}), {} {}×{}, {} frame{plural}{similar}, {seconds:.1} s{kept}",
            printable(&self.path.to_string_lossy()),
            human(compressed.bytes),
            human(compressed.source_bytes),
            compressed.codec,
            compressed.width,
            compressed.height,
            compressed.frames,
        )
    }
}
