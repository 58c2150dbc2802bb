//! Checksums: for writes, and for the verification of copies.

use std::io;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, ServerSideEncryption};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::S3Checksum;
use crate::source::Verifier;

impl S3Checksum {
    pub(super) fn algorithm(self) -> ChecksumAlgorithm {
        match self {
            Self::Crc64Nvme => ChecksumAlgorithm::Crc64Nvme,
            Self::Crc32 => ChecksumAlgorithm::Crc32,
        }
    }

    pub(super) fn digest(self) -> Digest {
        Digest::new(match self {
            Self::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
            Self::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        })
    }

    /// Formats the checksum for a request.
    pub(super) fn text(self, digest: &Digest) -> String {
        let sum = digest.finalize().to_be_bytes();
        match self {
            Self::Crc64Nvme => STANDARD.encode(sum),
            Self::Crc32 => STANDARD.encode(&sum[4..]),
        }
    }
}

/// A checksum of the whole object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WholeChecksum {
    Crc64Nvme(u64),
    Crc32(u32),
    Crc32C(u32),
    Sha256([u8; 32]),
    Md5([u8; 16]),
}

impl WholeChecksum {
    /// Returns the best checksum in the response, if any. A checksum of the checksums of parts does not
    /// count.
    pub(super) fn from_head(head: &HeadObjectOutput, etag_is_md5: bool) -> Option<Self> {
        let whole = |text: Option<&str>| {
            let whole = match head.checksum_type() {
                Some(kind) => *kind == ChecksumType::FullObject,
                None => true,
            };
            text.filter(|text| whole && !text.contains('-'))
                .and_then(|text| STANDARD.decode(text).ok())
        };
        let sum64 = |bytes: Vec<u8>| Some(u64::from_be_bytes(bytes.try_into().ok()?));
        let sum32 = |bytes: Vec<u8>| Some(u32::from_be_bytes(bytes.try_into().ok()?));
        let sha256 = whole(head.checksum_sha256()).and_then(|bytes| bytes.try_into().ok());
        sha256
            .map(Self::Sha256)
            .or_else(|| {
                whole(head.checksum_crc64_nvme())
                    .and_then(sum64)
                    .map(Self::Crc64Nvme)
            })
            .or_else(|| whole(head.checksum_crc32_c()).and_then(sum32).map(Self::Crc32C))
            .or_else(|| whole(head.checksum_crc32()).and_then(sum32).map(Self::Crc32))
            .or_else(|| md5_of_etag(head).filter(|_| etag_is_md5).map(Self::Md5))
    }
}

/// Returns the ETag if it is the MD5 of the object: not for a multipart upload or encryption with a KMS key.
fn md5_of_etag(head: &HeadObjectOutput) -> Option<[u8; 16]> {
    let plain = matches!(
        head.server_side_encryption(),
        None | Some(ServerSideEncryption::Aes256)
    ) && head.sse_customer_algorithm().is_none();
    let text = head.e_tag().filter(|_| plain)?.trim_matches('"');
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let value = u128::from_str_radix(text, 16).ok()?;
    Some(value.to_be_bytes())
}

enum Hasher {
    Crc(Digest),
    Sha256(Sha256),
    Md5(Md5),
}

/// Verifies a copy.
pub(super) struct CopyVerifier {
    name: String,
    expected: WholeChecksum,
    hasher: Hasher,
    length: u64,
    taken: u64,
}

impl CopyVerifier {
    pub(super) fn new(name: &str, length: u64, expected: WholeChecksum) -> Self {
        let hasher = match &expected {
            WholeChecksum::Crc64Nvme(_) => Hasher::Crc(Digest::new(CrcAlgorithm::Crc64Nvme)),
            WholeChecksum::Crc32(_) => Hasher::Crc(Digest::new(CrcAlgorithm::Crc32IsoHdlc)),
            WholeChecksum::Crc32C(_) => Hasher::Crc(Digest::new(CrcAlgorithm::Crc32Iscsi)),
            WholeChecksum::Sha256(_) => Hasher::Sha256(Sha256::new()),
            WholeChecksum::Md5(_) => Hasher::Md5(Md5::new()),
        };
        Self {
            name: name.to_owned(),
            expected,
            hasher,
            length,
            taken: 0,
        }
    }
}

impl Verifier for CopyVerifier {
    fn update(&mut self, bytes: &[u8]) {
        self.taken += bytes.len() as u64;
        match &mut self.hasher {
            Hasher::Crc(digest) => digest.update(bytes),
            Hasher::Sha256(digest) => digest.update(bytes),
            Hasher::Md5(digest) => digest.update(bytes),
        }
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let same = match (self.hasher, self.expected) {
            (Hasher::Crc(digest), WholeChecksum::Crc64Nvme(sum)) => digest.finalize() == sum,
            (Hasher::Crc(digest), WholeChecksum::Crc32(sum) | WholeChecksum::Crc32C(sum)) => {
                digest.finalize() == u64::from(sum)
            }
            (Hasher::Sha256(digest), WholeChecksum::Sha256(sum)) => digest.finalize()[..] == sum,
            (Hasher::Md5(digest), WholeChecksum::Md5(sum)) => digest.finalize()[..] == sum,
            _ => false,
        };
        if same && self.taken == self.length {
            return Ok(());
        }
        let text = format!(
            "the copy of '{}' does not have the checksum of the object",
            self.name
        );
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"123456789";

    #[test]
    fn checksums_match_the_catalogue() {
        // Check values: https://reveng.sourceforge.io/crc-catalogue/all.htm
        let checksum = |kind: S3Checksum| {
            let (mut first, mut second) = (kind.digest(), kind.digest());
            first.update(&TEXT[..4]);
            second.update(&TEXT[4..]);
            first.combine(&second);
            kind.text(&first)
        };
        assert_eq!(
            checksum(S3Checksum::Crc64Nvme),
            STANDARD.encode(0xae8b_1486_0a79_9888_u64.to_be_bytes())
        );
        assert_eq!(
            checksum(S3Checksum::Crc32),
            STANDARD.encode(0xcbf4_3926_u32.to_be_bytes())
        );
    }

    #[test]
    fn a_copy_with_another_checksum_fails() {
        let sha = Sha256::digest(TEXT).into();
        let md5 = Md5::digest(TEXT).into();
        for expected in [
            WholeChecksum::Crc64Nvme(0xae8b_1486_0a79_9888),
            WholeChecksum::Crc32(0xcbf4_3926),
            WholeChecksum::Crc32C(0xe306_9283),
            WholeChecksum::Sha256(sha),
            WholeChecksum::Md5(md5),
        ] {
            let check = |bytes: &[u8]| {
                let mut verifier = Box::new(CopyVerifier::new("x", 9, expected.clone()));
                bytes.chunks(2).for_each(|bytes| verifier.update(bytes));
                verifier.finish()
            };
            assert!(check(TEXT).is_ok(), "{expected:?}");
            for bad in [&b"123456788"[..], b"12345678", b"1234567890", b""] {
                let error = check(bad).expect_err("different content");
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            }
        }
    }

    #[test]
    fn only_checksums_of_the_whole_object_count() {
        let head = |head: aws_sdk_s3::operation::head_object::builders::HeadObjectOutputBuilder| {
            WholeChecksum::from_head(&head.build(), true)
        };
        let new = HeadObjectOutput::builder;
        let crc = STANDARD.encode(5u32.to_be_bytes());
        let md5 = "00000000000000000000000000000007";
        assert_eq!(head(new().checksum_crc32(&crc)), Some(WholeChecksum::Crc32(5)));
        let parts = new().checksum_crc32(&crc).checksum_type(ChecksumType::Composite);
        assert_eq!(head(parts), None);
        assert_eq!(head(new().checksum_crc32(format!("{crc}-2"))), None);
        let expected = WholeChecksum::Md5(7u128.to_be_bytes());
        assert_eq!(head(new().e_tag(format!("\"{md5}\""))), Some(expected));
        assert_eq!(head(new().e_tag(format!("\"{md5}-2\""))), None);
        let kms = new()
            .e_tag(md5)
            .server_side_encryption(ServerSideEncryption::AwsKms);
        assert_eq!(head(kms), None);
        assert_eq!(WholeChecksum::from_head(&new().e_tag(md5).build(), false), None);
    }
}
