//! The network between workers and servers: each worker has its own link to each dependency.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use videoframes_core::testing::{Condition, Link, Proxy, Upstream};

use super::Servers;
use super::http_faults::HttpFaults;
use crate::injection::Dependency;

/// The links of one worker.
#[derive(Debug)]
pub(crate) struct Links {
    database: Link,
    store: Link,
    queue: Link,
}

impl Links {
    pub(crate) fn to(&self, dependency: Dependency) -> &Link {
        match dependency {
            Dependency::Database => &self.database,
            Dependency::Store => &self.store,
            Dependency::Queue => &self.queue,
        }
    }
}

/// All links and proxies.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) faults: Arc<HttpFaults>,
    store: Proxy,
    queue: Proxy,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    database: Upstream,
    /// Conditions of all links, by dependency.
    conditions: [Condition; 3],
    links: Vec<Weak<Links>>,
}

impl Network {
    pub(crate) async fn start(servers: &Servers) -> Self {
        let faults = Arc::new(HttpFaults::default());
        let proxy = async |server: &str| {
            let faults = Arc::clone(&faults);
            Proxy::start(server, move |request| faults.fault(request)).await
        };
        Self {
            store: proxy(&servers.cloud.s3_address).await,
            queue: proxy(&servers.cloud.sqs_address).await,
            faults: Arc::clone(&faults),
            state: Mutex::new(State {
                database: servers.postgres.upstream(),
                conditions: [Condition::Open; 3],
                links: Vec::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the links of a new worker.
    pub(crate) async fn links(&self) -> anyhow::Result<Arc<Links>> {
        let database = self.state().database.clone();
        let http = |proxy: &Proxy| Upstream::Tcp(proxy.address.trim_start_matches("http://").to_owned());
        let links = Arc::new(Links {
            database: Link::start(database).await?,
            store: Link::start(http(&self.store)).await?,
            queue: Link::start(http(&self.queue)).await?,
        });
        let mut state = self.state();
        // The server may have changed meanwhile.
        links.database.retarget(state.database.clone());
        for dependency in Dependency::ALL {
            links.to(dependency).set(state.conditions[dependency as usize]);
        }
        state.links.retain(|links| links.strong_count() > 0);
        state.links.push(Arc::downgrade(&links));
        Ok(links)
    }

    fn each(&self, apply: impl Fn(&Links)) {
        let links: Vec<_> = self.state().links.iter().filter_map(Weak::upgrade).collect();
        links.iter().for_each(|links| apply(links));
    }

    /// Sets the condition of all links to a dependency.
    pub(crate) fn set_all(&self, dependency: Dependency, condition: Condition) {
        self.state().conditions[dependency as usize] = condition;
        self.each(|links| links.to(dependency).set(condition));
    }

    /// Returns how often the links of running workers to a dependency were affected by their conditions, by port.
    fn hits(&self, dependency: Dependency) -> BTreeMap<u16, u64> {
        let hits = RefCell::new(BTreeMap::new());
        self.each(|links| {
            let link = links.to(dependency);
            hits.borrow_mut().insert(link.address.port(), link.hits());
        });
        hits.into_inner()
    }

    /// Starts to count how often links to a dependency are affected. Links of workers that end meanwhile are not counted.
    pub(crate) fn count(&self, dependency: Dependency) -> impl Fn() -> u64 {
        let before = self.hits(dependency);
        move || {
            let now = self.hits(dependency).into_iter();
            now.map(|(port, hits)| hits - before.get(&port).copied().unwrap_or_default())
                .sum()
        }
    }

    /// Closes all connections, since half-open connections never recover, and opens all links.
    pub(crate) async fn heal(&self) {
        for dependency in Dependency::ALL {
            self.set_all(dependency, Condition::Cut);
        }
        // Every connection sees the cut.
        tokio::time::sleep(Duration::from_millis(200)).await;
        for dependency in Dependency::ALL {
            self.set_all(dependency, Condition::Open);
        }
    }

    /// Sends connections to another database server.
    pub(crate) fn retarget_database(&self, upstream: Upstream) {
        self.state().database = upstream.clone();
        self.each(|links| links.database.retarget(upstream.clone()));
    }

    /// Forgets recorded requests.
    pub(crate) fn forget(&self) {
        self.store.forget();
        self.queue.forget();
    }
}
