//! Decides which input queue is asked for a message: the fair queueing of tenants, applied to queues. Pure.
//!
//! Each queue has a tag. The queue with the lowest tag is asked, and an answer with a message adds a step that is
//! inversely proportional to the weight. While several queues have messages, each is therefore served in proportion to
//! its weight. A queue that was found empty is left out for a while, and then neither saved up turns nor owes any.

use std::time::Duration;

use tokio::time::Instant;

use crate::tenant::{Share, Weight, next_rank};

/// Time for which a queue that was found empty is not asked while others have messages.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// The turns of input queues.
#[derive(Debug)]
pub(super) struct Schedule {
    turns: Vec<Turn>,
    /// Tag of the message that was received last.
    virtual_time: i64,
}

#[derive(Debug)]
struct Turn {
    step: i64,
    tag: i64,
    /// Time from which the queue is asked again, if it was found empty.
    empty_until: Option<Instant>,
}

impl Turn {
    /// Sets the tag of a queue that was empty.
    fn resume(&mut self, virtual_time: i64) {
        self.tag = self.tag.max(next_rank(None, virtual_time, self.step));
    }
}

impl Schedule {
    pub(super) fn new(weights: impl IntoIterator<Item = Weight>) -> Self {
        let turn = |weight| {
            let step = Share::default().weight(weight).step();
            Turn {
                step,
                tag: step,
                empty_until: None,
            }
        };
        Self {
            turns: weights.into_iter().map(turn).collect(),
            virtual_time: 0,
        }
    }

    /// Returns the queue that is asked next, and reserves a turn for one message; `None` if all queues are empty.
    pub(super) fn next(&mut self, now: Instant) -> Option<usize> {
        let virtual_time = self.virtual_time;
        for turn in &mut self.turns {
            if turn.empty_until.is_some_and(|until| until <= now) {
                turn.resume(virtual_time);
            }
        }
        let turns = self.turns.iter().enumerate();
        let due = turns.filter(|(_, turn)| turn.empty_until.is_none_or(|until| until <= now));
        let (next, _) = due.min_by_key(|(_, turn)| turn.tag)?;
        let turn = &mut self.turns[next];
        turn.tag = turn.tag.saturating_add(turn.step);
        Some(next)
    }

    /// Records that the queue that was asked had a message.
    pub(super) fn served(&mut self, queue: usize) {
        let turn = &mut self.turns[queue];
        turn.empty_until = None;
        self.virtual_time = self.virtual_time.max(turn.tag - turn.step);
    }

    /// Records that the queue that was asked had no message, and returns its turn.
    pub(super) fn empty(&mut self, queue: usize, now: Instant) {
        let turn = &mut self.turns[queue];
        turn.tag -= turn.step;
        turn.empty_until = Some(now + PAUSE);
    }

    /// Records that a queue is empty, without a turn.
    pub(super) fn is_empty(&mut self, queue: usize, now: Instant) {
        self.turns[queue].empty_until = Some(now + PAUSE);
    }

    /// Records that a message arrived in a queue, without a turn.
    pub(super) fn arrived(&mut self, queue: usize) {
        let virtual_time = self.virtual_time;
        self.turns[queue].resume(virtual_time);
        self.turns[queue].empty_until = None;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn schedule(weights: &[u32]) -> Schedule {
        Schedule::new(weights.iter().map(|weight| Weight::new(*weight).unwrap()))
    }

    /// Asks queues with these numbers of messages until `most` are received; returns the queues in order.
    fn received(schedule: &mut Schedule, waiting: &mut [usize], most: usize, now: Instant) -> String {
        let mut order = String::new();
        while order.len() < most {
            let Some(queue) = schedule.next(now) else { break };
            match waiting[queue] {
                0 => schedule.empty(queue, now),
                _ => {
                    waiting[queue] -= 1;
                    schedule.served(queue);
                    order.push(char::from(b'a' + u8::try_from(queue).unwrap()));
                }
            }
        }
        order
    }

    #[test]
    fn queues_are_served_in_proportion_to_their_weights() {
        for (weights, waiting, most, expected) in [
            (&[1, 1][..], vec![9, 9], 6, "ababab"),
            (&[3, 1], vec![9, 9], 8, "aaabaaab"),
            (&[1, 3], vec![9, 9], 8, "bbabbbab"),
            // An empty queue takes nothing from the others.
            (&[1000, 1], vec![0, 9], 4, "bbbb"),
            (&[2, 1, 1], vec![0, 9, 9], 6, "bcbcbc"),
            (&[4], vec![2], 9, "aa"),
            (&[16, 1], vec![2, 9], 4, "aabb"),
            (&[1, 1], vec![0, 0], 9, ""),
        ] {
            let mut waiting = waiting;
            let order = received(&mut schedule(weights), &mut waiting, most, Instant::now());
            assert_eq!(order, expected, "{weights:?}");
        }
    }

    #[test]
    fn a_queue_that_was_empty_neither_saves_up_nor_owes() {
        let mut now = Instant::now();
        let mut schedule = schedule(&[1, 1]);
        let mut waiting = [0, 100];
        assert_eq!(received(&mut schedule, &mut waiting, 20, now), "b".repeat(20));
        waiting[0] = 100;
        assert_eq!(
            received(&mut schedule, &mut waiting, 2, now),
            "bb",
            "not asked again at once"
        );
        now += PAUSE;
        assert_eq!(received(&mut schedule, &mut waiting, 6, now), "ababab");
        // It is asked at once if a message arrived meanwhile.
        waiting = [0, 100];
        received(&mut schedule, &mut waiting, 3, now);
        waiting[0] = 1;
        schedule.arrived(0);
        assert!(received(&mut schedule, &mut waiting, 2, now).contains('a'));
    }

    #[test]
    fn simultaneous_receives_ask_different_queues() {
        let mut schedule = schedule(&[1, 1, 2]);
        let now = Instant::now();
        let asked: Vec<_> = (0..4).map(|_| schedule.next(now).unwrap()).collect();
        let count = |queue| asked.iter().filter(|asked| **asked == queue).count();
        assert_eq!([count(0), count(1), count(2)], [1, 1, 2], "{asked:?}");
    }
}
