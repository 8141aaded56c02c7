//! Registering metrics, and remembering what was declared.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

impl Kind {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// One metric, as documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

/// Bounds of seconds that something takes: a millisecond to a minute.
pub(super) const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// A registry in the making.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    registry: Registry,
    list: Vec<Declaration>,
}

impl Declarations {
    #[expect(clippy::expect_used, reason = "names and labels are constants, and a test registers all of them")]
    fn register<C: Collector + Clone + 'static>(
        &mut self,
        made: prometheus::Result<C>,
        name: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> C {
        let collector = made.expect("a constant name is a good name");
        self.registry.register(Box::new(collector.clone())).expect("a constant name is declared once");
        self.list.push(Declaration { name, kind, labels, help });
        collector
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> IntCounter {
        self.register(IntCounter::new(name, help), name, Kind::Counter, &[], help)
    }

    pub(super) fn counters(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels), name, Kind::Counter, labels, help)
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> IntGauge {
        self.register(IntGauge::new(name, help), name, Kind::Gauge, &[], help)
    }

    pub(super) fn gauges(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels), name, Kind::Gauge, labels, help)
    }

    pub(super) fn seconds_gauge(&mut self, name: &'static str, help: &'static str) -> Gauge {
        self.register(Gauge::new(name, help), name, Kind::Gauge, &[], help)
    }

    pub(super) fn seconds_gauges(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> GaugeVec {
        self.register(GaugeVec::new(Opts::new(name, help), labels), name, Kind::Gauge, labels, help)
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &'static str) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.register(Histogram::with_opts(options), name, Kind::Histogram, &[], help)
    }

    pub(super) fn histograms(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.register(HistogramVec::new(options, labels), name, Kind::Histogram, labels, help)
    }

    /// The registry, with the process's own metrics where the system gives them, and what was declared.
    pub(super) fn finish(self) -> (Registry, Vec<Declaration>) {
        #[cfg(target_os = "linux")]
        {
            let process = prometheus::process_collector::ProcessCollector::for_self();
            // Its names are its own: nothing else has them.
            let _ = self.registry.register(Box::new(process));
        }
        (self.registry, self.list)
    }
}

/// Brings a counter up to a total that is kept elsewhere.
pub(super) fn bring_to(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
