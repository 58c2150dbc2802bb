//! The URL of a video. The fuzz target `values` includes this file.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::Url;

/// The URL of a video, with scheme `http` or `https`. Displayed without parts that may be secret (credentials
/// and query).
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Url);

/// Error for a text that is not the URL of a video.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(String);

impl HttpUrl {
    /// Returns the last component of the path, decoded; the host if the path is empty, and `video` if the host has no name.
    pub fn name(&self) -> String {
        let last = self
            .0
            .path_segments()
            .and_then(|mut segments| segments.next_back())
            .unwrap_or_default();
        let decoded = percent_decode_str(last).decode_utf8_lossy();
        // Decoding can produce path separators and terminal control characters.
        let clean = decoded.replace(|c: char| c.is_control() && c != '\0', "_");
        let name = clean.rsplit(['/', '\\', '\0']).next().unwrap_or_default();
        match name {
            // A host may consist of dots only.
            "" | "." | ".." => match self.host().trim_matches('.') {
                "" => "video".to_owned(),
                _ => self.host().to_owned(),
            },
            name => name.to_owned(),
        }
    }

    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// Resolves a redirect of this URL.
    pub(super) fn join(&self, location: &str) -> Result<Self, InvalidUrl> {
        let next = self.0.join(location).map_err(InvalidUrl::new)?;
        if self.0.scheme() == "https" && next.scheme() == "http" {
            return Err(InvalidUrl("https changes to http".to_owned()));
        }
        let mut next = Self::admit(next)?;
        // Credentials are only sent to the original origin.
        let (user, password) = match next.0.origin() == self.0.origin() {
            true => (self.0.username(), self.0.password()),
            false => ("", None),
        };
        let set = next.0.set_username(user);
        set.and_then(|()| next.0.set_password(password))
            .map_err(|()| InvalidUrl::without_host())?;
        Ok(next)
    }

    fn admit(url: Url) -> Result<Self, InvalidUrl> {
        if !matches!(url.scheme(), "http" | "https") {
            let text = format!("unsupported scheme '{}', expected http or https", url.scheme());
            return Err(InvalidUrl(text));
        }
        match url.host_str() {
            Some(host) if !host.is_empty() => Ok(Self(url)),
            _ => Err(InvalidUrl::without_host()),
        }
    }
}

impl InvalidUrl {
    fn new(error: url::ParseError) -> Self {
        Self(format!("the URL is invalid ({error})"))
    }

    fn without_host() -> Self {
        Self("the URL has no host".to_owned())
    }
}

impl FromStr for HttpUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        Url::parse(text).map_err(InvalidUrl::new).and_then(Self::admit)
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.0;
        write!(f, "{}://{}", url.scheme(), self.host())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> HttpUrl {
        text.parse().expect(text)
    }

    #[test]
    fn secrets_are_not_displayed() {
        let shown = url("https://user:secret@host:8443/a/b.mp4?token=secret#secret").to_string();
        assert_eq!(shown, "https://host:8443/a/b.mp4");
        assert_eq!(format!("{:?}", url("http://u:p@h/x?y")), "http://h/x");
    }

    #[test]
    fn names_are_file_names() {
        for (address, name) in [
            ("http://h/a/ein%20Film.mp4?x=/y.mp4", "ein Film.mp4"),
            ("http://h/%2e%2e%2fetc%2fpasswd", "passwd"),
            ("http://h/a/..%2f", "h"),
            ("http://h/%1b]0;x%07.mp4", "_]0;x_.mp4"),
            ("http://h/100%", "100%"),
            ("http://h", "h"),
            ("http://h/a/", "h"),
            ("https:/..", "video"),
        ] {
            assert_eq!(url(address).name(), name, "{address}");
        }
    }

    #[test]
    fn only_http_urls_are_accepted() {
        for bad in [
            "",
            "video.mp4",
            "ftp://h/x",
            "file:///etc/passwd",
            "http://",
            "data:,x",
            "http:///",
        ] {
            assert!(bad.parse::<HttpUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn redirects_stay_secure_and_on_http() {
        assert_eq!(url("http://h/a").join("/b").expect("relative"), url("http://h/b"));
        assert!(url("http://h/a").join("https://i/b").is_ok());
        assert!(url("https://h/a").join("http://h/b").is_err());
        assert!(url("http://h/a").join("file:///etc/passwd").is_err());
        let original = url("http://u:p@h/a");
        for (location, next) in [
            ("/b", "http://u:p@h/b"),
            ("http://h/b", "http://u:p@h/b"),
            ("http://x:y@i/b", "http://i/b"),
        ] {
            assert_eq!(original.join(location).expect(location), url(next));
        }
    }
}
