//! Hostile output of ffmpeg and ffprobe: no panic, and no line that only names of this process make possible.
#![no_main]

use libfuzzer_sys::fuzz_target;
use videoframes_core::fuzzing;

fuzz_target!(|text: &str| {
    assert!(!fuzzing::log(text));
    fuzzing::listing(text);
});
