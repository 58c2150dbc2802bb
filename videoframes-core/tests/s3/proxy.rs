//! A proxy between client and store that does what goes wrong on the way. One request per connection.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What the store is asked, as far as tests tell requests apart.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: String,
}

impl Request {
    fn parse(head: &str) -> Self {
        let mut words = head.split(' ');
        Self {
            method: words.next().unwrap_or_default().to_owned(),
            target: words.next().unwrap_or_default().to_owned(),
            head: head.to_ascii_lowercase(),
        }
    }

    fn is(&self, method: &str, query: &str) -> bool {
        self.method == method && self.target.contains(query)
    }

    pub(crate) fn is_part(&self) -> bool {
        self.is("PUT", "partNumber=")
    }

    pub(crate) fn is_put(&self) -> bool {
        self.method == "PUT" && !self.is_part()
    }

    pub(crate) fn starts_upload(&self) -> bool {
        self.is("POST", "uploads")
    }

    pub(crate) fn completes_upload(&self) -> bool {
        self.is("POST", "uploadId=")
    }

    pub(crate) fn is_read(&self) -> bool {
        self.method == "GET" && self.head.contains("\r\nrange:")
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It does not reach the store; this is the answer.
    Answer(u16, &'static str),
    /// It is done, and the connection ends without an answer.
    LoseAnswer,
    /// It is done, and this is the answer.
    DoneBut(u16, &'static str),
    /// The answer stops after so many bytes of its body, and the connection stays.
    Stall(usize),
    /// The answer and the connection end after so many bytes of its body.
    Cut(usize),
    /// A byte of the answer's body is another.
    Corrupt,
    /// It is done, and the answer waits until [`Proxy::release`].
    Hold,
    /// It never reaches the store, and nobody answers.
    Silence,
}

type Rule = dyn Fn(&Request) -> Fault + Send + Sync;

pub(crate) struct Proxy {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Request>>>,
    held: Arc<Semaphore>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Between anyone and the store at `store` (`http://host:port`).
    pub(crate) async fn start(store: &str, rule: impl Fn(&Request) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let store = store
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (rule, log): (Arc<Rule>, _) = (Arc::new(rule), Arc::clone(&seen));
        let held = Arc::new(Semaphore::new(0));
        let hold = Arc::clone(&held);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (store, rule, log) = (store.clone(), Arc::clone(&rule), Arc::clone(&log));
                let hold = Arc::clone(&hold);
                connections.spawn(async move {
                    // A client that goes away is part of the game.
                    let _ = serve(client, &store, &*rule, &log, &hold).await;
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

    /// Lets answers go that were held.
    pub(crate) fn release(&self) {
        self.held.add_permits(Semaphore::MAX_PERMITS);
    }

    /// How many requests there were of a kind.
    pub(crate) fn count(&self, kind: impl Fn(&Request) -> bool) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|request| kind(request)).count()
    }
}

async fn serve(
    mut client: TcpStream,
    store: &str,
    rule: &Rule,
    log: &Mutex<Vec<Request>>,
    hold: &Semaphore,
) -> io::Result<()> {
    let Some((head, mut body)) = read_head(&mut client).await? else {
        return Ok(());
    };
    let request = Request::parse(&head);
    log.lock().unwrap().push(request.clone());
    let fault = rule(&request);
    if request.head.contains("\r\nexpect: 100-continue") {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let length = header(&request.head, "content-length").map_or(0, |value| value.parse().unwrap());
    let read = body.len();
    body.resize(length, 0);
    client.read_exact(&mut body[read..]).await?;
    match fault {
        Fault::Answer(status, code) => return answer(&mut client, status, code).await,
        Fault::Silence => return until_gone(&mut client).await,
        _ => {}
    }
    let answered = forward(store, &head, &body).await?;
    let end = find(&answered, b"\r\n\r\n").unwrap_or(answered.len() - 4) + 4;
    let (head, content) = answered.split_at(end);
    match fault {
        Fault::LoseAnswer => Ok(()),
        Fault::Hold => {
            drop(hold.acquire().await);
            client.write_all(&answered).await
        }
        Fault::DoneBut(status, code) => answer(&mut client, status, code).await,
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

/// The head of a request, and what came behind it.
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

/// Asks the store, with the host that was signed.
async fn forward(store: &str, head: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut upstream = TcpStream::connect(store).await?;
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

async fn answer(client: &mut TcpStream, status: u16, code: &str) -> io::Result<()> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>said the proxy</Message></Error>"
    );
    let head = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
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
