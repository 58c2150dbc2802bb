//! The tables as sea-orm entities, and the conversion of their rows.

use std::str::FromStr;

use sea_orm::DbErr;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clock::UnixMillis;
use crate::jobs::{
    Attempt, AttemptOutcome, JobError, JobId, JobResult, LeaseEpoch, OutboxDestination, OutboxMessage,
    OutputResult, RenditionResult, UnknownStatus, VideoJob,
};
use crate::tenant::{Priority, Share, Tenant};
use crate::trace::TraceContext;

pub(super) mod video_job {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "video_jobs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub idempotency_key: String,
        pub payload_hash: String,
        pub source: String,
        pub options: String,
        pub output_key: Option<String>,
        pub client_metadata: Option<String>,
        pub sequencer: Option<String>,
        pub generation: i32,
        pub status: String,
        pub stage: Option<String>,
        pub frames_done: i64,
        pub frames_total: i64,
        pub cancel_requested: bool,
        pub lease_epoch: i64,
        pub lease_owner: Option<String>,
        pub lease_expires_at: Option<i64>,
        pub time_limit_ms: Option<i64>,
        pub deadline_at: Option<i64>,
        pub attempts: i32,
        pub crash_count: i32,
        pub next_attempt_at: Option<i64>,
        pub result_key: Option<String>,
        pub result_size: Option<i64>,
        pub result_sha256: Option<String>,
        pub result_frames: Option<i64>,
        pub result_partial: Option<bool>,
        pub work_hash: Option<String>,
        pub error_code: Option<String>,
        pub error_message: Option<String>,
        pub created_at: i64,
        pub updated_at: i64,
        pub finished_at: Option<i64>,
        pub enqueued_at: i64,
        pub source_object: Option<String>,
        pub event_order: Option<String>,
        pub message_id: Option<String>,
        pub result_bucket: Option<String>,
        pub result_renditions: Option<String>,
        pub work_limit_ms: Option<i64>,
        pub begun_at: Option<i64>,
        pub trace_context: Option<String>,
        pub kept_at: Option<i64>,
        pub result_outputs: Option<String>,
        pub tenant: String,
        pub priority: i32,
        pub parked_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod outbox {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "outbox")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub seq: i64,
        pub id: Uuid,
        pub destination: String,
        pub job_id: Uuid,
        pub body: String,
        pub created_at: i64,
        pub taken_at: Option<i64>,
        pub sent_at: Option<i64>,
        pub refused_at: Option<i64>,
        pub refused_because: Option<String>,
        pub trace_context: Option<String>,
        pub flow: String,
        pub rank: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod attempt {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "videoframes_attempts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub job_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub epoch: i64,
        pub generation: i32,
        pub worker: String,
        pub started_at: i64,
        pub ended_at: Option<i64>,
        pub outcome: Option<String>,
        pub error_code: Option<String>,
        pub error_message: Option<String>,
        pub stages: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod restore {
    use sea_orm::entity::prelude::*;

    /// Identifier of the only row.
    pub(crate) const ROW: i32 = 1;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "videoframes_restore")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub deployment: Uuid,
        pub generation: i64,
        pub mark: i64,
        pub advanced_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<video_job::Model> for VideoJob {
    type Error = DbErr;

    fn try_from(row: video_job::Model) -> Result<Self, DbErr> {
        let result = row.result()?;
        Ok(Self {
            id: JobId(row.id),
            status: named(&row.status)?,
            stage: row.stage.as_deref().map(named).transpose()?,
            frames_done: count(row.frames_done),
            frames_total: count(row.frames_total),
            attempts: small_count(row.attempts),
            crash_count: small_count(row.crash_count),
            generation: small_count(row.generation),
            error_code: row.error_code,
            error_message: row.error_message,
            result,
            source: json::<Value>(&row.source)?.into(),
            options: json::<Value>(&row.options)?.into(),
            output_key: row.output_key,
            client_metadata: row.client_metadata.as_deref().map(json).transpose()?,
            idempotency_key: row.idempotency_key,
            payload_hash: row.payload_hash,
            sequencer: row.sequencer,
            cancel_requested: row.cancel_requested,
            lease_epoch: LeaseEpoch(row.lease_epoch),
            lease_owner: row.lease_owner,
            lease_expires_at: row.lease_expires_at.map(UnixMillis),
            time_limit_ms: row.time_limit_ms,
            work_limit_ms: row.work_limit_ms,
            begun_at: row.begun_at.map(UnixMillis),
            kept_at: row.kept_at.map(UnixMillis),
            deadline_at: row.deadline_at.map(UnixMillis),
            next_attempt_at: row.next_attempt_at.map(UnixMillis),
            created_at: UnixMillis(row.created_at),
            updated_at: UnixMillis(row.updated_at),
            finished_at: row.finished_at.map(UnixMillis),
            trace: trace(row.trace_context.as_deref()),
            tenant: Tenant::stored(&row.tenant),
            priority: Priority::stored(row.priority),
            parked_at: row.parked_at.map(UnixMillis),
        })
    }
}

impl video_job::Model {
    pub(super) fn result(&self) -> Result<Option<JobResult>, DbErr> {
        let renditions = self.result_renditions.as_deref().map(json).transpose()?;
        let outputs: Option<Vec<Value>> = self.result_outputs.as_deref().map(json).transpose()?;
        // A newer worker may have made an output of an unknown kind.
        let outputs = outputs.into_iter().flatten();
        let outputs = outputs.filter_map(|output| serde_json::from_value(output).ok());
        Ok(self.result_with(renditions.unwrap_or_default(), outputs.collect()))
    }

    fn result_with(&self, renditions: Vec<RenditionResult>, outputs: Vec<OutputResult>) -> Option<JobResult> {
        Some(JobResult {
            bucket: self.result_bucket.clone(),
            key: self.result_key.clone()?,
            size: count(self.result_size?),
            sha256: self.result_sha256.clone()?,
            frames: count(self.result_frames?),
            partial: self.result_partial?,
            renditions,
            outputs,
        })
    }
}

impl TryFrom<outbox::Model> for OutboxMessage {
    type Error = DbErr;

    fn try_from(row: outbox::Model) -> Result<Self, DbErr> {
        let known = [OutboxDestination::Notifier, OutboxDestination::Input];
        let share = Share::of_flow(&row.flow);
        let destination = known.into_iter().find(|known| known.as_str() == row.destination);
        Ok(Self {
            id: row.id,
            destination: destination
                .ok_or_else(|| DbErr::Type(format!("unknown destination '{}'", row.destination)))?,
            job: JobId(row.job_id),
            body: row.body,
            trace: trace(row.trace_context.as_deref()),
            tenant: share.tenant,
            priority: share.priority,
            redelivery: share.redelivery,
        })
    }
}

impl From<attempt::Model> for Attempt {
    /// Converts what this version knows: a newer worker may have recorded unknown outcomes and stages.
    fn from(row: attempt::Model) -> Self {
        let epoch = LeaseEpoch(row.epoch);
        let started_at = UnixMillis(row.started_at);
        let stages = row.stages.as_deref().map(json::<Vec<Value>>);
        let stages = stages.and_then(Result::ok).into_iter().flatten();
        Self {
            ended_at: row.ended_at.map(UnixMillis),
            outcome: row.outcome.as_deref().and_then(AttemptOutcome::from_name),
            error: row.error_code.map(|code| JobError {
                code,
                message: row.error_message.unwrap_or_default(),
            }),
            stages: stages
                .filter_map(|stage| serde_json::from_value(stage).ok())
                .collect(),
            ..Self::new(epoch, small_count(row.generation), &row.worker, started_at)
        }
    }
}

/// Reads a trace context. An unreadable context is no reason to stop the job.
fn trace(line: Option<&str>) -> Option<TraceContext> {
    line?.parse().ok()
}

fn named<T: FromStr<Err = UnknownStatus>>(name: &str) -> Result<T, DbErr> {
    name.parse()
        .map_err(|e: UnknownStatus| DbErr::Type(e.to_string()))
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, DbErr> {
    serde_json::from_str(text).map_err(|e| DbErr::Json(e.to_string()))
}

/// Stored numbers are never negative.
fn count(number: i64) -> u64 {
    number.unsigned_abs()
}

fn small_count(number: i32) -> u32 {
    number.unsigned_abs()
}
