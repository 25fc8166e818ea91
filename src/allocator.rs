//! How the C library keeps memory that was given back: as little as it can be told to.
#![expect(unsafe_code, reason = "mallopt has no safe way in any crate we use")]

/// From this size on, memory is mapped for itself and goes back to the kernel as soon as it is freed.
/// It is where glibc begins, but glibc raises it to what was freed last, and a line of 1 MiB would
/// then leave a hole of 1 MiB.
#[cfg(target_env = "gnu")]
const MAPPED_FROM_BYTES: libc::c_int = 128 * 1024;

/// Has all threads share one arena, and large memory go back at once. To be called before there is a
/// second thread. musl has one arena and gives back what it can.
///
/// glibc gives each thread an arena of its own, and what a worker freed in one is no use to the other:
/// a thousand containers beside a flood took 30 MiB instead of 26, for no less processor time, as few
/// allocations are made per chunk and none per line.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    for (setting, value) in [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)] {
        // SAFETY: it takes two integers, and refuses what it does not know: memory is kept as
        // before then.
        let _taken = unsafe { libc::mallopt(setting, value) };
    }
}
