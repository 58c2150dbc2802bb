//! Dead-letter messages as shown to an operator.

use std::collections::BTreeMap;

use serde::Serialize;
use videoframes_core::clock::UnixMillis;
use videoframes_core::jobs::JobMessage;
use videoframes_core::tenant::Share;
use videoframes_core::text::printable;

/// Maximum number of characters of a body in a list.
const BODY_WIDTH: usize = 60;
/// Maximum number of characters of a reason in a list.
const REASON: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeadLetterMessage {
    pub(super) id: String,
    /// The reason for dead-lettering, if known: SQS gives no reason for the messages that it moves.
    pub(super) reason: Option<String>,
    pub(super) receive_count: u32,
    pub(super) sent_at: Option<UnixMillis>,
    /// Message attributes, without the reason.
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) body: String,
}

/// Returns the tenant and the priority of the job in a body; the defaults for a body that is no message to the workers.
pub(super) fn share(body: &str) -> Share {
    JobMessage::parse(body).map_or_else(|_| Share::default(), |message| message.share())
}

/// Returns a table with one line per message.
pub(super) fn table(messages: &[DeadLetterMessage]) -> String {
    let width = messages
        .iter()
        .map(|message| message.id.len())
        .max()
        .unwrap_or(0)
        .max(2);
    let mut text = format!(
        "{:<width$}  {:<20}  {:>8}  {:<REASON$}  body\n",
        "id", "sent", "receives", "reason"
    );
    for message in messages {
        let sent = message
            .sent_at
            .map_or_else(|| "-".to_owned(), |sent| sent.to_string());
        text += &format!(
            "{:<width$}  {:<20}  {:>8}  {:<REASON$}  {}\n",
            printable(&message.id),
            sent.get(..19).unwrap_or(&sent),
            message.receive_count,
            short(message.reason.as_deref().unwrap_or("-"), REASON),
            short(&message.body, BODY_WIDTH)
        );
    }
    text
}

/// Returns the first line, truncated to `max` characters.
fn short(text: &str, max: usize) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let mut line = printable(line).into_owned();
    if let Some((end, _)) = line.char_indices().nth(max) {
        let cut = line.char_indices().nth(max - 1).map_or(end, |(cut, _)| cut);
        line.truncate(cut);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redriven_message_keeps_tenant_and_priority() {
        let copy = r#"{"version":1,"job_id":"0192d5f2-7c1e-7cc2-8f5e-000000000000","written_at_ms":1,"job":{"source":{"key":"v.mp4"},
            "options":{},"key":"k","payload":"p","created_at_ms":1,"tenant":"acme","priority":"high"}}"#;
        let request = r#"{"version":1,"source":{"key":"v.mp4"},"tenant":"acme","priority":"low"}"#;
        for (body, tenant, priority) in [
            (copy, "acme", "high"),
            (request, "acme", "low"),
            (r#"{"version":1,"source":{"key":"v.mp4"}}"#, "", "normal"),
            ("not JSON", "", "normal"),
        ] {
            let share = share(body);
            assert_eq!(
                (share.tenant.as_str(), share.priority.as_str()),
                (tenant, priority),
                "{body}"
            );
        }
    }

    #[test]
    fn bodies_are_truncated_to_the_first_line() {
        assert_eq!(short("{\n  1}", 60), "{");
        assert_eq!(short("a\u{1b}[31mb", 60), "a\\u{1b}[31mb");
        assert_eq!(short("äöü", 3), "äöü");
        assert_eq!(short("äöüß", 3), "äö…");
        assert_eq!(short("", 3), "");
    }
}
