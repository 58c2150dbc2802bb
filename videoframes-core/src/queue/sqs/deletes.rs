//! Batches the deletes of many callers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::batch::{Answers, BATCH};
use super::failure::Failure;
use crate::queue::ReceiptHandle;

/// Maximum time for which a delete waits for others while an earlier request is in flight.
const WINDOW: Duration = Duration::from_millis(25);
/// Capacity of the channel; further callers wait.
const WAITING: usize = 256;

struct Entry {
    receipt: ReceiptHandle,
    answer: oneshot::Sender<Result<(), Failure>>,
}

/// Batches deletes while requests are in flight. Without a request in flight a delete is sent at once, so an
/// idle queue has no extra latency.
#[derive(Clone)]
pub(super) struct Deletes {
    entries: mpsc::Sender<Entry>,
}

impl Deletes {
    /// Sends batches with `request`, from a task that ends after the last clone is dropped and everything is
    /// sent.
    pub(super) fn new<F>(request: impl Fn(Vec<ReceiptHandle>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answers> + Send + 'static,
    {
        let (entries, waiting) = mpsc::channel(WAITING);
        tokio::spawn(send_batches(waiting, Arc::new(request)));
        Self { entries }
    }

    /// Deletes one message. The delete is sent even if the caller is dropped.
    pub(super) async fn delete(&self, receipt: ReceiptHandle) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        let entry = Entry { receipt, answer };
        let gone = || Failure::new("", "the task that sends deletes has ended");
        self.entries.send(entry).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

async fn send_batches<R, F>(mut waiting: mpsc::Receiver<Entry>, request: Arc<R>)
where
    R: Fn(Vec<ReceiptHandle>) -> F + Send + Sync + 'static,
    F: Future<Output = Answers> + Send + 'static,
{
    let mut in_flight = JoinSet::new();
    while let Some(first) = waiting.recv().await {
        let mut batch = vec![first];
        while let Some(entry) = (batch.len() < BATCH).then(|| waiting.try_recv().ok()).flatten() {
            batch.push(entry);
        }
        while in_flight.try_join_next().is_some() {}
        let window = tokio::time::sleep(WINDOW);
        tokio::pin!(window);
        while batch.len() < BATCH && !in_flight.is_empty() {
            tokio::select! {
                entry = waiting.recv() => match entry {
                    Some(entry) => batch.push(entry),
                    None => break,
                },
                _ = in_flight.join_next() => {}
                () = &mut window => break,
            }
        }
        in_flight.spawn(send(batch, Arc::clone(&request)));
    }
    while in_flight.join_next().await.is_some() {}
}

async fn send<R, F>(batch: Vec<Entry>, request: Arc<R>)
where
    R: Fn(Vec<ReceiptHandle>) -> F,
    F: Future<Output = Answers>,
{
    let receipts = batch.iter().map(|entry| entry.receipt.clone()).collect();
    for (entry, answer) in batch.into_iter().zip(request(receipts).await) {
        // A dropped caller needs no answer.
        let _ = entry.answer.send(answer);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;

    use super::*;

    /// Records requests, and answers each when the gate opens: with an error for receipts that start with
    /// `x`.
    struct Server {
        requests: Mutex<Vec<Vec<String>>>,
        gate: Semaphore,
    }

    impl Server {
        fn new(open: usize) -> (Arc<Self>, Deletes) {
            let server = Arc::new(Self {
                requests: Mutex::default(),
                gate: Semaphore::new(open),
            });
            let handler = Arc::clone(&server);
            let deletes = Deletes::new(move |receipts| {
                let server = Arc::clone(&handler);
                async move { server.answer(receipts).await }
            });
            (server, deletes)
        }

        async fn answer(&self, receipts: Vec<ReceiptHandle>) -> Answers {
            let names: Vec<String> = receipts.into_iter().map(|receipt| receipt.0).collect();
            self.requests.lock().unwrap().push(names.clone());
            self.gate.acquire().await.unwrap().forget();
            let answer = |name: &String| match name.starts_with('x') {
                true => Err(Failure::new(name, "refused")),
                false => Ok(()),
            };
            names.iter().map(answer).collect()
        }

        /// Yields until requests of these sizes have arrived, without advancing the time.
        async fn until<const N: usize>(&self, sizes: [usize; N]) {
            for _ in 0..10_000 {
                if self.sizes() == sizes {
                    return;
                }
                tokio::task::yield_now().await;
            }
            panic!("received {:?}, expected {sizes:?}", self.sizes());
        }

        fn sizes(&self) -> Vec<usize> {
            self.requests.lock().unwrap().iter().map(Vec::len).collect()
        }
    }

    fn receipt(name: impl Into<String>) -> ReceiptHandle {
        ReceiptHandle(name.into())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_delete_is_sent_at_once_and_later_ones_are_batched() {
        let (server, deletes) = Server::new(0);
        let begun = tokio::time::Instant::now();
        let spawn = |name: String| {
            let deletes = deletes.clone();
            tokio::spawn(async move { deletes.delete(receipt(name)).await })
        };
        let first = spawn("first".to_owned());
        server.until([1]).await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "nothing to wait for");
        let others: Vec<_> = (0..14)
            .map(|n| spawn(if n == 3 { "x3".to_owned() } else { n.to_string() }))
            .collect();
        server.until([1, 10]).await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "a full batch does not wait");
        tokio::time::sleep(WINDOW * 2).await;
        assert_eq!(
            server.sizes(),
            [1, 10, 4],
            "no delete waits longer than the window"
        );
        server.gate.add_permits(3);
        first.await.unwrap().unwrap();
        for (n, other) in others.into_iter().enumerate() {
            let answer = other.await.unwrap();
            assert_eq!(
                answer.is_err(),
                n == 3,
                "every delete has its own answer: {n} {answer:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn deletes_of_dropped_callers_are_sent() {
        let (server, deletes) = Server::new(0);
        for name in ["first", "second"] {
            let dropped = tokio::time::timeout(Duration::from_millis(1), deletes.delete(receipt(name)));
            assert!(dropped.await.is_err());
        }
        drop(deletes);
        tokio::time::sleep(WINDOW * 2).await;
        assert_eq!(server.sizes(), [1, 1]);
    }
}
