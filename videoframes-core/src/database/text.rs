//! Text that every database can store.

/// Replaces zero bytes, which Postgres cannot store.
pub(crate) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
