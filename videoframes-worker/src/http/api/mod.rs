//! The handlers of the API.

mod cached;
pub(super) mod changes;
pub(super) mod dead_letters;
pub(super) mod events;
mod extract;
mod feed;
pub(super) mod jobs;
mod media;
mod ranges;
pub(super) mod results;
pub(super) mod session;
pub(super) mod statistics;
pub(super) mod submission;
pub(super) mod uploads;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use videoframes_core::access::SeaOrmTokens;
use videoframes_core::database::Database;
use videoframes_core::fleet::SeaOrmFleet;
use videoframes_core::jobs::JobRepo;
use videoframes_core::storage::Stores;
use videoframes_core::tenant::Tenants;

use self::cached::Answers;
use self::feed::JobFeed;
use self::results::Archives;
use super::authenticate::{Authenticator, TokenAuthenticator};
use super::guard::Guard;
use super::problem::Problem;
use super::rate::RateLimit;
use crate::config::{HttpAuth, HttpSettings};
use crate::dlq::DeadLetters;
use crate::objects::Objects;
use crate::queues::Queues;

/// Maximum number of database queries at once: the worker needs the other connections.
const QUERIES: usize = 3;
/// Maximum time that a request waits for its query to start.
const QUERY_WAIT: Duration = Duration::from_secs(10);
/// Maximum number of pictures and manifests in memory at once.
const CONTENTS: usize = 8;
/// Time for which clients share a list.
const LIST_FRESH: Duration = Duration::from_secs(1);
/// Time for which clients share statistics, which cost more.
const STATISTICS_FRESH: Duration = Duration::from_secs(3);
/// Maximum number of uploads at once, each of which buffers parts in memory.
const UPLOADS: usize = 4;

/// The components behind the port.
pub(crate) struct ApiParts {
    pub(crate) repo: Arc<dyn JobRepo>,
    pub(crate) database: Database,
    pub(crate) objects: Objects,
    pub(crate) stores: Stores,
    pub(crate) queues: Queues,
    pub(crate) dead_letters: DeadLetters,
    /// Maximum size of an upload in bytes.
    pub(crate) max_upload: u64,
    /// Maximum time from the start of a job to its end.
    pub(crate) deadline: Duration,
    /// Time without a report after which a worker counts as lost.
    pub(crate) lease: Duration,
    /// Time for which a message of the outbox is reserved.
    pub(crate) relay_hold: Duration,
    /// Weights of tenants.
    pub(crate) tenants: Tenants,
    /// Maximum number of database connections.
    pub(crate) connections: u32,
}

/// The state of the handlers.
pub(crate) struct Api {
    pub(super) authenticator: Authenticator,
    pub(super) guard: Guard,
    pub(super) rate: RateLimit,
    /// Whether all clients connect through a proxy that is trusted.
    pub(super) behind_proxy: bool,
    /// Whether clients connect by TLS.
    is_secure: bool,
    repo: Arc<dyn JobRepo>,
    queries: Arc<Semaphore>,
    uploads: Semaphore,
    /// One operation on many jobs at a time, which may take long.
    bulk: Semaphore,
    /// One run through the outbox at a time.
    relaying: Arc<Semaphore>,
    /// Content that is in memory as a whole.
    contents: Arc<Semaphore>,
    fleet: SeaOrmFleet,
    objects: Objects,
    stores: Stores,
    queues: Queues,
    dead_letters: Arc<Mutex<DeadLetters>>,
    archives: Archives,
    lists: Answers,
    statistics: Answers,
    feed: JobFeed,
    max_upload: u64,
    deadline: Duration,
    lease: Duration,
    relay_hold: Duration,
    tenants: Tenants,
    stop: CancellationToken,
}

impl Api {
    pub(super) fn new(parts: ApiParts, settings: HttpSettings, stop: CancellationToken) -> Self {
        let is_secure = settings.tls.is_some() || settings.behind_proxy;
        let authenticator = match settings.auth {
            HttpAuth::Open => Authenticator::Open,
            HttpAuth::Tokens => {
                let registry = SeaOrmTokens::new(parts.database.clone());
                Authenticator::Tokens(TokenAuthenticator::new(registry, is_secure))
            }
        };
        let connections = usize::try_from(parts.connections).unwrap_or(usize::MAX);
        let queries = Arc::new(Semaphore::new((connections / 2).clamp(1, QUERIES)));
        Self {
            guard: Guard {
                mode: authenticator.mode(),
                hosts: settings.hosts,
            },
            authenticator,
            rate: RateLimit::new(settings.rate),
            behind_proxy: settings.behind_proxy,
            is_secure,
            feed: JobFeed::new(Arc::clone(&parts.repo), Arc::clone(&queries), stop.clone()),
            queries,
            uploads: Semaphore::new(UPLOADS),
            bulk: Semaphore::new(1),
            relaying: Arc::new(Semaphore::new(1)),
            contents: Arc::new(Semaphore::new(CONTENTS)),
            repo: parts.repo,
            fleet: SeaOrmFleet::new(parts.database),
            objects: parts.objects,
            stores: parts.stores,
            queues: parts.queues,
            dead_letters: Arc::new(Mutex::new(parts.dead_letters)),
            archives: Archives::default(),
            lists: Answers::new(LIST_FRESH),
            statistics: Answers::new(STATISTICS_FRESH),
            max_upload: parts.max_upload,
            deadline: parts.deadline,
            lease: parts.lease,
            relay_hold: parts.relay_hold,
            tenants: parts.tenants,
            stop,
        }
    }

    /// Waits for a free query, and returns the repository for this query.
    async fn repo(&self) -> Result<Query<'_>, Problem> {
        match tokio::time::timeout(QUERY_WAIT, self.queries.acquire()).await {
            Ok(Ok(permit)) => Ok(Query {
                repo: self.repo.as_ref(),
                _permit: permit,
            }),
            _ => Err(Problem::unavailable("the database is busy")),
        }
    }
}

/// Runs a change to its end, with its log line, even if the client disconnects meanwhile.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::spawn(change.in_current_span()).await;
    done.map_err(|error| Problem::internal(&error))?
}

/// The repository, for one query at a time.
struct Query<'a> {
    repo: &'a dyn JobRepo,
    _permit: SemaphorePermit<'a>,
}

impl Deref for Query<'_> {
    type Target = dyn JobRepo;

    fn deref(&self) -> &Self::Target {
        self.repo
    }
}
