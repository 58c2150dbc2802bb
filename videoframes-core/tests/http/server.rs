//! A small HTTP server on the loopback interface, with correct or faulty responses.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A request.
pub struct Request {
    /// Path with query.
    pub path: String,
    /// First byte and end of the requested range.
    pub range: Option<Range<usize>>,
    /// Number of previous requests.
    pub before: usize,
}

/// A response.
#[derive(Clone)]
pub struct Answer {
    pub status: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Keeps the connection open without sending another byte.
    pub hang: bool,
    /// Sends one byte at a time with this interval.
    pub drip: Option<Duration>,
}

impl Answer {
    pub fn new(status: &'static str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            hang: false,
            drip: None,
        }
    }

    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_string()));
        self
    }

    pub fn redirect(to: impl ToString) -> Self {
        Self::new("302 Found")
            .header("Location", to)
            .header("Content-Length", 0)
    }

    /// Returns all of `content` regardless of the requested range.
    pub fn whole(content: &[u8]) -> Self {
        let answer = Self::new("200 OK").header("Content-Length", content.len());
        Self {
            body: content.to_vec(),
            ..answer
        }
    }

    /// Returns the requested range of `content`.
    pub fn ranged(content: &[u8], request: &Request) -> Self {
        let Some(range) = &request.range else {
            return Self::whole(content);
        };
        if range.start >= content.len() {
            return Self::new("416 Range Not Satisfiable")
                .header("Content-Range", format!("bytes */{}", content.len()))
                .header("Content-Length", 0);
        }
        let range = range.start..range.end.min(content.len());
        let answer = Self::new("206 Partial Content")
            .header("ETag", "\"one\"")
            .header("Content-Length", range.len())
            .header(
                "Content-Range",
                format!("bytes {}-{}/{}", range.start, range.end - 1, content.len()),
            );
        Self {
            body: content[range].to_vec(),
            ..answer
        }
    }
}

/// A server that runs until the end of the test.
pub struct Server(SocketAddr);

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let count = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
                // A client that closes the connection is not an error of the test.
                std::thread::spawn(move || serve(&stream, answer.as_ref(), &count));
            }
        });
        Self(address)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.0)
    }
}

fn serve(stream: &TcpStream, answer: &dyn Fn(&Request) -> Answer, count: &AtomicUsize) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let range = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("range: bytes=")
            .map(str::to_owned)
    });
    let range = range.map(|text| {
        let (first, last) = text.split_once('-').unwrap();
        first.parse().unwrap()..last.parse::<usize>().unwrap() + 1
    });
    let before = count.fetch_add(1, Ordering::SeqCst);
    let answer = answer(&Request { path, range, before });
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut out = stream;
    out.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    match answer.drip {
        None => out.write_all(&answer.body).ok()?,
        Some(pause) => {
            for byte in &answer.body {
                out.write_all(&[*byte]).ok()?;
                std::thread::sleep(pause);
            }
        }
    }
    if answer.hang {
        loop {
            std::thread::park();
        }
    }
    Some(())
}
