//! `vf plan` and `vf extract --dry-run`.

use std::fmt::Write;

use videoframes_core::extract::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::{self, Outline};

use crate::args::ExtractArgs;
use crate::exit::{self, Failure};
use crate::signals::cancelled_by_signals;
use crate::stdout::print;

pub(crate) async fn run(args: ExtractArgs) -> Result<u8, Failure> {
    let mut request = args.request();
    let cancel = cancelled_by_signals()?;
    let opened = args
        .file
        .open(&mut request.limits, args.network.addresses(), &cancel)
        .await?;
    let extractor = FfmpegExtractor::new(args.ffmpeg());
    let outline = pipeline::outline(opened.source(), &request, &extractor, &cancel)
        .await
        .map_err(|error| Failure::of(&error, &args.file))?;
    let text = if args.output.json {
        format!("{:#}\n", json(&outline))
    } else {
        table(&outline)
    };
    print(&text)?;
    Ok(exit::SUCCESS)
}

fn json(outline: &Outline) -> serde_json::Value {
    serde_json::json!({
        "strategy": outline.strategy.to_string(),
        "reason": outline.reason,
        "pictures": outline.pictures,
        "frames": outline.frames,
        "runs": outline.runs,
        "samples": outline.samples,
        "bytes": outline.bytes,
        "all_samples": outline.all_samples,
        "all_bytes": outline.all_bytes,
        "bytes_read": outline.bytes_read,
    })
}

fn table(outline: &Outline) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{what:<10} {value}");
    };
    let strategy = outline.strategy;
    line(
        "strategy",
        match &outline.reason {
            Some(reason) => format!("{strategy}: {reason}"),
            None => strategy.to_string(),
        },
    );
    line(
        "pictures",
        match outline.pictures == outline.frames {
            true => outline.pictures.to_string(),
            false => format!("{} of {} frames", outline.pictures, outline.frames),
        },
    );
    line("runs", outline.runs.to_string());
    let share = |part: f64, all: f64| format!("{:.1} %", 100.0 * part / all.max(1.0));
    if let (Some(samples), Some(all)) = (outline.samples, outline.all_samples) {
        let share = share(samples as f64, all as f64);
        line("decodes", format!("at most {samples} of {all} samples ({share})"));
    }
    if let (Some(bytes), Some(all)) = (outline.bytes, outline.all_bytes) {
        let (share, human) = (share(bytes as f64, all as f64), indicatif::HumanBytes);
        line("reads", format!("{} of {} ({share})", human(bytes), human(all)));
    }
    text
}
