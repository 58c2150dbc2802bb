//! A TCP proxy between a client and its server, whose condition changes while it runs.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Size of the buffer of each direction.
const CHUNK: usize = 16 << 10;

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// `host:port`.
    Tcp(String),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

/// The condition of a [`Link`]. A change applies to existing connections at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Bytes pass unchanged.
    Open,
    /// Existing connections are closed, and new connections are closed at once.
    Cut,
    /// Every chunk is delayed.
    Slow(Duration),
    /// No byte passes until the condition changes.
    Stalled,
    /// Bytes of both directions are discarded. An affected connection never recovers.
    HalfOpen,
    /// Responses are replaced by bytes that no protocol permits, and the connection is closed.
    Garbage,
    /// The server receives the first request with this text, and the connection is closed without the response.
    LoseAnswerTo(&'static [u8]),
}

#[derive(Debug, Clone)]
struct State {
    upstream: Upstream,
    condition: Condition,
}

/// A TCP proxy on loopback for any protocol, which runs until it is dropped. Unlike [`Proxy`](super::Proxy), a link
/// does not parse requests.
#[derive(Debug)]
pub struct Link {
    /// Address of the proxy.
    pub address: SocketAddr,
    state: watch::Sender<State>,
    hits: Arc<AtomicU64>,
    _serving: JoinSet<()>,
}

impl Link {
    /// Starts a link in the condition [`Condition::Open`].
    ///
    /// # Errors
    /// Fails if no port is free.
    pub async fn start(upstream: Upstream) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let condition = Condition::Open;
        let (state, watched) = watch::channel(State { upstream, condition });
        let hits = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&hits);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let connection = Connection {
                    state: watched.clone(),
                    hits: Arc::clone(&counted),
                };
                connections.spawn(async move {
                    // Clients and servers may close connections at any time.
                    let _ = connection.serve(client).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            address,
            state,
            hits,
            _serving: serving,
        })
    }

    /// Changes the condition.
    pub fn set(&self, condition: Condition) {
        self.state.send_modify(|state| state.condition = condition);
    }

    /// Sends later connections to another server, and closes existing connections.
    pub fn retarget(&self, upstream: Upstream) {
        self.state.send_modify(|state| state.upstream = upstream);
    }

    /// Returns how often a connection was affected by another condition than [`Condition::Open`].
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
}

/// One connection of a link.
struct Connection {
    state: watch::Receiver<State>,
    hits: Arc<AtomicU64>,
}

impl Connection {
    async fn serve(mut self, client: TcpStream) -> io::Result<()> {
        let state = self.state.borrow_and_update().clone();
        if state.condition == Condition::Cut {
            self.hit();
            return Ok(());
        }
        match &state.upstream {
            Upstream::Tcp(address) => self.join(client, TcpStream::connect(address).await?).await,
            Upstream::Unix(path) => self.join(client, UnixStream::connect(path).await?).await,
        }
    }

    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    async fn join(
        self,
        client: TcpStream,
        server: impl AsyncRead + AsyncWrite + Unpin + Send,
    ) -> io::Result<()> {
        let upstream = self.state.borrow().upstream.clone();
        client.set_nodelay(true)?;
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let (mut from_server, mut to_server) = tokio::io::split(server);
        // Set by the request whose response is lost.
        let lost = AtomicU64::new(0);
        tokio::select! {
            ended = self.requests(&mut from_client, &mut to_server, &lost) => ended,
            ended = self.responses(&mut from_server, &mut to_client, &lost) => ended,
            () = self.closed(&upstream) => Ok(()),
        }
    }

    /// Returns once the condition or the server requires that the connection is closed.
    async fn closed(&self, upstream: &Upstream) {
        let mut state = self.state.clone();
        let ended = state.wait_for(|state| state.condition == Condition::Cut || state.upstream != *upstream);
        let _ = ended.await;
        self.hit();
    }

    async fn requests(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        lost: &AtomicU64,
    ) -> io::Result<()> {
        let mut dead = false;
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            let condition = self.passable().await;
            dead |= condition == Condition::HalfOpen;
            if let Condition::LoseAnswerTo(text) = condition
                && buffer[..read].windows(text.len()).any(|window| window == text)
            {
                self.hit();
                lost.store(1, Ordering::SeqCst);
            }
            if !dead {
                to.write_all(&buffer[..read]).await?;
            }
        }
    }

    async fn responses(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        lost: &AtomicU64,
    ) -> io::Result<()> {
        let mut dead = false;
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                // A connection without any byte must look alive to its client.
                if dead {
                    std::future::pending::<()>().await;
                }
                return Ok(());
            }
            if lost.load(Ordering::SeqCst) > 0 {
                return Ok(());
            }
            let condition = self.passable().await;
            dead |= condition == Condition::HalfOpen;
            if condition == Condition::Garbage {
                buffer[..read].fill(0xFF);
                to.write_all(&buffer[..read]).await?;
                return Ok(());
            }
            if !dead {
                to.write_all(&buffer[..read]).await?;
            }
        }
    }

    /// Waits until a chunk may pass, and returns the condition that applies to the chunk.
    async fn passable(&self) -> Condition {
        let mut state = self.state.clone();
        let condition = state.borrow().condition;
        match condition {
            Condition::Open | Condition::LoseAnswerTo(_) => return condition,
            Condition::Slow(delay) => tokio::time::sleep(delay).await,
            _ => {}
        }
        self.hit();
        match state
            .wait_for(|state| state.condition != Condition::Stalled)
            .await
        {
            Ok(state) => state.condition,
            Err(_) => Condition::Cut,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Starts a server that answers each byte with the next one.
    async fn server() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(byte) = client.read_u8().await {
                        client.write_u8(byte + 1).await.unwrap();
                    }
                });
            }
        });
        Upstream::Tcp(address)
    }

    async fn ask(client: &mut TcpStream, byte: u8) -> io::Result<u8> {
        client.write_u8(byte).await?;
        let answer = tokio::time::timeout(Duration::from_millis(200), client.read_u8());
        answer.await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    #[tokio::test]
    async fn a_condition_applies_to_existing_connections_at_once() {
        let link = Link::start(server().await).await.unwrap();
        let connect = || TcpStream::connect(link.address);
        let failed = |answer: io::Result<u8>| answer.unwrap_err().kind();

        let mut client = connect().await.unwrap();
        assert_eq!(ask(&mut client, 1).await.unwrap(), 2);
        assert_eq!(link.hits(), 0);
        link.set(Condition::Stalled);
        assert_eq!(failed(ask(&mut client, 2).await), io::ErrorKind::TimedOut);
        link.set(Condition::Open);
        assert_eq!(client.read_u8().await.unwrap(), 3, "a stall ends");
        link.set(Condition::HalfOpen);
        assert_eq!(failed(ask(&mut client, 3).await), io::ErrorKind::TimedOut);
        link.set(Condition::Open);
        assert_eq!(
            failed(ask(&mut client, 4).await),
            io::ErrorKind::TimedOut,
            "a half-open connection stays dead"
        );

        let mut client = connect().await.unwrap();
        link.set(Condition::LoseAnswerTo(&[7]));
        assert_eq!(ask(&mut client, 6).await.unwrap(), 7);
        assert_eq!(failed(ask(&mut client, 7).await), io::ErrorKind::UnexpectedEof);

        let mut client = connect().await.unwrap();
        link.set(Condition::Garbage);
        assert_eq!(ask(&mut client, 1).await.unwrap(), 0xFF);
        link.set(Condition::Open);

        let mut client = connect().await.unwrap();
        assert_eq!(ask(&mut client, 1).await.unwrap(), 2);
        let hits = link.hits();
        link.set(Condition::Cut);
        assert_eq!(
            client.read_u8().await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert!(link.hits() > hits);
        link.set(Condition::Open);
        let mut client = connect().await.unwrap();
        assert_eq!(ask(&mut client, 1).await.unwrap(), 2);
        link.retarget(server().await);
        assert_eq!(
            client.read_u8().await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
