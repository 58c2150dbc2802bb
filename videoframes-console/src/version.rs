//! Version and build of the programs.

/// Version with the commit of the build: `0.1.0 (0123456789ab 2026-01-31)`.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("VF_BUILD_SUFFIX"));

/// [`VERSION`] with the target and the compiler of the build, one on each line.
pub const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    env!("VF_BUILD_SUFFIX"),
    "\ntarget: ",
    env!("VF_BUILD_TARGET"),
    "\ncompiler: ",
    env!("VF_BUILD_COMPILER"),
);
