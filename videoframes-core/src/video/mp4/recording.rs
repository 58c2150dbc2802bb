//! Tags of the recording in `moov`, with the names that ffmpeg's demuxer gives them.

use mp4_atom::Mvhd;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::Recording;
use super::boxes::{Box, find};
use crate::limits::RECORDING_TEXT_BYTES;

/// Seconds from the epoch of the format, 1904, to the epoch of Unix.
const EPOCH: i64 = 2_082_844_800;
/// Maximum number of keys that are read.
const MAX_KEYS: usize = 1000;

/// Reads the tags of a movie with these boxes. Tags that cannot be read are ignored.
pub(super) fn read(children: &[Box<'_>], header: &Mvhd) -> Recording {
    let mut tags: Vec<(String, String)> = Vec::new();
    // Some programs count from the epoch of Unix.
    let created = i64::try_from(header.creation_time).ok().filter(|&time| time > 0);
    let created = created.map(|time| if time >= EPOCH { time - EPOCH } else { time });
    let created = created.and_then(|time| OffsetDateTime::from_unix_timestamp(time).ok());
    if let Some(created) = created.and_then(|time| time.format(&Rfc3339).ok()) {
        tags.push(("creation_time".to_owned(), created));
    }
    let user_data = find(children, b"udta").and_then(|udta| udta.children().ok());
    for item in user_data.iter().flatten() {
        let (name, value) = match &item.kind {
            b"\xa9mak" => ("make", international_text(item.body)),
            b"\xa9mod" => ("model", international_text(item.body)),
            b"\xa9xyz" => ("location", international_text(item.body)),
            b"loci" => ("location", location(item.body)),
            _ => continue,
        };
        tags.extend(value.map(|value| (name.to_owned(), value)));
    }
    // QuickTime has the keys in the movie, and other programs in its user data.
    let metadata = [Some(children), user_data.as_deref()];
    for boxes in metadata.into_iter().flatten() {
        let items = find(boxes, b"meta").and_then(|meta| keyed(&meta));
        tags.extend(items.into_iter().flatten());
    }
    Recording::from_tags(tags.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// Returns the first text in QuickTime's user data: length, language and text.
fn international_text(body: &[u8]) -> Option<String> {
    let length = usize::from(u16::from_be_bytes(body.get(..2)?.try_into().ok()?));
    text(body.get(4..)?.get(..length)?)
}

/// Returns the location of 3GPP TS 26.244, 8.10: version, language, name, role and three fixed-point numbers.
fn location(body: &[u8]) -> Option<String> {
    let name = body.get(6..)?;
    let end = name.iter().position(|&byte| byte == 0)?;
    let numbers = name.get(end + 2..)?;
    let fixed = |at: usize| {
        let bytes = numbers.get(at..at + 4)?.try_into().ok()?;
        Some(f64::from(i32::from_be_bytes(bytes)) / 65_536.0)
    };
    let (longitude, latitude, altitude) = (fixed(0)?, fixed(4)?, fixed(8)?);
    let altitude = match altitude {
        0.0 => String::new(),
        altitude => format!("{altitude:+.6}"),
    };
    Some(format!("{latitude:+08.4}{longitude:+09.4}{altitude}/"))
}

/// Returns the items of a `meta` box with keys (QuickTime File Format, Metadata).
fn keyed(meta: &Box<'_>) -> Option<Vec<(String, String)>> {
    // Files of ISO/IEC 14496-12 have a version and flags, QuickTime files do not.
    let body = match meta.body.get(4..8)? {
        b"hdlr" => meta.body,
        _ => meta.body.get(4..)?,
    };
    let children = Box::all(body).ok()?;
    let mut rest = find(&children, b"keys")?.body.get(8..)?;
    let mut keys: Vec<&[u8]> = Vec::new();
    while let (Some(size), true) = (number(rest, 0), keys.len() < MAX_KEYS) {
        keys.push(rest.get(8..size)?);
        rest = &rest[size..];
    }
    let items = find(&children, b"ilst")?.children().ok()?;
    let item = |item: &Box<'_>| {
        let index = usize::try_from(u32::from_be_bytes(item.kind))
            .ok()?
            .checked_sub(1)?;
        let value = find(&item.children().ok()?, b"data")?;
        // UTF-8; a type and a locale precede the value.
        let is_text = number(value.body, 0)? == 1;
        let value = text(value.body.get(8..)?).filter(|_| is_text)?;
        Some((text(keys.get(index)?)?, value))
    };
    Some(items.iter().take(MAX_KEYS).filter_map(item).collect())
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

/// Returns the beginning of a valid text.
fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    Some(text[..text.floor_char_boundary(RECORDING_TEXT_BYTES)].to_owned())
}
