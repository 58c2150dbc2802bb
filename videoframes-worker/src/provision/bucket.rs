//! Creation, checks and settings of buckets.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration,
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, VersioningConfiguration,
};

use super::plan::{DesiredBucket, Own};
use super::report::{Difference, Report};
use super::{events, lifecycle, policy};
use videoframes_console::{Failure, exit};
use videoframes_core::storage::S3Encryption;

use crate::aws::Refusal;

/// The region that a request to create a bucket must not name.
const DEFAULT_REGION: &str = "us-east-1";

/// A bucket and the report on its settings.
pub(super) struct Bucket<'a> {
    pub(super) client: &'a Client,
    pub(super) name: &'a str,
    /// Whether the bucket exists. In a check, a missing bucket has no settings.
    pub(super) exists: bool,
    pub(super) report: &'a mut Report,
}

/// Creates or checks a bucket and its settings. `queue` is the ARN of the input queue, if it exists.
pub(super) async fn ensure(
    client: &Client,
    desired: &DesiredBucket,
    queue: Option<&str>,
    report: &mut Report,
) -> Result<(), Failure> {
    report.set_resource(format!("bucket {}", desired.name));
    let mut bucket = Bucket {
        client,
        name: &desired.name,
        exists: false,
        report,
    };
    bucket.ensure_exists().await?;
    if let Some(own) = &desired.own {
        bucket.encryption(&own.encryption).await?;
        bucket.versioning().await?;
        bucket.public_access().await?;
        bucket.tls_only(own).await?;
        lifecycle::ensure(&mut bucket, own).await?;
    }
    if let Some(events) = &desired.events {
        events::ensure(&mut bucket, events, queue.unwrap_or("the input queue")).await?;
    }
    Ok(())
}

impl Bucket<'_> {
    /// Returns the description of a request: `verb` and the bucket.
    pub(super) fn describe(&self, verb: &str) -> String {
        format!("{verb} of the bucket '{}'", self.name)
    }

    /// Applies and reports a change.
    pub(super) async fn apply<T>(
        &mut self,
        setting: &str,
        difference: &Difference,
        change: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<(), Failure> {
        match change.await {
            Ok(_) => self.report.add(difference),
            Err(refusal) if refusal.is_unsupported() => self.report.unsupported(setting),
            Err(refusal) => return Err(refusal.into()),
        }
        Ok(())
    }

    async fn ensure_exists(&mut self) -> Result<(), Failure> {
        let response = self.client.head_bucket().bucket(self.name).send().await;
        let what = format!("access the bucket '{}'", self.name);
        let refusal = match response.map_err(|error| Refusal::new("s3:ListBucket", what, &error)) {
            Ok(_) => {
                self.exists = true;
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        if refusal.has_status(301) {
            let message = format!("the bucket '{}' is in another region", self.name);
            return Err(
                Failure::new(exit::UNAVAILABLE, message).hint("set AWS_REGION to the region of the bucket")
            );
        }
        if !refusal.has_status(404) {
            return Err(refusal.into());
        }
        let Some(difference) = self.report.compare("bucket", None, Some("exists")) else {
            return Ok(());
        };
        let mut request = self.client.create_bucket().bucket(self.name);
        let region = self
            .client
            .config()
            .region()
            .map(|region| region.as_ref().to_owned());
        if let Some(region) = region.filter(|region| region != DEFAULT_REGION) {
            let place = BucketLocationConstraint::from(region.as_str());
            let place = CreateBucketConfiguration::builder().location_constraint(place);
            request = request.create_bucket_configuration(place.build());
        }
        let what = format!("create the bucket '{}'", self.name);
        let made = request
            .send()
            .await
            .map_err(|error| Refusal::new("s3:CreateBucket", what, &error));
        made?;
        self.report.add(&difference);
        self.exists = true;
        Ok(())
    }

    async fn encryption(&mut self, desired: &S3Encryption) -> Result<(), Failure> {
        const SETTING: &str = "encryption";
        let (algorithm, key) = match desired {
            S3Encryption::Bucket => return Ok(()),
            S3Encryption::S3 => (ServerSideEncryption::Aes256, None),
            S3Encryption::Kms(key) => (ServerSideEncryption::AwsKms, key.clone()),
        };
        let have = match self.get_encryption().await {
            Ok(have) => have,
            Err(refusal) if refusal.is_unsupported() => {
                self.report.unsupported(SETTING);
                return Ok(());
            }
            Err(refusal) => return Err(refusal.into()),
        };
        // Encryption with a KMS key is stronger, and an explicit choice of the operator.
        let stronger = have.as_ref().is_some_and(|have| have.starts_with("aws:kms"));
        if stronger && *desired == S3Encryption::S3 {
            return Ok(());
        }
        let want = describe_encryption(algorithm.as_str(), key.as_deref());
        let Some(difference) = self.report.compare(SETTING, have.as_deref(), Some(&want)) else {
            return Ok(());
        };
        let default = ServerSideEncryptionByDefault::builder()
            .sse_algorithm(algorithm)
            .set_kms_master_key_id(key)
            .build()
            .map_err(|e| Failure::internal(&e))?;
        let rule = ServerSideEncryptionRule::builder()
            .bucket_key_enabled(matches!(desired, S3Encryption::Kms(_)))
            .apply_server_side_encryption_by_default(default);
        let configuration = ServerSideEncryptionConfiguration::builder()
            .rules(rule.build())
            .build()
            .map_err(|e| Failure::internal(&e))?;
        let request = self.client.put_bucket_encryption().bucket(self.name);
        let request = request.server_side_encryption_configuration(configuration).send();
        let what = self.describe("set the encryption");
        let change = async {
            request
                .await
                .map_err(|e| Refusal::new("s3:PutEncryptionConfiguration", what, &e))
        };
        self.apply(SETTING, &difference, change).await
    }

    async fn get_encryption(&self) -> Result<Option<String>, Refusal> {
        if !self.exists {
            return Ok(None);
        }
        let response = self.client.get_bucket_encryption().bucket(self.name).send().await;
        let what = self.describe("read the encryption");
        let found = match response.map_err(|e| Refusal::new("s3:GetEncryptionConfiguration", what, &e)) {
            Err(refusal) if refusal.has_code(&["ServerSideEncryptionConfigurationNotFoundError"]) => {
                return Ok(None);
            }
            found => found?,
        };
        let rules = found
            .server_side_encryption_configuration
            .map(|all| all.rules)
            .unwrap_or_default();
        let default = rules
            .into_iter()
            .find_map(|rule| rule.apply_server_side_encryption_by_default);
        Ok(default
            .map(|rule| describe_encryption(rule.sse_algorithm.as_str(), rule.kms_master_key_id.as_deref())))
    }

    async fn versioning(&mut self) -> Result<(), Failure> {
        const SETTING: &str = "versioning";
        let have = match self.get_versioning().await {
            Ok(have) => have,
            Err(refusal) if refusal.is_unsupported() => {
                self.report.unsupported(SETTING);
                return Ok(());
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let enabled = BucketVersioningStatus::Enabled;
        let Some(difference) = self
            .report
            .compare(SETTING, have.as_deref(), Some(enabled.as_str()))
        else {
            return Ok(());
        };
        let configuration = VersioningConfiguration::builder().status(enabled).build();
        let request = self.client.put_bucket_versioning().bucket(self.name);
        let request = request.versioning_configuration(configuration).send();
        let what = self.describe("set the versioning");
        let change = async {
            request
                .await
                .map_err(|e| Refusal::new("s3:PutBucketVersioning", what, &e))
        };
        self.apply(SETTING, &difference, change).await
    }

    async fn get_versioning(&self) -> Result<Option<String>, Refusal> {
        if !self.exists {
            return Ok(None);
        }
        let response = self.client.get_bucket_versioning().bucket(self.name).send().await;
        let what = self.describe("read the versioning");
        let found = response.map_err(|e| Refusal::new("s3:GetBucketVersioning", what, &e))?;
        Ok(found.status.map(|status| status.as_str().to_owned()))
    }

    async fn public_access(&mut self) -> Result<(), Failure> {
        const SETTING: &str = "public access block";
        let have = match self.get_public_access().await {
            Ok(have) => have,
            Err(refusal) if refusal.is_unsupported() => {
                self.report.unsupported(SETTING);
                return Ok(());
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let all = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .ignore_public_acls(true)
            .block_public_policy(true)
            .restrict_public_buckets(true)
            .build();
        let have = have.as_ref().map(describe_blocks);
        let Some(difference) = self
            .report
            .compare(SETTING, have.as_deref(), Some(&describe_blocks(&all)))
        else {
            return Ok(());
        };
        let request = self.client.put_public_access_block().bucket(self.name);
        let request = request.public_access_block_configuration(all).send();
        let what = self.describe("set the public access block");
        let change = async {
            request
                .await
                .map_err(|e| Refusal::new("s3:PutBucketPublicAccessBlock", what, &e))
        };
        self.apply(SETTING, &difference, change).await
    }

    async fn get_public_access(&self) -> Result<Option<PublicAccessBlockConfiguration>, Refusal> {
        if !self.exists {
            return Ok(None);
        }
        let response = self
            .client
            .get_public_access_block()
            .bucket(self.name)
            .send()
            .await;
        let what = self.describe("read the public access block");
        match response.map_err(|e| Refusal::new("s3:GetBucketPublicAccessBlock", what, &e)) {
            Err(refusal) if refusal.has_code(&["NoSuchPublicAccessBlockConfiguration"]) => Ok(None),
            found => Ok(found?.public_access_block_configuration),
        }
    }

    async fn tls_only(&mut self, own: &Own) -> Result<(), Failure> {
        const SETTING: &str = "policy";
        if !own.tls {
            self.report
                .unchanged("policy against http", "since the endpoint of the store uses http");
            return Ok(());
        }
        let have = match self.get_policy().await {
            Ok(have) => have,
            Err(refusal) if refusal.is_unsupported() => {
                self.report.unsupported(SETTING);
                return Ok(());
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let statement = policy::tls_only(self.name);
        let (policy, before) = policy::with(have.as_deref(), &statement).ok_or_else(|| {
            Failure::new(
                exit::UNAVAILABLE,
                format!("bucket '{}': {}", self.name, policy::UNREADABLE),
            )
        })?;
        let before = before.map(|statement| policy::normal(&statement).to_string());
        let want = policy::normal(&statement).to_string();
        let Some(difference) = self.report.compare(SETTING, before.as_deref(), Some(&want)) else {
            return Ok(());
        };
        let request = self
            .client
            .put_bucket_policy()
            .bucket(self.name)
            .policy(policy)
            .send();
        let what = self.describe("set the policy");
        let change = async {
            request
                .await
                .map_err(|e| Refusal::new("s3:PutBucketPolicy", what, &e))
        };
        self.apply(SETTING, &difference, change).await
    }

    async fn get_policy(&self) -> Result<Option<String>, Refusal> {
        if !self.exists {
            return Ok(None);
        }
        let response = self.client.get_bucket_policy().bucket(self.name).send().await;
        let what = self.describe("read the policy");
        match response.map_err(|e| Refusal::new("s3:GetBucketPolicy", what, &e)) {
            Err(refusal) if refusal.has_code(&["NoSuchBucketPolicy"]) => Ok(None),
            found => Ok(found?.policy),
        }
    }
}

fn describe_encryption(algorithm: &str, key: Option<&str>) -> String {
    match key {
        Some(key) => format!("{algorithm} with the key {key}"),
        None => algorithm.to_owned(),
    }
}

fn describe_blocks(block: &PublicAccessBlockConfiguration) -> String {
    let kinds = [
        ("new ACLs", block.block_public_acls),
        ("all ACLs", block.ignore_public_acls),
        ("new policies", block.block_public_policy),
        ("all policies", block.restrict_public_buckets),
    ];
    let blocked: Vec<&str> = kinds
        .iter()
        .filter(|kind| kind.1 == Some(true))
        .map(|kind| kind.0)
        .collect();
    match blocked.is_empty() {
        true => "nothing".to_owned(),
        false => blocked.join(", "),
    }
}
