//! Many leads, many reps, one table of scores: what is to be placed, and a placement of it.

/// Leads to place with reps who each have a number of free places.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    leads: usize,
    /// One for each rep.
    caps: Vec<u32>,
    /// By lead, then rep; −∞ where the rep may not have the lead.
    scores: Vec<f64>,
}

impl Problem {
    /// The problem of so many leads and of reps with so many free places each. `score` gives what a pair is worth, `None` (or no
    /// finite number) where the rep may not have the lead.
    pub fn new(leads: usize, caps: Vec<u32>, mut score: impl FnMut(usize, usize) -> Option<f64>) -> Self {
        let pairs = (0..leads).flat_map(|lead| (0..caps.len()).map(move |rep| (lead, rep)));
        let scores = pairs
            .map(|(lead, rep)| score(lead, rep).filter(|score| score.is_finite()).unwrap_or(f64::NEG_INFINITY))
            .collect();
        Problem { leads, caps, scores }
    }

    /// Number of leads.
    pub fn leads(&self) -> usize {
        self.leads
    }

    /// Free places of each rep.
    pub fn caps(&self) -> &[u32] {
        &self.caps
    }

    /// What each rep is worth for a lead; −∞ where the rep may not have it.
    pub fn scores_of(&self, lead: usize) -> &[f64] {
        &self.scores[lead * self.caps.len()..][..self.caps.len()]
    }

    /// What waiting has to be worth so that nobody waits who could be placed: less than any chain of moves can lose, which moves one
    /// lead of each rep at most, each by the whole range of scores at most.
    pub(super) fn waiting_score(&self) -> f64 {
        let allowed = self.scores.iter().filter(|score| score.is_finite());
        let (least, greatest) =
            allowed.fold((0.0_f64, 0.0_f64), |(least, greatest), score| (least.min(*score), greatest.max(*score)));
        least - (self.caps.len() + 2) as f64 * (greatest - least + 1.0)
    }
}

/// Which rep has each lead.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// The rep of each lead; `None` for one that waits.
    pub reps: Vec<Option<u32>>,
    /// How many leads have a rep.
    pub placed: usize,
    /// The sum of the scores, in the order of the leads.
    pub total: f64,
}

impl Placement {
    /// The placement of these reps.
    pub fn new(problem: &Problem, reps: Vec<Option<u32>>) -> Self {
        let pairs = reps.iter().enumerate().filter_map(|(lead, rep)| Some((lead, (*rep)? as usize)));
        let total = pairs.map(|(lead, rep)| problem.scores_of(lead)[rep]).sum();
        Placement { placed: reps.iter().flatten().count(), total, reps }
    }

    /// Whether this is better: more leads have a rep, or as many with a greater total. A lead placed badly beats one that waits.
    pub fn is_better_than(&self, other: &Placement) -> bool {
        (self.placed, self.total) > (other.placed, other.total)
    }

    /// How far the total lies below that of an optimum that places as many, as a share of the optimum. 0 if the optimum is 0.
    pub fn gap(&self, optimum: &Placement) -> f64 {
        if optimum.total == 0.0 { 0.0 } else { (optimum.total - self.total) / optimum.total.abs() }
    }
}
