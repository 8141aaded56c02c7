//! What the models are told once.

use super::clusters::Clusters;
use crate::models::assignment::eligibility::Policy;
use crate::models::oscillators::network::{self, STEP_MS};
use crate::models::whaco;
use crate::models::whaco::features::LeadFields;
use crate::models::whaco::settings::SettingsError;

/// A dealer's periodic timers sleep when there was no event for so long.
pub const AWAKE_MS: i64 = network::AWAKE_MS;
/// Time between two ticks of the oscillators.
pub const TICK_MS: i64 = STEP_MS;
/// Placements of waiting leads happen at whole multiples of this.
pub const PLACEMENT_MS: i64 = 60_000;
/// A lead is active for so long after its last event.
pub const ACTIVE_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// Which form of WHACO clusters leads.
#[derive(Clone, Debug, PartialEq)]
pub enum WhacoSettings {
    /// The formulas as the user wrote them.
    Seed,
    /// Ours, with its settings.
    Calibrated(whaco::settings::Settings),
}

/// Leads of many dealers, which every dealer's clusters begin with.
#[derive(Clone, Copy, Debug)]
pub struct Prior<'a> {
    /// The leads, in the order in which they teach.
    pub leads: &'a [LeadFields],
    /// How many own leads they count for.
    pub worth_rows: u32,
}

/// How leads are given to reps.
#[derive(Clone, Debug, PartialEq)]
pub struct AssignmentSettings {
    /// Wishes, breaks, alternatives.
    pub policy: Policy,
    /// Whether the priority that routing sees may come from credit data.
    pub uses_credit_data: bool,
    /// Active leads of a rep who has no cap of their own, at most.
    pub lead_cap: u32,
    /// A lead that its rep has not answered within this goes to another, in milliseconds.
    pub response_limit_ms: i64,
    /// How often that happens to one lead, at most.
    pub reassignments_max: u32,
    /// Iterations of the optimiser for one placement.
    pub iterations: usize,
    /// Leads that one placement looks at, at most.
    pub placement_leads_max: usize,
}

impl Default for AssignmentSettings {
    fn default() -> Self {
        AssignmentSettings {
            policy: Policy::default(),
            uses_credit_data: false,
            lead_cap: crate::models::assignment::candidate::LEAD_CAP_DEFAULT,
            response_limit_ms: 60 * 60 * 1_000,
            reassignments_max: 3,
            iterations: crate::models::optimiser::ITERATIONS_DEFAULT,
            placement_leads_max: 1_000,
        }
    }
}

/// The settings of all models; a model without settings is off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelSettings {
    /// Clusters of leads.
    pub whaco: Option<WhacoSettings>,
    /// Networks of reps.
    pub oscillators: Option<network::Settings>,
    /// Assignment of leads.
    pub assignment: Option<AssignmentSettings>,
    /// Ticks at whole multiples of this tell of the team though nothing but phases has changed, in milliseconds.
    pub report_ms: i64,
    /// A timer fires once its epoch is so far past it, in milliseconds; 0 in a replay of files.
    pub timer_grace_ms: i64,
}

impl ModelSettings {
    /// Every model on, as the definitions have it.
    pub fn standard() -> Self {
        ModelSettings {
            whaco: Some(WhacoSettings::Calibrated(whaco::settings::Settings::leads())),
            oscillators: Some(network::Settings::default()),
            assignment: Some(AssignmentSettings::default()),
            report_ms: TICK_MS,
            timer_grace_ms: 0,
        }
    }

    /// Whether any model is on.
    pub fn is_any_enabled(&self) -> bool {
        self.whaco.is_some() || self.oscillators.is_some() || self.assignment.is_some()
    }

    /// Makes ready what every dealer begins with.
    ///
    /// # Errors
    /// If a setting is out of its bounds.
    pub fn prepare(self) -> Result<PreparedModels, SettingsError> {
        let beginning = self.whaco.as_ref().map(Clusters::new).transpose()?;
        Ok(PreparedModels { settings: self, beginning })
    }

    /// The same, where every dealer's clusters begin with the leads of others. What they say then depends on those leads: they belong
    /// into the fingerprint of a run's settings.
    ///
    /// # Errors
    /// As [`ModelSettings::prepare`].
    pub fn prepare_with_prior(self, prior: Prior<'_>) -> Result<PreparedModels, SettingsError> {
        let beginning = self.whaco.as_ref().map(|whaco| Clusters::with_prior(whaco, prior)).transpose()?;
        Ok(PreparedModels { settings: self, beginning })
    }
}

/// Models that can be set to work: their settings are sound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PreparedModels {
    pub(super) settings: ModelSettings,
    /// Clusters that have seen no lead, from which every dealer's begin.
    pub(super) beginning: Option<Clusters>,
}

impl PreparedModels {
    /// No model at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// The settings.
    pub fn settings(&self) -> &ModelSettings {
        &self.settings
    }
}
