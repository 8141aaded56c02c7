//! Metrics as numbers: for the pages, which show what Prometheus would be told.

use prometheus::proto::{Metric, MetricFamily, MetricType};

/// All series at one moment.
#[derive(Debug)]
pub struct Reading {
    families: Vec<MetricFamily>,
}

/// One series: its labels and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Names and values.
    pub labels: Vec<(String, String)>,
    /// The value; of a histogram, how many were observed.
    pub value: f64,
}

impl Series {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl Reading {
    pub(super) fn new(families: Vec<MetricFamily>) -> Self {
        Reading { families }
    }

    fn family(&self, name: &str) -> Option<&MetricFamily> {
        self.families.iter().find(|family| family.name() == name)
    }

    /// How many series there are, each bucket of a histogram one.
    pub fn series_count(&self) -> usize {
        let of_metric = |metric: &Metric, kind: MetricType| match kind {
            MetricType::HISTOGRAM => metric.get_histogram().get_bucket().len() + 3,
            _ => 1,
        };
        let of_family = |family: &MetricFamily| {
            family.get_metric().iter().map(|metric| of_metric(metric, family.get_field_type())).sum::<usize>()
        };
        self.families.iter().map(of_family).sum()
    }

    /// Every series of a metric.
    pub fn series(&self, name: &str) -> Vec<Series> {
        let Some(family) = self.family(name) else { return Vec::new() };
        let value = |metric: &Metric| match family.get_field_type() {
            MetricType::COUNTER => metric.get_counter().get_value(),
            MetricType::HISTOGRAM => metric.get_histogram().get_sample_count() as f64,
            _ => metric.get_gauge().get_value(),
        };
        let labels = |metric: &Metric| {
            let pairs = metric.get_label().iter();
            pairs.map(|pair| (pair.name().to_owned(), pair.value().to_owned())).collect()
        };
        family.get_metric().iter().map(|metric| Series { labels: labels(metric), value: value(metric) }).collect()
    }

    /// The greatest value of a metric's series.
    pub fn max(&self, name: &str) -> Option<f64> {
        self.series(name).into_iter().map(|series| series.value).reduce(f64::max)
    }

    /// The sum of a metric's series.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.series(name).into_iter().map(|series| series.value).reduce(|left, right| left + right)
    }

    /// The buckets of a histogram, over all its series: upper bound, and how many were observed up to it.
    fn buckets(&self, name: &str) -> (Vec<(f64, u64)>, u64) {
        let mut buckets: Vec<(f64, u64)> = Vec::new();
        let mut total = 0;
        for metric in self.family(name).iter().flat_map(|family| family.get_metric()) {
            total += metric.get_histogram().get_sample_count();
            for (place, bucket) in metric.get_histogram().get_bucket().iter().enumerate() {
                match buckets.get_mut(place) {
                    Some(own) => own.1 += bucket.cumulative_count(),
                    None => buckets.push((bucket.upper_bound(), bucket.cumulative_count())),
                }
            }
        }
        (buckets, total)
    }

    /// A quantile of what a histogram observed since an earlier reading (or at all), within its bucket in proportion; none if nothing was.
    pub fn quantile(&self, name: &str, share: f64, since: Option<&Reading>) -> Option<f64> {
        let (mut buckets, mut total) = self.buckets(name);
        if let Some(since) = since {
            let (before, total_before) = since.buckets(name);
            total = total.saturating_sub(total_before);
            for (own, before) in buckets.iter_mut().zip(before) {
                own.1 = own.1.saturating_sub(before.1);
            }
        }
        if total == 0 {
            return None;
        }
        let wanted = share * total as f64;
        let (mut below, mut bound) = (0, 0.0);
        for (upper, count) in buckets {
            if count as f64 >= wanted {
                let inside = (count - below) as f64;
                let part = if inside > 0.0 { (wanted - below as f64) / inside } else { 0.0 };
                return Some(if upper.is_finite() { bound + (upper - bound) * part } else { bound });
            }
            (below, bound) = (count, upper);
        }
        Some(bound)
    }
}
