//! Conformance suite for [`Source`].

use crate::source::Source;

/// Checks the contract of [`Source`] with a source that contains exactly `expected`.
///
/// # Panics
/// Panics if the implementation violates the contract.
pub async fn source_conformance(source: &dyn Source, expected: &[u8]) {
    assert_eq!(source.len(), expected.len() as u64);
    assert_eq!(source.is_empty(), expected.is_empty());
    let length = expected.len();
    for (offset, count) in [
        (0, length),
        (0, length + 10),
        (length / 2, 3),
        (length, 1),
        (length + 100, 5),
        (0, 0),
    ] {
        let got = source
            .read_at(offset as u64, count)
            .await
            .expect("a read inside or beyond the end is not an error");
        let start = offset.min(length);
        assert_eq!(
            &got[..],
            &expected[start..(start + count).min(length)],
            "{count} bytes at {offset}"
        );
    }
    if let Some(path) = source.local_path() {
        assert_eq!(std::fs::read(path).expect("a local path can be read"), expected);
    }
}
