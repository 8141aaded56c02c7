//! One lead, one rep, at once; and the table of many leads for the optimiser.

use std::cmp::Ordering;

use smallvec::SmallVec;

use super::candidate::{Candidate, Lead};
use super::eligibility::{Barrier, Demand, Policy};
use super::score::Score;
use crate::models::optimiser::problem::Problem;

/// A rep who may have the lead.
#[derive(Clone, Copy, Debug)]
pub struct Ranked<'a> {
    /// Who.
    pub rep: Candidate<'a>,
    /// What the pair is worth.
    pub score: Score,
    /// How many preferences are not met.
    pub unmet: u32,
}

impl Ranked<'_> {
    /// Fewer unmet preferences, greater score, fewer active leads, lesser id.
    fn compare(&self, other: &Self) -> Ordering {
        let by_score = other.score.total().total_cmp(&self.score.total());
        let by_load = self.rep.active_leads.cmp(&other.rep.active_leads);
        self.unmet.cmp(&other.unmet).then(by_score).then(by_load).then_with(|| self.rep.id.cmp(other.rep.id))
    }
}

/// Who gets a lead, who else could have, and who could not.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    /// What the lead asks for.
    pub demand: Demand<'a>,
    /// The best rep first, then the alternatives; empty if nobody may have the lead.
    pub ranked: SmallVec<[Ranked<'a>; 4]>,
    /// How many reps may have it.
    pub eligible: usize,
    /// How many reps each barrier kept out, in the order of [`Barrier::ALL`].
    pub kept_out: [u32; Barrier::ALL.len()],
}

impl<'a> Choice<'a> {
    /// The rep who gets the lead; `None` if it has to wait.
    pub fn rep(&self) -> Option<&Ranked<'a>> {
        self.ranked.first()
    }

    /// The next best reps.
    pub fn alternatives(&self) -> &[Ranked<'a>] {
        self.ranked.get(1..).unwrap_or_default()
    }
}

/// Chooses a rep of the team for a lead. `team` is all of it, on duty or not; `local_minute` is the minute of the dealer's day.
pub fn choose<'a>(lead: Lead<'a>, team: &[Candidate<'a>], local_minute: u16, policy: &Policy) -> Choice<'a> {
    let demand = Demand::new(lead, team, policy);
    let mut choice = Choice { demand, ranked: SmallVec::new(), eligible: 0, kept_out: [0; Barrier::ALL.len()] };
    for &rep in team {
        if let Some(barrier) = demand.barrier(&rep, local_minute, policy) {
            choice.kept_out[barrier as usize] += 1;
            continue;
        }
        choice.eligible += 1;
        let ranked = Ranked { rep, score: Score::of(&lead, &rep), unmet: demand.unmet(&rep) };
        let place = choice.ranked.partition_point(|other| other.compare(&ranked).is_lt());
        if place <= policy.alternatives_max {
            choice.ranked.insert(place, ranked);
            choice.ranked.truncate(policy.alternatives_max + 1);
        }
    }
    choice
}

/// What an unmet preference costs in the optimiser's table: more than any score can make good.
const UNMET_COST: f64 = 2.0;

/// The table of waiting leads and the team for [`crate::models::optimiser::optimise`]: the score of each pair that may be, less 2
/// for each unmet preference, and the free places of each rep. Leads and reps should come in an order that does not depend on
/// arrival: ties go to the first.
pub fn problem(leads: &[Lead<'_>], team: &[Candidate<'_>], local_minute: u16, policy: &Policy) -> Problem {
    let demands: Vec<Demand<'_>> = leads.iter().map(|lead| Demand::new(*lead, team, policy)).collect();
    let caps = team.iter().map(|rep| rep.terms.lead_cap.saturating_sub(rep.active_leads)).collect();
    Problem::new(leads.len(), caps, |lead, rep| {
        let (demand, rep) = (&demands[lead], &team[rep]);
        let worth = || Score::of(&demand.lead, rep).total() - UNMET_COST * f64::from(demand.unmet(rep));
        demand.barrier(rep, local_minute, policy).is_none().then(worth)
    })
}
