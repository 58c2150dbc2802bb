//! The outputs of `vf storyboard`, `vf sheet` and `vf preview`, as given by `-o`.

use std::path::{Path, PathBuf};

use videoframes_console::{Failure, exit};
use videoframes_core::extract::{PictureFormat, Quality};
use videoframes_core::pipeline::PreviewFormat;

use crate::args::ArchiveType;
use crate::input::VideoInput;
use crate::output::{Output, folder_at, object, output_uri};

/// Returns the output of a storyboard.
///
/// # Errors
/// Fails if the type of the output is unknown.
pub(super) fn of_storyboard(path: Option<&Path>, file: &VideoInput) -> Result<Output, Failure> {
    let path = path.map_or_else(|| default(file, ".storyboard/"), Path::to_owned);
    match archive(&path)? {
        Some(output) => Ok(output),
        None if path.as_os_str() == "-" => Ok(Output::StdoutArchive(ArchiveType::Zip)),
        None => Err(unsupported(
            &path,
            "-o takes a folder (name/), a .zip or .tar file, or -",
        )),
    }
}

/// Returns the output of a contact sheet. `format` is the requested format.
///
/// # Errors
/// Fails if the type of the output is unknown, or contradicts `format`.
pub(super) fn of_sheet(
    path: Option<&Path>,
    file: &VideoInput,
    format: Option<PictureFormat>,
) -> Result<Output, Failure> {
    let path = path.map_or_else(
        || {
            default(
                file,
                &format!(".sheet.{}", format.unwrap_or_default().extension()),
            )
        },
        Path::to_owned,
    );
    if path.as_os_str() == "-" {
        return Ok(Output::StdoutPicture);
    }
    if let Some(output) = archive(&path)? {
        return Ok(output);
    }
    let kinds = "-o takes a picture (.jpg, .png, .webp, .avif), a folder (name/), a .zip or .tar file, or -";
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let implied = extension.parse::<PictureFormat>().ok();
    let implied = implied.filter(|format| !format.is_uncompressed());
    let implied = implied.ok_or_else(|| unsupported(&path, kinds))?;
    check_format(&path, format, implied, PictureFormat::extension)?;
    Ok(Output::Picture(path, implied))
}

/// Returns the output and the format of a preview. `format` is the requested format.
///
/// # Errors
/// Fails if the type of the output is unknown, or contradicts `format`.
pub(super) fn of_preview(
    path: Option<&Path>,
    file: &VideoInput,
    format: Option<PreviewFormat>,
) -> Result<(Output, PreviewFormat), Failure> {
    let wanted = format.unwrap_or_default();
    let path = path.map_or_else(
        || default(file, &format!(".preview.{}", wanted.extension())),
        Path::to_owned,
    );
    if path.as_os_str() == "-" {
        return Ok((Output::StdoutPicture, wanted));
    }
    if let Some(output) = archive(&path)? {
        return Ok((output, wanted));
    }
    let kinds = "-o takes an animated picture (.webp, .gif), a folder (name/), a .zip or .tar file, or -";
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let implied = extension.parse().map_err(|_| unsupported(&path, kinds))?;
    check_format(&path, format, implied, PreviewFormat::extension)?;
    Ok((Output::Preview(path), implied))
}

/// Fails if the requested format is not that of the extension of the output.
fn check_format<F: Copy + PartialEq>(
    path: &Path,
    format: Option<F>,
    implied: F,
    name: impl Fn(F) -> &'static str,
) -> Result<(), Failure> {
    let Some(format) = format.filter(|format| *format != implied) else {
        return Ok(());
    };
    let text = format!("--format {} contradicts -o {}", name(format), path.display());
    Err(Failure::new(exit::USAGE, text).hint("omit --format, or change the extension"))
}

/// Fails if a quality is given for a lossless format.
pub(super) fn check_quality(quality: Option<Quality>, format: PictureFormat) -> Result<(), Failure> {
    if quality.is_none() || format.is_lossy() {
        return Ok(());
    }
    let text = format!(
        "--quality has no effect on {}, which is lossless",
        format.extension()
    );
    Err(Failure::new(exit::USAGE, text).hint("omit --quality, or use --format jpg, webp or avif"))
}

/// Fails if a quality is given for GIF.
pub(super) fn check_preview_quality(quality: Option<Quality>, format: PreviewFormat) -> Result<(), Failure> {
    if quality.is_none() || format.is_lossy() {
        return Ok(());
    }
    let text = format!("--quality has no effect on {}", format.extension());
    Err(Failure::new(exit::USAGE, text).hint("omit --quality, or use --format webp"))
}

/// Returns the default output, in the current folder.
fn default(file: &VideoInput, ending: &str) -> PathBuf {
    let mut name = file.stem();
    name.push(ending);
    name.into()
}

/// Returns the output for a path of a folder, of an archive or of an object; `None` for other paths.
fn archive(path: &Path) -> Result<Option<Output>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(None);
    }
    if let Some(address) = output_uri(path)? {
        return object(address).map(Some);
    }
    let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir();
    match path.extension() {
        Some(extension) if !is_folder => {
            let archive = ArchiveType::from_extension(extension);
            Ok(archive.map(|archive| Output::Archive(path.to_owned(), archive)))
        }
        _ => folder_at(path).map(Some),
    }
}

fn unsupported(path: &Path, kinds: &str) -> Failure {
    let extension = path.extension().unwrap_or_default();
    let text = format!("'.{}' is not a supported type of output", extension.display());
    Failure::new(exit::USAGE, text).hint(kinds)
}
