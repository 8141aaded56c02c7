//! `dealerflow lab whaco`: the clusters and outliers of a CSV file.
//!
//! ```text
//!   X.csv ─▶ numbers (label left out) ─▶ model ─▶ cluster,score,is_outlier     each row scored before it is learned
//!   --label after:  first pass ─▶ final model;  second pass: a fresh model scores again, the final one labels
//! ```
//! Rows are never kept: the second pass comes to the same scores, since the model is deterministic.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use operators::models::whaco::model::Model;
use operators::models::whaco::seed_stream::SeedStream;
use operators::models::whaco::settings::{Settings, SettingsError};

use super::super::CommandError;

/// The column that is left out.
const LABEL: &str = "label";

/// Clusters rows and scores how unusual they are.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// CSV file of numeric columns, with or without a header; an empty cell or NaN is a missing value, a column `label` is left out
    #[arg(long, value_name = "CSV")]
    input: PathBuf,
    /// Number of clusters, 1 to 64
    #[arg(long, default_value_t = 5)]
    clusters: usize,
    /// The form of the model
    #[arg(long, value_enum, default_value_t = Mode::Calibrated)]
    mode: Mode,
    /// Share of rows to flag as outliers, above 0 and at most 0.5 (calibrated mode; the seed form flags beyond 3.5 deviations)
    #[arg(long, default_value_t = 0.01)]
    flag_rate: f64,
    /// Which model says the cluster: the one before the row, or the one after all rows
    #[arg(long, value_enum, default_value_t = Label::Before)]
    label: Label,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// The formulas as first written, over standardised rows
    Seed,
    /// Our own, which sets its threshold by the flag rate
    Calibrated,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Label {
    Before,
    After,
}

/// Either form, over rows of numbers.
enum Either {
    Seed(Box<SeedStream>),
    Calibrated(Box<Model>),
}

impl Either {
    fn new(arguments: &Arguments, features: usize) -> Result<Self, SettingsError> {
        let settings = Settings::within(features, arguments.clusters, arguments.flag_rate)?;
        Ok(match arguments.mode {
            Mode::Seed => Either::Seed(Box::new(SeedStream::new(features, arguments.clusters))),
            Mode::Calibrated => Either::Calibrated(Box::new(Model::new(settings)?)),
        })
    }

    /// Cluster, score, outlier; the row is learned.
    fn analyse(&mut self, row: &[f64]) -> (u32, f64, bool) {
        match self {
            Either::Seed(model) => {
                let scored = model.analyse(row);
                (scored.cluster, scored.distance, scored.is_outlier)
            }
            Either::Calibrated(model) => {
                let scored = model.analyse(row);
                (scored.cluster, scored.score, scored.is_outlier)
            }
        }
    }

    fn settle(&mut self) {
        if let Either::Calibrated(model) = self {
            model.recluster();
        }
    }

    fn cluster(&mut self, row: &[f64]) -> u32 {
        match self {
            Either::Seed(model) => model.score(row).cluster,
            Either::Calibrated(model) => model.cluster(row),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// If a setting is out of its bounds (usage), or the file cannot be read as rows of numbers.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    // What is wrong with any file is wrong usage.
    Settings::within(1, arguments.clusters, arguments.flag_rate).map_err(CommandError::usage)?;
    match print(arguments, &mut BufWriter::new(std::io::stdout().lock())) {
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(Failure::Output(error)) => {
            Err(CommandError::failed(format!("the standard output cannot be written: {error}")))
        }
        Err(Failure::Input(sentence)) => Err(CommandError::failed(sentence)),
        Ok(()) => Ok(()),
    }
}

enum Failure {
    /// A sentence that says where.
    Input(String),
    Output(std::io::Error),
}

fn print(arguments: &Arguments, output: &mut impl Write) -> Result<(), Failure> {
    let open = || -> Result<(Rows, Either), Failure> {
        let rows = Rows::open(&arguments.input)?;
        let features = rows.columns.len();
        let model = Either::new(arguments, features)
            .map_err(|error| Failure::Input(format!("{}: {error}", arguments.input.display())))?;
        Ok((rows, model))
    };
    let mut last = None;
    if arguments.label == Label::After {
        let (mut rows, mut model) = open()?;
        while let Some(row) = rows.next()? {
            model.analyse(row);
        }
        model.settle();
        last = Some(model);
    }
    let (mut rows, mut model) = open()?;
    writeln!(output, "cluster,score,is_outlier").map_err(Failure::Output)?;
    while let Some(row) = rows.next()? {
        let (mut cluster, score, is_outlier) = model.analyse(row);
        if let Some(last) = &mut last {
            cluster = last.cluster(row);
        }
        writeln!(output, "{cluster},{score},{is_outlier}").map_err(Failure::Output)?;
    }
    output.flush().map_err(Failure::Output)
}

/// The rows of a CSV file, as numbers.
struct Rows {
    path: PathBuf,
    reader: csv::Reader<File>,
    record: csv::StringRecord,
    /// The first row was read to see whether it is a header, and is one of numbers.
    pending: bool,
    /// Place and name of each column that is read.
    columns: Vec<(usize, String)>,
    values: Vec<f64>,
}

impl Rows {
    fn open(path: &Path) -> Result<Self, Failure> {
        let failed =
            |error: &dyn std::fmt::Display| Failure::Input(format!("{} cannot be read: {error}", path.display()));
        let file = File::open(path).map_err(|error| failed(&error))?;
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(file);
        let mut rows = Rows {
            path: path.to_owned(),
            reader,
            record: csv::StringRecord::new(),
            pending: false,
            columns: Vec::new(),
            values: Vec::new(),
        };
        if !rows.read()? {
            let path = path.display();
            return Err(Failure::Input(format!(
                "{path} is empty: it needs one line of numbers per row, and may have a header"
            )));
        }
        let is_number = |cell: &str| cell.is_empty() || cell.parse::<f64>().is_ok();
        rows.pending = rows.record.iter().all(is_number);
        let names = rows.record.iter().enumerate().map(|(place, name)| {
            let name = name.trim_start_matches('\u{feff}');
            (place, if rows.pending { (place + 1).to_string() } else { name.to_owned() })
        });
        rows.columns = names.filter(|(_, name)| !name.eq_ignore_ascii_case(LABEL)).collect();
        if rows.columns.is_empty() {
            return Err(Failure::Input(format!(
                "{} has no column beside `label`: there is nothing to cluster",
                path.display()
            )));
        }
        Ok(rows)
    }

    fn read(&mut self) -> Result<bool, Failure> {
        self.reader.read_record(&mut self.record).map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            let path = self.path.display();
            match error.kind() {
                csv::ErrorKind::Utf8 { .. } => {
                    Failure::Input(format!("{path}, line {line}, is not UTF-8 text: save the file as UTF-8"))
                }
                _ => Failure::Input(format!("{path} cannot be read: {error}")),
            }
        })
    }

    fn next(&mut self) -> Result<Option<&[f64]>, Failure> {
        let cells = self.record.len();
        if !std::mem::take(&mut self.pending) {
            if !self.read()? {
                return Ok(None);
            }
            if self.record.len() != cells {
                let found = self.record.len();
                return Err(self.wrong(None, &format!("{found} cells and not the {cells} of the first line")));
            }
        }
        let Rows { record, columns, values, .. } = self;
        values.clear();
        for (number, (place, _)) in columns.iter().enumerate() {
            let cell = &record[*place];
            match if cell.is_empty() { Ok(f64::NAN) } else { cell.parse::<f64>() } {
                Ok(value) if !value.is_infinite() => values.push(value),
                Ok(_) => {
                    return Err(
                        self.wrong(Some(number), "which is not finite: leave the cell empty if the value is missing")
                    );
                }
                Err(_) => {
                    return Err(
                        self.wrong(Some(number), "which is no number: leave the cell empty if the value is missing")
                    );
                }
            }
        }
        Ok(Some(&self.values))
    }

    fn wrong(&self, column: Option<usize>, what: &str) -> Failure {
        let (path, line) = (self.path.display(), self.record.position().map_or(0, csv::Position::line));
        Failure::Input(match column.map(|column| &self.columns[column]) {
            Some((place, name)) => format!("{path}, line {line}, column {name} has {:?}, {what}", &self.record[*place]),
            None => format!("{path}, line {line}, has {what}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str, change: impl Fn(&mut Arguments)) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("x.csv");
        std::fs::write(&input, text).unwrap();
        let mut arguments =
            Arguments { input, clusters: 2, mode: Mode::Calibrated, flag_rate: 0.01, label: Label::Before };
        change(&mut arguments);
        let mut output = Vec::new();
        match print(&arguments, &mut output) {
            Ok(()) => Ok(String::from_utf8(output).unwrap()),
            Err(Failure::Input(sentence)) => Err(sentence.replace(&folder.path().display().to_string(), "DIR")),
            Err(Failure::Output(error)) => panic!("{error}"),
        }
    }

    fn two_groups() -> String {
        let rows = (0..60).map(|row| {
            let group = row % 2;
            format!("{},{},{group}\n", group * 50 + row % 7, 3 * group + row % 2)
        });
        format!("x,y,label\n{}", rows.collect::<String>())
    }

    #[test]
    fn every_row_is_printed_and_the_final_model_tells_the_groups_apart() {
        for mode in [Mode::Seed, Mode::Calibrated] {
            let before = printed(&two_groups(), |arguments| arguments.mode = mode).unwrap();
            let after = printed(&two_groups(), |arguments| {
                arguments.mode = mode;
                arguments.label = Label::After;
            })
            .unwrap();
            let without_cluster =
                |text: &str| text.lines().map(|line| line.split_once(',').unwrap().1.to_owned()).collect::<Vec<_>>();
            assert_eq!(before.lines().count(), 61);
            assert_eq!(without_cluster(&before), without_cluster(&after));
            let clusters: Vec<_> = after.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
            assert!((0..60).all(|row| (clusters[row] == clusters[0]) == (row % 2 == 0)), "{after}");
        }
    }

    #[test]
    fn a_label_is_left_out_and_a_header_is_not_needed() {
        let rows: Vec<_> =
            two_groups().lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned() + "\n").collect();
        let other = rows.concat();
        let bare = other.split_once('\n').unwrap().1.to_owned();
        let expected = printed(&two_groups(), |_| ()).unwrap();
        assert_eq!(printed(&other, |_| ()).unwrap(), expected);
        assert_eq!(printed(&bare, |_| ()).unwrap(), expected);
    }

    #[test]
    fn what_is_missing_is_no_error_and_what_is_wrong_is_told_with_its_place() {
        assert_eq!(printed("a,b\n1,\n,2\nNaN,3\n", |_| ()).unwrap().lines().count(), 4);
        let wrong = |text: &str| printed(text, |_| ()).unwrap_err();
        assert_eq!(
            wrong("a,b\n1,2\n3,x\n"),
            "DIR/x.csv, line 3, column b has \"x\", which is no number: leave the cell empty if the value is missing"
        );
        assert_eq!(
            wrong("1,2\n3,inf\n"),
            "DIR/x.csv, line 2, column 2 has \"inf\", which is not finite: leave the cell empty if the value is missing"
        );
        assert_eq!(wrong("a,b\n1,2\n3\n"), "DIR/x.csv, line 3, has 1 cells and not the 2 of the first line");
        assert!(wrong("").contains("is empty"));
        assert!(wrong("label\n1\n").contains("nothing to cluster"));
        let wide = vec!["1"; 513].join(",");
        assert!(wrong(&wide).contains("number of features is 513"));
    }
}
