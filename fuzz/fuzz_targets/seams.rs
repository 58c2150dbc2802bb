//! Hostile transport streams: no panic, and the same answer for pieces of any size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use videoframes_core::fuzzing::seams;

fuzz_target!(|data: &[u8]| {
    let Some((&[step, one, two], stream)) = data.split_first_chunk() else {
        return;
    };
    let marked = [i64::from(one) * 3600, i64::from(two) * 3003 + (1 << 32)];
    let whole = seams(stream, &marked, stream.len());
    assert_eq!(whole, seams(stream, &marked, 1 + usize::from(step)));
});
