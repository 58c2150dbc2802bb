//! Requests for jobs by native messages.

use serde_json::{Map, Value, json};

use super::clips::{Clips, LONG_FRAMES, NOISE_FRAMES, SHORT_FRAMES};
use super::ledger::{Accepted, COMPLETED, Foreign};
use super::messages::native;
use super::plan::{Kind, Ticket};

impl Ticket {
    /// Returns the entry of the ledger for a job of this ticket.
    pub(super) fn accepted(&self, source: &str, outcomes: &[&'static str]) -> Accepted {
        Accepted::new(self.number, format!("{:?}", self.kind), source, outcomes)
    }
}

/// A request by native messages.
pub(super) struct Request {
    /// Content of the source; `None` if the source is missing.
    pub(super) content: Option<Vec<u8>>,
    /// Object of another program at the key of the result.
    pub(super) foreign: Option<Foreign>,
    pub(super) messages: Vec<String>,
    pub(super) accepted: Accepted,
}

/// What the kind of a request determines.
struct Details {
    place: &'static str,
    extension: &'static str,
    content: Option<Vec<u8>>,
    outcomes: &'static [&'static str],
    frames: &'static [u64],
}

/// Kinds whose jobs have all frames of their sources. The jobs of others have five.
fn takes_all(kind: Kind) -> bool {
    use Kind::{Cancelled, Copied, Deadline, Denied, Hostile, Large, Long, Replaced};
    matches!(
        kind,
        Cancelled | Copied | Deadline | Denied | Hostile(_) | Large | Long | Replaced
    )
}

fn details(kind: Kind, clips: &Clips) -> Details {
    let short = || Some(clips.short.clone());
    let long = || Some(clips.long.clone());
    let (place, content, outcomes, frames): (_, _, &[_], &[_]) = match kind {
        Kind::Long => ("long", long(), &[COMPLETED], &[LONG_FRAMES]),
        Kind::Cancelled => ("cancelled", long(), &[COMPLETED, "CANCELLED"], &[LONG_FRAMES]),
        Kind::Deadline => (
            "deadline",
            long(),
            &[COMPLETED, "DEADLINE_EXCEEDED"],
            &[LONG_FRAMES],
        ),
        Kind::Copied => ("copied", short(), &[COMPLETED], &[SHORT_FRAMES]),
        Kind::Denied => ("denied", short(), &[COMPLETED], &[SHORT_FRAMES]),
        Kind::Large => ("large", Some(clips.noise.clone()), &[COMPLETED], &[NOISE_FRAMES]),
        Kind::Rendition => ("rendition", short(), &[COMPLETED], &[5]),
        Kind::Retried => ("retried", Some(b"no video".to_vec()), &["NOT_A_VIDEO"], &[]),
        Kind::Missing => ("missing", None, &["SOURCE_NOT_FOUND"], &[]),
        Kind::ForeignOutput => ("output", short(), &["OUTPUT_EXISTS"], &[]),
        Kind::FixedOutput => ("output", short(), &[COMPLETED], &[5]),
        Kind::Replaced => (
            "replaced",
            long(),
            &[COMPLETED, "INPUT_CHANGED"],
            &[SHORT_FRAMES, LONG_FRAMES],
        ),
        Kind::Conflict => ("conflict", short(), &[COMPLETED], &[5, 6]),
        Kind::Hostile(kind) => {
            let (content, extension, outcomes) = clips.hostile(kind);
            let (place, content, frames): (_, _, &[_]) = ("hostile", Some(content), &[]);
            return Details {
                place,
                extension,
                content,
                outcomes,
                frames,
            };
        }
        _ => ("message", short(), &[COMPLETED], &[5]),
    };
    let extension = "mp4";
    Details {
        place,
        extension,
        content,
        outcomes,
        frames,
    }
}

impl Request {
    pub(super) fn new(ticket: Ticket, clips: &Clips) -> Self {
        let Ticket { number, kind, .. } = ticket;
        let Details {
            place,
            extension,
            content,
            outcomes,
            frames,
        } = details(kind, clips);
        let source = format!("in/{place}-{number}.{extension}");
        let output = format!("out/{number}.zip");
        let mut more = Map::new();
        let has_key = !matches!(kind, Kind::Large | Kind::Rendition | Kind::Deadline);
        if has_key {
            more.insert("idempotency_key".to_owned(), json!(format!("ticket-{number}")));
        }
        let (name, value) = match kind {
            Kind::Deadline => ("limits", json!({"deadline_s": 1})),
            Kind::Large => ("picture", json!({"format": "png"})),
            Kind::Rendition => (
                "renditions",
                json!([{"max_height": 48, "quality": 30}, {"max_height": 32, "quality": 30}]),
            ),
            Kind::ForeignOutput | Kind::FixedOutput => ("output", json!({"key": output})),
            _ => ("on_damage", json!("fail")),
        };
        more.insert(name.to_owned(), value);
        let message = |selection: Value| native(&source, selection, more.clone());
        let messages = match kind {
            Kind::Conflict => vec![message(json!({"count": 5})), message(json!({"count": 6}))],
            Kind::MessageTwice => vec![message(json!({"count": 5})); 2],
            kind if takes_all(kind) => vec![message(json!({"all": true}))],
            _ => vec![message(json!({"count": 5}))],
        };
        let foreign = (kind == Kind::ForeignOutput).then(|| Foreign {
            key: output,
            content: format!("object of another program {number}").into_bytes(),
        });
        Self {
            content,
            foreign,
            messages,
            accepted: ticket.accepted(&source, outcomes).frames(frames),
        }
    }
}
