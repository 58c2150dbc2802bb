//! Memory goes back to the system when a large picture is done with.
#![allow(unsafe_code)]

/// Blocks of this size and more are mapped one by one. glibc would raise its own threshold to the
/// size of the largest picture so far, and keep several of them in each thread's heap.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM: libc::c_int = 1 << 20;

/// To be called once, before there is a second thread.
pub(crate) fn give_back_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets a parameter of the allocator; no other thread allocates yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
    }
}
