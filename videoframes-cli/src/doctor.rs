//! `vf doctor`.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use videoframes_console::{Failure, INSTALL_FFMPEG, exit, print, print_json};
use videoframes_core::compress::Codec;
use videoframes_core::error::chain;
use videoframes_core::extract::ExtractError;
use videoframes_core::ffmpeg::{Component, FfmpegExtractor, SandboxMode, SandboxStatus};
use videoframes_core::text::printable;

use crate::args::DoctorArgs;

const FULL: &str = "install a full build of ffmpeg";
const STATIC: &str = "for many small videos, a static build of ffmpeg starts faster (--ffmpeg PATH)";
/// Time to start ffmpeg above which a faster build is worth a hint.
const SLOW_START: Duration = Duration::from_millis(40);
const HDR: &str = "install an ffmpeg built with libzimg, which tone mapping of HDR videos requires";

pub(crate) async fn run(args: DoctorArgs) -> Result<u8, Failure> {
    let report = Report::new(&args.ffmpeg.extractor()).await;
    let code = match report.usable {
        true => exit::SUCCESS,
        false => exit::FFMPEG,
    };
    let printed = match args.json.json {
        true => print_json(&report),
        false => print(&report.table()),
    };
    printed.map(|_| code)
}

/// The results of all checks.
#[derive(Serialize)]
struct Report {
    /// Whether vf can work on this machine.
    usable: bool,
    checks: Vec<Check>,
    #[serde(skip)]
    sandbox: SandboxStatus,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    /// Missing, and required by vf.
    Missing,
    /// Missing, but optional.
    Lacking,
    Unknown,
}

impl Report {
    async fn new(extractor: &FfmpegExtractor) -> Self {
        let mut report = Self {
            usable: true,
            checks: Vec::new(),
            sandbox: extractor.sandbox(),
        };
        let (ffmpeg, ffprobe) = extractor.programs();
        match extractor.ffmpeg_version().await {
            Err(error) => report.missing("ffmpeg", chain(&error)),
            Ok(version) => {
                report.good("ffmpeg", format!("{} ({})", version.text, ffmpeg.display()));
                report.start_time(extractor.start_time().await);
                for feature in features() {
                    report.checks.push(feature.check(extractor).await);
                }
            }
        }
        match extractor.has_ffprobe().await {
            true => report.good("ffprobe", ffprobe.display().to_string()),
            false => report.missing("ffprobe", format!("failed to run '{}'", ffprobe.display())),
        }
        report.add_sandbox();
        report.space("free here", Path::new("."));
        report.space("free for copies", &std::env::temp_dir());
        report
    }

    /// Reports the cost of starting ffmpeg, which many small videos multiply.
    fn start_time(&mut self, time: Result<Duration, ExtractError>) {
        let (status, detail, hint) = match time {
            Ok(time) => {
                let slow = (time > SLOW_START).then_some(STATIC);
                (Status::Ok, format!("{} ms each", time.as_millis()), slow)
            }
            Err(error) => (Status::Unknown, error.to_string(), None),
        };
        self.checks.push(Check {
            name: "ffmpeg starts",
            status,
            detail,
            hint,
        });
    }

    /// Reports the sandbox of ffmpeg.
    fn add_sandbox(&mut self) {
        let sandbox = &self.sandbox;
        let detail = match sandbox.missing() {
            Some(missing) if sandbox.mode != SandboxMode::Off => format!("{sandbox} ({missing})"),
            _ => sandbox.to_string(),
        };
        if sandbox.is_complete() {
            return self.good("sandbox", detail);
        }
        let (status, hint) = match sandbox.mode {
            SandboxMode::Off => (Status::Lacking, "--sandbox auto confines ffmpeg"),
            SandboxMode::Require => (
                Status::Missing,
                "use a kernel with Landlock and seccomp, or --sandbox auto",
            ),
            _ => (
                Status::Lacking,
                "a kernel with Landlock and seccomp confines ffmpeg completely",
            ),
        };
        self.usable &= status != Status::Missing;
        self.checks.push(Check {
            name: "sandbox",
            status,
            detail,
            hint: Some(hint),
        });
    }

    /// Checks the free space of a folder.
    fn space(&mut self, name: &'static str, folder: &Path) {
        match rustix::fs::statvfs(folder) {
            Ok(space) => {
                let free = space.f_bavail.saturating_mul(space.f_frsize);
                self.good(name, indicatif::HumanBytes(free).to_string());
            }
            Err(error) => self.checks.push(Check {
                name,
                status: Status::Unknown,
                detail: error.to_string(),
                hint: Some("choose another folder"),
            }),
        }
    }

    fn good(&mut self, name: &'static str, detail: String) {
        self.checks.push(Check {
            name,
            status: Status::Ok,
            detail,
            hint: None,
        });
    }

    fn missing(&mut self, name: &'static str, detail: String) {
        let is_confined = self.sandbox.mode != SandboxMode::Require || self.sandbox.is_complete();
        self.usable = false;
        self.checks.push(Check {
            name,
            status: Status::Missing,
            detail,
            // Without the sandbox that it requires, no program starts.
            hint: is_confined.then_some(INSTALL_FFMPEG),
        });
    }

    fn table(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let status = match check.status {
                Status::Ok => "ok",
                Status::Missing => "missing",
                Status::Lacking => "lacking",
                Status::Unknown => "unknown",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{status:<8}{:<16}{}", check.name, printable(&check.detail));
            if let Some(hint) = check.hint {
                let _ = writeln!(text, "{:24}hint: {hint}", "");
            }
        }
        text
    }
}

/// A feature that requires components of ffmpeg.
struct Feature {
    name: &'static str,
    component: Component,
    required: Vec<&'static str>,
    /// Hint if a component is missing.
    hint: &'static str,
}

/// Returns the optional features in the order of the report.
fn features() -> Vec<Feature> {
    let pictures = [
        ("jpg", "mjpeg"),
        ("png", "png"),
        ("webp", "libwebp"),
        ("avif", "libaom-av1"),
    ];
    let videos = Codec::ALL.map(|codec| (codec.as_str(), codec.encoder()));
    let encoders = pictures.into_iter().chain(videos);
    let encoders = encoders.map(|(name, encoder)| (name, Component::Encoder, vec![encoder], FULL));
    let others = [
        ("audio", Component::Encoder, vec!["aac", "libopus"], FULL),
        ("colours", Component::Filter, vec!["colorspace", "scale"], FULL),
        ("deinterlace", Component::Filter, vec!["bwdif"], FULL),
        ("similarity", Component::Filter, vec!["ssim"], FULL),
        ("HDR to SDR", Component::Filter, vec!["zscale", "tonemap"], HDR),
    ];
    let feature = |(name, component, required, hint)| Feature {
        name,
        component,
        required,
        hint,
    };
    encoders.chain(others).map(feature).collect()
}

impl Feature {
    async fn check(&self, extractor: &FfmpegExtractor) -> Check {
        let (status, detail, hint) = match extractor.missing(self.component, &self.required).await {
            Ok(missing) if missing.is_empty() => (Status::Ok, self.required.join(", "), None),
            Ok(missing) => (Status::Lacking, missing.join(", "), Some(self.hint)),
            Err(error) => (Status::Unknown, error.to_string(), None),
        };
        Check {
            name: self.name,
            status,
            detail,
            hint,
        }
    }
}
