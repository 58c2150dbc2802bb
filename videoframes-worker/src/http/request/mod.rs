//! Requests of clients, parsed without I/O: queries, headers and bodies. The fuzz target `requests` includes this folder.

mod changes;
mod filter;
mod headers;
mod invalid;
mod list;
mod range;
mod upload;

pub(crate) use self::changes::{ChangeMany, MAX_CHANGES};
pub(crate) use self::headers::{forwarded, idempotency_key, is_json, parent, presented_secret};
pub(crate) use self::invalid::InvalidRequest;
pub(crate) use self::list::{Position, list_filter, parameters};
pub(crate) use self::range::{Selected, is_known, select};
pub(crate) use self::upload::{PresignRequest, content_digest, upload_key};
