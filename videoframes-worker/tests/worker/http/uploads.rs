//! Uploads that fail leave nothing behind.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sha2::{Digest, Sha256};
use videoframes_core::storage::{LocalStorage, Storage};

use super::client::open;
use crate::place::{Kind, Place, runtime, wait};

/// Returns the keys of finished uploads.
fn uploads(place: &Place) -> Vec<String> {
    let list = async {
        LocalStorage::new(place.objects())
            .list("uploads/", None, 100)
            .await
            .unwrap()
    };
    let listed = runtime().block_on(list);
    listed.iter().map(|entry| entry.key.to_string()).collect()
}

#[test]
fn refused_and_interrupted_uploads_leave_nothing() {
    let place = Place::sqlite();
    let (_worker, client) = open(&place, &[("VF_MAX_INPUT", "1MiB")]);
    let address = client.url.strip_prefix("http://").unwrap().to_owned();
    let post = |path: &str, body: Vec<u8>| client.send(Method::POST, path, body);
    for (path, bytes, status) in [
        (
            "/uploads?name=large.mp4",
            (1 << 20) + 1,
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        ("/uploads?name=empty.mp4", 0, StatusCode::BAD_REQUEST),
        ("/uploads?name=..%2Fx.mp4", 1, StatusCode::BAD_REQUEST),
        ("/uploads?name=a%0Ab.mp4", 1, StatusCode::BAD_REQUEST),
        ("/uploads?name=", 1, StatusCode::BAD_REQUEST),
        ("/uploads", 1, StatusCode::BAD_REQUEST),
    ] {
        let refused = post(path, vec![7; bytes]);
        assert_eq!(refused.status, status, "{path}: {refused:?}");
    }
    // Without a length, the limit is only known during the upload.
    let mut chunked = TcpStream::connect(&address).unwrap();
    let head = "POST /api/v1/uploads?name=chunked.mp4 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    chunked.write_all(head.as_bytes()).unwrap();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..2 {
        // The server may already have refused the upload.
        let _ = chunked
            .write_all(b"100000\r\n")
            .and_then(|()| chunked.write_all(&chunk))
            .and_then(|()| chunked.write_all(b"\r\n"));
    }
    let mut status = [0; 12];
    chunked.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");

    // The client disconnects in the middle.
    let mut cut = TcpStream::connect(&address).unwrap();
    let head =
        "POST /api/v1/uploads?name=cut.mp4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n";
    cut.write_all(head.as_bytes()).unwrap();
    cut.write_all(&chunk[..100_000]).unwrap();
    wait("the upload begins", || place.unfinished() > 0);
    drop(cut);
    wait("the partial upload is removed", || place.unfinished() == 0);

    let other = BASE64_STANDARD.encode(Sha256::digest(b"other"));
    let wrong = client.with("content-digest", &format!("sha-256=:{other}:"));
    let wrong = wrong.send(Method::POST, "/uploads?name=v.mp4", b"these".to_vec());
    assert_eq!(
        (wrong.status, &wrong.json()["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("checksum_mismatch"))
    );
    assert_eq!(uploads(&place), Vec::<String>::new());
    assert_eq!(place.unfinished(), 0);

    let right = BASE64_STANDARD.encode(Sha256::digest(b"these"));
    let right = client.with("content-digest", &format!("sha-256=:{right}:"));
    let right = right.send(Method::POST, "/uploads?name=v.mp4", b"these".to_vec());
    assert_eq!(uploads(&place), [right.json()["source"]["key"].as_str().unwrap()]);
    let presigned = client.post("/uploads/presigned", &json!({"name": "v.mp4", "size": 1}));
    assert_eq!(presigned.status, StatusCode::CONFLICT);
}

#[test]
fn interrupted_uploads_to_a_bucket_are_aborted() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let (_worker, client) = open(&place, &[]);
    let mut cut = TcpStream::connect(client.url.strip_prefix("http://").unwrap()).unwrap();
    let head =
        "POST /api/v1/uploads?name=cut.mp4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n";
    cut.write_all(head.as_bytes()).unwrap();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..20 {
        cut.write_all(&chunk).unwrap();
    }
    wait("the upload begins", || place.unfinished() > 0);
    drop(cut);
    wait("the partial upload is aborted", || place.unfinished() == 0);
}
