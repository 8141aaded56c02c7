//! Oscillator networks: how long a step takes, and what a team reaches under either objective.

use operators::models::oscillators::kuramoto::Workspace;
use operators::models::oscillators::member::Profile;
use operators::models::oscillators::network::{Network, Objective, STEP_MS, Settings};

use crate::figures::{Spread, Target};
use crate::repeat::{seconds, units};
use crate::table::Table;

const DEALERS: usize = 10_000;
/// Steps of one network timed together: 35 days.
const STEPS: i64 = 10_000;
/// Hours that each team's coherence and coverage are taken over, and teams.
const HOURS: i64 = 1_000;
const TEAMS: u64 = 20;
const HOUR_MS: i64 = 3_600_000;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report {
    speed: Table,
    objectives: Table,
}

/// A team of so many reps of unequal skill and speed.
fn team(reps: usize, objective: Objective, seed: u64) -> Network {
    let mut network = Network::new(Settings { objective, ..Settings::default() }, 0);
    let mut unit = units(seed);
    for rep in 0..reps {
        let profile = Profile {
            name: format!("rep {rep}").into(),
            skill: 0.3 + 0.7 * unit(),
            natural_frequency: 0.9 + 0.2 * unit(),
        };
        network.put(&format!("r{rep:02}"), profile);
    }
    network
}

/// Measures both. `say` hears of each step as it begins.
pub fn measure(rounds: usize, say: impl Fn(&str)) -> Report {
    let mut speed = Table::new(&["work", "least", "median", "greatest", "target", "verdict"]);
    let mut row = |what: String, spread: Option<Spread>, scale: f64, unit: &str, target: Option<Target>| {
        let Some(spread) = spread else { return };
        let figure = |seconds: f64| format!("{:.2} {unit}", seconds * scale);
        speed.row([
            what,
            figure(spread.least),
            figure(spread.median),
            figure(spread.greatest),
            target.map_or_else(String::new, |target| format!("{target} {unit}")),
            target.map_or_else(String::new, |target| target.verdict(spread.median * scale).to_owned()),
        ]);
    };
    for objective in [Objective::Coherence, Objective::Coverage] {
        for reps in [10, 20, 50] {
            say(&format!("one network of {reps} reps, {objective:?}"));
            let (mut network, mut workspace) = (team(reps, objective, 1), Workspace::default());
            let spread = seconds(rounds, || {
                for _ in 0..STEPS {
                    // A step of the grid, which keeps the network awake.
                    network.begin_event(network.time_ms() + STEP_MS, &mut workspace);
                }
            });
            let target = (reps == 50).then_some(Target::AtMost(5.0));
            row(format!("a step of {reps} reps, {objective:?}"), spread, 1e6 / STEPS as f64, "µs", target);
        }
    }
    for reps in [10, 20, 50] {
        say(&format!("{DEALERS} networks of {reps} reps"));
        let mut networks: Vec<Network> =
            (0..DEALERS).map(|dealer| team(reps, Objective::Coherence, dealer as u64)).collect();
        let (mut workspace, mut tick, mut coherence) = (Workspace::default(), 0, 0.0);
        let spread = seconds(rounds, || {
            tick += 1;
            for network in &mut networks {
                network.advance(tick * STEP_MS, &mut workspace);
                coherence += network.order(&mut workspace).coherence;
            }
        });
        std::hint::black_box(coherence);
        let target = (reps == 10).then_some(Target::AtMost(250.0));
        row(format!("a tick of {DEALERS} dealers, {reps} reps each"), spread, 1e3, "ms", target);
    }
    say("both objectives");
    let mut objectives = Table::new(&["reps", "objective", "coherence", "coverage"]);
    for reps in [4, 8, 10, 20] {
        for objective in [Objective::Coherence, Objective::Coverage] {
            let (mut coherence, mut coverage) = (0.0, 0.0);
            for seed in 0..TEAMS {
                let (mut network, mut workspace) = (team(reps, objective, seed), Workspace::default());
                for hour in 1..=HOURS {
                    network.begin_event(hour * HOUR_MS, &mut workspace);
                    coherence += network.order(&mut workspace).coherence / (HOURS as f64 * TEAMS as f64);
                }
                coverage += network.coverage().share().unwrap_or(0.0) / TEAMS as f64;
            }
            let name = format!("{objective:?}").to_lowercase();
            objectives.row([reps.to_string(), name, format!("{coherence:.3}"), format!("{:.1} %", 100.0 * coverage)]);
        }
    }
    Report { speed, objectives }
}

impl std::fmt::Display for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{}", self.speed)?;
        write!(formatter, "{}", self.objectives)
    }
}
