//! A separate place for each test: database, objects and workers.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait;
use serde_json::Value;
use videoframes_core::archive::ZipFile;
use videoframes_core::database::{Database, DatabaseOptions};
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::{Pipeline, Request};
use videoframes_core::source::FileSource;
use videoframes_core::storage::{IfExists, LocalStorage, ObjectVersion, Storage, StorageError};
use videoframes_core::units::FrameRate;

use super::cloud::Cloud;
use super::process::Worker;
use super::resources;

/// Durations of the protocol and limits, scaled down.
const TIMING: &[(&str, &str)] = &[
    ("VF_HEARTBEAT", "500ms"),
    ("VF_LEASE", "3s"),
    ("VF_VISIBILITY_MARGIN", "500ms"),
    ("VF_FENCE_MARGIN", "500ms"),
    ("VF_LONG_POLL", "500ms"),
    ("VF_RELAY_INTERVAL", "200ms"),
    ("VF_RELAY_HOLD", "2s"),
    ("VF_SWEEP_INTERVAL", "1s"),
    ("VF_OVERDUE", "4s"),
    ("VF_RETRY_FIRST", "200ms"),
    ("VF_GRACE", "20s"),
    ("VF_LOG", "info"),
    ("VF_OPS_LISTEN", "127.0.0.1:0"),
    ("VF_HTTP_LISTEN", "off"),
    // A worker with less than 5 % of its quota free is not ready; the default quota is larger than many disks.
    ("VF_SCRATCH_QUOTA", "2GiB"),
];
/// Maximum time of any wait: the lease and 45 seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Key of the restore mark, which is no result.
pub(crate) const RESTORE_MARK: &str = "results/restore-mark.json";

/// The backends of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    /// Postgres (through the PgBouncer in `VF_TEST_PGBOUNCER`, if set), a bucket and SQS queues.
    Deployed,
    /// The same with a store that notifies the queue of new objects.
    Telling,
}

/// All kinds.
pub(crate) const EVERYWHERE: [Kind; 3] = [Kind::Sqlite, Kind::Postgres, Kind::Deployed];

pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    database: Option<String>,
    /// The URL of the same database through a pooler.
    pooled: Option<String>,
    pub(crate) cloud: Option<Cloud>,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database: None,
            pooled: None,
            cloud: None,
        }
    }

    /// Creates a place; returns `None` with a message if there is no Postgres.
    pub(crate) fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Sqlite => Some(Self::sqlite()),
            Kind::Postgres | Kind::Deployed | Kind::Telling => {
                let server = resources::named("VF_TEST_POSTGRES", "skipped")?;
                let cloud = match kind {
                    Kind::Deployed => Some(runtime().block_on(Cloud::new())?),
                    Kind::Telling => Some(runtime().block_on(Cloud::telling())?),
                    _ => None,
                };
                let place = Self::at(&server);
                let pooler = match kind {
                    Kind::Deployed => {
                        resources::named("VF_TEST_PGBOUNCER", "connecting to Postgres directly")
                    }
                    _ => None,
                };
                Some(Self {
                    cloud,
                    pooled: pooler.map(|pooler| place.through(&pooler)),
                    ..place
                })
            }
        }
    }

    /// Creates a place with a separate database in this Postgres server.
    pub(crate) fn at(server: &str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database: Some(new_database(server)),
            pooled: None,
            cloud: None,
        }
    }

    /// Returns the URL of the database of this place at a pooler.
    fn through(&self, pooler: &str) -> String {
        let (path, _) = self.database.as_ref().unwrap().split_once('?').unwrap();
        let (_, name) = path.rsplit_once('/').unwrap();
        named(pooler, name)
    }

    /// Returns the place with a bucket and queues.
    pub(crate) fn with_cloud(self, cloud: impl AsyncFnOnce() -> Option<Cloud>) -> Option<Self> {
        let cloud = Some(runtime().block_on(cloud())?);
        Some(Self { cloud, ..self })
    }

    /// Creates the queues again after their server lost them.
    pub(crate) fn make_queues(&self) {
        runtime().block_on(self.cloud.as_ref().unwrap().make_queues());
    }

    /// Returns the version of an existing object.
    pub(crate) fn etag(&self, key: &str) -> String {
        self.find_etag(key).unwrap()
    }

    /// Returns the version of an object, if it exists.
    pub(crate) fn find_etag(&self, key: &str) -> Option<String> {
        let key = key.parse().unwrap();
        self.with_storage(
            async |storage| match storage.head(&key, &ObjectVersion::CURRENT).await {
                Err(StorageError::NotFound(_)) => None,
                found => Some(found.unwrap().etag),
            },
        )
    }

    /// Returns the folder of a local store.
    pub(crate) fn objects(&self) -> PathBuf {
        assert!(self.cloud.is_none(), "objects are in a bucket");
        self.folder.path().join("objects")
    }

    fn with_storage<T>(&self, work: impl AsyncFnOnce(&dyn Storage) -> T) -> T {
        runtime().block_on(async {
            match &self.cloud {
                None => work(&LocalStorage::new(self.objects())).await,
                Some(cloud) => work(&cloud.storage().await).await,
            }
        })
    }

    /// Puts an object into the store directly.
    pub(crate) fn put(&self, key: &str, content: &[u8]) {
        self.with_storage(async |storage| {
            let key = key.parse().unwrap();
            let mut sink = storage.create(&key, &IfExists::Replace.into()).await.unwrap();
            sink.write(content.to_vec().into()).await.unwrap();
            sink.finish().await.unwrap();
        });
    }

    /// Returns the bytes of an object, if it exists.
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.with_storage(async |storage| {
            let source = match storage.open(&key.parse().unwrap(), &ObjectVersion::CURRENT).await {
                Err(StorageError::NotFound(_)) => return None,
                opened => opened.unwrap().source,
            };
            let length = usize::try_from(source.len()).unwrap();
            Some(source.read_at(0, length).await.unwrap().to_vec())
        })
    }

    /// Returns a command `vf-worker` for this place.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vf-worker"));
        command.envs(TIMING.iter().copied()).stdin(Stdio::null());
        // Decoders inherit only this variable, which distinguishes the decoders of different tests.
        command.env("TMPDIR", self.folder.path());
        // A backtrace of a build with debug information takes seconds on a busy machine, longer than a lease here.
        command.env("RUST_BACKTRACE", "0");
        match &self.database {
            None => {
                command.arg("--local").arg(self.folder.path());
            }
            Some(url) => {
                command.env("DATABASE_URL", self.pooled.as_ref().unwrap_or(url));
                if self.pooled.is_some() {
                    command.env("VF_DATABASE_DIRECT_URL", url);
                }
                command.env("VF_SCRATCH", self.folder.path().join("scratch"));
                match &self.cloud {
                    Some(cloud) => command.envs(cloud.environment()),
                    None => command.env("VF_STORAGE", format!("file:{}", self.objects().display())),
                };
            }
        }
        command.args(args);
        command
    }

    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Returns the output of a command that must succeed.
    pub(crate) fn stdout(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Submits a job. With `VF_TEST_RENDITIONS`, every job also has a rendition.
    pub(crate) fn submit(&self, video: &Path, options: &[&str]) -> String {
        let mut args = [&["submit", video.to_str().unwrap()], options].concat();
        if std::env::var_os("VF_TEST_RENDITIONS").is_some() {
            args.extend(["--rendition", "max_height=48,quality=30"]);
        }
        self.stdout(&args).trim_end().to_owned()
    }

    /// Changes the database directly.
    pub(crate) fn sql(&self, change: &str) {
        let url = self.database_url();
        runtime().block_on(async {
            let database = Database::connect(&url, &DatabaseOptions::default())
                .await
                .unwrap();
            database.connection().execute_unprepared(change).await.unwrap();
            database.close().await;
        });
    }

    pub(crate) fn database_url(&self) -> String {
        self.database.clone().unwrap_or_else(|| {
            let file = self.folder.path().join("videoframes.sqlite");
            format!("sqlite:{}", file.display())
        })
    }

    /// Starts another command, which can be stopped like a worker.
    pub(crate) fn worker_command(&self, args: &[&str]) -> Worker {
        Worker::start(self.command(args))
    }

    /// Starts a worker.
    pub(crate) fn worker(&self, env: &[(&str, &str)], args: &[&str]) -> Worker {
        let mut command = self.command(&[&["run"], args].concat());
        command.envs(env.iter().copied());
        Worker::start(command)
    }

    /// Runs a worker until all jobs are done.
    pub(crate) fn finish(&self) {
        self.finish_with(&[]);
    }

    /// Runs a worker with additional environment variables until all jobs are done.
    pub(crate) fn finish_with(&self, env: &[(&str, &str)]) {
        let mut worker = self.worker(env, &["--until-idle"]);
        let status = worker.wait();
        assert!(status.success(), "{status:?}\n{}", worker.log());
    }

    pub(crate) fn jobs(&self) -> Vec<Value> {
        serde_json::from_str(&self.stdout(&["jobs", "--limit", "0", "--json"])).unwrap()
    }

    pub(crate) fn job(&self, id: &str) -> Value {
        serde_json::from_str(&self.stdout(&["job", id, "--json"])).unwrap()
    }

    pub(crate) fn notifications(&self) -> Vec<Value> {
        if let Some(cloud) = &self.cloud {
            return runtime().block_on(cloud.reported());
        }
        let text = self.stdout(&["notifications"]);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits until the job is as `wanted`.
    pub(crate) fn wait_for(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        wait(&format!("job {id}"), || {
            last = self.job(id);
            wanted(&last)
        });
        last
    }

    /// Returns the decoder processes of the workers of this place.
    pub(crate) fn decoders(&self) -> Vec<i32> {
        let mark = format!("TMPDIR={}", self.folder.path().display());
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let folder = entry.ok()?.path();
            let id = folder.file_name()?.to_str()?.parse::<i32>().ok()?;
            let name = std::fs::read_to_string(folder.join("comm")).ok()?;
            let environment = std::fs::read(folder.join("environ")).ok()?;
            let ours = environment
                .split(|byte| *byte == 0)
                .any(|line| line == mark.as_bytes());
            (ours && name.starts_with("ff")).then_some(id)
        });
        processes.collect()
    }

    /// Returns the number of incomplete objects.
    pub(crate) fn unfinished(&self) -> usize {
        if let Some(cloud) = &self.cloud {
            return runtime().block_on(cloud.uploads());
        }
        let Ok(folders) = std::fs::read_dir(self.objects()) else {
            return 0;
        };
        let hidden = folders.filter_map(|entry| {
            let path = entry.ok()?.path();
            path.file_name()?.to_str()?.starts_with('.').then_some(path)
        });
        let files = hidden.flat_map(|folder| std::fs::read_dir(folder).unwrap());
        files.count()
    }

    pub(crate) fn scratch(&self) -> Vec<PathBuf> {
        match std::fs::read_dir(self.folder.path().join("scratch")) {
            Ok(folders) => folders.map(|folder| folder.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Returns the keys of the archives in the store.
    pub(crate) fn archives(&self) -> Vec<String> {
        let mut results = self.results();
        results.retain(|key| key.ends_with(".zip"));
        results
    }

    /// Returns the keys of the archives and renditions in the store.
    pub(crate) fn results(&self) -> Vec<String> {
        let listed = self.with_storage(async |storage| storage.list("results/", None, 10_000).await.unwrap());
        let keys = listed.iter().map(|entry| entry.key.to_string());
        keys.filter(|key| key != RESTORE_MARK).collect()
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Creates an empty database in the cluster of the server.
fn new_database(server: &str) -> String {
    let name = format!("vf_{}", uuid::Uuid::new_v4().simple());
    runtime().block_on(async {
        let maintenance = Database::connect(server, &DatabaseOptions::default())
            .await
            .unwrap();
        let create = format!("CREATE DATABASE {name}");
        maintenance
            .connection()
            .execute_unprepared(&create)
            .await
            .unwrap();
        maintenance.close().await;
    });
    named(server, &name)
}

/// Returns the URL of a database with this name at the same server.
fn named(server: &str, name: &str) -> String {
    let (path, query) = server.split_once('?').unwrap_or((server, ""));
    let (host, _) = path.rsplit_once('/').unwrap();
    format!("{host}/{name}?{query}")
}

/// Extracts a video as `vf extract --fps FPS` does.
pub(crate) fn extract(video: &Path, fps: i128, archive: &Path) {
    let request = Request::new(videoframes_core::select::Selection::Fps(
        FrameRate::new(fps.into()).unwrap(),
    ));
    let target = ZipFile::new(archive.to_owned());
    let source = FileSource::open(video).unwrap();
    let pipeline = Pipeline::new(FfmpegExtractor::default());
    let extraction = pipeline.extract(source, &request, &target);
    runtime().block_on(extraction).unwrap();
}

/// Waits until `done` returns true.
pub(crate) fn wait(what: &str, mut so: impl FnMut() -> bool) {
    let since = Instant::now();
    loop {
        let began = Instant::now();
        if so() {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "not after {PATIENCE:?}: {what}");
        // Many tests wait at the same time, and most conditions start a process: waiting must not occupy the machine.
        std::thread::sleep((2 * began.elapsed()).max(Duration::from_millis(20)));
    }
}
