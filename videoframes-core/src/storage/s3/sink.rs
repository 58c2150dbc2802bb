//! An object that is being written: at once where it is small, else in parts.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::super::{Sink, StorageError};
use super::upload::{Target, Upload};

/// Collects bytes until they are a part.
pub(super) struct S3Sink {
    target: Target,
    part: BytesMut,
    upload: Option<Upload>,
}

impl S3Sink {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            part: BytesMut::new(),
            upload: None,
        }
    }

    fn part_bytes(&self) -> usize {
        let number = self.upload.as_ref().map_or(1, |upload| upload.next);
        self.target.options.bytes_of_part(number)
    }

    async fn send_part(&mut self) -> Result<(), StorageError> {
        let part = std::mem::take(&mut self.part).freeze();
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(Upload::begin(self.target.clone()).await?),
        };
        upload.part(part).await
    }
}

#[async_trait]
impl Sink for S3Sink {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), StorageError> {
        while !bytes.is_empty() {
            let most = self.part_bytes();
            if self.part.capacity() == 0 {
                self.part.reserve(most.min(bytes.len().max(1 << 20)));
            }
            let taken = bytes.split_to(bytes.len().min(most - self.part.len()));
            self.part.extend_from_slice(&taken);
            if self.part.len() == most {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), StorageError> {
        if self.upload.is_none() {
            return self.target.put(self.part.freeze()).await;
        }
        if !self.part.is_empty() {
            self.send_part().await?;
        }
        match self.upload {
            Some(upload) => upload.finish().await,
            None => Ok(()),
        }
    }

    async fn abort(self: Box<Self>) {
        if let Some(upload) = self.upload {
            upload.abort().await;
        }
    }
}
