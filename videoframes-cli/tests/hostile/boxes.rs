//! MP4 files whose boxes lie, made of real ones.

use std::path::Path;

/// A box of a kind and its content.
pub(crate) fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap();
    [&size.to_be_bytes()[..], kind, content].concat()
}

/// Numbers of 32 bits.
pub(crate) fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// The boxes that follow each other: kind, and all bytes.
fn split(mut data: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let mut boxes = Vec::new();
    while data.len() >= 8 {
        let size = u32::from_be_bytes(data[..4].try_into().unwrap()) as usize;
        boxes.push((data[4..8].try_into().unwrap(), &data[..size]));
        data = &data[size..];
    }
    boxes
}

/// The first box at a path of kinds.
pub(crate) fn find<'a>(data: &'a [u8], path: &[&[u8; 4]]) -> &'a [u8] {
    let (_, found) = split(data).into_iter().find(|(kind, _)| kind == path[0]).unwrap();
    match path {
        [_] => found,
        [_, rest @ ..] => find(&found[8..], rest),
        [] => unreachable!(),
    }
}

/// The same boxes with others instead of the first one at a path of kinds.
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

/// A real MP4 with its index behind its data, and the same in fragments.
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
