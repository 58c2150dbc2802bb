//! What SQS takes, checked before anything is sent: one bad message must not cost its batch.
//!
//! The rules are those of SendMessage and MessageAttributeValue in the API reference of SQS.

use std::time::Duration;

use crate::queue::{MESSAGE_BYTES, Outgoing, QueueError};

/// Most attributes of one message.
pub(super) const ATTRIBUTES: usize = 10;
/// Type of every attribute. It counts towards a message's size.
pub(super) const STRING: &str = "String";
/// Longest delay of a message.
const LONGEST_DELAY: Duration = Duration::from_secs(900);
/// Longest name of an attribute.
const NAME_BYTES: usize = 256;
/// Longest id of a group, and for deduplication.
const ID_BYTES: usize = 128;

/// Bytes of a message as SQS counts them.
pub(super) fn bytes(message: &Outgoing) -> usize {
    message.bytes() + message.attributes.len() * STRING.len()
}

/// Whether SQS takes a character: what XML 1.0 does.
pub(super) fn legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Checks a message for a queue that keeps order (`fifo`), or for one that does not.
///
/// # Errors
/// [`QueueError::TooLarge`] and [`QueueError::Refused`].
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
        return Some("its body is empty".to_owned());
    }
    if let Some(c) = message.body.chars().find(|c| !legal(*c)) {
        return Some(format!("its body has the character {}", c.escape_unicode()));
    }
    if message.attributes.len() > ATTRIBUTES {
        return Some(format!("it has more than {ATTRIBUTES} attributes"));
    }
    for (name, value) in &message.attributes {
        let shown: String = name.chars().take(80).collect();
        if !is_name(name) {
            return Some(format!("'{}' is no name of an attribute", shown.escape_debug()));
        }
        if value.is_empty() || !value.chars().all(legal) {
            return Some(format!(
                "its attribute '{shown}' is empty, or has a character that XML has not"
            ));
        }
    }
    if fifo && !message.delay.is_zero() {
        return Some("in a FIFO queue no message has a delay of its own".to_owned());
    }
    if message.delay > LONGEST_DELAY {
        return Some(format!("its delay is longer than {LONGEST_DELAY:?}"));
    }
    let ids = [&message.group, &message.deduplication_id];
    let bad = |id: &&String| {
        id.is_empty() || id.len() > ID_BYTES || !id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if fifo && ids.into_iter().flatten().any(|id| bad(&id)) {
        return Some(format!(
            "its group or deduplication id is not of 1 to {ID_BYTES} printable characters"
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
    fn what_sqs_would_refuse_is_refused_before_it_is_sent() {
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
    fn types_of_attributes_count_towards_the_size() {
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
