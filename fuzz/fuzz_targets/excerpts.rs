//! Hostile Matroska files and transport streams in parts: no panic, only bytes of the file, and the same parts for reads of any
//! size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use videoframes_core::video::excerpt::{Outline, OutlineReader, Part, Program, Window, WindowReader};

/// Reads a window with reads of `step` bytes.
fn read(file: &[u8], outline: &Outline, window: Window, step: usize) -> Option<(Vec<i64>, Vec<Part>, bool)> {
    let mut reader = WindowReader::new(outline, window, file.len() as u64);
    while let Some(range) = reader.wanted(0) {
        let start = (range.start as usize).min(file.len());
        reader.supply(&file[start..(start + step).min(file.len())]);
    }
    let times = reader.times().to_vec();
    reader.finish().ok().map(|(parts, joined)| (times, parts, joined))
}

fuzz_target!(|data: &[u8]| {
    let Some((&[step, until], file)) = data.split_first_chunk() else {
        return;
    };
    if let Ok(Some(program)) = Program::find(file) {
        let found = program.scan(file, 0).unwrap_or_default();
        assert!(
            found
                .windows(2)
                .all(|pair| pair[0].position + 188 <= pair[1].position)
        );
        assert!(found.iter().all(|pes| (0..1 << 33).contains(&pes.pts)));
    }
    let length = file.len() as u64;
    let mut reader = OutlineReader::new(length);
    while let Some(range) = reader.wanted() {
        let start = (range.start as usize).min(file.len());
        reader.supply(&file[start..(range.end as usize).clamp(start, file.len())]);
    }
    let Ok(outline) = reader.finish() else { return };
    for (start, until) in [
        (outline.first_cluster, Some(i64::from(until) * 40)),
        (outline.cues[1].position, None),
    ] {
        let stop = until.map_or(length, |_| outline.cues[1].position);
        let window = Window { start, until, stop };
        let whole = read(file, &outline, window, file.len());
        assert_eq!(whole, read(file, &outline, window, 1 + usize::from(step)));
        let Some((_, parts, _)) = whole else { continue };
        let mut end = 0;
        for part in parts {
            let position = part.position as usize;
            assert!(position >= end);
            end = position + part.bytes.len();
            assert_eq!(part.bytes, file[position..end]);
            assert_eq!(part.skipped, file[position - part.skipped.len()..position]);
        }
    }
});
