#![allow(clippy::unwrap_used)]

use super::*;
use crate::video::ebml::{Header, id};

fn element(id: u32, content: &[u8]) -> Vec<u8> {
    let id = id.to_be_bytes();
    let mut element = id[id.iter().take_while(|&&byte| byte == 0).count()..].to_vec();
    element.extend((content.len() as u64 | 1 << 56).to_be_bytes());
    element.extend(content);
    element
}

fn number(id: u32, value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

fn unknown_size(id: u32, content: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &UNKNOWN_SIZE, content].concat()
}

fn track(number: u8, kind: u64, more: &[u8]) -> Vec<u8> {
    let fields = [
        self::number(id::TRACK_NUMBER, number.into()),
        self::number(id::TRACK_TYPE, kind),
        more.to_vec(),
    ];
    element(id::TRACK_ENTRY, &fields.concat())
}

fn tracks() -> Vec<u8> {
    let video = track(1, 1, &number(id::DEFAULT_DURATION, 40_000_000));
    element(id::TRACKS, &[video, track(2, 2, &[])].concat())
}

fn cue(time: u64, position: u64) -> Vec<u8> {
    let positions = [
        number(id::CUE_TRACK, 1),
        number(id::CUE_CLUSTER_POSITION, position),
    ];
    let point = [
        number(id::CUE_TIME, time),
        element(id::CUE_TRACK_POSITIONS, &positions.concat()),
    ];
    element(id::CUE_POINT, &point.concat())
}

fn block(track: u8, time: i16, flags: u8) -> Vec<u8> {
    let [high, low] = time.to_be_bytes();
    element(id::SIMPLE_BLOCK, &[0x80 | track, high, low, flags, 9, 9, 9])
}

/// Returns the content of a cluster with these times, with a checksum and with blocks of another track.
fn cluster(time: u64, relative: &[i16]) -> Vec<u8> {
    let mut content = [number(id::CRC_32, 0), number(id::TIMESTAMP, time)].concat();
    for &relative in relative {
        content.extend(block(1, relative, 0x80));
        content.extend(block(2, relative, 0x80));
    }
    content
}

/// A file with four clusters of ten frames, the last two of unknown size.
struct Sample {
    bytes: Vec<u8>,
    clusters: Vec<u64>,
}

fn sample(cues_first: bool, tracks: &[u8]) -> Sample {
    let ebml = element(id::EBML, &[0; 20]);
    let info = element(id::INFO, &number(id::TIMESTAMP_SCALE, 1_000_000));
    let relative: Vec<i16> = (0..10).map(|frame| frame * 40).collect();
    let clusters: Vec<Vec<u8>> = (0..4)
        .map(|at| {
            let content = cluster(at * 400, &relative);
            match at {
                0 | 1 => element(id::CLUSTER, &content),
                _ => unknown_size(id::CLUSTER, &content),
            }
        })
        .collect();
    let seek = |position| {
        let fields = [
            number(id::SEEK_ID, id::CUES.into()),
            number(id::SEEK_POSITION, position),
        ];
        element(id::SEEK_HEAD, &element(id::SEEK, &fields.concat()))
    };
    let cues = |positions: &[u64]| {
        let points: Vec<_> = positions
            .iter()
            .zip(0..)
            .map(|(&position, at)| cue(at * 400, position))
            .collect();
        element(id::CUES, &points.concat())
    };
    let before = match cues_first {
        true => [info.clone(), tracks.to_vec(), cues(&[0; 4])],
        false => [seek(0), info.clone(), tracks.to_vec()],
    };
    let start = before.concat().len() as u64;
    let mut positions = Vec::new();
    let mut end = start;
    for cluster in &clusters {
        positions.push(end);
        end += cluster.len() as u64;
    }
    let mut content = match cues_first {
        true => [info, tracks.to_vec(), cues(&positions)],
        false => [seek(end), info, tracks.to_vec()],
    }
    .concat();
    content.extend(clusters.concat());
    if !cues_first {
        content.extend(cues(&positions));
    }
    let origin = ebml.len() as u64 + 12;
    Sample {
        bytes: [ebml, unknown_size(id::SEGMENT, &content)].concat(),
        clusters: positions.iter().map(|position| position + origin).collect(),
    }
}

fn outline(bytes: &[u8]) -> Result<Outline, NoIndex> {
    let mut reader = OutlineReader::new(bytes.len() as u64);
    while let Some(range) = reader.wanted() {
        reader.supply(&bytes[range.start as usize..range.end as usize]);
    }
    reader.finish()
}

/// Reads a window with reads of `step` bytes.
fn read(bytes: &[u8], window: Window, step: usize) -> WindowReader {
    let mut reader = WindowReader::new(&outline(bytes).unwrap(), window, bytes.len() as u64);
    supply(&mut reader, bytes, step);
    reader
}

fn supply(reader: &mut WindowReader, bytes: &[u8], step: usize) {
    while let Some(range) = reader.wanted(0) {
        let start = range.start as usize;
        reader.supply(&bytes[start..(start + step).min(range.end as usize)]);
    }
}

#[test]
fn finds_cues_before_and_after_the_clusters() {
    for cues_first in [true, false] {
        let Sample { bytes, clusters } = sample(cues_first, &tracks());
        let outline = outline(&bytes).unwrap();
        assert_eq!((outline.track, outline.first_cluster), (1, clusters[0]));
        let cues: Vec<_> = outline.cues.iter().map(|cue| (cue.time, cue.position)).collect();
        let expected: Vec<_> = (0..4).map(|at| (at * 400, clusters[at as usize])).collect();
        assert_eq!(cues, expected);
        assert_eq!(outline.cue_before(399).unwrap().position, clusters[0]);
        assert_eq!(outline.cue_before(400).unwrap().position, clusters[1]);
        assert_eq!(outline.cue_before(-1), None);
    }
}

#[test]
fn rejects_unusual_tracks_and_cues() {
    let duration = number(id::DEFAULT_DURATION, 1);
    let scaled = [duration.clone(), element(id::TRACK_TIMESTAMP_SCALE, &[0; 4])].concat();
    for entries in [
        vec![track(1, 2, &duration)],
        vec![track(1, 1, &[])],
        vec![track(1, 1, &scaled)],
        vec![track(1, 1, &duration), track(3, 1, &duration)],
    ] {
        let tracks = element(id::TRACKS, &entries.concat());
        assert!(outline(&sample(true, &tracks).bytes).is_err());
    }
    let Sample { bytes, .. } = sample(false, &tracks());
    assert!(outline(&bytes[..bytes.len() - 1]).is_err(), "incomplete cues");
    for length in 0..200 {
        assert!(outline(&bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn a_window_ends_once_no_earlier_frame_can_follow() {
    let Sample { bytes, clusters } = sample(true, &tracks());
    let window = Window {
        start: clusters[0],
        until: Some(100),
        stop: clusters[3],
    };
    for step in [1, 7, 1 << 20] {
        let reader = read(&bytes, window, step);
        // Three frames up to 100 ms, and 17 later frames.
        assert_eq!(reader.times().len(), 20, "{step}");
        let (parts, joined) = reader.finish().unwrap();
        assert!(!joined);
        assert_eq!(parts.len(), 2);
        for part in &parts {
            let position = part.position as usize;
            assert_eq!(part.bytes, bytes[position..position + part.bytes.len()]);
            assert_eq!(part.skipped, bytes[position - part.skipped.len()..position]);
        }
        assert_eq!(
            Header::read(&parts[0].bytes).unwrap().id,
            id::TIMESTAMP,
            "no checksum"
        );
    }
}

#[test]
fn a_window_is_extended_and_joined() {
    let Sample { bytes, clusters } = sample(true, &tracks());
    let window = Window {
        start: clusters[0],
        until: Some(i64::MIN),
        stop: clusters[3],
    };
    let mut reader = read(&bytes, window, 64);
    assert_eq!(reader.times().len(), 17);
    reader.extend(200);
    supply(&mut reader, &bytes, 64);
    assert_eq!(reader.times().len(), 23);
    reader.stop_at(clusters[2]);
    reader.extend(5000);
    supply(&mut reader, &bytes, 64);
    // The third cluster was begun before the end was set, and the window ends before the fourth cluster.
    assert_eq!(reader.times().len(), 30);
    assert!(reader.finish().unwrap().1, "joined");
}

#[test]
fn the_last_window_ends_with_the_file() {
    for cues_first in [true, false] {
        let Sample { bytes, clusters } = sample(cues_first, &tracks());
        let window = Window {
            start: clusters[2],
            until: None,
            stop: bytes.len() as u64,
        };
        let reader = read(&bytes, window, 50);
        assert_eq!(*reader.times().last().unwrap(), 3 * 400 + 360);
        let (parts, joined) = reader.finish().unwrap();
        assert_eq!((parts.len(), joined), (2, false));
    }
}

#[test]
fn incomplete_and_laced_blocks_are_unusual() {
    let Sample { mut bytes, clusters } = sample(true, &tracks());
    let window = Window {
        start: clusters[0],
        until: Some(5000),
        stop: bytes.len() as u64,
    };
    let cut = &bytes[..bytes.len() - 3];
    let mut reader = WindowReader::new(&outline(&bytes).unwrap(), window, cut.len() as u64);
    supply(&mut reader, cut, 64);
    assert!(reader.finish().is_err(), "an incomplete block");
    // A block has 16 bytes, and three after its flags. The last block is of the audio track.
    let video = bytes.len() - 16 - 4;
    assert_eq!(bytes[video - 3], 0x81);
    bytes[video] = 0x82;
    assert!(read(&bytes, window, 64).finish().is_err(), "a laced block");
}

#[test]
fn the_memory_for_empty_clusters_is_bounded() {
    let Sample { mut bytes, clusters } = sample(true, &tracks());
    let outline = outline(&bytes).unwrap();
    bytes.truncate(clusters[0] as usize);
    for _ in 0..1_000_000 {
        bytes.extend([0x1f, 0x43, 0xb6, 0x75, 0x80]);
    }
    let window = Window {
        start: clusters[0],
        until: Some(5000),
        stop: bytes.len() as u64,
    };
    let mut reader = WindowReader::new(&outline, window, bytes.len() as u64);
    supply(&mut reader, &bytes, 1 << 20);
    assert!(reader.position() < 2_000_000, "{}", reader.position());
    assert!(reader.finish().is_err());
}
