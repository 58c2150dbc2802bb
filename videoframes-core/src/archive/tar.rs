//! A tar archive, written sequentially.

use std::fmt;
use std::io;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Archive, ArchiveError};
use crate::storage::Sink;

/// Size of a block. Every header and every content begins at a multiple of this size.
const BLOCK: usize = 512;

/// Two blocks of zeros end an archive.
const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// A tar archive with fixed times, owners and modes: the same files give the same bytes.
///
/// Headers have the format ustar. A name that a ustar header cannot hold (long, or not ASCII) has a pax header.
pub struct TarArchive {
    sink: Box<dyn Sink>,
    size: u64,
}

impl fmt::Debug for TarArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarArchive")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl TarArchive {
    /// Returns an archive that writes to `sink`.
    #[must_use]
    pub fn new(sink: Box<dyn Sink>) -> Self {
        Self { sink, size: 0 }
    }

    async fn write(&mut self, part: Bytes) -> Result<u64, ArchiveError> {
        let length = part.len() as u64;
        if length > 0 {
            self.sink.write(part).await?;
            self.size += length;
        }
        Ok(length)
    }
}

#[async_trait]
impl Archive for TarArchive {
    async fn add(&mut self, name: &str, content: Bytes) -> Result<u64, ArchiveError> {
        let head = head(name, content.len() as u64).map_err(|source| ArchiveError::Format {
            name: name.to_owned(),
            source: source.into(),
        })?;
        let padding = content.len().next_multiple_of(BLOCK) - content.len();
        let mut added = 0;
        // The content is not copied.
        for part in [head.into(), content, Bytes::from_static(&END[..padding])] {
            added += self.write(part).await?;
        }
        Ok(added)
    }

    fn shard(&self) -> Option<&str> {
        None
    }

    async fn finish(mut self: Box<Self>) -> Result<u64, ArchiveError> {
        if let Err(error) = self.write(Bytes::from_static(&END)).await {
            self.sink.abort().await;
            return Err(error);
        }
        self.sink.finish().await?;
        Ok(self.size)
    }

    async fn abort(self: Box<Self>) {
        self.sink.abort().await;
    }
}

/// Returns the headers of an entry.
fn head(name: &str, size: u64) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    if !name.is_ascii() || header.set_path(name).is_err() {
        builder.append_pax_extensions([("path", name.as_bytes())])?;
        header.set_path(short(name))?;
    }
    header.set_cksum();
    let mut head = std::mem::take(builder.get_mut());
    head.extend_from_slice(header.as_bytes());
    Ok(head)
}

/// Returns a name for readers that ignore pax headers: the last characters of the name, in ASCII.
fn short(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    let ascii = |c: char| if c.is_ascii() { c } else { '_' };
    let skipped = name.chars().count().saturating_sub(100);
    name.chars().skip(skipped).map(ascii).collect()
}
