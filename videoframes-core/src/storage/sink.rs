//! The trait of all writers.

use async_trait::async_trait;
use bytes::Bytes;

use super::StorageError;

/// A writer for one object.
///
/// Callers may rely on the following:
/// - no object is visible under the key before [`Sink::finish`] is called;
/// - the object is complete and durable once [`Sink::finish`] has returned `Ok`;
/// - a dropped sink leaves nothing behind. Only a killed process may leave temporary data, which is not an
///   object.
///
/// Implementers make `finish` atomic and durable, and delete the written data on `abort` and on drop.
#[async_trait]
pub trait Sink: Send {
    /// Appends bytes. Not idempotent; after an error or a cancelled call only `abort` is allowed.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError>;

    /// Makes the complete object visible.
    ///
    /// With [`IfExists::Refuse`](super::IfExists::Refuse), an object that was created in the meantime stays, and this call fails with
    /// [`StorageError::AlreadyExists`]: exactly one of several writers succeeds. After any other error or a
    /// cancelled call, the object is either complete or does not exist.
    async fn finish(self: Box<Self>) -> Result<(), StorageError>;

    /// Deletes the written data, like a drop, but waits for the deletion.
    async fn abort(self: Box<Self>);
}
