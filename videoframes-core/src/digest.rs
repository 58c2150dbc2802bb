//! SHA-256 checksums, and reads of whole sources that are verified.

use std::fmt;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::source::Source;

/// Size of one read of a source in bytes.
const SOURCE_CHUNK: usize = 4 << 20;
/// Size of one read of a local file in bytes.
const FILE_CHUNK: usize = 1 << 20;

/// Size and checksum of a file or an object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the content, in hexadecimal.
    pub sha256: String,
}

/// A SHA-256 checksum of bytes that arrive in parts.
#[derive(Clone, Default)]
pub struct Checksum {
    hash: Sha256,
    size: u64,
}

impl Checksum {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Returns number and checksum of all bytes.
    pub fn finish(self) -> Written {
        Written {
            size: self.size,
            sha256: hex(&self.hash.finalize()),
        }
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checksum")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Returns the SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns the SHA-256 of a JSON value, with the fields of objects sorted by name, in hexadecimal.
#[cfg(feature = "jobs")]
pub(crate) fn of_json(value: &serde_json::Value) -> String {
    sha256(value.to_string())
}

/// Reads all bytes, and returns their number and checksum. Blocks.
///
/// # Errors
/// Returns the error of the reader.
pub fn of_reader(mut reader: impl Read) -> io::Result<Written> {
    let mut checksum = Checksum::default();
    let mut chunk = vec![0; FILE_CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(checksum.finish()),
            Ok(read) => checksum.update(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Errors of a read of a whole source.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source ends before its length.
    #[error("the source is truncated")]
    Truncated,
    /// A read failed, or the bytes differ from the checksum of the store.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads a whole source, verifies the bytes against the checksum of the store, if the store has one, and returns
/// their number and checksum.
///
/// # Errors
/// Returns [`ReadError::Io`] also if the checksums differ.
pub async fn of_source(source: &dyn Source) -> Result<Written, ReadError> {
    let mut checksum = Checksum::default();
    let mut verifier = source.verifier();
    let mut offset = 0;
    while offset < source.len() {
        let bytes = source.read_at(offset, SOURCE_CHUNK).await?;
        if bytes.is_empty() {
            return Err(ReadError::Truncated);
        }
        checksum.update(&bytes);
        if let Some(verifier) = &mut verifier {
            verifier.update(&bytes);
        }
        offset += bytes.len() as u64;
    }
    if let Some(verifier) = verifier {
        verifier.finish()?;
    }
    Ok(checksum.finish())
}

/// Formats bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::source::MemorySource;

    /// SHA-256 of "abc", from FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[tokio::test]
    async fn all_ways_of_reading_give_the_same_checksum() {
        let expected = Written {
            size: 3,
            sha256: ABC.to_owned(),
        };
        let mut parts = Checksum::default();
        parts.update(b"a");
        parts.update(b"bc");
        assert_eq!(parts.finish(), expected);
        assert_eq!(sha256("abc"), ABC);
        assert_eq!(of_reader(&b"abc"[..]).unwrap(), expected);
        let source = MemorySource::new("v", &b"abc"[..]);
        assert_eq!(of_source(&source).await.unwrap(), expected);
    }
}
