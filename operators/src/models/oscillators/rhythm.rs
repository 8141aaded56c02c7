//! What the phases say about the team: its band, who lags, who could teach whom.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_3};

use super::kuramoto::{Workspace, ahead_of};
use super::member::Member;
use super::network::Network;

/// More active deals than these are too many.
const ACTIVE_DEALS_MAX: u32 = 5;
/// Deals closed on one day that are remarkable.
const CRUSHING_DEALS: u32 = 2;
/// A shift without a closed deal is slow after four hours.
const SLOW_SHIFT_MS: i64 = 4 * 3_600 * 1_000;
/// How far ahead a mentor is, in radians, both included.
const MENTOR_AHEAD: std::ops::RangeInclusive<f64> = 0.5..=1.5;
/// How much more skill a mentor has at least.
const MENTOR_SKILL_GAP: f64 = 0.15;
/// Pairs proposed at once.
const MENTORING_MAX: usize = 3;

/// How well a team moves together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Band {
    /// r < 0.4
    Critical,
    /// 0.4 ≤ r < 0.6
    NeedsAttention,
    /// 0.6 ≤ r ≤ 0.8
    Good,
    /// r > 0.8
    Excellent,
}

impl Band {
    /// The band of a coherence.
    pub fn of(coherence: f64) -> Self {
        match coherence {
            coherence if coherence > 0.8 => Band::Excellent,
            coherence if coherence >= 0.6 => Band::Good,
            coherence if coherence >= 0.4 => Band::NeedsAttention,
            _ => Band::Critical,
        }
    }

    /// Its name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Band::Critical => "critical",
            Band::NeedsAttention => "needs_attention",
            Band::Good => "good",
            Band::Excellent => "excellent",
        }
    }
}

/// What a member's day looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberStatus {
    /// More than five active deals.
    Overloaded,
    /// No active deal and none closed today.
    Idle,
    /// Two or more closed today.
    CrushingIt,
    /// None of these.
    Normal,
}

impl MemberStatus {
    /// The first that fits, in the order of the variants.
    pub fn of(member: &Member) -> Self {
        match (member.active_deals, member.closed_today) {
            (active, _) if active > ACTIVE_DEALS_MAX => MemberStatus::Overloaded,
            (0, 0) => MemberStatus::Idle,
            (_, closed) if closed >= CRUSHING_DEALS => MemberStatus::CrushingIt,
            _ => MemberStatus::Normal,
        }
    }

    /// Its name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            MemberStatus::Overloaded => "overloaded",
            MemberStatus::Idle => "idle",
            MemberStatus::CrushingIt => "crushing_it",
            MemberStatus::Normal => "normal",
        }
    }
}

/// Why a rep is out of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issue {
    /// More than five active deals.
    Overloaded,
    /// No deal closed after four hours of the shift.
    SlowDay,
    /// More than a quarter turn off.
    Behind,
    /// Off, and none of these.
    OutOfSync,
}

impl Issue {
    /// The sentence of outputs.
    pub fn sentence(self) -> &'static str {
        match self {
            Issue::Overloaded => "Overloaded - too many active deals",
            Issue::SlowDay => "Slow day - no deals closed yet",
            Issue::Behind => "Significantly behind team rhythm",
            Issue::OutOfSync => "Slightly out of sync",
        }
    }
}

/// A rep who is more than π/3 off the mean phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Bottleneck<'a> {
    /// Who.
    pub member: &'a Member,
    /// Distance from the mean phase by the shorter arc, in (π/3, π].
    pub phase_difference: f64,
    /// Why.
    pub issue: Issue,
}

/// A pair in which one could learn from the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Mentoring<'a> {
    /// Who knows more and is ahead.
    pub mentor: &'a Member,
    /// Who could learn.
    pub mentee: &'a Member,
    /// Skill of the mentor less that of the mentee, above 0.15.
    pub skill_gap: f64,
    /// How far the mentor is ahead, in [0.5, 1.5] radians.
    pub phase_lead: f64,
}

impl Mentoring<'_> {
    /// A sentence for people.
    pub fn recommendation(&self) -> String {
        let (mentor, mentee) = (&self.mentor.profile.name, &self.mentee.profile.name);
        format!(
            "{mentor} is one stage ahead of {mentee} and more experienced: have {mentor} sit in on {mentee}'s next deal"
        )
    }
}

impl Network {
    /// Reps on duty who are more than π/3 off the mean phase, furthest first, then by id.
    ///
    /// A team without rhythm (r < 0.4) has them too: its mean phase is the best guess of where the day stands.
    pub fn bottlenecks(&self, workspace: &mut Workspace) -> Vec<Bottleneck<'_>> {
        let mean_phase = self.order(workspace).mean_phase;
        let mut bottlenecks: Vec<_> = self
            .phases()
            .map(|(member, phase)| (member, ahead_of(phase, mean_phase).abs()))
            .filter(|(_, difference)| *difference > FRAC_PI_3)
            .map(|(member, phase_difference)| Bottleneck {
                member,
                phase_difference,
                issue: self.issue(member, phase_difference),
            })
            .collect();
        bottlenecks.sort_by(|left, right| {
            let by_distance = right.phase_difference.total_cmp(&left.phase_difference);
            by_distance.then_with(|| left.member.id.cmp(&right.member.id))
        });
        bottlenecks
    }

    fn issue(&self, member: &Member, phase_difference: f64) -> Issue {
        let on_shift_ms = member.shift_began_ms.map_or(0, |began_ms| self.time_ms().saturating_sub(began_ms));
        if member.active_deals > ACTIVE_DEALS_MAX {
            Issue::Overloaded
        } else if member.closed_today == 0 && on_shift_ms > SLOW_SHIFT_MS {
            Issue::SlowDay
        } else if phase_difference > FRAC_PI_2 {
            Issue::Behind
        } else {
            Issue::OutOfSync
        }
    }

    /// The best three pairs of reps on duty by their gap in skill, then by ids.
    pub fn mentoring(&self) -> Vec<Mentoring<'_>> {
        let mut best: Vec<Mentoring<'_>> = Vec::with_capacity(MENTORING_MAX + 1);
        for (mentor, mentor_phase) in self.phases() {
            for (mentee, mentee_phase) in self.phases() {
                let skill_gap = mentor.profile.skill - mentee.profile.skill;
                if skill_gap <= MENTOR_SKILL_GAP {
                    // Rows come by skill: nobody further on is less skilled.
                    break;
                }
                let phase_lead = ahead_of(mentor_phase, mentee_phase);
                if !MENTOR_AHEAD.contains(&phase_lead) {
                    continue;
                }
                let pair = Mentoring { mentor, mentee, skill_gap, phase_lead };
                let place = best.partition_point(|other| {
                    let by_gap = pair.skill_gap.total_cmp(&other.skill_gap);
                    let by_ids = (&other.mentor.id, &other.mentee.id).cmp(&(&pair.mentor.id, &pair.mentee.id));
                    by_gap.then(by_ids).is_lt()
                });
                if place < MENTORING_MAX {
                    best.insert(place, pair);
                    best.truncate(MENTORING_MAX);
                }
            }
        }
        best
    }
}
