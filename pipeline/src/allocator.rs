//! The allocator and the one setting of it that matters here.
//!
//! mimalloc gives memory back to the system ten milliseconds after it is freed. A dataflow takes the same megabytes again with the
//! next chunk, and a third of a replay's time went into clearing pages that it had owned a moment before. So nothing is given back:
//! the process keeps its high-water mark, which its limits bound.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, the same in its versions 2 and 3.
const PURGE_DELAY: std::ffi::c_int = 15;

/// Keeps freed memory in the process. To be called first in `main`.
#[expect(unsafe_code, reason = "mimalloc has no safe call for its options; this one stores a number")]
pub fn keep_freed_memory() {
    // SAFETY: the option exists in the version that is linked, and any value is permitted at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) }
}
