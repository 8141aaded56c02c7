//! A model as bytes, and back.
//!
//! ```text
//!   "WHACO" kind version │ settings │ every field in the order of its struct │ end
//! ```
//! Numbers are little-endian and floats are their bits, so nothing is lost; a list is its length and its items. Whoever changes what is
//! kept raises [`VERSION`].

use thiserror::Error;

use super::clusters::Clusters;
use super::model::{Model, Scratch};
use super::random::Random;
use super::sample::Sample;
use super::scale::Moments;
use super::settings::{Settings, SettingsError};
use super::sizes::{SIZE_WINDOW_ROWS, SizeWindow};
use super::tail::Tail;
use super::typical::Typical;

/// Version of the bytes.
pub const VERSION: u16 = 2;
const MAGIC: &[u8; 5] = b"WHACO";

/// Why bytes are no model.
#[derive(Debug, Error, PartialEq)]
pub enum SnapshotError {
    /// They are something else.
    #[error("these bytes are no snapshot of a {expected} model")]
    NoSnapshot {
        /// The kind of model that was asked for.
        expected: &'static str,
    },
    /// Another version wrote them.
    #[error("the snapshot has version {found}, and this program reads version {VERSION}: replay from the log instead")]
    OtherVersion {
        /// The version of the bytes.
        found: u16,
    },
    /// They end early, are too long or contradict themselves.
    #[error("the snapshot is damaged at byte {at}: take the one before, or replay from the log")]
    Damaged {
        /// Where it was noticed.
        at: usize,
    },
    /// The settings in it are out of their bounds.
    #[error("the snapshot has settings that no model can have")]
    Settings(#[from] SettingsError),
    /// It is a model of other rows.
    #[error("the snapshot is of {features} features in {clusters} clusters, not of leads")]
    OtherModel {
        /// Its features.
        features: usize,
        /// Its clusters.
        clusters: usize,
    },
}

/// Which model the bytes are of.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Calibrated = 1,
    Seed = 2,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Calibrated => "calibrated",
            Kind::Seed => "seed",
        }
    }
}

/// Puts numbers in a row.
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new(kind: Kind, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(MAGIC);
        bytes.push(kind as u8);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        Writer { bytes }
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    pub(super) fn f32(&mut self, value: f32) {
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(super) fn f64s(&mut self, values: &[f64]) {
        self.u64(values.len() as u64);
        for value in values {
            self.f64(*value);
        }
    }

    fn f32s<'a>(&mut self, values: impl Iterator<Item = &'a f32>) {
        for value in values {
            self.f32(*value);
        }
    }
}

/// Takes them out again; whatever does not fit is damage.
pub(super) struct Reader<'bytes> {
    bytes: &'bytes [u8],
    at: usize,
}

impl<'bytes> Reader<'bytes> {
    pub(super) fn new(kind: Kind, bytes: &'bytes [u8]) -> Result<Self, SnapshotError> {
        let head = MAGIC.len() + 3;
        if bytes.len() < head || &bytes[..MAGIC.len()] != MAGIC || bytes[MAGIC.len()] != kind as u8 {
            return Err(SnapshotError::NoSnapshot { expected: kind.name() });
        }
        let found = u16::from_le_bytes([bytes[head - 2], bytes[head - 1]]);
        if found != VERSION {
            return Err(SnapshotError::OtherVersion { found });
        }
        Ok(Reader { bytes, at: head })
    }

    pub(super) fn damaged(&self) -> SnapshotError {
        SnapshotError::Damaged { at: self.at }
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or(self.damaged())?;
        self.at += N;
        Ok(*bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, SnapshotError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    /// A whole number that may be at most so large.
    pub(super) fn count(&mut self, greatest: usize) -> Result<usize, SnapshotError> {
        let value = self.u64()?;
        if value > greatest as u64 {
            return Err(self.damaged());
        }
        Ok(value as usize)
    }

    pub(super) fn f64(&mut self) -> Result<f64, SnapshotError> {
        Ok(f64::from_bits(self.u64()?))
    }

    pub(super) fn f32(&mut self) -> Result<f32, SnapshotError> {
        Ok(f32::from_bits(u32::from_le_bytes(self.take()?)))
    }

    pub(super) fn f64s(&mut self, wanted: usize) -> Result<Vec<f64>, SnapshotError> {
        if self.u64()? != wanted as u64 {
            return Err(self.damaged());
        }
        (0..wanted).map(|_| self.f64()).collect()
    }

    fn f32s<'a>(&mut self, values: impl Iterator<Item = &'a mut f32>) -> Result<(), SnapshotError> {
        for value in values {
            *value = self.f32()?;
        }
        Ok(())
    }

    pub(super) fn end(&self) -> Result<(), SnapshotError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.damaged()) }
    }
}

fn write_settings(to: &mut Writer, settings: &Settings) {
    for value in [settings.features, settings.clusters, settings.points] {
        to.u64(value as u64);
    }
    to.f64(settings.flag_rate);
    for value in [settings.memory_rows, settings.clustering_rows, settings.scale_memory_rows, settings.restarts] {
        to.u64(u64::from(value));
    }
    to.u64(settings.seed);
}

fn read_settings(from: &mut Reader<'_>) -> Result<Settings, SnapshotError> {
    let any = u32::MAX as usize;
    let (features, clusters, points) = (from.count(any)?, from.count(any)?, from.count(any)?);
    let settings = Settings {
        features,
        clusters,
        points,
        flag_rate: from.f64()?,
        memory_rows: from.count(any)? as u32,
        clustering_rows: from.count(any)? as u32,
        scale_memory_rows: from.count(any)? as u32,
        restarts: from.count(any)? as u32,
        seed: from.u64()?,
    };
    settings.check()?;
    Ok(settings)
}

fn write_tail(to: &mut Writer, tail: &Tail) {
    to.f32s(tail.bins.iter().chain(&tail.blocks).chain([&tail.total, &tail.weight]));
}

fn read_tail(from: &mut Reader<'_>, tail: &mut Tail) -> Result<(), SnapshotError> {
    from.f32s(tail.bins.iter_mut().chain(&mut tail.blocks).chain([&mut tail.total, &mut tail.weight]))
}

fn write_clusters(to: &mut Writer, clusters: &Clusters) {
    let Clusters { centroids, rows, shares, metric, variances, precisions, spread, features: _, count } = clusters;
    to.f32s(centroids.as_flattened().iter());
    for values in [rows, shares, metric, variances, precisions] {
        to.f32s(values.iter());
    }
    to.f32s(spread.iter());
    to.u64(*count as u64);
}

fn read_clusters(from: &mut Reader<'_>, clusters: &mut Clusters, greatest: usize) -> Result<(), SnapshotError> {
    let Clusters { centroids, rows, shares, metric, variances, precisions, spread, features: _, count } = clusters;
    from.f32s(centroids.as_flattened_mut().iter_mut())?;
    for values in [rows, shares, metric, variances, precisions] {
        from.f32s(values.iter_mut())?;
    }
    from.f32s(spread.iter_mut())?;
    *count = from.count(greatest)?;
    Ok(())
}

fn write_sample(to: &mut Writer, sample: &Sample) {
    let Sample { values, features: _, points: _, filled } = sample;
    to.f32s(values.as_flattened().iter());
    to.u64(*filled as u64);
}

fn read_sample(from: &mut Reader<'_>, sample: &mut Sample) -> Result<(), SnapshotError> {
    from.f32s(sample.values.as_flattened_mut().iter_mut())?;
    sample.filled = from.count(sample.points)?;
    Ok(())
}

impl Model {
    /// The whole state as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let Model { settings, origin, moments, inverse, sample, clusters, typical, tail, sizes, .. } = self;
        let mut to = Writer::new(Kind::Calibrated, 2 * settings.state_bytes());
        write_settings(&mut to, settings);
        to.f64s(origin);
        for Moments { mean, variance } in moments {
            to.f64(*mean);
            to.f64(*variance);
        }
        to.f32s(inverse.iter());
        write_sample(&mut to, sample);
        write_clusters(&mut to, clusters);
        let Typical { distance } = typical;
        to.f32(*distance);
        write_tail(&mut to, tail);
        to.u64(sizes.clusters.len() as u64);
        to.bytes.extend_from_slice(&sizes.clusters);
        to.u64(u64::from(sizes.next));
        to.f64(self.debt);
        for value in [self.rows, self.outliers, self.worth, self.next_clustering, self.clusterings, self.random.state] {
            to.u64(value);
        }
        to.bytes
    }

    /// A model from such bytes. It goes on as the one that wrote them would have, bit for bit.
    ///
    /// # Errors
    /// If the bytes are no snapshot of this version, or damaged.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut from = Reader::new(Kind::Calibrated, bytes)?;
        let settings = read_settings(&mut from)?;
        // The sizes are those of the bytes, or the settings are damaged: nothing large is made before that is known.
        if settings.state_bytes() > 8 * bytes.len() + (1 << 16) {
            return Err(from.damaged());
        }
        let mut model = Model::new(settings)?;
        model.origin = from.f64s(model.origin.len())?;
        for moments in &mut model.moments {
            *moments = Moments { mean: from.f64()?, variance: from.f64()? };
        }
        from.f32s(model.inverse.iter_mut())?;
        read_sample(&mut from, &mut model.sample)?;
        read_clusters(&mut from, &mut model.clusters, model.settings.clusters)?;
        from.f32s(std::iter::once(&mut model.typical.distance))?;
        read_tail(&mut from, &mut model.tail)?;
        let mut sizes = SizeWindow::default();
        for _ in 0..from.count(SIZE_WINDOW_ROWS)? {
            let [cluster] = from.take()?;
            sizes.clusters.push(cluster);
        }
        sizes.next = from.count(SIZE_WINDOW_ROWS - 1)? as u32;
        model.sizes = sizes;
        model.debt = from.f64()?;
        model.rows = from.u64()?;
        model.outliers = from.u64()?;
        model.worth = from.u64()?;
        model.next_clustering = from.u64()?;
        model.clusterings = from.u64()?;
        model.random = Random::new(from.u64()?);
        model.scratch = Scratch::new(&model.settings);
        from.end()?;
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A restored model is the same model, and says the same of every further row.
        #[test]
        fn a_restored_model_goes_on_bit_for_bit(
            features in 1_usize..14, clusters in 1_usize..12, rows in 0_usize..700, seed: u64,
        ) {
            let mut random = Random::new(seed);
            let mut draw = |_| (0..features).map(|_| random.unit() * 8.0 - if random.below(9) == 0 { f64::NAN } else { 0.0 }).collect();
            let settings = Settings { seed, points: 64, ..Settings::within(features, clusters, 0.05).unwrap() };
            let mut model = Model::new(settings).unwrap();
            for row in (0..rows).map(&mut draw).collect::<Vec<Vec<f64>>>() {
                model.analyse(&row);
            }
            let bytes = model.snapshot();
            let mut restored = Model::restore(&bytes).unwrap();
            prop_assert_eq!(&restored.snapshot(), &bytes);
            prop_assert!(restored == model);
            for row in (0..200).map(&mut draw).collect::<Vec<Vec<f64>>>() {
                let (left, right) = (model.analyse(&row), restored.analyse(&row));
                prop_assert_eq!(left.score.to_bits(), right.score.to_bits());
                prop_assert_eq!(left, right);
            }
            prop_assert_eq!(restored.snapshot(), model.snapshot());
        }

        /// Damage is an error, never a panic.
        #[test]
        fn damage_is_noticed(cut in 0_usize..2_000, at in 0_usize..2_000, byte: u8) {
            let mut model = Model::new(Settings { points: 8, ..Settings::within(2, 2, 0.01).unwrap() }).unwrap();
            model.analyse(&[1.0, 2.0]);
            let bytes = model.snapshot();
            prop_assert!(Model::restore(&bytes[..cut.min(bytes.len() - 1)]).is_err());
            let mut changed = bytes.clone();
            changed[at.min(bytes.len() - 1)] = byte;
            if let Ok(mut other) = Model::restore(&changed) {
                other.score(&[3.0, 4.0]);
            }
        }
    }

    #[test]
    fn other_bytes_and_versions_are_refused() {
        let model = Model::new(Settings::leads()).unwrap();
        let mut bytes = model.snapshot();
        assert_eq!(Model::restore(b"hello").err(), Some(SnapshotError::NoSnapshot { expected: "calibrated" }));
        bytes[6] = 9;
        assert_eq!(Model::restore(&bytes).err(), Some(SnapshotError::OtherVersion { found: 9 }));
    }
}
