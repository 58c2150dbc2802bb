//! `vf plan` and `vf extract --dry-run`.

use std::fmt::Write as _;

use videoframes_console::options::NetworkArgs;
use videoframes_console::{Failure, cancelled_by_signals, exit, print, print_json, warn};
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::{Outline, Pipeline, Request};

use crate::args::{PlanArgs, addresses};
use crate::extract::PATIENCE;
use crate::failure;
use crate::input::VideoInput;

pub(crate) async fn run(args: PlanArgs) -> Result<u8, Failure> {
    let question = Question {
        request: args.request(),
        limits: args.limits(),
        network: args.network,
        extractor: args.ffmpeg.extractor(),
    };
    show(&args.file, question, args.json.json).await
}

/// A request to plan, and how its video is read.
pub(crate) struct Question {
    pub(crate) request: Request,
    pub(crate) limits: Limits,
    pub(crate) network: NetworkArgs,
    pub(crate) extractor: FfmpegExtractor,
}

/// Prints the plan of `request`.
pub(crate) async fn show(file: &VideoInput, question: Question, as_json: bool) -> Result<u8, Failure> {
    let Question {
        request,
        mut limits,
        network,
        extractor,
    } = question;
    let cancel = cancelled_by_signals(PATIENCE).map_err(|error| Failure::internal(&error))?;
    let opened = file.open(&mut limits, addresses(network), &cancel).await?;
    let outline = Pipeline::new(extractor)
        .limits(limits)
        .cancel(cancel)
        .plan(opened.source(), &request)
        .await
        .map_err(|error| failure::of(&error, file))?;
    outline.warnings.iter().for_each(|warning| warn(warning));
    let printed = match as_json {
        true => print_json(&json(&outline)),
        false => print(&table(&outline)),
    };
    printed.map(|_| exit::SUCCESS)
}

fn json(outline: &Outline) -> serde_json::Value {
    serde_json::json!({
        "strategy": outline.strategy.to_string(),
        "reason": outline.reason.as_ref().map(ToString::to_string),
        "pictures": outline.pictures,
        "examined": outline.examined,
        "frames": outline.frames,
        "runs": outline.runs,
        "samples": outline.samples,
        "bytes": outline.bytes,
        "all_samples": outline.all_samples,
        "all_bytes": outline.all_bytes,
        "bytes_read": outline.bytes_read,
        "warnings": outline.warnings,
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
        match outline.examined {
            Some(_) => format!("at most {}, chosen after the examination", outline.pictures),
            None if outline.pictures == outline.frames => outline.pictures.to_string(),
            None => format!("{} of {} frames", outline.pictures, outline.frames),
        },
    );
    if let Some(examined) = outline.examined {
        line("examines", format!("{examined} frames"));
    }
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
