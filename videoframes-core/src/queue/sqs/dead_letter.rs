//! Dead-letter messages.

use crate::queue::{DEAD_LETTER_REASON, Message, Outgoing};

use super::validate::{ATTRIBUTES, bytes, legal};

/// Attribute with the original size in bytes of a truncated body.
const CUT: &str = "cut_from_bytes";
/// Maximum size of a reason in bytes.
const REASON_BYTES: usize = 1024;

/// Returns the dead-letter message for `message`, of at most `limit` bytes, with the reason as an attribute.
///
/// If there is not enough space, other attributes are dropped first, and then the body is truncated.
pub(super) fn dead_letter(message: &Message, reason: &str, limit: usize) -> Outgoing {
    let mut dead = Outgoing {
        attributes: message.attributes.clone(),
        // Dead-lettered twice, the message is kept once if the queue deduplicates.
        deduplication_id: Some(message.id.clone()),
        ..Outgoing::new(message.body.clone())
    };
    dead.attributes
        .insert(DEAD_LETTER_REASON.to_owned(), legal_reason(reason));
    while dead.attributes.len() > ATTRIBUTES || (bytes(&dead) > limit && dead.attributes.len() > 1) {
        drop_attribute(&mut dead);
    }
    if bytes(&dead) > limit {
        let length = dead.body.len();
        dead.attributes.insert(CUT.to_owned(), length.to_string());
        let space = limit.saturating_sub(bytes(&dead) - length);
        dead.body.truncate(dead.body.floor_char_boundary(space));
    }
    dead
}

/// Drops the last attribute that is not the reason.
fn drop_attribute(dead: &mut Outgoing) {
    let mut names = dead.attributes.keys().rev();
    let last = names.find(|name| *name != DEAD_LETTER_REASON);
    if let Some(name) = last.cloned() {
        dead.attributes.remove(&name);
    }
}

/// Replaces characters that SQS does not accept, and limits the length.
fn legal_reason(reason: &str) -> String {
    let text: String = reason
        .chars()
        .map(|c| if legal(c) { c } else { '\u{fffd}' })
        .collect();
    let text = &text[..text.floor_char_boundary(REASON_BYTES)];
    if text.is_empty() { "unknown reason" } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::queue::{MESSAGE_BYTES, ReceiptHandle};

    fn message(body: String, attributes: usize) -> Message {
        let attribute = |n| (format!("a{n}"), "x".to_owned());
        Message {
            id: "id".to_owned(),
            body,
            attributes: (0..attributes).map(attribute).collect::<BTreeMap<_, _>>(),
            receipt: ReceiptHandle(String::new()),
            receive_count: 1,
            sent_at: None,
            aws_trace_header: None,
        }
    }

    #[test]
    fn attributes_are_dropped_to_fit_the_limit() {
        let all = dead_letter(&message("body".to_owned(), 9), "why", MESSAGE_BYTES);
        assert_eq!((all.body.as_str(), all.attributes.len()), ("body", 10));
        let ten = dead_letter(&message("body".to_owned(), 10), "why", MESSAGE_BYTES);
        assert_eq!(ten.attributes.len(), 10);
        assert_eq!(ten.attributes["reason"], "why");
        assert!(!ten.attributes.contains_key("a9") && ten.attributes.contains_key("a8"));
    }

    #[test]
    fn a_dead_letter_message_never_exceeds_the_limit() {
        let large = message("ü".repeat(MESSAGE_BYTES), 3);
        let cut = dead_letter(&large, &"\0ü".repeat(5000), MESSAGE_BYTES);
        assert!(bytes(&cut) <= MESSAGE_BYTES && bytes(&cut) > MESSAGE_BYTES - 4);
        assert_eq!(cut.attributes[CUT], (2 * MESSAGE_BYTES).to_string());
        assert!(cut.attributes["reason"].chars().all(legal));
        let whole = dead_letter(&large, "", 4 * MESSAGE_BYTES);
        assert_eq!(whole.body, large.body);
        assert!(!whole.attributes["reason"].is_empty());
    }
}
