//! The video that was named: a file, or an address.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::{OsStringValueParser, TypedValueParser};
use tokio_util::sync::CancellationToken;
use videoframes_core::limits::Limits;
use videoframes_core::source::http::{HttpError, HttpOptions, HttpSource, HttpUrl};
use videoframes_core::source::{FileSource, Source};

use crate::exit::{self, Failure};

/// The video that was named.
#[derive(Debug, Clone)]
pub(crate) enum VideoInput {
    /// On this machine.
    File(PathBuf),
    /// On an HTTP server.
    Url(HttpUrl),
}

/// A video that was opened.
pub(crate) enum Opened {
    /// On this machine.
    File(Arc<FileSource>),
    /// On an HTTP server.
    Url(Arc<HttpSource>),
}

impl Opened {
    pub(crate) fn source(&self) -> Arc<dyn Source> {
        match self {
            Self::File(source) => Arc::clone(source) as Arc<dyn Source>,
            Self::Url(source) => Arc::clone(source) as Arc<dyn Source>,
        }
    }

    /// Bytes that came over the network, if the video does.
    pub(crate) fn transferred(&self) -> Option<u64> {
        match self {
            Self::File(_) => None,
            Self::Url(source) => Some(source.transferred()),
        }
    }
}

impl VideoInput {
    /// Takes a command line's word.
    pub(crate) fn parser() -> impl TypedValueParser<Value = Self> {
        OsStringValueParser::new().try_map(|text: OsString| Self::parse(text).map_err(|e| e.to_string()))
    }

    fn parse(text: OsString) -> Result<Self, HttpError> {
        let is_url = |text: &&str| {
            let scheme = text.split_once("://").map(|(scheme, _)| scheme);
            scheme.is_some_and(|s| s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https"))
        };
        match text.to_str().filter(is_url) {
            Some(url) => Ok(Self::Url(url.parse()?)),
            None => Ok(Self::File(text.into())),
        }
    }

    /// The file, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Url(_) => None,
        }
    }

    /// Its name without folder and extension.
    pub(crate) fn stem(&self) -> OsString {
        let stem = match self {
            Self::File(path) => path.file_stem().map(OsStr::to_owned),
            Self::Url(url) => Path::new(&url.name()).file_stem().map(OsStr::to_owned),
        };
        stem.unwrap_or_else(|| "video".into())
    }

    /// Opens it, or says why not.
    pub(crate) async fn open(
        &self,
        limits: &Limits,
        private_addresses: bool,
        cancel: &CancellationToken,
    ) -> Result<Opened, Failure> {
        match self {
            Self::File(path) => self.open_file(path),
            Self::Url(url) => {
                let options = HttpOptions {
                    private_addresses,
                    ..HttpOptions::new(limits)
                };
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => Err(Failure::new(exit::CANCELLED, "cancelled, nothing was written")),
                    opened = HttpSource::open(url, &options) => match opened {
                        Ok(source) => Ok(Opened::Url(Arc::new(source))),
                        Err(error) => Err(self.not_opened(&error)),
                    },
                }
            }
        }
    }

    fn open_file(&self, path: &Path) -> Result<Opened, Failure> {
        let error = match FileSource::open(path) {
            Ok(source) => return Ok(Opened::File(Arc::new(source))),
            Err(error) => error,
        };
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "no such file".to_owned(),
            std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        let failure = Failure::new(exit::NOT_FOUND, format!("{self}: {why}"));
        Err(
            if path
                .as_os_str()
                .as_encoded_bytes()
                .windows(3)
                .any(|w| w == b"://")
            {
                failure.hint("addresses of videos start with http:// or https://")
            } else {
                failure
            },
        )
    }

    fn not_opened(&self, error: &HttpError) -> Failure {
        let failure = |code| Failure::about(code, self, error);
        match error {
            HttpError::InvalidUrl(_) => failure(exit::USAGE),
            HttpError::PrivateAddress(_) => failure(exit::NOT_FOUND)
                .hint("--allow-private-addresses reads from this machine and from local networks"),
            HttpError::TooLarge(_) => failure(exit::LIMIT),
            HttpError::Copy(_) => {
                failure(exit::OUTPUT).hint("TMPDIR names another folder for temporary files")
            }
            _ => failure(exit::NOT_FOUND),
        }
    }
}

impl fmt::Display for VideoInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_files() {
        let parse = |text: &str| VideoInput::parse(text.into());
        assert!(matches!(parse("HTTPS://host/x.mp4"), Ok(VideoInput::Url(_))));
        for file in ["x.mp4", "http:x", "ftp://h/x", "./http://h/x"] {
            assert!(matches!(parse(file), Ok(VideoInput::File(_))), "{file}");
        }
        assert!(parse("http://").is_err());
        let url = parse("https://host/a/talk.de.mp4?sig=x").expect("an address");
        assert_eq!(url.stem(), "talk.de");
    }
}
