//! Many, idle and slow connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::{Method, StatusCode};

use super::client::open;
use crate::place::{Place, wait};
use crate::video;

#[test]
fn idle_connections_block_neither_jobs_nor_other_clients() {
    let place = Place::sqlite();
    let id = place.submit(video::short(), &[]);
    let (_worker, client) = open(&place, &[]);
    let address = client.url.strip_prefix("http://").unwrap().to_owned();
    let connect = || {
        let mut stream = TcpStream::connect(&address).unwrap();
        // The head of a request never ends.
        stream
            .write_all(b"GET /api/v1/jobs HTTP/1.1\r\nHost: loc")
            .unwrap();
        stream
    };
    let mut idle: Vec<TcpStream> = (0..255).map(|_| connect()).collect();
    place.wait_for(&id, |job| job["status"] == "completed");
    assert_eq!(client.get("/session").status, StatusCode::OK);
    // The last connections exceed the limit of an address.
    idle.extend((0..10).map(|_| connect()));
    let mut last = idle.pop().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut byte = [0];
    assert!(
        !matches!(last.read(&mut byte), Ok(1..)),
        "the connection is closed"
    );
    drop(idle);
    wait("the port answers again", || {
        TcpStream::connect(&address).is_ok_and(|mut stream| {
            let request = b"GET /api/v1/session HTTP/1.0\r\nHost: localhost\r\n\r\n";
            let mut answer = String::new();
            stream
                .write_all(request)
                .and_then(|()| stream.read_to_string(&mut answer))
                .is_ok()
                && answer.contains(" 200 ")
        })
    });
}

#[test]
fn a_client_is_limited_in_its_requests_per_second() {
    let place = Place::sqlite();
    let (_worker, client) = open(&place, &[("VF_HTTP_RATE", "2")]);
    let mut answers = (0..100).map(|_| client.send(Method::GET, "/session", Vec::new()));
    let refused = answers.find(|answer| answer.status != StatusCode::OK).unwrap();
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (StatusCode::TOO_MANY_REQUESTS, "1")
    );
}

#[test]
fn a_stopped_worker_ends_its_connections() {
    let place = Place::sqlite();
    let (mut worker, client) = open(&place, &[]);
    place.stdout(&["pause"]);
    let id = place.submit(video::short(), &[]);
    let follower = {
        let (client, id) = (client.clone(), id.clone());
        std::thread::spawn(move || client.events(&id))
    };
    let opened = std::time::Instant::now();
    wait("the follower is connected", || {
        opened.elapsed() > Duration::from_millis(500)
    });
    worker.signal("TERM");
    assert!(worker.wait().success());
    let events = follower.join().unwrap();
    assert!(events.iter().all(|(name, _)| name == "job"), "{events:?}");
}
