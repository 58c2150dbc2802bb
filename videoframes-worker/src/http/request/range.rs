//! The selected part of a content (RFC 9110, section 14).

use axum::http::{HeaderMap, HeaderValue, header};

/// The part of the content that a request selects.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    All,
    /// From the first to the last byte, inclusive.
    Part(u64, u64),
    Unsatisfiable,
}

/// Returns the selected part of `length` bytes. Several ranges select everything, as servers may decide.
pub(crate) fn select(headers: &HeaderMap, length: u64, etag: &str) -> Selected {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let Some(range) = text(header::RANGE) else {
        return Selected::All;
    };
    if text(header::IF_RANGE).is_some_and(|known| known != etag) {
        return Selected::All;
    }
    let Ok(parsed) = http_range_header::parse_range_header(range) else {
        return Selected::All;
    };
    match parsed.validate(length).as_deref() {
        Ok([range]) => Selected::Part(*range.start(), *range.end()),
        Ok(_) => Selected::All,
        Err(_) => Selected::Unsatisfiable,
    }
}

/// Returns whether the client has the content with this ETag.
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    known.is_some_and(|known| {
        known
            .split(',')
            .any(|known| known.trim().trim_start_matches("W/") == etag)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_range_selects_a_part() {
        let of = |range: &str, if_range: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, range.parse().unwrap());
            if let Some(known) = if_range {
                headers.insert(header::IF_RANGE, known.parse().unwrap());
            }
            select(&headers, 100, "\"a\"")
        };
        for (range, expected) in [
            ("bytes=0-9", Selected::Part(0, 9)),
            ("bytes=90-", Selected::Part(90, 99)),
            ("bytes=-10", Selected::Part(90, 99)),
            ("bytes=90-1000", Selected::Part(90, 99)),
            ("bytes=100-", Selected::Unsatisfiable),
            ("bytes=0-1,5-6", Selected::All),
            ("bytes=x", Selected::All),
            ("items=0-1", Selected::All),
        ] {
            assert_eq!(of(range, None), expected, "{range}");
        }
        assert_eq!(of("bytes=0-9", Some("\"a\"")), Selected::Part(0, 9));
        assert_eq!(of("bytes=0-9", Some("\"b\"")), Selected::All);
    }
}
