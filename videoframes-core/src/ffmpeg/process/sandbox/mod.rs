//! The sandbox of ffmpeg and ffprobe: a child reads its input and its libraries, writes its outputs, and starts no
//! other program, even if a video takes control of the decoder.
//!
//! - `access`: the files of a child, from its command line.
//! - `files`: access to files, by Landlock.
//! - `calls`: system calls, by seccomp.
//! - `executable`: the files that a program needs to start.
//!
//! Resource limits apply in addition, and also without a sandbox (`spawn.rs`).

mod access;
#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod executable;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod linux;
mod mode;
mod status;
#[cfg(all(test, target_os = "linux"))]
mod tests;
#[cfg(not(target_os = "linux"))]
mod unavailable;

pub(crate) use self::access::Access;
#[cfg(target_os = "linux")]
pub(crate) use self::linux::{Confinement, Sandbox};
pub use self::mode::{SandboxMode, UnknownSandboxMode};
pub use self::status::SandboxStatus;
#[cfg(not(target_os = "linux"))]
pub(crate) use self::unavailable::{Confinement, Sandbox};
