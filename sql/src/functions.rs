//! The functions that views of date-relative columns need.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Date32Array};
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use chrono::{Datelike, TimeZone, Utc};
use chrono_tz::Tz;
use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, SimpleScalarUDF, TypeSignature, Volatility,
};

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

/// What an answer is about, as functions need to know it.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueriedEpoch {
    /// The epoch of the answer, in milliseconds since 1970.
    pub epoch_ms: i64,
}

impl ExtensionOptions for QueriedEpoch {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(*self)
    }

    fn set(&mut self, key: &str, _value: &str) -> Result<()> {
        exec_err!("dealerflow.{key} is told by the answer and cannot be set")
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        let (key, value) = ("dealerflow.epoch".to_owned(), Some(self.epoch_ms.to_string()));
        vec![ConfigEntry { key, value, description: "The epoch of the answer, in milliseconds since 1970." }]
    }
}

impl ConfigExtension for QueriedEpoch {
    const PREFIX: &'static str = "dealerflow";
}

/// A function without arguments that is told by the configuration of the execution, so that a plan may outlive epochs.
#[derive(Debug, PartialEq, Eq, Hash)]
struct EpochFunction {
    name: &'static str,
    signature: Signature,
    return_type: DataType,
}

impl EpochFunction {
    fn function(name: &'static str, return_type: DataType) -> ScalarUDF {
        ScalarUDF::new_from_impl(EpochFunction { name, signature: Signature::nullary(Volatility::Stable), return_type })
    }
}

impl ScalarUDFImpl for EpochFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.return_type.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(queried) = arguments.config_options.extensions.get::<QueriedEpoch>() else {
            return exec_err!("{} is answered within a query alone", self.name);
        };
        let epoch = ScalarValue::Int64(Some(queried.epoch_ms));
        Ok(ColumnarValue::Scalar(epoch.cast_to(&self.return_type)?))
    }
}

/// `queried_epoch() -> timestamptz`: the epoch of the answer as a time.
pub fn queried_epoch() -> ScalarUDF {
    EpochFunction::function("queried_epoch", timestamp_type())
}

/// `dealerflow_epoch() -> bigint`: the epoch of the answer, in milliseconds since 1970.
pub fn dealerflow_epoch() -> ScalarUDF {
    EpochFunction::function("dealerflow_epoch", DataType::Int64)
}
