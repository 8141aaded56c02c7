//! A CSV file, packed or not, by the names of its columns.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use csv::StringRecord;
use flate2::read::MultiGzDecoder;

use super::RealDataError;

/// One row of a file, with its place for error messages.
pub(super) struct Row<'a> {
    path: &'a Path,
    /// Counted from 1, the header being line 1.
    pub(super) line: u64,
    columns: &'a StringRecord,
    cells: &'a StringRecord,
}

impl Row<'_> {
    /// The cell in `column`, trimmed of white space.
    pub(super) fn text(&self, column: &str) -> Result<&str, RealDataError> {
        let at = self.columns.iter().position(|name| name == column);
        let cell = at.and_then(|at| self.cells.get(at));
        cell.map(str::trim).ok_or_else(|| self.problem(format!("there is no column {column}")))
    }

    /// The cell in `column` as a finite number, `None` if it is empty.
    pub(super) fn number(&self, column: &str) -> Result<Option<f64>, RealDataError> {
        let text = self.text(column)?;
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(self.problem(format!("column {column} holds {text:?}, not a number"))),
        }
    }

    /// An error that names this row.
    pub(super) fn problem(&self, problem: String) -> RealDataError {
        RealDataError::Row { path: self.path.to_path_buf(), line: self.line, problem }
    }
}

/// Gives each row of the file to `visit`.
pub(super) fn for_each_row(
    path: &Path,
    mut visit: impl FnMut(&Row<'_>) -> Result<(), RealDataError>,
) -> Result<(), RealDataError> {
    let failed = |source| RealDataError::Read { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(failed)?;
    let content: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut reader = csv::Reader::from_reader(content);
    let columns = reader.headers().map_err(|error| failed(error.into()))?.clone();
    let mut cells = StringRecord::new();
    while reader.read_record(&mut cells).map_err(|error| failed(error.into()))? {
        let line = cells.position().map_or(0, csv::Position::line);
        visit(&Row { path, line, columns: &columns, cells: &cells })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_found_by_column_and_errors_name_the_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "name,price\n\"a, b\", 1.5\nc,\nd,much\n").unwrap();
        let mut seen = Vec::new();
        let error = for_each_row(file.path(), |row| {
            seen.push((row.line, row.text("name")?.to_owned(), row.number("price")?));
            Ok(())
        })
        .unwrap_err();
        assert_eq!(seen, [(2, "a, b".to_owned(), Some(1.5)), (3, "c".to_owned(), None)]);
        assert!(error.to_string().contains("line 4") && error.to_string().contains("much"), "{error}");
    }
}
