//! A job and what belongs to it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::renditions::RenditionResult;
use super::{JobStatus, Stage};
use crate::clock::UnixMillis;
use crate::storage::ObjectKey;

/// Name of a job, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// A new one; later ones sort behind earlier ones.
    pub fn random() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A text that is no [`JobId`].
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

/// Counts the claims of a job; only the holder of the latest may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseEpoch(pub i64);

/// SHA-256 of one version of a source together with all options that the archive depends on, in
/// hexadecimal: two jobs with the same hash have the same result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkHash(pub String);

/// Proof of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The claim.
    pub epoch: LeaseEpoch,
}

/// A job as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its name, if it is new.
    pub id: JobId,
    /// Jobs with the same key are the same job.
    pub idempotency_key: String,
    /// SHA-256 of what was asked; another one under the same key is a conflict.
    pub payload_hash: String,
    /// Where the video is, as JSON.
    pub source: Value,
    /// What is asked of it, as JSON in canonical form.
    pub options: Value,
    /// Where the result has to go, if the client says so.
    pub output_key: Option<ObjectKey>,
    /// Whatever the client wants to read in the notification.
    pub client_metadata: Option<Value>,
    /// Order among the events of one object: hexadecimal digits, compared as S3 says. A job of an event
    /// that is older than another one of the same source (bucket and key) is superseded.
    pub sequencer: Option<String>,
    /// The message that asks for this job alone, by a name that no other message has.
    pub message_id: Option<String>,
    /// How long it may take altogether, waiting included.
    pub time_limit: Option<Duration>,
    /// How long it may take from when work on it first begins.
    pub work_limit: Option<Duration>,
    /// Why it is failed from the start, if it is.
    pub rejection: Option<JobError>,
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VideoJob {
    /// Its name.
    pub id: JobId,
    /// Where it is.
    pub status: JobStatus,
    /// What its worker is doing.
    pub stage: Option<Stage>,
    /// Pictures that are in the archive.
    pub frames_done: u64,
    /// Pictures that will be; zero while that is not known.
    pub frames_total: u64,
    /// Attempts that were begun and not handed back.
    pub attempts: u32,
    /// Attempts whose worker vanished.
    pub crash_count: u32,
    /// How often an operator asked for it again.
    pub generation: u32,
    /// Code of the last error.
    pub error_code: Option<String>,
    /// The last error in words.
    pub error_message: Option<String>,
    /// What came out.
    pub result: Option<JobResult>,
    /// Where the video is, as JSON.
    pub source: Value,
    /// What is asked of it, as JSON in canonical form.
    pub options: Value,
    /// Where the result has to go, if the client says so.
    pub output_key: Option<String>,
    /// Whatever the client wants to read in the notification.
    pub client_metadata: Option<Value>,
    /// Jobs with the same key are the same job.
    pub idempotency_key: String,
    /// SHA-256 of what was asked.
    pub payload_hash: String,
    /// Order among the events of one object.
    pub sequencer: Option<String>,
    /// Whether its worker has been asked to stop.
    pub cancel_requested: bool,
    /// The latest claim; zero before the first.
    pub lease_epoch: LeaseEpoch,
    /// Who holds it.
    pub lease_owner: Option<String>,
    /// Until when.
    pub lease_expires_at: Option<UnixMillis>,
    /// How long it may take altogether, in milliseconds from when it was accepted or asked for again.
    pub time_limit_ms: Option<i64>,
    /// How long it may take from when work on it first begins, in milliseconds.
    pub work_limit_ms: Option<i64>,
    /// When work on it first began, since it was accepted or asked for again.
    pub begun_at: Option<UnixMillis>,
    /// When it has to be finished.
    pub deadline_at: Option<UnixMillis>,
    /// When its next attempt may begin.
    pub next_attempt_at: Option<UnixMillis>,
    /// When it was accepted.
    pub created_at: UnixMillis,
    /// When anything last changed.
    pub updated_at: UnixMillis,
    /// When it became terminal.
    pub finished_at: Option<UnixMillis>,
}

impl VideoJob {
    /// The last error.
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
    /// The bucket that it is in, where the store is called by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Its name in the store.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Pictures in it.
    pub frames: u64,
    /// Whether the source was damaged and pictures may be missing.
    pub partial: bool,
    /// Compressed videos beside it, in the order in which they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renditions: Vec<RenditionResult>,
}

/// Why a job, or one attempt at it, failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// One of [`ErrorCode`], by name.
    pub code: String,
    /// In words for a person.
    pub message: String,
}

impl JobError {
    /// An error with a code of ours.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code: code.as_str().to_owned(),
            message: message.into(),
        }
    }
}

macro_rules! error_codes {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// Stable names of what can go wrong with a job.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])+ $variant,)+ }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in rows, messages and listings.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

error_codes! {
    /// The request cannot be met by any video.
    InvalidRequest = "INVALID_REQUEST",
    /// There is no such source.
    SourceNotFound = "SOURCE_NOT_FOUND",
    /// The store refuses to read the source.
    SourceRefused = "SOURCE_REFUSED",
    /// The source cannot be read for now.
    SourceUnavailable = "SOURCE_UNAVAILABLE",
    /// The source is another one than was asked for, or became one while it was read.
    InputChanged = "INPUT_CHANGED",
    /// The source has no bytes.
    EmptySource = "EMPTY_SOURCE",
    /// The source is not a video.
    NotAVideo = "NOT_A_VIDEO",
    /// The source has sound or pictures, but no video.
    NoVideoStream = "NO_VIDEO_STREAM",
    /// The video is damaged or ends too early.
    DamagedVideo = "DAMAGED_VIDEO",
    /// The video has no such moments.
    SelectionOutOfRange = "SELECTION_OUT_OF_RANGE",
    /// This worker's decoder lacks something.
    Unsupported = "UNSUPPORTED",
    /// A limit was reached.
    LimitExceeded = "LIMIT_EXCEEDED",
    /// A rendition that is not optional cannot be made of the video.
    RenditionFailed = "RENDITION_FAILED",
    /// Something else lies where the result has to go.
    OutputExists = "OUTPUT_EXISTS",
    /// The result cannot be written for now.
    OutputUnavailable = "OUTPUT_UNAVAILABLE",
    /// No space is left.
    NoSpace = "NO_SPACE",
    /// The decoder failed.
    DecoderFailed = "DECODER_FAILED",
    /// The decoder gave no sign of life.
    DecoderStalled = "DECODER_STALLED",
    /// The time for the whole job is over.
    DeadlineExceeded = "DEADLINE_EXCEEDED",
    /// Its workers died too often.
    WorkerCrashLoop = "WORKER_CRASH_LOOP",
    /// Someone stopped it.
    Cancelled = "CANCELLED",
    /// A newer event of the same object took its place.
    Superseded = "SUPERSEDED",
    /// A defect of the worker.
    Internal = "INTERNAL",
}
