//! What anybody would do, and what the optimiser must never fall below.

use super::problem::{Placement, Problem};

/// The better of two greedy ways: each lead in turn takes the best rep with room; the best pair of all is placed first.
/// O(leads × reps), and the sort of the pairs.
pub fn greedy(problem: &Problem) -> Placement {
    let (in_turn, best_first) = (in_turn(problem), best_first(problem));
    if best_first.is_better_than(&in_turn) { best_first } else { in_turn }
}

/// Each lead in turn takes the best rep with room; of equal ones the first.
pub fn in_turn(problem: &Problem) -> Placement {
    let mut room = problem.caps().to_vec();
    let reps = (0..problem.leads()).map(|lead| take_best(problem.scores_of(lead), &mut room)).collect();
    Placement::new(problem, reps)
}

/// The best allowed pair with room is placed, then the next; of equal ones the first lead, then the first rep.
pub fn best_first(problem: &Problem) -> Placement {
    let mut room = problem.caps().to_vec();
    let width = room.len().max(1);
    let mut reps = vec![None; problem.leads()];
    for pair in in_order(problem) {
        let (lead, rep) = (pair / width, pair % width);
        if reps[lead].is_none() && room[rep] > 0 {
            reps[lead] = Some(rep as u32);
            room[rep] -= 1;
        }
    }
    Placement::new(problem, reps)
}

/// The allowed pairs, best first. Pairs are numbered by lead, then rep.
fn in_order(problem: &Problem) -> impl Iterator<Item = usize> {
    let width = problem.caps().len();
    let bits = (problem.leads() * width).next_power_of_two().trailing_zeros();
    let mask = (1_u64 << bits) - 1;
    let key = |pair: usize| descending(problem.scores_of(pair / width)[pair % width]);
    // One word holds the upper bits of the score and the pair, which sorts twice as fast as both whole.
    let mut words: Vec<u64> = (0..problem.leads() * width)
        .filter(|pair| problem.scores_of(pair / width)[pair % width].is_finite())
        .map(|pair| key(pair) & !mask | pair as u64)
        .collect();
    words.sort_unstable();
    for alike in words.chunk_by_mut(|left, right| left & !mask == right & !mask) {
        if alike.len() > 1 {
            alike.sort_unstable_by_key(|word| (key((word & mask) as usize), word & mask));
        }
    }
    words.into_iter().map(move |word| (word & mask) as usize)
}

/// A key that grows as the number falls.
fn descending(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if score.is_sign_negative() && score != 0.0 { bits } else { !(bits | 1 << 63) }
}

/// The best rep with room, whose room shrinks.
fn take_best(scores: &[f64], room: &mut [u32]) -> Option<u32> {
    let mut best: Option<(f64, usize)> = None;
    for (rep, score) in scores.iter().enumerate() {
        if room[rep] > 0 && score.is_finite() && best.is_none_or(|(greatest, _)| *score > greatest) {
            best = Some((*score, rep));
        }
    }
    best.map(|(_, rep)| {
        room[rep] -= 1;
        rep as u32
    })
}
