//! Videos from HTTP servers that conform to the protocol and servers that do not.
#![allow(clippy::unwrap_used)]

mod server;

use std::time::Duration;

use videoframes_core::limits::Limits;
use videoframes_core::source::Source;
use videoframes_core::source::http::{Addresses, HttpError, HttpSource};
use videoframes_core::testing::source_conformance;

use self::server::{Answer, Request, Server};

fn limits() -> Limits {
    Limits::default().stall(Duration::from_secs(20))
}

async fn open(server: &Server) -> Result<HttpSource, HttpError> {
    HttpSource::open(
        &server.url("video.mp4").parse().unwrap(),
        Addresses::Any,
        &limits(),
    )
    .await
}

/// Returns bytes that differ from their neighbours.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

#[tokio::test]
async fn servers_with_and_without_ranges_conform() {
    for content in [Vec::new(), b"0123456789".to_vec(), content(200_000)] {
        let copy = content.clone();
        let ranged = Server::start(move |request| Answer::ranged(&copy, request));
        source_conformance(&open(&ranged).await.unwrap(), &content).await;
        let copy = content.clone();
        let whole = Server::start(move |_| Answer::whole(&copy));
        source_conformance(&open(&whole).await.unwrap(), &content).await;
    }
}

#[tokio::test]
async fn transfers_only_requested_ranges() {
    let all = content(4 << 20);
    let copy = all.clone();
    let server = Server::start(move |request| Answer::ranged(&copy, request));
    let source = open(&server).await.unwrap();
    assert_eq!((source.name(), source.len()), ("video.mp4", 4 << 20));
    assert!(source.local_path().is_none());
    assert_eq!(source.read_at(10, 100).await.unwrap(), all[10..110]);
    assert_eq!(source.transferred(), 64 << 10);
    assert_eq!(
        source.read_at(3 << 20, 1000).await.unwrap(),
        all[3 << 20..][..1000]
    );
    assert_eq!(source.transferred(), (64 << 10) + 1000);
}

#[tokio::test]
async fn a_video_without_ranges_is_copied_once_and_the_copy_is_removed() {
    let all = content(300_000);
    let copy = all.clone();
    let server = Server::start(move |request| {
        assert_eq!(request.before, 0, "one request is enough");
        // Without a length, up to the end of the connection.
        Answer {
            body: copy.clone(),
            ..Answer::new("200 OK")
        }
    });
    let source = open(&server).await.unwrap();
    let path = source.local_path().unwrap().to_owned();
    assert_eq!(std::fs::read(&path).unwrap(), all);
    assert_eq!(source.transferred(), 300_000);
    drop(source);
    assert!(!path.exists());
}

#[tokio::test]
async fn follows_redirects_and_resolves_expired_targets_again() {
    let all = content(200_000);
    let copy = all.clone();
    let server = Server::start(move |request| match request.path.as_str() {
        "/video.mp4" => Answer::redirect(format!("/lent?until={}", request.before + 2)),
        path => {
            let until: usize = path.rsplit('=').next().unwrap().parse().unwrap();
            if request.before > until {
                return Answer::new("403 Forbidden").header("Content-Length", 0);
            }
            Answer::ranged(&copy, request)
        }
    });
    let source = open(&server).await.unwrap();
    for at in [70_000, 90_000, 110_000, 130_000] {
        assert_eq!(source.read_at(at, 100).await.unwrap(), all[at as usize..][..100]);
    }
    assert_eq!(
        source.name(),
        "video.mp4",
        "the name is that of the requested URL"
    );
}

#[tokio::test]
async fn a_failed_read_is_retried() {
    let all = content(200_000);
    let copy = all.clone();
    let server = Server::start(move |request| {
        let answer = Answer::ranged(&copy, request);
        match request.before {
            // At the first byte and later.
            0 => Answer::new("503 Service Unavailable").header("Content-Length", 0),
            2 => Answer {
                body: answer.body[..10].to_vec(),
                ..answer
            },
            _ => answer,
        }
    });
    let source = open(&server).await.unwrap();
    assert_eq!(source.read_at(100_000, 500).await.unwrap(), all[100_000..100_500]);
}

#[tokio::test]
async fn hostile_responses_to_the_first_request_are_errors() {
    type Lie = fn(&Request) -> Answer;
    let lies: [(&str, Lie); 13] = [
        ("404 Not Found", |_| {
            Answer::new("404 Not Found").header("Content-Length", 0)
        }),
        ("more than 5 redirects", |_| Answer::redirect("/again")),
        ("'file'", |_| Answer::redirect("file:///etc/passwd")),
        ("empty host", |_| Answer::redirect("http://")),
        ("redirect without a location", |_| {
            Answer::new("301 Moved").header("Content-Length", 0)
        }),
        ("Content-Range", |r| {
            let mut answer = Answer::ranged(&[7; 99], r);
            answer.headers.retain(|(name, _)| *name != "Content-Range");
            answer
        }),
        ("Content-Range", |r| {
            Answer::ranged(&[7; 99], r).header("Content-Range", "bytes 0-98/*")
        }),
        ("range differs", |r| {
            Answer::ranged(&[7; 99], r).header("Content-Range", "bytes 1-99/100")
        }),
        ("range differs", |r| {
            Answer::ranged(&[7; 99], r).header("Content-Range", "bytes 0-9/99")
        }),
        ("longer than announced", |r| {
            Answer::ranged(&[7; 99], r).header("Content-Range", "bytes 0-89/90")
        }),
        ("larger than the limit", |r| {
            Answer::ranged(&[7; 99], r).header("Content-Range", format!("bytes 0-65535/{}", u64::MAX))
        }),
        ("larger than the limit", |_| {
            Answer::new("200 OK").header("Content-Length", u64::MAX / 2)
        }),
        ("content encoding", |r| {
            Answer::ranged(&[7; 99], r).header("Content-Encoding", "gzip")
        }),
    ];
    for (why, lie) in lies {
        let error = open(&Server::start(lie))
            .await
            .map(|_| ())
            .expect_err(why)
            .to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[tokio::test]
async fn an_endless_response_ends_at_the_limit() {
    let server = Server::start(|_| Answer {
        body: vec![1; 3 << 20],
        hang: true,
        ..Answer::new("200 OK")
    });
    let limits = limits().input_bytes(1 << 20);
    let error = HttpSource::open(&server.url("x").parse().unwrap(), Addresses::Any, &limits)
        .await
        .err();
    assert!(matches!(error, Some(HttpError::TooLarge(_))), "{error:?}");
}

#[tokio::test]
async fn a_video_that_changes_is_an_error() {
    type Change = fn(&[u8], &Request) -> Answer;
    let changes: [Change; 5] = [
        // Servers without ETags mostly send at least a modification time.
        |all, request| Answer::ranged(all, request).header("Last-Modified", "Tue, 24 Nov 2026 08:00:00 GMT"),
        |all, request| Answer::ranged(all, request).header("ETag", "\"two\""),
        |all, request| Answer::ranged(&[all, all].concat(), request),
        |all, request| Answer::ranged(&all[..70_000], request),
        |all, _| Answer::whole(all),
    ];
    for change in changes {
        let server = Server::start(move |request| {
            let all = content(200_000);
            if request.before == 0 {
                Answer::ranged(&all, request)
            } else {
                change(&all, request)
            }
        });
        let source = open(&server).await.unwrap();
        source.read_at(100_000, 10).await.expect_err("another video");
    }
}

#[tokio::test]
async fn an_error_page_may_be_compressed() {
    let server = Server::start(|request| match request.before {
        0 => Answer::new("503 Service Unavailable")
            .header("Content-Encoding", "gzip")
            .header("Content-Length", 0),
        _ => Answer::ranged(&[7; 99], request),
    });
    assert_eq!(open(&server).await.unwrap().len(), 99);
}

#[tokio::test]
async fn a_slow_server_times_out() {
    let dripping = Server::start(|_| Answer {
        body: vec![1; 40_000],
        drip: Some(Duration::from_millis(1)),
        ..Answer::new("200 OK")
    });
    let patience = limits().stall(Duration::from_millis(300));
    let url = dripping.url("x").parse().unwrap();
    let error = HttpSource::open(&url, Addresses::Any, &patience).await.err();
    assert!(matches!(error, Some(HttpError::TooSlow)), "{error:?}");
    let hurry = limits().wall_time(Duration::from_millis(300));
    let error = HttpSource::open(&url, Addresses::Any, &hurry).await.err();
    assert!(matches!(error, Some(HttpError::TimeLimit)), "{error:?}");
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let patience = limits().stall(Duration::from_millis(200));
    // Before the header, before the body, and within the body.
    let open = |server: &Server| {
        let url = server.url("x").parse().unwrap();
        async move {
            HttpSource::open(&url, Addresses::Any, &patience)
                .await
                .map(|_| ())
        }
    };
    let silent = Server::start(|_| {
        loop {
            std::thread::park();
        }
    });
    assert!(matches!(open(&silent).await, Err(HttpError::TooSlow)));
    for bytes in [0, 10] {
        let server = Server::start(move |request| {
            let answer = Answer::ranged(&[1; 99], request);
            Answer {
                body: vec![1; bytes],
                hang: true,
                ..answer
            }
        });
        assert!(matches!(open(&server).await, Err(HttpError::TooSlow)), "{bytes}");
    }
}
