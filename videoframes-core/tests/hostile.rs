//! Inputs found by fuzzing, and small inputs with extreme claims: no panic, no large allocation.
#![allow(clippy::unwrap_used)]

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use videoframes_core::Error;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::Pipeline;
use videoframes_core::source::{Source, Verifier};
use videoframes_core::video::{IndexReader, NoIndex, VideoIndex};

fn index(file: &[u8]) -> Result<VideoIndex, NoIndex> {
    let file = Bytes::copy_from_slice(file);
    let mut reader = IndexReader::new(file.len() as u64);
    while let Some(range) = reader.wanted() {
        assert!(range.end <= file.len() as u64);
        reader.supply(range.start, file.slice(range.start as usize..range.end as usize));
    }
    reader.finish()
}

#[test]
fn inputs_found_by_fuzzing_are_harmless() {
    let mut count = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile")).unwrap() {
        let _ = index(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0);
}

/// Returns a box of a kind with its content.
fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap();
    [&size.to_be_bytes()[..], kind, content].concat()
}

#[test]
fn rejects_boxes_with_wrong_sizes() {
    for head in [
        &[0, 0, 0, 8, b'm', b'o', b'o', b'v'][..],
        &[0, 0, 0, 4, b'm', b'o', b'o', b'v'],
        &[0xff, 0xff, 0xff, 0xff, b'm', b'o', b'o', b'v'],
        &[
            0, 0, 0, 1, b'm', b'o', b'o', b'v', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ],
        &[0, 0, 0, 1, b'm', b'o', b'o', b'v', 0, 0, 0, 0, 0, 0, 0, 3],
        &[0, 0, 0, 0, b'm', b'o', b'o', b'f'],
        b"",
        b"\0\0\0",
    ] {
        assert!(index(head).is_err(), "{head:x?}");
    }
    // Nested boxes cost no more than their bytes.
    let mut deep = Vec::new();
    for _ in 0..5000 {
        deep = boxed(b"trak", &deep);
    }
    assert!(index(&boxed(b"moov", &deep)).is_err());
}

#[test]
fn rejects_a_source_shorter_than_its_reported_length() {
    let mut reader = IndexReader::new(1000);
    let wanted = reader.wanted().unwrap();
    reader.supply(wanted.start, Bytes::from_static(b"\0\0\0\x08ftyp"));
    assert!(reader.wanted().is_none() && reader.finish().is_err());
}

/// Reads an index with a sample of this size, from a source that claims to be long enough.
fn with_sample_of(size: u32) -> Result<VideoIndex, NoIndex> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.mp4");
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=64x64:r=1:d=1",
            "-pix_fmt",
            "yuv420p",
        ])
        .args(["-movflags", "faststart"])
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    let mut file = std::fs::read(&path).unwrap();
    let table = file.windows(4).position(|kind| kind == b"stsz").unwrap();
    // After the kind: version and flags, the size of all samples, their number.
    file[table + 8..table + 12].copy_from_slice(&size.to_be_bytes());
    let length = 1 << 40;
    let last = file.windows(4).position(|kind| kind == b"mdat").unwrap();
    // Up to the end of the source.
    file[last - 4..last].fill(0);
    let mut reader = IndexReader::new(length);
    while let Some(range) = reader.wanted() {
        let mut bytes = file[(range.start as usize).min(file.len())..].to_vec();
        bytes.resize((range.end - range.start) as usize, 0);
        reader.supply(range.start, bytes.into());
    }
    reader.finish()
}

#[test]
fn rejects_samples_too_large_for_memory() {
    assert!(with_sample_of(10_000).is_ok());
    let why = with_sample_of(1 << 30).unwrap_err().to_string();
    assert!(why.contains("too large"), "{why}");
}

/// A remote source of boxes of 1 MiB each, of which only the headers are read.
struct Scattered(AtomicUsize);

#[async_trait]
impl Source for Scattered {
    fn name(&self) -> &str {
        "scattered.mp4"
    }

    fn len(&self) -> u64 {
        1 << 40
    }

    fn is_empty(&self) -> bool {
        false
    }

    fn local_path(&self) -> Option<&Path> {
        None
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        None
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        if length > 1 << 20 {
            return Err(io::Error::other("the source is copied"));
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        let kind = if offset == 0 { b"ftyp" } else { b"free" };
        let mut bytes = [&(1u32 << 20).to_be_bytes()[..], kind].concat();
        bytes.resize(length, 0);
        Ok(bytes.into())
    }
}

#[tokio::test]
async fn does_not_read_an_index_in_a_million_pieces_from_a_remote_source() {
    let source = Arc::new(Scattered(AtomicUsize::new(0)));
    let probed = Pipeline::new(FfmpegExtractor::default())
        .probe(source.clone(), None)
        .await;
    assert!(matches!(probed, Err(Error::Source(_))), "{probed:?}");
    let reads = source.0.load(Ordering::Relaxed);
    assert!((1000..10_000).contains(&reads), "{reads} reads");
}
