//! Where dead letters lie, and the two ways through them.

use std::collections::BTreeSet;

use videoframes_console::Failure;

use super::letter::Letter;

/// A queue of dead letters.
///
/// `take` hides what it gives for a while, so that the next call gives others; what is neither given back
/// nor deleted comes back by itself.
pub(super) trait Mailbox {
    /// A letter that was taken.
    type Held;
    /// A queue that letters can be sent to.
    type Destination;

    fn letter(&self, held: &Self::Held) -> Letter;
    /// Some letters; none where all are taken.
    async fn take(&self) -> Result<Vec<Self::Held>, Failure>;
    async fn give_back(&self, held: &Self::Held) -> Result<(), Failure>;
    async fn delete(&self, held: &Self::Held) -> Result<(), Failure>;
    /// Sends its body, and all attributes but the reason, to `queue`.
    async fn copy(&self, held: &Self::Held, queue: &Self::Destination) -> Result<(), Failure>;
    /// Up to `most` letters.
    async fn list(&self, most: usize) -> Result<Vec<Letter>, Failure>;
    async fn find(&self, id: &str) -> Result<Option<Letter>, Failure>;
    /// About how many there are.
    async fn depth(&self) -> Result<u64, Failure>;
    async fn purge(&self) -> Result<(), Failure>;
}

/// What becomes of a letter that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is given back at the end.
    Keep,
    /// It is no longer there.
    Gone,
    /// It is given back, and no other is looked at.
    Stop,
}

/// Takes letters, each once, until there are no others; gives back what is kept, however it ends.
pub(super) async fn each<M: Mailbox>(
    mailbox: &M,
    mut visit: impl AsyncFnMut(&M::Held) -> Result<Next, Failure>,
) -> Result<(), Failure> {
    let mut held = Vec::new();
    let done = visit_all(mailbox, &mut held, &mut visit).await;
    for letter in &held {
        // Else it comes back by itself, later.
        let _ = mailbox.give_back(letter).await;
    }
    done
}

async fn visit_all<M: Mailbox>(
    mailbox: &M,
    held: &mut Vec<M::Held>,
    visit: &mut impl AsyncFnMut(&M::Held) -> Result<Next, Failure>,
) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    loop {
        let first = held.len();
        held.extend(mailbox.take().await?);
        let mut new = false;
        let mut n = first;
        while n < held.len() {
            let mut next = Next::Keep;
            if seen.insert(mailbox.letter(&held[n]).id) {
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

/// Which letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    /// About so many as there were at first: more may come, and those that were sent again may come back.
    All(u64),
    Ids(BTreeSet<String>),
}

/// Sends letters again, then deletes them, one by one; tells of each. Gives the ids that were not found.
pub(super) async fn redrive<M: Mailbox>(
    mailbox: &M,
    which: &Which,
    to: &M::Destination,
    mut told: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<BTreeSet<String>, Failure> {
    let (mut missing, most) = match which {
        Which::All(depth) => (BTreeSet::new(), *depth),
        Which::Ids(ids) => (ids.clone(), ids.len() as u64),
    };
    let mut moved = 0;
    each(mailbox, async |held| {
        let id = mailbox.letter(held).id;
        if moved >= most {
            return Ok(Next::Stop);
        }
        if let Which::Ids(ids) = which
            && !ids.contains(&id)
        {
            return Ok(Next::Keep);
        }
        mailbox.copy(held, to).await?;
        mailbox.delete(held).await?;
        missing.remove(&id);
        moved += 1;
        told(&id)?;
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

    /// Letters that lie there, that are taken, and what was sent.
    #[derive(Default)]
    struct Fake {
        there: RefCell<Vec<u32>>,
        sent: RefCell<Vec<u32>>,
        deleted: RefCell<Vec<u32>>,
        fails_to_send: Option<u32>,
        fails_to_delete: Option<u32>,
        returns: bool,
    }

    impl Mailbox for Fake {
        type Held = u32;
        type Destination = ();

        fn letter(&self, held: &u32) -> Letter {
            Letter {
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
            // What was deleted cannot be given back.
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
        async fn list(&self, _: usize) -> Result<Vec<Letter>, Failure> {
            unreachable!()
        }
        async fn find(&self, _: &str) -> Result<Option<Letter>, Failure> {
            unreachable!()
        }
        async fn depth(&self) -> Result<u64, Failure> {
            unreachable!()
        }
        async fn purge(&self) -> Result<(), Failure> {
            unreachable!()
        }
    }

    fn with(letters: std::ops::Range<u32>) -> Fake {
        Fake {
            there: RefCell::new(letters.collect()),
            ..Fake::default()
        }
    }

    fn sorted(letters: &RefCell<Vec<u32>>) -> Vec<u32> {
        let mut letters = letters.borrow().clone();
        letters.sort_unstable();
        letters
    }

    #[tokio::test]
    async fn a_letter_that_cannot_be_sent_stays_with_all_behind_it() {
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
    async fn a_letter_that_was_sent_and_cannot_be_deleted_is_there_twice() {
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
    async fn only_those_asked_for_are_sent_and_missing_ones_are_named() {
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
    async fn letters_that_come_back_do_not_keep_it_going() {
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
