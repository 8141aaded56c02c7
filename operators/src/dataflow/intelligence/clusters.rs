//! A dealer's clusters of leads, in the form that the settings name.

use super::settings::{Prior, WhacoSettings};
use crate::models::whaco::features::{Features, LeadFields};
use crate::models::whaco::lead::{LeadAnalysis, LeadModel};
use crate::models::whaco::seed_leads::SeedLeads;
use crate::models::whaco::segment::Segment;
use crate::models::whaco::settings::SettingsError;
use crate::models::whaco::snapshot::SnapshotError;

/// Number of clusters of leads.
pub const CLUSTERS: usize = Segment::ALL.len();

/// The clusters.
#[derive(Clone, Debug, PartialEq)]
pub enum Clusters {
    /// As the user wrote them.
    Seed(Box<SeedLeads>),
    /// Ours.
    Calibrated(Box<LeadModel>),
}

impl Clusters {
    /// Clusters that have seen no lead.
    ///
    /// # Errors
    /// If a setting is out of its bounds.
    pub fn new(settings: &WhacoSettings) -> Result<Self, SettingsError> {
        Ok(match settings {
            WhacoSettings::Seed => Clusters::Seed(Box::default()),
            WhacoSettings::Calibrated(settings) => Clusters::Calibrated(Box::new(LeadModel::new(settings.clone())?)),
        })
    }

    /// Clusters that begin as if they had seen so many of other dealers' leads. The seed form knows no beginning but its own.
    ///
    /// # Errors
    /// If a setting is out of its bounds.
    pub fn with_prior(settings: &WhacoSettings, prior: Prior<'_>) -> Result<Self, SettingsError> {
        let mut clusters = Self::new(settings)?;
        if let Clusters::Calibrated(model) = &mut clusters {
            for lead in prior.leads {
                model.analyse(lead);
            }
            **model = LeadModel::from_prior(model, prior.worth_rows);
        }
        Ok(clusters)
    }

    /// Name and version of the form, as messages tell it.
    pub fn name(&self) -> &'static str {
        match self {
            Clusters::Seed(_) => "whaco-seed-1",
            Clusters::Calibrated(_) => "whaco-calibrated-1",
        }
    }

    /// Scores a new lead and learns from it.
    pub fn analyse(&mut self, fields: &LeadFields) -> LeadAnalysis {
        match self {
            Clusters::Seed(leads) => leads.analyse(fields),
            Clusters::Calibrated(leads) => leads.analyse(fields),
        }
    }

    /// Scores a lead that has taught already.
    pub fn score(&mut self, fields: &LeadFields) -> LeadAnalysis {
        match self {
            Clusters::Seed(leads) => leads.score(fields),
            Clusters::Calibrated(leads) => leads.score(fields),
        }
    }

    /// The centroid of a cluster.
    pub fn centroid(&self, cluster: u32) -> Features {
        match self {
            Clusters::Seed(leads) => leads.centroid(cluster),
            Clusters::Calibrated(leads) => leads.centroid(cluster),
        }
    }

    /// The segment of a cluster.
    pub fn segment(&self, cluster: u32) -> Segment {
        match self {
            Clusters::Seed(_) => Segment::ALL[cluster as usize],
            Clusters::Calibrated(leads) => leads.segment(cluster),
        }
    }

    /// How often all centroids were found anew.
    pub fn clusterings(&self) -> u64 {
        match self {
            Clusters::Seed(_) => 0,
            Clusters::Calibrated(leads) => leads.model().clusterings(),
        }
    }

    /// The whole state as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        match self {
            Clusters::Seed(leads) => leads.snapshot(),
            Clusters::Calibrated(leads) => leads.snapshot(),
        }
    }

    /// Goes on with such bytes.
    ///
    /// # Errors
    /// If they are damaged, or of the other form.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        match self {
            Clusters::Seed(leads) => **leads = SeedLeads::restore(bytes)?,
            Clusters::Calibrated(leads) => **leads = LeadModel::restore(bytes)?,
        }
        Ok(())
    }
}
