//! `vf doctor`.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;
use videoframes_console::{Failure, INSTALL_FFMPEG, exit, print, print_json};
use videoframes_core::compress::Codec;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::text::printable;

use crate::args::DoctorArgs;

const FULL: &str = "install a full build of ffmpeg";
const HDR: &str = "install an ffmpeg built with libzimg, which tone mapping of HDR videos requires";

pub(crate) async fn run(args: DoctorArgs) -> Result<u8, Failure> {
    let report = Report::new(&FfmpegExtractor::new(args.ffmpeg));
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
    fn new(extractor: &FfmpegExtractor) -> Self {
        let mut report = Self {
            usable: true,
            checks: Vec::new(),
        };
        let (ffmpeg, ffprobe) = extractor.programs();
        match extractor.ffmpeg_version() {
            Err(error) => report.missing("ffmpeg", error.to_string()),
            Ok(version) => {
                report.good("ffmpeg", format!("{} ({})", version.text, ffmpeg.display()));
                report.components(extractor);
            }
        }
        let version = std::process::Command::new(ffprobe).arg("-version").output();
        match version.is_ok_and(|output| output.status.success()) {
            true => report.good("ffprobe", ffprobe.display().to_string()),
            false => report.missing("ffprobe", format!("failed to run '{}'", ffprobe.display())),
        }
        for (name, folder) in [
            ("free here", Path::new(".").to_owned()),
            ("free for copies", std::env::temp_dir()),
        ] {
            match rustix::fs::statvfs(&folder) {
                Ok(space) => {
                    let free = space.f_bavail.saturating_mul(space.f_frsize);
                    report.good(name, indicatif::HumanBytes(free).to_string());
                }
                Err(error) => report.add(
                    name,
                    Status::Unknown,
                    error.to_string(),
                    Some("choose another folder"),
                ),
            }
        }
        report
    }

    /// Checks the components of ffmpeg.
    fn components(&mut self, extractor: &FfmpegExtractor) {
        let pictures = [("jpg", "mjpeg"), ("png", "png"), ("webp", "libwebp")];
        let videos = Codec::ALL.map(|codec| (codec.as_str(), codec.encoder()));
        for (name, encoder) in pictures.into_iter().chain(videos) {
            self.component(extractor, name, "-encoders", &[encoder], FULL);
        }
        self.component(extractor, "audio", "-encoders", &["aac", "libopus"], FULL);
        for (name, filters) in [
            ("colours", &["colorspace", "scale"][..]),
            ("deinterlace", &["bwdif"]),
            ("similarity", &["ssim"]),
        ] {
            self.component(extractor, name, "-filters", filters, FULL);
        }
        self.component(extractor, "HDR to SDR", "-filters", &["zscale", "tonemap"], HDR);
    }

    fn component(
        &mut self,
        extractor: &FfmpegExtractor,
        name: &'static str,
        list: &str,
        wanted: &[&'static str],
        hint: &'static str,
    ) {
        match extractor.missing(list, wanted) {
            Ok(missing) if missing.is_empty() => self.good(name, wanted.join(", ")),
            Ok(missing) => self.add(name, Status::Lacking, missing.join(", "), Some(hint)),
            Err(error) => self.add(name, Status::Unknown, error.to_string(), None),
        }
    }

    fn good(&mut self, name: &'static str, detail: String) {
        self.add(name, Status::Ok, detail, None);
    }

    fn missing(&mut self, name: &'static str, detail: String) {
        self.usable = false;
        self.add(name, Status::Missing, detail, Some(INSTALL_FFMPEG));
    }

    fn add(&mut self, name: &'static str, status: Status, detail: String, hint: Option<&'static str>) {
        self.checks.push(Check {
            name,
            status,
            detail,
            hint,
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
