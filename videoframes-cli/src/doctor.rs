//! `vf doctor`.

use std::io::Write;
use std::path::Path;

use videoframes_core::compress::Codec;
use videoframes_core::extract::ffmpeg::FfmpegExtractor;

use crate::args::DoctorArgs;
use crate::exit::{self, Failure};

const INSTALL: &str = "install ffmpeg 5.1 or newer (apt install ffmpeg, brew install ffmpeg)";
const FULL: &str = "install a full build of ffmpeg";

pub(crate) async fn run(args: DoctorArgs) -> Result<u8, Failure> {
    let extractor = FfmpegExtractor::new(args.ffmpeg);
    let mut report = Report::default();
    let (ffmpeg, ffprobe) = extractor.programs();
    match extractor.ffmpeg_version() {
        Err(error) => report.bad("ffmpeg", &error.to_string(), INSTALL),
        Ok(version) => {
            report.good("ffmpeg", &format!("{} ({})", version.text, ffmpeg.display()));
            let pictures = [("jpg", "mjpeg"), ("png", "png"), ("webp", "libwebp")];
            let videos = Codec::ALL.map(|codec| (codec.as_str(), codec.encoder()));
            for (name, encoder) in pictures.into_iter().chain(videos) {
                report.part(&extractor, name, "-encoders", &[encoder], FULL);
            }
            report.part(&extractor, "sound", "-encoders", &["aac", "libopus"], FULL);
            for (what, filters) in [
                ("colours", &["colorspace", "scale"][..]),
                ("deinterlace", &["bwdif"]),
                ("similarity", &["ssim"]),
            ] {
                report.part(&extractor, what, "-filters", filters, FULL);
            }
            let hint =
                "install an ffmpeg that is built with libzimg; until then HDR videos are not tone-mapped";
            report.part(&extractor, "HDR to SDR", "-filters", &["zscale", "tonemap"], hint);
        }
    }
    let runs = std::process::Command::new(ffprobe)
        .arg("-version")
        .output()
        .is_ok_and(|o| o.status.success());
    if runs {
        report.good("ffprobe", &ffprobe.display().to_string());
    } else {
        report.bad(
            "ffprobe",
            &format!("'{}' cannot be run", ffprobe.display()),
            INSTALL,
        );
    }
    for (what, place) in [
        ("free here", Path::new(".").to_owned()),
        ("free for copies", std::env::temp_dir()),
    ] {
        match rustix::fs::statvfs(&place) {
            Ok(space) => {
                let free = space.f_bavail.saturating_mul(space.f_frsize);
                report.good(what, &indicatif::HumanBytes(free).to_string());
            }
            Err(error) => report.bad(what, &error.to_string(), "choose another folder"),
        }
    }
    Ok(if report.usable {
        exit::SUCCESS
    } else {
        exit::FFMPEG
    })
}

struct Report {
    usable: bool,
}

impl Default for Report {
    fn default() -> Self {
        Self { usable: true }
    }
}

impl Report {
    fn line(&self, mark: &str, what: &str, text: &str) {
        // A closed pipe is the reader's wish.
        let _ = writeln!(std::io::stdout(), "{mark:<8}{what:<16}{text}");
    }

    fn good(&self, what: &str, text: &str) {
        self.line("ok", what, text);
    }

    fn bad(&mut self, what: &str, text: &str, hint: &str) {
        self.usable = false;
        self.line("missing", what, text);
        self.line("", "", &format!("hint: {hint}"));
    }

    /// Something that vf can do without.
    fn part(&self, extractor: &FfmpegExtractor, what: &str, list: &str, names: &[&'static str], hint: &str) {
        match extractor.missing(list, names) {
            Ok(missing) if missing.is_empty() => self.good(what, &names.join(", ")),
            Ok(missing) => {
                self.line("lacking", what, &missing.join(", "));
                self.line("", "", &format!("hint: {hint}"));
            }
            Err(error) => self.line("unknown", what, &error.to_string()),
        }
    }
}
