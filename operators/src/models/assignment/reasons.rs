//! Why a choice came out as it did, in sentences that are written when somebody asks.

use std::fmt::{Display, Formatter, Result};

use super::choice::{Choice, Ranked};
use super::eligibility::Barrier;

impl<'a> Choice<'a> {
    /// The reasons, one sentence each, most telling first.
    pub fn reasons(&self) -> impl Iterator<Item = Reason<'_, 'a>> {
        let chosen = self.rep().map(|chosen| {
            let waivers = [
                self.demand.waives_skills.then_some(Reason::NobodyHasSkills(self)),
                self.demand.waives_language.then_some(Reason::NobodySpeaks(self)),
                (chosen.unmet > 0).then_some(Reason::Unmet(self)),
            ];
            let parts = [Reason::Readiness(chosen), Reason::Freedom(chosen), Reason::Fit(self, chosen)];
            parts.into_iter().map(Some).chain(waivers).flatten()
        });
        let nobody = self.rep().is_none().then_some(Reason::Nobody(self));
        let kept_out =
            (self.rep().is_some() && self.kept_out != [0; Barrier::ALL.len()]).then_some(Reason::KeptOut(self));
        chosen.into_iter().flatten().chain(nobody).chain(kept_out)
    }
}

/// One reason; `Display` writes the sentence.
#[derive(Clone, Copy, Debug)]
pub enum Reason<'c, 'a> {
    /// How near the rep is to being ready.
    Readiness(&'c Ranked<'a>),
    /// How free the rep is.
    Freedom(&'c Ranked<'a>),
    /// How the rep's skill fits the lead.
    Fit(&'c Choice<'a>, &'c Ranked<'a>),
    /// A preference that no eligible rep meets.
    Unmet(&'c Choice<'a>),
    /// A requirement that nobody of the team meets.
    NobodyHasSkills(&'c Choice<'a>),
    /// A language that nobody of the team speaks.
    NobodySpeaks(&'c Choice<'a>),
    /// Reps who may not have the lead.
    KeptOut(&'c Choice<'a>),
    /// Nobody may have it.
    Nobody(&'c Choice<'a>),
}

impl Display for Reason<'_, '_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Reason::Readiness(chosen) => {
                let stage = match (chosen.rep.phase / std::f64::consts::FRAC_PI_2) as u32 {
                    0 => "ready for a customer",
                    1 => "in the middle of a deal",
                    2 => "closing",
                    _ => "at paperwork",
                };
                let (name, phase, part) = (chosen.rep.name, chosen.rep.phase, chosen.score.readiness);
                write!(formatter, "{name} is {stage} (phase {phase:.2}): {part:+.2}")
            }
            Reason::Freedom(chosen) => {
                write!(formatter, "{} active {}: {:+.2}", chosen.rep.active_deals, deals(chosen), chosen.score.freedom)
            }
            Reason::Fit(choice, chosen) => write!(
                formatter,
                "skill {:.2} for a lead of priority {:.2}: {:+.2}",
                chosen.rep.skill, choice.demand.lead.priority, chosen.score.fit
            ),
            Reason::Unmet(_) => formatter.write_str("nobody who is free meets all that the lead prefers"),
            Reason::NobodyHasSkills(choice) => {
                write!(
                    formatter,
                    "nobody of the team has all of: {}; that is waived",
                    choice.demand.lead.skills.join(", ")
                )
            }
            Reason::NobodySpeaks(choice) => {
                let language = choice.demand.lead.language.unwrap_or_default();
                write!(formatter, "nobody of the team speaks {language}; that is waived")
            }
            Reason::KeptOut(choice) => {
                formatter.write_str("not eligible: ")?;
                write_barriers(choice, formatter)
            }
            Reason::Nobody(choice) if choice.kept_out == [0; Barrier::ALL.len()] => {
                formatter.write_str("the lead waits: the team has no reps")
            }
            Reason::Nobody(choice) => {
                formatter.write_str("the lead waits, nobody can take it: ")?;
                write_barriers(choice, formatter)
            }
        }
    }
}

fn deals(chosen: &Ranked<'_>) -> &'static str {
    if chosen.rep.active_deals == 1 { "deal" } else { "deals" }
}

fn write_barriers(choice: &Choice<'_>, formatter: &mut Formatter<'_>) -> Result {
    let mut separator = "";
    for (barrier, count) in Barrier::ALL.into_iter().zip(choice.kept_out).filter(|(_, count)| *count > 0) {
        write!(formatter, "{separator}{count} ")?;
        separator = ", ";
        match barrier {
            Barrier::Off => formatter.write_str("off")?,
            Barrier::OnBreak => formatter.write_str("on break")?,
            Barrier::OutsideShift => formatter.write_str("outside the shift")?,
            Barrier::AtCap => formatter.write_str("at the cap of leads")?,
            Barrier::LacksSkill => write!(formatter, "without {}", choice.demand.lead.skills.join(", "))?,
            Barrier::LacksLanguage => {
                let language = choice.demand.lead.language.unwrap_or_default();
                write!(formatter, "not speaking {language}")?;
            }
        }
    }
    Ok(())
}
