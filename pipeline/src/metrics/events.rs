//! Events, by what became of them.

use operators::dataflow::statistics::Statistics;
use operators::domain::rejection::ReasonCode;
use prometheus::{IntCounter, IntCounterVec};

use super::declare::{Declarations, bring_to};

/// Events.
#[derive(Debug)]
pub struct EventMetrics {
    accepted: IntCounter,
    duplicates: IntCounter,
    dead_letters: IntCounterVec,
    unknown: IntCounter,
    unknown_fields: IntCounter,
    ambiguous_order: IntCounter,
    expired: IntCounter,
}

impl EventMetrics {
    pub(super) fn declare(declare: &mut Declarations) -> Self {
        EventMetrics {
            accepted: declare.counter("dealerflow_events_accepted_total", "Events that were accepted."),
            duplicates: declare.counter("dealerflow_events_duplicate_total", "Copies of accepted events."),
            dead_letters: declare.counters(
                "dealerflow_dead_letters_total",
                &["reason"],
                "Records that were not accepted, by reason code.",
            ),
            unknown: declare.counter("dealerflow_events_unknown_type_total", "Accepted events of an unknown type."),
            unknown_fields: declare
                .counter("dealerflow_events_unknown_fields_total", "Fields that their event type does not know."),
            ambiguous_order: declare.counter(
                "dealerflow_events_ambiguous_order_total",
                "Fields that two events of the same time and sequence wrote.",
            ),
            expired: declare.counter(
                "dealerflow_entities_expired_total",
                "Leads, deals and vehicles that left after their retention.",
            ),
        }
    }

    /// Takes over the counts of all workers.
    pub fn observe(&self, statistics: &Statistics) {
        bring_to(&self.accepted, statistics.accepted);
        bring_to(&self.duplicates, statistics.duplicates);
        bring_to(&self.unknown, statistics.unknown);
        bring_to(&self.unknown_fields, statistics.unknown_fields);
        bring_to(&self.ambiguous_order, statistics.ambiguous_order);
        bring_to(&self.expired, statistics.expired);
        for (code, count) in ReasonCode::ALL.into_iter().zip(statistics.rejected) {
            bring_to(&self.dead_letters.with_label_values(&[code.name()]), count);
        }
    }
}
