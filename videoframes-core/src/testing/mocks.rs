//! mockall mocks, for failures that a real implementation cannot be made to show.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mockall::mock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::extract::{ExtractError, ExtractReport, ExtractRequest, FrameExtractor, Input, Picture, Scan};
use crate::limits::Limits;
use crate::source::Source;
use crate::storage::{ObjectEntry, ObjectInfo, ObjectKey, PutOptions, Sink, Storage, StorageError};
use crate::video::{Timeline, VideoInfo};

mock! {
    /// A [`Source`] that does what it is told.
    #[derive(Debug)]
    pub Source {}

    #[async_trait]
    impl Source for Source {
        fn name(&self) -> &str;
        fn len(&self) -> u64;
        fn is_empty(&self) -> bool;
        fn local_path(&self) -> Option<&'static Path>;
        async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes>;
    }
}

mock! {
    /// A [`Sink`] that does what it is told.
    #[derive(Debug)]
    pub Sink {}

    #[async_trait]
    impl Sink for Sink {
        async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError>;
        async fn finish(self: Box<Self>) -> Result<(), StorageError>;
        async fn abort(self: Box<Self>);
    }
}

mock! {
    /// A [`Storage`] that does what it is told.
    #[derive(Debug)]
    pub Storage {}

    // mockall wants a name for a lifetime inside of `Option`, and then the trait's order of all of them.

    #[async_trait]
    impl Storage for Storage {
        async fn head(&self, key: &ObjectKey) -> Result<ObjectInfo, StorageError>;
        async fn open<'s, 'k, 'a>(&'s self, key: &'k ObjectKey, if_match: Option<&'a str>) -> Result<Arc<dyn Source>, StorageError>;
        async fn create(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<dyn Sink>, StorageError>;
        async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError>;
        async fn list<'s, 'p, 'a>(
            &'s self,
            prefix: &'p str,
            after: Option<&'a ObjectKey>,
            most: usize,
        ) -> Result<Vec<ObjectEntry>, StorageError>;
        async fn import(&self, key: &ObjectKey, path: &Path, options: &PutOptions) -> Result<(), StorageError>;
    }
}

mock! {
    /// A [`FrameExtractor`] that does what it is told.
    #[derive(Debug)]
    pub FrameExtractor {}

    #[async_trait]
    impl FrameExtractor for FrameExtractor {
        async fn version(&self) -> Result<String, ExtractError>;
        async fn describe(
            &self,
            input: &Path,
            limits: &Limits,
            cancel: &CancellationToken,
        ) -> Result<VideoInfo, ExtractError>;
        async fn promise(
            &self,
            input: &Path,
            video: &VideoInfo,
            limits: &Limits,
            cancel: &CancellationToken,
        ) -> Result<Option<Timeline>, ExtractError>;
        async fn scan(
            &self,
            input: &Path,
            video: &VideoInfo,
            limits: &Limits,
            cancel: &CancellationToken,
        ) -> Result<Scan, ExtractError>;
        async fn extract(
            &self,
            input: &Input,
            request: ExtractRequest,
            limits: &Limits,
            pictures: mpsc::Sender<Picture>,
            cancel: &CancellationToken,
        ) -> Result<ExtractReport, ExtractError>;
    }
}
