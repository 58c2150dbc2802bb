//! Removal of names, addresses and credentials from texts.

/// Minimum length of a word that may be a token.
const TOKEN: usize = 20;

/// Returns the text without quoted texts, and without words that may be paths, file names, hosts, URLs, assignments
/// or tokens.
///
/// Scrubs too much rather than too little: the log has the complete text.
pub(super) fn scrub(text: &str) -> String {
    let unquoted = without_quoted(text);
    let words = unquoted.split(' ').map(|word| {
        let core = word.trim_matches(|c: char| matches!(c, ',' | '.' | ';' | ':' | '(' | ')' | '!' | '?'));
        match is_suspicious(core) {
            true => word.replacen(core, "…", 1),
            false => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Replaces the content of quotes. A quote inside a word is an apostrophe.
fn without_quoted(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        kept.push(c);
        if matches!(c, '\'' | '"' | '`') && !previous.is_alphanumeric() {
            let end = closing(rest, c).unwrap_or(rest.len());
            kept.push('…');
            rest = &rest[end..];
            if let Some(after) = rest.strip_prefix(c) {
                kept.push(c);
                rest = after;
            }
        }
        previous = c;
    }
    kept
}

/// Returns the position of the quote that no letter or digit follows.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut quotes = text.match_indices(quote).map(|(at, _)| at);
    let followed = |at: usize| text[at + quote.len_utf8()..].chars().next();
    quotes.find(|at| followed(*at).is_none_or(|next| !next.is_alphanumeric()))
}

fn is_suspicious(word: &str) -> bool {
    let is_number = word.chars().all(|c| c.is_ascii_digit() || c == '.');
    let is_path = word.contains(['/', '\\', '@', '=', '?', '&', '%']);
    let has_dot = word.contains('.') && !is_number;
    let is_address = word.contains(':') && !word.contains("::");
    let is_token = word.chars().count() >= TOKEN && !word.contains("::");
    is_path || has_dot || is_address || is_token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_credentials_are_removed_and_words_are_kept() {
        for (text, expected) in [
            ("the lease is lost", "the lease is lost"),
            (
                "ffmpeg 5.1.9 ended with exit status: 1",
                "ffmpeg 5.1.9 ended with exit status: 1",
            ),
            (
                "no space left on device (os error 28)",
                "no space left on device (os error 28)",
            ),
            ("'a b/talk.mp4': truncated", "'…': truncated"),
            ("'it's mine.mp4' is not a video", "'…' is not a video"),
            ("the worker's job 'x", "the worker's job '…"),
            ("open \"s3://b/k\" now", "open \"…\" now"),
            ("GET https://k:p@h/x?X-Amz-Signature=abc: 403", "GET …: 403"),
            ("connect to db.example.com:5432 failed", "connect to … failed"),
            ("read talk.mp4, then stop", "read …, then stop"),
            ("password=hunter2", "…"),
            ("token AKIAIOSFODNN7EXAMPLE refused", "token … refused"),
            ("key wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY", "key …"),
            ("arn:aws:iam::123456789012:role/x", "…"),
            ("user me@example.com", "user …"),
            (
                "videoframes_core::processor::attempt panicked",
                "videoframes_core::processor::attempt panicked",
            ),
            ("", ""),
        ] {
            assert_eq!(scrub(text), expected, "{text}");
        }
    }
}
