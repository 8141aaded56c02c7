//! Threads that step back: the dataflow goes first, then who waits for an answer, then what only has to be done some time.

/// Who steps back how far, as `nice` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Queries: about half of the dataflow's share where both want all of it.
    Query,
    /// Writing history and checkpoints: about a tenth of it. A query of a millisecond would else wait for a file of a second.
    Background,
}

impl Priority {
    fn niceness(self) -> i32 {
        match self {
            Priority::Query => 3,
            Priority::Background => 10,
        }
    }
}

/// Lets the calling thread step back. Where the system refuses, it goes on as it was.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library knows no priorities; this call takes and gives numbers")]
pub fn step_back(priority: Priority) {
    // SAFETY: no pointers are passed. On Linux 0 means the calling thread.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, priority.niceness());
    }
}

/// Elsewhere a priority is the whole process's.
#[cfg(not(target_os = "linux"))]
pub fn step_back(priority: Priority) {
    let _ = priority.niceness();
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
            step_back(Priority::Background);
            niceness()
        });
        assert_eq!(own.join().unwrap(), Priority::Background.niceness().max(before));
        assert_eq!(niceness(), before);
    }
}
