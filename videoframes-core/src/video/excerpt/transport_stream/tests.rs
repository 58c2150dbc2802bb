#![allow(clippy::unwrap_used)]

use super::*;

const VIDEO: u16 = 0x100;
const MAP: u16 = 0x1000;

/// Returns a packet with this payload, after stuffing that may mark a random access point.
fn packet(pid: u16, begins: bool, counter: u8, payload: &[u8], random_access: bool) -> Vec<u8> {
    let [high, low] = pid.to_be_bytes();
    let length = PACKET as usize - 5 - payload.len();
    let mut packet = vec![
        SYNC,
        high | u8::from(begins) << 6,
        low,
        0x30 | counter,
        length as u8,
    ];
    if length > 0 {
        packet.push(u8::from(random_access) << 6);
    }
    packet.resize(PACKET as usize - payload.len(), 0xff);
    packet.extend(payload);
    packet
}

fn table(pid: u16, id: u8, content: &[u8]) -> Vec<u8> {
    let length = (5 + content.len() + 4) as u16;
    let [high, low] = length.to_be_bytes();
    let header = [0, id, 0xb0 | high, low, 0, 1, 0xc1, 0, 0];
    packet(pid, true, 0, &[&header[..], content, &[0; 4]].concat(), false)
}

fn tables(programs: &[u16], streams: &[(u8, u16)]) -> Vec<u8> {
    let entry = |pid: u16| [0, 1, 0xe0 | (pid >> 8) as u8, pid as u8];
    let association: Vec<u8> = programs.iter().flat_map(|&pid| entry(pid)).collect();
    let stream = |&(kind, pid): &(u8, u16)| [kind, 0xe0 | (pid >> 8) as u8, pid as u8, 0xf0, 0];
    let mut map = vec![0xe1, 0, 0xf0, 0];
    map.extend(streams.iter().flat_map(stream));
    [table(0, 0, &association), table(MAP, 2, &map)].concat()
}

fn pes(pts: i64, counter: u8, unit: u8) -> Vec<u8> {
    let byte = |shift: i64| (pts >> shift) as u8;
    let stamp = [
        0x21 | byte(30) << 1 & 0x0e,
        byte(22),
        byte(14) | 1,
        byte(7),
        byte(0) << 1 | 1,
    ];
    let payload = [
        &[0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5][..],
        &stamp,
        &[0, 0, 1, unit, 8],
    ]
    .concat();
    packet(VIDEO, true, counter, &payload, false)
}

fn program() -> Program {
    Program::find(&tables(&[MAP], &[(0x1b, VIDEO), (0x0f, 0x101)]))
        .unwrap()
        .unwrap()
}

#[test]
fn finds_the_only_video() {
    let found = program();
    assert_eq!((found.video, found.map, found.coding), (VIDEO, MAP, Coding::H264));
    let incomplete = tables(&[MAP], &[(0x1b, VIDEO)]);
    assert_eq!(
        Program::find(&incomplete[..PACKET as usize]),
        Ok(None),
        "no map yet"
    );
    for (programs, streams) in [
        (&[MAP, 0x1001][..], &[(0x1b, VIDEO)][..]),
        (&[], &[(0x1b, VIDEO)]),
        (&[MAP], &[(0x1b, VIDEO), (0x24, 0x102)]),
        (&[MAP], &[(0x02, VIDEO)]),
        (&[MAP], &[(0x0f, VIDEO)]),
    ] {
        assert!(
            Program::find(&tables(programs, streams)).is_err(),
            "{programs:?} {streams:?}"
        );
    }
}

#[test]
fn reads_timestamps_and_entries() {
    let last = WRAP - 1;
    let stream = [
        pes(0, 0, 0x67),
        packet(0x101, true, 0, b"audio", false),
        pes(3600, 1, 0x41),
        packet(VIDEO, false, 2, b"more", false),
        pes(last, 3, 0x65),
        tables(&[MAP], &[(0x1b, VIDEO), (0x0f, 0x101)]),
    ];
    let found = program().scan(&stream.concat(), 1000 * PACKET).unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|pes| (pes.position / PACKET, pes.pts, pes.entry))
        .collect();
    assert_eq!(found, [(1000, 0, true), (1002, 3600, false), (1004, last, true)]);
}

#[test]
fn damage_and_changes_are_unusual() {
    let mut damaged = pes(0, 0, 0x41);
    damaged[0] = 0;
    let mut faulty = pes(0, 0, 0x41);
    faulty[1] |= 0x80;
    let untimed = packet(
        VIDEO,
        true,
        0,
        &[0, 0, 1, 0xe0, 0, 0, 0x80, 0, 5, 0, 0, 0, 0, 0],
        false,
    );
    let short = packet(VIDEO, true, 0, &[0, 0, 1], false);
    let changed = tables(&[MAP], &[(0x1b, VIDEO)]);
    for stream in [damaged, faulty, untimed, short, changed] {
        assert!(program().scan(&stream, 0).is_err());
    }
}

#[test]
fn counters_continue_and_other_streams_vanish() {
    let stream = [
        pes(0, 9, 0x67),
        packet(0x101, true, 4, b"audio", false),
        packet(VIDEO, false, 10, b"more", false),
    ]
    .concat();
    let mut counter = program().counter(&pes(0, 14, 0x41));
    let part = program().part(500, stream.clone(), &mut counter);
    assert_eq!((part.position, counter), (500, Some(0)));
    let packets: Vec<_> = part.bytes.as_chunks::<188>().0.iter().collect();
    assert_eq!([packets[0][3] & 0x0f, packets[2][3] & 0x0f], [15, 0]);
    assert_eq!(packets[1][1..3], NULL.to_be_bytes());
    let first = program().part(0, stream, &mut None);
    assert_eq!(first.bytes[3] & 0x0f, 9, "unchanged without an earlier part");
}

#[test]
fn timestamps_do_not_wrap() {
    let first = WRAP - 10;
    assert_eq!(unwrapped(WRAP - 5, first), WRAP - 5);
    assert_eq!(unwrapped(5, first), WRAP + 5);
    assert_eq!(unwrapped(0, 1), 0, "a frame before the first one");
}
