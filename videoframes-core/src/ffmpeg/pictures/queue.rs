//! Queue of the pictures of one decoder until the pictures of other decoders are sent, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::extract::Picture;

/// Number of pictures that a queue takes, however large they are.
const MIN_PICTURES: usize = 2;

/// Creates a queue for pictures of `capacity` bytes.
pub(super) fn queue(capacity: usize) -> (Sender, Receiver) {
    let queue = Arc::new(Queue {
        state: Mutex::default(),
        changed: Condvar::new(),
        capacity,
    });
    (Sender(Arc::clone(&queue)), Receiver(queue))
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    pictures: VecDeque<Picture>,
    bytes: usize,
    /// Whether sender or receiver was dropped.
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the state changes.
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// Sender of pictures.
pub(super) struct Sender(Arc<Queue>);

/// The receiver was dropped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

impl Sender {
    /// Adds a picture. Blocks while the queue is full.
    pub(super) fn send(&self, picture: Picture) -> Result<(), Closed> {
        let mut state = self.0.lock();
        while !state.closed
            && state.pictures.len() >= MIN_PICTURES
            && state.bytes + picture.bytes.len() > self.0.capacity
        {
            state = self.0.wait(state);
        }
        if state.closed {
            return Err(Closed);
        }
        state.bytes += picture.bytes.len();
        state.pictures.push_back(picture);
        self.0.changed.notify_all();
        Ok(())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Receiver of pictures.
pub(super) struct Receiver(Arc<Queue>);

impl Receiver {
    /// Removes the next picture. Blocks while the queue is empty; returns `None` after the last picture.
    pub(super) fn receive(&self) -> Option<Picture> {
        let mut state = self.0.lock();
        loop {
            if let Some(picture) = state.pictures.pop_front() {
                state.bytes -= picture.bytes.len();
                self.0.changed.notify_all();
                return Some(picture);
            }
            if state.closed {
                return None;
            }
            state = self.0.wait(state);
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;

    use super::*;

    fn picture(frame: usize, bytes: usize) -> Picture {
        Picture::new(frame, Bytes::from(vec![0; bytes]), 1, 1)
    }

    #[test]
    fn takes_pictures_up_to_its_capacity_and_at_least_two() {
        for (size, accepted) in [(10, 10), (45, 2), (1000, 2)] {
            let (sender, receiver) = queue(100);
            let sent = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let sender = sender;
                    for frame in 0..20 {
                        sender.send(picture(frame, size)).unwrap();
                        sent.store(frame + 1, Ordering::SeqCst);
                    }
                });
                while sent.load(Ordering::SeqCst) < accepted {
                    std::thread::yield_now();
                }
                std::thread::yield_now();
                assert_eq!(sent.load(Ordering::SeqCst), accepted, "{size}");
                let received: Vec<usize> = std::iter::from_fn(|| receiver.receive())
                    .map(|p| p.frame)
                    .collect();
                assert_eq!(received, (0..20).collect::<Vec<_>>());
            });
        }
    }

    #[test]
    fn a_dropped_receiver_ends_a_blocked_sender() {
        let (sender, receiver) = queue(1);
        std::thread::scope(|scope| {
            let blocked = scope.spawn(move || (0..4).try_for_each(|frame| sender.send(picture(frame, 1))));
            drop(receiver.receive());
            drop(receiver);
            assert_eq!(blocked.join().unwrap(), Err(Closed));
        });
    }
}
