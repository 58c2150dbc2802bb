//! Deletes of many callers, sent together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::BATCH;
use super::failure::Failure;
use crate::queue::ReceiptHandle;

/// How long a delete waits for others while an earlier request is on its way.
const WINDOW: Duration = Duration::from_millis(25);
/// Deletes that wait to be gathered; more callers than that wait for a place.
const WAITING: usize = 256;

/// What a request said of each receipt, in order.
pub(super) type Answers = Vec<Result<(), Failure>>;

struct Entry {
    receipt: ReceiptHandle,
    answer: oneshot::Sender<Result<(), Failure>>,
}

/// Gathers deletes while requests are on their way. One that comes when nothing is under way goes at once,
/// so that a queue at rest is as fast as without.
#[derive(Clone)]
pub(super) struct Deletes {
    entries: mpsc::Sender<Entry>,
}

impl Deletes {
    /// Sends by `request`, from a task that ends with the last clone, when all is sent.
    pub(super) fn new<F>(request: impl Fn(Vec<ReceiptHandle>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answers> + Send + 'static,
    {
        let (entries, waiting) = mpsc::channel(WAITING);
        tokio::spawn(gather(waiting, Arc::new(request)));
        Self { entries }
    }

    /// Deletes one message. Once it is gathered it is sent, whether or not the caller is still there.
    pub(super) async fn delete(&self, receipt: ReceiptHandle) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        let entry = Entry { receipt, answer };
        let gone = || Failure::new("", "the task that sends deletes is gone");
        self.entries.send(entry).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

async fn gather<R, F>(mut waiting: mpsc::Receiver<Entry>, request: Arc<R>)
where
    R: Fn(Vec<ReceiptHandle>) -> F + Send + Sync + 'static,
    F: Future<Output = Answers> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    while let Some(first) = waiting.recv().await {
        let mut batch = vec![first];
        while let Some(entry) = (batch.len() < BATCH).then(|| waiting.try_recv().ok()).flatten() {
            batch.push(entry);
        }
        while under_way.try_join_next().is_some() {}
        let window = tokio::time::sleep(WINDOW);
        tokio::pin!(window);
        while batch.len() < BATCH && !under_way.is_empty() {
            tokio::select! {
                entry = waiting.recv() => match entry {
                    Some(entry) => batch.push(entry),
                    None => break,
                },
                _ = under_way.join_next() => {}
                () = &mut window => break,
            }
        }
        under_way.spawn(send(batch, Arc::clone(&request)));
    }
    while under_way.join_next().await.is_some() {}
}

async fn send<R, F>(batch: Vec<Entry>, request: Arc<R>)
where
    R: Fn(Vec<ReceiptHandle>) -> F,
    F: Future<Output = Answers>,
{
    let receipts = batch.iter().map(|entry| entry.receipt.clone()).collect();
    for (entry, answer) in batch.into_iter().zip(request(receipts).await) {
        // A caller that is gone needs none.
        let _ = entry.answer.send(answer);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;

    use super::*;

    /// Requests as they came, each answered when the gate lets it: errors for receipts that start with `x`.
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
            let asked = Arc::clone(&server);
            let deletes = Deletes::new(move |receipts| {
                let server = Arc::clone(&asked);
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

        /// Lets others go on until requests of these sizes have come, without time passing.
        async fn until<const N: usize>(&self, sizes: [usize; N]) {
            for _ in 0..10_000 {
                if self.sizes() == sizes {
                    return;
                }
                tokio::task::yield_now().await;
            }
            panic!("{:?} came, not {sizes:?}", self.sizes());
        }

        fn sizes(&self) -> Vec<usize> {
            self.requests.lock().unwrap().iter().map(Vec::len).collect()
        }
    }

    fn receipt(name: impl Into<String>) -> ReceiptHandle {
        ReceiptHandle(name.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_delete_at_rest_goes_at_once_and_others_gather_while_it_is_on_its_way() {
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
        assert_eq!(begun.elapsed(), Duration::ZERO, "a full batch waits for nobody");
        tokio::time::sleep(WINDOW * 2).await;
        assert_eq!(server.sizes(), [1, 10, 4], "nobody waits longer than the window");
        server.gate.add_permits(3);
        first.await.unwrap().unwrap();
        for (n, other) in others.into_iter().enumerate() {
            let answer = other.await.unwrap();
            assert_eq!(answer.is_err(), n == 3, "each has its own answer: {n} {answer:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_dropped_caller_asked_for_is_sent() {
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
