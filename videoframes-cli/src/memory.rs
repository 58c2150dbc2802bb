//! Allocator settings that return the memory of large pictures to the system.
#![allow(unsafe_code)]

/// Size from which the allocator maps each block separately. By default, glibc raises the threshold to the
/// size of the largest freed picture, and keeps several such blocks in the heap of each thread.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD: libc::c_int = 1 << 20;

/// Makes the allocator return freed large blocks. Must be called once, before other threads start.
pub(crate) fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets an allocator parameter, and no other thread allocates yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    }
}
