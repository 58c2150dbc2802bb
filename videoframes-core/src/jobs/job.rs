//! A job, its identifiers and its result.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::outputs::OutputResult;
use super::renditions::RenditionResult;
use super::{JobOptions, JobStatus, Parsed, SourceRef, Stage};
use crate::clock::UnixMillis;
use crate::storage::ObjectKey;
use crate::tenant::{Priority, Tenant};
use crate::trace::TraceContext;

/// Permanent identifier of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub(crate) Uuid);

impl JobId {
    /// Returns the identifier as a UUID.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// Returns a new identifier, which sorts after earlier ones.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::now_v7())
    }
}

impl From<Uuid> for JobId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Error for a text that is not a [`JobId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a job id")]
pub struct ParseJobIdError(String);

impl FromStr for JobId {
    type Err = ParseJobIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Uuid::try_parse(text).map_err(|_| ParseJobIdError(text.chars().take(80).collect()));
        id.map(Self)
    }
}

/// Number of claims of a job so far; only the holder of the latest claim may change the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseEpoch(pub(crate) i64);

impl LeaseEpoch {
    /// Returns the epoch with this number: zero before the first claim.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Returns the number of the epoch.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// SHA-256, in hexadecimal, of one version of a source and of all options that affect the archive.
///
/// Two jobs with the same hash have the same result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkHash(pub(crate) String);

impl WorkHash {
    /// Returns the hash with these hexadecimal digits.
    #[must_use]
    pub fn new(hex: impl Into<String>) -> Self {
        Self(hex.into())
    }

    /// Returns the hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Proof that a worker claimed a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Identifier of the job.
    pub job: JobId,
    /// Epoch of the claim.
    pub epoch: LeaseEpoch,
}

/// A request for a job.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Identifier of the job, if the request creates one.
    pub id: JobId,
    /// Idempotency key; requests with the same key are for the same job.
    pub idempotency_key: String,
    /// SHA-256 of the request; a different hash under the same idempotency key is a conflict.
    pub payload_hash: String,
    /// Location of the source.
    pub source: Parsed<SourceRef>,
    /// Options of the job.
    pub options: Parsed<JobOptions>,
    /// Key for the result, if the client chose one.
    pub output_key: Option<ObjectKey>,
    /// JSON from the client, repeated in the notification.
    pub client_metadata: Option<Value>,
    /// Sequencer of the event: hexadecimal digits, compared as S3 specifies.
    ///
    /// A job is superseded if its event is older than another event of the same source (bucket and key).
    pub sequencer: Option<String>,
    /// Unique identifier of a message that requests this job alone.
    pub message_id: Option<String>,
    /// Maximum time for the whole job, including waiting.
    pub time_limit: Option<Duration>,
    /// Maximum time from the start of the first attempt.
    pub work_limit: Option<Duration>,
    /// Error with which the job fails at once, if any.
    pub rejection: Option<JobError>,
    /// Trace context of the producer.
    pub trace: Option<TraceContext>,
    /// Tenant of the job.
    pub tenant: Tenant,
    /// Priority of the job.
    pub priority: Priority,
}

/// The current state of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VideoJob {
    /// Identifier of the job.
    pub id: JobId,
    /// Status of the job.
    pub status: JobStatus,
    /// Stage of the current attempt.
    pub stage: Option<Stage>,
    /// Number of pictures in the archive so far.
    pub frames_done: u64,
    /// Expected number of pictures; zero while unknown.
    pub frames_total: u64,
    /// Number of attempts that were started and not released.
    pub attempts: u32,
    /// Number of attempts whose worker crashed.
    pub crash_count: u32,
    /// Number of retries that operators requested.
    pub generation: u32,
    /// Code of the last error.
    pub error_code: Option<String>,
    /// Message of the last error.
    pub error_message: Option<String>,
    /// Result of the job.
    pub result: Option<JobResult>,
    /// Location of the source.
    pub source: Parsed<SourceRef>,
    /// Options of the job.
    pub options: Parsed<JobOptions>,
    /// Key for the result, if the client chose one.
    pub output_key: Option<String>,
    /// JSON from the client, repeated in the notification.
    pub client_metadata: Option<Value>,
    /// Idempotency key; requests with the same key are for the same job.
    pub idempotency_key: String,
    /// SHA-256 of the request.
    pub payload_hash: String,
    /// Sequencer of the event, which orders the events of one object.
    pub sequencer: Option<String>,
    /// Whether the worker has been asked to cancel the job.
    pub cancel_requested: bool,
    /// Epoch of the latest claim; zero before the first.
    pub lease_epoch: LeaseEpoch,
    /// Owner of the lease.
    pub lease_owner: Option<String>,
    /// Expiry of the lease.
    pub lease_expires_at: Option<UnixMillis>,
    /// Maximum time for the whole job in milliseconds, from its submission or its last retry by an operator.
    pub time_limit_ms: Option<i64>,
    /// Maximum time from the start of the first attempt, in milliseconds.
    pub work_limit_ms: Option<i64>,
    /// Start of the first attempt since the submission or the last retry by an operator.
    pub begun_at: Option<UnixMillis>,
    /// Deadline of the job.
    pub deadline_at: Option<UnixMillis>,
    /// Earliest start of the next attempt.
    pub next_attempt_at: Option<UnixMillis>,
    /// Time of the submission.
    pub created_at: UnixMillis,
    /// Time of the last change.
    pub updated_at: UnixMillis,
    /// Time at which the job became terminal.
    pub finished_at: Option<UnixMillis>,
    /// Trace context of the producer.
    #[serde(skip)]
    pub trace: Option<TraceContext>,
    /// Start of the legal hold, under which job and result are kept beyond their retention.
    pub kept_at: Option<UnixMillis>,
    /// Tenant of the job.
    pub tenant: Tenant,
    /// Priority of the job.
    pub priority: Priority,
    /// Time since which the job waits for the limit of its tenant.
    pub parked_at: Option<UnixMillis>,
}

impl VideoJob {
    /// Returns the key of the source, even if the key is invalid.
    pub fn source_key(&self) -> Option<&str> {
        self.source.json()["key"].as_str()
    }

    /// Returns the last error.
    pub fn error(&self) -> Option<JobError> {
        Some(JobError {
            code: self.error_code.clone()?,
            message: self.error_message.clone().unwrap_or_default(),
        })
    }
}

/// A finished archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// Bucket of the archive, if the store has a bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Key of the archive in the store.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the archive, in hexadecimal.
    pub sha256: String,
    /// Number of pictures in the archive.
    pub frames: u64,
    /// Whether the source is damaged, so that pictures may be missing.
    pub partial: bool,
    /// Renditions, in the order of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renditions: Vec<RenditionResult>,
    /// Outputs that are composed of frames.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputResult>,
}

/// The reason why a job or an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobError {
    /// Name of an [`ErrorCode`].
    pub code: String,
    /// Human-readable message.
    pub message: String,
}

impl JobError {
    /// Returns an error with one of this crate's codes.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code: code.as_str().to_owned(),
            message: message.into(),
        }
    }
}

macro_rules! error_codes {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// Stable codes for the errors of a job.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode { $($(#[$doc])+ $variant,)+ }

        impl ErrorCode {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the name of the code in rows, messages and listings.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns the code with this name, if this version knows it.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == name)
            }

            /// Returns whether the system is the reason, and not the request, its video or an operator.
            #[must_use]
            pub fn is_system_fault(self) -> bool {
                !matches!(
                    self,
                    Self::InvalidRequest
                        | Self::SourceNotFound
                        | Self::SourceRefused
                        | Self::InputChanged
                        | Self::EmptySource
                        | Self::NotAVideo
                        | Self::NoVideoStream
                        | Self::DamagedVideo
                        | Self::SelectionOutOfRange
                        | Self::LimitExceeded
                        | Self::RenditionFailed
                        | Self::OutputExists
                        | Self::Cancelled
                        | Self::Superseded
                )
            }
        }
    };
}

error_codes! {
    /// No video can satisfy the request.
    InvalidRequest = "INVALID_REQUEST",
    /// The source does not exist.
    SourceNotFound = "SOURCE_NOT_FOUND",
    /// The store denies access to the source.
    SourceRefused = "SOURCE_REFUSED",
    /// The source is temporarily unavailable.
    SourceUnavailable = "SOURCE_UNAVAILABLE",
    /// The source is not the requested version, or changed while it was read.
    InputChanged = "INPUT_CHANGED",
    /// The source is empty.
    EmptySource = "EMPTY_SOURCE",
    /// The source is not a video.
    NotAVideo = "NOT_A_VIDEO",
    /// The source has audio or pictures, but no video track.
    NoVideoStream = "NO_VIDEO_STREAM",
    /// The video is damaged or truncated.
    DamagedVideo = "DAMAGED_VIDEO",
    /// The selection lies outside the video.
    SelectionOutOfRange = "SELECTION_OUT_OF_RANGE",
    /// The decoder of this worker does not support the video.
    Unsupported = "UNSUPPORTED",
    /// The job exceeded a limit.
    LimitExceeded = "LIMIT_EXCEEDED",
    /// A required rendition cannot be made of the video.
    RenditionFailed = "RENDITION_FAILED",
    /// A different object exists under the key for the result.
    OutputExists = "OUTPUT_EXISTS",
    /// The result cannot be written for now.
    OutputUnavailable = "OUTPUT_UNAVAILABLE",
    /// No space is left on the device.
    NoSpace = "NO_SPACE",
    /// The decoder failed.
    DecoderFailed = "DECODER_FAILED",
    /// The decoder made no progress until the stall timeout.
    DecoderStalled = "DECODER_STALLED",
    /// The deadline of the job passed.
    DeadlineExceeded = "DEADLINE_EXCEEDED",
    /// The workers of the job crashed too often.
    WorkerCrashLoop = "WORKER_CRASH_LOOP",
    /// The job was cancelled on request.
    Cancelled = "CANCELLED",
    /// A newer event of the same object superseded the job.
    Superseded = "SUPERSEDED",
    /// Internal error of the worker.
    Internal = "INTERNAL",
}
