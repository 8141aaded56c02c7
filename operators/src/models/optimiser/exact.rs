//! The exact optimum, lead by lead: the reference that the optimiser is judged by, and no part of it.
//!
//! Successive shortest chains with prices, after H. Kuhn's Hungarian method (1955) in the form of R. Jonker and A. Volgenant (1987), for reps with
//! several places: each placed lead is with a rep that is best for it at the present prices, a rep with room has price 0, and the
//! next lead comes in by the chain of moves that loses least. O(leads² × reps) at worst.

use super::problem::{Placement, Problem};

/// The best of all placements: as many leads as possible, then the greatest total.
pub fn exact(problem: &Problem) -> Placement {
    let mut search = Search::new(problem);
    for lead in 0..problem.leads() {
        search.insert(lead);
    }
    let waiting = problem.caps().len();
    Placement::new(problem, search.reps.iter().map(|rep| (*rep < waiting).then_some(*rep as u32)).collect())
}

/// Waiting is a rep behind the others.
struct Search<'a> {
    problem: &'a Problem,
    waiting_score: f64,
    prices: Vec<f64>,
    holders: Vec<Vec<usize>>,
    reps: Vec<usize>,
}

impl<'a> Search<'a> {
    fn new(problem: &'a Problem) -> Self {
        let columns = problem.caps().len() + 1;
        Search {
            problem,
            waiting_score: problem.waiting_score(),
            prices: vec![0.0; columns],
            holders: vec![Vec::new(); columns],
            reps: vec![columns; problem.leads()],
        }
    }

    fn profit(&self, lead: usize, rep: usize) -> f64 {
        self.problem.scores_of(lead).get(rep).copied().unwrap_or(self.waiting_score) - self.prices[rep]
    }

    fn has_room(&self, rep: usize) -> bool {
        self.problem.caps().get(rep).is_none_or(|cap| self.holders[rep].len() < *cap as usize)
    }

    fn insert(&mut self, lead: usize) {
        let columns = self.prices.len();
        let best = (0..columns).map(|rep| self.profit(lead, rep)).fold(f64::NEG_INFINITY, f64::max);
        // What the whole team loses if a place with the rep is to be had, and who would take it.
        let mut losses: Vec<f64> = (0..columns).map(|rep| best - self.profit(lead, rep)).collect();
        let mut comers = vec![lead; columns];
        let mut is_scanned = vec![false; columns];
        let end = loop {
            let open = (0..columns).filter(|rep| !is_scanned[*rep]);
            // Waiting has room for all, so the search ends there at the latest.
            let nearest = open.min_by(|left, right| losses[*left].total_cmp(&losses[*right])).unwrap_or(columns - 1);
            if self.has_room(nearest) {
                break nearest;
            }
            is_scanned[nearest] = true;
            for &holder in &self.holders[nearest] {
                let here = losses[nearest] + self.profit(holder, nearest);
                for rep in 0..columns {
                    let loss = here - self.profit(holder, rep);
                    if !is_scanned[rep] && loss < losses[rep] {
                        (losses[rep], comers[rep]) = (loss, holder);
                    }
                }
            }
        };
        for rep in (0..columns).filter(|rep| is_scanned[*rep]) {
            self.prices[rep] += losses[end] - losses[rep];
        }
        let mut rep = end;
        while comers[rep] != lead {
            let holder = comers[rep];
            let from = self.reps[holder];
            self.holders[from].retain(|other| *other != holder);
            self.holders[rep].push(holder);
            self.reps[holder] = rep;
            rep = from;
        }
        self.holders[rep].push(lead);
        self.reps[lead] = rep;
    }
}
