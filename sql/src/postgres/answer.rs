//! Answers on the wire: rows, epochs and errors.

use std::sync::Arc;

use datafusion_postgres::arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch};
use datafusion_postgres::pgwire;
use futures::{StreamExt, stream};
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo, QueryResponse};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::DataRow;
use pgwire::messages::startup::ParameterStatus;

use crate::engine::Answer;
use crate::error::SqlError;

/// The parameter status that names an answer's epoch.
pub(crate) const EPOCH_PARAMETER: &str = "dealerflow.epoch";

/// An error as clients know it.
pub(crate) fn wire_error(error: &SqlError) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), error.sqlstate().to_owned(), error.to_string())))
}

/// Says of which epoch the next rows are.
pub(crate) fn epoch_status(epoch: i64) -> PgWireBackendMessage {
    PgWireBackendMessage::ParameterStatus(ParameterStatus::new(EPOCH_PARAMETER.to_owned(), epoch.to_string()))
}

/// The rows of an answer, encoded as they are read.
pub(crate) fn rows(answer: Answer, format: &Format, tag: &str) -> PgWireResult<QueryResponse> {
    let fields = Arc::new(arrow_schema_to_pg_fields(&answer.schema, format, None)?);
    let own = Arc::clone(&fields);
    let batches = stream::unfold(answer, |mut answer| async move { answer.next().await.map(|next| (next, answer)) });
    let rows = batches.flat_map(move |batch| {
        let rows: Box<dyn Iterator<Item = PgWireResult<DataRow>> + Send + Sync> = match batch {
            Ok(batch) => encode_recordbatch(Arc::clone(&own), batch),
            Err(error) => Box::new(std::iter::once(Err(wire_error(&error)))),
        };
        stream::iter(rows)
    });
    let mut response = QueryResponse::new(fields, rows);
    response.set_command_tag(tag);
    Ok(response)
}

/// The column of a setting that is shown.
pub(crate) fn setting_fields(name: &str) -> Vec<FieldInfo> {
    vec![FieldInfo::new(name.to_owned(), None, None, Type::TEXT, FieldFormat::Text)]
}

/// One row with one text.
pub(crate) fn setting(name: &str, value: &str) -> PgWireResult<QueryResponse> {
    let fields = Arc::new(setting_fields(name));
    let mut encoder = DataRowEncoder::new(Arc::clone(&fields));
    encoder.encode_field(&Some(value))?;
    let row = encoder.take_row();
    let mut response = QueryResponse::new(fields, stream::once(async move { Ok(row) }));
    response.set_command_tag("SHOW");
    Ok(response)
}
