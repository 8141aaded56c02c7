//! Which keys a query asks for: equalities and lists on the first key columns, as prefixes of keys.

use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Operator};

use super::key::KeyCodec;
use super::table::Rows;
use crate::access::{Access, Dealers};

/// Prefixes that one scan looks up at most; a longer list is filtered row by row.
const PREFIXES_MAX: usize = 1_024;

/// The one column that a filter restricts to values, and the values. Anything else is not for the index.
pub(crate) fn values_of(filter: &Expr) -> Option<(&str, Vec<ScalarValue>)> {
    match filter {
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::Eq => match (binary.left.as_ref(), binary.right.as_ref()) {
                (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column)) => {
                    Some((&column.name, vec![value.clone()]))
                }
                _ => None,
            },
            Operator::Or => {
                let (left, mut values) = values_of(&binary.left)?;
                let (right, more) = values_of(&binary.right)?;
                values.extend(more);
                (left == right).then_some((left, values))
            }
            _ => None,
        },
        Expr::InList(list) if !list.negated => {
            let Expr::Column(column) = list.expr.as_ref() else { return None };
            let value = |item: &Expr| match item {
                Expr::Literal(value, _) => Some(value.clone()),
                _ => None,
            };
            Some((&column.name, list.list.iter().map(value).collect::<Option<Vec<_>>>()?))
        }
        _ => None,
    }
}

/// The rows that a caller may see and the filters may want: never fewer than they want, never one that the caller may not see.
pub(crate) fn wanted_rows(
    codec: &KeyCodec,
    key_names: &[String],
    filters: &[Expr],
    access: &Access,
) -> Result<Rows, ArrowError> {
    let mut by_column: Vec<Vec<ScalarValue>> = Vec::new();
    for (position, name) in key_names.iter().enumerate() {
        let asked = filters.iter().filter_map(values_of).find(|(column, _)| column == name).map(|(_, values)| values);
        let asked = asked.and_then(|values| {
            let cast = |value: ScalarValue| value.cast_to(codec.data_type(position)).ok();
            // A null equals nothing.
            values.into_iter().filter(|value| !value.is_null()).map(cast).collect::<Option<Vec<_>>>()
        });
        let values = match (position, &access.dealers) {
            (0, Dealers::Only(dealers)) => match asked {
                Some(values) => {
                    let is_seen =
                        |value: &ScalarValue| value.try_as_str().flatten().is_some_and(|dealer| access.sees(dealer));
                    values.into_iter().filter(is_seen).collect()
                }
                None => dealers.iter().map(|dealer| ScalarValue::Utf8(Some(dealer.clone()))).collect(),
            },
            _ => match asked {
                Some(values) => values,
                None => break,
            },
        };
        let so_far: usize = by_column.iter().map(Vec::len).product();
        if position > 0 && so_far.saturating_mul(values.len()) > PREFIXES_MAX {
            break;
        }
        by_column.push(values);
    }
    if by_column.is_empty() {
        let nobody = codec
            .prefix(&[ScalarValue::try_from(codec.data_type(0))
                .map_err(|error| ArrowError::SchemaError(error.to_string()))?])?;
        return Ok(if access.sees_system() { Rows::All } else { Rows::After(nobody) });
    }
    let mut combinations: Vec<Vec<ScalarValue>> = vec![Vec::new()];
    for values in &by_column {
        combinations = combinations
            .iter()
            .flat_map(|values_before| {
                values.iter().map(move |value| values_before.iter().cloned().chain([value.clone()]).collect())
            })
            .collect();
    }
    let mut prefixes = combinations.iter().map(|values| codec.prefix(values)).collect::<Result<Vec<_>, _>>()?;
    // Each row once, however often it was asked for. All prefixes have the same columns, so none begins another.
    prefixes.sort_unstable();
    prefixes.dedup();
    Ok(Rows::Prefixed(prefixes))
}
