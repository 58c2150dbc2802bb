//! A message as it is kept among the dead letters.

use crate::queue::{DEAD_LETTER_REASON, Message, Outgoing};

use super::takes::{ATTRIBUTES, bytes, legal};

/// Attribute of a dead letter whose body had to be cut: how many bytes it had.
const CUT: &str = "cut_from_bytes";
/// Longest reason, in bytes.
const REASON_BYTES: usize = 1024;

/// The dead letter of a message, of at most `limit` bytes: the reason beside what it was. Where there is no
/// room for both, other attributes go first, and then the end of the body.
pub(super) fn letter(message: &Message, reason: &str, limit: usize) -> Outgoing {
    let mut letter = Outgoing {
        attributes: message.attributes.clone(),
        // Buried twice, it is kept once where a queue can tell.
        deduplication_id: Some(message.id.clone()),
        ..Outgoing::new(message.body.clone())
    };
    letter
        .attributes
        .insert(DEAD_LETTER_REASON.to_owned(), legible(reason));
    while letter.attributes.len() > ATTRIBUTES || (bytes(&letter) > limit && letter.attributes.len() > 1) {
        drop_one(&mut letter);
    }
    if bytes(&letter) > limit {
        let length = letter.body.len();
        letter.attributes.insert(CUT.to_owned(), length.to_string());
        let room = limit.saturating_sub(bytes(&letter) - length);
        letter.body.truncate(letter.body.floor_char_boundary(room));
    }
    letter
}

/// Drops the last attribute that is not the reason.
fn drop_one(letter: &mut Outgoing) {
    let mut names = letter.attributes.keys().rev();
    let last = names.find(|name| *name != DEAD_LETTER_REASON);
    if let Some(name) = last.cloned() {
        letter.attributes.remove(&name);
    }
}

/// A reason of characters that SQS takes, and not too long.
fn legible(reason: &str) -> String {
    let text: String = reason
        .chars()
        .map(|c| if legal(c) { c } else { '\u{fffd}' })
        .collect();
    let text = &text[..text.floor_char_boundary(REASON_BYTES)];
    if text.is_empty() {
        "no reason was given"
    } else {
        text
    }
    .to_owned()
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
        }
    }

    #[test]
    fn a_letter_keeps_what_there_is_room_for() {
        let all = letter(&message("body".to_owned(), 9), "why", MESSAGE_BYTES);
        assert_eq!((all.body.as_str(), all.attributes.len()), ("body", 10));
        let ten = letter(&message("body".to_owned(), 10), "why", MESSAGE_BYTES);
        assert_eq!(ten.attributes.len(), 10);
        assert_eq!(ten.attributes["reason"], "why");
        assert!(!ten.attributes.contains_key("a9") && ten.attributes.contains_key("a8"));
    }

    #[test]
    fn a_letter_fits_whatever_it_is_about() {
        let large = message("ü".repeat(MESSAGE_BYTES), 3);
        let cut = letter(&large, &"\0ü".repeat(5000), MESSAGE_BYTES);
        assert!(bytes(&cut) <= MESSAGE_BYTES && bytes(&cut) > MESSAGE_BYTES - 4);
        assert_eq!(cut.attributes[CUT], (2 * MESSAGE_BYTES).to_string());
        assert!(cut.attributes["reason"].chars().all(legal));
        let whole = letter(&large, "", 4 * MESSAGE_BYTES);
        assert_eq!(whole.body, large.body);
        assert!(!whole.attributes["reason"].is_empty());
    }
}
