//! The output of `vf extract`, as given by `-o`.

use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use videoframes_console::{Failure, S3Uri, exit};
#[cfg(feature = "s3")]
use videoframes_core::archive::ZipObject;
use videoframes_core::archive::{
    Destination, Directory, Layout, MANIFEST_NAME, PictureFile, ShardDirectory, ShardLimits, TarFile, ZipFile,
};
use videoframes_core::extract::PictureFormat;
use videoframes_core::pipeline::Request;
use videoframes_core::storage::IfExists;

use crate::args::{ArchiveType, ExtractArgs, OutputArgs};
use crate::input::VideoInput;
use crate::layout;
use crate::stdout::Stdout;

/// Place and type of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// An archive on stdout.
    StdoutArchive(ArchiveType),
    /// A picture on stdout.
    StdoutPicture,
    /// Uncompressed frames one after the other on stdout.
    StdoutFrames,
    /// An archive.
    Archive(PathBuf, ArchiveType),
    /// A picture file.
    Picture(PathBuf, PictureFormat),
    /// An animated picture.
    Preview(PathBuf),
    /// A folder.
    Folder(PathBuf),
    /// A folder of tar archives.
    Shards(PathBuf, ShardLimits),
    /// A ZIP file in a bucket.
    Object(S3Uri),
}

const KINDS: &str =
    "-o takes a .zip or .tar file, a picture (.jpg, .png, .webp, .avif, .raw, .npy), a folder (name/), or -";

impl Output {
    /// Creates the output for `input` that the arguments describe.
    ///
    /// # Errors
    /// Fails if the type of the output is unknown, or contradicts other arguments.
    pub(crate) fn from_args(args: &ExtractArgs, input: &VideoInput) -> Result<Self, Failure> {
        let path = args.output.output.clone().unwrap_or_else(|| {
            let mut name = input.stem();
            name.push(".frames.");
            name.push(args.output.archive.default_type().extension());
            PathBuf::from(name)
        });
        Self::at(path, args)
    }

    /// Creates the output at `path`.
    ///
    /// # Errors
    /// Fails if the type of the output is unknown, or contradicts other arguments.
    pub(crate) fn at(path: PathBuf, args: &ExtractArgs) -> Result<Self, Failure> {
        let output = Self::from_path(path, args)?;
        let formats = (&output, args.picture.format);
        if let (Self::Picture(path, implied), Some(format)) = formats
            && *implied != format
        {
            let text = format!(
                "--format {} contradicts -o {}",
                format.extension(),
                path.display()
            );
            return Err(Failure::new(exit::USAGE, text).hint("omit --format, or change the extension"));
        }
        let format = args.picture.format.or(output.format());
        layout::check(&output, &args.output.archive, format)?;
        Ok(output)
    }

    fn from_path(path: PathBuf, args: &ExtractArgs) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            let archive = &args.output.archive;
            return Ok(match args.picture.format {
                _ if archive.needs_archive().is_some() => Self::StdoutArchive(archive.default_type()),
                Some(_) if args.select.is_one_picture() => Self::StdoutPicture,
                Some(format) if format.is_uncompressed() => Self::StdoutFrames,
                _ => Self::StdoutArchive(ArchiveType::Zip),
            });
        }
        if let Some(address) = output_uri(&path)? {
            return object(address);
        }
        let folder = path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir();
        let Some(extension) = path.extension().filter(|_| !folder) else {
            let folder = folder_at(&path)?;
            let archive = &args.output.archive;
            return Ok(match folder {
                Self::Folder(path) if archive.layout == Layout::WebDataset => {
                    Self::Shards(path, layout::shard_limits(archive))
                }
                folder => folder,
            });
        };
        if let Some(archive) = ArchiveType::from_extension(extension) {
            return Ok(Self::Archive(path, archive));
        }
        match extension.to_string_lossy().parse() {
            Ok(format) => Ok(Self::Picture(path, format)),
            Err(_) => {
                let text = format!("'.{}' is not a supported type of output", extension.display());
                Err(Failure::new(exit::USAGE, text).hint(KINDS))
            }
        }
    }

    /// Returns the request for this output.
    ///
    /// # Errors
    /// Fails if options contradict each other.
    pub(crate) fn request(&self, args: &ExtractArgs) -> Result<Request, Failure> {
        let mut request = args.request(self.format())?;
        request.manifests = layout::manifests(self, &args.output.archive);
        Ok(request)
    }

    /// Returns the picture format that the extension implies.
    pub(crate) fn format(&self) -> Option<PictureFormat> {
        match self {
            Self::Picture(_, format) => Some(*format),
            _ => None,
        }
    }

    /// Returns whether the result is one picture.
    pub(crate) fn is_picture(&self) -> bool {
        matches!(self, Self::Picture(..) | Self::StdoutPicture)
    }

    /// Returns the name of the result; `-` for stdout.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::StdoutArchive(_) | Self::StdoutPicture | Self::StdoutFrames => "-".to_owned(),
            Self::Archive(path, _)
            | Self::Picture(path, _)
            | Self::Preview(path)
            | Self::Folder(path)
            | Self::Shards(path, _) => path.to_string_lossy().into_owned(),
            Self::Object(address) => address.to_string(),
        }
    }

    /// Returns the path of a result on this machine; `None` for stdout and objects.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Archive(path, _)
            | Self::Picture(path, _)
            | Self::Preview(path)
            | Self::Folder(path)
            | Self::Shards(path, _) => Some(path),
            Self::StdoutArchive(_) | Self::StdoutPicture | Self::StdoutFrames | Self::Object(_) => None,
        }
    }

    /// Returns whether a complete result exists.
    ///
    /// # Errors
    /// Fails if a store does not respond.
    pub(crate) async fn exists(&self) -> Result<bool, Failure> {
        Ok(match self {
            Self::StdoutArchive(_) | Self::StdoutPicture | Self::StdoutFrames => false,
            Self::Archive(path, _) | Self::Picture(path, _) | Self::Preview(path) => path.is_file(),
            Self::Folder(path) | Self::Shards(path, _) => path.join(MANIFEST_NAME).is_file(),
            Self::Object(address) => object_exists(address).await?,
        })
    }

    /// Opens the destination for the result of `input`; `None` for frames on stdout, which are no archive.
    ///
    /// # Errors
    /// Fails if the result would replace the input video, or cannot be written.
    pub(crate) async fn open(
        &self,
        args: &ExtractArgs,
        input: &VideoInput,
    ) -> Result<Option<Box<dyn Destination>>, Failure> {
        let OutputArgs { replace, report, .. } = &args.output;
        self.open_for(input, replace.if_exists(), report.json).await
    }

    /// Opens the destination for a result of `input`. With `json`, stdout is used by a report.
    ///
    /// # Errors
    /// Fails if the result would replace the input video, or cannot be written.
    pub(crate) async fn open_for(
        &self,
        input: &VideoInput,
        if_exists: IfExists,
        json: bool,
    ) -> Result<Option<Box<dyn Destination>>, Failure> {
        if matches!(
            self,
            Self::StdoutFrames | Self::StdoutArchive(_) | Self::StdoutPicture
        ) {
            check_stdout(json)?;
        }
        let path = match self {
            Self::StdoutArchive(archive) => return Ok(Some(Box::new(Stdout::Archive(*archive)))),
            Self::StdoutPicture => return Ok(Some(Box::new(Stdout::Picture))),
            Self::StdoutFrames => return Ok(None),
            Self::Object(address) => {
                if matches!(input, VideoInput::Object(input) if input == address) {
                    return Err(replaces(&address.to_string()));
                }
                return open_object(address, if_exists).await.map(Some);
            }
            Self::Archive(path, _)
            | Self::Picture(path, _)
            | Self::Preview(path)
            | Self::Folder(path)
            | Self::Shards(path, _) => path,
        };
        if input.path().is_some_and(|input| is_same_file(path, input)) {
            return Err(replaces(&path.to_string_lossy()));
        }
        let path = path.clone();
        Ok(Some(match self {
            Self::Picture(..) | Self::Preview(..) => Box::new(PictureFile::new(path).if_exists(if_exists)),
            Self::Folder(_) => Box::new(Directory::new(path).if_exists(if_exists)),
            Self::Shards(_, limits) => Box::new(ShardDirectory::new(path, *limits).if_exists(if_exists)),
            Self::Archive(_, ArchiveType::Tar) => Box::new(TarFile::new(path).if_exists(if_exists)),
            _ => Box::new(ZipFile::new(path).if_exists(if_exists)),
        }))
    }
}

pub(crate) fn folder_at(path: &Path) -> Result<Output, Failure> {
    if matches!(
        path.components().next_back(),
        None | Some(Component::CurDir | Component::ParentDir | Component::RootDir)
    ) {
        let text = format!("'{}' cannot be replaced by a new folder", path.display());
        return Err(Failure::new(exit::USAGE, text).hint("give the name of a new folder inside that folder"));
    }
    // `components` drops a trailing slash, with which a rename fails.
    Ok(Output::Folder(path.components().collect()))
}

/// Returns the S3 URI that `-o` gives; `None` for a path.
///
/// # Errors
/// Fails if the S3 URI is invalid.
pub(crate) fn output_uri(path: &Path) -> Result<Option<S3Uri>, Failure> {
    let text = path.to_str().filter(|text| S3Uri::has_s3_scheme(text));
    text.map(|text| {
        text.parse()
            .map_err(|error| Failure::new(exit::USAGE, format!("-o {text}: {error}")))
    })
    .transpose()
}

pub(crate) fn object(address: S3Uri) -> Result<Output, Failure> {
    if !address.key.as_str().to_ascii_lowercase().ends_with(".zip") {
        let text = format!("'{address}' is not a supported type of output");
        return Err(
            Failure::new(exit::USAGE, text).hint("objects are ZIP files: give a key that ends in .zip")
        );
    }
    Ok(Output::Object(address))
}

/// Fails if stdout cannot take the result.
fn check_stdout(json: bool) -> Result<(), Failure> {
    if json {
        let text = "--json and -o - both write to stdout";
        return Err(Failure::new(exit::USAGE, text).hint("write the result to a file with -o"));
    }
    if std::io::stdout().is_terminal() {
        let text = "an archive or a picture cannot be written to a terminal";
        return Err(Failure::new(exit::USAGE, text).hint("redirect stdout, or give -o frames.zip"));
    }
    Ok(())
}

/// Creates the failure for an output that would replace the input video.
pub(crate) fn replaces(output: &str) -> Failure {
    let text = format!("{output}: the output would replace the video itself");
    Failure::new(exit::USAGE, text).hint("give another -o")
}

/// Returns whether both paths lead to one file, by device and inode.
pub(crate) fn is_same_file(a: &Path, b: &Path) -> bool {
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(feature = "s3")]
async fn open_object(address: &S3Uri, if_exists: IfExists) -> Result<Box<dyn Destination>, Failure> {
    let storage = crate::store::open_to_write(address, if_exists).await;
    let storage = storage.map_err(|error| Failure::of_output(&error))?;
    Ok(Box::new(ZipObject::new(storage, address.key.clone(), if_exists)))
}

#[cfg(feature = "s3")]
async fn object_exists(address: &S3Uri) -> Result<bool, Failure> {
    let exists = crate::store::exists(address).await;
    exists.map_err(|error| Failure::of_output(&error))
}

#[cfg(not(feature = "s3"))]
async fn object_exists(_: &S3Uri) -> Result<bool, Failure> {
    Err(crate::failure::without_s3())
}

#[cfg(not(feature = "s3"))]
async fn open_object(_: &S3Uri, _: IfExists) -> Result<Box<dyn Destination>, Failure> {
    Err(crate::failure::without_s3())
}
