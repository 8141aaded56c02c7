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
    let mut pairs: Vec<(u64, u32, u32)> = Vec::with_capacity(problem.leads() * room.len());
    for lead in 0..problem.leads() {
        let allowed = problem.scores_of(lead).iter().enumerate().filter(|(_, score)| score.is_finite());
        pairs.extend(allowed.map(|(rep, score)| (descending(*score), lead as u32, rep as u32)));
    }
    pairs.sort_unstable();
    let mut reps = vec![None; problem.leads()];
    for (_, lead, rep) in pairs {
        if reps[lead as usize].is_none() && room[rep as usize] > 0 {
            reps[lead as usize] = Some(rep);
            room[rep as usize] -= 1;
        }
    }
    Placement::new(problem, reps)
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
