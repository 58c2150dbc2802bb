//! Streams of encoders, and frame headers of binary digits.

use super::*;

const CONFIGURATION: &[u8] = &[0x81, 0, 0, 0];

/// SVT-AV1 with three hierarchical levels. The tiles are cut off.
const HIERARCHICAL: [(&str, &[usize]); 12] = [
    ("0a0a00000002afff9f7f3008 320a1400a8e090dd4466e8e1", &[]),
    (
        "320a2904001249249eb40203320a2902008249001abd8000320a290142024936cac28000320a3201880492b6958c0000",
        &[0],
    ),
    ("1a01d8", &[1]),
    ("320a3203000b6d6d958c0000", &[1]),
    ("1a01b8", &[1]),
    ("320a290302036d800ac28000320a32058006dbb6958c0000", &[1]),
    ("1a01d8", &[5]),
    ("320a3207000b6d00158c0000", &[1, 5]),
    ("1a0188", &[1]),
    ("320a320904000000158c0051", &[1]),
    ("320a320a02000000357b0041", &[1]),
    ("320a320b00092492158c0051", &[10]),
];

/// libaom with error resilience, which adds identifiers and the order hints of all slots.
const RESILIENT: [(&str, &[usize]); 5] = [
    (
        "0a0b00000002affff036be4010 321e1400dc004800082184100414dd350069cfe20b317d46272adc794e0f66dd",
        &[],
    ),
    (
        "321e3a00700204000000000000000000000000000000000000000000008ac000",
        &[0],
    ),
    (
        "321e3a00720408000800000000002000000040002000100008000400028ada00",
        &[0, 1],
    ),
    (
        "321e3a00740610000820000000004000100040004000200010000800048ad600",
        &[0, 1, 2],
    ),
    (
        "321e3a00760820000820600000006000200048004000300018000c00068ad400",
        &[0, 1, 2, 3],
    ),
];

/// libaom with a key frame that is hidden in sample 10 and shown by sample 16.
const FORWARD_KEY: [(&str, &[usize]); 20] = [
    ("0a0a00000002afff9b5f2008320a1400202000008000a0dd", &[]),
    (
        "320a2904f020000011a0c000320a29027040000051a18000320a29014080002051a1c000320a3201e2000068a3440000",
        &[0],
    ),
    ("1a01b8", &[1]),
    ("320a320324070040a3440000", &[0, 1]),
    ("1a01a8", &[1]),
    ("320a29032402ac4051a16000320a3205300558d0a3438000", &[0, 1, 3]),
    ("1a01e8", &[5]),
    ("320a3207220dd0aca3434000", &[0, 1, 3, 5]),
    ("320a32080109b854a3434000", &[0, 1, 3, 5, 7]),
    ("320a3209000730e8a3458000", &[0, 1, 5, 7, 8]),
    (
        "0a0a00000002afff9b5f2008320a090810080000d907cff5320a29067043988f51a04000320a320af0073142a3420000",
        &[0, 1, 5, 7, 8],
    ),
    ("320a320b080ee142a3420000", &[0, 1, 7, 8, 10]),
    ("1a01a8", &[10]),
    (
        "320a29070102dc8751a02000320a320d2105b982a3418000",
        &[0, 1, 8, 10, 11],
    ),
    ("1a01c8", &[13]),
    ("320a320f3008d11aa3414000", &[0, 1, 10, 11, 13]),
    ("1a01d8", &[10]),
    (
        "320a290be020000011a00040320a2909f040000051a000e0320a3211e1000040a340c000",
        &[16],
    ),
    ("320a321202060040a3408000", &[16, 17]),
    ("1a01a8", &[17]),
];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|digit| *digit != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn samples(table: &[(&str, &[usize])]) -> Vec<Vec<u8>> {
    table.iter().map(|(hex, _)| bytes(hex)).collect()
}

/// Returns the references with ascending indices.
fn found(samples: &[Vec<u8>]) -> Option<Vec<Vec<usize>>> {
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    let mut found = references(CONFIGURATION, &samples)?;
    found.iter_mut().for_each(|indices| indices.sort_unstable());
    Some(found)
}

/// Returns a unit with a payload of binary digits and one byte of zeros.
fn unit(kind: u8, digits: &str) -> Vec<u8> {
    extended(kind, None, digits)
}

fn extended(kind: u8, layers: Option<(u8, u8)>, digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .bytes()
        .filter(u8::is_ascii_digit)
        .map(|digit| digit - b'0')
        .collect();
    let byte = |digits: &[u8]| {
        digits
            .iter()
            .enumerate()
            .fold(0, |byte, (at, digit)| byte | digit << (7 - at))
    };
    let mut unit = vec![kind << 3 | 2];
    if let Some((temporal, spatial)) = layers {
        unit[0] |= 4;
        unit.push(temporal << 5 | spatial << 3);
    }
    unit.push(digits.len().div_ceil(8) as u8 + 1);
    unit.extend(digits.chunks(8).map(byte));
    unit.push(0);
    unit
}

const SEQUENCE: u8 = 1;
const HEADER: u8 = 3;
const TILES: u8 = 4;
const METADATA: u8 = 5;
const FRAME: u8 = 6;

/// Neither timing nor more than one operating point.
const PLAIN: &str = "0 0 00000 000000000000 00000";
/// Shown key frame with order hint 1.
const KEY: &str = "0 00 1 0 0 0 0001";

/// Returns a sequence header with order hints of four bits, after the parts on timing and operating points.
fn sequence(parts: &str) -> Vec<u8> {
    sequence_with(parts, "0")
}

/// Returns a sequence header with a part on identifiers of frames.
fn sequence_with(parts: &str, ids: &str) -> Vec<u8> {
    unit(
        SEQUENCE,
        &format!("000 0 0 {parts} 0000 0000 0 0 {ids} 000 0000 1 00 1 1 011 1"),
    )
}

/// Returns the first sample of a stream, with a key frame.
fn start() -> Vec<u8> {
    [sequence(PLAIN), unit(FRAME, KEY)].concat()
}

/// Returns the header of a frame for display that is not error resilient, with order hint 2.
fn inter(refreshed: &str, names: &str) -> String {
    format!("0 01 1 0 0 0 0 0010 111 {refreshed} {names}")
}

/// Names slot 0 seven times.
const FIRST: &str = "0 000 000 000 000 000 000 000";
/// Names slots 0 and 1.
const BOTH: &str = "0 000 001 000 001 000 000 000";

#[test]
fn finds_the_references_of_encoders() {
    for table in [&HIERARCHICAL[..], &RESILIENT, &FORWARD_KEY] {
        let expected: Vec<Vec<usize>> = table.iter().map(|(_, indices)| indices.to_vec()).collect();
        assert_eq!(found(&samples(table)), Some(expected));
    }
}

#[test]
fn reads_the_sequence_header_from_the_configuration() {
    let first = bytes(HIERARCHICAL[0].0);
    let (header, frame) = first.split_at(12);
    let configuration = [CONFIGURATION, header].concat();
    assert_eq!(references(&configuration, &[frame]), Some(vec![vec![]]));
    assert_eq!(references(&configuration, &[&first]), Some(vec![vec![]]));
    assert_eq!(references(CONFIGURATION, &[frame]), None);
    assert_eq!(references(header, &[frame]), None);
    // The last unit may lack a size.
    let unsized_frame = [&[frame[0] & !2], &frame[2..]].concat();
    assert_eq!(references(&configuration, &[&unsized_frame]), Some(vec![vec![]]));
}

#[test]
fn the_first_sample_replaces_the_sequence_header_of_the_configuration() {
    // Frames of the configuration's sequence have identifiers, so that their headers would be misread.
    let configuration = [CONFIGURATION, &sequence_with(PLAIN, "1 0000 000")].concat();
    let samples = [start(), unit(FRAME, &inter("00000000", FIRST))];
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    assert_eq!(references(&configuration, &samples), Some(vec![vec![], vec![0]]));
    let twice = [
        sequence(PLAIN),
        sequence_with(PLAIN, "1 0000 000"),
        unit(FRAME, KEY),
    ]
    .concat();
    assert_eq!(references(&configuration, &[&twice]), None);
    let late = [unit(FRAME, KEY), sequence_with(PLAIN, "1 0000 000")].concat();
    let plain = [CONFIGURATION, &sequence(PLAIN)].concat();
    assert_eq!(references(&plain, &[&late]), None);
    let later = [
        sequence_with(PLAIN, "1 0000 000"),
        unit(FRAME, &inter("00000000", FIRST)),
    ]
    .concat();
    assert_eq!(references(&configuration, &[samples[0], &later]), None);
}

#[test]
fn refers_to_all_named_slots() {
    let second = |header: &str| {
        vec![
            start(),
            unit(FRAME, &inter("00000010", FIRST)),
            unit(FRAME, header),
        ]
    };
    let hints = "0001 0010 0001 0001 0001 0001 0001 0001";
    let cases = [
        (inter("00000000", FIRST), Some(vec![0])),
        (inter("00000000", BOTH), Some(vec![0, 1])),
        (
            inter("00000000", "0 000 000 000 000 000 000 001"),
            Some(vec![0, 1]),
        ),
        // Short signaling names only two slots, but depends on the order hints of all.
        (inter("00000000", "1 000 000"), Some(vec![0, 1])),
        // Switch frame, error resilient frame and intra-only frame with the order hints of all slots.
        (format!("0 11 1 0 0 0011 {hints} {BOTH}"), Some(vec![0, 1])),
        (
            format!("0 01 1 1 0 0 0 0011 00000001 {hints} {FIRST}"),
            Some(vec![0]),
        ),
        (format!("0 10 1 1 0 0 0 0011 00000001 {hints}"), Some(vec![])),
        ("0 10 1 0 0 0 0 0011 00000001".to_owned(), Some(vec![])),
        // Order hints of lost frames; an intra-only frame that refreshes all slots.
        (
            format!(
                "0 01 1 1 0 0 0 0011 00000001 {} {FIRST}",
                hints.replace("0010", "0011")
            ),
            None,
        ),
        (
            format!("0 10 1 1 0 0 0 0011 00000001 {}", hints.replace("0010", "0011")),
            None,
        ),
        ("0 10 1 0 0 0 0 0011 11111111".to_owned(), None),
        (KEY.to_owned(), Some(vec![])),
    ];
    for (header, expected) in cases {
        let found = found(&second(&header)).and_then(|found| found.last().cloned());
        assert_eq!(found, expected, "{header}");
    }
}

#[test]
fn replaces_refreshed_slots() {
    let header = |refreshed: &str, names: &str| unit(FRAME, &inter(refreshed, names));
    let key = |header: &str| [unit(FRAME, header), unit(FRAME, &inter("00000000", FIRST))].concat();
    let hidden = inter("00000001", BOTH).replacen("01 1 0", "01 0 1 0", 1);
    let stream = [
        start(),
        header("00000010", FIRST),
        // Slot 0 belongs to this sample before its second frame.
        [unit(FRAME, &hidden), header("00000000", FIRST)].concat(),
        header("00000000", BOTH),
        // A hidden key frame in slot 0 leaves slot 1.
        key("0 00 0 1 0 0 0 0 0101 00000001"),
        header("00000000", BOTH),
        unit(HEADER, "1 000"),
        header("00000000", BOTH),
        header("00000001", "0 001 001 001 001 001 001 001"),
        unit(FRAME, KEY),
        header("00000010", BOTH),
        // A switch frame refreshes all slots, as does this hidden key frame.
        unit(
            FRAME,
            &format!("0 11 1 0 0 0011 0001 0010 {} {FIRST}", "0001".repeat(6)),
        ),
        header("00000000", BOTH),
        key("0 00 0 1 0 0 0 0 0101 11111111"),
        header("00000000", BOTH),
    ];
    let expected = "[[], [0], [0, 1], [1, 2], [], [1, 4], [4], [6], [6], [], [9], [9], [11], [], [13]]";
    assert_eq!(format!("{:?}", found(&stream).unwrap()), expected);
}

#[test]
fn shows_a_hidden_key_frame_once() {
    let stream = |ids: &str, id: [&str; 2], slots: &[&str]| {
        let key = unit(FRAME, &format!("0 00 1 0 0 {} 0 0001", id[0]));
        let hidden = unit(FRAME, &format!("0 00 0 1 0 0 0 {} 0 0010 00000001", id[1]));
        let mut stream = vec![[sequence_with(PLAIN, ids), key].concat()];
        stream.extend(slots.iter().map(|slot| unit(HEADER, &format!("1 {slot}"))));
        stream[1].splice(0..0, hidden);
        found(&stream)
    };
    assert_eq!(stream("0", ["", ""], &["000"]), Some(vec![vec![], vec![]]));
    assert_eq!(stream("0", ["", ""], &["000", "001"]), None);
    assert_eq!(stream("0", ["", ""], &["001"]), None);
    // Identifiers of three bits.
    assert_eq!(stream("1 0000 000", ["001", "010"], &["000"]), None);
}

#[test]
fn skips_times_and_accepts_temporal_layers() {
    // Timing with a decoder model of 6, 5 and 4 bits. The second operating point lacks temporal layer 1.
    let model = format!("1 00101 {} 00100 00011", "0".repeat(32));
    let point = |layers: &str| format!("{layers} 00000 1 {} 0", "0".repeat(12));
    let points = format!("0 00001 {} {}", point("0001 00000011"), point("0001 00000001"));
    let start = |intervals: &str, time: &str| {
        let timing = format!("1 {} {intervals} {model}", "0".repeat(64));
        let key = unit(FRAME, &format!("0 00 1 {time} 0 0 0 0001 0"));
        [sequence(&format!("{timing} {points}")), key].concat()
    };
    let header =
        |time: &str, removal: &str| format!("0 01 1 {time} 0 0 0 0 0010 111 1 {removal} 00000010 {BOTH}");
    let base = |layers| extended(FRAME, layers, &header("1010", "11111 11111"));
    let upper = extended(FRAME, Some((1, 0)), &header("1010", "11111"));
    let expected = Some(vec![vec![], vec![0], vec![0, 1]]);
    let varying = start("0", "1010");
    assert_eq!(found(&[varying.clone(), base(None), upper.clone()]), expected);
    assert_eq!(found(&[varying.clone(), base(Some((0, 0))), upper]), expected);
    // Without times of presentation; an interval of two ticks.
    let (base_frame, upper) = (header("", "11111 11111"), header("", "11111"));
    let equal = [
        start("1 010", ""),
        unit(FRAME, &base_frame),
        extended(FRAME, Some((1, 0)), &upper),
    ];
    assert_eq!(found(&equal), expected);
    // Layers that the first operating point lacks.
    for layers in [(2, 0), (0, 1)] {
        assert_eq!(found(&[varying.clone(), base(Some(layers))]), None);
    }
    // High tier and a delay of display.
    let stream = [
        [
            sequence("0 1 00000 000000000000 01000 0 1 1111"),
            unit(FRAME, KEY),
        ]
        .concat(),
        unit(FRAME, &inter("00000010", FIRST)),
        unit(FRAME, &inter("00000000", BOTH)),
    ];
    assert_eq!(found(&stream), expected);
    let spatial = sequence(&format!("0 0 00000 {} 00000", "0011 00000001"));
    assert_eq!(found(&[[spatial, unit(FRAME, KEY)].concat()]), None);
}

#[test]
fn checks_identifiers_of_frames() {
    let stream = samples(&RESILIENT);
    // The identifier begins after eight bits and has 15 bits. The frame is not referenced.
    let with_id = |id: u16| {
        let mut stream = stream[..2].to_vec();
        let [first, second] = (id << 1).to_be_bytes();
        (stream[1][3], stream[1][4]) = (first, second);
        found(&stream)
    };
    let before = u16::from_be_bytes([stream[1][3], stream[1][4]]) >> 1;
    assert!(with_id(before).is_some());
    assert!(with_id(before + 100).is_some());
    assert_eq!(with_id(before - 1), None);
    assert_eq!(with_id(before - 2), None);
    assert_eq!(with_id(before ^ 0x4000), None);
}

#[test]
fn rejects_unusual_streams() {
    let shown = unit(FRAME, &inter("00000000", FIRST));
    let light = |value: &str| unit(METADATA, &format!("00000001 {value}"));
    let header = unit(HEADER, &inter("00000000", FIRST));
    let tiles = unit(TILES, "");
    // Frame that is shown by a later unit.
    let hidden = inter("00000010", FIRST).replacen("01 1 0", "01 0 1 0", 1);
    let hidden_header = unit(HEADER, &hidden);
    let hidden = unit(FRAME, &hidden);
    let cases = [
        ("usual", vec![shown.clone()], true),
        (
            "header and tiles",
            vec![header.clone(), tiles.clone(), tiles.clone()],
            true,
        ),
        ("same sequence header", vec![sequence(PLAIN), shown.clone()], true),
        (
            "other sequence header",
            vec![sequence(&PLAIN.replace("00000000", "00000001")), shown.clone()],
            false,
        ),
        ("no frame", vec![], false),
        ("two frames", vec![shown.clone(), shown.clone()], false),
        ("no tiles", vec![header.clone()], false),
        (
            "no tiles before the next frame",
            vec![hidden_header, shown.clone()],
            false,
        ),
        ("tiles without a frame", vec![tiles.clone(), shown.clone()], false),
        (
            "redundant header",
            vec![header, unit(7, &inter("00000000", FIRST)), tiles],
            false,
        ),
        ("key frame shown twice", vec![unit(HEADER, "1 000")], false),
        ("hidden frame", vec![hidden.clone()], false),
        (
            "frame shown later",
            vec![hidden.clone(), unit(HEADER, "1 001")],
            true,
        ),
        (
            "frame unit without a frame",
            vec![hidden, unit(FRAME, "1 001")],
            false,
        ),
        (
            "padding of 200 bytes",
            vec![[&[0x7a, 0xc8, 1], &[0; 200][..]].concat(), shown.clone()],
            true,
        ),
        ("timecode", vec![unit(METADATA, "00000101"), shown.clone()], true),
        (
            "scalability",
            vec![unit(METADATA, "00000011"), shown.clone()],
            false,
        ),
        ("same light level", vec![light("0"), shown.clone()], true),
        ("other light level", vec![light("1"), shown.clone()], false),
        (
            "mastering display",
            vec![unit(METADATA, "00000010"), shown.clone()],
            false,
        ),
        ("tile list", vec![unit(8, ""), shown.clone()], false),
        ("forbidden bit", vec![shown.clone(), vec![0xfa, 0]], false),
        ("size after the end", vec![shown, vec![0x7a, 1]], false),
    ];
    for (name, units, usual) in cases {
        let start = [sequence(PLAIN), light("0"), unit(FRAME, KEY)].concat();
        assert_eq!(found(&[start, units.concat()]).is_some(), usual, "{name}");
    }
    assert_eq!(found(&samples(&HIERARCHICAL)[1..]), None);
    let hidden_key = [
        sequence(PLAIN),
        unit(FRAME, "0 00 0 1 0 0 0 0 0001 00000001"),
        unit(HEADER, "1 000"),
    ];
    assert_eq!(found(&[hidden_key.concat()]), None);
    assert_eq!(Units(&[0x80]).count(), 1);
}

#[test]
fn bounds_the_references_of_damaged_streams() {
    for table in [&HIERARCHICAL[..], &RESILIENT, &FORWARD_KEY] {
        let stream = samples(table);
        for (sample, at) in (0..stream.len()).flat_map(|n| (0..stream[n].len()).map(move |at| (n, at))) {
            let mut cut = stream.clone();
            cut[sample].truncate(at);
            let flipped = (0..8).map(|bit| {
                let mut stream = stream.clone();
                stream[sample][at] ^= 1 << bit;
                stream
            });
            for found in flipped.chain([cut]).filter_map(|stream| found(&stream)) {
                for (index, found) in found.iter().enumerate() {
                    assert!(found.len() <= SLOTS && found.is_sorted_by(|a, b| a < b));
                    assert!(found.last().is_none_or(|last| *last < index));
                }
            }
        }
    }
}
