//! A CSV file as people make them: with or without a header, with or without a column of ids.
//!
//! ```text
//!   file ─▶ rows of trimmed cells ─▶ header? ─▶ ids, numbers; each complaint names file, row and column
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::commands::CommandError;

/// Words that head a column and are no id.
const HEADER_WORDS: [&str; 14] = [
    "code",
    "customer",
    "customerid",
    "id",
    "index",
    "key",
    "lead",
    "leadid",
    "name",
    "oscillator",
    "rep",
    "repid",
    "salesperson",
    "salespersonid",
];

/// The cells of a file.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    path: PathBuf,
    /// The first row too, if it is a header.
    rows: Vec<Row>,
    has_header: bool,
}

#[derive(Clone, Debug)]
struct Row {
    /// Line of the file, from 1.
    line: usize,
    cells: Vec<String>,
}

/// A word without case and punctuation.
fn plain(word: &str) -> String {
    word.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn is_number(cell: &str) -> bool {
    cell.parse::<f64>().is_ok()
}

impl Sheet {
    /// Reads a file. All its rows have to be equally long.
    pub(super) fn read(path: &Path) -> Result<Self, CommandError> {
        let failed =
            |error: csv::Error| CommandError::failed(format!("{} cannot be read as CSV: {error}", path.display()));
        let text = std::fs::read_to_string(path)
            .map_err(|error| CommandError::failed(format!("{} cannot be read: {error}", path.display())))?;
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let (mut line, mut counted) = (1, 0);
        let mut rows: Vec<Row> = Vec::new();
        for record in reader.records() {
            let record = record.map_err(failed)?;
            // A record begins where the one before ended: empty lines come first.
            let from = record.position().map_or(counted, |position| position.byte() as usize);
            let empty = text[from..].bytes().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            line += text[counted..from + empty].matches('\n').count();
            counted = from + empty;
            let cells: Vec<String> = record.iter().map(str::to_owned).collect();
            if let Some(first) = rows.first().filter(|first| first.cells.len() != cells.len()) {
                let (columns, wanted) = (cells.len(), first.cells.len());
                return Err(CommandError::failed(format!(
                    "{}, row {line} has {columns} columns, the rows before it have {wanted}",
                    path.display()
                )));
            }
            rows.push(Row { line, cells });
        }
        if rows.is_empty() {
            return Err(CommandError::failed(format!("{} is empty", path.display())));
        }
        let mut sheet = Sheet { path: path.to_owned(), rows, has_header: false };
        sheet.has_header = sheet.looks_headed();
        Ok(sheet)
    }

    /// A first row is a header if it holds a known word, or a word above a column of numbers.
    fn looks_headed(&self) -> bool {
        let first = &self.rows[0].cells;
        let rest = &self.rows[1..];
        first.iter().enumerate().any(|(column, cell)| {
            let heads_numbers = || {
                !rest.is_empty()
                    && !is_number(cell)
                    && !cell.is_empty()
                    && rest.iter().all(|row| is_number(&row.cells[column]))
            };
            HEADER_WORDS.contains(&plain(cell).as_str()) || heads_numbers()
        })
    }

    /// Takes the first row for a header, where other files tell that it is one.
    pub(super) fn set_header(&mut self) {
        self.has_header = true;
    }

    /// Number of rows below the header.
    pub(super) fn rows(&self) -> usize {
        self.rows.len() - usize::from(self.has_header)
    }

    /// Number of columns.
    pub(super) fn columns(&self) -> usize {
        self.rows[0].cells.len()
    }

    /// The header's cells.
    pub(super) fn header(&self) -> Option<&[String]> {
        self.has_header.then(|| self.rows[0].cells.as_slice())
    }

    /// A cell below the header.
    pub(super) fn cell(&self, row: usize, column: usize) -> &str {
        &self.rows[row + usize::from(self.has_header)].cells[column]
    }

    /// A complaint about a cell below the header: `F.csv, row 3, column 2: …`.
    pub(super) fn complaint(&self, row: usize, column: usize, what: impl std::fmt::Display) -> CommandError {
        self.complaint_at(&self.rows[row + usize::from(self.has_header)], column, what)
    }

    /// A complaint about a cell of the header.
    pub(super) fn complaint_of_header(&self, column: usize, what: impl std::fmt::Display) -> CommandError {
        self.complaint_at(&self.rows[0], column, what)
    }

    fn complaint_at(&self, row: &Row, column: usize, what: impl std::fmt::Display) -> CommandError {
        CommandError::failed(format!("{}, row {}, column {}: {what}", self.path.display(), row.line, column + 1))
    }

    /// A complaint about the file.
    pub(super) fn complaint_of_all(&self, what: impl std::fmt::Display) -> CommandError {
        CommandError::failed(format!("{}: {what}", self.path.display()))
    }

    /// A finite number.
    pub(super) fn number(&self, row: usize, column: usize) -> Result<f64, CommandError> {
        let cell = self.cell(row, column);
        match cell.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            Ok(_) => Err(self.complaint(row, column, format_args!("`{cell}` is not finite"))),
            Err(_) => Err(self.complaint(row, column, format_args!("`{cell}` is no number"))),
        }
    }

    /// The column whose header is one of these words (letters only, lower case).
    pub(super) fn column_named(&self, words: &[&str]) -> Option<usize> {
        self.header()?.iter().position(|cell| words.contains(&plain(cell).as_str()))
    }

    /// The cells of a column, no two alike.
    pub(super) fn ids(&self, column: usize) -> Result<Vec<String>, CommandError> {
        let mut seen = BTreeMap::new();
        for row in 0..self.rows() {
            let id = self.cell(row, column);
            if let Some(before) = seen.insert(id, row) {
                let line = self.rows[before + usize::from(self.has_header)].line;
                return Err(self.complaint(row, column, format_args!("`{id}` stands in row {line} already")));
            }
        }
        Ok((0..self.rows()).map(|row| self.cell(row, column).to_owned()).collect())
    }

    /// One number for each row, with the ids beside them if there is more than one column: the column with one of these words
    /// above it, else the last. A file of one row without header is taken as the numbers themselves.
    pub(super) fn numbers(&self, words: &[&str]) -> Result<(Option<Vec<String>>, Vec<f64>), CommandError> {
        if !self.has_header && self.rows() == 1 && self.columns() > 2 {
            return Ok((None, (0..self.columns()).map(|column| self.number(0, column)).collect::<Result<_, _>>()?));
        }
        let column = self.column_named(words).unwrap_or(self.columns() - 1);
        let numbers = (0..self.rows()).map(|row| self.number(row, column)).collect::<Result<_, _>>()?;
        Ok(((column > 0).then(|| self.ids(0)).transpose()?, numbers))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A sheet of this text.
    pub(crate) fn sheet(text: &str) -> Result<Sheet, CommandError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Sheet::read(file.path())
    }

    fn numbers(text: &str) -> (Option<Vec<String>>, Vec<f64>) {
        sheet(text).unwrap().numbers(&["frequency"]).unwrap()
    }

    #[test]
    fn numbers_are_found_with_and_without_header_and_ids() {
        let ids = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        assert_eq!(numbers("1\n-2.5e-1\n"), (None, vec![1.0, -0.25]));
        assert_eq!(numbers("omega\n1\n2\n"), (None, vec![1.0, 2.0]));
        assert_eq!(numbers("id,omega\na,1\nb,2\n"), (ids(&["a", "b"]), vec![1.0, 2.0]));
        assert_eq!(numbers("a, 1\r\n\r\nb, 2\r\n"), (ids(&["a", "b"]), vec![1.0, 2.0]));
        assert_eq!(numbers("rep,Frequency,skill\na,1,0.5\nb,2,0.6\n"), (ids(&["a", "b"]), vec![1.0, 2.0]));
        assert_eq!(numbers("frequency,skill\n1,0.5\n2,0.6\n"), (None, vec![1.0, 2.0]));
        assert_eq!(numbers("1,2,3,4"), (None, vec![1.0, 2.0, 3.0, 4.0]));
        assert_eq!(numbers("\u{feff}1\n2\n"), (None, vec![1.0, 2.0]));
    }

    #[test]
    fn complaints_name_row_and_column() {
        let complaint = |text: &str| match sheet(text) {
            Ok(sheet) => sheet.numbers(&["frequency"]).unwrap_err().sentence,
            Err(error) => error.sentence,
        };
        for (text, expected) in [
            ("id,omega\na,1\nb,x\n", ", row 3, column 2: `x` is no number"),
            ("1\n\n\ninf\n", ", row 4, column 1: `inf` is not finite"),
            ("a,1\na,2\n", ", row 2, column 1: `a` stands in row 1 already"),
            ("1\n2,3\n", ", row 2 has 2 columns, the rows before it have 1"),
            ("", " is empty"),
            ("\u{feff}id,é\n\u{e9},1\n\n\u{e9},2\n", ", row 4, column 1: `é` stands in row 2 already"),
        ] {
            assert!(complaint(text).ends_with(expected), "{}", complaint(text));
        }
    }
}
