//! The optimiser against every placement, against the exact optimum, and against its bounds.

use proptest::prelude::*;

use super::exact::exact;
use super::greedy::{best_first, greedy, in_turn};
use super::*;

/// A xorshift generator for scores: tests need no better.
fn units(seed: u64) -> impl FnMut() -> f64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed + 1);
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / 9_007_199_254_740_992.0
    }
}

/// Scores without any structure.
fn random(leads: usize, reps: usize, cap: u32, seed: u64) -> Problem {
    let mut unit = units(seed);
    Problem::new(leads, vec![cap; reps], |_, _| Some(unit()))
}

/// The assignment score: all leads want the same reps.
fn contested(leads: usize, reps: usize, cap: u32, seed: u64) -> Problem {
    let mut unit = units(seed);
    let reps: Vec<(f64, f64)> =
        (0..reps).map(|_| (0.4 * libm::cos(6.3 * unit()) + 0.4 / (1.0 + (6.0 * unit()).floor()), unit())).collect();
    let priorities: Vec<f64> = (0..leads).map(|_| unit()).collect();
    Problem::new(leads, vec![cap; reps.len()], |lead, rep| {
        Some(reps[rep].0 + 0.2 * (1.0 - (reps[rep].1 - priorities[lead]).abs()))
    })
}

/// The best of all placements, by trying each.
fn best_of_all(problem: &Problem) -> Placement {
    fn extend(problem: &Problem, reps: &mut Vec<Option<u32>>, room: &mut [u32], best: &mut Placement) {
        if reps.len() == problem.leads() {
            let placement = Placement::new(problem, reps.clone());
            if placement.is_better_than(best) {
                *best = placement;
            }
            return;
        }
        for rep in (0..room.len()).map(Some).chain([None]) {
            if let Some(rep) = rep {
                if room[rep] == 0 || !problem.scores_of(reps.len())[rep].is_finite() {
                    continue;
                }
                room[rep] -= 1;
            }
            reps.push(rep.map(|rep| rep as u32));
            extend(problem, reps, room, best);
            reps.pop();
            if let Some(rep) = rep {
                room[rep] += 1;
            }
        }
    }
    let mut best = Placement::new(problem, vec![None; problem.leads()]);
    extend(problem, &mut Vec::new(), &mut problem.caps().to_vec(), &mut best);
    best
}

/// Nobody has more leads than places, nor a lead not allowed.
fn assert_valid(problem: &Problem, placement: &Placement) {
    let mut room = problem.caps().to_vec();
    for (lead, rep) in placement.reps.iter().enumerate() {
        if let Some(rep) = rep {
            assert!(problem.scores_of(lead)[*rep as usize].is_finite());
            room[*rep as usize] = room[*rep as usize].checked_sub(1).expect("room");
        }
    }
}

#[test]
fn sixty_leads_and_twenty_reps_are_placed_within_five_iterations() {
    for make in [random, contested] {
        let (mut worst, mut mean) = ([0.0_f64; 6], [0.0; 6]);
        for seed in 0..100 {
            let problem = make(60, 20, 3, seed);
            let (optimum, found) = (exact(&problem), optimise(&problem, 5));
            assert_valid(&problem, &found.placement);
            for iteration in 0..6 {
                let total = found.iterations[iteration.min(found.iterations.len() - 1)].total;
                let gap = (optimum.total - total) / optimum.total;
                worst[iteration] = worst[iteration].max(gap);
                mean[iteration] += gap / 100.0;
            }
            // An iteration looks three times at each pair; the last chain may add one look at each of its leads' pairs.
            assert!(found.iterations.iter().all(|iteration| iteration.looks <= 5 * 60 * 22));
        }
        println!("gap by iteration, mean {mean:.5?}, worst {worst:.5?}");
        assert!(worst[5] <= 0.01 && mean[5] <= 0.001, "mean {mean:?}, worst {worst:?}");
        assert!(worst.is_sorted_by(|before, after| before >= after));
    }
}

#[test]
fn many_leads_come_within_a_percent() {
    for (make, leads, reps, cap) in
        [(random as fn(_, _, _, _) -> _, 300, 80, 4), (contested, 200, 20, 10), (contested, 100, 150, 1)]
    {
        for seed in 0..5 {
            let problem: Problem = make(leads, reps, cap, seed);
            let (optimum, found) = (exact(&problem), optimise(&problem, 5));
            assert_valid(&problem, &found.placement);
            assert!(found.placement.gap(&optimum) <= 0.01, "{leads} × {reps}: {}", found.placement.gap(&optimum));
        }
    }
}

/// Small problems with pairs that are not allowed, ties, negative scores, and reps without a place.
fn small() -> impl Strategy<Value = Problem> {
    (0_usize..6, 0_usize..5).prop_flat_map(|(leads, reps)| {
        let score = prop_oneof![
            2 => (-4_i32..8).prop_map(|quarters| Some(f64::from(quarters) / 4.0)),
            2 => (0.0..1.0).prop_map(Some),
            1 => Just(None),
        ];
        let scores = proptest::collection::vec(score, leads * reps);
        (proptest::collection::vec(0_u32..3, reps), scores)
            .prop_map(move |(caps, scores)| Problem::new(leads, caps, |lead, rep| scores[lead * reps + rep]))
    })
}

proptest! {
    #[test]
    fn small_problems_are_solved_exactly(problem in small()) {
        let (optimum, found) = (best_of_all(&problem), optimise(&problem, 5));
        assert_valid(&problem, &found.placement);
        prop_assert!(found.is_optimal);
        for placement in [&found.placement, &exact(&problem)] {
            prop_assert_eq!(placement.placed, optimum.placed);
            prop_assert!((placement.total - optimum.total).abs() < 1e-9);
        }
    }

    #[test]
    fn never_below_greedy_however_few_iterations(seed in any::<u32>(), leads in 1_usize..40, reps in 1_usize..20, cap in 0_u32..4, iterations in 0_usize..4) {
        let problem = contested(leads, reps, cap, u64::from(seed));
        let found = optimise(&problem, iterations);
        assert_valid(&problem, &found.placement);
        for greedy in [in_turn(&problem), best_first(&problem), greedy(&problem)] {
            assert_valid(&problem, &greedy);
            prop_assert!(!greedy.is_better_than(&found.placement));
        }
        prop_assert!(!found.placement.is_better_than(&exact(&problem)) || found.placement.gap(&exact(&problem)).abs() < 1e-12);
    }
}

#[test]
fn greedy_takes_the_best_pair_first() {
    let scores = [[0.5, 0.9], [0.4, 1.0]];
    let problem = Problem::new(2, vec![1, 1], |lead, rep| Some(scores[lead][rep]));
    assert_eq!(in_turn(&problem).reps, [Some(1), Some(0)]);
    assert_eq!(best_first(&problem).reps, [Some(0), Some(1)]);
    // Signs and zeros are in order too.
    let negative = [[-0.5, -0.1, 0.0, -0.0]];
    let problem = Problem::new(1, vec![1; 4], |lead, rep| Some(negative[lead][rep]));
    assert_eq!(best_first(&problem).reps, [Some(2)]);
}

#[test]
fn a_lead_placed_badly_beats_one_that_waits() {
    // The second lead can go to the first rep alone; together they score less than the first lead does there.
    let scores = [[Some(1.0), Some(0.1)], [Some(0.5), None]];
    let problem = Problem::new(2, vec![1, 1], |lead, rep| scores[lead][rep]);
    let found = optimise(&problem, 5).placement;
    assert_eq!((found.placed, found.reps), (2, vec![Some(1), Some(0)]));
}
