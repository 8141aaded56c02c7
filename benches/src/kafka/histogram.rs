//! Latencies, kept one by one and shown as percentiles and bars.

use std::fmt;

/// Upper bounds of the bars, in milliseconds.
const BOUNDS_MS: [f64; 16] =
    [5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 125.0, 150.0, 200.0, 500.0, f64::INFINITY];
/// The longest bar, in characters.
const BAR_MAX: usize = 50;

/// Latencies in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    sorted_ms: Vec<f64>,
}

impl Latencies {
    /// From latencies in any order.
    pub fn of(mut latencies_ms: Vec<f64>) -> Self {
        latencies_ms.sort_by(f64::total_cmp);
        Latencies { sorted_ms: latencies_ms }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sorted_ms.len()
    }

    /// The nearest-rank percentile, `share` between 0 and 1; `None` without any.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let rank = (share * self.sorted_ms.len() as f64).ceil().max(1.0) as usize;
        self.sorted_ms.get(rank - 1).copied()
    }

    /// The greatest.
    pub fn greatest(&self) -> Option<f64> {
        self.sorted_ms.last().copied()
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(half), Some(most), Some(nearly_all), Some(greatest)) =
            (self.percentile(0.5), self.percentile(0.9), self.percentile(0.99), self.greatest())
        else {
            return writeln!(formatter, "no latencies");
        };
        let count = self.count();
        writeln!(
            formatter,
            "{count} results, ms: p50 {half:.1}  p90 {most:.1}  p99 {nearly_all:.1}  max {greatest:.1}"
        )?;
        let mut below = 0;
        for bound in BOUNDS_MS {
            let up_to = self.sorted_ms.partition_point(|latency| *latency <= bound);
            let share = (up_to - below) as f64 / count as f64;
            below = up_to;
            if share > 0.0 {
                let bar = "█".repeat((share * BAR_MAX as f64).ceil() as usize);
                let name = if bound.is_finite() { format!("≤ {bound:.0}") } else { "more".to_owned() };
                writeln!(formatter, "{name:>6} {:>6.2} % {bar}", 100.0 * share)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let latencies = Latencies::of((1..=200).rev().map(f64::from).collect());
        assert_eq!(latencies.percentile(0.5), Some(100.0));
        assert_eq!(latencies.percentile(0.99), Some(198.0));
        assert_eq!((latencies.greatest(), latencies.count()), (Some(200.0), 200));
        assert_eq!(Latencies::default().percentile(0.5), None);
    }

    #[test]
    fn bars_share_out_all_results() {
        let text = Latencies::of(vec![1.0, 45.0, 46.0, 900.0]).to_string();
        assert!(text.contains("≤ 50  50.00 %") && text.contains("more  25.00 %"), "{text}");
    }
}
