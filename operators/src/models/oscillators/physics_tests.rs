//! What the physics of coupled oscillators says, and the fast sums against the plain ones.

use std::f64::consts::{PI, TAU};

use proptest::prelude::*;

use super::super::coupling::Weights;
use super::*;

/// The sum as it is written, O(N²), with the sines of libm.
fn plain_velocities(frequencies: &[f64], coupling: &Coupling<'_>, phases: &[f64]) -> Vec<f64> {
    let count = phases.len() as f64;
    let pull = |own: usize| -> f64 {
        let terms = (0..phases.len()).map(|other| {
            let weight = match coupling.weights {
                Weights::Uniform => 1.0,
                Weights::Similarity(skills) => 1.0 - (skills[own] - skills[other]).abs(),
            };
            let difference = phases[other] - phases[own];
            let higher: f64 =
                (2..=coupling.harmonics).map(|m| libm::sin(f64::from(m) * difference) / f64::from(m)).sum();
            weight * libm::sin(difference) + higher
        });
        terms.sum()
    };
    (0..phases.len()).map(|own| frequencies[own] + coupling.strength / count * pull(own)).collect()
}

fn uniform(strength: f64) -> Coupling<'static> {
    Coupling { strength, weights: Weights::Uniform, harmonics: 1 }
}

fn run(oscillators: &Oscillators<'_>, phases: &mut [f64], step: f64, steps: usize) {
    let mut workspace = Workspace::default();
    for _ in 0..steps {
        oscillators.step(phases, step, &mut workspace);
    }
}

/// The middle frequencies of `count` equal shares of a Lorentzian of half width 1/2.
fn lorentzian(count: usize) -> Vec<f64> {
    (0..count).map(|index| 0.5 * libm::tan(PI * ((index as f64 + 0.5) / count as f64 - 0.5))).collect()
}

#[test]
fn lorentzian_frequencies_settle_at_the_coherence_of_kuramoto() {
    // K_c = 2γ = 1 and r = √(1 − K_c/K).
    const COUNT: usize = 4_000;
    let frequencies = lorentzian(COUNT);
    for strength in [1.5, 2.0, 4.0] {
        let oscillators = Oscillators { frequencies: &frequencies, coupling: uniform(strength) };
        let mut phases: Vec<f64> = (0..COUNT).map(|index| 0.5 * wrapped(index as f64 * 2.399_963)).collect();
        run(&oscillators, &mut phases, 0.05, 1_000);
        let (mut mean, mut workspace) = (0.0, Workspace::default());
        for _ in 0..400 {
            run(&oscillators, &mut phases, 0.05, 1);
            mean += Order::of(&phases, &mut workspace).coherence / 400.0;
        }
        let expected = (1.0 - 1.0 / strength).sqrt();
        assert!((mean - expected).abs() < 1e-3, "K = {strength}: {mean}, expected {expected}");
    }
}

#[test]
fn below_the_critical_coupling_nothing_settles() {
    let frequencies = lorentzian(4_000);
    let oscillators = Oscillators { frequencies: &frequencies, coupling: uniform(0.6) };
    let mut phases = vec![0.0; 4_000];
    run(&oscillators, &mut phases, 0.05, 1_200);
    let coherence = Order::of(&phases, &mut Workspace::default()).coherence;
    assert!(coherence < 0.03, "{coherence}");
}

#[test]
fn two_oscillators_lock_where_the_arcsine_says() {
    for (difference, strength) in [(0.1, 0.3), (0.29, 0.3), (-0.5, 1.0), (0.0, 0.2)] {
        let oscillators = Oscillators { frequencies: &[1.0 + difference, 1.0], coupling: uniform(strength) };
        let mut phases = [0.3, 0.0];
        run(&oscillators, &mut phases, 1.0 / 12.0, 6_000);
        let locked = ahead_of(phases[0], phases[1]);
        assert!((locked - libm::asin(difference / strength)).abs() < 1e-6, "{difference} {strength}: {locked}");
    }
}

#[test]
fn two_oscillators_too_far_apart_beat() {
    for (difference, strength) in [(0.5, 0.3), (0.31, 0.3), (-1.0, 0.6)] {
        let oscillators = Oscillators { frequencies: &[1.0 + difference, 1.0], coupling: uniform(strength) };
        let mut phases = [0.0, 0.0];
        let period = TAU / f64::sqrt(difference * difference - strength * strength);
        let steps = 20_000;
        run(&oscillators, &mut phases, period / f64::from(steps), steps as usize);
        // After one period the one has gained a whole turn on the other.
        assert!((phases[0] - phases[1] - TAU * f64::signum(difference)).abs() < 1e-6, "{phases:?}");
    }
}

/// Phases, frequencies and skills in ascending order.
fn teams(sizes: std::ops::Range<usize>) -> impl Strategy<Value = (Vec<f64>, Vec<f64>, Vec<f64>)> {
    proptest::collection::vec((-40.0..40.0, -2.0..2.0, 0.0..=1.0), sizes).prop_map(|mut oscillators| {
        oscillators.sort_by(|left: &(f64, f64, f64), right| left.2.total_cmp(&right.2));
        let column = |of: fn(&(f64, f64, f64)) -> f64| oscillators.iter().map(of).collect::<Vec<_>>();
        (column(|own| own.0), column(|own| own.1), column(|own| own.2))
    })
}

proptest! {
    #[test]
    fn fast_sums_equal_the_plain_sum(
        (phases, frequencies, skills) in teams(1..120), strength in -5.0..5.0, harmonics in 1_u32..5, similar in any::<bool>(),
    ) {
        let weights = if similar { Weights::Similarity(&skills) } else { Weights::Uniform };
        let coupling = Coupling { strength, weights, harmonics };
        let mut fast = vec![0.0; phases.len()];
        Oscillators { frequencies: &frequencies, coupling }.velocities(&phases, &mut fast, &mut Workspace::default());
        for (fast, plain) in fast.iter().zip(plain_velocities(&frequencies, &coupling, &phases)) {
            prop_assert!((fast - plain).abs() <= 1e-12, "{fast} {plain}");
        }
    }

    #[test]
    fn the_mean_velocity_is_the_mean_frequency(
        (mut phases, frequencies, skills) in teams(1..40), strength in -2.0..2.0, similar in any::<bool>(),
    ) {
        // Every pull has its opposite, so the sum of the phases moves by the sum of the frequencies.
        let weights = if similar { Weights::Similarity(&skills) } else { Weights::Uniform };
        let before: f64 = phases.iter().sum();
        run(&Oscillators { frequencies: &frequencies, coupling: Coupling { strength, weights, harmonics: 1 } }, &mut phases, 0.1, 50);
        let velocity = (phases.iter().sum::<f64>() - before) / 5.0;
        prop_assert!((velocity - frequencies.iter().sum::<f64>()).abs() < 1e-9);
    }

    #[test]
    fn a_turn_of_all_turns_the_whole_course(
        (phases, frequencies, skills) in teams(1..40), turn in -10.0..10.0,
    ) {
        let coupling = Coupling { strength: 0.3, weights: Weights::Similarity(&skills), harmonics: 1 };
        let oscillators = Oscillators { frequencies: &frequencies, coupling };
        let (mut straight, mut turned) = (phases.clone(), phases.iter().map(|phase| phase + turn).collect::<Vec<_>>());
        run(&oscillators, &mut straight, 0.1, 20);
        run(&oscillators, &mut turned, 0.1, 20);
        for (straight, turned) in straight.iter().zip(&turned) {
            let apart: f64 = straight + turn - turned;
            prop_assert!(apart.abs() < 1e-10);
        }
        let mut workspace = Workspace::default();
        let (before, after) = (Order::of(&straight, &mut workspace), Order::of(&turned, &mut workspace));
        prop_assert!((before.coherence - after.coherence).abs() < 1e-10);
    }

    #[test]
    fn wrapping_keeps_the_angle(angle in -1e5..1e5_f64, other in -10.0..10.0_f64) {
        let rest = wrapped(angle);
        prop_assert!((0.0..TAU).contains(&rest) && (libm::sin(rest) - libm::sin(angle)).abs() < 1e-10);
        let ahead = ahead_of(angle, other);
        prop_assert!(ahead > -PI && ahead <= PI && (libm::sin(ahead) - libm::sin(angle - other)).abs() < 1e-10);
    }
}

#[test]
fn half_the_step_leaves_a_sixteenth_of_the_error() {
    let skills = [0.1, 0.3, 0.35, 0.8, 0.9];
    let frequencies = [1.0, -0.4, 0.2, 1.7, 0.6];
    let coupling = Coupling { strength: 1.5, weights: Weights::Similarity(&skills), harmonics: 1 };
    let at_end = |steps: usize| {
        let mut phases = [0.0, 1.0, 2.5, -1.0, 4.0];
        run(&Oscillators { frequencies: &frequencies, coupling }, &mut phases, 4.0 / steps as f64, steps);
        phases
    };
    let exact = at_end(8_192);
    let error = |steps| at_end(steps).iter().zip(&exact).map(|(own, exact)| (own - exact).abs()).fold(0.0, f64::max);
    for steps in [16, 32, 64] {
        let ratio = error(steps) / error(2 * steps);
        assert!((13.0..20.0).contains(&ratio), "{steps} steps: {ratio}");
    }
}

#[test]
fn the_order_of_known_phases() {
    let mut workspace = Workspace::default();
    assert_eq!(Order::of(&[], &mut workspace), Order { coherence: 0.0, mean_phase: 0.0 });
    assert!(Order::of(&[0.0, PI], &mut workspace).coherence < 1e-15);
    let quarter = Order::of(&[0.0, PI / 2.0], &mut workspace);
    assert!((quarter.coherence - f64::sqrt(0.5)).abs() < 1e-15 && (quarter.mean_phase - PI / 4.0).abs() < 1e-15);
}
