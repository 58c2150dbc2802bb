//! Lists all versions and delete markers below a prefix, grouped by key.

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::primitives::DateTime;

use super::decide::{Entry, Kind};
use crate::aws::Refusal;

/// End of the key of the restore mark. With an earlier mark, a restore of the database would not be recognised.
const MARK: &str = "results/restore-mark.json";

/// A key with its entries.
pub(super) type Key = (String, Vec<Entry>);

/// The pages of a listing. The entries of one key may be on several pages.
pub(super) struct Listing<'a> {
    client: &'a Client,
    bucket: &'a str,
    prefix: String,
    /// Position after the last page: key and version.
    position: Option<(String, Option<String>)>,
    is_last: bool,
    /// Entries of the last key, of which the next page may have more.
    open: Option<Key>,
}

impl<'a> Listing<'a> {
    pub(super) fn new(client: &'a Client, bucket: &'a str, prefix: String) -> Self {
        Self {
            client,
            bucket,
            prefix,
            position: None,
            is_last: false,
            open: None,
        }
    }

    /// Returns the next keys with all their entries, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Key>>, Refusal> {
        if self.is_last {
            return Ok(self.open.take().map(|key| vec![key]));
        }
        let (key, version) = self.position.take().unzip();
        let request = self.client.list_object_versions().bucket(self.bucket);
        let page = request
            .prefix(&self.prefix)
            .set_key_marker(key)
            .set_version_id_marker(version.flatten())
            .send()
            .await;
        let what = format!("list the versions in the bucket '{}'", self.bucket);
        let page = page.map_err(|error| Refusal::new("s3:ListBucketVersions", what, &error))?;
        let next = page.next_key_marker().map(str::to_owned);
        match next.filter(|_| page.is_truncated() == Some(true)) {
            Some(key) => self.position = Some((key, page.next_version_id_marker().map(str::to_owned))),
            None => self.is_last = true,
        }
        let mut keys = self.add(&page);
        if !self.is_last {
            self.open = keys.pop();
        }
        Ok(Some(keys))
    }

    /// Returns the keys of a page, in order, with the entries of the open key, and without the restore mark.
    fn add(&mut self, page: &ListObjectVersionsOutput) -> Vec<Key> {
        let mut keys: BTreeMap<String, Vec<Entry>> = self.open.take().into_iter().collect();
        for version in page.versions() {
            let size = version.size().and_then(|size| u64::try_from(size).ok());
            let kind = Kind::Version {
                size: size.unwrap_or_default(),
            };
            let entry = entry(
                version.version_id(),
                version.last_modified(),
                version.is_latest(),
                kind,
            );
            keys.entry(version.key().unwrap_or_default().to_owned())
                .or_default()
                .push(entry);
        }
        for marker in page.delete_markers() {
            let entry = entry(
                marker.version_id(),
                marker.last_modified(),
                marker.is_latest(),
                Kind::Marker,
            );
            keys.entry(marker.key().unwrap_or_default().to_owned())
                .or_default()
                .push(entry);
        }
        keys.into_iter().filter(|(key, _)| !key.ends_with(MARK)).collect()
    }
}

fn entry(id: Option<&str>, written: Option<&DateTime>, current: Option<bool>, kind: Kind) -> Entry {
    Entry {
        // The version of objects that were written before the bucket was versioned.
        id: id.unwrap_or("null").to_owned(),
        // An unknown time is before every other time.
        written: written.and_then(|time| time.to_millis().ok()).unwrap_or(i64::MIN),
        current: current == Some(true),
        kind,
    }
}
