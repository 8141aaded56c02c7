//! The allocator and its settings, which differ for a batch and for a service.
//!
//! mimalloc gives memory back to the system ten milliseconds after it is freed. A dataflow takes the same megabytes again with the
//! next chunk, and a third of a replay's time went into clearing pages that it had owned a moment before. So a batch gives nothing back,
//! and a service what it has not used for a second: bursts pass, and it promised a limit.
//!
//! mimalloc asks the system for huge pages, too. A replay is a tenth faster with them; a service whose many threads hold a little each
//! holds half as much memory again, so it goes without.

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, the same in its versions 2 and 3.
const PURGE_DELAY: c_int = 15;
/// A second, in milliseconds.
const SERVICE_PURGE_DELAY_MS: c_long = 1_000;

/// For work that ends soon: keeps freed memory in the process. To be called first in `main`.
pub fn for_batch() {
    set_purge_delay(-1);
}

/// For a service that keeps below a limit. To be called before it starts threads.
#[expect(
    unsafe_code,
    reason = "the safe call is behind a feature of `rustix` that half of all crates would be built again for"
)]
pub fn for_service() {
    set_purge_delay(SERVICE_PURGE_DELAY_MS);
    #[cfg(target_os = "linux")]
    // SAFETY: the call sets a flag of the process and takes no pointers; a system that does not know it says so, and nothing is lost.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}

#[expect(unsafe_code, reason = "mimalloc has no safe call for its options; this one stores a number")]
fn set_purge_delay(delay_ms: c_long) {
    // SAFETY: the option exists in the version that is linked, and any value is permitted at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, delay_ms) }
}
