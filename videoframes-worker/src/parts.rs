//! From configuration to the things that work.

use std::sync::Arc;

use videoframes_core::database::migration::MigrationError;
use videoframes_core::database::{Database, DatabaseOptions};
use videoframes_core::jobs::SeaOrmJobRepo;
use videoframes_core::queue::DatabaseQueue;
use videoframes_core::storage::LocalStorage;

use crate::config::Config;
use crate::exit::{self, Failure};

/// Name of the queue of dead letters.
const DEAD_LETTERS: &str = "dead-letters";

/// What every command works with.
pub(crate) struct Place {
    pub(crate) database: Database,
    pub(crate) repo: Arc<SeaOrmJobRepo>,
    pub(crate) storage: Arc<LocalStorage>,
    pub(crate) input: Arc<DatabaseQueue>,
    pub(crate) notifier: Arc<DatabaseQueue>,
    pub(crate) dead_letters: DatabaseQueue,
}

/// Connects to what a command looks at, if it is there. Looking makes nothing.
pub(crate) async fn open_existing(config: &Config) -> Result<Option<Place>, Failure> {
    if let Some(path) = config.database_url.strip_prefix("sqlite:")
        && !std::path::Path::new(path.trim_start_matches("//")).exists()
    {
        eprintln!("nothing was ever submitted here: '{path}' does not exist");
        return Ok(None);
    }
    open(config).await.map(Some)
}

/// Connects, and brings the tables up where that is wanted.
pub(crate) async fn open(config: &Config) -> Result<Place, Failure> {
    let database = connect(config).await?;
    let ready = match config.migrate {
        true => database.migrate().await,
        false => database.check_schema().await,
    };
    ready.map_err(|error| schema(&error))?;
    let queue = |name: &str| DatabaseQueue::new(database.clone(), name);
    let input = queue(&config.input_queue).with_dead_letters(DEAD_LETTERS, config.max_receives);
    Ok(Place {
        repo: Arc::new(SeaOrmJobRepo::new(database.clone())),
        storage: Arc::new(LocalStorage::new(&config.objects)),
        input: Arc::new(input),
        notifier: Arc::new(queue(&config.notifier_queue)),
        dead_letters: queue(DEAD_LETTERS),
        database,
    })
}

/// The database alone.
pub(crate) async fn connect(config: &Config) -> Result<Database, Failure> {
    if let Some(path) = config.database_url.strip_prefix("sqlite:")
        && let Some(folder) = std::path::Path::new(path.trim_start_matches("//")).parent()
        && !folder.as_os_str().is_empty()
    {
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::new(
                exit::UNAVAILABLE,
                format!("the folder '{}' cannot be made: {error}", folder.display()),
            )
        })?;
    }
    let options = DatabaseOptions {
        connections: config.connections,
        ..DatabaseOptions::default()
    };
    let connected = Database::connect(&config.database_url, &options).await;
    connected.map_err(|error| Failure::because(exit::UNAVAILABLE, &error))
}

/// What is wrong with the schema, and what to do about it.
pub(crate) fn schema(error: &MigrationError) -> Failure {
    match error {
        MigrationError::SchemaNewer { .. } => Failure::because(exit::SCHEMA, error)
            .hint("use the version of vf-worker that made it, or a newer one"),
        MigrationError::SchemaOlder { .. } => {
            Failure::because(exit::SCHEMA, error).hint("run 'vf-worker migrate up', or set VF_MIGRATE=on")
        }
        MigrationError::Database { .. } => Failure::because(exit::UNAVAILABLE, error),
    }
}
