//! The WHACO optimiser: Weighted Harmonic Adaptive Convergence Optimizer. Places many leads with many reps at once.
//!
//! ```text
//!   Problem ─▶ greedy (iteration 0) ─▶ iteration: ≤ 3 looks at each (lead, rep) pair, chains of moves that gain ─▶ … ─▶ Placement
//!                                          └▶ no chain gains any more: optimal, stop
//! ```
//! **Contract**: never below [`greedy::greedy`]; an iteration is a pass of O(leads × reps), and says how many looks it took; the same
//! problem gives the same placement, ties included. Pheromone and exponents are those of [`chains`], where the choice is certain: with
//! leads drawn at random along the same trails an ant colony is 19 % below the optimum after five iterations, and greedy choice 14 %.

mod chains;
pub mod exact;
pub mod greedy;
pub mod problem;
pub mod strategies;

use chains::Chains;
use problem::{Placement, Problem};

/// Iterations if nobody says otherwise.
pub const ITERATIONS_DEFAULT: usize = 5;
/// Looks at each pair of one iteration; the chain that is closed last may add one look at each pair of its leads.
const LOOKS_PER_PAIR: u64 = 3;

/// One iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Iteration {
    /// Leads placed after it.
    pub placed: usize,
    /// Total after it.
    pub total: f64,
    /// Looks at a (lead, rep) or (rep, rep) pair that it took.
    pub looks: u64,
}

/// What the optimiser found.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimised {
    /// The best placement.
    pub placement: Placement,
    /// Greedy, then each iteration.
    pub iterations: Vec<Iteration>,
    /// Whether it is proven that no placement is better (but for rounding).
    pub is_optimal: bool,
}

/// Places leads in at most so many iterations.
pub fn optimise(problem: &Problem, iterations: usize) -> Optimised {
    let start = greedy::greedy(problem);
    let mut steps = vec![Iteration { placed: start.placed, total: start.total, looks: 0 }];
    let mut chains = Chains::new(problem, &start);
    let looks_max = LOOKS_PER_PAIR * (problem.leads() as u64 + 1) * (problem.caps().len() as u64 + 2);
    let (mut best, mut looks_before) = (start, 0);
    for _ in 0..iterations {
        if chains.is_optimal() {
            break;
        }
        while !chains.is_optimal() && chains.looks() < looks_before + looks_max {
            chains.look();
        }
        let placement = chains.placement();
        // No move loses, but sums round.
        if placement.is_better_than(&best) {
            best = placement;
        }
        steps.push(Iteration { placed: best.placed, total: best.total, looks: chains.looks() - looks_before });
        looks_before = chains.looks();
    }
    Optimised { placement: best, iterations: steps, is_optimal: chains.is_optimal() }
}

#[cfg(test)]
mod tests;
