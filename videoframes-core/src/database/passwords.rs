//! Renewal of the password of new connections.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::sqlx::PgPool;
use sea_orm::sqlx::postgres::PgConnectOptions;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::{DatabaseCredentials, DatabaseLogin, DatabasePassword};

/// Delay before the next renewal after a failed one.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Minimum delay between renewals, whatever the credentials say.
const MIN_RENEWAL: Duration = Duration::from_millis(100);

/// The current password of one login.
pub(super) struct Passwords {
    credentials: Arc<dyn DatabaseCredentials>,
    login: DatabaseLogin,
    /// Maximum time for one password.
    patience: Duration,
    current: DatabasePassword,
    /// Whether the last renewal failed.
    failing: bool,
}

impl Passwords {
    /// Asks for the first password.
    pub(super) async fn first(
        credentials: Arc<dyn DatabaseCredentials>,
        connect: &PgConnectOptions,
        patience: Duration,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let login = DatabaseLogin::new(connect.get_host(), connect.get_port(), connect.get_username());
        let current = ask(&*credentials, &login, patience).await?;
        Ok(Self {
            credentials,
            login,
            patience,
            current,
            failing: false,
        })
    }

    /// Returns the options with the current password.
    pub(super) fn apply(&self, connect: PgConnectOptions) -> PgConnectOptions {
        connect.password(self.current.secret())
    }

    /// Asks for the password again. Returns whether it differs from the last password. On an error, the last
    /// password stays.
    pub(super) async fn renew(&mut self) -> bool {
        match ask(&*self.credentials, &self.login, self.patience).await {
            Ok(password) => {
                if self.failing {
                    tracing::info!("the database password is available again");
                }
                self.failing = false;
                let changed = password.secret() != self.current.secret();
                self.current = password;
                changed
            }
            Err(error) => {
                // A warning for each failure would fill the log: the next renewal follows soon.
                if !self.failing {
                    let error = &*error as &dyn Error;
                    tracing::warn!(error, "failed to renew database password; using the last one");
                }
                self.failing = true;
                false
            }
        }
    }

    fn renew_in(&self) -> Duration {
        match self.failing {
            true => RETRY_AFTER,
            false => self.current.renew_in().max(MIN_RENEWAL),
        }
    }
}

async fn ask(
    credentials: &dyn DatabaseCredentials,
    login: &DatabaseLogin,
    patience: Duration,
) -> Result<DatabasePassword, Box<dyn Error + Send + Sync>> {
    match timeout(patience, credentials.password(login)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no password within {patience:?}").into()),
    }
}

/// Gives new passwords to the pools of a database.
pub(super) struct Renewer {
    passwords: Mutex<Passwords>,
    pools: [PgPool; 2],
    /// Number of changes of the password.
    changes: AtomicU64,
}

impl Renewer {
    pub(super) fn new(passwords: Passwords, pools: [PgPool; 2]) -> Self {
        Self {
            passwords: Mutex::new(passwords),
            pools,
            changes: AtomicU64::new(0),
        }
    }

    /// Renews the password whenever it is due.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let pause = self.passwords.lock().await.renew_in();
            sleep(pause).await;
            self.renew(&mut *self.passwords.lock().await).await;
        }
    }

    /// Returns the number of changes so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Renews a password that the server refused, unless it has changed since `changes`. Returns whether the next
    /// connection uses another password than the refused one.
    pub(super) async fn refused(&self, changes: u64) -> bool {
        let mut passwords = self.passwords.lock().await;
        if self.changes() == changes {
            self.renew(&mut passwords).await;
        }
        self.changes() != changes
    }

    async fn renew(&self, passwords: &mut Passwords) {
        if !passwords.renew().await {
            return;
        }
        for pool in &self.pools {
            pool.set_connect_options(passwords.apply(PgConnectOptions::clone(&pool.connect_options())));
        }
        self.changes.fetch_add(1, Ordering::SeqCst);
        tracing::info!("new database connections use the renewed password");
    }
}
