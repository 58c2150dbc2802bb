//! Several queues of SQS as the input of one processor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use videoframes_core::queue::{InputQueue, InputQueues, Outgoing, Queue};
use videoframes_core::tenant::Weight;

use crate::Server;

const VISIBILITY: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_message_ends_the_long_polls_of_all_queues() {
    let Some(server) = Server::of_tests() else {
        return;
    };
    let (high, _) = server.fresh("").await;
    let (low, _) = server.fresh("").await;
    let weight = |weight| Weight::new(weight).unwrap();
    let inputs = InputQueues::new(
        InputQueue::new(Arc::new(high.clone())).weight(weight(16)),
        [InputQueue::new(Arc::new(low.clone())).weight(weight(1))],
    );
    for queue in [&low, &high] {
        let began = Instant::now();
        let (received, sent) = tokio::join!(inputs.receive(VISIBILITY, Duration::from_secs(10)), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            queue.send(&[Outgoing::new("message")]).await
        });
        sent.unwrap();
        let received = received.unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(received.queue.name(), queue.name());
        let deleted = received.queue.delete(&[received.message.receipt]).await.unwrap();
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    }
    assert_eq!(inputs.depth().await.unwrap().visible, 0);
    let none = inputs.receive(VISIBILITY, Duration::from_secs(1)).await.unwrap();
    assert!(none.is_none(), "{none:?}");
}
