//! `COPY … TO STDOUT`: rows as text, CSV or binary.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::{BufMut, BytesMut};
use datafusion_postgres::arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch};
use datafusion_postgres::pgwire;
use futures::{StreamExt, stream};
use pgwire::api::portal::Format;
use pgwire::api::results::{CopyResponse, FieldInfo};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::copy::CopyData;
use pgwire::messages::data::DataRow;

use super::answer::wire_error;
use super::statement::{CopyFormat, CopyOptions};
use crate::engine::Answer;

/// What begins binary data: a signature, no flags, no extension.
const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// How one row is written.
struct Writer {
    format: CopyFormat,
    delimiter: u8,
    null: String,
}

impl Writer {
    fn new(options: &CopyOptions) -> PgWireResult<Self> {
        let standard = if options.format == CopyFormat::Csv { ',' } else { '\t' };
        let delimiter = options.delimiter.unwrap_or(standard);
        let delimiter = u8::try_from(delimiter).ok().filter(u8::is_ascii).filter(|byte| !b"\"\r\n\\".contains(byte));
        let Some(delimiter) = delimiter else {
            let (setting, value) =
                ("the delimiter of COPY".to_owned(), options.delimiter.unwrap_or(standard).to_string());
            let remedy = "it is one ASCII character, and no quote, backslash or line end".to_owned();
            return Err(wire_error(&crate::SqlError::Setting { setting, value, remedy }));
        };
        let standard = if options.format == CopyFormat::Csv { "" } else { "\\N" };
        let null = options.null.clone().unwrap_or_else(|| standard.to_owned());
        Ok(Writer { format: options.format, delimiter, null })
    }

    fn wire_format(&self) -> Format {
        if self.format == CopyFormat::Binary { Format::UnifiedBinary } else { Format::UnifiedText }
    }

    /// One line from a row's cells.
    fn line<'a>(&self, cells: impl Iterator<Item = Option<&'a [u8]>>) -> CopyData {
        let mut line = BytesMut::new();
        for (place, cell) in cells.enumerate() {
            if place > 0 {
                line.put_u8(self.delimiter);
            }
            match cell {
                None => line.put_slice(self.null.as_bytes()),
                Some(cell) if self.format == CopyFormat::Csv => self.csv_cell(cell, &mut line),
                Some(cell) => self.text_cell(cell, &mut line),
            }
        }
        line.put_u8(b'\n');
        CopyData::new(line.freeze())
    }

    fn csv_cell(&self, cell: &[u8], line: &mut BytesMut) {
        let is_special = |byte: &u8| *byte == self.delimiter || b"\"\r\n".contains(byte);
        // A text that reads like null is quoted, so that it stays a text.
        if cell.iter().any(is_special) || cell == self.null.as_bytes() || cell == b"\\." {
            line.put_u8(b'"');
            for byte in cell {
                if *byte == b'"' {
                    line.put_u8(b'"');
                }
                line.put_u8(*byte);
            }
            line.put_u8(b'"');
        } else {
            line.put_slice(cell);
        }
    }

    fn text_cell(&self, cell: &[u8], line: &mut BytesMut) {
        for byte in cell {
            let escaped = match byte {
                b'\\' => Some(b'\\'),
                b'\n' => Some(b'n'),
                b'\r' => Some(b'r'),
                b'\t' => Some(b't'),
                byte if *byte == self.delimiter => Some(*byte),
                _ => None,
            };
            if escaped.is_some() {
                line.put_u8(b'\\');
            }
            line.put_u8(escaped.unwrap_or(*byte));
        }
    }

    /// One row as the wire has it: of each cell its length and bytes.
    fn row(&self, row: &DataRow) -> PgWireResult<CopyData> {
        if self.format == CopyFormat::Binary {
            let mut bytes = BytesMut::with_capacity(row.data.len() + 2);
            bytes.put_i16(row.field_count);
            bytes.put_slice(&row.data);
            return Ok(CopyData::new(bytes.freeze()));
        }
        let mut cells = Vec::with_capacity(row.field_count.max(0) as usize);
        let mut rest: &[u8] = &row.data;
        for _ in 0..row.field_count {
            let torn = || PgWireError::InvalidStartupMessage;
            let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(torn)?;
            let length = i32::from_be_bytes(*length);
            let length_or_null = usize::try_from(length).ok();
            let (cell, behind) = behind.split_at_checked(length_or_null.unwrap_or(0)).ok_or_else(torn)?;
            cells.push(length_or_null.map(|_| cell));
            rest = behind;
        }
        Ok(self.line(cells.into_iter()))
    }
}

/// The data of an answer.
pub(crate) fn copy(answer: Answer, options: &CopyOptions) -> PgWireResult<CopyResponse> {
    let writer = Arc::new(Writer::new(options)?);
    let fields = Arc::new(arrow_schema_to_pg_fields(&answer.schema, &writer.wire_format(), None)?);
    let columns = fields.len();
    let mut header: Vec<PgWireResult<CopyData>> = Vec::new();
    if writer.format == CopyFormat::Binary {
        header.push(Ok(CopyData::new(BINARY_HEADER.into())));
    } else if options.header {
        header.push(Ok(writer.line(fields.iter().map(|field: &FieldInfo| Some(field.name().as_bytes())))));
    }
    let code = i8::from(writer.format == CopyFormat::Binary);
    let batches = stream::unfold(answer, |mut answer| async move { answer.next().await.map(|next| (next, answer)) });
    let rows = batches.flat_map(move |batch: Result<RecordBatch, crate::SqlError>| {
        let rows: Vec<PgWireResult<CopyData>> = match batch {
            Ok(batch) => {
                encode_recordbatch(Arc::clone(&fields), batch).map(|row| row.and_then(|row| writer.row(&row))).collect()
            }
            Err(error) => vec![Err(wire_error(&error))],
        };
        stream::iter(rows)
    });
    Ok(CopyResponse::new(code, columns, stream::iter(header).chain(rows)))
}
