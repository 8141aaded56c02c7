//! Answers as text: an aligned table for people, CSV and JSON for programs.

use std::io::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Schema, TimeUnit, TimestampMillisecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value};

use crate::error::SqlError;
use crate::session::QueryResult;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns with a line that counts the rows.
    Table,
    /// RFC 4180 with a header; null is empty.
    Csv,
    /// One array of objects, one object a line.
    Json,
}

/// A cell as JSON: numbers as numbers, times as RFC 3339 UTC, dates as `YYYY-MM-DD`, bytes as base64.
pub fn json_value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Float64 => {
            let number = array.as_primitive::<Float64Type>().value(row);
            serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)
        }
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::Binary => {
            base64::engine::general_purpose::STANDARD.encode(array.as_binary::<i32>().value(row)).into()
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            let time = DateTime::from_timestamp_millis(array.as_primitive::<TimestampMillisecondType>().value(row));
            time.map_or(Value::Null, |time| time.to_rfc3339_opts(SecondsFormat::Millis, true).into())
        }
        DataType::Timestamp(..) => {
            let milliseconds = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
            let cast = arrow::compute::cast(&array.slice(row, 1), &milliseconds);
            cast.map_or(Value::Null, |cast| json_value(&cast, 0))
        }
        DataType::Date32 => {
            let day = i64::from(array.as_primitive::<Date32Type>().value(row));
            let time = DateTime::from_timestamp(day * 86_400, 0);
            time.map_or(Value::Null, |time| time.format("%Y-%m-%d").to_string().into())
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            Value::Array((0..items.len()).map(|item| json_value(&items, item)).collect())
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            fields.iter().zip(columns).map(|(field, column)| (field.name().clone(), json_value(column, row))).collect()
        }
        // Every other type has a plain text form: integers of all widths, decimals, intervals.
        _ => {
            let text = display(array, row);
            match text.parse::<serde_json::Number>() {
                Ok(number) if array.data_type().is_numeric() => Value::Number(number),
                _ => text.into(),
            }
        }
    }
}

fn display(array: &dyn Array, row: usize) -> String {
    ArrayFormatter::try_new(array, &FormatOptions::default())
        .map_or_else(|error| error.to_string(), |cell| cell.value(row).to_string())
}

/// A cell as text: as in JSON without quotes; null is `None`.
fn text_value(array: &dyn Array, row: usize) -> Option<String> {
    match json_value(array, row) {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// A row as a JSON object, by the columns' names.
pub fn json_row(schema: &Schema, batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let columns = schema.fields().iter().zip(batch.columns());
    columns.map(|(field, column)| (field.name().clone(), json_value(column.as_ref(), row))).collect()
}

/// Writes an answer.
///
/// # Errors
/// If writing fails.
pub fn write(format: Format, result: &QueryResult, out: &mut dyn Write) -> Result<(), SqlError> {
    match format {
        Format::Table => write_table(result, out),
        Format::Csv => write_csv(result, out),
        Format::Json => write_json(result, out),
    }
}

fn write_json(result: &QueryResult, out: &mut dyn Write) -> Result<(), SqlError> {
    let mut separator = "[";
    for batch in &result.batches {
        for row in 0..batch.num_rows() {
            let mut object = String::new();
            for (field, column) in result.schema.fields().iter().zip(batch.columns()) {
                object.push(if object.is_empty() { '{' } else { ',' });
                object.push_str(&Value::from(field.name().as_str()).to_string());
                object.push(':');
                object.push_str(&json_value(column, row).to_string());
            }
            write!(out, "{separator}{object}}}")?;
            separator = ",\n ";
        }
    }
    writeln!(out, "{}", if separator == "[" { "[]" } else { "]" })?;
    Ok(())
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn write_csv(result: &QueryResult, out: &mut dyn Write) -> Result<(), SqlError> {
    let header: Vec<String> = result.schema.fields().iter().map(|field| csv_field(field.name())).collect();
    write!(out, "{}\r\n", header.join(","))?;
    for batch in &result.batches {
        for row in 0..batch.num_rows() {
            let cells = batch
                .columns()
                .iter()
                .map(|column| text_value(column, row).as_deref().map_or(String::new(), csv_field));
            write!(out, "{}\r\n", cells.collect::<Vec<_>>().join(","))?;
        }
    }
    Ok(())
}

fn write_table(result: &QueryResult, out: &mut dyn Write) -> Result<(), SqlError> {
    let fields = result.schema.fields();
    let mut rows: Vec<Vec<String>> = vec![fields.iter().map(|field| field.name().clone()).collect()];
    for batch in &result.batches {
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|column| text_value(column, row).unwrap_or_default()).collect());
        }
    }
    let width_of = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..fields.len()).map(width_of).collect();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).zip(fields).map(|((cell, width), field)| {
            let right = number > 0 && field.data_type().is_numeric();
            if right { format!(" {cell:>width$} ") } else { format!(" {cell:<width$} ") }
        });
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("|").trim_end())?;
        if number == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
            writeln!(out, "{}", rules.join("+"))?;
        }
    }
    let count = rows.len() - 1;
    writeln!(out, "({count} {})", if count == 1 { "row" } else { "rows" })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMillisecondArray,
    };

    use super::*;

    fn written(format: Format, columns: Vec<(&str, ArrayRef)>) -> String {
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut out = Vec::new();
        write(format, &QueryResult { schema: batch.schema(), batches: vec![batch] }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_has_every_type() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("i", Arc::new(Int64Array::from(vec![Some(i64::MAX), None]))),
            ("d", Arc::new(Float64Array::from(vec![3.0, f64::NAN]))),
            ("b", Arc::new(BooleanArray::from(vec![true, false]))),
            ("t", Arc::new(TimestampMillisecondArray::from(vec![1_771_254_245_120, 0]).with_timezone("UTC"))),
            ("day", Arc::new(Date32Array::from(vec![20_500, -1]))),
            ("s", Arc::new(StringArray::from(vec!["a\"b", ""]))),
            ("x", Arc::new(BinaryArray::from_vec(vec![b"\xff\x00", b""]))),
        ];
        let expected = concat!(
            r#"[{"i":9223372036854775807,"d":3.0,"b":true,"t":"2026-02-16T15:04:05.120Z","day":"2026-02-16","s":"a\"b","x":"/wA="},"#,
            "\n ",
            r#"{"i":null,"d":null,"b":false,"t":"1970-01-01T00:00:00.000Z","day":"1969-12-31","s":"","x":""}]"#,
            "\n"
        );
        assert_eq!(written(Format::Json, columns), expected);
        assert_eq!(written(Format::Json, vec![("i", Arc::new(Int64Array::from(Vec::<i64>::new())) as _)]), "[]\n");
    }

    #[test]
    fn csv_quotes_and_tables_align() {
        let columns = || -> Vec<(&str, ArrayRef)> {
            vec![
                ("name", Arc::new(StringArray::from(vec![Some("a,b"), None]))),
                ("n", Arc::new(Int64Array::from(vec![1, 100]))),
            ]
        };
        assert_eq!(written(Format::Csv, columns()), "name,n\r\n\"a,b\",1\r\n,100\r\n");
        assert_eq!(written(Format::Table, columns()), " name | n\n------+-----\n a,b  |   1\n      | 100\n(2 rows)\n");
    }
}
