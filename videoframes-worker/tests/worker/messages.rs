//! The queues of a place, used without a worker.

use videoframes_core::database::{Database, DatabaseOptions};
use videoframes_core::queue::{DEAD_LETTER_REASON, DatabaseQueue, Depth, Outgoing, Queue, Waiting};

use super::place::{Place, runtime};

impl Place {
    /// Runs `work` with a queue of this place, without the worker.
    pub(crate) fn queue<T>(&self, name: &str, work: impl AsyncFnOnce(DatabaseQueue) -> T) -> T {
        let url = self.database_url();
        runtime().block_on(async {
            let database = Database::connect(&url, &DatabaseOptions::default())
                .await
                .unwrap();
            let done = work(DatabaseQueue::new(database.clone(), name)).await;
            database.close().await;
            done
        })
    }

    /// Sends a message like a client.
    pub(crate) fn send(&self, body: &str) {
        self.send_to("input", body);
    }

    /// Sends a message to a queue like a client.
    pub(crate) fn send_to(&self, name: &str, body: &str) {
        let send = async |queue: &dyn Queue| {
            for sent in queue.send(&[Outgoing::new(body)]).await.unwrap() {
                sent.unwrap();
            }
        };
        match &self.cloud {
            Some(cloud) => runtime().block_on(async { send(&cloud.queue(name).await).await }),
            None => self.queue(name, async |queue| send(&queue).await),
        }
    }

    /// Runs `work` with the queue of notifications, without the worker.
    pub(crate) fn with_notifier<T>(&self, work: impl AsyncFnOnce(&dyn Queue) -> T) -> T {
        match &self.cloud {
            Some(cloud) => runtime().block_on(async { work(&cloud.queue("notifier").await).await }),
            None => self.queue("notifier", async |queue| work(&queue).await),
        }
    }

    /// Sends notifications without the worker.
    pub(crate) fn notify(&self, bodies: &[String]) {
        let messages: Vec<Outgoing> = bodies.iter().map(Outgoing::new).collect();
        self.with_notifier(async |queue: &dyn Queue| {
            for sent in queue.send(&messages).await.unwrap() {
                sent.unwrap();
            }
        });
    }

    /// Returns the number of visible notifications.
    pub(crate) fn visible_notifications(&self) -> u64 {
        self.notifier_depth().visible
    }

    /// Returns the number of visible notifications and notifications in flight.
    pub(crate) fn all_notifications(&self) -> u64 {
        let depth = self.notifier_depth();
        depth.visible + depth.in_flight
    }

    fn notifier_depth(&self) -> Depth {
        self.with_notifier(async |queue: &dyn Queue| queue.depth().await.unwrap())
    }

    /// Purges the input queue; returns the number of purged messages.
    pub(crate) fn purge(&self) -> u64 {
        match &self.cloud {
            Some(cloud) => runtime().block_on(cloud.purge_input()),
            None => self.queue("input", async |queue| queue.purge().await.unwrap()),
        }
    }

    /// Returns the number of messages in the input queue, including hidden messages.
    pub(crate) fn waiting(&self) -> u64 {
        let depth = async |queue: &dyn Queue| queue.depth().await.unwrap();
        let depth = match &self.cloud {
            Some(cloud) => runtime().block_on(async { depth(&cloud.queue("input").await).await }),
            None => self.queue("input", async |queue| depth(&queue).await),
        };
        depth.visible + depth.in_flight
    }

    /// Returns the reasons of the dead-letter messages.
    pub(crate) fn dead_letter_messages(&self) -> Vec<String> {
        if let Some(cloud) = &self.cloud {
            return runtime().block_on(cloud.dead_letter_messages());
        }
        let letters = self.queue("dead-letters", async |queue| {
            queue.browse(None, 100).await.unwrap()
        });
        let reason = |letter: &Waiting| letter.attributes[DEAD_LETTER_REASON].clone();
        letters.iter().map(reason).collect()
    }
}
