//! The numbered corpus: small videos whose frames contain their number as a bar code.
//!
//! The truth about each video is obtained without the program under test.
//!
//! The clips are generated once with `ffmpeg` (or `$VF_TEST_FFMPEG_ENC`) and cached in cargo's directory for test
//! files; a changed recipe generates a new clip.

// Each test file compiles this module and uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod barcode;
pub mod cache;
pub mod clips;
pub mod rational;
#[path = "../../../videoframes-core/tests/resources/mod.rs"]
mod resources;
pub mod runner;
pub mod truth;
pub mod vf;
