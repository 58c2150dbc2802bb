//! Test support: mocks of the traits, one conformance suite per trait, and proxies that inject network
//! faults.

mod extractor;
#[cfg(feature = "jobs")]
mod jobs;
mod link;
mod mocks;
mod proxy;
#[cfg(feature = "jobs")]
mod queue;
mod source;
mod storage;

pub use extractor::frame_extractor_conformance;
#[cfg(feature = "jobs")]
pub use jobs::{JobRepoHarness, job_repo_conformance};
pub use link::{Condition, Link, Upstream};
pub use mocks::{MockFrameExtractor, MockSink, MockSource, MockStorage};
#[cfg(feature = "jobs")]
pub use mocks::{MockJobRepo, MockQueue};
pub use proxy::{Fault, ProxiedRequest, Proxy};
#[cfg(feature = "jobs")]
pub use queue::{QueueAbilities, QueueHarness, queue_conformance};
pub use source::source_conformance;
pub use storage::{StorageCapabilities, storage_conformance};
