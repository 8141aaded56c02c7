//! How a world comes to the wanted number of events in the wanted time.
//!
//! ```text
//!   a few dealers, rehearsed ─▶ Rehearsal { rate, share of events by day } ─▶ each midnight: Pace::correct ─▶ rate of enquiries
//! ```
//! Enquiries are the only dial: deals, vehicles and the rest follow from them. The rehearsal finds where to set it; small corrections
//! at midnight take out what chance adds. What is still off at the end moves the last event by hours: the recording simply stops at
//! event N, as a recording does, with no part of the world treated in another way.

use super::calendar::{DAY_MS, HOUR_MS};
use super::dealer::{Dealer, Scale};
use super::hour::Hour;
use super::random::Random;

/// Events that one lead brings with it, deals and vehicles included, roughly; the rehearsal mends it.
const EVENTS_PER_LEAD: f64 = 9.5;
/// Share of events that report the reps' statuses.
const STATUS_SHARE: f64 = 0.10;

/// What the world is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorldPlan {
    pub(super) seed: u64,
    pub(super) dealers: u32,
    pub(super) events: u64,
    pub(super) days: u32,
    pub(super) start_ms: i64,
}

impl WorldPlan {
    /// How many times the mean each dealer's events are: Zipf-like, shuffled, mean 1.
    pub(super) fn sizes(&self) -> Vec<f64> {
        const FLATTENING: f64 = 4.0;
        const EXPONENT: f64 = 0.7;
        let mut random = Random::new(self.seed, u64::MAX);
        let mut sizes: Vec<f64> = (0..self.dealers)
            .map(|rank| super::random::exp(-EXPONENT * super::random::ln(f64::from(rank) + FLATTENING)))
            .collect();
        let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
        for size in &mut sizes {
            *size /= mean;
        }
        for last in (1..sizes.len()).rev() {
            sizes.swap(last, random.below(last as u64 + 1) as usize);
        }
        sizes
    }

    fn scale_of(&self, size: f64) -> Scale {
        let events_per_day = self.events as f64 / f64::from(self.dealers) / f64::from(self.days) * size;
        let leads_per_day = events_per_day * (1.0 - STATUS_SHARE) / EVENTS_PER_LEAD;
        // In a recording of a few events the people may not crowd out what they do.
        let crowd = (events_per_day * f64::from(self.days) * 0.08).floor().max(1.0);
        let reps = (leads_per_day / 1.4).round().clamp(5.0, 30.0).min(crowd);
        let changes_per_shift = events_per_day * STATUS_SHARE / (reps * 5.0 / 7.0);
        Scale {
            leads_per_day,
            reps: reps as u32,
            reported_shift_share: (changes_per_shift / 4.0).min(1.0),
            status_changes_per_shift: (changes_per_shift - 2.0).clamp(2.0, 24.0),
        }
    }

    /// The dealers at some positions, as they open.
    pub(super) fn dealers_at(&self, positions: impl Iterator<Item = u32>, sizes: &[f64]) -> Vec<Dealer> {
        let open =
            |index: u32| Dealer::new(index, self.seed, self.scale_of(sizes[index as usize]), self.start_ms, self.days);
        positions.map(open).collect()
    }
}

/// The dial of enquiries.
#[derive(Debug)]
pub(super) struct Pace {
    rate: f64,
    base: f64,
    /// Share of all events that came before each midnight.
    share_by_day: Vec<f64>,
    events: u64,
}

impl Pace {
    /// Rehearses the world with a few of its dealers.
    pub(super) fn rehearse(plan: &WorldPlan, sizes: &[f64]) -> Self {
        const ROUNDS: usize = 2;
        let rehearsed = (plan.events / 25).clamp(20_000, 200_000).min(plan.events).max(1);
        let step = (plan.events / rehearsed).clamp(1, u64::from(plan.dealers)) as usize;
        let positions = || (0..plan.dealers).skip(step / 2).step_by(step);
        let size: f64 = positions().map(|index| sizes[index as usize]).sum();
        let expected = plan.events as f64 * size / f64::from(plan.dealers);
        let mut pace = Pace { rate: 1.0, base: 1.0, share_by_day: Vec::new(), events: plan.events };
        let mut hour = Hour::default();
        for _ in 0..ROUNDS {
            let mut dealers = plan.dealers_at(positions(), sizes);
            let mut before = vec![0_usize];
            for day in 0..i64::from(plan.days) {
                let mut events = before[before.len() - 1];
                for hour_of_day in 0..24 {
                    let start_ms = plan.start_ms + day * DAY_MS + hour_of_day * HOUR_MS;
                    hour.begin(start_ms);
                    for dealer in &mut dealers {
                        dealer.live(start_ms, pace.base, &mut hour);
                    }
                    events += hour.len();
                }
                before.push(events);
            }
            let total = before[before.len() - 1].max(1) as f64;
            pace.base = (pace.base * expected / total).clamp(0.01, 100.0);
            pace.share_by_day = before.iter().map(|events| *events as f64 / total).collect();
        }
        pace.rate = pace.base;
        pace
    }

    /// By what the dealers' rate of enquiries is multiplied now.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// Looks at a midnight, `day` days after the start, at what was written until then. The last days are left alone: what they would
    /// bring comes too late.
    pub(super) fn correct(&mut self, day: usize, written: u64) {
        const DAYS_ALONE: usize = 2;
        let share_left = 1.0 - self.share_by_day.get(day).copied().unwrap_or(1.0);
        if day > 0 && day + DAYS_ALONE < self.share_by_day.len() && share_left > 0.0 {
            let wanted = self.events.saturating_sub(written) as f64 / (self.events as f64 * share_left);
            self.rate = self.base * wanted.clamp(0.6, 1.6);
        }
    }
}
