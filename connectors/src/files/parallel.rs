//! The same work on numbered items, spread over a few threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Runs `work(state, item)` for every item below `count` on up to `threads` scoped threads, each with a state of its
/// own. Items are claimed one by one, so a slow item delays nobody else. Returns the results in item order, and the
/// threads' states in no particular order.
///
/// # Errors
/// The error of the lowest-numbered item that failed among those that were claimed; after a failure no further item is.
pub(super) fn in_parallel<State, Output, Failure>(
    threads: usize,
    count: usize,
    new_state: impl Fn() -> State + Sync,
    work: impl Fn(&mut State, usize) -> Result<Output, Failure> + Sync,
) -> Result<(Vec<Output>, Vec<State>), Failure>
where
    State: Send,
    Output: Send,
    Failure: Send,
{
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let run = || {
        let mut state = new_state();
        let mut results = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let item = next.fetch_add(1, Ordering::Relaxed);
            if item >= count {
                break;
            }
            let result = work(&mut state, item);
            if result.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            results.push((item, result));
        }
        (results, state)
    };

    let threads = threads.clamp(1, count.max(1));
    let mut per_thread = Vec::with_capacity(threads);
    if threads == 1 {
        per_thread.push(run());
    } else {
        std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            for handle in handles {
                // A panic in a thread is a defect and goes on in the caller, with its own message.
                per_thread.push(handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
    }

    let mut results = Vec::with_capacity(count);
    let mut states = Vec::with_capacity(threads);
    for (thread_results, state) in per_thread {
        results.extend(thread_results);
        states.push(state);
    }
    results.sort_by_key(|(item, _)| *item);
    let outputs = results.into_iter().map(|(_, result)| result).collect::<Result<Vec<_>, _>>()?;
    Ok((outputs, states))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_item_order_with_any_number_of_threads() {
        for threads in [0, 1, 3, 64] {
            let (squares, counts) = in_parallel(
                threads,
                10,
                || 0,
                |done: &mut usize, item| {
                    *done += 1;
                    Ok::<_, ()>(item * item)
                },
            )
            .unwrap();
            assert_eq!(squares, [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
            assert_eq!(counts.iter().sum::<usize>(), 10);
        }
    }

    #[test]
    fn a_failure_is_returned() {
        let result = in_parallel(2, 100, || (), |(), item| if item == 5 { Err(item) } else { Ok(item) });
        assert_eq!(result.unwrap_err(), 5);
    }
}
