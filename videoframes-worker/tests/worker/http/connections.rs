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
    let idle: Vec<TcpStream> = (0..255).map(|_| connect()).collect();
    place.wait_for(&id, |job| job["status"] == "completed");
    assert_eq!(client.get("/session").status, StatusCode::OK);
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
    assert!(!events.is_empty(), "{events:?}");
    assert!(events.iter().all(|(name, _)| name == "job"), "{events:?}");
}

#[test]
fn a_worker_that_stops_when_idle_closes_its_port() {
    let place = Place::sqlite();
    place.submit(video::short(), &[]);
    place.finish_with(&[("VF_HTTP_LISTEN", "127.0.0.1:0")]);
    place.check(1);
}

#[test]
fn a_change_is_complete_and_logged_although_its_client_disconnects() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    let (worker, client) = open(&place, &[]);
    place.stdout(&["pause"]);
    for _ in 0..30 {
        place.submit(video::short(), &[]);
    }
    let mut stream = TcpStream::connect(client.url.strip_prefix("http://").unwrap()).unwrap();
    let body = r#"{"filter": {}}"#;
    let head = "POST /api/v1/jobs/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    wait("the change begins", || {
        place.jobs().iter().any(|job| job["status"] == "cancelled")
    });
    drop(stream);
    wait("the change is logged", || {
        let log = worker.log();
        log.lines()
            .any(|line| line.contains("HTTP request made a change") && line.contains("30 jobs cancelled"))
    });
    assert!(place.jobs().iter().all(|job| job["status"] == "cancelled"));
}
