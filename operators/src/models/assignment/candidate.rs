//! A rep and a lead, as the choice sees them.

use super::shift::Shift;
use crate::models::oscillators::member::{Member, RepStatus};

/// Active leads of one rep, at most, unless the rep has another cap.
pub const LEAD_CAP_DEFAULT: u32 = 12;

/// What a rep may be given.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// Active leads at most.
    pub lead_cap: u32,
    /// Hours of work; always if not known.
    pub shift: Option<Shift>,
    /// Skills, and languages among them.
    pub skills: Vec<Box<str>>,
}

impl Default for Terms {
    fn default() -> Self {
        Terms { lead_cap: LEAD_CAP_DEFAULT, shift: None, skills: Vec::new() }
    }
}

/// A rep of the team.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Id, unique in the team.
    pub id: &'a str,
    /// Name for people.
    pub name: &'a str,
    /// Phase in radians.
    pub phase: f64,
    /// Skill in [0, 1].
    pub skill: f64,
    /// Whether the rep is at work.
    pub status: RepStatus,
    /// Leads to answer.
    pub active_leads: u32,
    /// Deals to work on.
    pub active_deals: u32,
    /// What the rep may be given.
    pub terms: &'a Terms,
}

impl<'a> Candidate<'a> {
    /// A member of a network, at this phase.
    pub fn new(member: &'a Member, phase: f64, terms: &'a Terms) -> Self {
        Candidate {
            id: &member.id,
            name: &member.profile.name,
            phase,
            skill: member.profile.skill,
            status: member.status,
            active_leads: member.active_leads,
            active_deals: member.active_deals,
            terms,
        }
    }

    /// Whether one of the rep's skills is this one, whatever the letter case.
    pub fn has_skill(&self, skill: &str) -> bool {
        self.terms.skills.iter().any(|own| own.trim().eq_ignore_ascii_case(skill.trim()))
    }

    /// Whether the rep's skills name this language.
    pub fn speaks(&self, language: &str) -> bool {
        let wanted = primary(language);
        self.terms.skills.iter().any(|own| {
            let is_marked = own.get(..9).is_some_and(|mark| mark.eq_ignore_ascii_case("language:"));
            primary(if is_marked { &own[9..] } else { own }).eq_ignore_ascii_case(wanted)
        })
    }
}

/// The language of a tag, without region or script.
pub(super) fn primary(language: &str) -> &str {
    language.trim().split(['-', '_']).next().unwrap_or_default()
}

/// What a lead asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lead<'a> {
    /// Priority in [0, 1] of the lead's segment.
    pub priority: f64,
    /// Language that the customer prefers.
    pub language: Option<&'a str>,
    /// Skills that the lead needs.
    pub skills: &'a [Box<str>],
}
