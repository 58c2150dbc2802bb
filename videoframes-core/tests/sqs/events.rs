//! Events that a store sends to a queue.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use uuid::Uuid;
use videoframes_core::jobs::JobMessage;
use videoframes_core::queue::Queue;

use crate::Server;

/// Puts an object to the store of the server for tests, which requires no signature.
fn put(path: &str, body: &str) {
    let endpoint = std::env::var("VF_TEST_SQS").unwrap();
    let host = endpoint.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    let request = format!(
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
}

#[tokio::test]
async fn events_of_a_store_are_parsed() {
    let Some(server) = Server::of_tests() else {
        return;
    };
    let (queue, _) = server.fresh("").await;
    let bucket = format!("bucket-{}", Uuid::new_v4().simple());
    put(&format!("/{bucket}"), "");
    let arn = format!("arn:aws:sqs:us-east-1:000000000000:{}", queue.name());
    let notify = format!(
        "<NotificationConfiguration><QueueConfiguration><Queue>{arn}</Queue><Event>s3:ObjectCreated:*</Event>\
         </QueueConfiguration></NotificationConfiguration>"
    );
    put(&format!("/{bucket}?notification"), &notify);
    put(&format!("/{bucket}/up%20l/a%2Bb%25%C3%BC.mp4"), "hello");

    let mut messages = Vec::new();
    while messages.len() < 2 {
        let hidden = Duration::from_secs(60);
        let received = queue.receive(10, hidden, Duration::from_secs(20)).await.unwrap();
        assert!(
            !received.is_empty(),
            "the store notifies of a test and of an object"
        );
        messages.extend(received.iter().map(|message| JobMessage::parse(&message.body)));
    }
    assert_eq!(
        messages[0],
        Ok(JobMessage::Nothing),
        "a test of the bucket's settings"
    );
    let Ok(JobMessage::Events(events)) = &messages[1] else {
        panic!("{messages:?}");
    };
    let event = &events.created[0];
    assert_eq!(
        (event.bucket.as_str(), event.key.as_str()),
        (bucket.as_str(), "up l/a+b%ü.mp4")
    );
    assert_eq!(
        event.version.etag.as_deref(),
        Some("5d41402abc4b2a76b9719d911017c592")
    );
    assert_eq!(event.size, Some(5));
    assert!(event.sequencer.is_some());
}
