//! `vf extract`.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::Instant;

#[cfg(feature = "s3")]
use videoframes_core::archive::ZipObject;
use videoframes_core::archive::{Destination, Directory, ZipFile};
use videoframes_core::extract::ExtractError;
use videoframes_core::extract::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::{self, Error, Summary};
use videoframes_core::plan::Strategy;
use videoframes_core::storage::IfExists;

use crate::args::{ExtractArgs, OutputArgs};
use crate::exit::{self, Failure};
use crate::input::{Opened, VideoInput};
use crate::object::ObjectAddress;
use crate::progress::Reporter;
use crate::signals::cancelled_by_signals;
use crate::stdout::{StdoutZip, print};

pub(crate) async fn run(args: ExtractArgs) -> Result<u8, Failure> {
    let started = Instant::now();
    let mut request = args.request();
    let cancel = cancelled_by_signals()?;
    let destination = destination(&args.output, &args.file).await?;
    destination
        .check()
        .map_err(|error| Failure::of(&error.into(), &args.file))?;
    let opened = args
        .file
        .open(&mut request.limits, args.network.addresses(), &cancel)
        .await?;
    let extractor = FfmpegExtractor::new(args.ffmpeg());
    let reporter = Reporter::new(args.output.progress, args.output.quiet);
    let outcome = pipeline::run(
        opened.source(),
        &request,
        &extractor,
        destination.as_ref(),
        &|progress| reporter.show(progress.frames, progress.total, Some(progress.bytes)),
        &cancel,
    )
    .await;
    reporter.done();
    let summary = outcome.map_err(|error| {
        if cancel.is_cancelled() {
            return Failure::new(exit::CANCELLED, "cancelled, nothing was written");
        }
        let failure = Failure::of(&error, &args.file);
        match error {
            // What was streamed cannot be taken back; a file could start again.
            Error::Extract(ExtractError::TimelineMismatch(_) | ExtractError::PlanFailed(_))
                if target(&args.output, &args.file).as_os_str() == "-" =>
            {
                failure.hint("write to a file instead of stdout, so that it can start again")
            }
            _ => failure,
        }
    })?;
    if !args.output.quiet {
        for warning in &summary.warnings {
            let _ = writeln!(std::io::stderr(), "warning: {warning}");
        }
    }
    tell(&args, &opened, &summary, started.elapsed().as_secs_f64())?;
    Ok(if summary.damage.is_some() {
        exit::PARTIAL
    } else {
        exit::SUCCESS
    })
}

async fn destination(output: &OutputArgs, input: &VideoInput) -> Result<Box<dyn Destination>, Failure> {
    let if_exists = if output.replace {
        IfExists::Replace
    } else {
        IfExists::Refuse
    };
    let path = target(output, input);
    if path.as_os_str() == "-" {
        if output.json {
            let text = "--json and -o - both write to stdout";
            return Err(Failure::new(exit::USAGE, text).hint("give one of them another place"));
        }
        if std::io::stdout().is_terminal() {
            let text = "a ZIP is not written to a terminal";
            return Err(Failure::new(exit::USAGE, text).hint("redirect it, or give -o frames.zip"));
        }
        return Ok(Box::new(StdoutZip));
    }
    if let Some(text) = path.to_str().filter(|text| ObjectAddress::is_meant(text)) {
        return object(text, if_exists, input).await;
    }
    if input.path().is_some_and(|input| is_same_file(&path, input)) {
        let text = format!("{}: the output would replace the video itself", path.display());
        return Err(Failure::new(exit::USAGE, text).hint("give another -o"));
    }
    let folder = path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir();
    match path.extension() {
        Some(extension) if !folder && extension.eq_ignore_ascii_case("zip") => {
            Ok(Box::new(ZipFile { path, if_exists }))
        }
        Some(extension) if !folder => {
            let text = format!("'{}' is no kind of output", extension.display());
            Err(Failure::new(exit::USAGE, text).hint("-o takes a name in .zip, a folder (name/), or -"))
        }
        _ if matches!(
            path.components().next_back(),
            None | Some(Component::CurDir | Component::ParentDir | Component::RootDir)
        ) =>
        {
            let text = format!("'{}' cannot be swapped for a new folder", path.display());
            Err(Failure::new(exit::USAGE, text).hint("give the name of a folder in it"))
        }
        // `components` drops a trailing slash, which a rename would trip over.
        _ => Ok(Box::new(Directory {
            path: path.components().collect(),
            if_exists,
        })),
    }
}

/// A ZIP as an object of a store.
async fn object(
    text: &str,
    if_exists: IfExists,
    input: &VideoInput,
) -> Result<Box<dyn Destination>, Failure> {
    let address: ObjectAddress = text
        .parse()
        .map_err(|why| Failure::new(exit::USAGE, format!("-o {text}: {why}")))?;
    if !address.key.as_str().to_ascii_lowercase().ends_with(".zip") {
        let text = format!("'{address}' is no kind of output");
        return Err(Failure::new(exit::USAGE, text).hint("only a ZIP can be an object: give a name in .zip"));
    }
    if matches!(input, VideoInput::Object(input) if *input == address) {
        let text = format!("{address}: the output would replace the video itself");
        return Err(Failure::new(exit::USAGE, text).hint("give another -o"));
    }
    open_target(&address, if_exists).await
}

#[cfg(feature = "s3")]
async fn open_target(address: &ObjectAddress, if_exists: IfExists) -> Result<Box<dyn Destination>, Failure> {
    let storage = crate::object::open_to_write(address, if_exists).await;
    let storage = storage.map_err(|error| Failure::of_store(&error))?;
    Ok(Box::new(ZipObject::new(storage, address.key.clone(), if_exists)))
}

#[cfg(not(feature = "s3"))]
async fn open_target(_: &ObjectAddress, _: IfExists) -> Result<Box<dyn Destination>, Failure> {
    Err(Failure::without_s3())
}

pub(crate) fn is_same_file(a: &Path, b: &Path) -> bool {
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

fn target(output: &OutputArgs, input: &VideoInput) -> PathBuf {
    output.output.clone().unwrap_or_else(|| {
        let mut name = input.stem();
        name.push(".frames.zip");
        PathBuf::from(name)
    })
}

fn tell(args: &ExtractArgs, opened: &Opened, summary: &Summary, seconds: f64) -> Result<(), Failure> {
    let frames = summary.manifest.frames.len();
    let target = target(&args.output, &args.file);
    let read = summary.work.bytes_read;
    if args.output.json {
        let result = serde_json::json!({
            "status": if summary.damage.is_some() { "partial" } else { "complete" },
            "output": target.to_string_lossy(),
            "frames": frames,
            "bytes": summary.bytes,
            "duration_s": summary.manifest.source.duration_s,
            "elapsed_s": seconds,
            "damage": summary.damage,
            "strategy": summary.work.strategy.to_string(),
            "fallback": summary.work.fallback,
            "bytes_read": opened.transferred(read).unwrap_or(read),
            "source_bytes": summary.manifest.source.size,
            "warnings": summary.warnings,
        });
        return print(&format!("{result}\n"));
    }
    if args.output.quiet {
        return Ok(());
    }
    let place = if target.as_os_str() == "-" {
        "stdout".to_owned()
    } else {
        exit::printable(&target.to_string_lossy())
    };
    let plural = if frames == 1 { "" } else { "s" };
    let size = indicatif::HumanBytes(summary.bytes);
    let mut stderr = std::io::stderr().lock();
    let all = summary.manifest.source.size;
    let share = match (opened.transferred(read), summary.work.strategy) {
        (Some(bytes), _) => of_all(bytes, all),
        (None, Strategy::Planned) => of_all(read, all),
        (None, _) => String::new(),
    };
    let _ = writeln!(
        stderr,
        "{place}: {frames} frame{plural}, {size}, {seconds:.1} s{share}"
    );
    if let Some(damage) = &summary.damage {
        let _ = writeln!(
            stderr,
            "warning: the video is damaged, the result is partial: {damage}"
        );
    }
    Ok(())
}

/// `, read 13.3 MiB of 1.29 GiB (1.0 %)`
fn of_all(bytes: u64, all: u64) -> String {
    let (share, human) = (100.0 * bytes as f64 / all.max(1) as f64, indicatif::HumanBytes);
    format!(", read {} of {} ({share:.1} %)", human(bytes), human(all))
}
