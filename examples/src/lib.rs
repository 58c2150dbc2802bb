//! The examples are the files beside this folder: `cargo run --example extract_local`.
