//! Public types can be shared by threads and printed. Each function is a check at compile time.

use std::fmt::Debug;

use videoframes_core::archive::{
    Archive, ArchiveError, Destination, Directory, Manifest, PictureFile, ShardDirectory, TarFile, ZipFile,
    ZipObject,
};
use videoframes_core::compress::{CompressError, CompressOptions, Compressed, Compressor, VideoTarget};
use videoframes_core::extract::{
    EncodeRequest, ExtractError, ExtractRequest, FrameExtractor, Input, Picture, PictureEncoder,
};
use videoframes_core::ffmpeg::{FfmpegCompressor, FfmpegExtractor};
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::{
    CompressJob, ContactSheetRequest, Frame, FrameIter, FrameStream, FramesRequest, FramesSummary, Outline,
    Probe, Rendition, Request, Scratch, StoryboardRequest, Summary,
};
use videoframes_core::plan::DecodePlan;
use videoframes_core::select::{SelectError, Selection};
use videoframes_core::sheet::{Colour, ContactStyle, Font};
use videoframes_core::source::{FileSource, MemorySource, Source};
use videoframes_core::storage::{LocalStorage, MemoryStorage, Opened, Sink, Storage, StorageError, Stores};
use videoframes_core::video::{IndexReader, Timeline, VideoIndex, VideoInfo};
use videoframes_core::{Error, ErrorKind, Pipeline};

fn shareable<T: Debug + Send + Sync + 'static>() {}
fn sendable<T: ?Sized + Send>() {}
fn object<T: ?Sized + Send + Sync>() {}

#[test]
fn public_types_are_send_sync_and_debug() {
    shareable::<Pipeline>();
    shareable::<(Request, CompressJob, Rendition, Scratch, Limits)>();
    shareable::<(Probe, Outline, Summary, Manifest, Compressed)>();
    shareable::<(
        ZipFile,
        TarFile,
        ShardDirectory,
        PictureFile,
        Directory,
        ZipObject,
        VideoTarget,
    )>();
    shareable::<(
        CompressOptions,
        Selection,
        Timeline,
        VideoInfo,
        VideoIndex,
        DecodePlan,
    )>();
    shareable::<(ExtractRequest, Input, Picture, IndexReader)>();
    shareable::<(FfmpegExtractor, FfmpegCompressor)>();
    shareable::<(Frame, FramesRequest, FramesSummary)>();
    shareable::<(StoryboardRequest, ContactSheetRequest, EncodeRequest)>();
    shareable::<(ContactStyle, Colour, Font)>();
    sendable::<(FrameStream, FrameIter)>();
    shareable::<(FileSource, MemorySource)>();
    shareable::<(LocalStorage, MemoryStorage, Stores, Opened)>();
}

#[test]
fn errors_are_send_sync_and_debug() {
    shareable::<(Error, ErrorKind, ArchiveError, CompressError, ExtractError)>();
    shareable::<(SelectError, StorageError)>();
}

#[test]
fn traits_have_shareable_objects() {
    object::<dyn Source>();
    object::<dyn Storage>();
    object::<dyn FrameExtractor>();
    object::<dyn PictureEncoder>();
    object::<dyn Compressor>();
    object::<dyn Destination>();
    sendable::<dyn Archive>();
    sendable::<dyn Sink>();
}

#[cfg(feature = "jobs")]
#[test]
fn the_job_engine_is_send_sync_and_debug() {
    use videoframes_core::jobs::{JobRepo, JobRepoError, MemoryJobRepo, VideoJob};
    use videoframes_core::processor::{Parts, Processor, ProcessorConfig};
    use videoframes_core::queue::{MemoryQueue, Queue, QueueError};

    object::<dyn JobRepo>();
    object::<dyn Queue>();
    shareable::<(Parts, Processor, ProcessorConfig)>();
    shareable::<(MemoryJobRepo, VideoJob, JobRepoError, MemoryQueue, QueueError)>();
}

#[cfg(feature = "http")]
#[test]
fn http_sources_are_send_sync_and_debug() {
    use videoframes_core::source::http::{HttpError, HttpSource, HttpUrl, InvalidUrl};

    shareable::<(HttpSource, HttpUrl, HttpError, InvalidUrl)>();
}

#[cfg(feature = "s3")]
#[test]
fn s3_stores_are_send_sync_and_debug() {
    shareable::<(
        videoframes_core::storage::S3Storage,
        videoframes_core::storage::S3Options,
    )>();
}

#[cfg(feature = "sqs")]
#[test]
fn sqs_queues_are_send_sync_and_debug() {
    shareable::<(
        videoframes_core::queue::SqsQueue,
        videoframes_core::queue::SqsOptions,
    )>();
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[test]
fn databases_are_send_sync_and_debug() {
    use videoframes_core::database::{Database, DatabaseError, DatabaseOptions};

    shareable::<(Database, DatabaseOptions, DatabaseError)>();
    shareable::<(
        videoframes_core::jobs::SeaOrmJobRepo,
        videoframes_core::queue::DatabaseQueue,
    )>();
}
