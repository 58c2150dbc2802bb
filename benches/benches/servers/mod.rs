//! A bucket and queues for one benchmark, in the servers given by `VF_TEST_S3` and `VF_TEST_SQS`.

use std::path::PathBuf;
use std::process::Command;

use videoframes_core::aws::{AwsOptions, SdkConfig, sdk_config};
use videoframes_core::queue::{SqsOptions, SqsQueue};
use videoframes_core::storage::{S3Options, S3Storage};

const REGION: &str = "us-east-1";

/// The created bucket and queues.
pub(crate) struct Servers {
    name: String,
    s3: String,
    sqs: String,
    /// The environment of a worker.
    #[allow(dead_code)] // not every benchmark has workers
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Servers {
    /// Creates bucket and queues with `vf-worker provision`; `database` is a database URL. `None` without servers.
    pub(crate) fn provision(database: &str) -> Option<Self> {
        let (s3, sqs) = (
            std::env::var("VF_TEST_S3").ok()?,
            std::env::var("VF_TEST_SQS").ok()?,
        );
        let name = format!("vf-{}", uuid::Uuid::new_v4().simple());
        let queue = |kind: &str| format!("sqs:{name}-{kind}");
        let environment = vec![
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ENDPOINT_URL_S3", s3.clone()),
            ("AWS_ENDPOINT_URL_SQS", sqs.clone()),
            ("VF_STORAGE", format!("s3://{name}")),
            ("VF_INPUT_QUEUE", queue("input")),
            ("VF_NOTIFIER_QUEUE", queue("notifier")),
            ("VF_DEAD_LETTER_QUEUE", queue("dead-letters")),
        ];
        let provision = Command::new(worker())
            .arg("provision")
            .env("DATABASE_URL", database)
            .envs(environment.iter().cloned())
            .output()
            .unwrap();
        assert!(provision.status.success(), "{provision:?}");
        Some(Self {
            name,
            s3,
            sqs,
            environment,
        })
    }

    pub(crate) async fn storage(&self) -> S3Storage {
        let options = S3Options::new(&self.name).path_style(true);
        S3Storage::new(&config(&self.s3).await, options)
    }

    #[allow(dead_code)] // not every benchmark has messages
    pub(crate) async fn queue(&self, kind: &str) -> SqsQueue {
        let name = format!("{}-{kind}", self.name);
        SqsQueue::connect(&config(&self.sqs).await, &name, &SqsOptions::default())
            .await
            .unwrap()
    }
}

async fn config(endpoint: &str) -> SdkConfig {
    let options = AwsOptions::default().region(REGION).endpoint(endpoint);
    sdk_config(&options).await
}

/// Returns the path of `vf-worker`: `VF_WORKER`, or the program beside the folder of this program.
pub(crate) fn worker() -> PathBuf {
    if let Some(worker) = std::env::var_os("VF_WORKER") {
        return PathBuf::from(worker);
    }
    let own = std::env::current_exe().unwrap();
    let worker = own.ancestors().nth(2).unwrap().join("vf-worker");
    assert!(
        worker.exists(),
        "build it first: cargo build --release -p videoframes-worker"
    );
    worker
}
