//! The benchmarks are in `../benches/`; see the README of this package.
