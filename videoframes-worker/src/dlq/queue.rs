//! Queues of dead-letter messages, and operations on the messages.

use std::collections::BTreeSet;

use videoframes_console::Failure;

use super::message::DeadLetterMessage;

/// A queue of dead-letter messages.
///
/// `take` hides the returned messages for a while, so that the next call returns others. A message that is
/// neither given back nor deleted becomes visible again.
pub(super) trait DeadLetterQueue {
    /// A message that was taken.
    type Held;
    /// A destination for redriven messages.
    type Destination;

    fn dead_letter(&self, held: &Self::Held) -> DeadLetterMessage;
    /// Receives some messages; none if all are in flight.
    async fn take(&self) -> Result<Vec<Self::Held>, Failure>;
    async fn give_back(&self, held: &Self::Held) -> Result<(), Failure>;
    async fn delete(&self, held: &Self::Held) -> Result<(), Failure>;
    /// Sends the body, and all attributes except the reason, to `queue`, with the tenant and the priority of the job.
    async fn copy(&self, held: &Self::Held, queue: &Self::Destination) -> Result<(), Failure>;
    /// Lists up to `max` messages.
    async fn list(&self, max: usize) -> Result<Vec<DeadLetterMessage>, Failure>;
    async fn find(&self, id: &str) -> Result<Option<DeadLetterMessage>, Failure>;
    /// Returns the approximate number of messages.
    async fn depth(&self) -> Result<u64, Failure>;
    async fn purge(&self) -> Result<(), Failure>;
}

/// The next step for a message that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Give the message back at the end.
    Keep,
    /// The message is deleted.
    Gone,
    /// Give the message back, and stop.
    Stop,
}

/// Visits every message once. Gives the kept messages back, also after an error.
pub(super) async fn each<M: DeadLetterQueue>(
    queue: &M,
    mut visit: impl AsyncFnMut(&M::Held) -> Result<Next, Failure>,
) -> Result<(), Failure> {
    let mut held = Vec::new();
    let done = visit_all(queue, &mut held, &mut visit).await;
    for message in &held {
        // After an error, the message becomes visible again when its visibility timeout ends.
        let _ = queue.give_back(message).await;
    }
    done
}

async fn visit_all<M: DeadLetterQueue>(
    queue: &M,
    held: &mut Vec<M::Held>,
    visit: &mut impl AsyncFnMut(&M::Held) -> Result<Next, Failure>,
) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    loop {
        let first = held.len();
        held.extend(queue.take().await?);
        let mut new = false;
        let mut n = first;
        while n < held.len() {
            let mut next = Next::Keep;
            if seen.insert(queue.dead_letter(&held[n]).id) {
                new = true;
                next = visit(&held[n]).await?;
            }
            match next {
                Next::Keep => n += 1,
                Next::Gone => drop(held.remove(n)),
                Next::Stop => return Ok(()),
            }
        }
        if !new {
            return Ok(());
        }
    }
}

/// Selects messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    /// Approximately the number of messages at the start: further messages may arrive, and redriven messages may
    /// return.
    All(u64),
    Ids(BTreeSet<String>),
}

/// Redrives messages one by one: sends, deletes, and calls `report` for each. Returns the IDs that were not found.
pub(super) async fn redrive<M: DeadLetterQueue>(
    queue: &M,
    which: &Which,
    to: &M::Destination,
    mut report: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<BTreeSet<String>, Failure> {
    let (mut missing, max) = match which {
        Which::All(depth) => (BTreeSet::new(), *depth),
        Which::Ids(ids) => (ids.clone(), ids.len() as u64),
    };
    let mut moved = 0;
    each(queue, async |held| {
        let id = queue.dead_letter(held).id;
        if moved >= max {
            return Ok(Next::Stop);
        }
        if let Which::Ids(ids) = which
            && !ids.contains(&id)
        {
            return Ok(Next::Keep);
        }
        queue.copy(held, to).await?;
        queue.delete(held).await?;
        missing.remove(&id);
        moved += 1;
        report(&id)?;
        Ok(Next::Gone)
    })
    .await?;
    Ok(missing)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;
    use videoframes_console::exit;

    /// A queue in memory that records sent and deleted messages.
    #[derive(Default)]
    struct Fake {
        there: RefCell<Vec<u32>>,
        sent: RefCell<Vec<u32>>,
        deleted: RefCell<Vec<u32>>,
        fails_to_send: Option<u32>,
        fails_to_delete: Option<u32>,
        returns: bool,
    }

    impl DeadLetterQueue for Fake {
        type Held = u32;
        type Destination = ();

        fn dead_letter(&self, held: &u32) -> DeadLetterMessage {
            DeadLetterMessage {
                id: held.to_string(),
                reason: None,
                receive_count: 1,
                sent_at: None,
                attributes: BTreeMap::new(),
                body: String::new(),
            }
        }
        async fn take(&self) -> Result<Vec<u32>, Failure> {
            let mut there = self.there.borrow_mut();
            let most = there.len().min(2);
            Ok(there.drain(..most).collect())
        }
        async fn give_back(&self, held: &u32) -> Result<(), Failure> {
            // A deleted message cannot be given back.
            if !self.deleted.borrow().contains(held) {
                self.there.borrow_mut().push(*held);
            }
            Ok(())
        }
        async fn delete(&self, held: &u32) -> Result<(), Failure> {
            if self.fails_to_delete == Some(*held) {
                return Err(Failure::new(exit::UNAVAILABLE, "no delete"));
            }
            self.deleted.borrow_mut().push(*held);
            Ok(())
        }
        async fn copy(&self, held: &u32, (): &()) -> Result<(), Failure> {
            if self.fails_to_send == Some(*held) {
                return Err(Failure::new(exit::UNAVAILABLE, "no send"));
            }
            self.sent.borrow_mut().push(*held);
            if self.returns {
                self.there.borrow_mut().push(held + 100);
            }
            Ok(())
        }
        async fn list(&self, _: usize) -> Result<Vec<DeadLetterMessage>, Failure> {
            unreachable!()
        }
        async fn find(&self, _: &str) -> Result<Option<DeadLetterMessage>, Failure> {
            unreachable!()
        }
        async fn depth(&self) -> Result<u64, Failure> {
            unreachable!()
        }
        async fn purge(&self) -> Result<(), Failure> {
            unreachable!()
        }
    }

    fn with(messages: std::ops::Range<u32>) -> Fake {
        Fake {
            there: RefCell::new(messages.collect()),
            ..Fake::default()
        }
    }

    fn sorted(messages: &RefCell<Vec<u32>>) -> Vec<u32> {
        let mut messages = messages.borrow().clone();
        messages.sort_unstable();
        messages
    }

    #[tokio::test]
    async fn redrive_stops_at_a_message_that_cannot_be_sent() {
        let fake = Fake {
            fails_to_send: Some(3),
            ..with(0..6)
        };
        assert!(redrive(&fake, &Which::All(6), &(), |_| Ok(())).await.is_err());
        assert_eq!(
            (sorted(&fake.sent), sorted(&fake.there)),
            (vec![0, 1, 2], vec![3, 4, 5])
        );
    }

    #[tokio::test]
    async fn a_sent_message_that_cannot_be_deleted_is_duplicated() {
        let fake = Fake {
            fails_to_delete: Some(1),
            ..with(0..3)
        };
        assert!(redrive(&fake, &Which::All(3), &(), |_| Ok(())).await.is_err());
        assert_eq!(
            (sorted(&fake.sent), sorted(&fake.there)),
            (vec![0, 1], vec![1, 2])
        );
    }

    #[tokio::test]
    async fn only_requested_messages_are_sent_and_missing_ids_are_returned() {
        let fake = with(0..5);
        let ids = ["1", "4", "9"].map(str::to_owned).into();
        let missing = redrive(&fake, &Which::Ids(ids), &(), |_| Ok(())).await.unwrap();
        assert_eq!(missing, ["9".to_owned()].into());
        assert_eq!(
            (sorted(&fake.sent), sorted(&fake.there)),
            (vec![1, 4], vec![0, 2, 3])
        );
    }

    #[tokio::test]
    async fn returning_messages_are_not_redriven_again() {
        let fake = Fake {
            returns: true,
            ..with(0..3)
        };
        redrive(&fake, &Which::All(3), &(), |_| Ok(())).await.unwrap();
        assert_eq!(
            (sorted(&fake.sent), sorted(&fake.there)),
            (vec![0, 1, 2], vec![100, 101, 102])
        );
    }
}
