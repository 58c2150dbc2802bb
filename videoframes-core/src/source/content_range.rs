//! The `Content-Range` header of a partial response.

use std::ops::Range;

/// A parsed header such as `Content-Range: bytes 0-99/1234`.
pub(crate) struct ContentRange {
    pub(crate) bytes: Range<u64>,
    pub(crate) length: u64,
}

impl ContentRange {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (range, length) = text.strip_prefix("bytes ")?.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let length = length.parse().ok()?;
        let bytes = first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?;
        (bytes.start < bytes.end && bytes.end <= length).then_some(Self { bytes, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_content_ranges_are_rejected() {
        let range = ContentRange::parse("bytes 0-99/1234").expect("a range");
        assert_eq!((range.bytes, range.length), (0..100, 1234));
        for bad in [
            "bytes 0-99/*",
            "bytes */1234",
            "bytes 5-4/10",
            "bytes 0-10/10",
            "bytes -1-4/10",
            "items 0-1/2",
            "bytes 0-18446744073709551615/18446744073709551615",
            "",
        ] {
            assert!(ContentRange::parse(bad).is_none(), "{bad}");
        }
    }
}
