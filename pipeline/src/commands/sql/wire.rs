//! A client of a running pipeline: asks over the wire, and gives answers as the formats take them.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{Field, Schema};
use chrono::{DateTime, NaiveDate};
use sql::{QueryResult, SqlError};
use tokio::runtime::Runtime;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A connection to a running pipeline.
pub(super) struct WireClient {
    runtime: Runtime,
    client: Client,
}

fn failed(error: &tokio_postgres::Error) -> SqlError {
    if let Some(told) = error.as_db_error() {
        return SqlError::Query { message: told.message().to_owned(), sqlstate: "XX000" };
    }
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        message = format!("{message}: {source}");
        cause = source.source();
    }
    SqlError::Storage(message)
}

impl WireClient {
    /// Connects to what a URL names.
    pub(super) fn connect(url: &str) -> Result<Self, SqlError> {
        let parameters = url.parse::<Config>().map_err(|error| SqlError::Setting {
            setting: "--url".to_owned(),
            // A URL may hold a secret.
            value: "that URL".to_owned(),
            remedy: format!("it is postgres://USER:TOKEN@HOST:PORT/dealerflow ({})", failed(&error)),
        })?;
        Self::connect_to(&parameters)
    }

    /// Connects.
    pub(super) fn connect_to(parameters: &Config) -> Result<Self, SqlError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let mut parameters = parameters.clone();
        parameters.connect_timeout(CONNECT_MAX).application_name("dealerflow sql");
        let connected = runtime.block_on(parameters.connect(NoTls));
        let (client, connection) = connected.map_err(|error| {
            let hint = "start it with `dealerflow run`, or name it with --url";
            SqlError::Storage(format!("the pipeline does not answer ({}): {hint}", failed(&error)))
        })?;
        runtime.spawn(async move {
            // The client's own calls tell when the connection ends.
            let _ = connection.await;
        });
        Ok(WireClient { runtime, client })
    }

    /// Asks one statement. The types come from preparing it, the values as text.
    pub(super) fn query(&self, query: &str) -> Result<QueryResult, SqlError> {
        let (columns, messages) = self.runtime.block_on(async {
            let prepared = self.client.prepare(query).await.map_err(|error| failed(&error))?;
            let columns: Vec<(String, Type)> =
                prepared.columns().iter().map(|column| (column.name().to_owned(), column.type_().clone())).collect();
            let messages = self.client.simple_query(query).await.map_err(|error| failed(&error))?;
            Ok::<_, SqlError>((columns, messages))
        })?;
        let rows: Vec<_> = messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .collect();
        let mut fields = Vec::with_capacity(columns.len());
        let mut arrays = Vec::with_capacity(columns.len());
        for (place, (name, column_type)) in columns.iter().enumerate() {
            let texts: Vec<Option<&str>> = rows.iter().map(|row| row.get(place)).collect();
            let array = array_of(column_type, &texts);
            fields.push(Field::new(name, array.data_type().clone(), true));
            arrays.push(array);
        }
        let schema = Arc::new(Schema::new(fields));
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options)
            .map_err(|error| SqlError::Internal(error.to_string()))?;
        Ok(QueryResult { schema, batches: vec![batch] })
    }
}

/// A column from its texts; a text that its type does not explain makes the column one of texts.
fn array_of(column_type: &Type, texts: &[Option<&str>]) -> ArrayRef {
    typed(column_type, texts).unwrap_or_else(|| Arc::new(StringArray::from(texts.to_vec())))
}

fn typed(column_type: &Type, texts: &[Option<&str>]) -> Option<ArrayRef> {
    /// Reads every text that is there.
    fn read<T>(texts: &[Option<&str>], one: impl Fn(&str) -> Option<T>) -> Option<Vec<Option<T>>> {
        texts.iter().map(|text| text.map(&one).map_or(Some(None), |value| value.map(Some))).collect()
    }
    Some(match *column_type {
        Type::BOOL => Arc::new(BooleanArray::from(read(texts, |text| match text {
            "t" => Some(true),
            "f" => Some(false),
            _ => None,
        })?)),
        Type::INT2 | Type::INT4 | Type::INT8 => Arc::new(Int64Array::from(read(texts, |text| text.parse().ok())?)),
        Type::FLOAT4 | Type::FLOAT8 => Arc::new(Float64Array::from(read(texts, |text| text.parse().ok())?)),
        Type::DATE => {
            let day = |text: &str| {
                let date = text.parse::<NaiveDate>().ok()?;
                i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
            };
            Arc::new(Date32Array::from(read(texts, day)?))
        }
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let times = read(texts, time_of)?;
            Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))
        }
        Type::BYTEA => {
            let bytes = read(texts, |text| {
                let digits = text.strip_prefix("\\x")?;
                let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
                (0..digits.len()).step_by(2).map(pair).collect::<Option<Vec<u8>>>()
            })?;
            Arc::new(BinaryArray::from_iter(bytes))
        }
        _ => return None,
    })
}

/// A time as PostgreSQL writes it: `2026-02-16 15:04:05.12+00`; without a zone it is UTC.
fn time_of(text: &str) -> Option<i64> {
    let has_zone = text.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
    let text = if has_zone { text.to_owned() } else { format!("{text}+00") };
    let time = DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f%#z").ok()?;
    Some(time.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use sql::format::json_value;

    use super::*;

    #[test]
    fn texts_become_what_their_types_say() {
        let check = |column_type: Type, text: &str, expect: &str| {
            let array = array_of(&column_type, &[Some(text), None]);
            assert_eq!(json_value(&array, 0).to_string(), expect);
            assert_eq!(json_value(&array, 1).to_string(), "null");
        };
        check(Type::INT8, "-5", "-5");
        check(Type::FLOAT8, "0.1", "0.1");
        check(Type::BOOL, "t", "true");
        check(Type::DATE, "2026-02-16", "\"2026-02-16\"");
        check(Type::TIMESTAMPTZ, "2026-02-16 15:04:05.12+00", "\"2026-02-16T15:04:05.120Z\"");
        check(Type::TIMESTAMPTZ, "2026-02-16 15:04:05+01:00", "\"2026-02-16T14:04:05.000Z\"");
        check(Type::TIMESTAMP, "2026-02-16 15:04:05", "\"2026-02-16T15:04:05.000Z\"");
        check(Type::BYTEA, "\\xff00", "\"/wA=\"");
        check(Type::TEXT, "x", "\"x\"");
        check(Type::INT8, "many", "\"many\"");
    }
}
