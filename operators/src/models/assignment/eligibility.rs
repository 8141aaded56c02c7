//! Who may have a lead at all.

use super::candidate::{Candidate, Lead, primary};
use crate::models::oscillators::member::RepStatus;

/// How much a wish counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Not at all.
    Ignored,
    /// Reps who meet it come first.
    Preferred,
    /// Only reps who meet it, if the team has one.
    Required,
}

/// Settings of the choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The lead's skills.
    pub skills: Wish,
    /// The lead's language.
    pub language: Wish,
    /// What everybody at the dealer speaks.
    pub dealer_language: Box<str>,
    /// Whether reps on break get new leads.
    pub assigns_on_break: bool,
    /// How many reps are named beside the chosen one.
    pub alternatives_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            skills: Wish::Required,
            language: Wish::Preferred,
            dealer_language: "en".into(),
            assigns_on_break: false,
            alternatives_max: 3,
        }
    }
}

/// Why a rep may not have a lead; the first that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Barrier {
    /// Not at work.
    Off,
    /// On break.
    OnBreak,
    /// The local time lies outside the rep's shift.
    OutsideShift,
    /// As many active leads as the rep may have.
    AtCap,
    /// Lacks a skill that the lead needs.
    LacksSkill,
    /// Does not speak the customer's language.
    LacksLanguage,
}

impl Barrier {
    /// All of them, in the order in which they are judged.
    pub const ALL: [Barrier; 6] = [
        Barrier::Off,
        Barrier::OnBreak,
        Barrier::OutsideShift,
        Barrier::AtCap,
        Barrier::LacksSkill,
        Barrier::LacksLanguage,
    ];
}

/// What a lead asks of this team: wishes that nobody can meet are waived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand<'a> {
    /// The lead.
    pub lead: Lead<'a>,
    pub(super) skills: Wish,
    pub(super) language: Wish,
    pub(super) waives_skills: bool,
    pub(super) waives_language: bool,
}

impl<'a> Demand<'a> {
    /// The demand of a lead on a team, all of it, whoever is on duty.
    pub fn new(lead: Lead<'a>, team: &[Candidate<'_>], policy: &Policy) -> Self {
        let language = lead.language.map(primary);
        let is_foreign = language.is_some_and(|language| {
            !language.is_empty() && !language.eq_ignore_ascii_case(primary(&policy.dealer_language))
        });
        let mut demand = Demand {
            lead,
            skills: if lead.skills.is_empty() { Wish::Ignored } else { policy.skills },
            language: if is_foreign { policy.language } else { Wish::Ignored },
            waives_skills: false,
            waives_language: false,
        };
        if demand.skills == Wish::Required && !team.iter().any(|rep| demand.has_skills(rep)) {
            (demand.skills, demand.waives_skills) = (Wish::Ignored, true);
        }
        if demand.language == Wish::Required && !team.iter().any(|rep| demand.has_language(rep)) {
            (demand.language, demand.waives_language) = (Wish::Ignored, true);
        }
        demand
    }

    pub(super) fn has_skills(&self, rep: &Candidate<'_>) -> bool {
        self.lead.skills.iter().all(|skill| rep.has_skill(skill))
    }

    pub(super) fn has_language(&self, rep: &Candidate<'_>) -> bool {
        self.lead.language.is_none_or(|language| rep.speaks(language))
    }

    /// Why the rep may not have the lead in this minute of the local day; `None` if it may.
    pub fn barrier(&self, rep: &Candidate<'_>, local_minute: u16, policy: &Policy) -> Option<Barrier> {
        let barriers = [
            (rep.status == RepStatus::Off, Barrier::Off),
            (rep.status == RepStatus::Break && !policy.assigns_on_break, Barrier::OnBreak),
            (rep.terms.shift.is_some_and(|shift| !shift.contains(local_minute)), Barrier::OutsideShift),
            (rep.active_leads >= rep.terms.lead_cap, Barrier::AtCap),
            (self.skills == Wish::Required && !self.has_skills(rep), Barrier::LacksSkill),
            (self.language == Wish::Required && !self.has_language(rep), Barrier::LacksLanguage),
        ];
        barriers.into_iter().find(|(holds, _)| *holds).map(|(_, barrier)| barrier)
    }

    /// How many preferences the rep does not meet.
    pub fn unmet(&self, rep: &Candidate<'_>) -> u32 {
        u32::from(self.skills == Wish::Preferred && !self.has_skills(rep))
            + u32::from(self.language == Wish::Preferred && !self.has_language(rep))
    }
}
