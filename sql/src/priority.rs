//! Threads that step back: the dataflow goes first, then who waits for an answer, then what nobody waits for.
//!
//! A thread that stepped back cannot come forward again without a privilege, so work that is sometimes urgent and sometimes not is done
//! [`at_leisure`]: on a thread of its own while it is not.

/// How far a thread steps back, as `nice` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Niceness {
    /// Somebody waits for an answer: about half of the dataflow's share where both want all of it.
    Queries = 3,
    /// Nobody waits: a tenth.
    Leisure = 10,
}

/// Lets the calling thread step back for good. Where the system refuses, it goes on as it was.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library knows no priorities; this call takes and gives numbers")]
pub fn step_back(niceness: Niceness) {
    // SAFETY: no pointers are passed. On Linux 0 means the calling thread.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, niceness as i32);
    }
}

/// Elsewhere a priority is the whole process's.
#[cfg(not(target_os = "linux"))]
pub fn step_back(niceness: Niceness) {
    let _ = niceness;
}

/// Does some work behind everybody else, and waits for it. Where the system gives no thread, it is done in this one.
///
/// # Panics
/// As the work does.
pub fn at_leisure<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let work = std::sync::Mutex::new(Some(work));
    let take = || work.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let done = std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("leisure".to_owned());
        let thread = builder.spawn_scoped(scope, || {
            step_back(Niceness::Leisure);
            take().map(|work| work())
        });
        match thread.ok()?.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    // Only where no thread was given the work is still there.
    match (done, take()) {
        (Some(done), _) => done,
        (None, Some(work)) => work(),
        (None, None) => unreachable!("the work was taken by the thread, which gave its result"),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The calling thread's.
    fn niceness() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // The name stands in parentheses and may hold anything; the niceness is the 17th field behind it.
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn a_thread_steps_back_alone() {
        let before = niceness();
        let own = std::thread::spawn(|| {
            step_back(Niceness::Queries);
            niceness()
        });
        assert_eq!(own.join().unwrap(), (Niceness::Queries as i32).max(before));
        assert_eq!(niceness(), before);
    }

    #[test]
    fn work_at_leisure_borrows_answers_and_panics_like_any_other() {
        let (before, lent) = (niceness(), String::from("lent"));
        assert_eq!(at_leisure(|| (lent.as_str(), niceness())), ("lent", (Niceness::Leisure as i32).max(before)));
        assert_eq!(niceness(), before);
        assert!(std::panic::catch_unwind(|| at_leisure(|| panic!("on purpose"))).is_err());
    }
}
