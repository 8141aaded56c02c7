//! `dealerflow lab assign`: the optimiser on anybody's scores, beside the exact optimum.

use std::io::Write;
use std::path::PathBuf;

use operators::models::optimiser::exact::exact;
use operators::models::optimiser::problem::Problem;
use operators::models::optimiser::{ITERATIONS_DEFAULT, optimise};

use super::score_table::{ScoreTable, Shape};
use super::sheet::Sheet;
use crate::commands::CommandError;

/// What `--help` says behind the options.
const FORMATS: &str = "\
Places as many leads as possible, with the greatest sum of scores. Prints lead,rep,score for each lead (no rep: it waits), then \
iteration,total,gap (0 is greedy, the gap is a share of the optimum, iterations after the proof of optimality change nothing), then \
total, optimum and gap.

Files are CSV with or without a header. Leads and reps: a row each, the id in the column named id, lead_id, rep_id, … or in the first; \
other columns are ignored. Scores: a row for each lead and a column for each rep, with or without ids in the first column and in the \
header (ids of leads and reps are joined by id, others taken in order); or rows of lead,rep,score. An empty cell, nan or -inf forbids \
the pair, and so does a pair without a row.";

/// Leads to place.
#[derive(Debug, clap::Args)]
#[command(after_help = FORMATS)]
pub struct Arguments {
    /// The leads
    #[arg(long, value_name = "CSV")]
    leads: PathBuf,
    /// The reps
    #[arg(long, value_name = "CSV")]
    reps: PathBuf,
    /// What each pair is worth
    #[arg(long, value_name = "CSV")]
    scores: PathBuf,
    /// Leads that each rep may have at most
    #[arg(long, value_name = "N")]
    cap: u32,
    /// Iterations at most, each a pass of O(leads × reps)
    #[arg(long, value_name = "I", default_value_t = ITERATIONS_DEFAULT as u16)]
    iterations: u16,
}

/// Runs the command.
///
/// # Errors
/// If a file cannot be read, or they do not fit each other.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let experiment = Experiment::read(arguments)?;
    super::print_rows(|output| experiment.print(output))
}

struct Experiment {
    leads: Vec<String>,
    reps: Vec<String>,
    problem: Problem,
    iterations: usize,
}

impl Experiment {
    fn read(arguments: &Arguments) -> Result<Self, CommandError> {
        let leads = Sheet::read(&arguments.leads)?;
        let reps = Sheet::read(&arguments.reps)?;
        let mut scores = Sheet::read(&arguments.scores)?;
        let shape = Shape::of(&leads, &reps, &mut scores);
        let lead_ids = leads.ids(leads.column_named(&["id", "lead", "leadid"]).unwrap_or(0))?;
        let rep_ids = reps.ids(reps.column_named(&["id", "rep", "repid"]).unwrap_or(0))?;
        let table = ScoreTable::read(&scores, shape, &lead_ids, &rep_ids)?;
        let caps = vec![arguments.cap; rep_ids.len()];
        let problem = Problem::new(lead_ids.len(), caps, |lead, rep| table.score(lead, rep));
        Ok(Experiment { leads: lead_ids, reps: rep_ids, problem, iterations: usize::from(arguments.iterations) })
    }

    fn print(&self, output: &mut impl Write) -> std::io::Result<()> {
        let found = optimise(&self.problem, self.iterations);
        let optimum = exact(&self.problem);
        writeln!(output, "lead,rep,score")?;
        for (lead, rep) in found.placement.reps.iter().enumerate() {
            let id = super::quoted(&self.leads[lead]);
            match rep.map(|rep| rep as usize) {
                Some(rep) => {
                    writeln!(output, "{id},{},{}", super::quoted(&self.reps[rep]), self.problem.scores_of(lead)[rep])?;
                }
                None => writeln!(output, "{id},,")?,
            }
        }
        writeln!(output, "\niteration,total,gap")?;
        let last = found.iterations.len() - 1;
        for number in 0..=self.iterations {
            let total = found.iterations[number.min(last)].total;
            let gap = if optimum.total == 0.0 { 0.0 } else { (optimum.total - total) / optimum.total.abs() };
            writeln!(output, "{number},{total},{gap}")?;
        }
        writeln!(output, "\ntotal,{}", found.placement.total)?;
        writeln!(output, "optimum,{}", optimum.total)?;
        writeln!(output, "gap,{}", found.placement.gap(&optimum))?;
        if found.placement.placed < self.leads.len() {
            writeln!(output, "waiting,{}", self.leads.len() - found.placement.placed)?;
        }
        output.flush()
    }
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

    fn run_on(leads: &str, reps: &str, scores: &str, rest: &[&str]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut words = vec!["assign".to_owned()];
        for (option, text) in [("leads", leads), ("reps", reps), ("scores", scores)] {
            let path = folder.path().join(option);
            std::fs::write(&path, text).unwrap();
            words.extend([format!("--{option}"), path.display().to_string()]);
        }
        words.extend(rest.iter().map(|word| (*word).to_owned()));
        let arguments = CommandLine::try_parse_from(words).map_err(|error| error.to_string())?.arguments;
        let mut output = Vec::new();
        Experiment::read(&arguments).map_err(|error| error.sentence)?.print(&mut output).unwrap();
        Ok(String::from_utf8(output).unwrap())
    }

    const EXPECTED: &str = "lead,rep,score\na,y,0.9\nb,x,0.5\nc,x,0.25\n\niteration,total,gap\n0,1.65,0\n1,1.65,0\n\ntotal,1.65\noptimum,1.65\ngap,0\n";

    #[test]
    fn every_usual_form_gives_the_same() {
        let (leads, reps) = ("lead_id,priority\na,1\nb,2\nc,3\n", "rep_id\nx\ny\n");
        let matrix = "0.5,0.9\n0.5,0.1\n0.25,0.2\n";
        let forms = [
            (leads, reps, matrix.to_owned()),
            ("a\nb\nc", "x\ny", matrix.to_owned()),
            ("Customer ID\na\nb\nc", "key\nx\ny", matrix.to_owned()),
            (leads, reps, format!("x,y\n{matrix}")),
            (leads, reps, format!("0,1\n{matrix}")),
            (leads, reps, ",x,y\na,0.5,0.9\nb,0.5,0.1\nc,0.25,0.2\n".to_owned()),
            (leads, reps, ",0,1\n0,0.5,0.9\n1,0.5,0.1\n2,0.25,0.2\n".to_owned()),
            (leads, reps, "lead,y,x\nc,0.2,0.25\nb,0.1,0.5\na,0.9,0.5\n".to_owned()),
            (leads, reps, "lead,rep,score\na,x,.5\na,y,.9\nb,x,.5\nb,y,.1\nc,x,.25\nc,y,.2\n".to_owned()),
            (leads, reps, "a,x,.5\na,y,.9\nb,x,.5\nb,y,.1\nc,x,.25\nc,y,.2\n".to_owned()),
        ];
        for (leads, reps, scores) in forms {
            let printed = run_on(leads, reps, &scores, &["--cap", "2", "--iterations", "1"]).unwrap();
            assert_eq!(printed, EXPECTED, "{scores}");
        }
    }

    #[test]
    fn pairs_may_be_forbidden_and_leads_may_wait() {
        let printed = run_on("a\nb\nc", "x\ny", "1,\nnan,-inf\n0.5,0.25", &["--cap", "1"]).unwrap();
        assert!(printed.starts_with("lead,rep,score\na,x,1\nb,,\nc,y,0.25\n"), "{printed}");
        assert!(printed.ends_with("total,1.25\noptimum,1.25\ngap,0\nwaiting,1\n"), "{printed}");
        assert_eq!(printed.lines().filter(|line| line.starts_with(char::is_numeric)).count(), 6);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let refused = |scores: &str| run_on("a\nb\nc", "x\ny", scores, &["--cap", "1"]).unwrap_err();
        for (scores, expected) in [
            ("1,2\n3,4\n", "scores: 2 rows of 2 columns do not fit 3 leads and 2 reps"),
            ("1,2\n3,?\n5,6\n", "scores, row 2, column 2: `?` is no number"),
            (",x,z\na,1,2\nb,3,4\nc,5,6\n", "scores, row 1, column 3: `z` is none of the reps"),
            (",x,y\na,1,2\nb,3,4\nd,5,6\n", "scores, row 4, column 1: `d` is none of the leads"),
            ("lead,rep,score\na,x,1\na,x,2\n", "scores, row 3, column 1: the pair stands above already"),
            ("lead,rep,score\na,x,1\nd,x,2\n", "scores, row 3, column 1: `d` is none of the leads"),
        ] {
            assert!(refused(scores).ends_with(expected), "{}", refused(scores));
        }
    }
}
