//! A proxy between a client and its server that injects network faults.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A request to the server, with the properties that tests distinguish.
#[derive(Debug, Clone)]
pub struct ProxiedRequest {
    /// Method, such as `GET`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Everything before the body, in lower case.
    pub head: String,
}

impl ProxiedRequest {
    fn parse(head: &str) -> Self {
        let mut words = head.split(' ');
        Self {
            method: words.next().unwrap_or_default().to_owned(),
            target: words.next().unwrap_or_default().to_owned(),
            head: head.to_ascii_lowercase(),
        }
    }

    fn matches(&self, method: &str, query: &str) -> bool {
        self.method == method && self.target.contains(query)
    }

    /// Returns whether the request sends a part of an S3 upload.
    pub fn is_part(&self) -> bool {
        self.matches("PUT", "partNumber=")
    }

    /// Returns whether the request sends a whole object to S3.
    pub fn is_put(&self) -> bool {
        self.method == "PUT" && !self.is_part()
    }

    /// Returns whether the request starts an S3 upload.
    pub fn starts_upload(&self) -> bool {
        self.matches("POST", "uploads")
    }

    /// Returns whether the request completes an S3 upload.
    pub fn completes_upload(&self) -> bool {
        self.matches("POST", "uploadId=")
    }

    /// Returns whether the request reads a range of an object.
    pub fn is_read(&self) -> bool {
        self.method == "GET" && self.head.contains("\r\nrange:")
    }

    /// Returns whether the request is for this SQS action, such as `SendMessageBatch`.
    pub fn asks(&self, action: &str) -> bool {
        let action = format!("\r\nx-amz-target: amazonsqs.{}\r\n", action.to_ascii_lowercase());
        self.head.contains(&action)
    }
}

/// A fault to inject.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// No fault.
    None,
    /// The request does not reach the server; the response is an error with this status and code.
    Answer(u16, &'static str),
    /// The server processes the request, and the connection is closed without a response.
    LoseAnswer,
    /// The server processes the request, and the response is an error with this status and code.
    DoneBut(u16, &'static str),
    /// The response stops after this number of body bytes, and the connection stays open.
    Stall(usize),
    /// The response and the connection end after this number of body bytes.
    Cut(usize),
    /// One byte of the response body is changed.
    Corrupt,
    /// The server processes the request, and the response is held until [`Proxy::release`].
    Hold,
    /// The request never reaches the server, and there is no response.
    Silence,
}

type Rule = dyn Fn(&ProxiedRequest) -> Fault + Send + Sync;

/// An HTTP proxy on loopback with one request per connection, which runs until it is dropped. Requests and
/// responses are buffered in memory.
#[derive(Debug)]
pub struct Proxy {
    /// Address of the proxy: `http://host:port`.
    pub address: String,
    seen: Arc<Mutex<Vec<ProxiedRequest>>>,
    held: Arc<Semaphore>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy for the server at `server` (`http://host:port`); `rule` selects the fault for every
    /// request.
    ///
    /// # Panics
    /// Panics if no port is free.
    pub async fn start(
        server: &str,
        rule: impl Fn(&ProxiedRequest) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free on loopback");
        let own = listener.local_addr().expect("the listener has an address");
        let address = format!("http://{own}");
        let server = server
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let held = Arc::new(Semaphore::new(0));
        let service = Arc::new(Service {
            server,
            rule: Box::new(rule),
            seen: Arc::clone(&seen),
            held: Arc::clone(&held),
        });
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let service = Arc::clone(&service);
                connections.spawn(async move {
                    // Tests may drop a client at any time.
                    let _ = service.serve(client).await;
                });
            }
        });
        Self {
            address,
            seen,
            held,
            _serving: serving,
        }
    }

    /// Releases held responses.
    pub fn release(&self) {
        self.held.add_permits(Semaphore::MAX_PERMITS);
    }

    /// Forgets the requests so far, which a proxy of a long run would collect without end.
    pub fn forget(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns the number of requests that match `kind`.
    pub fn count(&self, kind: impl Fn(&ProxiedRequest) -> bool) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|request| kind(request)).count()
    }
}

/// The state of a proxy that its connections share.
struct Service {
    /// `host:port` of the server.
    server: String,
    rule: Box<Rule>,
    seen: Arc<Mutex<Vec<ProxiedRequest>>>,
    /// Has no permits while responses are held.
    held: Arc<Semaphore>,
}

impl Service {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let Some((head, mut body)) = read_head(&mut client).await? else {
            return Ok(());
        };
        let request = ProxiedRequest::parse(&head);
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.clone());
        let fault = (self.rule)(&request);
        if request.head.contains("\r\nexpect: 100-continue") {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let length = header(&request.head, "content-length").map_or(0, |value| value.parse().unwrap_or(0));
        let read = body.len();
        body.resize(length, 0);
        client.read_exact(&mut body[read..]).await?;
        match fault {
            Fault::Answer(status, code) => return answer(&mut client, &request, status, code).await,
            Fault::Silence => return until_gone(&mut client).await,
            _ => {}
        }
        let answered = forward(&self.server, &head, &body).await?;
        let end = find(&answered, b"\r\n\r\n").unwrap_or(answered.len() - 4) + 4;
        let (head, content) = answered.split_at(end);
        match fault {
            Fault::LoseAnswer => Ok(()),
            Fault::Hold => {
                drop(self.held.acquire().await);
                client.write_all(&answered).await
            }
            Fault::DoneBut(status, code) => answer(&mut client, &request, status, code).await,
            Fault::Stall(after) => {
                client.write_all(head).await?;
                client.write_all(&content[..after.min(content.len())]).await?;
                until_gone(&mut client).await
            }
            Fault::Cut(after) => {
                client.write_all(head).await?;
                client.write_all(&content[..after.min(content.len())]).await
            }
            Fault::Corrupt => {
                let mut content = content.to_vec();
                if let Some(byte) = content.last_mut() {
                    *byte ^= 1;
                }
                client.write_all(head).await?;
                client.write_all(&content).await
            }
            _ => client.write_all(&answered).await,
        }
    }
}

/// Reads the head of a request, and returns it with the start of the body.
async fn read_head(client: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(at) = find(&bytes, b"\r\n\r\n") {
            let body = bytes.split_off(at + 4);
            return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), body)));
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// Forwards a request with its original host, which is signed.
async fn forward(server: &str, head: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut upstream = TcpStream::connect(server).await?;
    let kept = head.trim_end().split("\r\n").filter(|line| {
        !["expect:", "connection:"]
            .iter()
            .any(|own| line.to_ascii_lowercase().starts_with(own))
    });
    let head = format!(
        "{}\r\nConnection: close\r\n\r\n",
        kept.collect::<Vec<_>>().join("\r\n")
    );
    upstream.write_all(head.as_bytes()).await?;
    upstream.write_all(body).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Sends an error in the format of the server: XML for S3, JSON for SQS.
async fn answer(client: &mut TcpStream, request: &ProxiedRequest, status: u16, code: &str) -> io::Result<()> {
    let json = request
        .head
        .contains("\r\ncontent-type: application/x-amz-json-1.0");
    let (kind, body) = match json {
        true => (
            "application/x-amz-json-1.0",
            format!("{{\"__type\": \"com.amazonaws.sqs#{code}\", \"message\": \"said the proxy\"}}"),
        ),
        false => (
            "application/xml",
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>said the proxy</Message></Error>"
            ),
        ),
    };
    let head = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).await?;
    client.write_all(body.as_bytes()).await
}

async fn until_gone(client: &mut TcpStream) -> io::Result<()> {
    let mut rest = [0; 1024];
    while client.read(&mut rest).await? > 0 {}
    Ok(())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n")
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
