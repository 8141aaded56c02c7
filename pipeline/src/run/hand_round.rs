//! A dataflow for one purpose: every worker says what others are to get, and gets what they said.
//!
//! ```text
//!   outgoing: (worker, item) ─▶ exchange ─▶ received, on that worker          ends when every worker has everything
//! ```
//! A start shares the parts of a snapshot out this way, and an end brings the workers' counts together.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::{Operator, source};
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::worker::Worker;

/// How long a worker sleeps at most when nothing wakes it.
const PARK: Duration = Duration::from_millis(100);
/// Items that are sent at once, so that a large state is never all on its way.
const ITEMS_AT_ONCE: usize = 16;

/// Hands items to workers by their numbers. Every worker of every process calls it, at the same point of its life; each gets its items
/// in the order in which any one sender named them.
pub fn hand_round<T: ExchangeData>(worker: &mut Worker, outgoing: Vec<(usize, T)>) -> Vec<T> {
    let received = Rc::new(RefCell::new(Vec::new()));
    let done: Handle<u64> = Handle::new();
    worker.dataflow(|scope| {
        let mut outgoing = outgoing.into_iter();
        let sent =
            source::<_, CapacityContainerBuilder<Vec<(usize, T)>>, _, _>(scope, "hand out", |capability, info| {
                let activator = scope.activator_for(info.address);
                let mut held = Some(capability);
                move |output| {
                    let Some(capability) = &held else { return };
                    let mut session = output.session(capability);
                    let mut sent = 0;
                    for item in outgoing.by_ref().take(ITEMS_AT_ONCE) {
                        session.give(item);
                        sent += 1;
                    }
                    drop(session);
                    if sent < ITEMS_AT_ONCE {
                        held = None;
                    } else {
                        activator.activate();
                    }
                }
            });
        let kept = Rc::clone(&received);
        let exchange = Exchange::new(|(worker, _): &(usize, T)| *worker as u64);
        sent.unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(exchange, "take in", move |_, _| {
            move |input, _output| {
                input.for_each(|_capability, data| {
                    kept.borrow_mut().extend(data.drain(..).map(|(_, item)| item));
                });
            }
        })
        .probe_with(&done);
    });
    while !done.done() {
        worker.step_or_park(Some(PARK));
    }
    received.take()
}
