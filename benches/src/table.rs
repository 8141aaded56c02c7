//! Tables for a terminal: the first column to the left, the others to the right.

/// A table with its header.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(header: &[&str]) -> Self {
        Table { rows: vec![header.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row; cells that lack are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width_of = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width_of(column).unwrap_or(0)).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, width) in widths.iter().enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                let padding = " ".repeat(width - cell.chars().count());
                let parts = if column == 0 { [cell, &padding, ""] } else { ["  ", &padding, cell] };
                line.extend(parts);
            }
            writeln!(formatter, "{}", line.trim_end())?;
            if number == 0 {
                writeln!(formatter, "{}", "─".repeat(widths.iter().sum::<usize>() + 2 * (columns - 1)))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["subject", "wall s", "verdict"]);
        table.row(["loop".into(), "≥ 0.70".into()]);
        table.row(["replay".into(), "12".into(), "pass".into()]);
        let expected =
            "subject  wall s  verdict\n────────────────────────\nloop     ≥ 0.70\nreplay       12     pass\n";
        assert_eq!(table.to_string(), expected);
    }
}
