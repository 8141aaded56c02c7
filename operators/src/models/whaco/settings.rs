//! What a model is told once: its size, its target, its memory.

use thiserror::Error;

/// The largest number of features.
pub const FEATURES_MAX: usize = 512;
/// The largest number of clusters.
pub const CLUSTERS_MAX: usize = 64;
/// The largest state of a model made by [`Settings::within`], in bytes.
pub const STATE_BYTES_MAX: usize = 64 * 1024;
/// The fewest points that a sample is any use with.
const POINTS_MIN: usize = 8;
/// More points than this change nothing but the time.
const POINTS_MAX: usize = 512;

/// The size, target and memory of a calibrated model.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Number of features of a row, 1 to [`FEATURES_MAX`].
    pub features: usize,
    /// Number of clusters, 1 to [`CLUSTERS_MAX`].
    pub clusters: usize,
    /// The share of rows to flag as outliers, above 0 and at most 0.5.
    pub flag_rate: f64,
    /// Points of the sample: a multiple of 8. The time of an analysis grows with points × features.
    pub points: usize,
    /// Rows that the sample and the clusters look back on.
    pub memory_rows: u32,
    /// Rows between two reclusterings of the sample, once the model has settled.
    pub clustering_rows: u32,
    /// Rows that scales and thresholds look back on.
    pub scale_memory_rows: u32,
    /// Fresh starts that a reclustering tries beside the present centroids.
    pub restarts: u32,
    /// The seed of the sample and of the fresh starts.
    pub seed: u64,
}

/// Why settings cannot be used.
#[derive(Debug, Error, PartialEq)]
pub enum SettingsError {
    /// A number outside its bounds.
    #[error("{what} is {value}, which is not between {least} and {greatest}")]
    OutOfRange {
        /// The setting.
        what: &'static str,
        /// What was asked for.
        value: f64,
        /// The least that works.
        least: f64,
        /// The greatest that works.
        greatest: f64,
    },
    /// Points come in blocks of eight.
    #[error("a sample of {points} points is not a multiple of 8: use {}", points.next_multiple_of(8))]
    NotABlock {
        /// What was asked for.
        points: usize,
    },
    /// The state does not fit.
    #[error(
        "{features} features in {clusters} clusters leave no room for a sample in {bytes} bytes: use fewer of either"
    )]
    TooLarge {
        /// Features asked for.
        features: usize,
        /// Clusters asked for.
        clusters: usize,
        /// The bound.
        bytes: usize,
    },
}

impl Settings {
    /// The production settings of a dealer's leads: 10 features, 5 clusters, 96 points; about 7 KiB a dealer, most of which one analysis
    /// reads.
    pub fn leads() -> Self {
        Settings {
            features: super::features::FEATURES,
            clusters: super::segment::ARCHETYPES,
            flag_rate: 0.01,
            points: 96,
            memory_rows: 512,
            clustering_rows: 2_048,
            scale_memory_rows: 4_096,
            restarts: 1,
            seed: 1,
        }
    }

    /// Settings whose model has the largest sample that keeps its state within [`STATE_BYTES_MAX`].
    ///
    /// # Errors
    /// If a number is out of its bounds, or the features and clusters alone fill the state.
    pub fn within(features: usize, clusters: usize, flag_rate: f64) -> Result<Self, SettingsError> {
        let mut settings = Settings {
            features,
            clusters,
            flag_rate,
            points: POINTS_MIN,
            memory_rows: 0,
            clustering_rows: 0,
            scale_memory_rows: 8_192,
            restarts: 6,
            seed: 1,
        };
        settings.check()?;
        let point_bytes = (settings.state_bytes_with(POINTS_MIN + 8) - settings.state_bytes_with(POINTS_MIN)) / 8;
        let free = STATE_BYTES_MAX.saturating_sub(settings.state_bytes_with(0)) / point_bytes;
        if free < POINTS_MIN {
            return Err(SettingsError::TooLarge { features, clusters, bytes: STATE_BYTES_MAX });
        }
        settings.points = (free / 8 * 8).min(POINTS_MAX);
        settings.memory_rows = (4 * settings.points as u32).max(512);
        settings.clustering_rows = settings.memory_rows;
        Ok(settings)
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// Names the first setting that is out of its bounds.
    pub fn check(&self) -> Result<(), SettingsError> {
        let within = |what, value: f64, least: f64, greatest: f64| {
            if value >= least && value <= greatest {
                return Ok(());
            }
            Err(SettingsError::OutOfRange { what, value, least, greatest })
        };
        within("the number of features", self.features as f64, 1.0, FEATURES_MAX as f64)?;
        within("the number of clusters", self.clusters as f64, 1.0, CLUSTERS_MAX as f64)?;
        within("the flag rate", self.flag_rate, 1e-6, 0.5)?;
        within("the number of points", self.points as f64, POINTS_MIN as f64, 65_536.0)?;
        within("the number of restarts", f64::from(self.restarts), 1.0, 100.0)?;
        if !self.points.is_multiple_of(8) {
            return Err(SettingsError::NotABlock { points: self.points });
        }
        Ok(())
    }

    /// Bytes of the whole state of a model, as kept in memory.
    pub fn state_bytes(&self) -> usize {
        self.state_bytes_with(self.points)
    }

    fn state_bytes_with(&self, points: usize) -> usize {
        let padded = self.clusters.next_multiple_of(8);
        // The sample; moments and scales; centroids, their rows and shares; variances, precisions, metric and origin; tail; sizes.
        points * 4 * self.features
            + self.features * (2 * 8 + 4)
            + padded * (4 * self.features + 8)
            + self.features * (3 * 4 + 8)
            + super::tail::BYTES
            + super::sizes::BYTES
            + 512
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_keeps_within_the_state() {
        for (features, clusters) in [(1, 1), (2, 64), (10, 5), (64, 10), (166, 5), (512, 5)] {
            let settings = Settings::within(features, clusters, 0.01).unwrap();
            assert!(settings.state_bytes() <= STATE_BYTES_MAX, "{features} × {clusters}: {}", settings.state_bytes());
            assert!(settings.check().is_ok());
        }
        assert!(matches!(Settings::within(512, 64, 0.01), Err(SettingsError::TooLarge { .. })));
        assert!(matches!(Settings::within(513, 5, 0.01), Err(SettingsError::OutOfRange { .. })));
        assert!(matches!(Settings::within(5, 5, f64::NAN), Err(SettingsError::OutOfRange { .. })));
    }

    #[test]
    fn a_dealer_is_small() {
        assert!(Settings::leads().check().is_ok());
        assert!(Settings::leads().state_bytes() <= 8 * 1024, "{}", Settings::leads().state_bytes());
    }
}
