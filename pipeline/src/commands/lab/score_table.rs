//! The scores of leads and reps in a CSV file: a matrix, or a row for each pair.

use std::collections::BTreeMap;

use super::sheet::Sheet;
use crate::commands::CommandError;

/// How a file of scores is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A row for each lead, a column for each rep, behind a column of ids or not.
    Matrix {
        /// Whether the first column holds ids.
        has_ids: bool,
    },
    /// Rows of lead, rep and score.
    Pairs {
        /// Which column is which.
        columns: [usize; 3],
    },
    /// Neither.
    Unknown,
}

impl Shape {
    /// The shape of the scores. Ids that are numbers make a header that looks like scores: it is one if there is a row too many.
    pub(super) fn of(leads: &Sheet, reps: &Sheet, scores: &mut Sheet) -> Self {
        let named =
            [&["lead", "leadid"][..], &["rep", "repid"], &["score", "value"]].map(|words| scores.column_named(words));
        if let ([Some(lead), Some(rep), Some(score)], 3) = (named, scores.columns()) {
            return Shape::Pairs { columns: [lead, rep, score] };
        }
        let has_ids = scores.columns() == reps.rows() + 1;
        if has_ids || scores.columns() == reps.rows() {
            if scores.header().is_none() && scores.rows() == leads.rows() + 1 {
                scores.set_header();
            }
            if scores.rows() == leads.rows() {
                return Shape::Matrix { has_ids };
            }
        }
        if scores.columns() == 3 { Shape::Pairs { columns: [0, 1, 2] } } else { Shape::Unknown }
    }
}

/// The scores by lead and rep.
pub(super) struct ScoreTable {
    reps: usize,
    scores: Vec<Option<f64>>,
}

impl ScoreTable {
    /// What a pair is worth; `None` if it is forbidden.
    pub(super) fn score(&self, lead: usize, rep: usize) -> Option<f64> {
        self.scores[lead * self.reps + rep]
    }

    /// Reads the scores of these leads and reps.
    pub(super) fn read(sheet: &Sheet, shape: Shape, leads: &[String], reps: &[String]) -> Result<Self, CommandError> {
        let mut table = ScoreTable { reps: reps.len(), scores: vec![None; leads.len() * reps.len()] };
        match shape {
            Shape::Matrix { has_ids } => table.read_matrix(sheet, has_ids, leads, reps)?,
            Shape::Pairs { columns } => table.read_pairs(sheet, columns, leads, reps)?,
            Shape::Unknown => {
                let (rows, columns, leads, reps) = (sheet.rows(), sheet.columns(), leads.len(), reps.len());
                let what = format!("{rows} rows of {columns} columns do not fit {leads} leads and {reps} reps");
                return Err(sheet.complaint_of_all(what));
            }
        }
        Ok(table)
    }

    fn read_matrix(
        &mut self,
        sheet: &Sheet,
        has_ids: bool,
        leads: &[String],
        reps: &[String],
    ) -> Result<(), CommandError> {
        let first = usize::from(has_ids);
        let lead_ids: Option<Vec<&str>> = has_ids.then(|| (0..sheet.rows()).map(|row| sheet.cell(row, 0)).collect());
        let rep_ids = sheet.header().map(|header| header[first..].iter().map(String::as_str).collect::<Vec<_>>());
        let unknown_lead = |row: usize, id: &str| sheet.complaint(row, 0, format_args!("`{id}` is none of the leads"));
        let unknown_rep = |column: usize, id: &str| {
            sheet.complaint_of_header(first + column, format_args!("`{id}` is none of the reps"))
        };
        let lead_places = joined(leads, lead_ids, unknown_lead)?;
        let rep_places = joined(reps, rep_ids, unknown_rep)?;
        for (row, lead) in lead_places.iter().enumerate() {
            for (column, rep) in rep_places.iter().enumerate() {
                self.scores[lead * self.reps + rep] = score(sheet, row, first + column)?;
            }
        }
        Ok(())
    }

    fn read_pairs(
        &mut self,
        sheet: &Sheet,
        columns: [usize; 3],
        leads: &[String],
        reps: &[String],
    ) -> Result<(), CommandError> {
        let (leads, reps) = (places(leads), places(reps));
        let mut is_given = vec![false; self.scores.len()];
        for row in 0..sheet.rows() {
            let place = |places: &BTreeMap<&str, usize>, column: usize, what: &str| {
                let id = sheet.cell(row, column);
                let unknown = || sheet.complaint(row, column, format_args!("`{id}` is none of the {what}"));
                places.get(id).copied().ok_or_else(unknown)
            };
            let pair = place(&leads, columns[0], "leads")? * self.reps + place(&reps, columns[1], "reps")?;
            if std::mem::replace(&mut is_given[pair], true) {
                return Err(sheet.complaint(row, columns[0], "the pair stands above already"));
            }
            self.scores[pair] = score(sheet, row, columns[2])?;
        }
        Ok(())
    }
}

/// A score; none for an empty cell, `nan` or an infinite number.
fn score(sheet: &Sheet, row: usize, column: usize) -> Result<Option<f64>, CommandError> {
    let cell = sheet.cell(row, column);
    match cell.parse::<f64>() {
        _ if cell.is_empty() => Ok(None),
        Ok(score) => Ok(score.is_finite().then_some(score)),
        Err(_) => Err(sheet.complaint(row, column, format_args!("`{cell}` is no number"))),
    }
}

fn places(ids: &[String]) -> BTreeMap<&str, usize> {
    ids.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect()
}

/// The place of each of the `given` ids among the `known`: by id if one of them is known (then all have to be), else in order.
/// Row numbers from 0 or 1 are an order, unless they all are ids.
fn joined<E>(known: &[String], given: Option<Vec<&str>>, unknown: impl Fn(usize, &str) -> E) -> Result<Vec<usize>, E> {
    let in_order = (0..known.len()).collect();
    let Some(given) = given else { return Ok(in_order) };
    let places = places(known);
    let found: Vec<Option<usize>> = given.iter().map(|id| places.get(id).copied()).collect();
    let mut seen = vec![false; known.len()];
    let is_permutation =
        found.iter().all(|place| place.is_some_and(|place| !std::mem::replace(&mut seen[place], true)));
    let counts_from = |first: usize| given.iter().enumerate().all(|(row, id)| id.parse() == Ok(row + first));
    if is_permutation {
        return Ok(found.into_iter().flatten().collect());
    }
    if found.iter().all(Option::is_none) || counts_from(0) || counts_from(1) {
        return Ok(in_order);
    }
    let mut seen = vec![false; known.len()];
    let wrong = found.iter().position(|place| place.is_none_or(|place| std::mem::replace(&mut seen[place], true)));
    let row = wrong.unwrap_or(0);
    Err(unknown(row, given[row]))
}
