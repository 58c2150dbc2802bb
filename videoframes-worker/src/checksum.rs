//! Checksums of files and objects.

use sha2::{Digest, Sha256};

/// An incremental SHA-256 checksum.
#[derive(Debug, Default)]
pub(crate) struct Checksum(Sha256);

impl Checksum {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the checksum in hexadecimal, as in rows and notifications.
    pub(crate) fn hex(self) -> String {
        let bytes = self.0.finalize();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
