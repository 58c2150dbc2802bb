//! The benchmarks are in `benches/` below this folder; see the README beside it.
