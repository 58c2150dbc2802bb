//! What a store knows of all bytes of an object together.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumType, ServerSideEncryption};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::Md5;
use sha2::{Digest, Sha256};

use crate::source::Verifier;

/// A checksum over a whole object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checksum {
    kind: Kind,
    value: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Crc64Nvme,
    Sha256,
    Crc32,
    Crc32c,
    Md5,
}

impl Checksum {
    /// The best that an answer to a HEAD has.
    pub(super) fn of(head: &HeadObjectOutput) -> Option<Self> {
        let whole = head
            .checksum_type()
            .is_none_or(|kind| *kind == ChecksumType::FullObject);
        let known = [
            (Kind::Crc64Nvme, head.checksum_crc64_nvme(), 8),
            (Kind::Sha256, head.checksum_sha256(), 32),
            (Kind::Crc32, head.checksum_crc32(), 4),
            (Kind::Crc32c, head.checksum_crc32_c(), 4),
        ];
        // One of parts has a number behind it, and is no base64.
        let mut known = known
            .into_iter()
            .filter(|_| whole)
            .filter_map(|(kind, text, bytes)| {
                let value = STANDARD.decode(text?).ok()?;
                (value.len() == bytes).then_some(Self { kind, value })
            });
        known.next().or_else(|| Self::of_etag(head))
    }

    /// An object that was written at once, and not under a key of somebody's, has its MD5 as etag.
    fn of_etag(head: &HeadObjectOutput) -> Option<Self> {
        let encryption = head.server_side_encryption();
        let plain = encryption.is_none_or(|kind| *kind == ServerSideEncryption::Aes256)
            && head.sse_customer_algorithm().is_none();
        let digits = head.e_tag().filter(|_| plain)?.trim_matches('"');
        if digits.len() != 32 || !digits.is_ascii() {
            return None;
        }
        let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let value = (0..32).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
        let kind = Kind::Md5;
        Some(Self { kind, value })
    }

    /// Checks bytes against it.
    pub(super) fn verifier(&self) -> Box<dyn Verifier> {
        let digest = match self.kind {
            Kind::Crc64Nvme => Running::Crc(Crc::new(CrcAlgorithm::Crc64Nvme)),
            Kind::Crc32 => Running::Crc(Crc::new(CrcAlgorithm::Crc32IsoHdlc)),
            Kind::Crc32c => Running::Crc(Crc::new(CrcAlgorithm::Crc32Iscsi)),
            Kind::Sha256 => Running::Sha256(Sha256::new()),
            Kind::Md5 => Running::Md5(Md5::new()),
        };
        Box::new(Check {
            digest,
            expected: self.value.clone(),
        })
    }
}

enum Running {
    Crc(Crc),
    Sha256(Sha256),
    Md5(Md5),
}

struct Check {
    digest: Running,
    expected: Vec<u8>,
}

impl Verifier for Check {
    fn update(&mut self, bytes: &[u8]) {
        match &mut self.digest {
            Running::Crc(digest) => digest.update(bytes),
            Running::Sha256(digest) => Digest::update(digest, bytes),
            Running::Md5(digest) => Digest::update(digest, bytes),
        }
    }

    fn agrees(self: Box<Self>) -> bool {
        let found = match self.digest {
            // The last bytes of a number: a CRC of 32 bits has four.
            Running::Crc(digest) => digest.finalize().to_be_bytes()[8 - self.expected.len()..].to_vec(),
            Running::Sha256(digest) => digest.finalize().to_vec(),
            Running::Md5(digest) => digest.finalize().to_vec(),
        };
        found == self.expected
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn agrees(head: &HeadObjectOutput, bytes: &[u8]) -> Option<bool> {
        let mut verifier = Checksum::of(head)?.verifier();
        for piece in bytes.chunks(3) {
            verifier.update(piece);
        }
        Some(verifier.agrees())
    }

    #[test]
    fn each_kind_tells_the_bytes_from_others() {
        // Check values of the algorithms: those of the digits 1 to 9.
        let digits = b"123456789";
        let head = HeadObjectOutput::builder;
        let hex = |text: &str| -> String {
            let bytes = (0..text.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap());
            STANDARD.encode(bytes.collect::<Vec<_>>())
        };
        for head in [
            head().checksum_crc64_nvme(hex("ae8b14860a799888")),
            head().checksum_crc32(hex("cbf43926")),
            head().checksum_crc32_c(hex("e3069283")),
            head().checksum_sha256(hex(
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            )),
            head().e_tag("\"25f9e794323b453885f5181f1b624d0b\""),
        ] {
            let head = head.build();
            assert_eq!(agrees(&head, digits), Some(true), "{head:?}");
            assert_eq!(agrees(&head, b"123456780"), Some(false), "{head:?}");
        }
    }

    #[test]
    fn what_says_nothing_of_the_whole_is_not_used() {
        let head = HeadObjectOutput::builder;
        for head in [
            head().e_tag("\"25f9e794323b453885f5181f1b624d0b-2\""),
            head()
                .e_tag("\"25f9e794323b453885f5181f1b624d0b\"")
                .server_side_encryption(ServerSideEncryption::AwsKms),
            head()
                .checksum_crc32("y/Q5Jg==")
                .checksum_type(ChecksumType::Composite),
            head().checksum_crc32("y/Q5Jg==-3"),
            head().checksum_crc32("4waSgw"),
        ] {
            assert_eq!(Checksum::of(&head.build()), None);
        }
    }
}
