//! Small generated videos with known numbers of frames, and files that are no videos.

use std::path::Path;

use anyhow::{Context, bail};
use tokio::process::Command;

use super::plan::Hostile;

/// The files of a run.
#[derive(Debug)]
pub(crate) struct Clips {
    /// Three seconds, 30 frames.
    pub(crate) short: Vec<u8>,
    /// Six seconds, 150 frames.
    pub(crate) long: Vec<u8>,
    /// Eight frames of noise, which no format compresses.
    pub(crate) noise: Vec<u8>,
    audio: Vec<u8>,
    huge: Vec<u8>,
    many: Vec<u8>,
    endless: Vec<u8>,
}

/// Number of frames of the clips.
pub(crate) const SHORT_FRAMES: u64 = 30;
pub(crate) const LONG_FRAMES: u64 = 150;
pub(crate) const NOISE_FRAMES: u64 = 8;

impl Clips {
    /// Generates the clips with ffmpeg.
    pub(crate) async fn generate(folder: &Path) -> anyhow::Result<Self> {
        let video = ["-pix_fmt", "yuv420p", "-preset", "ultrafast", "-g", "10"];
        let make = async |name: &str, source: &str, options: &[&str]| {
            let file = folder.join(name);
            let made = Command::new("ffmpeg")
                .args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", source])
                .args(options)
                .arg(&file)
                .output()
                .await
                .context("ffmpeg is not installed")?;
            if !made.status.success() {
                bail!("ffmpeg: {}", String::from_utf8_lossy(&made.stderr));
            }
            Ok(std::fs::read(&file)?)
        };
        let noise = "testsrc2=s=1280x720:r=4:d=2,noise=alls=100:allf=t";
        Ok(Self {
            short: make("short.mp4", "testsrc2=s=160x90:r=10:d=3", &video).await?,
            long: make("long.mp4", "testsrc2=s=640x360:r=25:d=6", &video).await?,
            noise: make("noise.mp4", noise, &[&video[..], &["-crf", "30"]].concat()).await?,
            audio: make("audio.m4a", "sine=d=1", &["-c:a", "aac"]).await?,
            huge: make("huge.mp4", "color=s=2560x1600:r=1:d=1", &video).await?,
            many: make("many.mp4", "color=s=32x32:r=25:d=40", &video).await?,
            endless: make("endless.mp4", "color=s=32x32:r=1/1200:d=4800", &video).await?,
        })
    }

    /// Returns a hostile file, its file name extension, and the error codes of its job.
    pub(crate) fn hostile(&self, kind: Hostile) -> (Vec<u8>, &'static str, &'static [&'static str]) {
        match kind {
            Hostile::Empty => (Vec::new(), "mp4", &["EMPTY_SOURCE"]),
            Hostile::Text => (
                b"this is a text, and no video\n".repeat(40),
                "mp4",
                &["NOT_A_VIDEO"],
            ),
            Hostile::Truncated => (
                self.short[..self.short.len() * 2 / 3].to_vec(),
                "mp4",
                &["NOT_A_VIDEO", "DAMAGED_VIDEO"],
            ),
            Hostile::Damaged => {
                let mut damaged = self.long.clone();
                // The samples of the middle; the index is at the end.
                let middle = damaged.len() / 3..damaged.len() / 2;
                damaged[middle].fill(0x55);
                (damaged, "mp4", &["DAMAGED_VIDEO", "NOT_A_VIDEO"])
            }
            Hostile::AudioOnly => (self.audio.clone(), "m4a", &["NO_VIDEO_STREAM"]),
            Hostile::Playlist => (
                b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
                    .to_vec(),
                "m3u8",
                &["NOT_A_VIDEO", "DAMAGED_VIDEO", "NO_VIDEO_STREAM"],
            ),
            Hostile::Huge => (self.huge.clone(), "mp4", &["LIMIT_EXCEEDED"]),
            Hostile::ManyFrames => (self.many.clone(), "mp4", &["LIMIT_EXCEEDED"]),
            Hostile::Endless => (self.endless.clone(), "mp4", &["LIMIT_EXCEEDED"]),
        }
    }
}
