//! The table as a sea-orm entity, and the conversion of its rows.

use std::collections::BTreeMap;

use sea_orm::DbErr;

use crate::clock::UnixMillis;
use crate::queue::{Message, ReceiptHandle};

#[allow(unreachable_pub)] // The derived items are pub.
pub(super) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "queue_messages")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub seq: i64,
        pub queue: String,
        pub body: String,
        pub attributes: String,
        pub deduplication_id: Option<String>,
        pub sent_at: i64,
        pub visible_at: i64,
        pub receive_count: i32,
        pub flow: String,
        pub step: i64,
        pub rank: i64,
        pub ready: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[allow(unreachable_pub)] // The derived items are pub.
pub(super) mod flow {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "videoframes_flows")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub queue: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub flow: String,
        pub rank: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The content of a handle: the message and its receive count. The count never decreases, so every receipt
/// has a unique handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) seq: i64,
    pub(super) count: i32,
}

impl Receipt {
    pub(super) fn handle(self) -> ReceiptHandle {
        ReceiptHandle(format!("{}/{}", self.seq, self.count))
    }

    /// Parses a handle; `None` if the handle is not from a database queue.
    pub(super) fn read(handle: &ReceiptHandle) -> Option<Self> {
        let (seq, count) = handle.0.split_once('/')?;
        Some(Self {
            seq: seq.parse().ok()?,
            count: count.parse().ok()?,
        })
    }
}

impl row::Model {
    pub(super) fn receipt(&self) -> Receipt {
        Receipt {
            seq: self.seq,
            count: self.receive_count,
        }
    }

    pub(super) fn attributes(&self) -> Result<BTreeMap<String, String>, DbErr> {
        serde_json::from_str(&self.attributes).map_err(|e| DbErr::Json(e.to_string()))
    }

    pub(super) fn message(self) -> Result<Message, DbErr> {
        Ok(Message {
            id: self.seq.to_string(),
            attributes: self.attributes()?,
            receipt: self.receipt().handle(),
            receive_count: self.receive_count.unsigned_abs(),
            sent_at: Some(UnixMillis(self.sent_at)),
            aws_trace_header: None,
            body: self.body,
        })
    }
}
