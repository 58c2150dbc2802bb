//! S3 storage on the store in `VF_TEST_S3`, directly and behind a faulty proxy.
#![allow(clippy::unwrap_used)]

mod objects;
mod reads;
#[path = "../resources/mod.rs"]
mod resources;
mod writes;

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{Builder, Credentials, SharedCredentialsProvider};
use videoframes_core::aws::{AwsOptions, SdkConfig, sdk_config};
use videoframes_core::storage::{IfExists, ObjectKey, S3Options, S3Storage, Storage, StorageError};

use videoframes_core::testing::{Fault, ProxiedRequest, Proxy};

/// Minimum size of a part.
const PART: usize = 5 << 20;

/// A separate bucket of a test, in a disposable store for tests.
struct Own {
    address: String,
    config: SdkConfig,
    client: Client,
    bucket: String,
}

impl Own {
    async fn new() -> Option<Self> {
        let address = resources::named("VF_TEST_S3", "skipped on S3")?;
        let config = config(&address, "videoframes-secret").await;
        let client = Client::from_conf(Builder::from(&config).force_path_style(true).build());
        let bucket = format!("vf-{:032x}", random());
        client.create_bucket().bucket(&bucket).send().await.unwrap();
        Some(Self {
            address,
            config,
            client,
            bucket,
        })
    }

    fn options(&self) -> S3Options {
        S3Options::new(&self.bucket)
            .path_style(true)
            .part_size(PART)
            .attempt_timeout(Duration::from_secs(20))
            .operation_timeout(Duration::from_secs(60))
            .stall(Duration::from_secs(2))
    }

    fn storage(&self) -> S3Storage {
        S3Storage::new(&self.config, self.options())
    }

    /// Returns the storage behind a proxy.
    async fn behind(
        &self,
        rule: impl Fn(&ProxiedRequest) -> Fault + Send + Sync + 'static,
    ) -> (Proxy, S3Storage) {
        self.behind_with(self.options(), rule).await
    }

    async fn behind_with(
        &self,
        options: S3Options,
        rule: impl Fn(&ProxiedRequest) -> Fault + Send + Sync + 'static,
    ) -> (Proxy, S3Storage) {
        let proxy = Proxy::start(&self.address, rule).await;
        let config = config(&proxy.address, "videoframes-secret").await;
        (proxy, S3Storage::new(&config, options))
    }

    /// Returns the number of uploads that are neither completed nor aborted.
    async fn open_uploads(&self) -> usize {
        let uploads = self.client.list_multipart_uploads().bucket(&self.bucket).send();
        uploads.await.unwrap().uploads().len()
    }

    async fn until_no_upload_is_open(&self) {
        self.until_open_uploads_are(0).await;
    }

    async fn until_open_uploads_are(&self, number: usize) {
        let until = async {
            while self.open_uploads().await != number {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let until = tokio::time::timeout(Duration::from_secs(30), until).await;
        until.expect("uploads do not begin or end");
    }

    async fn holds(&self, key: &ObjectKey, content: &[u8]) {
        let object = self.client.get_object().bucket(&self.bucket).key(key.as_str());
        let object = object.send().await.unwrap();
        let bytes = object.body.collect().await.unwrap().into_bytes();
        assert!(bytes == content, "{} bytes of {}", bytes.len(), content.len());
    }

    async fn holds_nothing(&self, key: &ObjectKey) {
        let found = self.storage().head(key, &Default::default()).await;
        assert!(matches!(found, Err(StorageError::NotFound(_))), "{found:?}");
    }
}

async fn config(address: &str, secret: &str) -> SdkConfig {
    let options = AwsOptions::default().region("us-east-1").endpoint(address);
    let credentials = Credentials::new("videoframes", secret, None, None, "test");
    let retry = RetryConfig::standard()
        .with_max_attempts(4)
        .with_initial_backoff(Duration::from_millis(20));
    sdk_config(&options)
        .await
        .into_builder()
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(retry)
        .build()
}

fn random() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    half() << 64 | half()
}

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

/// Returns bytes without short periods.
fn content(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

async fn write(
    storage: &S3Storage,
    key: &ObjectKey,
    how: IfExists,
    content: &[u8],
) -> Result<(), StorageError> {
    let mut sink = storage.create(key, &how.into()).await?;
    for piece in content.chunks(1 << 20) {
        sink.write(piece.to_vec().into()).await?;
    }
    sink.finish().await
}
