//! Whether an event costs the same in a long history as in a short one: the same dealers, as dense in time, over more days.

use std::path::Path;

use crate::child::{Binaries, Cost};
use crate::failure::Failure;
use crate::figures::{Target, relative_speeds, spread};
use crate::input::InputFolder;
use crate::replay::Subject;
use crate::table::Table;

/// Millions of events that every measurement takes.
const SIZES: [u64; 3] = [1, 3, 10];
/// The size that takes long, on demand.
const FULL_SIZE: u64 = 30;
const MILLION: u64 = 1_000_000;
/// How much dearer an event of a longer history may be.
const DEARER_MAX: f64 = 1.25;
const SUBJECT: Subject = Subject::NoOutput { workers: 1 };

/// One size.
#[derive(Clone, Debug)]
struct Size {
    events: u64,
    days: Option<f64>,
    costs: Vec<Cost>,
}

impl Size {
    /// User CPU in microseconds an event, by round.
    fn microseconds(&self) -> Vec<f64> {
        self.costs.iter().map(|cost| cost.user.as_secs_f64() * 1e6 / self.events as f64).collect()
    }
}

/// The costs at every size.
#[derive(Clone, Debug)]
pub struct Flatness {
    sizes: Vec<Size>,
}

/// Simulates every size and replays each once a round. `say` hears of each step as it begins.
///
/// # Errors
/// If a subject cannot be run or fails.
pub fn measure(
    binaries: &Binaries,
    rounds: usize,
    seed: u64,
    full: bool,
    say: impl Fn(&str),
) -> Result<Flatness, Failure> {
    let mut folders = Vec::new();
    let mut sizes = Vec::new();
    for millions in SIZES.into_iter().chain(full.then_some(FULL_SIZE)) {
        say(&format!("simulating {millions} million events"));
        let folder = InputFolder::simulated(binaries, millions * MILLION, seed)?;
        sizes.push(Size { events: millions * MILLION, days: folder.days(), costs: Vec::new() });
        folders.push(folder);
    }
    for round in 1..=rounds {
        say(&format!("round {round} of {rounds}"));
        for (size, folder) in sizes.iter_mut().zip(&folders) {
            let (cost, _) = SUBJECT.run(binaries, folder.path(), Path::new(""))?;
            size.costs.push(cost);
        }
    }
    Ok(Flatness { sizes })
}

impl std::fmt::Display for Flatness {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = Table::new(&[
            "events",
            "days",
            "user CPU µs/event",
            "peak MB",
            "peak B/event",
            "÷ smallest",
            "target",
            "verdict",
        ]);
        let target = Target::AtMost(DEARER_MAX);
        let smallest = self.sizes.first().map(Size::microseconds).unwrap_or_default();
        for (number, size) in self.sizes.iter().enumerate() {
            let own = size.microseconds();
            let peaks: Vec<f64> = size.costs.iter().map(|cost| cost.peak_bytes as f64).collect();
            // Costs in terms of the smallest size's are its speed in terms of this one's.
            let dearer = spread(&relative_speeds(&smallest, &own)).filter(|_| number > 0);
            let (Some(cost), Some(peak)) = (spread(&own), spread(&peaks)) else { continue };
            table.row([
                size.events.to_string(),
                size.days.map_or_else(String::new, |days| format!("{days:.1}")),
                format!("{:.2} / {:.2} / {:.2}", cost.least, cost.median, cost.greatest),
                format!("{:.0}", peak.median / 1e6),
                format!("{:.0}", peak.median / size.events as f64),
                dearer.map_or_else(String::new, |dearer| format!("{:.2}", dearer.median)),
                dearer.map_or_else(String::new, |_| target.to_string()),
                dearer.map_or_else(String::new, |dearer| target.verdict(dearer.median).to_owned()),
            ]);
        }
        write!(formatter, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn cost_is_by_event_and_judged_against_the_smallest_size() {
        let size = |millions: u64, seconds: [u64; 2]| Size {
            events: millions * MILLION,
            days: Some(millions as f64 * 30.0),
            costs: seconds.map(|second| Cost { user: Duration::from_secs(second), ..Cost::default() }).into(),
        };
        let flatness = Flatness { sizes: vec![size(1, [1, 2]), size(3, [3, 6]), size(10, [13, 26])] };
        let text = flatness.to_string();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert!(lines[1].contains("1.00 / 1.50 / 2.00") && lines[1].ends_with("1.00  ≤ 1.25     pass"), "{text}");
        assert!(lines[2].contains("1.30") && lines[2].ends_with("short"), "{text}");
    }
}
