//! `dealerflow lab kuramoto`: coupled oscillators on anybody's frequencies.

use std::io::Write;
use std::path::PathBuf;

use operators::models::oscillators::coupling::{Coupling, Weights};
use operators::models::oscillators::kuramoto::{Order, Oscillators, Workspace};

use super::sheet::Sheet;
use crate::commands::CommandError;

/// Steps at most: each prints a row.
const STEPS_MAX: f64 = 10_000_000.0;

/// What `--help` says behind the options.
const FORMATS: &str = "\
Integrates dθ_i/dt = ω_i + (K/N) Σ_j s_ij sin(θ_j − θ_i) by Runge–Kutta of fourth order. Prints time,r,mean_phase at time 0 and after \
each step, then an empty line and oscillator,phase: the final phases, not wrapped, in the order of the frequencies.

Files are CSV with or without a header: one number a row, in the column named frequency (omega), skill or phase (theta), else in the \
last one; the first of several columns holds ids. Files with the same ids are joined by id, others row by row. Time and frequencies \
need only share a unit; the product counts in hours.";

/// Coupled oscillators to run.
#[derive(Debug, clap::Args)]
#[command(after_help = FORMATS)]
pub struct Arguments {
    /// Natural frequencies ω, in radians per unit of time
    #[arg(long, value_name = "CSV")]
    frequencies: PathBuf,
    /// Strength K of the coupling; negative drives apart
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = finite)]
    coupling: f64,
    /// Skills, for weights s = 1 − |skill − skill|; without them all weights are 1
    #[arg(long, value_name = "CSV")]
    skills: Option<PathBuf>,
    /// Step of the integrator; the last one is shorter if it has to be [default: 1/12, five minutes of an hour]
    #[arg(long, value_name = "DT", value_parser = positive)]
    dt: Option<f64>,
    /// How long to run
    #[arg(long, value_name = "T", default_value = "100", value_parser = positive)]
    time: f64,
    /// Phases at time 0 [default: 0]
    #[arg(long, value_name = "CSV")]
    phases: Option<PathBuf>,
}

fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() { Ok(number) } else { Err("not finite".to_owned()) }
}

fn positive(text: &str) -> Result<f64, String> {
    finite(text).and_then(|number| if number > 0.0 { Ok(number) } else { Err("not above 0".to_owned()) })
}

/// Runs the command.
///
/// # Errors
/// If a file cannot be read or does not fit the others, or there would be too many steps.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let experiment = Experiment::read(arguments)?;
    super::print_rows(|output| experiment.print(output))
}

struct Experiment {
    /// By oscillator, as in the file of frequencies.
    ids: Vec<String>,
    /// The oscillators by ascending skill; in order without skills. The columns below are in this order.
    order: Vec<usize>,
    frequencies: Vec<f64>,
    skills: Option<Vec<f64>>,
    phases: Vec<f64>,
    strength: f64,
    step: f64,
    time: f64,
    steps: u64,
}

impl Experiment {
    fn read(arguments: &Arguments) -> Result<Self, CommandError> {
        let step = arguments.dt.unwrap_or(1.0 / 12.0);
        // A quotient that is whole but for rounding makes no step of nothing.
        let steps = (arguments.time / step - 1e-9).ceil().max(1.0);
        if steps > STEPS_MAX {
            let sentence =
                format!("--time / --dt makes {steps} steps, at most {STEPS_MAX} are possible: take a longer --dt");
            return Err(CommandError::usage(sentence));
        }
        let sheet = Sheet::read(&arguments.frequencies)?;
        let (ids, frequencies) = sheet.numbers(&["frequency", "naturalfrequency", "omega", "w"])?;
        if frequencies.is_empty() {
            return Err(sheet.complaint_of_all("there are no frequencies"));
        }
        let column = |path: &PathBuf, words: &[&str]| {
            let sheet = Sheet::read(path)?;
            let (other_ids, numbers) = sheet.numbers(words)?;
            joined(&sheet, ids.as_deref(), frequencies.len(), other_ids.as_deref(), numbers)
        };
        let skills = arguments.skills.as_ref().map(|path| column(path, &["skill", "skilllevel"])).transpose()?;
        let phases = arguments.phases.as_ref().map(|path| column(path, &["phase", "theta"])).transpose()?;
        let count = frequencies.len();
        let mut order: Vec<usize> = (0..count).collect();
        if let Some(skills) = &skills {
            order.sort_by(|left, right| skills[*left].total_cmp(&skills[*right]));
        }
        let sorted = |numbers: &[f64]| order.iter().map(|index| numbers[*index]).collect::<Vec<f64>>();
        Ok(Experiment {
            frequencies: sorted(&frequencies),
            skills: skills.as_deref().map(sorted),
            phases: phases.as_deref().map_or_else(|| vec![0.0; count], sorted),
            ids: ids.unwrap_or_else(|| (0..count).map(|index| index.to_string()).collect()),
            order,
            strength: arguments.coupling,
            step,
            time: arguments.time,
            steps: steps as u64,
        })
    }

    fn print(mut self, output: &mut impl Write) -> std::io::Result<()> {
        let mut workspace = Workspace::default();
        let weights = self.skills.as_deref().map_or(Weights::Uniform, Weights::Similarity);
        let coupling = Coupling { strength: self.strength, weights, harmonics: 1 };
        let oscillators = Oscillators { frequencies: &self.frequencies, coupling };
        writeln!(output, "time,r,mean_phase")?;
        let mut time = 0.0;
        for number in 0..=self.steps {
            if number > 0 {
                let next = if number == self.steps { self.time } else { number as f64 * self.step };
                oscillators.step(&mut self.phases, next - time, &mut workspace);
                time = next;
            }
            let Order { coherence, mean_phase } = Order::of(&self.phases, &mut workspace);
            writeln!(output, "{time},{coherence},{mean_phase}")?;
        }
        writeln!(output, "\noscillator,phase")?;
        let mut phases = vec![0.0; self.phases.len()];
        for (index, phase) in self.order.iter().zip(&self.phases) {
            phases[*index] = *phase;
        }
        for (id, phase) in self.ids.iter().zip(phases) {
            writeln!(output, "{},{phase}", super::quoted(id))?;
        }
        output.flush()
    }
}

/// The numbers in the order of the frequencies: by id if the ids are the same, else row by row.
fn joined(
    sheet: &Sheet,
    ids: Option<&[String]>,
    count: usize,
    other_ids: Option<&[String]>,
    numbers: Vec<f64>,
) -> Result<Vec<f64>, CommandError> {
    if numbers.len() != count {
        let found = numbers.len();
        return Err(sheet.complaint_of_all(format_args!("{found} numbers for {count} frequencies")));
    }
    let (Some(ids), Some(other_ids)) = (ids, other_ids) else { return Ok(numbers) };
    let places: std::collections::BTreeMap<&str, usize> =
        other_ids.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
    if !ids.iter().any(|id| places.contains_key(id.as_str())) {
        return Ok(numbers);
    }
    let place = |id: &String| {
        let missing = || sheet.complaint_of_all(format_args!("`{id}` of the frequencies is missing"));
        places.get(id.as_str()).copied().ok_or_else(missing)
    };
    ids.iter().map(|id| Ok(numbers[place(id)?])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// The rows over time, and the final phases.
    type Printed = (Vec<[f64; 3]>, Vec<(String, f64)>);

    /// Runs with files of these texts.
    fn run_on(files: &[(&str, &str)], rest: &[&str]) -> Result<Printed, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut words = vec!["kuramoto".to_owned()];
        for (option, text) in files {
            let path = folder.path().join(option);
            std::fs::write(&path, text).unwrap();
            words.extend([format!("--{option}"), path.display().to_string()]);
        }
        words.extend(rest.iter().map(|word| (*word).to_owned()));
        let arguments = CommandLine::try_parse_from(words).map_err(|error| error.to_string())?.arguments;
        let mut output = Vec::new();
        Experiment::read(&arguments).map_err(|error| error.sentence)?.print(&mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        let (course, phases) = text.split_once("\n\noscillator,phase\n").unwrap();
        let rows = course.lines().skip(1).map(|line| {
            let numbers: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
            <[f64; 3]>::try_from(numbers).unwrap()
        });
        let phases = phases.lines().map(|line| line.rsplit_once(',').unwrap());
        Ok((rows.collect(), phases.map(|(id, phase)| (id.to_owned(), phase.parse().unwrap())).collect()))
    }

    #[test]
    fn two_oscillators_lock() {
        let (rows, phases) = run_on(&[("frequencies", "1.1\n1\n")], &["--coupling", "0.3"]).unwrap();
        assert_eq!((rows.len(), rows[0]), (1_201, [0.0, 1.0, 0.0]));
        assert!((phases[0].1 - phases[1].1 - f64::asin(0.1 / 0.3)).abs() < 1e-9);
        // r is the cosine of half the angle between them.
        assert!((rows[1_200][1] - f64::cos(f64::asin(0.1 / 0.3) / 2.0)).abs() < 1e-9);
    }

    #[test]
    fn skills_weigh_and_are_joined_by_id() {
        let files = [("frequencies", "id,omega\na,1.1\nb,1\nc,1.05\n"), ("skills", "id,skill\nc,0.5\nb,0.9\na,0.1\n")];
        let arguments = ["--coupling", "-0.5", "--time", "1", "--dt", "0.3"];
        let (rows, phases) = run_on(&files, &arguments).unwrap();
        assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), [0.0, 0.3, 0.6, 0.899_999_999_999_999_9, 1.0]);
        let in_order = [("frequencies", "1.1\n1\n1.05\n"), ("skills", "0.1\n0.9\n0.5\n")];
        let (_, same) = run_on(&in_order, &arguments).unwrap();
        for ((id, phase), (_, other)) in phases.iter().zip(&same) {
            assert_eq!(phase.to_bits(), other.to_bits(), "{id}");
        }
        assert_eq!(phases[1].0, "b");
        let (_, uniform) = run_on(&files[..1], &arguments).unwrap();
        assert!((uniform[0].1 - phases[0].1).abs() > 1e-6);
    }

    #[test]
    fn phases_are_where_it_begins() {
        let files = [("frequencies", "0\n0\n"), ("phases", "theta\n0\n1.5\n")];
        let (rows, _) = run_on(&files, &["--coupling", "0", "--time", "1"]).unwrap();
        assert!((rows[0][1] - f64::cos(0.75)).abs() < 1e-12 && (rows[12][2] - 0.75).abs() < 1e-12);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let refused = |files: &[(&str, &str)], rest: &[&str]| run_on(files, rest).unwrap_err();
        let one = [("frequencies", "1\n2\n"), ("skills", "0.5\n")];
        assert!(refused(&one, &["--coupling", "1"]).ends_with("skills: 1 numbers for 2 frequencies"));
        let ids = [("frequencies", "a,1\nb,2\n"), ("skills", "a,0.5\nc,0.6\n")];
        assert!(refused(&ids, &["--coupling", "1"]).ends_with("skills: `b` of the frequencies is missing"));
        assert!(refused(&one[..1], &["--coupling", "1", "--dt", "0"]).contains("not above 0"));
        assert!(refused(&one[..1], &["--coupling", "x"]).contains("not a number"));
        assert!(refused(&one[..1], &["--coupling", "1", "--dt", "1e-9"]).contains("take a longer --dt"));
    }
}
