//! The numbered corpus: small videos in which every frame carries its own number as a picture,
//! and the truth about each of them, known without the program under test.
//!
//! The clips are made once with `ffmpeg` (or `$VF_TEST_FFMPEG_ENC`) and kept under cargo's
//! directory for test files; a changed recipe makes the clip anew.

// Each test file compiles this module and uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod barcode;
pub mod cache;
pub mod clips;
pub mod rational;
pub mod runner;
pub mod truth;
pub mod vf;
