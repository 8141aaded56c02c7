//! The tables `[models.…]`, and what the models are told by them.

use std::sync::Arc;

use operators::dataflow::intelligence::settings::{
    AssignmentSettings, ModelSettings, PreparedModels, Prior, WhacoSettings,
};
use operators::models::assignment::eligibility::{Policy, Wish};
use operators::models::oscillators::network::{self, Objective};
use operators::models::whaco::settings::Settings as Calibrated;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::prior_leads::PriorLeads;
use super::reader::Reader;
use super::setting::{Setting, Share};
use super::{Config, Duration};

/// `[models]`: a table for each model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsSection {
    /// Clusters of leads.
    pub whaco: WhacoSection,
    /// Networks of reps.
    pub oscillators: OscillatorsSection,
    /// Assignment of leads.
    pub assignment: AssignmentSection,
}

/// Which form of the clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhacoMode {
    /// The formulas as the user wrote them.
    Seed,
    /// Ours.
    Calibrated,
}

/// `[models.whaco]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhacoSection {
    /// Whether leads are clustered.
    pub enabled: bool,
    /// Seed or calibrated.
    pub mode: WhacoMode,
    /// The share of leads to flag, 0.000001 to 0.5; the seed form has a threshold of its own.
    pub flag_rate: Share,
    /// A CSV file of leads that every dealer's clusters begin with; none if empty.
    pub prior_leads: String,
    /// How many own leads of a dealer those count for, 1 to 100,000.
    pub prior_worth: u32,
    /// What that file says, once it was read.
    #[serde(skip)]
    pub(super) prior: Arc<PriorLeads>,
}

/// What the team is drawn to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TeamObjective {
    /// One rhythm.
    Coherence,
    /// Somebody always ready.
    Coverage,
}

/// `[models.oscillators]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OscillatorsSection {
    /// Whether teams move.
    pub enabled: bool,
    /// K in radians per hour, 0 to 3.
    pub strength: Share,
    /// What K works for.
    pub objective: TeamObjective,
    /// How often a team is told of while nothing but phases changes: a whole multiple of five minutes.
    pub report_every: Duration,
}

/// How much a wish of a lead counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WishSetting {
    /// Not at all.
    Ignored,
    /// Reps who meet it come first.
    Preferred,
    /// Only reps who meet it, if the team has one.
    Required,
}

/// `[models.assignment]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignmentSection {
    /// Whether leads are given to reps.
    pub enabled: bool,
    /// Whether the priority that routing sees may come from credit data.
    pub uses_credit_data: bool,
    /// What a lead's skills are.
    pub skills: WishSetting,
    /// What a lead's language is.
    pub language: WishSetting,
    /// What everybody speaks.
    pub dealer_language: String,
    /// Whether reps on break get new leads.
    pub assigns_on_break: bool,
    /// Active leads of a rep without a cap of their own, at least 1.
    pub lead_cap: u32,
    /// A lead that is not answered within this goes to another rep; more than nothing.
    pub response_limit: Duration,
    /// How often that happens to one lead.
    pub reassignments_max: u32,
    /// Reps named beside the chosen one, at most 16.
    pub alternatives_max: u32,
    /// Iterations of the optimiser for one placement, 1 to 100.
    pub iterations: u32,
}

impl From<WishSetting> for Wish {
    fn from(wish: WishSetting) -> Self {
        match wish {
            WishSetting::Ignored => Wish::Ignored,
            WishSetting::Preferred => Wish::Preferred,
            WishSetting::Required => Wish::Required,
        }
    }
}

impl Setting for WhacoMode {
    const PERMITTED: &'static str = "\"seed\" or \"calibrated\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "seed" => Ok(Self::Seed),
            "calibrated" => Ok(Self::Calibrated),
            _ => Err("is no mode".to_owned()),
        }
    }
}

impl Setting for TeamObjective {
    const PERMITTED: &'static str = "\"coherence\" or \"coverage\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "coherence" => Ok(Self::Coherence),
            "coverage" => Ok(Self::Coverage),
            _ => Err("is no objective".to_owned()),
        }
    }
}

impl Setting for WishSetting {
    const PERMITTED: &'static str = "\"ignored\", \"preferred\" or \"required\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "ignored" => Ok(Self::Ignored),
            "preferred" => Ok(Self::Preferred),
            "required" => Ok(Self::Required),
            _ => Err("does not say how much a wish counts".to_owned()),
        }
    }
}

/// Sets every key of the models that has an entry.
pub(super) fn overlay_models(reader: &mut Reader, models: &mut ModelsSection) {
    let ModelsSection { whaco, oscillators, assignment } = models;
    reader.set(&["models", "whaco", "enabled"], &mut whaco.enabled);
    reader.set(&["models", "whaco", "mode"], &mut whaco.mode);
    reader.set(&["models", "whaco", "flag_rate"], &mut whaco.flag_rate);
    reader.set(&["models", "whaco", "prior_leads"], &mut whaco.prior_leads);
    reader.set(&["models", "whaco", "prior_worth"], &mut whaco.prior_worth);
    reader.set(&["models", "oscillators", "enabled"], &mut oscillators.enabled);
    reader.set(&["models", "oscillators", "strength"], &mut oscillators.strength);
    reader.set(&["models", "oscillators", "objective"], &mut oscillators.objective);
    reader.set(&["models", "oscillators", "report_every"], &mut oscillators.report_every);
    reader.set(&["models", "assignment", "enabled"], &mut assignment.enabled);
    reader.set(&["models", "assignment", "uses_credit_data"], &mut assignment.uses_credit_data);
    reader.set(&["models", "assignment", "skills"], &mut assignment.skills);
    reader.set(&["models", "assignment", "language"], &mut assignment.language);
    reader.set(&["models", "assignment", "dealer_language"], &mut assignment.dealer_language);
    reader.set(&["models", "assignment", "assigns_on_break"], &mut assignment.assigns_on_break);
    reader.set(&["models", "assignment", "lead_cap"], &mut assignment.lead_cap);
    reader.set(&["models", "assignment", "response_limit"], &mut assignment.response_limit);
    reader.set(&["models", "assignment", "reassignments_max"], &mut assignment.reassignments_max);
    reader.set(&["models", "assignment", "alternatives_max"], &mut assignment.alternatives_max);
    reader.set(&["models", "assignment", "iterations"], &mut assignment.iterations);
}

impl ModelsSection {
    /// Fingerprint of everything that decides what the models say.
    pub fn fingerprint(&self) -> String {
        // Where the file of leads lies decides nothing, and what it says everything.
        let mut decisive = self.clone();
        decisive.whaco.prior_leads = String::new();
        let text = toml::to_string(&decisive).unwrap_or_default();
        format!("{:016x}", xxh3_64_with_seed(text.as_bytes(), self.whaco.prior.fingerprint))
    }

    /// The settings of the models, as these tables have them.
    pub fn settings(&self, timer_grace_ms: i64) -> ModelSettings {
        let ModelsSection { whaco, oscillators, assignment } = self;
        let calibrated = || Calibrated { flag_rate: whaco.flag_rate.value(), ..Calibrated::leads() };
        ModelSettings {
            whaco: whaco.enabled.then(|| match whaco.mode {
                WhacoMode::Seed => WhacoSettings::Seed,
                WhacoMode::Calibrated => WhacoSettings::Calibrated(calibrated()),
            }),
            oscillators: oscillators.enabled.then(|| network::Settings {
                strength: oscillators.strength.value(),
                objective: match oscillators.objective {
                    TeamObjective::Coherence => Objective::Coherence,
                    TeamObjective::Coverage => Objective::Coverage,
                },
            }),
            assignment: assignment.enabled.then(|| AssignmentSettings {
                policy: Policy {
                    skills: assignment.skills.into(),
                    language: assignment.language.into(),
                    dealer_language: assignment.dealer_language.as_str().into(),
                    assigns_on_break: assignment.assigns_on_break,
                    alternatives_max: assignment.alternatives_max as usize,
                },
                uses_credit_data: assignment.uses_credit_data,
                lead_cap: assignment.lead_cap,
                response_limit_ms: assignment.response_limit.ms() as i64,
                reassignments_max: assignment.reassignments_max,
                iterations: assignment.iterations as usize,
                ..AssignmentSettings::default()
            }),
            report_ms: oscillators.report_every.ms() as i64,
            timer_grace_ms,
        }
    }
}

impl Config {
    /// The models, ready to be set to work.
    #[expect(clippy::missing_panics_doc, reason = "it cannot, as the next line says")]
    #[expect(clippy::expect_used, reason = "a configuration is checked when it is loaded, the flag rate too")]
    pub fn prepared_models(&self, timer_grace_ms: i64) -> PreparedModels {
        let settings = self.models.settings(timer_grace_ms);
        let prior = &self.models.whaco.prior.leads;
        let prepared = if prior.is_empty() {
            settings.prepare()
        } else {
            settings.prepare_with_prior(Prior { leads: prior, worth_rows: self.models.whaco.prior_worth })
        };
        prepared.expect("the settings lie within their bounds")
    }
}
