//! Responses that the server for tests does not send, and the contents of requests.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Barrier;
use videoframes_core::queue::{
    MESSAGE_BYTES, Message, Outgoing, Queue, QueueError, ReceiptHandle, SqsOptions, SqsQueue,
};

use crate::config;
use crate::scripted::{Answer, Gate, ScriptedServer};

fn ok(body: Value) -> Answer {
    (200, "", body)
}

/// Returns an error in the format of SQS: its type in the body, the older code in a header.
fn error(code: &'static str, message: &str) -> Answer {
    (
        400,
        code,
        json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": message}),
    )
}

/// Returns success for all entries of a batch.
fn all_well(body: &Value) -> Answer {
    let entries = body["Entries"].as_array().unwrap().iter();
    let done: Vec<Value> = entries
        .map(|entry| json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": md5_of(entry)}))
        .collect();
    ok(json!({"Successful": done, "Failed": []}))
}

/// The client does not verify checksums of sent messages.
fn md5_of(_: &Value) -> &'static str {
    "d41d8cd98f00b204e9800998ecf8427e"
}

async fn queue(server: &ScriptedServer) -> SqsQueue {
    let options =
        SqsOptions::default().dead_letter_queue(format!("{}/000000000000/letters", server.endpoint));
    SqsQueue::connect(&config(&server.endpoint), &server.queue_url(), &options)
        .await
        .unwrap()
}

fn receipt(name: &str) -> ReceiptHandle {
    ReceiptHandle::new(name)
}

/// Returns an error and its causes, as a front end prints them.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn errors_about_stale_receipts_mean_a_lost_receipt() {
    for (code, message) in [
        ("MessageNotInflight", ""),
        ("ReceiptHandleIsInvalid", "The input receipt handle is invalid."),
        (
            "InvalidParameterValue",
            "Value AQEB for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available \
             for visibility timeout change.",
        ),
    ] {
        let server = ScriptedServer::answering(move |_, _| error(code, message));
        let held = queue(&server)
            .await
            .set_visibility(&receipt("r"), Duration::from_secs(1))
            .await;
        assert!(matches!(held, Err(QueueError::ReceiptLost)), "{code}: {held:?}");
    }
    let too_long = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]";
    let server = ScriptedServer::answering(move |_, _| error("InvalidParameterValue", too_long));
    let held = queue(&server)
        .await
        .set_visibility(&receipt("r"), Duration::from_secs(1))
        .await;
    assert!(
        matches!(held, Err(QueueError::Unavailable { .. })),
        "the receipt is good: {held:?}"
    );
}

#[tokio::test]
async fn visibility_is_rounded_to_seconds_and_limited_to_the_range_of_sqs() {
    let server = ScriptedServer::answering(|_, _| ok(json!({})));
    let queue = queue(&server).await;
    for time in [
        Duration::from_millis(1),
        Duration::ZERO,
        Duration::from_secs(1 << 40),
    ] {
        queue.set_visibility(&receipt("r"), time).await.unwrap();
    }
    queue.receive(99, Duration::MAX, Duration::MAX).await.unwrap();
    let asked = server.asked("ChangeMessageVisibility");
    let asked: Vec<_> = asked
        .iter()
        .map(|body| body["VisibilityTimeout"].as_i64().unwrap())
        .collect();
    assert_eq!(asked, [1, 0, 43_200]);
    let receive = &server.asked("ReceiveMessage")[0];
    assert_eq!(receive["VisibilityTimeout"], 43_200);
    assert_eq!(receive["WaitTimeSeconds"], 20);
    assert_eq!(receive["MaxNumberOfMessages"], 10);
}

#[tokio::test]
async fn each_message_of_a_batch_has_its_own_result() {
    let server = ScriptedServer::answering(|_, body| {
        let entry = |n: usize| body["Entries"][n]["Id"].clone();
        ok(json!({
            "Successful": [{"Id": entry(3), "MessageId": "m", "MD5OfMessageBody": ""}],
            "Failed": [
                {"Id": entry(2), "Code": "InternalError", "SenderFault": false},
                {"Id": entry(0), "Code": "InvalidMessageContents", "Message": "no", "SenderFault": true},
            ],
        }))
    });
    let batch = ["a", "b", "c", "d"].map(Outgoing::new);
    let answers = queue(&server).await.send(&batch).await.unwrap();
    assert!(
        matches!(
            answers[..],
            [
                Err(QueueError::Refused(_)),
                Err(QueueError::Unavailable { .. }), // The answer does not mention it.
                Err(QueueError::Unavailable { .. }),
                Ok(()),
            ]
        ),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_failed_request_does_not_affect_results_of_previous_requests() {
    let server = ScriptedServer::answering(|_, body| match body["Entries"][0]["MessageBody"].as_str() {
        Some("10") => error("OverLimit", "no more"),
        _ => all_well(body),
    });
    let batch: Vec<_> = (0..25).map(|n| Outgoing::new(n.to_string())).collect();
    let answers = queue(&server).await.send(&batch).await.unwrap();
    let sent: Vec<usize> = (0..25).filter(|n| answers[*n].is_ok()).collect();
    assert_eq!(sent, (0..10).collect::<Vec<_>>());
    assert_eq!(
        server.asked("SendMessageBatch").len(),
        2,
        "what would fail too is not tried"
    );
}

#[tokio::test]
async fn batches_respect_the_limits_of_a_request() {
    let server = ScriptedServer::answering(|_, body| all_well(body));
    let large = Outgoing::new("x".repeat(MESSAGE_BYTES / 2));
    let queue = queue(&server).await;
    let answers = queue.send(&vec![large; 5]).await.unwrap();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let asked = server.asked("SendMessageBatch");
    let sizes: Vec<_> = asked
        .iter()
        .map(|body| body["Entries"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [2, 2, 1]);
}

#[tokio::test]
async fn groups_and_deduplication_are_for_fifo_queues_only() {
    let server = ScriptedServer::answering(|_, body| all_well(body));
    let message = Outgoing::new("x").group("g").deduplication_id("d");
    let fifo = format!("{}.fifo", server.queue_url());
    for url in [server.queue_url(), fifo] {
        let queue = SqsQueue::connect(&config(&server.endpoint), &url, &SqsOptions::default())
            .await
            .unwrap();
        queue.send(&[message.clone(), Outgoing::new("y")]).await.unwrap();
    }
    let asked = server.asked("SendMessageBatch");
    let standard = &asked[0]["Entries"];
    assert_eq!(standard[0]["MessageGroupId"], Value::Null);
    assert_eq!(standard[0]["MessageDeduplicationId"], Value::Null);
    let fifo = &asked[1]["Entries"];
    assert_eq!(fifo[0]["MessageGroupId"], "g");
    assert_eq!(fifo[0]["MessageDeduplicationId"], "d");
    assert_eq!(fifo[0]["DelaySeconds"], Value::Null);
    assert!(fifo[1]["MessageGroupId"].is_string() && fifo[1]["MessageGroupId"] != "g");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_of_several_callers_share_requests_and_have_separate_results() {
    let (gate, called) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let closed = gate.clone();
    let server = ScriptedServer::answering(move |_, body| {
        // The first request is pending until all other calls were made.
        closed.wait();
        let entries = body["Entries"].as_array().unwrap().iter();
        let (bad, good): (Vec<_>, Vec<_>) =
            entries.partition(|entry| entry["ReceiptHandle"].as_str().unwrap().starts_with("bad"));
        let id = |entry: &Value| json!({"Id": entry["Id"]});
        let failed =
            |entry: &Value| json!({"Id": entry["Id"], "Code": "InternalError", "SenderFault": false});
        ok(json!({
            "Successful": good.into_iter().map(id).collect::<Vec<_>>(),
            "Failed": bad.into_iter().map(failed).collect::<Vec<_>>(),
        }))
    });
    const CALLERS: usize = 30;
    let (queue, start) = (queue(&server).await, Arc::new(Barrier::new(CALLERS)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|n| {
            let (queue, start, called) = (queue.clone(), Arc::clone(&start), Arc::clone(&called));
            tokio::spawn(async move {
                let name = format!("{}{n}", if n % 7 == 0 { "bad" } else { "good" });
                start.wait().await;
                called.fetch_add(1, Ordering::SeqCst);
                queue.delete(&[receipt(&name)]).await.unwrap().remove(0)
            })
        })
        .collect();
    while called.load(Ordering::SeqCst) < CALLERS {
        tokio::task::yield_now().await;
    }
    gate.open();
    for (n, caller) in callers.into_iter().enumerate() {
        let answer = caller.await.unwrap();
        assert_eq!(answer.is_err(), n % 7 == 0, "{n}: {answer:?}");
    }
    let asked = server.asked("DeleteMessageBatch");
    let sizes: Vec<_> = asked
        .iter()
        .map(|body| body["Entries"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), CALLERS);
    assert!(
        sizes.len() < CALLERS / 2 && sizes.iter().all(|size| *size <= 10),
        "{sizes:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_does_not_wait_for_a_poll() {
    let gate = Gate::default();
    let closed = gate.clone();
    let server = ScriptedServer::answering(move |action, _| {
        if action == "ReceiveMessage" {
            closed.wait();
        }
        ok(json!({}))
    });
    let queue = queue(&server).await;
    let polls: Vec<_> = (0..8)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.receive(1, Duration::ZERO, Duration::from_secs(20)).await })
        })
        .collect();
    while server.asked("ReceiveMessage").len() < polls.len() {
        tokio::task::yield_now().await;
    }
    queue.set_visibility(&receipt("r"), Duration::ZERO).await.unwrap();
    assert!(
        polls.iter().all(|poll| !poll.is_finished()),
        "the polls are still waiting"
    );
    gate.open();
    for poll in polls {
        assert_eq!(poll.await.unwrap().unwrap(), []);
    }
}

#[tokio::test]
async fn polls_have_a_longer_timeout_than_other_requests() {
    let never = Gate::default();
    let server = ScriptedServer::answering(move |action, _| {
        match action {
            // The test measures a time longer than other requests may take.
            "ReceiveMessage" => std::thread::sleep(Duration::from_secs(2)),
            _ => never.wait(),
        }
        ok(json!({}))
    });
    let options = SqsOptions::default().timeout(Duration::from_millis(500));
    let queue = SqsQueue::connect(&config(&server.endpoint), &server.queue_url(), &options)
        .await
        .unwrap();
    let polled = queue.receive(1, Duration::ZERO, Duration::from_secs(3)).await;
    assert_eq!(polled.unwrap(), []);
    assert_eq!(
        server.asked("ReceiveMessage").len(),
        1,
        "the poll was not retried"
    );
    let error = queue.check().await.unwrap_err();
    assert!(chain(&error).contains("timeout"), "{}", chain(&error));
}

#[tokio::test]
async fn an_oversized_dead_letter_message_is_truncated() {
    let server = ScriptedServer::answering(|action, body| match action {
        "SendMessageBatch" => {
            let entry = &body["Entries"][0];
            match entry["MessageBody"].as_str().unwrap().len() > MESSAGE_BYTES {
                true => ok(json!({"Successful": [], "Failed": [{
                    "Id": entry["Id"], "Code": "InvalidParameterValue", "SenderFault": true,
                    "Message": "One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes.",
                }]})),
                false => all_well(body),
            }
        }
        _ => all_well(body),
    });
    let message = Message::new("id", "x".repeat(1 << 20), receipt("r"), 1);
    queue(&server)
        .await
        .dead_letter(&message, "too\0large")
        .await
        .unwrap();
    let asked = server.asked("SendMessageBatch");
    let letter = &asked[1]["Entries"][0];
    let attribute = |name: &str| letter["MessageAttributes"][name]["StringValue"].clone();
    assert_eq!(attribute("reason"), "too\u{fffd}large");
    assert_eq!(attribute("cut_from_bytes"), (1 << 20).to_string());
    assert!(asked[1]["QueueUrl"].as_str().unwrap().ends_with("/letters"));
    assert_eq!(server.asked("DeleteMessageBatch").len(), 1);
}

#[tokio::test]
async fn a_message_that_cannot_be_dead_lettered_is_not_deleted() {
    let server = ScriptedServer::answering(|action, body| match action {
        "SendMessageBatch" => error("AccessDenied", "not authorized to perform: sqs:sendmessage"),
        _ => all_well(body),
    });
    let message = Message::new("id", "x", receipt("r"), 1);
    let dead_lettered = queue(&server).await.dead_letter(&message, "why").await;
    let reported = chain(&dead_lettered.unwrap_err());
    assert_eq!(
        reported,
        "failed to send to the queue 'letters': AccessDenied: not authorized to perform: sqs:sendmessage"
    );
    assert_eq!(server.asked("DeleteMessageBatch").len(), 0);
}

#[tokio::test]
async fn wrong_credentials_are_reported_in_one_line() {
    let server = ScriptedServer::answering(|_, _| {
        let (_, code, body) = error(
            "InvalidClientTokenId",
            "The security token included\nin the request is invalid.",
        );
        (403, code, body)
    });
    let queue = queue(&server).await;
    let begun = Instant::now();
    let text = chain(&queue.check().await.unwrap_err());
    assert_eq!(
        text,
        "failed to find the queue 'scripted': InvalidClientTokenId: The security token included in the request is invalid."
    );
    assert_eq!(
        server.asked("GetQueueAttributes").len(),
        1,
        "the request is not retried"
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_unreachable_server_is_reported_in_one_line() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let url = format!("{endpoint}/000000000000/gone");
    let queue = SqsQueue::connect(&config(&endpoint), &url, &SqsOptions::default())
        .await
        .unwrap();
    let error = queue.check().await.unwrap_err();
    assert!(error.is_retryable());
    let text = chain(&error);
    assert!(text.starts_with("failed to find the queue 'gone': "), "{text}");
    assert!(text.contains("refused"), "{text}");
    assert!(
        text.len() < 500 && !text.contains('\n') && !text.contains("secret"),
        "{text}"
    );
    let named = SqsQueue::connect(&config(&endpoint), "by-name", &SqsOptions::default()).await;
    assert!(chain(&named.unwrap_err()).starts_with("failed to find the queue 'by-name': "));
}
