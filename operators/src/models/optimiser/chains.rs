//! Chains of moves that make a placement better, until there is none.
//!
//! ```text
//!   rep a ──(its lead that gains most by moving to b)──▶ rep b ──▶ rep c ─┬─▶ rep a       everybody moves on by one
//!                                                                        └─▶ free place  a has a place more, c one less
//! ```
//! The trail of a rep, ln τ, is the greatest gain of a chain that has come so far. One look at a rep draws every lead there to where
//! trail and gain together are greatest: `choice ∝ τ^a η^b`, η = e^gain, with exponents so large that the choice is certain, and
//! `τ ← (1 − ρ) τ + Δτ` with ρ = 1 wherever the new trail is the stronger. A trail that bites its own tail is a chain that gains:
//! its leads move, and the other trails stay. That is Bellman and Ford's search for cycles, begun from the trails of the search
//! before, in the residual graph of M. Klein's method (*A primal method for minimal cost flows*, 1967) folded onto the reps: leads are
//! interchangeable but for their scores, so a pair of reps needs only the lead that gains most.
//!
//! **Invariants**: no move makes the placement worse; when no rep waits to be looked at, no chain gains, and the placement is optimal.
//! Waiting is a rep with places for all, worth less than any chain of moves can lose, so as many leads as possible are placed.

use std::collections::VecDeque;

use super::problem::{Placement, Problem};

/// Nodes that are looked at together.
const LANES: usize = 8;
/// No lead, or no node.
const NONE: u32 = u32::MAX;

/// A placement, and the trails on it. Nodes are the reps, then waiting, then the pool of free places.
#[derive(Clone, Debug)]
pub(super) struct Chains<'a> {
    problem: &'a Problem,
    waiting: usize,
    waiting_score: f64,
    /// Gains below this are rounding.
    gain_min: f64,
    /// The leads that each rep has.
    holders: Vec<Vec<u32>>,
    /// Which rep each lead has.
    reps: Vec<u32>,
    rows: Vec<Row>,
    trails: Vec<f64>,
    /// Where the trail of each node comes from.
    origins: Vec<u32>,
    /// Nodes to look at.
    queue: VecDeque<u32>,
    is_queued: Vec<bool>,
    /// Nodes on the way to the one that is looked at have the present stamp.
    stamps: Vec<u64>,
    stamp: u64,
    looks: u64,
}

/// What moving to each other rep gains at most, and which lead has to move; empty for a rep without leads.
#[derive(Clone, Debug, Default)]
struct Row {
    gains: Vec<f64>,
    movers: Vec<u32>,
}

impl<'a> Chains<'a> {
    /// Begins with a placement.
    pub(super) fn new(problem: &'a Problem, start: &Placement) -> Self {
        let waiting = problem.caps().len();
        let waiting_score = problem.waiting_score();
        let nodes = waiting + 2;
        let mut chains = Chains {
            problem,
            waiting,
            waiting_score,
            gain_min: 1e-14 * waiting_score.abs().max(100.0),
            holders: vec![Vec::new(); waiting + 1],
            reps: start.reps.iter().map(|rep| rep.unwrap_or(waiting as u32)).collect(),
            rows: vec![Row::default(); waiting + 1],
            trails: vec![0.0; nodes],
            origins: vec![NONE; nodes],
            queue: (0..nodes as u32).collect(),
            is_queued: vec![true; nodes],
            stamps: vec![0; nodes],
            stamp: 0,
            looks: 0,
        };
        for (lead, rep) in chains.reps.iter().enumerate() {
            chains.holders[*rep as usize].push(lead as u32);
        }
        for rep in 0..=waiting {
            chains.build_row(rep);
        }
        chains
    }

    /// Looks at a (lead, rep) or (rep, rep) pair so far.
    pub(super) fn looks(&self) -> u64 {
        self.looks
    }

    /// Whether no chain gains any more.
    pub(super) fn is_optimal(&self) -> bool {
        self.queue.is_empty()
    }

    /// The present placement.
    pub(super) fn placement(&self) -> Placement {
        let waiting = self.waiting as u32;
        Placement::new(self.problem, self.reps.iter().map(|rep| (*rep < waiting).then_some(*rep)).collect())
    }

    /// Looks at the next node: at most one look at each other node, and one at each pair of whoever then moves.
    pub(super) fn look(&mut self) {
        let Some(node) = self.queue.pop_front() else { return };
        let node = node as usize;
        self.is_queued[node] = false;
        self.stamp_way_to(node);
        self.looks += self.trails.len() as u64;
        let pool = self.waiting + 1;
        if node == pool {
            // A free place can be the end of a chain that began anywhere.
            for rep in 0..=self.waiting {
                if !self.holders[rep].is_empty() && self.lay(node, rep, 0.0) {
                    return;
                }
            }
            return;
        }
        if self.has_room(node) && self.lay(node, pool, 0.0) {
            return;
        }
        for first in (0..self.rows[node].gains.len()).step_by(LANES) {
            if self.gains_nothing(node, first) {
                continue;
            }
            for other in first..self.rows[node].gains.len().min(first + LANES) {
                if self.lay(node, other, self.rows[node].gains[other]) {
                    return;
                }
            }
        }
    }

    /// Whether no trail from a node to these next ones is stronger than theirs. Most are not, and many are seen at once.
    fn gains_nothing(&self, node: usize, first: usize) -> bool {
        let trail = self.trails[node];
        let Some(gains) = self.rows[node].gains[first..].first_chunk::<LANES>() else { return false };
        let Some(trails) = self.trails[first..].first_chunk::<LANES>() else { return false };
        // Counted, not searched: without a branch the comparisons are done side by side.
        let stronger = gains.iter().zip(trails).map(|(gain, other)| u64::from(trail + gain > other + self.gain_min));
        stronger.sum::<u64>() == 0
    }

    fn has_room(&self, rep: usize) -> bool {
        self.problem.caps().get(rep).is_none_or(|cap| self.holders[rep].len() < *cap as usize)
    }

    fn build_row(&mut self, rep: usize) {
        let Row { gains, movers } = &mut self.rows[rep];
        gains.clear();
        movers.clear();
        if self.holders[rep].is_empty() {
            return;
        }
        gains.resize(self.waiting + 1, f64::NEG_INFINITY);
        movers.resize(self.waiting + 1, NONE);
        self.looks += (self.holders[rep].len() * (self.waiting + 1)) as u64;
        for &lead in &self.holders[rep] {
            let scores = self.problem.scores_of(lead as usize);
            let here = scores.get(rep).copied().unwrap_or(self.waiting_score);
            let columns = gains.iter_mut().zip(movers.iter_mut()).zip(scores.iter().chain([&self.waiting_score]));
            for ((gain, mover), score) in columns {
                if score - here > *gain {
                    (*gain, *mover) = (score - here, lead);
                }
            }
        }
        // Staying is no move.
        gains[rep] = f64::NEG_INFINITY;
    }

    fn enqueue(&mut self, node: usize) {
        if !std::mem::replace(&mut self.is_queued[node], true) {
            self.queue.push_back(node as u32);
        }
    }

    fn stamp_way_to(&mut self, node: usize) {
        self.stamp += 1;
        let mut at = node;
        self.stamps[at] = self.stamp;
        while self.origins[at] != NONE {
            at = self.origins[at] as usize;
            self.stamps[at] = self.stamp;
            self.looks += 1;
        }
    }

    /// Lays the trail on to a node if it is stronger than the one there. Says whether it met its own tail, and leads moved.
    fn lay(&mut self, from: usize, to: usize, gain: f64) -> bool {
        let trail = self.trails[from] + gain;
        if trail <= self.trails[to] + self.gain_min {
            return false;
        }
        self.trails[to] = trail;
        self.origins[to] = from as u32;
        if self.stamps[to] == self.stamp {
            self.move_along(to);
            return true;
        }
        self.enqueue(to);
        false
    }

    /// Moves a lead along each piece of the closed trail through `end`.
    fn move_along(&mut self, end: usize) {
        let pool = self.waiting + 1;
        let mut nodes = Vec::new();
        let mut to = end;
        loop {
            let from = self.origins[to] as usize;
            nodes.push(to);
            if from != pool && to != pool {
                let lead = self.rows[from].movers[to];
                self.holders[from].retain(|holder| *holder != lead);
                self.holders[to].push(lead);
                self.reps[lead as usize] = to as u32;
            }
            to = from;
            if to == end {
                break;
            }
        }
        for node in nodes {
            if node != pool {
                self.build_row(node);
            }
            self.enqueue(node);
        }
        // The strength of the trails is a fine place to begin again, but where they came from is no longer true.
        self.origins.fill(NONE);
        self.looks += self.origins.len() as u64;
    }
}
