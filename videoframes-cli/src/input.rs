//! The input video: a file, a URL or standard input.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Seek};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::builder::{OsStringValueParser, TypedValueParser};
use tokio_util::sync::CancellationToken;
use videoframes_console::{Failure, S3Uri, exit, has_scheme};
use videoframes_core::limits::Limits;
use videoframes_core::source::http::{Addresses, HttpError, HttpSource, HttpUrl, InvalidUrl};
use videoframes_core::source::{FileSource, Source, SpoolError, SpooledSource};

use crate::failure;

/// Name of standard input in messages and manifests.
const STDIN: &str = "stdin";

/// The input video.
#[derive(Debug, Clone)]
pub(crate) enum VideoInput {
    /// A file on this machine.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// A URL of an HTTP server.
    Url(HttpUrl),
    /// An object in an object store.
    Object(S3Uri),
    /// The error for an invalid URL. The URL itself is not kept, since it may contain secrets.
    Invalid(String),
}

/// An opened video.
pub(crate) struct Opened {
    source: Arc<dyn Source>,
    http: Option<Arc<HttpSource>>,
    /// Whether the video is on another machine.
    remote: bool,
}

impl Opened {
    fn local(source: impl Source) -> Self {
        Self {
            source: Arc::new(source),
            http: None,
            remote: false,
        }
    }

    fn http(source: HttpSource) -> Self {
        let source = Arc::new(source);
        Self {
            source: Arc::clone(&source) as Arc<dyn Source>,
            http: Some(source),
            remote: true,
        }
    }

    pub(crate) fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.source)
    }

    /// Returns the bytes transferred over the network, which for an object are the `read` bytes; `None` for a file.
    pub(crate) fn transferred(&self, read: u64) -> Option<u64> {
        match &self.http {
            Some(source) => Some(source.transferred()),
            None => self.remote.then_some(read),
        }
    }
}

impl VideoInput {
    /// Returns a parser for the video argument.
    pub(crate) fn parser() -> impl TypedValueParser<Value = Self> {
        OsStringValueParser::new().map(Self::parse)
    }

    /// Parses a path, a URL or `-`.
    pub(crate) fn parse(text: OsString) -> Self {
        if text == "-" {
            return Self::Stdin;
        }
        let Some(address) = text.to_str().filter(|text| has_scheme(text)) else {
            return Self::File(text.into());
        };
        let parsed = if S3Uri::has_s3_scheme(address) {
            address.parse().map(Self::Object)
        } else {
            let url = address.parse().map(Self::Url);
            url.map_err(|error| InvalidUrl::to_string(&error))
        };
        parsed.unwrap_or_else(Self::Invalid)
    }

    /// Returns the path of a file; `None` for a URL and for standard input.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Stdin | Self::Url(_) | Self::Object(_) | Self::Invalid(_) => None,
        }
    }

    /// Returns whether the video is a folder of videos.
    pub(crate) fn is_folder(&self) -> bool {
        self.path().is_some_and(Path::is_dir)
    }

    /// Returns the name without folder.
    pub(crate) fn name(&self) -> OsString {
        let name = match self {
            Self::File(path) => path.file_name().map(OsStr::to_owned),
            Self::Url(url) => Some(url.name().into()),
            Self::Object(object) => Some(object.key.name().into()),
            Self::Stdin => Some(STDIN.into()),
            Self::Invalid(_) => None,
        };
        name.unwrap_or_else(|| "video".into())
    }

    /// Returns the name without folder and extension.
    pub(crate) fn stem(&self) -> OsString {
        let name = self.name();
        let stem = Path::new(&name).file_stem().map(OsStr::to_owned);
        stem.unwrap_or_else(|| "video".into())
    }

    /// Opens the video and subtracts the elapsed time from `limits`.
    ///
    /// # Errors
    /// Fails if the video cannot be opened, or if `cancel` is cancelled.
    pub(crate) async fn open(
        &self,
        limits: &mut Limits,
        addresses: Addresses,
        cancel: &CancellationToken,
    ) -> Result<Opened, Failure> {
        match self {
            Self::File(path) => self.open_file(path),
            Self::Invalid(why) => Err(Failure::new(exit::USAGE, format!("{self}: {why}"))),
            Self::Stdin => {
                let (opened, took) = unless_cancelled(self.open_stdin(limits), cancel).await?;
                limits.wall_time = limits.wall_time.saturating_sub(took);
                opened
            }
            Self::Url(url) => {
                let opening = HttpSource::open(url, addresses, limits);
                let (opened, took) = unless_cancelled(opening, cancel).await?;
                limits.wall_time = limits.wall_time.saturating_sub(took);
                match opened {
                    Ok(source) => Ok(Opened::http(source)),
                    Err(error) => Err(self.open_failure(&error)),
                }
            }
            Self::Object(object) => {
                let (opened, took) = unless_cancelled(self.open_object(object), cancel).await?;
                limits.wall_time = limits.wall_time.saturating_sub(took);
                opened
            }
        }
    }

    #[cfg(feature = "s3")]
    async fn open_object(&self, object: &S3Uri) -> Result<Opened, Failure> {
        let opened = crate::store::open(object).await;
        let source = opened.map_err(|error| failure::about(exit::NOT_FOUND, self, &error))?;
        Ok(Opened {
            source,
            http: None,
            remote: true,
        })
    }

    #[cfg(not(feature = "s3"))]
    async fn open_object(&self, _: &S3Uri) -> Result<Opened, Failure> {
        Err(failure::without_s3())
    }

    fn open_file(&self, path: &Path) -> Result<Opened, Failure> {
        FileSource::open(path).map(Opened::local).map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file".to_owned(),
                std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                _ => error.to_string(),
            };
            Failure::new(exit::NOT_FOUND, format!("{self}: {why}"))
        })
    }

    /// Opens a file that is redirected to standard input, or copies other input to a temporary file.
    async fn open_stdin(&self, limits: &Limits) -> Result<Opened, Failure> {
        if io::stdin().is_terminal() {
            return Err(Failure::new(exit::USAGE, "stdin is a terminal")
                .hint("pipe a video to vf, as in: cat video.mp4 | vf extract -"));
        }
        if let Some(file) = redirected_file() {
            return Ok(Opened::local(file));
        }
        let copied = SpooledSource::copy(STDIN, io::stdin(), limits).await;
        copied.map(Opened::local).map_err(|error| match &error {
            SpoolError::TooLarge(_) | SpoolError::TimeLimit(_) => failure::about(exit::LIMIT, self, &error),
            SpoolError::Write(_) => failure::about(exit::OUTPUT, self, &error).hint(failure::TEMPORARY),
            _ => failure::about(exit::NOT_FOUND, self, &error),
        })
    }

    fn open_failure(&self, error: &HttpError) -> Failure {
        let about = |code| failure::about(code, self, error);
        match error {
            HttpError::PrivateAddress(_) => about(exit::NOT_FOUND)
                .hint("--allow-private-addresses allows connections to this machine and to private networks"),
            HttpError::TooLarge(_) | HttpError::TimeLimit => about(exit::LIMIT),
            HttpError::Copy(_) => about(exit::OUTPUT).hint(failure::TEMPORARY),
            _ => about(exit::NOT_FOUND),
        }
    }
}

/// Returns the file that is redirected to standard input from its beginning, if it is one.
fn redirected_file() -> Option<FileSource> {
    let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    let is_file = stdin.metadata().ok()?.is_file();
    let at_start = is_file && stdin.stream_position().ok()? == 0;
    // A file that has no path any more cannot be opened again.
    at_start.then(|| FileSource::open("/dev/stdin").ok())?
}

/// Returns the output of `opening` and the elapsed time; fails if `cancel` is cancelled first.
async fn unless_cancelled<T>(
    opening: impl Future<Output = T>,
    cancel: &CancellationToken,
) -> Result<(T, Duration), Failure> {
    let started = Instant::now();
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(failure::cancelled()),
        opened = opening => Ok((opened, started.elapsed())),
    }
}

impl fmt::Display for VideoInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str(STDIN),
            Self::Url(url) => url.fmt(f),
            Self::Object(object) => object.fmt(f),
            Self::Invalid(_) => f.write_str("the URL"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_distinguished_from_files() {
        let parse = |text: &str| VideoInput::parse(text.into());
        assert!(matches!(parse("HTTPS://host/x.mp4"), VideoInput::Url(_)));
        assert!(matches!(parse("-"), VideoInput::Stdin));
        for file in ["x.mp4", "http:x", "://x", "./http://h/x", "./-"] {
            assert!(matches!(parse(file), VideoInput::File(_)), "{file}");
        }
        assert_eq!(parse("https://host/a/talk.de.mp4?sig=x").stem(), "talk.de");
    }

    #[test]
    fn invalid_urls_are_not_shown() {
        for text in [
            "https://u:secret@h:99999/v?secret",
            "http://",
            "htps://u:secret@h/v?secret",
        ] {
            let shown = VideoInput::parse(text.into()).to_string();
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
}
