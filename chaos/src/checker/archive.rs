//! Archives as a reader sees them.

use std::io::{Cursor, Read};

use sha2::{Digest, Sha256};

/// Maximum number of bytes of a file in an archive.
const LIMIT: u64 = 256 << 20;

/// The content of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archive {
    pub(crate) sha256: String,
    pub(crate) size: u64,
    /// Number of pictures, each of which was decoded.
    pub(crate) pictures: u64,
}

/// Returns a checksum in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Reads an archive and decodes its pictures. Fails with the reason.
pub(crate) fn read(bytes: &[u8]) -> Result<Archive, String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let mut pictures = 0;
    let mut manifests = 0;
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|error| error.to_string())?;
        let name = file.name().map_err(|error| error.to_string())?.into_owned();
        let mut content = Vec::new();
        // Reading to the end verifies the CRC.
        file.take(LIMIT)
            .read_to_end(&mut content)
            .map_err(|error| format!("'{name}': {error}"))?;
        match name.ends_with(".json") {
            true => manifests += 1,
            false => {
                image::load_from_memory(&content).map_err(|error| format!("'{name}': {error}"))?;
                pictures += 1;
            }
        }
    }
    if manifests != 1 {
        return Err(format!("{manifests} manifests instead of one"));
    }
    Ok(Archive {
        sha256: sha256(bytes),
        size: bytes.len() as u64,
        pictures,
    })
}
