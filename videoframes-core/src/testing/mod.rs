//! Mocks of the traits, and one conformance suite per trait for whoever implements it.

mod extractor;
mod mocks;
mod source;
mod storage;

pub use extractor::frame_extractor_conformance;
pub use mocks::{MockFrameExtractor, MockSink, MockSource, MockStorage};
pub use source::source_conformance;
pub use storage::{StorageCapabilities, storage_conformance};
