//! Threads that step back: the dataflow goes first.

/// How far queries step back, as `nice` counts: about a quarter of the time where the dataflow wants all of it.
const NICENESS: i32 = 5;

/// Lets the calling thread step back. Where the system refuses, it goes on as it was.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library knows no priorities; this call takes and gives numbers")]
pub(crate) fn step_back() {
    // SAFETY: no pointers are passed. On Linux 0 means the calling thread.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS);
    }
}

/// Elsewhere a priority is the whole process's.
#[cfg(not(target_os = "linux"))]
pub(crate) fn step_back() {
    let _ = NICENESS;
}
