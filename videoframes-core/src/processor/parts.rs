//! The dependencies of a processor.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use super::circuit::Circuits;
use super::drained::Drained;
use super::keys;
use super::member::FleetMember;
use super::monitor::Monitor;
use super::rate::Rates;
use crate::clock::{Clock, SystemClock};
use crate::compress::Compressor;
use crate::extract::{FrameExtractor, PictureEncoder};
use crate::jobs::{JobRepo, Rules};
use crate::pipeline::Scratch;
use crate::queue::{InputQueues, Queue};
use crate::storage::{ObjectKey, Storage, Stores};
use crate::tenant::Tenants;

/// The queues of a processor.
pub struct Queues {
    /// Queues of incoming messages.
    pub input: InputQueues,
    /// Queue of the notifications for clients.
    pub notifier: Arc<dyn Queue>,
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues")
            .field("input", &self.input)
            .field("notifier", &self.notifier.name())
            .finish()
    }
}

/// The dependencies of a processor.
pub struct Parts {
    /// Queues of incoming messages.
    pub(super) input: InputQueues,
    /// Queue of the notifications for clients.
    pub(super) notifier: Arc<dyn Queue>,
    /// Repository of the jobs.
    pub(super) repo: Arc<dyn JobRepo>,
    /// Stores of the sources and results.
    pub(super) stores: Stores,
    /// Extractor of pictures.
    pub(super) extractor: Arc<dyn FrameExtractor>,
    /// Encoder of renditions, if any.
    pub(super) compressor: Option<Arc<dyn Compressor>>,
    /// Encoder of composed pictures, if any.
    pub(super) encoder: Option<Arc<dyn PictureEncoder>>,
    /// Directory for local copies of sources, for decoders that need files.
    pub(super) scratch: Scratch,
    /// Rules for new objects.
    pub(super) rules: Rules,
    /// Weights of tenants.
    pub(super) tenants: Tenants,
    pub(super) outbox: Notify,
    pub(super) rates: Rates,
    pub(super) circuits: Circuits,
    pub(super) monitor: Monitor,
    pub(super) probe_key: Option<ObjectKey>,
    pub(super) drained: Drained,
    /// Whether a restored database is recognized.
    pub(super) keeps_mark: bool,
    /// Membership in a fleet, if any.
    pub(super) member: Option<FleetMember>,
    /// Clock of the worker, with which ages of objects are measured.
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("stores", &self.stores)
            .field("compressor", &self.compressor.is_some())
            .field("encoder", &self.encoder.is_some())
            .field("scratch", &self.scratch)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl Parts {
    /// Returns parts with a scratch directory in the system's temporary directory.
    pub fn new(
        queues: Queues,
        repo: Arc<dyn JobRepo>,
        storage: Arc<dyn Storage>,
        extractor: Arc<dyn FrameExtractor>,
    ) -> Self {
        Self {
            input: queues.input,
            notifier: queues.notifier,
            repo,
            stores: Stores::one(storage),
            extractor,
            compressor: None,
            encoder: None,
            scratch: Scratch::default(),
            rules: Rules::default(),
            tenants: Tenants::default(),
            outbox: Notify::new(),
            rates: Rates::default(),
            circuits: Circuits::default(),
            monitor: Monitor::default(),
            probe_key: keys::probe(),
            drained: Drained::default(),
            keeps_mark: false,
            member: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Replaces the store with several stores.
    pub fn with_stores(self, stores: Stores) -> Self {
        Self { stores, ..self }
    }

    /// Adds an encoder of renditions. Without an encoder, jobs with renditions are left to other workers.
    pub fn with_compressor(self, compressor: Arc<dyn Compressor>) -> Self {
        Self {
            compressor: Some(compressor),
            ..self
        }
    }

    /// Adds an encoder of composed pictures. Without an encoder, jobs with storyboards, contact sheets, previews or
    /// times in pictures are left to other workers.
    pub fn with_encoder(self, encoder: Arc<dyn PictureEncoder>) -> Self {
        Self {
            encoder: Some(encoder),
            ..self
        }
    }

    /// Replaces the scratch directory.
    pub fn with_scratch(self, scratch: Scratch) -> Self {
        Self { scratch, ..self }
    }

    /// Replaces the monitor of the processor, for a program that reports the state before the processor exists.
    pub fn with_monitor(self, monitor: Monitor) -> Self {
        let circuits = Circuits::new(monitor.clone());
        Self {
            monitor,
            circuits,
            ..self
        }
    }

    /// Recognizes a database that was restored to an earlier moment, by a mark in database and result store: see
    /// [`RestoreMark`](crate::jobs::RestoreMark).
    ///
    /// The repository has to outlive the process, as the store does.
    pub fn with_restore_mark(self) -> Self {
        Self {
            keeps_mark: true,
            ..self
        }
    }

    /// Takes part in a fleet: receives messages according to the role of the revision, and reports to the registry.
    pub fn with_fleet(self, member: FleetMember) -> Self {
        Self {
            member: Some(member),
            ..self
        }
    }

    /// Replaces the clock of the worker, for tests. Ages of objects are measured with this clock; the times of jobs and
    /// messages are those of their repository and queue.
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Returns the age of an object according to the clock of the worker; zero for a time in the future.
    pub(super) fn age(&self, modified: SystemTime) -> Duration {
        let now = Duration::from_millis(u64::try_from(self.clock.now().get()).unwrap_or(0));
        (UNIX_EPOCH + now).duration_since(modified).unwrap_or_default()
    }

    /// Replaces the weights of tenants.
    pub fn with_tenants(self, tenants: Tenants) -> Self {
        Self { tenants, ..self }
    }

    /// Replaces the rules for new objects. Without rules, new objects create no jobs.
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }
}
