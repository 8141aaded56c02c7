//! Standing queries: asked again at later epochs, they tell what changed of their answer.
//!
//! ```text
//!   answer at e₁ ─▶ rows, encoded and sorted ─┐
//!   answer at e₂ ─▶ rows, encoded and sorted ─┴─ merged ─▶ rows that came, rows that went
//! ```
//! **Contract**: the answer at an epoch, with all changes that were told since, is the answer at the later one, as a multiset of rows.
//! A row that changed is one that went and one that came.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::logical_expr::LogicalPlan;

use super::{Caller, Settings};
use crate::error::SqlError;
use crate::postgres::statement::parse_one;

/// An answer that is held may be so large, encoded, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The column that says of a row whether it came or went.
const CHANGE: &str = "change";

/// What a standing query has to tell.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The epoch up to which it tells.
    pub epoch: i64,
    /// The answer's columns, and `change`: `insert` or `delete`.
    pub rows: RecordBatch,
}

/// A query that is asked again and again.
#[derive(Debug)]
pub struct StandingQuery {
    caller: Caller,
    plan: LogicalPlan,
    converter: RowConverter,
    /// The answer's columns and the change.
    schema: SchemaRef,
    /// The last answer's rows, sorted.
    rows: Vec<OwnedRow>,
}

impl StandingQuery {
    /// Plans a query. Its first answer is all news.
    ///
    /// # Errors
    /// If it is wrong, would change something, or its columns cannot be told apart or compared.
    pub async fn begin(caller: Caller, sql: &str) -> Result<Self, SqlError> {
        let plan = caller.plan(parse_one(sql)?).await?;
        if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::Statement(_)) {
            return Err(refusal("only a query can be followed".to_owned()));
        }
        let mut fields: Vec<Arc<Field>> = plan.schema().fields().iter().cloned().collect();
        for (place, field) in fields.iter().enumerate() {
            if field.name() == CHANGE || fields[..place].iter().any(|other| other.name() == field.name()) {
                let reason = format!("two columns would be called {:?}: give one of them another name", field.name());
                return Err(refusal(reason));
            }
        }
        let sorted = fields.iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let converter =
            RowConverter::new(sorted).map_err(|error| refusal(format!("the answer cannot be followed: {error}")))?;
        fields.push(Arc::new(Field::new(CHANGE, DataType::Utf8, false)));
        // What a plan promises of nulls is of no use here.
        let fields: Vec<Field> = fields.iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        Ok(StandingQuery { caller, plan, converter, schema: Arc::new(Schema::new(fields)), rows: Vec::new() })
    }

    /// Asks again, at the present epoch or the one that `settings` names, and tells what is different.
    ///
    /// # Errors
    /// As [`Caller::execute`]; and if the answer is larger than may be held. What was told before still holds then.
    pub async fn ask(&mut self, settings: &Settings) -> Result<Difference, SqlError> {
        let mut answer = self.caller.execute(self.plan.clone(), settings, None).await?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = answer.next().await {
            let encoded = self.converter.convert_columns(batch?.columns()).map_err(|error| internal(&error))?;
            bytes += encoded.size();
            if bytes > ANSWER_BYTES_MAX {
                let reason =
                    format!("the answer is larger than {ANSWER_BYTES_MAX} bytes: follow less of it, or a table");
                return Err(SqlError::Query { message: reason, sqlstate: "54000" });
            }
            rows.extend(encoded.iter().map(|row| row.owned()));
        }
        rows.sort_unstable();
        let rows = self.difference_to(rows).map_err(|error| internal(&error))?;
        Ok(Difference { epoch: answer.epoch, rows })
    }

    /// Takes on the rows of a new answer; what went and what came.
    fn difference_to(&mut self, rows: Vec<OwnedRow>) -> Result<RecordBatch, ArrowError> {
        let (mut before, mut after) = (self.rows.iter().peekable(), rows.iter().peekable());
        let (mut changed, mut words) = (Vec::new(), Vec::new());
        loop {
            let order = match (before.peek(), after.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(before), Some(after)) => before.cmp(after),
            };
            let (row, word) = match order {
                std::cmp::Ordering::Equal => {
                    before.next();
                    after.next();
                    continue;
                }
                std::cmp::Ordering::Less => (before.next(), "delete"),
                std::cmp::Ordering::Greater => (after.next(), "insert"),
            };
            changed.extend(row.map(OwnedRow::row));
            words.push(word);
        }
        let count = words.len();
        let mut columns: Vec<ArrayRef> = self.converter.convert_rows(changed)?;
        columns.push(Arc::new(StringArray::from(words)));
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        self.rows = rows;
        Ok(batch)
    }
}

fn refusal(message: String) -> SqlError {
    SqlError::Query { message, sqlstate: "0A000" }
}

fn internal(error: &ArrowError) -> SqlError {
    SqlError::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{LIMITS, admin, ask_with, at, engine, viewer};
    use super::*;
    use crate::access::Access;
    use crate::format::json_value;
    use crate::live::tests::{Change, publish};

    /// The rows of an answer, and how often each is in it.
    type Multiset = BTreeMap<String, i64>;

    fn row_text(batch: &RecordBatch, row: usize, columns: usize) -> String {
        let cells: Vec<_> = batch.columns()[..columns].iter().map(|column| json_value(column, row)).collect();
        serde_json::to_string(&cells).unwrap()
    }

    fn apply(answer: &mut Multiset, difference: &Difference) {
        let columns = difference.rows.num_columns() - 1;
        for row in 0..difference.rows.num_rows() {
            let weight = match json_value(difference.rows.column(columns), row).as_str() {
                Some("insert") => 1,
                Some("delete") => -1,
                other => panic!("{other:?}"),
            };
            let count = answer.entry(row_text(&difference.rows, row, columns)).or_default();
            *count += weight;
            assert!(*count >= 0, "a row went that was not there");
        }
        answer.retain(|_, count| *count > 0);
    }

    async fn whole(caller: &Caller, sql: &str, epoch: i64) -> Multiset {
        let batches = caller.query(sql, &at(epoch)).await.unwrap().collect().await.unwrap();
        let mut answer = Multiset::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                *answer.entry(row_text(batch, row, batch.num_columns())).or_default() += 1;
            }
        }
        answer
    }

    #[tokio::test]
    async fn what_was_told_adds_up_to_the_answer() {
        let engine = engine(100, LIMITS);
        for epoch in 1..=40_i64 {
            let car = |number: i64| {
                let dealer = if number % 2 == 0 { "d-1" } else { "d-2" };
                (Some(dealer), format!("c-{}", number % 11), (number % 5 > 0).then_some(number % 3))
            };
            let changes: Vec<Change> = (0..4).map(|step| car(epoch * 7 + step)).collect();
            publish(engine.tables(), epoch, &changes);
        }
        for access in [Access::unrestricted(), viewer(&["d-2"])] {
            for sql in [
                "select * from cars",
                // Rows that are there several times, and nothing but nulls and floats.
                "select price, null as nothing, price / 2.0 half from cars",
                "select dealer_id, count(*) n, sum(price) p from cars group by dealer_id",
                "select a.car_id, b.price from cars a join cars b on a.price = b.price where a.car_id < b.car_id",
                "select cast(queried_epoch() as bigint) e",
                "select count(*) n from cars where false",
                "select car_id from cars where false",
            ] {
                let caller = engine.caller(&access).await.unwrap();
                let mut standing = StandingQuery::begin(caller.clone(), sql).await.unwrap();
                let mut answer = Multiset::new();
                for epoch in [1, 2, 3, 9, 10, 11, 12, 30, 39, 40] {
                    let difference = standing.ask(&at(epoch)).await.unwrap();
                    assert_eq!(difference.epoch, epoch);
                    apply(&mut answer, &difference);
                    assert_eq!(answer, whole(&caller, sql, epoch).await, "{sql} at {epoch}");
                }
                let again = standing.ask(&at(40)).await.unwrap();
                assert_eq!(again.rows.num_rows(), 0, "{sql}: nothing changed");
            }
        }
    }

    #[tokio::test]
    async fn what_cannot_be_followed_is_refused_with_the_way_to_mend_it() {
        let engine = engine(10, LIMITS);
        let caller = admin(&engine).await;
        for (sql, part) in [
            ("select a.price, b.price from cars a join cars b on a.car_id = b.car_id", "give one of them another name"),
            ("select 1 as change", "give one of them another name"),
            ("explain select 1", "only a query can be followed"),
            ("delete from cars", "read"),
            ("select nothing from cars", "nothing"),
        ] {
            let refused = StandingQuery::begin(caller.clone(), sql).await.unwrap_err().to_string();
            assert!(refused.contains(part), "{sql}: {refused}");
        }
        let large = "select repeat('x', 1000) || a.value || '-' || b.value as text from generate_series(1, 300) a cross join generate_series(1, 300) b";
        let mut large = StandingQuery::begin(caller.clone(), large).await.unwrap();
        let refused = large.ask(&Settings::default()).await.unwrap_err().to_string();
        assert!(refused.contains("follow less of it"), "{refused}");
        assert!(ask_with(&caller, "select 1", &Settings::default()).await.is_ok());
    }
}
