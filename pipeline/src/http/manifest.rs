//! What each system promises: `dashboards/manifest.toml`, and the present value of each promise.
//!
//! ```text
//!   system ─┬─ metric, reduce ─▶ this process's own metrics ─┐
//!           └─ sql            ─▶ live tables, all dealers   ─┴▶ value ─▶ absent | stale | breached | fresh
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::questions::Questions;
use crate::metrics::Reading;

/// The manifest, as it is part of the program.
const MANIFEST: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards/manifest.toml"));

/// All promises.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// One each.
    pub system: Vec<System>,
}

/// How one number comes of a metric's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduce {
    /// The greatest.
    Max,
    /// The sum.
    Sum,
    /// The middle of a histogram.
    P50,
    /// The 99th percentile of a histogram.
    P99,
    /// Its sum over that of another.
    Share,
}

/// On which side of the target a value must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Not above it.
    AtMost,
    /// Not below it.
    AtLeast,
}

/// A promise.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it promises, in words.
    pub promise: String,
    /// The metric that shows it.
    pub metric: Option<String>,
    /// How one number comes of it.
    pub reduce: Option<Reduce>,
    /// What it is a share of.
    pub over: Option<String>,
    /// The question that shows it: one number called `value`.
    pub sql: Option<String>,
    /// The table without which there is no value.
    pub needs: Option<String>,
    /// On which side of the target.
    pub comparison: Comparison,
    /// The target.
    pub target: f64,
    /// The value's unit.
    pub unit: String,
    /// After how long without an epoch the value is called stale.
    pub stale_after_seconds: u32,
}

/// How a promise is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PromiseStatus {
    /// Kept, and known to be.
    Fresh,
    /// Nothing was published for long.
    Stale,
    /// Missed.
    Breached,
    /// There is no value: the system is off, or not there yet.
    Absent,
}

/// A promise with its present value.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromiseBody {
    /// Its id.
    pub id: String,
    /// The system's name.
    pub name: String,
    /// What it promises.
    pub promise: String,
    /// The metric or the table that shows it.
    pub metric: String,
    /// On which side of the target the value must lie.
    pub comparison: Comparison,
    /// The target.
    pub target: f64,
    /// The value's unit.
    pub unit: String,
    /// The present value.
    pub value: Option<f64>,
    /// How it is kept.
    pub status: PromiseStatus,
}

impl Manifest {
    /// The embedded manifest.
    ///
    /// # Panics
    /// Never: the text is part of the program, and a test reads it.
    #[expect(clippy::expect_used, reason = "the text is part of the program, and a test reads it")]
    pub fn embedded() -> Self {
        toml::from_str(MANIFEST).expect("manifest.toml is embedded and holds systems alone")
    }
}

impl System {
    /// How a value does, so many seconds after the last epoch.
    pub fn judge(&self, value: Option<f64>, quiet_seconds: f64) -> PromiseStatus {
        let Some(value) = value else { return PromiseStatus::Absent };
        if quiet_seconds > f64::from(self.stale_after_seconds) {
            return PromiseStatus::Stale;
        }
        let kept = match self.comparison {
            Comparison::AtMost => value <= self.target,
            Comparison::AtLeast => value >= self.target,
        };
        if kept { PromiseStatus::Fresh } else { PromiseStatus::Breached }
    }

    /// The number; percentiles are of what was observed since an earlier reading.
    fn of_metric(&self, reading: &Reading, since: Option<&Reading>) -> Option<f64> {
        let metric = self.metric.as_deref()?;
        match self.reduce? {
            Reduce::Max => reading.max(metric),
            Reduce::Sum => reading.sum(metric),
            Reduce::P50 => reading.quantile(metric, 0.5, since),
            Reduce::P99 => reading.quantile(metric, 0.99, since),
            Reduce::Share => {
                let whole = reading.sum(self.over.as_deref()?).filter(|whole| *whole > 0.0)?;
                Some(reading.sum(metric)? / whole)
            }
        }
    }

    /// The promise with its present value. A question that fails gives no value, and is told in the log.
    pub async fn present(
        &self,
        (reading, since): (&Reading, Option<&Reading>),
        questions: &mut Questions<'_>,
        quiet_seconds: f64,
    ) -> PromiseBody {
        let value = match &self.sql {
            None => self.of_metric(reading, since),
            Some(query) => {
                let table = self.needs.as_deref().unwrap_or("daily_kpis");
                match questions.ask_model(table, query).await {
                    Ok(rows) => rows.first().and_then(|row| row.get("value")?.as_f64()),
                    Err(problem) => {
                        tracing::warn!(system = self.id, detail = problem.detail, "a promise could not be looked at");
                        None
                    }
                }
            }
        };
        let shown_by = self.metric.as_deref().or(self.needs.as_deref()).unwrap_or("daily_kpis");
        PromiseBody {
            id: self.id.clone(),
            name: self.name.clone(),
            promise: self.promise.clone(),
            metric: shown_by.to_owned(),
            comparison: self.comparison,
            target: self.target,
            unit: self.unit.clone(),
            value,
            // Something was observed once, and nothing in the last minutes.
            status: if value.is_none() && self.of_metric(reading, None).is_some() {
                PromiseStatus::Stale
            } else {
                self.judge(value, quiet_seconds)
            },
        }
    }
}

/// Readings of the last minutes: a percentile since the start would never forget a slow beginning.
#[derive(Debug, Default)]
pub struct Readings {
    kept: Mutex<VecDeque<(Instant, Arc<Reading>)>>,
}

/// How far back a percentile looks.
const WINDOW: Duration = Duration::from_mins(5);
/// The least distance of two readings that are kept.
const READ_EVERY: Duration = Duration::from_secs(10);

impl Readings {
    /// Keeps a reading, and gives the one that percentiles are told since: the oldest of the window.
    pub fn since(&self, reading: &Arc<Reading>) -> Option<Arc<Reading>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.len() > 1 && kept[1].0.elapsed() > WINDOW {
            kept.pop_front();
        }
        let since = kept.front().map(|(_, reading)| Arc::clone(reading));
        if kept.back().is_none_or(|(at, _)| at.elapsed() >= READ_EVERY) {
            kept.push_back((Instant::now(), Arc::clone(reading)));
        }
        since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn every_promise_names_something_that_is_counted_or_asked() {
        let metrics = Metrics::default();
        let known = |name: &str| metrics.declarations().iter().any(|own| own.name == name);
        let manifest = Manifest::embedded();
        assert!(manifest.system.len() >= 10);
        for system in &manifest.system {
            assert_ne!(system.metric.is_some(), system.sql.is_some(), "{}: one of both", system.id);
            assert_eq!(system.metric.is_some(), system.reduce.is_some(), "{}", system.id);
            for metric in system.metric.iter().chain(&system.over) {
                assert!(known(metric), "{}: {metric} is no metric", system.id);
            }
            assert_eq!(system.over.is_some(), system.reduce == Some(Reduce::Share), "{}", system.id);
        }
    }

    #[test]
    fn a_value_is_judged_by_its_target_and_its_age() {
        let manifest = Manifest::embedded();
        let commit = manifest.system.iter().find(|system| system.id == "commit").unwrap();
        assert_eq!(commit.judge(None, 0.0), PromiseStatus::Absent);
        assert_eq!(commit.judge(Some(0.5), 0.0), PromiseStatus::Fresh);
        assert_eq!(commit.judge(Some(0.51), 0.0), PromiseStatus::Breached);
        assert_eq!(commit.judge(Some(0.51), 301.0), PromiseStatus::Stale);
        let coverage = manifest.system.iter().find(|system| system.id == "coverage").unwrap();
        assert_eq!(coverage.judge(Some(0.4), 0.0), PromiseStatus::Breached);
    }
}
