//! Makes untrusted text safe to print.
//!
//! File names, object keys, URLs and messages may contain control characters that steer a terminal and line
//! separators that forge a log line. Bidirectional controls change the displayed order.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns `text` on one line, with every control, separator and format character escaped as `\u{…}`, or as `
/// `, `\r` and `\t`.
///
/// The result is for display: backslashes of `text` are not escaped, so the result cannot be reversed.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c, out| match c {
        '\n' | '\r' | '\t' => out.extend(c.escape_default()),
        _ => out.extend(c.escape_unicode()),
    })
}

/// Returns the JSON document `json` with every separator and format character, and every control character
/// beyond ASCII, replaced by its JSON escape: `\u` and four hexadecimal digits. The value of the document does not
/// change.
///
/// JSON itself escapes the ASCII controls inside strings; line breaks between values stay.
#[must_use]
pub fn printable_json(json: &str) -> Cow<'_, str> {
    escaped(json, |c, out| {
        if c.is_ascii() && c != '\u{7f}' {
            out.push(c);
            return;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

/// Returns whether `c` is unsafe to print.
///
/// Unsafe characters are controls (Cc), line and paragraph separators (Zl, Zp), and format characters (Cf)
/// such as the bidirectional controls.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || is_format(c)
}

/// Returns whether `c` is in the general category Cf of Unicode 17.
fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}'
            | '\u{e0020}'..='\u{e007f}'
    )
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_unprintable(c) {
            true => escape(c, &mut out),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_text_is_printed_on_one_line_without_control_or_format_characters() {
        for (text, shown) in [
            ("plain ü 日本 \\n 🎬", "plain ü 日本 \\n 🎬"),
            ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\u{7f}\u{9b}31m", "\\u{7f}\\u{9b}31m"),
            ("a\u{2028}b\u{2029}c\u{85}d", "a\\u{2028}b\\u{2029}c\\u{85}d"),
            ("evil\u{202e}4pm.exe", "evil\\u{202e}4pm.exe"),
            (
                "\u{2066}x\u{2069}\u{feff}\u{200b}",
                "\\u{2066}x\\u{2069}\\u{feff}\\u{200b}",
            ),
            ("\u{e0041}\u{ad}", "\\u{e0041}\\u{ad}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn escaped_json_keeps_its_value_and_has_no_terminal_controls() {
        let value = serde_json::json!({
            "key\u{9b}": ["a\u{9b}31m\n", "\u{202e}\u{2028}\u{2029}\u{7f}", "\u{e0041}", "ü 🎬"],
        });
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let shown = printable_json(&pretty);
        assert!(
            !shown.contains(|c: char| is_unprintable(c) && c != '\n'),
            "{shown}"
        );
        assert!(
            shown.contains("\\u009b") && shown.contains("\\udb40\\udc41"),
            "{shown}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert!(matches!(printable_json("{\"a\":\"ü\"}"), Cow::Borrowed(_)));
    }
}
