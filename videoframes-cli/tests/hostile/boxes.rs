//! MP4 files with forged boxes, derived from valid files.

use std::path::Path;

/// Returns a box with the given type and content.
pub(crate) fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap();
    [&size.to_be_bytes()[..], kind, content].concat()
}

/// Returns numbers as big-endian 32-bit integers.
pub(crate) fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Splits a sequence of boxes into types and bytes.
fn split(mut data: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let mut boxes = Vec::new();
    while data.len() >= 8 {
        let size = u32::from_be_bytes(data[..4].try_into().unwrap()) as usize;
        boxes.push((data[4..8].try_into().unwrap(), &data[..size]));
        data = &data[size..];
    }
    boxes
}

/// Returns the first box at a path of types.
pub(crate) fn find<'a>(data: &'a [u8], path: &[&[u8; 4]]) -> &'a [u8] {
    let (_, found) = split(data).into_iter().find(|(kind, _)| kind == path[0]).unwrap();
    match path {
        [_] => found,
        [_, rest @ ..] => find(&found[8..], rest),
        [] => unreachable!(),
    }
}

/// Replaces the first box at a path of types.
pub(crate) fn replaced(data: &[u8], path: &[&[u8; 4]], instead: &[u8]) -> Vec<u8> {
    let mut done = false;
    let mut all = Vec::new();
    for (kind, whole) in split(data) {
        if done || kind != *path[0] {
            all.extend_from_slice(whole);
            continue;
        }
        done = true;
        match path {
            [_] => all.extend_from_slice(instead),
            [_, rest @ ..] => all.extend(boxed(&kind, &replaced(&whole[8..], rest, instead))),
            [] => unreachable!(),
        }
    }
    assert!(done, "{path:?}");
    all
}

/// Generates a valid MP4 file with the index after the data, and a fragmented copy.
pub(crate) fn movies(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    let read = |name: &str, flags: &[&str]| {
        let path = folder.join(name);
        let source = [
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=160x90:r=10:d=3",
            "-pix_fmt",
            "yuv420p",
        ];
        super::ffmpeg(&[&source[..], &["-bf", "2"], flags].concat(), &path);
        std::fs::read(path).unwrap()
    };
    let fragmented = ["-movflags", "frag_keyframe+empty_moov"];
    (read("whole.mp4", &[]), read("fragmented.mp4", &fragmented))
}
