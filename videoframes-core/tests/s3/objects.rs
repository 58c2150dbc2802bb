//! The contract of a storage, and features specific to S3.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::future::ProvideCredentials as ProvideFuture;
use aws_sdk_s3::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use videoframes_core::storage::{
    IfExists, ObjectVersion, PutOptions, S3Checksum, S3Encryption, S3Storage, Storage, StorageError,
};
use videoframes_core::testing::{StorageCapabilities, storage_conformance};

use super::{Own, PART, config, content, key, write};
use videoframes_core::testing::{Fault, ProxiedRequest};

/// SeaweedFS lists objects like a file system, with a folder at the position of its name, and drops empty values.
const SEAWEEDFS: StorageCapabilities = StorageCapabilities {
    empty_metadata: false,
    byte_order: false,
    ..StorageCapabilities::ALL
};

#[tokio::test]
async fn s3_conforms() {
    let Some(own) = Own::new().await else { return };
    storage_conformance(Arc::new(own.storage()), SEAWEEDFS).await;
    assert_eq!(own.open_uploads().await, 0);
}

#[tokio::test]
async fn a_prefix_conforms_next_to_others() {
    let Some(own) = Own::new().await else { return };
    for other in ["results", "results-2/a", "z"] {
        write(&own.storage(), &key(other), IfExists::Refuse, b"other")
            .await
            .unwrap();
    }
    let options = own
        .options()
        .prefix("results/".to_owned())
        .checksum(S3Checksum::Crc32)
        .encryption(S3Encryption::S3);
    storage_conformance(Arc::new(S3Storage::new(&own.config, options)), SEAWEEDFS).await;
    let left = own.storage().list("", None, 10).await.unwrap();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[tokio::test]
async fn names_are_not_normalized() {
    let Some(own) = Own::new().await else { return };
    let storage = own.storage();
    let names = [
        "a b",
        "a+b",
        "a%20b",
        "a%2Fb/c",
        "ü/日本",
        "a&b=c?d#e",
        "(a)'b'\"c\"*!~",
        "a;b:c,d@e$f",
    ];
    for name in names {
        write(&storage, &key(name), IfExists::Refuse, name.as_bytes())
            .await
            .unwrap();
        own.holds(&key(name), name.as_bytes()).await;
        let to = key(&format!("copies/{name}"));
        storage.copy(&key(name), &to).await.unwrap();
        own.holds(&to, name.as_bytes()).await;
    }
    let listed = storage.list("", None, 100).await.unwrap();
    let listed: Vec<&str> = listed.iter().map(|entry| entry.key.as_str()).collect();
    for name in names {
        assert!(listed.contains(&name), "{name} in {listed:?}");
        storage.delete(&key(name)).await.unwrap();
        own.holds_nothing(&key(name)).await;
    }
}

#[tokio::test]
async fn copies_have_content_and_metadata_and_need_a_source() {
    let Some(own) = Own::new().await else { return };
    let storage = own.storage();
    let options = PutOptions::default().metadata([("job-id".to_owned(), "8".to_owned())].into());
    let (from, to) = (key("from"), key("to"));
    let mut sink = storage.create(&from, &options).await.unwrap();
    sink.write("content".into()).await.unwrap();
    sink.finish().await.unwrap();
    storage.copy(&from, &to).await.unwrap();
    own.holds(&to, b"content").await;
    let info = storage.head(&to, &ObjectVersion::CURRENT).await.unwrap();
    assert_eq!(info.metadata, options.metadata);
    let missing = storage.copy(&key("none"), &to).await;
    assert!(matches!(missing, Err(StorageError::NotFound(_))), "{missing:?}");
}

#[tokio::test]
async fn versions_are_read_by_their_ids() {
    let Some(own) = Own::new().await else { return };
    let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    let set = own.client.put_bucket_versioning().bucket(&own.bucket);
    set.versioning_configuration(on.build()).send().await.unwrap();
    let (storage, key) = (own.storage(), key("a/video"));
    let mut versions = Vec::new();
    for text in ["one", "two"] {
        write(&storage, &key, IfExists::Replace, text.as_bytes())
            .await
            .unwrap();
        let info = storage.head(&key, &ObjectVersion::CURRENT).await.unwrap();
        let version = info.version.expect("the bucket keeps versions");
        versions.push(ObjectVersion::with_etag(info.etag).id(version));
    }
    storage.delete(&key).await.unwrap();
    own.holds_nothing(&key).await;
    for (version, text) in versions.iter().zip(["one", "two"]) {
        let source = storage.open(&key, version).await.unwrap().source;
        assert_eq!(source.read_at(0, 9).await.unwrap(), text);
        let info = storage.head(&key, version).await.unwrap();
        assert_eq!(
            (info.version, Some(info.etag)),
            (version.id.clone(), version.etag.clone())
        );
    }
    let mut other = versions[0].clone();
    other.etag = versions[1].etag.clone();
    let changed = storage.head(&key, &other).await;
    assert!(matches!(changed, Err(StorageError::Changed(_))), "{changed:?}");
}

#[tokio::test]
async fn accepts_etags_with_and_without_quotes() {
    let Some(own) = Own::new().await else { return };
    let (storage, key) = (own.storage(), key("object"));
    write(&storage, &key, IfExists::Refuse, b"content").await.unwrap();
    let etag = storage.head(&key, &ObjectVersion::CURRENT).await.unwrap().etag;
    assert!(!etag.contains('"'), "{etag}");
    for etag in [etag.clone(), format!("\"{etag}\"")] {
        let source = storage
            .open(&key, &ObjectVersion::with_etag(etag))
            .await
            .unwrap()
            .source;
        assert_eq!(source.read_at(0, 7).await.unwrap(), "content");
    }
}

#[tokio::test]
async fn does_not_list_objects_with_invalid_keys() {
    let Some(own) = Own::new().await else { return };
    for name in ["folder/", "folder/object"] {
        own.client
            .put_object()
            .bucket(&own.bucket)
            .key(name)
            .send()
            .await
            .unwrap();
    }
    let listed = own.storage().list("", None, 1).await.unwrap();
    assert_eq!(listed.len(), 1, "listing skips invalid keys and fills the page");
    assert_eq!(listed[0].key.as_str(), "folder/object");
}

#[tokio::test]
async fn presigned_urls_need_no_credentials() {
    let Some(own) = Own::new().await else { return };
    let (storage, key) = (own.storage(), key("a folder/ü+%.zip"));
    write(&storage, &key, IfExists::Refuse, b"content").await.unwrap();
    let address = storage.presign(&key, Duration::from_secs(60)).await.unwrap();
    let (_, rest) = address.split_once("://").unwrap();
    let (host, target) = rest.split_once('/').unwrap();
    let request = format!("GET /{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let host = host.to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("content"),
        "{answer}"
    );
    let long = storage.presign(&key, Duration::from_secs(8 * 24 * 3600)).await;
    assert!(matches!(long, Err(StorageError::Invalid { .. })), "{long:?}");
}

#[tokio::test]
async fn only_old_uploads_below_the_prefix_are_swept() {
    let Some(own) = Own::new().await else { return };
    for name in ["results/a", "results/b", "other/c"] {
        let upload = own.client.create_multipart_upload().bucket(&own.bucket).key(name);
        upload.send().await.unwrap();
    }
    let options = own.options().prefix("results/".to_owned());
    let storage = S3Storage::new(&own.config, options);
    assert_eq!(
        storage
            .abort_uploads("", Duration::from_secs(3600))
            .await
            .unwrap(),
        0
    );
    assert_eq!(own.open_uploads().await, 3);
    assert_eq!(storage.abort_uploads("", Duration::ZERO).await.unwrap(), 2);
    assert_eq!(storage.abort_uploads("", Duration::ZERO).await.unwrap(), 0);
    assert_eq!(own.open_uploads().await, 1);
}

#[tokio::test]
async fn files_are_imported_in_parts() {
    let Some(own) = Own::new().await else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = content(2 * PART + 12345);
    std::fs::write(file.path(), &bytes).unwrap();
    let (storage, key) = (own.storage(), key("imported"));
    storage
        .import(&key, file.path(), &PutOptions::default())
        .await
        .unwrap();
    own.holds(&key, &bytes).await;
    assert_eq!(own.open_uploads().await, 0);
}

#[tokio::test]
async fn configuration_errors_are_one_clear_line() {
    let Some(own) = Own::new().await else { return };
    own.storage().check().await.unwrap();
    let said = async |storage: S3Storage| {
        let error = storage.check().await.expect_err("the storage is not usable");
        assert!(error.is_retryable());
        let source = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(!source.contains('\n') && source.len() < 400, "{source}");
        source
    };
    let wrong = config(&own.address, "another").await;
    let text = said(S3Storage::new(&wrong, own.options())).await;
    assert!(text.contains("credentials are wrong"), "{text}");
    let mut none = own.options();
    none.bucket = "there-is-none".to_owned();
    let missing = S3Storage::new(&own.config, none);
    let text = said(missing.clone()).await;
    assert_eq!(text, "the bucket 'there-is-none' does not exist");
    // Not as a missing object, which would fail the job.
    let error = missing
        .head(&key("object"), &ObjectVersion::CURRENT)
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    let nobody = config("http://127.0.0.1:9", "videoframes-secret").await;
    said(S3Storage::new(&nobody, own.options())).await;
}

/// Provides credentials that expire at once, and then valid credentials.
#[derive(Debug)]
struct Renewing(AtomicUsize);

impl ProvideCredentials for Renewing {
    fn provide_credentials<'a>(&'a self) -> ProvideFuture<'a>
    where
        Self: 'a,
    {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        let (name, end) = match first {
            true => ("ended", Some(SystemTime::now())),
            false => ("videoframes", None),
        };
        let credentials = Credentials::new(name, "videoframes-secret", None, end, "test");
        ProvideFuture::ready(Ok(credentials))
    }
}

#[tokio::test]
async fn expired_credentials_are_renewed() {
    let Some(own) = Own::new().await else { return };
    let ended = |request: &ProxiedRequest| match request.head.contains("credential=ended/") {
        true => Fault::Answer(400, "ExpiredToken"),
        false => Fault::None,
    };
    let (proxy, _) = own.behind(ended).await;
    let renewing = || SharedCredentialsProvider::new(Renewing(AtomicUsize::new(0)));
    let config = config(&proxy.address, "").await.into_builder();
    let config = config.credentials_provider(renewing()).build();
    let storage = S3Storage::new(&config, own.options());
    write(&storage, &key("object"), IfExists::Replace, b"content")
        .await
        .unwrap();
    assert!(proxy.count(|request| request.head.contains("credential=ended/")) > 0);

    let never = |_: &ProxiedRequest| Fault::Answer(400, "ExpiredToken");
    let (_proxy, storage) = own.behind(never).await;
    let error = storage
        .head(&key("object"), &ObjectVersion::CURRENT)
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    let said = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(said, "the credentials have expired");
}
