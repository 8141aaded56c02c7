//! Threads that step back: the dataflow goes first, then who waits for an answer.
//!
//! The keeper of history does not: niceness counts between processes, too, and on a machine that is busy with others an end by signal would
//! have to wait for it.

/// How far queries step back, as `nice` counts: about half of the dataflow's share where both want all of it.
const NICENESS: i32 = 3;

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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_steps_back_alone() {
        let niceness = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // The name stands in parentheses and may hold anything; the niceness is the 17th field behind it.
            stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
        };
        let before = niceness();
        let own = std::thread::spawn(move || {
            step_back();
            niceness()
        });
        assert_eq!(own.join().unwrap(), NICENESS.max(before));
        assert_eq!(niceness(), before);
    }
}
