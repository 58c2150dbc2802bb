//! The plan of the load: a pure function of seed and duration.

use std::time::Duration;

use fastrand::Rng;

/// Pause between submissions.
const PAUSE: Duration = Duration::from_millis(1000);

/// A file that is no valid video, or exceeds a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hostile {
    Empty,
    Text,
    Truncated,
    Damaged,
    AudioOnly,
    /// A playlist that names a local file.
    Playlist,
    /// More pixels than the limit.
    Huge,
    /// More frames than the limit.
    ManyFrames,
    /// Longer than the limit.
    Endless,
}

/// A message that cannot become a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Poison {
    NotJson,
    UnknownVersion,
    NoSource,
    Oversized,
}

/// A way to request a job, and the work of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A native message.
    Message,
    /// The same native message twice at once.
    MessageTwice,
    /// An event of the store.
    Event,
    /// The same event, and once more after its job has ended.
    EventAgain,
    /// One event with three records.
    EventRecords,
    /// One event with five records of a tenant with a limit.
    Limited,
    /// An event from EventBridge.
    EventBridge,
    /// An event in an envelope of SNS.
    Sns,
    /// Two events of one object, the newer one first.
    Reordered,
    /// An event of a key with space, plus, percent and umlaut.
    OddKey,
    /// A test event of the store.
    TestEvent,
    /// The command `submit`.
    Submit,
    /// A job of seconds.
    Long,
    /// A job that copies its source.
    Copied,
    /// A job whose archive is uploaded in parts.
    Large,
    /// A job with a rendition.
    Rendition,
    /// A job that is cancelled at once.
    Cancelled,
    /// A job that fails, is retried by an operator, and fails again.
    Retried,
    /// A source that does not exist.
    Missing,
    /// A source whose reads are denied for a while.
    Denied,
    /// A result key with an object of another program.
    ForeignOutput,
    /// A result key of the client.
    FixedOutput,
    /// A source that is replaced after its submission.
    Replaced,
    /// A deadline of one second.
    Deadline,
    /// Two different requests with the same idempotency key.
    Conflict,
    /// A message about a job that has ended.
    Redriven,
    /// All dead-letter messages are redriven, and come back.
    LettersRedriven,
    Hostile(Hostile),
    Poison(Poison),
}

/// Returns all kinds, with their numbers in a round.
fn kinds() -> Vec<(Kind, usize)> {
    let mut kinds = vec![
        (Kind::Message, 6),
        (Kind::MessageTwice, 3),
        (Kind::Event, 4),
        (Kind::EventAgain, 2),
        (Kind::EventRecords, 1),
        (Kind::Limited, 2),
        (Kind::EventBridge, 1),
        (Kind::Sns, 1),
        (Kind::Reordered, 2),
        (Kind::OddKey, 2),
        (Kind::TestEvent, 1),
        (Kind::Submit, 2),
        (Kind::Long, 5),
        (Kind::Copied, 4),
        (Kind::Large, 4),
        (Kind::Rendition, 5),
        (Kind::Cancelled, 2),
        (Kind::Retried, 1),
        (Kind::Missing, 1),
        (Kind::Denied, 2),
        (Kind::ForeignOutput, 1),
        (Kind::FixedOutput, 1),
        (Kind::Replaced, 2),
        (Kind::Deadline, 1),
        (Kind::Conflict, 1),
        (Kind::Redriven, 2),
        (Kind::LettersRedriven, 1),
    ];
    let hostile = [
        Hostile::Empty,
        Hostile::Text,
        Hostile::Truncated,
        Hostile::Damaged,
        Hostile::AudioOnly,
        Hostile::Playlist,
        Hostile::Huge,
        Hostile::ManyFrames,
        Hostile::Endless,
    ];
    kinds.extend(hostile.map(|hostile| (Kind::Hostile(hostile), 1)));
    let poison = [
        Poison::NotJson,
        Poison::UnknownVersion,
        Poison::NoSource,
        Poison::Oversized,
    ];
    kinds.extend(poison.map(|poison| (Kind::Poison(poison), 1)));
    kinds
}

/// A planned submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) number: usize,
    /// Time since the start of the load.
    pub(crate) at: Duration,
    pub(crate) kind: Kind,
}

/// Returns the submissions of a run. Every round has every kind.
pub(crate) fn plan(seed: u64, duration: Duration) -> Vec<Ticket> {
    // The schedule has the seed itself.
    let mut rng = Rng::with_seed(seed ^ 0x6C6F_6164);
    let number = (duration.as_secs_f64() / PAUSE.as_secs_f64()) as usize;
    let mut planned = Vec::with_capacity(number);
    while planned.len() < number {
        // Once each, in case that the run ends before the round.
        let mut first: Vec<Kind> = kinds().into_iter().map(|(kind, _)| kind).collect();
        rng.shuffle(&mut first);
        let mut rest: Vec<Kind> = kinds()
            .into_iter()
            .flat_map(|(kind, number)| std::iter::repeat_n(kind, number - 1))
            .collect();
        rng.shuffle(&mut rest);
        planned.extend(first);
        planned.extend(rest);
    }
    planned.truncate(number);
    let tickets = planned.into_iter().enumerate();
    tickets
        .map(|(number, kind)| Ticket {
            number,
            at: PAUSE * number as u32,
            kind,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_and_a_half_has_every_kind() {
        for seed in 0..20 {
            let plan = plan(seed, Duration::from_secs(90));
            for (kind, _) in kinds() {
                assert!(plan.iter().any(|ticket| ticket.kind == kind), "{seed}: {kind:?}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        let minutes = Duration::from_secs(300);
        assert_eq!(plan(1, minutes), plan(1, minutes));
        assert_ne!(plan(1, minutes), plan(2, minutes));
    }
}
