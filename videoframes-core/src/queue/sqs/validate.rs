//! Validates messages by the limits of SQS before they are sent: one invalid message must not fail its batch.
//!
//! The rules are those of SendMessage and MessageAttributeValue in the SQS API reference.

use std::time::Duration;

use crate::queue::{MESSAGE_BYTES, Outgoing, QueueError};

/// Maximum number of attributes per message.
pub(super) const ATTRIBUTES: usize = 10;
/// Data type of every attribute, which counts towards the size of a message.
pub(super) const STRING: &str = "String";
/// Maximum delay of a message.
const MAX_DELAY: Duration = Duration::from_secs(900);
/// Maximum length of an attribute name in bytes.
const NAME_BYTES: usize = 256;
/// Maximum length of a group or deduplication id in bytes.
const ID_BYTES: usize = 128;

/// Returns the size of a message as SQS counts it.
pub(super) fn bytes(message: &Outgoing) -> usize {
    message.bytes() + message.attributes.len() * STRING.len()
}

/// Returns whether SQS accepts a character: the characters of XML 1.0.
pub(super) fn legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Validates a message for a FIFO queue (`fifo`) or a standard queue.
///
/// # Errors
/// Returns [`QueueError::TooLarge`] or [`QueueError::Refused`].
pub(super) fn check(message: &Outgoing, fifo: bool) -> Result<(), QueueError> {
    let too_large = |bytes| QueueError::TooLarge {
        bytes,
        limit: MESSAGE_BYTES,
    };
    match (message.bytes(), bytes(message)) {
        (bytes, _) | (_, bytes) if bytes > MESSAGE_BYTES => return Err(too_large(bytes)),
        _ => {}
    }
    match wrong(message, fifo) {
        Some(wrong) => Err(QueueError::Refused(wrong)),
        None => Ok(()),
    }
}

fn wrong(message: &Outgoing, fifo: bool) -> Option<String> {
    if message.body.is_empty() {
        return Some("the body is empty".to_owned());
    }
    if let Some(c) = message.body.chars().find(|c| !legal(*c)) {
        return Some(format!("the body contains the character {}", c.escape_unicode()));
    }
    if message.attributes.len() > ATTRIBUTES {
        return Some(format!("there are more than {ATTRIBUTES} attributes"));
    }
    for (name, value) in &message.attributes {
        let shown: String = name.chars().take(80).collect();
        if !is_name(name) {
            return Some(format!(
                "'{}' is not a valid attribute name",
                shown.escape_debug()
            ));
        }
        if value.is_empty() || !value.chars().all(legal) {
            return Some(format!(
                "the attribute '{shown}' is empty, or contains a character that XML does not allow"
            ));
        }
    }
    if fifo && !message.delay.is_zero() {
        return Some("messages in a FIFO queue cannot have a delay".to_owned());
    }
    if message.delay > MAX_DELAY {
        return Some(format!("the delay is longer than {MAX_DELAY:?}"));
    }
    let ids = [&message.group, &message.deduplication_id];
    let bad = |id: &&String| {
        id.is_empty() || id.len() > ID_BYTES || !id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if fifo && ids.into_iter().flatten().any(|id| bad(&id)) {
        return Some(format!(
            "group and deduplication id must have 1 to {ID_BYTES} printable characters"
        ));
    }
    None
}

fn is_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=NAME_BYTES).contains(&name.len())
        && name.bytes().all(known)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn with(attributes: &[(&str, &str)]) -> Outgoing {
        let attributes = attributes.iter();
        Outgoing {
            attributes: attributes
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            ..Outgoing::new("x")
        }
    }

    #[test]
    fn messages_that_sqs_rejects_are_rejected_before_they_are_sent() {
        let delayed = |seconds| Outgoing {
            delay: Duration::from_secs(seconds),
            ..Outgoing::new("x")
        };
        let in_group = |group: &str| Outgoing {
            group: Some(group.to_owned()),
            ..Outgoing::new("x")
        };
        let many: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
        for (message, fifo, word) in [
            (Outgoing::new(""), false, "empty"),
            (Outgoing::new("a\u{ffff}"), false, "\\u{ffff}"),
            (Outgoing::new("a\0"), false, "\\u{0}"),
            (with(&many), false, "more than 10"),
            (with(&[("", "x")]), false, "name"),
            (with(&[("a b", "x")]), false, "name"),
            (with(&[("aws.trace", "x")]), false, "name"),
            (with(&[("a..b", "x")]), false, "name"),
            (with(&[("a", "")]), false, "'a'"),
            (with(&[("a", "\u{1}")]), false, "'a'"),
            (delayed(901), false, "delay"),
            (delayed(1), true, "FIFO"),
            (in_group(""), true, "group"),
            (in_group("a b"), true, "group"),
        ] {
            match check(&message, fifo) {
                Err(QueueError::Refused(wrong)) => assert!(wrong.contains(word), "{word}: {wrong}"),
                other => panic!("{word}: {other:?}"),
            }
        }
        for (message, fifo) in [
            (Outgoing::new("ü\t\r\n\u{fffd}🎞\u{7f}"), false),
            (with(&many[..10]), false),
            (delayed(900), false),
            (in_group("a b"), false),
            (in_group("a"), true),
        ] {
            assert!(check(&message, fifo).is_ok(), "{message:?}");
        }
    }

    #[test]
    fn attribute_types_count_towards_the_size() {
        let mut message = with(&[("a", "b")]);
        message.body = "x".repeat(MESSAGE_BYTES - 2);
        let too_large = check(&message, false);
        assert!(
            matches!(too_large, Err(QueueError::TooLarge { .. })),
            "{too_large:?}"
        );
        message.body = "x".repeat(MESSAGE_BYTES - 2 - STRING.len());
        assert!(check(&message, false).is_ok());
    }
}
