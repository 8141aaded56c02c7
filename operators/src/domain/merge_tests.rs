use proptest::prelude::*;

use super::*;
use crate::domain::entity::lead;
use crate::domain::entity_store::EntityStore;

/// An event on one lead: small times and few ids, so that ties happen.
#[derive(Clone, Debug)]
struct LeadEvent {
    time_ms: i64,
    sequence: u64,
    id: String,
    effect: Effect,
    responded: bool,
    customer: Option<Option<String>>,
    score: Option<Option<u64>>,
}

fn lead_event() -> impl Strategy<Value = LeadEvent> {
    (
        0_i64..12,
        0_u64..2,
        "[a-c]{1,9}",
        prop_oneof![2 => Just(Effect::Create), 5 => Just(Effect::Patch), 2 => Just(Effect::Mark), 1 => Just(Effect::Delete)],
        proptest::option::of(proptest::option::of("[x-z]{0,12}")),
        proptest::option::of(proptest::option::of(300_u64..850)),
    )
        .prop_map(|(time_ms, sequence, id, effect, customer, score)| {
            let patches = matches!(effect, Effect::Create | Effect::Patch);
            LeadEvent {
                time_ms,
                sequence,
                id,
                effect,
                responded: effect == Effect::Mark,
                customer: customer.filter(|_| patches),
                score: score.filter(|_| patches),
            }
        })
}

type Observed = (bool, Option<String>, Option<u64>, Option<i64>, Option<i64>, i64);

/// The state after the events, in the order given, each applied as often as it stands there.
fn observe(events: &[LeadEvent]) -> Observed {
    let mut store = EntityStore::default();
    let dealer = store.dealer(1, b"d");
    let kind = EntityKind::Lead;
    let hash = store.hash(dealer, b"lead-1");
    let place = store.find_or_insert(kind, dealer, hash, b"lead-1");
    for event in events {
        let mut values = Vec::new();
        if let Some(customer) = &event.customer {
            values.push((
                lead::CUSTOMER_ID,
                customer.as_ref().map_or(SlotValue::Null, |text| SlotValue::Text(text.as_bytes())),
            ));
        }
        if let Some(score) = event.score {
            values.push((lead::CREDIT_SCORE, score.map_or(SlotValue::Null, SlotValue::Bits)));
        }
        let incoming =
            Incoming { time_ms: event.time_ms, sequence: event.sequence, id: event.id.as_bytes(), source: b"s" };
        store.apply(
            kind,
            place,
            &Change { incoming, effect: event.effect, mark: event.responded.then_some(Mark::Reached), values: &values },
        );
    }
    let lead = store.entity(kind, place);
    (
        lead.is_alive(),
        lead.with_text(lead::CUSTOMER_ID, |text| String::from_utf8_lossy(text).into_owned()),
        lead.bits(lead::CREDIT_SCORE),
        lead.first_at(Mark::Created),
        lead.first_at(Mark::Reached),
        lead.touched_at(),
    )
}

/// The rule, computed from the whole set of events at once.
fn reference(events: &[LeadEvent]) -> Observed {
    let key = |event: &LeadEvent| (event.time_ms, event.sequence, event.id.clone());
    let deleted = events.iter().filter(|event| event.effect == Effect::Delete).map(key).max();
    let counting: Vec<&LeadEvent> = events
        .iter()
        .filter(|event| event.effect != Effect::Delete && deleted.as_ref().is_none_or(|deleted| key(event) > *deleted))
        .collect();
    let winner =
        |has: &dyn Fn(&LeadEvent) -> bool| counting.iter().filter(|event| has(event)).max_by_key(|event| key(event));
    let created = counting.iter().filter(|event| event.effect == Effect::Create);
    let alive = if deleted.is_some() { created.clone().next().is_some() } else { !counting.is_empty() };
    (
        alive,
        winner(&|event| event.customer.is_some()).and_then(|event| event.customer.clone().flatten()),
        winner(&|event| event.score.is_some()).and_then(|event| event.score.flatten()),
        created.map(|event| event.time_ms).min(),
        counting.iter().filter(|event| event.responded).map(|event| event.time_ms).min(),
        counting.iter().map(|event| event.time_ms).max().or(deleted.map(|deleted| deleted.0)).unwrap_or(i64::MIN),
    )
}

proptest! {
    #[test]
    fn any_order_gives_the_state_of_the_set(mut events in proptest::collection::vec(lead_event(), 0..40), seed in any::<u64>()) {
        // Events are told apart by content order, as the removal of duplicates guarantees.
        events.sort_by_key(|event| (event.time_ms, event.sequence, event.id.clone()));
        events.dedup_by_key(|event| (event.time_ms, event.sequence, event.id.clone()));
        let expected = reference(&events);
        prop_assert_eq!(&observe(&events), &expected);
        events.reverse();
        prop_assert_eq!(&observe(&events), &expected);
        let mut state = seed;
        for index in (1..events.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            events.swap(index, (state >> 33) as usize % (index + 1));
        }
        prop_assert_eq!(&observe(&events), &expected);
        // An older repeat that the removal of duplicates has forgotten changes nothing either.
        let repeated: Vec<LeadEvent> = events.iter().chain(events.iter()).cloned().collect();
        prop_assert_eq!(&observe(&repeated), &expected);
    }
}

#[test]
fn a_thousand_updates_keep_few_stamps() {
    let mut store = EntityStore::default();
    let dealer = store.dealer(1, b"d");
    let hash = store.hash(dealer, b"lead-1");
    let place = store.find_or_insert(EntityKind::Lead, dealer, hash, b"lead-1");
    for step in 0..1_000_i64 {
        let id = format!("a rather long event id {step}");
        let values = [((step % 16) as u8, SlotValue::Null)];
        let incoming = Incoming { time_ms: step, sequence: 0, id: id.as_bytes(), source: b"s" };
        store.apply(EntityKind::Lead, place, &Change { incoming, effect: Effect::Patch, mark: None, values: &values });
    }
    assert!(store.entity(EntityKind::Lead, place).stamps() <= 40);
    store.remove(EntityKind::Lead, place);
    assert!(!store.entity(EntityKind::Lead, place).is_alive());
    assert_eq!(store.find(EntityKind::Lead, dealer, hash, b"lead-1"), None);
}
