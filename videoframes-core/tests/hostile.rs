//! What a fuzzer found, and the worst of what can be said in few bytes: no panic, no large memory.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
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
fn finds_of_the_fuzzer_do_no_harm() {
    let mut count = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile")).unwrap() {
        let _ = index(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0);
}

/// A box of a kind and its content.
fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap();
    [&size.to_be_bytes()[..], kind, content].concat()
}

#[test]
fn boxes_that_lie_about_their_size_make_no_index() {
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
    // Boxes in boxes in boxes cost no more than their bytes.
    let mut deep = Vec::new();
    for _ in 0..5000 {
        deep = boxed(b"trak", &deep);
    }
    assert!(index(&boxed(b"moov", &deep)).is_err());
}

#[test]
fn a_source_that_is_shorter_than_it_says_makes_no_index() {
    let mut reader = IndexReader::new(1000);
    let wanted = reader.wanted().unwrap();
    reader.supply(wanted.start, Bytes::from_static(b"\0\0\0\x08ftyp"));
    assert!(reader.wanted().is_none() && reader.finish().is_err());
}
