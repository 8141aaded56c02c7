//! The functions that views of date-relative columns need.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Date32Array};
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use chrono::{Datelike, TimeZone, Utc};
use chrono_tz::Tz;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, TypeSignature, Volatility};

fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// The day 1970-01-01 in chrono's count of days from the common era.
const UNIX_EPOCH_FROM_COMMON_ERA_DAYS: i32 = 719_163;

fn local_day(time_ms: i64, zone: Tz) -> Option<i32> {
    let time = Utc.timestamp_millis_opt(time_ms).single()?;
    Some(time.with_timezone(&zone).date_naive().num_days_from_ce() - UNIX_EPOCH_FROM_COMMON_ERA_DAYS)
}

fn local_dates(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let [times, zones] = arrays.as_slice() else { return exec_err!("local_date takes a time and a zone") };
    let (times, zones) = (times.as_primitive::<TimestampMillisecondType>(), zones.as_string::<i32>());
    let mut last: (&str, Tz) = ("", Tz::UTC);
    let dates: Date32Array = (0..times.len())
        .map(|row| {
            if times.is_null(row) {
                return None;
            }
            let name = if zones.is_null(row) { "" } else { zones.value(row) };
            if last.0 != name {
                last = (name, name.parse().unwrap_or(Tz::UTC));
            }
            local_day(times.value(row), last.1)
        })
        .collect();
    Ok(ColumnarValue::Array(Arc::new(dates)))
}

/// `local_date(timestamptz, zone text) -> date`: the date there. A zone that is null or unknown is UTC.
pub fn local_date() -> ScalarUDF {
    let signature = Signature::new(TypeSignature::Exact(vec![timestamp_type(), DataType::Utf8]), Volatility::Immutable);
    SimpleScalarUDF::new_with_signature("local_date", signature, DataType::Date32, Arc::new(local_dates)).into()
}

/// `queried_epoch() -> timestamptz`: the epoch of the answer.
pub fn queried_epoch(epoch_ms: i64) -> ScalarUDF {
    let run = move |_: &[ColumnarValue]| -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::TimestampMillisecond(Some(epoch_ms), Some("UTC".into()))))
    };
    let signature = Signature::nullary(Volatility::Stable);
    SimpleScalarUDF::new_with_signature("queried_epoch", signature, timestamp_type(), Arc::new(run)).into()
}
