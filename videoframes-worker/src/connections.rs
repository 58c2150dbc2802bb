//! Connections to database, store and queues, from the configuration.

use std::sync::Arc;

use videoframes_console::{Failure, exit};
use videoframes_core::aws::{AwsOptions, SdkConfig, sdk_config};
use videoframes_core::database::migration::MigrationError;
use videoframes_core::database::{Database, DatabaseCredentials, DatabaseError, DatabaseOptions, Pooler};
use videoframes_core::jobs::SeaOrmJobRepo;
use videoframes_core::queue::InputQueues;
use videoframes_core::storage::{Storage, Stores};

use crate::config::{BucketPlace, Config, DatabaseAuth, StoragePlace};
use crate::credentials::{IamTokens, PasswordFile};
use crate::objects::Objects;
use crate::queues::{Queues, Servers};
use crate::start::Unready;
use crate::workspace::private_folders;

/// The connections that every command uses.
pub(crate) struct Connections {
    pub(crate) database: Database,
    pub(crate) repo: Arc<SeaOrmJobRepo>,
    pub(crate) objects: Objects,
    pub(crate) stores: Stores,
    aws: Option<SdkConfig>,
}

impl Connections {
    /// Connects to the queues, which most commands do not need.
    pub(crate) async fn queues(&self, config: &Config) -> Result<Queues, Unready> {
        Queues::connect(config, &self.database, self.aws.as_ref()).await
    }

    /// Connects to the input queues only.
    pub(crate) async fn input(&self, config: &Config) -> Result<InputQueues, Unready> {
        let servers = Servers {
            database: &self.database,
            aws: self.aws.as_ref(),
        };
        servers.inputs(config).await.map(|(input, _)| input)
    }

    /// Returns the result store.
    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        self.stores.results()
    }
}

/// Connects if the database exists; `None` otherwise. Read-only commands must not create files.
pub(crate) async fn open_existing(config: &Config) -> Result<Option<Connections>, Failure> {
    if let Some(path) = config.places.database_url.strip_prefix("sqlite:")
        && !std::path::Path::new(path.trim_start_matches("//")).exists()
    {
        eprintln!("no job was submitted here: '{path}' does not exist");
        return Ok(None);
    }
    open(config).await.map(Some)
}

/// Connects, and applies migrations if configured.
pub(crate) async fn open(config: &Config) -> Result<Connections, Failure> {
    let database = connect(config).await?;
    let ready = match (config.migrate, &config.places.database_direct_url) {
        (true, Some(direct)) => match database.check_schema().await {
            Err(MigrationError::SchemaOlder { .. }) => {
                let direct = connect_to(config, direct, Pooler::Detect).await?;
                let ready = direct.migrate().await;
                direct.close().await;
                ready
            }
            ready => ready,
        },
        (true, None) => database.migrate().await,
        (false, _) => database.check_schema().await,
    };
    ready.map_err(|error| match (&error, database.is_pooled()) {
        (MigrationError::SchemaOlder { .. }, true) => Failure::because(exit::SCHEMA, &error).hint(
            "DATABASE_URL is a connection pooler: set VF_DATABASE_DIRECT_URL to the database server, or run \
             'vf-worker migrate up' with that variable",
        ),
        _ => schema(&error),
    })?;
    let aws = match config.places.has_aws() {
        true => Some(sdk_config(&AwsOptions::default()).await),
        false => None,
    };
    let objects = Objects::new(&config.places.storage, &config.places.s3, aws.as_ref());
    Ok(Connections {
        repo: Arc::new(SeaOrmJobRepo::new(database.clone()).with_tenants(config.tenants.clone())),
        stores: stores(config, &objects, aws.as_ref()),
        aws,
        objects,
        database,
    })
}

/// Returns the result store and the buckets of source videos.
fn stores(config: &Config, objects: &Objects, aws: Option<&SdkConfig>) -> Stores {
    let places = &config.places;
    let mut stores = Stores::one(objects.storage());
    let mut sources = places.sources.clone();
    if let StoragePlace::Bucket(place) = &places.storage {
        stores = stores.in_bucket(&place.bucket);
        sources.push(place.bucket.clone());
    }
    for bucket in sources {
        // Source keys are relative to the bucket, not to the prefix of the store.
        let place = StoragePlace::Bucket(BucketPlace {
            bucket: bucket.clone(),
            prefix: String::new(),
        });
        stores = stores.with_source(bucket, Objects::new(&place, &places.s3, aws).storage());
    }
    stores
}

/// Connects to the database only.
pub(crate) async fn connect(config: &Config) -> Result<Database, Failure> {
    if let Some(path) = config.places.database_url.strip_prefix("sqlite:")
        && let Some(folder) = std::path::Path::new(path.trim_start_matches("//")).parent()
        && !folder.as_os_str().is_empty()
    {
        private_folders(folder).map_err(|error| {
            Failure::new(
                exit::UNAVAILABLE,
                format!("failed to create the folder '{}': {error}", folder.display()),
            )
        })?;
    }
    // A direct URL of the server implies that DATABASE_URL is the URL of a pooler.
    let pooler = match &config.places.database_direct_url {
        Some(_) => Pooler::Transaction,
        None => Pooler::Detect,
    };
    connect_to(config, &config.places.database_url, pooler).await
}

/// Connects to the database without a pooler, for operations that need their own session.
pub(crate) async fn connect_directly(config: &Config) -> Result<Database, Failure> {
    match &config.places.database_direct_url {
        Some(direct) => connect_to(config, direct, Pooler::Detect).await,
        None => connect(config).await,
    }
}

async fn connect_to(config: &Config, address: &str, pooler: Pooler) -> Result<Database, Failure> {
    let settings = &config.database;
    let mut options = DatabaseOptions::default()
        .connections(config.connections)
        .pooler(pooler);
    options.tls = settings.tls;
    options.tls_ca_file = settings.tls_ca_file.clone();
    options.credentials = credentials(&settings.auth).await;
    let connected = Database::connect(address, &options).await;
    connected.map_err(|error| refused(&error))
}

async fn credentials(auth: &DatabaseAuth) -> Option<Arc<dyn DatabaseCredentials>> {
    match auth {
        DatabaseAuth::Address => None,
        DatabaseAuth::File(path) => Some(Arc::new(PasswordFile::new(path.clone()))),
        DatabaseAuth::Iam => Some(Arc::new(IamTokens::new(sdk_config(&AwsOptions::default()).await))),
    }
}

/// Creates the failure for a connection that cannot be established.
fn refused(error: &DatabaseError) -> Failure {
    match error {
        DatabaseError::TlsConflict { .. } => Failure::because(exit::USAGE, error).hint(
            "VF_DATABASE_TLS and VF_DATABASE_TLS_CA_FILE set the TLS of DATABASE_URL; change one of the two settings",
        ),
        DatabaseError::CaFile { .. } => Failure::because(exit::USAGE, error).hint("check VF_DATABASE_TLS_CA_FILE"),
        DatabaseError::Tls { .. } => Failure::because(exit::UNAVAILABLE, error).hint(
            "VF_DATABASE_TLS_CA_FILE names the certificates of a private authority; VF_DATABASE_TLS=off connects \
             without TLS",
        ),
        DatabaseError::Credentials { .. } => {
            Failure::because(exit::UNAVAILABLE, error).hint("check VF_DATABASE_AUTH and VF_DATABASE_PASSWORD_FILE")
        }
        _ => Failure::because(exit::UNAVAILABLE, error),
    }
}

/// Creates the failure for a schema mismatch.
pub(crate) fn schema(error: &MigrationError) -> Failure {
    match error {
        MigrationError::SchemaNewer { .. } => Failure::because(exit::SCHEMA, error)
            .hint("use the version of vf-worker that migrated the schema, or a newer version"),
        MigrationError::SchemaOlder { .. } => {
            Failure::because(exit::SCHEMA, error).hint("run 'vf-worker migrate up', or set VF_MIGRATE=on")
        }
        MigrationError::OlderWorkers { .. } => Failure::because(exit::SCHEMA, error)
            .hint("stop the older workers first; 'vf-worker fleet status' lists the workers"),
        MigrationError::Database { .. } => Failure::because(exit::UNAVAILABLE, error),
    }
}
