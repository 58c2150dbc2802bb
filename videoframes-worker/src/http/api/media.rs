//! Media types and names of downloads.

use axum::http::{HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use videoframes_core::archive::portable_name;

/// Characters that stay unencoded in an extended parameter (RFC 8187).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Headers of content that others made: a browser must neither run it nor guess its type.
pub(super) const UNTRUSTED: (HeaderName, HeaderValue) = (
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static("default-src 'none'; sandbox"),
);

/// Returns the media type by the extension of a name. Types that could run scripts are not among them.
pub(super) fn media_type(name: &str) -> &'static str {
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        Some("avif") => "image/avif",
        Some("gif") => "image/gif",
        Some("mp4" | "m4v") => "video/mp4",
        Some("webm") => "video/webm",
        Some("mkv") => "video/x-matroska",
        Some("mov") => "video/quicktime",
        Some("vtt") => "text/vtt; charset=utf-8",
        Some("json") => "application/json",
        Some("jsonl") => "application/jsonl",
        Some("zip") => "application/zip",
        Some("tar") => "application/x-tar",
        _ => "application/octet-stream",
    }
}

/// Returns whether a browser shows content of this type by itself.
fn is_shown(media_type: &str) -> bool {
    media_type.starts_with("image/") || media_type.starts_with("video/") || media_type.starts_with("text/vtt")
}

/// Returns the header with the name of the file for a user who saves the content.
pub(super) fn disposition(name: &str) -> Option<HeaderValue> {
    let kind = match is_shown(media_type(name)) {
        true => "inline",
        false => "attachment",
    };
    let name = portable_name(name);
    let plain = |c: char| {
        if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' {
            c
        } else {
            '_'
        }
    };
    let ascii: String = name.chars().map(plain).collect();
    let encoded = utf8_percent_encode(&name, PLAIN);
    HeaderValue::from_str(&format!(
        "{kind}; filename=\"{ascii}\"; filename*=UTF-8''{encoded}"
    ))
    .ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_header() {
        for (name, expected) in [
            ("a.zip", "attachment; filename=\"a.zip\"; filename*=UTF-8''a.zip"),
            (
                "ü \".jpg",
                "inline; filename=\"_ _.jpg\"; filename*=UTF-8''%C3%BC%20%22.jpg",
            ),
            ("x.svg", "attachment; filename=\"x.svg\"; filename*=UTF-8''x.svg"),
            (
                "x.html",
                "attachment; filename=\"x.html\"; filename*=UTF-8''x.html",
            ),
        ] {
            assert_eq!(disposition(name).unwrap(), expected, "{name}");
        }
        let lines = disposition("a\r\nSet-Cookie: b.zip").unwrap();
        assert!(!lines.as_bytes().contains(&b'\n'), "{lines:?}");
    }
}
