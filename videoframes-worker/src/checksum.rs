//! What files and objects are known by.

use sha2::{Digest, Sha256};

/// SHA-256 of bytes as they come.
#[derive(Debug, Default)]
pub(crate) struct Checksum(Sha256);

impl Checksum {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In hexadecimal, as rows and notifications have it.
    pub(crate) fn hex(self) -> String {
        let bytes = self.0.finalize();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
