//! The trace of a run: every effect in order.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use uuid::Uuid;

use crate::faults::{Actor, Fault, Millis, Op};
use crate::random::mix;

/// The trace of a run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Whether lines are kept. Hashes always are.
    pub(crate) keeps_lines: bool,
    pub(crate) lines: Vec<String>,
    /// Number of effects.
    pub(crate) effects: u64,
    /// Hash of all effects with their times.
    pub(crate) hash: u64,
    /// Hash of the order of effects.
    pub(crate) order: u64,
    /// Numbers of identifiers, in the order of their first use: identifiers are random.
    names: BTreeMap<Uuid, u64>,
}

/// One effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effect<'a> {
    pub(crate) at: Millis,
    pub(crate) actor: Actor,
    pub(crate) op: Op,
    pub(crate) fault: Option<Fault>,
    /// The object of the call; identifiers in it are replaced by numbers.
    pub(crate) subject: &'a str,
    pub(crate) succeeded: bool,
    pub(crate) note: &'static str,
}

impl Trace {
    pub(crate) fn new(keeps_lines: bool) -> Self {
        Self {
            keeps_lines,
            ..Self::default()
        }
    }

    /// Returns a text with numbers in place of identifiers.
    pub(crate) fn without_ids(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for (hyphen, _) in text.match_indices('-') {
            // The first hyphen of an identifier follows eight digits.
            let start = hyphen.checked_sub(8).filter(|start| *start >= copied);
            let id = start.and_then(|start| Some((start, text.get(start..start + 36)?)));
            let Some((start, Ok(id))) = id.map(|(start, id)| (start, Uuid::try_parse(id))) else {
                continue;
            };
            let next = self.names.len() as u64 + 1;
            let number = *self.names.entry(id).or_insert(next);
            let _ = write!(out, "{}#{number}", &text[copied..start]);
            copied = start + 36;
        }
        out.push_str(&text[copied..]);
        out
    }

    pub(crate) fn effect(&mut self, effect: Effect<'_>) {
        self.effects += 1;
        let subject = self.without_ids(effect.subject);
        let code = effect.actor.code() << 16 | (effect.op as u64) << 8 | u64::from(effect.succeeded);
        self.order = mix(self.order, code);
        for byte in subject.bytes() {
            self.order = mix(self.order, u64::from(byte));
        }
        self.hash = mix(mix(self.hash, effect.at), self.order);
        if self.keeps_lines {
            let outcome = if effect.succeeded { "" } else { " failed" };
            let fault = effect
                .fault
                .map_or(String::new(), |fault| format!(" [{fault:?}]"));
            let line = format!("{:?} {subject}{outcome} {}{fault}", effect.op, effect.note);
            self.line(effect.at, &effect.actor.to_string(), &line);
        }
    }

    pub(crate) fn line(&mut self, at: Millis, who: &str, what: &str) {
        if self.keeps_lines {
            let what = self.without_ids(what);
            let seconds = format!("{}.{:03}", at / 1000, at % 1000);
            self.lines
                .push(format!("{seconds:>9} {who:<8} {}", what.trim_end()));
        }
    }
}
