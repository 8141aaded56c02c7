//! Lead assignment: how far from the exact optimum, after how many looks, and how long it takes.

use operators::models::assignment::candidate::{Candidate, Lead, Terms};
use operators::models::assignment::choice::choose;
use operators::models::assignment::eligibility::Policy;
use operators::models::assignment::score::Score;
use operators::models::optimiser::exact::exact;
use operators::models::optimiser::optimise;
use operators::models::optimiser::problem::Problem;
use operators::models::oscillators::member::RepStatus;

use crate::figures::Target;
use crate::repeat::{seconds, units};
use crate::table::Table;

const SEEDS: u64 = 100;
const ITERATIONS: usize = 5;
/// Choices of one lead timed together.
const CHOICES: usize = 10_000;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report {
    gaps: Table,
    speed: Table,
}

/// How scores come about.
#[derive(Clone, Copy, Debug)]
enum Scores {
    /// Uniform, without any structure.
    Random,
    /// The assignment score of random reps and leads: all leads want the same reps.
    Assignment,
}

fn problem(scores: Scores, leads: usize, reps: usize, cap: u32, seed: u64) -> Problem {
    let mut unit = units(seed);
    if matches!(scores, Scores::Random) {
        return Problem::new(leads, vec![cap; reps], |_, _| Some(unit()));
    }
    let terms = Terms::default();
    let team = team(reps, &terms, &mut unit);
    let leads: Vec<Lead<'_>> = (0..leads).map(|_| Lead { priority: unit(), language: None, skills: &[] }).collect();
    Problem::new(leads.len(), vec![cap; reps], |lead, rep| Some(Score::of(&leads[lead], &team[rep]).total()))
}

fn team<'a>(reps: usize, terms: &'a Terms, unit: &mut impl FnMut() -> f64) -> Vec<Candidate<'a>> {
    let rep = |_| Candidate {
        id: "r",
        name: "r",
        phase: std::f64::consts::TAU * unit(),
        skill: unit(),
        status: RepStatus::Available,
        active_leads: 0,
        active_deals: (6.0 * unit()) as u32,
        terms,
    };
    (0..reps).map(rep).collect()
}

/// Measures both. `say` hears of each step as it begins.
pub fn measure(rounds: usize, say: impl Fn(&str)) -> Report {
    Report { gaps: gaps(&say), speed: speed(rounds, &say) }
}

fn gaps(say: &impl Fn(&str)) -> Table {
    let mut table = Table::new(&[
        "gap to the optimum, % (mean / worst)",
        "greedy",
        "1",
        "2",
        "3",
        "4",
        "5",
        "looks per pair and iteration",
        "target",
        "verdict",
    ]);
    for scores in [Scores::Random, Scores::Assignment] {
        for (leads, reps, cap) in [(60, 20, 3), (60, 20, 4), (200, 20, 10)] {
            say(&format!("{SEEDS} problems of {leads} × {reps}, cap {cap}, {scores:?}"));
            let (mut mean, mut worst, mut looks) = ([0.0; ITERATIONS + 1], [0.0_f64; ITERATIONS + 1], 0.0_f64);
            for seed in 0..SEEDS {
                let problem = problem(scores, leads, reps, cap, seed);
                let (optimum, found) = (exact(&problem), optimise(&problem, ITERATIONS));
                for number in 0..=ITERATIONS {
                    let iteration = found.iterations[number.min(found.iterations.len() - 1)];
                    let gap = 100.0 * (optimum.total - iteration.total) / optimum.total;
                    mean[number] += gap / SEEDS as f64;
                    worst[number] = worst[number].max(gap);
                    looks = looks.max(iteration.looks as f64 / (leads * reps) as f64);
                }
            }
            let target = Target::AtMost(1.0);
            let name = format!("{leads} × {reps}, cap {cap}, {}", format!("{scores:?}").to_lowercase());
            let figures = mean.iter().zip(&worst).map(|(mean, worst)| format!("{mean:.3} / {worst:.3}"));
            let judged = [format!("{looks:.2}"), target.to_string(), target.verdict(worst[ITERATIONS]).to_owned()];
            table.row(std::iter::once(name).chain(figures).chain(judged));
        }
    }
    table
}

fn speed(rounds: usize, say: &impl Fn(&str)) -> Table {
    let mut table = Table::new(&["work", "least", "median", "greatest", "target", "verdict"]);
    for scores in [Scores::Random, Scores::Assignment] {
        for cap in [3, 4] {
            say(&format!("1,000 × 300, cap {cap}, {scores:?}"));
            let problem = problem(scores, 1_000, 300, cap, 1);
            let Some(spread) = seconds(rounds, || _ = std::hint::black_box(optimise(&problem, ITERATIONS))) else {
                continue;
            };
            let target = Target::AtMost(50.0);
            table.row([
                format!("1,000 × 300, cap {cap}, {}, 5 iterations", format!("{scores:?}").to_lowercase()),
                format!("{:.1} ms", 1e3 * spread.least),
                format!("{:.1} ms", 1e3 * spread.median),
                format!("{:.1} ms", 1e3 * spread.greatest),
                format!("{target} ms"),
                target.verdict(1e3 * spread.median).to_owned(),
            ]);
        }
    }
    for reps in [10, 50] {
        let (terms, policy, mut unit) = (Terms::default(), Policy::default(), units(2));
        let team = team(reps, &terms, &mut unit);
        let spread = seconds(rounds, || {
            for _ in 0..CHOICES {
                let lead = Lead { priority: 0.5, language: None, skills: &[] };
                std::hint::black_box(choose(lead, std::hint::black_box(&team), 720, &policy));
            }
        });
        let Some(spread) = spread else { continue };
        let figure = |seconds: f64| format!("{:.2} µs", 1e6 * seconds / CHOICES as f64);
        table.row([
            format!("one lead at once, {reps} reps"),
            figure(spread.least),
            figure(spread.median),
            figure(spread.greatest),
        ]);
    }
    table
}

impl std::fmt::Display for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{}", self.gaps)?;
        write!(formatter, "{}", self.speed)
    }
}
