//! Lists of videos (`--from`).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use videoframes_console::{Failure, exit};

use super::inputs::MAX_VIDEOS;

/// Maximum length of an entry in bytes: longer than every path and every signed URL.
const MAX_ENTRY: usize = 64 << 10;

/// Separator of the entries of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    /// The end of a line, with or without a carriage return.
    Line,
    Null,
}

/// Returns the entries of the list at `path`, or on stdin if `path` is `-`.
///
/// # Errors
/// Fails if the list cannot be read or exceeds a limit.
pub(super) fn read(path: &Path, separator: Separator) -> Result<Vec<OsString>, Failure> {
    let entries = match path.as_os_str() == "-" {
        true => entries(io::stdin().lock(), separator),
        false => File::open(path).and_then(|file| entries(BufReader::new(file), separator)),
    };
    let shown = match path.as_os_str() == "-" {
        true => "stdin".to_owned(),
        false => path.display().to_string(),
    };
    let entries = entries.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Failure::new(exit::LIMIT, format!("{shown}: {error}"))
            .hint("the list has one path or URL per line, or with --null one per NUL character"),
        _ => Failure::new(exit::NOT_FOUND, format!("{shown}: {error}")),
    })?;
    if entries.iter().any(|entry| entry == "-") {
        let text = format!("{shown}: a list cannot contain -");
        return Err(Failure::new(exit::USAGE, text).hint("write ./- for a file of this name"));
    }
    Ok(entries)
}

/// Returns the entries that are not empty.
fn entries(mut list: impl BufRead, separator: Separator) -> io::Result<Vec<OsString>> {
    let end = match separator {
        Separator::Line => b'\n',
        Separator::Null => 0,
    };
    let mut entries = Vec::new();
    loop {
        let mut entry = Vec::new();
        if list
            .by_ref()
            .take(MAX_ENTRY as u64 + 1)
            .read_until(end, &mut entry)?
            == 0
        {
            return Ok(entries);
        }
        if entry.last() == Some(&end) {
            entry.pop();
        }
        if separator == Separator::Line && entry.last() == Some(&b'\r') {
            entry.pop();
        }
        if entry.len() > MAX_ENTRY || entries.len() == MAX_VIDEOS {
            let text = match entry.len() > MAX_ENTRY {
                true => format!("an entry of the list is longer than {MAX_ENTRY} bytes"),
                false => format!("the list has more than {MAX_VIDEOS} entries"),
            };
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if !entry.is_empty() {
            entries.push(OsString::from_vec(entry));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_separated_by_lines_or_null_characters() {
        for (list, separator, expected) in [
            ("", Separator::Line, &[][..]),
            ("a b\r\n\n#c\n", Separator::Line, &["a b", "#c"]),
            ("a\nb\0c\r", Separator::Null, &["a\nb", "c\r"]),
            ("a\0\0", Separator::Null, &["a"]),
        ] {
            assert_eq!(entries(list.as_bytes(), separator).unwrap(), expected, "{list:?}");
        }
        assert!(entries("x".repeat(MAX_ENTRY).as_bytes(), Separator::Line).is_ok());
        assert!(entries("x".repeat(MAX_ENTRY + 1).as_bytes(), Separator::Line).is_err());
    }
}
