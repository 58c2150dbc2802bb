//! Runs the program under test and reads the resulting archive.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use super::{cache, resources};

/// A picture in the archive.
pub struct Picture {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Picture {
    pub fn decode(&self) -> Result<image::DynamicImage, String> {
        if self.name.ends_with(".avif") {
            return self.decode_avif();
        }
        image::load_from_memory(&self.bytes).map_err(|e| format!("{}: {e}", self.name))
    }

    /// Decodes the picture with ffmpeg.
    fn decode_avif(&self) -> Result<image::DynamicImage, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let path = folder.path().join("picture.avif");
        std::fs::write(&path, &self.bytes).map_err(|e| e.to_string())?;
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-i"]).arg(&path);
        ffmpeg.args(["-vf", "scale=flags=accurate_rnd+full_chroma_int,format=rgb24"]);
        ffmpeg.args(["-c:v", "png", "-f", "image2pipe", "-"]);
        let png = cache::run(&mut ffmpeg, &[])?.stdout;
        image::load_from_memory(&png).map_err(|e| format!("{}: {e}", self.name))
    }
}

/// The archive written by `vf extract`.
pub struct Archive {
    pub pictures: Vec<Picture>,
    pub manifest: serde_json::Value,
}

/// Runs `vf extract CLIP ARGS`, with `ffmpeg` instead of the ffmpeg in `PATH` if given.
pub fn extract(clip: &Path, args: &[&str], ffmpeg: Option<&Path>) -> Result<Archive, String> {
    let place = tempfile::tempdir().map_err(|e| e.to_string())?;
    let out = place.path().join("out.zip");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
    command
        .arg("extract")
        .arg(clip)
        .args(args)
        .args(["--progress", "none", "-o"])
        .arg(&out);
    if let Some(ffmpeg) = ffmpeg {
        command.arg("--ffmpeg").arg(ffmpeg);
    }
    cache::run(&mut command, &[])?;
    read_archive(&out)
}

fn read_archive(path: &Path) -> Result<Archive, String> {
    let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut zip = zip::ZipArchive::new(file).map_err(|e| e.to_string())?;
    let mut pictures = Vec::new();
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).map_err(|e| e.to_string())?;
        let name = entry.name().map_err(|e| e.to_string())?.into_owned();
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|e| format!("{name}: {e}"))?;
        pictures.push(Picture { name, bytes });
    }
    let last = pictures.pop().ok_or("an empty archive")?;
    if last.name != "manifest.json" {
        return Err(format!("the last entry is {}, not manifest.json", last.name));
    }
    let manifest = serde_json::from_slice(&last.bytes).map_err(|e| format!("manifest.json: {e}"))?;
    Ok(Archive { pictures, manifest })
}

/// Returns the second ffmpeg, `$VF_TEST_FFMPEG`. `None` skips the caller; panics if the environment requires
/// all tests to run.
pub fn other_ffmpeg() -> Option<std::path::PathBuf> {
    resources::named("VF_TEST_FFMPEG", "tests with a second ffmpeg skip").map(Into::into)
}
