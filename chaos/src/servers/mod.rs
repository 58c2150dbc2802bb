//! The servers of a run, and the network between them and the workers.

pub(crate) mod cloud;
pub(crate) mod http_faults;
pub(crate) mod network;
pub(crate) mod postgres;
pub(crate) mod prometheus;
pub(crate) mod script;

use std::path::Path;

use self::cloud::Cloud;
use self::postgres::Postgres;
use self::prometheus::Prometheus;
use self::script::script;

/// All servers.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) postgres: Postgres,
    pub(crate) cloud: Cloud,
}

impl Servers {
    /// Starts the servers in `root`.
    pub(crate) async fn start(root: &Path) -> anyhow::Result<Self> {
        let (s3, sqs) = (root.join("s3"), root.join("sqs"));
        let start = async |name: &str, folder: &Path| {
            script(name, &["start", folder.to_str().unwrap_or_default()]).await
        };
        let (postgres, s3, sqs) = tokio::join!(
            Postgres::start(root),
            start("seaweedfs", &s3),
            start("ministack", &sqs)
        );
        let cloud = Cloud::new(&s3?, &sqs?).await?;
        Ok(Self {
            postgres: postgres?,
            cloud,
        })
    }

    /// Stops every server in `root`, also after a failed start.
    pub(crate) async fn stop(root: &Path) {
        for name in ["sqs", "s3"] {
            let folder = root.join(name);
            let program = if name == "s3" { "seaweedfs" } else { "ministack" };
            if folder.join("pid").exists() {
                let _ = script(program, &["stop", folder.to_str().unwrap_or_default()]).await;
            }
        }
        Prometheus::stop(root).await;
        Postgres::stop_all(root).await;
    }
}
