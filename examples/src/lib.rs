//! The examples are the files in the parent folder: `cargo run --example extract_local`.
