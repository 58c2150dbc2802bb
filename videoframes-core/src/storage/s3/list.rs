//! Lists objects and incomplete uploads.

use std::time::{Duration, SystemTime};

use super::bucket::{Bucket, time};
use crate::storage::{ObjectEntry, ObjectKey, StorageError};

/// Maximum number of objects per page.
const PAGE: usize = 1000;

impl Bucket {
    /// See [`crate::storage::Storage::list`].
    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, StorageError> {
        let own = &self.options.prefix;
        let mut found = Vec::new();
        let mut after = after.map(|key| format!("{own}{key}"));
        while found.len() < limit {
            let page_limit = (limit - found.len()).min(PAGE);
            let page = self
                .client
                .list_objects_v2()
                .bucket(self.name())
                .prefix(format!("{own}{prefix}"))
                .set_start_after(after)
                .max_keys(i32::try_from(page_limit).unwrap_or(i32::MAX))
                .customize()
                .config_override(self.short_request())
                .send();
            let page = page.await.map_err(|e| self.refusal(e));
            let page = page.map_err(|refusal| refusal.into_failure("list", self.name()))?;
            for object in page.contents() {
                // Skips names that are not valid keys, such as placeholders for folders.
                let key = object.key().and_then(|key| key.strip_prefix(own.as_str()));
                if let Some(key) = key.and_then(|key| key.parse().ok()) {
                    found.push(ObjectEntry {
                        key,
                        size: object
                            .size()
                            .and_then(|size| u64::try_from(size).ok())
                            .unwrap_or(0),
                        modified: time(object.last_modified()),
                    });
                }
            }
            // Some stores report a full page as the last one.
            let more = page.is_truncated() == Some(true) || page.contents().len() >= page_limit;
            let last = page.contents().last().and_then(|object| object.key());
            match last {
                Some(last) if more => after = Some(last.to_owned()),
                _ => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// See [`super::S3Storage::abort_uploads`].
    pub(super) async fn abort_uploads(&self, below: &str, older_than: Duration) -> Result<u64, StorageError> {
        let mut aborted = 0;
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let page = self
                .client
                .list_multipart_uploads()
                .bucket(self.name())
                .prefix(format!("{}{below}", self.options.prefix))
                .set_key_marker(key_marker)
                .set_upload_id_marker(id_marker)
                .customize()
                .config_override(self.short_request())
                .send();
            let page = page.await.map_err(|e| self.refusal(e));
            let page = page.map_err(|refusal| refusal.into_failure("list the uploads of", self.name()))?;
            for upload in page.uploads() {
                let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else {
                    continue;
                };
                let started = time(upload.initiated());
                let age = SystemTime::now().duration_since(started).unwrap_or_default();
                if upload.initiated().is_none() || age < older_than {
                    continue;
                }
                let gone = self.abort(key, id).await;
                gone.map_err(|refusal| refusal.into_failure("abort uploads to", self.name()))?;
                aborted += 1;
            }
            if page.is_truncated() != Some(true) || page.next_key_marker().is_none() {
                return Ok(aborted);
            }
            key_marker = page.next_key_marker().map(str::to_owned);
            id_marker = page.next_upload_id_marker().map(str::to_owned);
        }
    }
}
