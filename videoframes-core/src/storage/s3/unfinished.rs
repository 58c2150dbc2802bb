//! Uploads that nobody finished.

use std::time::SystemTime;

use super::super::{ObjectKey, StorageError};
use super::error::{Asked, status};
use super::{S3Storage, asked, time};

/// An upload in parts that was begun and neither finished nor given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedUpload {
    /// The object that it would have become.
    pub key: ObjectKey,
    /// When it was begun.
    pub begun: SystemTime,
    id: String,
}

impl S3Storage {
    /// Uploads to keys that begin with `prefix`, of living writers and of those that died.
    ///
    /// # Errors
    /// As [`super::super::Storage::list`].
    pub async fn unfinished(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>, StorageError> {
        let own = self.prefix();
        let (mut found, mut key, mut id) = (Vec::new(), None, None);
        loop {
            let page = self
                .client
                .list_multipart_uploads()
                .bucket(self.bucket())
                .prefix(format!("{own}{prefix}"))
                .set_key_marker(key.take())
                .set_upload_id_marker(id.take())
                .send()
                .await;
            let about = Asked {
                action: "list uploads to",
                name: prefix,
            };
            let page = page.map_err(|error| about.failed(&error))?;
            found.extend(page.uploads().iter().filter_map(|upload| {
                Some(UnfinishedUpload {
                    key: upload.key()?.strip_prefix(&own)?.parse().ok()?,
                    begun: time(upload.initiated()),
                    id: upload.upload_id()?.to_owned(),
                })
            }));
            (key, id) = (page.next_key_marker, page.next_upload_id_marker);
            if !page.is_truncated.unwrap_or_default() || key.is_none() {
                return Ok(found);
            }
        }
    }

    /// Gives an upload up. Idempotent: one that is finished or gone is no error.
    ///
    /// # Errors
    /// As [`super::super::Storage::delete`].
    pub async fn give_up(&self, upload: &UnfinishedUpload) -> Result<(), StorageError> {
        let aborted = self
            .client
            .abort_multipart_upload()
            .bucket(self.bucket())
            .key(self.path(&upload.key))
            .upload_id(&upload.id)
            .send()
            .await;
        match aborted {
            Err(error) if status(&error) != Some(404) => Err(asked("give up", &upload.key).failed(&error)),
            _ => Ok(()),
        }
    }
}
