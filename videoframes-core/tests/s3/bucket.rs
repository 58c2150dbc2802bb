//! A bucket of a test's own.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, Credentials, SharedCredentialsProvider};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use videoframes_core::aws::{AwsOptions, SdkConfig, sdk_config};
use videoframes_core::storage::{S3Options, S3Storage};

pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) address: String,
}

/// Whom the store knows.
const KNOWN: (&str, &str) = ("videoframes", "videoframes-secret");

/// How a client of the store reaches it at an address.
pub(crate) async fn config(address: &str, id: &str, secret: &str) -> SdkConfig {
    let options = AwsOptions {
        region: Some("us-east-1".to_owned()),
        endpoint: Some(address.to_owned()),
        ..AwsOptions::default()
    };
    let credentials = Credentials::new(id, secret, None, None, "test");
    let config = sdk_config(&options).await.into_builder();
    config
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

impl Bucket {
    /// A new one; `None`, with a word, where there is no store to test with.
    pub(crate) async fn new() -> Option<Self> {
        let Ok(address) = std::env::var("VF_TEST_S3") else {
            eprintln!("skipped: VF_TEST_S3 names no store");
            return None;
        };
        let config = config(&address, KNOWN.0, KNOWN.1).await;
        let client = Client::from_conf(Builder::from(&config).force_path_style(true).build());
        let name = format!("vf-{}", uuid::Uuid::new_v4().simple());
        client.create_bucket().bucket(&name).send().await.unwrap();
        Some(Self {
            name,
            client,
            address,
        })
    }

    /// The options of most tests: what does not come soon does not come.
    pub(crate) fn options(&self) -> S3Options {
        S3Options {
            path_style: true,
            ..S3Options::new(&self.name)
        }
    }

    pub(crate) async fn storage(&self, change: impl FnOnce(&mut S3Options)) -> S3Storage {
        self.storage_at(&self.address, change).await
    }

    /// The same bucket through another address.
    pub(crate) async fn storage_at(&self, address: &str, change: impl FnOnce(&mut S3Options)) -> S3Storage {
        let mut options = self.options();
        change(&mut options);
        S3Storage::new(&config(address, KNOWN.0, KNOWN.1).await, options)
    }

    /// The same bucket for somebody else.
    pub(crate) async fn storage_of(&self, id: &str, secret: &str) -> S3Storage {
        S3Storage::new(&config(&self.address, id, secret).await, self.options())
    }

    pub(crate) async fn put(&self, key: &str, content: &[u8]) {
        let put = self.client.put_object().bucket(&self.name).key(key);
        put.body(content.to_vec().into()).send().await.unwrap();
    }

    /// Begins an upload that nobody will finish.
    pub(crate) async fn begin(&self, key: &str) {
        let begin = self.client.create_multipart_upload().bucket(&self.name).key(key);
        begin.send().await.unwrap();
    }

    pub(crate) async fn keep_versions(&self) {
        let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
        let put = self.client.put_bucket_versioning().bucket(&self.name);
        put.versioning_configuration(enabled.build())
            .send()
            .await
            .unwrap();
    }

    /// Waits until no upload is open; one that was dropped is given up by somebody else.
    pub(crate) async fn no_uploads(&self) {
        let since = std::time::Instant::now();
        while self.uploads().await > 0 {
            assert!(since.elapsed().as_secs() < 20, "an upload stays open");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn keys(&self) -> Vec<String> {
        let listed = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .send()
            .await
            .unwrap();
        listed
            .contents()
            .iter()
            .map(|object| object.key().unwrap().to_owned())
            .collect()
    }

    /// Uploads that are neither finished nor given up.
    pub(crate) async fn uploads(&self) -> usize {
        let uploads = self
            .client
            .list_multipart_uploads()
            .bucket(&self.name)
            .send()
            .await;
        uploads.unwrap().uploads().len()
    }
}
