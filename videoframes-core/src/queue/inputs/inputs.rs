//! The input queues of a processor.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::waiting::Shared;
use crate::queue::{Depth, Message, Queue, QueueError};
use crate::tenant::{Priority, Weight};

/// A queue from which a processor receives messages.
#[derive(Clone)]
pub struct InputQueue {
    queue: Arc<dyn Queue>,
    weight: Weight,
    priorities: Vec<Priority>,
}

impl InputQueue {
    /// Returns a queue with the weight 1 and without priorities.
    #[must_use]
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        Self {
            queue,
            weight: Weight::default(),
            priorities: Vec::new(),
        }
    }

    /// Sets the weight of the queue relative to the others.
    #[must_use]
    pub fn weight(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    /// Sets the priorities of the jobs whose messages are sent to this queue.
    #[must_use]
    pub fn priorities(self, priorities: Vec<Priority>) -> Self {
        Self { priorities, ..self }
    }
}

impl fmt::Debug for InputQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputQueue")
            .field("queue", &self.queue.name())
            .field("weight", &self.weight)
            .field("priorities", &self.priorities)
            .finish()
    }
}

/// A received message, with the queue in which it is extended, deleted and dead-lettered.
#[derive(Clone)]
#[non_exhaustive]
pub struct Received {
    /// The queue of the message.
    pub queue: Arc<dyn Queue>,
    /// The message.
    pub message: Message,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("queue", &self.queue.name())
            .field("message", &self.message)
            .finish()
    }
}

/// The queues from which a processor receives messages. Clones share their turns.
///
/// While several queues have messages, each is served in proportion to its weight. A queue that is found empty takes nothing
/// from the others: it is asked again after a second. While all queues are empty, a receive waits for all at once.
///
/// Messages about a job are sent to the queue with the priority of the job, else to the first queue without priorities.
#[derive(Clone)]
pub struct InputQueues {
    queues: Arc<[InputQueue]>,
    shared: Arc<Shared>,
}

impl From<Arc<dyn Queue>> for InputQueues {
    fn from(queue: Arc<dyn Queue>) -> Self {
        Self::new(InputQueue::new(queue), [])
    }
}

impl<Q: Queue> From<Arc<Q>> for InputQueues {
    fn from(queue: Arc<Q>) -> Self {
        Self::from(queue as Arc<dyn Queue>)
    }
}

impl fmt::Debug for InputQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.queues.iter()).finish()
    }
}

impl InputQueues {
    /// Returns one or several queues.
    #[must_use]
    pub fn new(first: InputQueue, others: impl IntoIterator<Item = InputQueue>) -> Self {
        let queues: Arc<[InputQueue]> = std::iter::once(first).chain(others).collect();
        let weighted = queues
            .iter()
            .map(|input| (Arc::clone(&input.queue), input.weight));
        Self {
            shared: Arc::new(Shared::new(weighted)),
            queues,
        }
    }

    /// Returns the queues in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Queue>> {
        self.queues.iter().map(|input| &input.queue)
    }

    /// Returns the position of the queue for messages about jobs of a priority.
    #[must_use]
    pub fn position_for(&self, priority: Priority) -> usize {
        let own = |input: &InputQueue| input.priorities.contains(&priority);
        let any = |input: &InputQueue| input.priorities.is_empty();
        let own = self.queues.iter().position(own);
        own.or_else(|| self.queues.iter().position(any)).unwrap_or(0)
    }

    /// Receives a message with the visibility timeout `visibility`.
    ///
    /// Waits up to `wait`, or until a receive that waits already has ended. Returns `None` only if every queue was empty at
    /// some time since the call. Cancel-safe: messages received by a dropped call are redelivered.
    ///
    /// # Errors
    /// Returns the error of a queue if no other queue has a message.
    pub async fn receive(
        &self,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Option<Received>, QueueError> {
        if let [input] = &*self.queues {
            let messages = input.queue.receive(1, visibility, wait).await?;
            return Ok(messages
                .into_iter()
                .next()
                .map(|message| self.received(0, message)));
        }
        let began = Instant::now();
        let mut failed = None;
        loop {
            let Some(next) = self.shared.state().schedule.next(Instant::now()) else {
                break;
            };
            let mut turn = AskedTurn {
                shared: &self.shared,
                queue: Some(next),
            };
            let answer = self.queues[next]
                .queue
                .receive(1, visibility, Duration::ZERO)
                .await;
            match answer.map(|messages| messages.into_iter().next()) {
                Ok(Some(message)) => {
                    turn.served();
                    return Ok(Some(self.received(next, message)));
                }
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None if wait.is_zero() => Ok(None),
            None => {
                let arrived = self.shared.wait(began, visibility, began + wait).await?;
                Ok(arrived.map(|(queue, message)| self.received(queue, message)))
            }
        }
    }

    fn received(&self, queue: usize, message: Message) -> Received {
        let queue = Arc::clone(&self.queues[queue].queue);
        Received { queue, message }
    }

    /// Returns the approximate number of messages in all queues.
    ///
    /// # Errors
    /// Returns the error of the first queue that fails.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        let mut sum = Depth::default();
        for queue in self.iter() {
            sum = sum + queue.depth().await?;
        }
        Ok(sum)
    }
}

/// A turn of a queue that was asked. Counts as an empty answer unless the queue had a message.
struct AskedTurn<'a> {
    shared: &'a Shared,
    queue: Option<usize>,
}

impl AskedTurn<'_> {
    fn served(&mut self) {
        if let Some(queue) = self.queue.take() {
            self.shared.state().schedule.served(queue);
        }
    }
}

impl Drop for AskedTurn<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            self.shared.state().schedule.empty(queue, Instant::now());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::queue::{MemoryQueue, Outgoing};

    const HOUR: Duration = Duration::from_secs(3600);
    const WAIT: Duration = Duration::from_secs(20);

    fn queue(name: &str) -> MemoryQueue {
        MemoryQueue::new(name, Arc::new(ManualClock::default()) as Arc<dyn Clock>)
    }

    fn weighted(queue: &MemoryQueue, weight: u32) -> InputQueue {
        InputQueue::new(Arc::new(queue.clone())).weight(Weight::new(weight).unwrap())
    }

    fn inputs(first: &MemoryQueue, second: &MemoryQueue) -> InputQueues {
        InputQueues::new(weighted(first, 16), [weighted(second, 1)])
    }

    async fn send(queue: &MemoryQueue, count: usize) {
        let messages = vec![Outgoing::new("message"); count];
        queue.send(&messages).await.unwrap();
    }

    async fn visible(queue: &MemoryQueue) -> u64 {
        queue.depth().await.unwrap().visible
    }

    /// Receives a message that waits already, and returns the name of its queue.
    async fn name_of_next(inputs: &InputQueues) -> String {
        let received = inputs.receive(HOUR, Duration::ZERO).await.unwrap().unwrap();
        received.queue.name().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn queues_are_received_in_proportion_to_their_weights() {
        let (high, low) = (queue("high"), queue("low"));
        let inputs = inputs(&high, &low);
        send(&low, 50).await;
        assert_eq!(
            name_of_next(&inputs).await,
            "low",
            "an empty queue does not matter"
        );
        tokio::time::advance(Duration::from_secs(2)).await;
        send(&high, 50).await;
        let mut names = Vec::new();
        for _ in 0..34 {
            names.push(name_of_next(&inputs).await);
        }
        let of_low = names.iter().filter(|name| *name == "low").count();
        assert_eq!(of_low, 2, "{names:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_in_any_queue_ends_the_wait() {
        for arrives_in_first in [true, false] {
            let (first, second) = (queue("first"), queue("second"));
            let inputs = inputs(&first, &second);
            let target = if arrives_in_first { &first } else { &second };
            let began = Instant::now();
            let (received, ()) = tokio::join!(inputs.receive(HOUR, WAIT), async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                send(target, 1).await;
            });
            let received = received.unwrap().unwrap();
            assert_eq!(received.queue.name(), target.name());
            assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
            // The message belongs to its queue.
            let receipt = received.message.receipt;
            received.queue.delete(&[receipt]).await.unwrap();
            assert_eq!(target.depth().await.unwrap(), Depth::default());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_receives_share_the_polls() {
        let (first, second) = (queue("first"), queue("second"));
        let inputs = inputs(&first, &second);
        let receive = || inputs.receive(HOUR, WAIT);
        let (a, b, ()) = tokio::join!(receive(), receive(), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            send(&second, 2).await;
        });
        assert!(a.unwrap().is_some() && b.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_nobody_waits_for_is_returned_at_once() {
        let (first, second) = (queue("first"), queue("second"));
        let inputs = inputs(&first, &second);
        let (received, ()) = tokio::join!(inputs.receive(HOUR, WAIT), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            send(&first, 1).await;
            send(&second, 1).await;
        });
        let name = received.unwrap().unwrap().queue.name().to_owned();
        let other = if name == "first" { &second } else { &first };
        let began = Instant::now();
        while visible(other).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(began.elapsed() < HOUR, "the message stays hidden");
        }
        assert_eq!(name_of_next(&inputs).await, other.name());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_received_only_if_all_queues_are_empty() {
        let (first, second) = (queue("first"), queue("second"));
        let inputs = inputs(&first, &second);
        let began = Instant::now();
        for wait in [WAIT, Duration::ZERO] {
            assert!(inputs.receive(HOUR, wait).await.unwrap().is_none());
        }
        assert!(began.elapsed() >= WAIT && began.elapsed() < WAIT * 2);
        send(&first, 1).await;
        send(&second, 2).await;
        assert_eq!(inputs.depth().await.unwrap().visible, 3);
    }

    #[test]
    fn messages_go_to_the_queue_of_their_priority() {
        let input =
            |priorities: &[Priority]| InputQueue::new(Arc::new(queue("q"))).priorities(priorities.to_vec());
        let positions = |inputs: InputQueues| Priority::ALL.map(|priority| inputs.position_for(priority));
        let of_all = InputQueues::from(Arc::new(queue("q")));
        assert_eq!(positions(of_all), [0, 0, 0]);
        let split = InputQueues::new(input(&[Priority::High]), [input(&[]), input(&[Priority::Low])]);
        assert_eq!(positions(split), [2, 1, 0]);
        let only = InputQueues::new(input(&[Priority::High]), [input(&[Priority::Low])]);
        assert_eq!(positions(only), [1, 0, 0], "the first queue has the rest");
    }
}
