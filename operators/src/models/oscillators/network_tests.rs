//! Teams over days: time, events, reports, bytes.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use proptest::prelude::*;

use super::super::rhythm::{Band, Issue, MemberStatus};
use super::super::snapshot::SnapshotError;
use super::*;

const HOUR_MS: i64 = 3_600_000;

fn profile(skill: f64, natural_frequency: f64) -> Profile {
    Profile { name: format!("rep of {skill}").into(), skill, natural_frequency }
}

fn team(settings: Settings, reps: &[(&str, f64, f64)]) -> Network {
    let mut network = Network::new(settings, 0);
    for (id, skill, frequency) in reps {
        network.put(id, profile(*skill, *frequency));
    }
    network
}

/// Eight reps of the spread that a dealer's team has.
fn eight(objective: Objective) -> Network {
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let reps: Vec<_> =
        (0..8).map(|rep| (ids[rep], 0.4 + 0.07 * rep as f64, 0.9 + 0.03 * ((rep * 5) % 8) as f64)).collect();
    team(Settings { objective, ..Settings::default() }, &reps)
}

/// The mean coherence over the hours, and the coverage.
fn figures(mut network: Network, hours: i64) -> (f64, f64) {
    let mut workspace = Workspace::default();
    let mut coherence = 0.0;
    for hour in 1..=hours {
        // An event an hour keeps the network awake.
        network.begin_event(hour * HOUR_MS, &mut workspace);
        coherence += network.order(&mut workspace).coherence / hours as f64;
    }
    (coherence, network.coverage().share().unwrap())
}

#[test]
fn one_objective_brings_rhythm_and_the_other_brings_cover() {
    let (coherence, coverage) = figures(eight(Objective::Coherence), 1_000);
    assert!(coherence > 0.95 && coverage < 0.45, "coherence {coherence}, coverage {coverage}");
    let (coherence, coverage) = figures(eight(Objective::Coverage), 1_000);
    assert!(coherence < 0.25 && coverage > 0.95, "coherence {coherence}, coverage {coverage}");
}

#[test]
fn a_network_that_is_reset_moves_as_a_new_one_and_keeps_what_happened() {
    let mut workspace = Workspace::default();
    let new = |began_ms: i64, workspace: &mut Workspace| {
        let mut network = eight(Objective::Coverage);
        (network.time_ms, network.awake_until_ms) = (began_ms, began_ms + AWAKE_MS);
        network.begin_event(began_ms, workspace);
        network.change("c", |counters| (*counters.active_deals, *counters.active_leads) = (2, 3));
        network.set_status("h", RepStatus::Off);
        network
    };
    let mut network = new(0, &mut workspace);
    network.change("c", |counters| *counters.active_deals += 1);
    network.begin_event(10 * HOUR_MS, &mut workspace);
    network.close_deal("c");
    let members = network.members().to_vec();
    network.reset();
    for (before, after) in members.iter().zip(network.members()) {
        assert_eq!((&before.profile, before.status), (&after.profile, after.status));
        assert_eq!((before.active_leads, before.active_deals), (after.active_leads, after.active_deals));
        assert_eq!((before.closed_today, before.shift_began_ms), (after.closed_today, after.shift_began_ms));
    }
    assert_eq!((network.coverage().share(), network.coverage_today().share()), (None, None));
    let mut other = new(10 * HOUR_MS, &mut workspace);
    for hour in 10..40 {
        let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let phases = |network: &Network| ids.map(|id| network.phase(id).map(f64::to_bits));
        assert_eq!(phases(&network), phases(&other), "hour {hour}");
        for network in [&mut network, &mut other] {
            network.begin_event((hour + 1) * HOUR_MS, &mut workspace);
        }
    }
    assert_eq!(network.coverage(), other.coverage());
}

#[test]
fn reps_alike_in_everything_part_under_coverage() {
    let ids = ["a", "b", "c", "d", "e", "f"];
    let network =
        team(Settings { objective: Objective::Coverage, ..Settings::default() }, &ids.map(|id| (id, 0.7, 1.0)));
    let (coherence, coverage) = figures(network, 200);
    assert!(coherence < 0.25 && coverage > 0.9, "coherence {coherence}, coverage {coverage}");
}

#[test]
fn a_lone_rep_turns_at_the_slowed_frequency() {
    let mut network = team(Settings::default(), &[("r", 0.7, 1.0)]);
    let mut workspace = Workspace::default();
    network.advance(HOUR_MS, &mut workspace);
    assert!((network.phase("r").unwrap() - 1.0).abs() < 1e-12);
    network.begin_event(HOUR_MS, &mut workspace);
    assert!(network.change("r", |counters| (*counters.active_leads, *counters.active_deals) = (3, 7)));
    network.advance(2 * HOUR_MS, &mut workspace);
    assert!((network.phase("r").unwrap() - 1.5).abs() < 1e-12, "load 10 halves the speed");
}

#[test]
fn reps_who_are_off_neither_move_nor_couple_nor_count() {
    let mut workspace = Workspace::default();
    let mut with = team(Settings::default(), &[("a", 0.2, 1.0), ("b", 0.5, 1.2), ("c", 0.9, 0.8)]);
    let mut without = team(Settings::default(), &[("a", 0.2, 1.0), ("c", 0.9, 0.8)]);
    assert!(with.set_status("b", RepStatus::Off) && !with.set_status("x", RepStatus::Off));
    with.advance(9 * HOUR_MS, &mut workspace);
    without.advance(9 * HOUR_MS, &mut workspace);
    for id in ["a", "c"] {
        assert_eq!(with.phase(id), without.phase(id));
    }
    assert_eq!((with.phase("b"), with.on_duty()), (Some(0.0), 2));
    assert_eq!(with.order(&mut workspace), without.order(&mut workspace));
    with.begin_event(9 * HOUR_MS, &mut workspace);
    assert!(with.set_status("b", RepStatus::Available) && with.on_duty() == 3);
    assert!(with.remove("b") && !with.remove("b") && with.member("b").is_none());
    with.advance(20 * HOUR_MS, &mut workspace);
    without.advance(20 * HOUR_MS, &mut workspace);
    assert_eq!(with.phase("c"), without.phase("c"));
}

#[test]
fn a_closed_deal_moves_on_by_a_quarter_turn() {
    let mut network = team(Settings::default(), &[("a", 0.2, 1.0), ("b", 0.5, 1.0)]);
    assert!(network.change("a", |counters| *counters.active_deals = 2));
    assert!(network.close_deal("a") && !network.close_deal("x"));
    let member = network.member("a").unwrap();
    assert_eq!((member.active_deals, member.closed_today), (1, 1));
    assert!((network.phase("a").unwrap() - FRAC_PI_2).abs() < 1e-15);
    for _ in 0..3 {
        network.close_deal("a");
    }
    let member = network.member("a").unwrap();
    assert_eq!((member.active_deals, member.closed_today, MemberStatus::of(member)), (0, 4, MemberStatus::CrushingIt));
    assert!(network.phase("a").unwrap() < 1e-12);
    network.begin_day(|_| Some(5));
    let member = network.member("a").unwrap();
    assert_eq!(
        (member.closed_today, member.shift_began_ms, MemberStatus::of(member)),
        (0, Some(5), MemberStatus::Idle)
    );
}

#[test]
fn an_assignment_slows_its_rep() {
    let mut network = team(Settings::default(), &[("a", 0.2, 1.0)]);
    assert!(network.assign_lead("a") && !network.assign_lead("x"));
    assert!((network.member("a").unwrap().frequency() - 1.0 / 1.1).abs() < 1e-15);
}

#[test]
fn bands_have_the_edges_of_the_definition() {
    let names = [1.0, 0.801, 0.8, 0.6, 0.599, 0.4, 0.399, 0.0].map(|coherence| Band::of(coherence).name());
    let expected =
        ["excellent", "excellent", "good", "good", "needs_attention", "needs_attention", "critical", "critical"];
    assert_eq!(names, expected);
}

/// A team that does not couple, with its members at the given phases.
fn at_phases(reps: &[(&str, f64, f64)]) -> Network {
    let mut network = team(
        Settings { strength: 0.0, ..Settings::default() },
        &reps.iter().map(|(id, skill, phase)| (*id, *skill, *phase)).collect::<Vec<_>>(),
    );
    // An hour at ω = phase.
    network.advance(HOUR_MS, &mut Workspace::default());
    network
}

#[test]
fn bottlenecks_have_the_first_reason_that_fits() {
    let mut network = at_phases(&[
        ("a", 0.5, 0.0),
        ("b", 0.5, 0.0),
        ("c", 0.5, 0.0),
        ("d", 0.5, 0.0),
        ("off", 0.5, 1.4),
        ("far", 0.5, 2.5),
    ]);
    let mut workspace = Workspace::default();
    let mean = network.order(&mut workspace).mean_phase;
    let issues = |network: &Network| {
        let found = network.bottlenecks(&mut Workspace::default());
        found.iter().map(|found| (found.member.id.to_string(), found.issue)).collect::<Vec<_>>()
    };
    assert!(1.4 - mean > PI / 3.0 - 0.2, "{mean}");
    assert_eq!(issues(&network)[0], ("far".into(), Issue::Behind));
    network.change("far", |counters| *counters.shift_began_ms = Some(-4 * HOUR_MS));
    assert_eq!(issues(&network)[0].1, Issue::SlowDay);
    network.change("far", |counters| *counters.closed_today = 1);
    assert_eq!(issues(&network)[0].1, Issue::Behind);
    network.change("far", |counters| *counters.active_deals = 6);
    assert_eq!(
        (issues(&network)[0].1, MemberStatus::of(network.member("far").unwrap())),
        (Issue::Overloaded, MemberStatus::Overloaded)
    );
    network.remove("far");
    // Now the mean is near zero, and 1.4 is between π/3 and π/2 away from it.
    assert_eq!(issues(&network), [("off".to_owned(), Issue::OutOfSync)]);
    let sentences = [Issue::Overloaded, Issue::SlowDay, Issue::Behind, Issue::OutOfSync].map(Issue::sentence);
    let expected = [
        "Overloaded - too many active deals",
        "Slow day - no deals closed yet",
        "Significantly behind team rhythm",
        "Slightly out of sync",
    ];
    assert_eq!(sentences, expected);
}

proptest! {
    #[test]
    fn mentoring_is_the_best_three_of_all_pairs(reps in proptest::collection::vec((0_u8..20, 0.0..6.2), 0..12)) {
        let ids: Vec<String> = (0..reps.len()).map(|rep| format!("r{rep:02}")).collect();
        let reps: Vec<_> = reps.iter().zip(&ids).map(|((skill, phase), id)| (id.as_str(), f64::from(*skill) / 20.0, *phase)).collect();
        let network = at_phases(&reps);
        let mut pairs = Vec::new();
        for mentor in network.members() {
            for mentee in network.members() {
                let gap = mentor.profile.skill - mentee.profile.skill;
                let phases = network.phase(&mentor.id).unwrap() - network.phase(&mentee.id).unwrap();
                let lead = libm::atan2(libm::sin(phases), libm::cos(phases));
                if gap > 0.15 && (0.5..=1.5).contains(&lead) {
                    pairs.push((gap, mentor.id.to_string(), mentee.id.to_string()));
                }
            }
        }
        pairs.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| (&left.1, &left.2).cmp(&(&right.1, &right.2))));
        pairs.truncate(3);
        let found: Vec<_> = network.mentoring().iter()
            .map(|pair| (pair.skill_gap, pair.mentor.id.to_string(), pair.mentee.id.to_string())).collect();
        prop_assert_eq!(found, pairs);
    }
}

/// What may happen to a network.
#[derive(Clone, Debug)]
enum Call {
    Advance(i64),
    Put(u8, f64, f64),
    Remove(u8),
    Status(u8, u64),
    Close(u8),
    Assign(u8),
    Midnight,
}

fn calls() -> impl Strategy<Value = Vec<(i64, Call)>> {
    let rep = 0_u8..12;
    let call = prop_oneof![
        (0..40 * HOUR_MS).prop_map(Call::Advance),
        (rep.clone(), -0.1..1.1, -13.0..13.0).prop_map(|(rep, skill, frequency)| Call::Put(rep, skill, frequency)),
        rep.clone().prop_map(Call::Remove),
        (rep.clone(), 0_u64..4).prop_map(|(rep, code)| Call::Status(rep, code)),
        rep.clone().prop_map(Call::Close),
        rep.prop_map(Call::Assign),
        Just(Call::Midnight),
    ];
    proptest::collection::vec((0..3 * HOUR_MS, call), 1..40)
}

fn apply(network: &mut Network, (after_ms, call): &(i64, Call), workspace: &mut Workspace) {
    let at_ms = network.time_ms() + after_ms;
    if let Call::Advance(by_ms) = call {
        network.advance(at_ms + by_ms, workspace);
        return;
    }
    network.begin_event(at_ms, workspace);
    match call {
        Call::Put(rep, skill, frequency) => network.put(&rep.to_string(), profile(*skill, *frequency)),
        Call::Remove(rep) => _ = network.remove(&rep.to_string()),
        Call::Status(rep, code) => _ = network.set_status(&rep.to_string(), RepStatus::of_code(*code).unwrap()),
        Call::Close(rep) => _ = network.close_deal(&rep.to_string()),
        Call::Assign(rep) => _ = network.assign_lead(&rep.to_string()),
        Call::Midnight => network.begin_day(|_| Some(at_ms)),
        Call::Advance(_) => {}
    }
}

fn bytes_of(network: &Network) -> Vec<u8> {
    let mut bytes = Vec::new();
    network.snapshot(&mut bytes);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_restored_network_goes_on_bit_by_bit(calls in calls(), cut in 0_usize..40, coverage in any::<bool>()) {
        let objective = if coverage { Objective::Coverage } else { Objective::Coherence };
        let settings = Settings { objective, ..Settings::default() };
        let (mut network, mut workspace) = (Network::new(settings, 0), Workspace::default());
        for call in calls.iter().take(cut) {
            apply(&mut network, call, &mut workspace);
        }
        let mut restored = Network::restore(settings, &bytes_of(&network)).unwrap();
        let mut fresh = Workspace::default();
        for call in calls.iter().skip(cut) {
            apply(&mut network, call, &mut workspace);
            apply(&mut restored, call, &mut fresh);
        }
        prop_assert_eq!(bytes_of(&network), bytes_of(&restored));
        prop_assert!(network.phases().all(|(_, phase)| (0.0..TAU).contains(&phase)));
    }

    #[test]
    fn reads_between_events_change_no_bit(reads in proptest::collection::vec(0..200 * HOUR_MS, 0..30), event in 0..400 * HOUR_MS) {
        let (mut often, mut once) = (eight(Objective::Coherence), eight(Objective::Coherence));
        let mut workspace = Workspace::default();
        let mut reads = reads;
        reads.sort_unstable();
        for read in reads.iter().filter(|read| **read <= event) {
            often.advance(*read, &mut workspace);
        }
        for network in [&mut often, &mut once] {
            network.begin_event(event, &mut workspace);
        }
        prop_assert_eq!(bytes_of(&often), bytes_of(&once));
        prop_assert_eq!(once.time_ms(), event);
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..300, with in any::<u8>()) {
        _ = Network::restore(Settings::default(), &bytes);
        bytes = bytes_of(&eight(Objective::Coherence));
        let at = at % bytes.len();
        bytes[at] ^= with;
        _ = Network::restore(Settings::default(), &bytes);
        bytes.truncate(at);
        prop_assert!(Network::restore(Settings::default(), &bytes).is_err());
    }
}

#[test]
fn another_version_is_named() {
    let mut bytes = bytes_of(&eight(Objective::Coherence));
    bytes[0] = 9;
    assert_eq!(Network::restore(Settings::default(), &bytes).unwrap_err(), SnapshotError::Version { found: 9 });
}

#[test]
fn a_stray_date_costs_a_week_of_steps() {
    let (mut network, mut workspace) = (eight(Objective::Coherence), Workspace::default());
    network.advance(i64::MAX, &mut workspace);
    assert_eq!(network.time_ms(), AWAKE_MS);
    network.begin_event(i64::MAX, &mut workspace);
    network.advance(i64::MAX, &mut workspace);
    assert_eq!(network.time_ms(), i64::MAX);
    assert!((network.coverage().staffed_hours - 168.0).abs() < 1e-9);
}
