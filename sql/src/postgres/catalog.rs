//! PostgreSQL's own catalog over ours, with the comments of tables and columns.
//!
//! The numbers of objects come from `pg_class`; what is said about them is one list, from which `pg_description`, `obj_description` and
//! `col_description` answer.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int32Type};
use async_trait::async_trait;
use datafusion::catalog::SchemaProvider;
use datafusion::common::{Result, exec_err};
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::SessionContext;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::setup_pg_catalog;

use crate::catalog::CATALOG;
use crate::definition::TableDefinition;

/// The number of `pg_class` itself, which every description of a table or column refers to.
const PG_CLASS: i32 = 1_259;

/// A table's number, and 0 or a column's number.
type Place = (i32, i32);

/// Registers the catalog.
pub(crate) async fn register_pg_catalog(context: &SessionContext, definitions: &[TableDefinition]) -> Result<()> {
    setup_pg_catalog(context, CATALOG, EmptyContextProvider).map_err(|error| *error)?;
    let comments = Arc::new(comments(context, definitions).await?);
    context.register_udf(Description::function("obj_description", false, &comments));
    context.register_udf(Description::function("col_description", true, &comments));
    let catalog = context.catalog(CATALOG).ok_or_else(|| DataFusionError::Internal("no catalog".to_owned()))?;
    let inner = catalog.schema("pg_catalog").ok_or_else(|| DataFusionError::Internal("no pg_catalog".to_owned()))?;
    let descriptions = Arc::new(description_table(&comments)?);
    catalog.register_schema("pg_catalog", Arc::new(Described { inner, descriptions }))?;
    Ok(())
}

/// What is said of each table and column, in schemas `public` and `history`.
async fn comments(context: &SessionContext, definitions: &[TableDefinition]) -> Result<HashMap<Place, String>> {
    let sql = "select c.oid, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
               where n.nspname in ('public', 'history')";
    let batches = context.sql(sql).await?.collect().await?;
    let mut comments = HashMap::new();
    for batch in &batches {
        let names = arrow::compute::cast(batch.column(1), &DataType::Utf8)?;
        let numbers = arrow::compute::cast(batch.column(0), &DataType::Int32)?;
        let (numbers, names) = (numbers.as_primitive::<Int32Type>(), names.as_string::<i32>());
        for row in 0..batch.num_rows() {
            let Some(definition) = definitions.iter().find(|table| table.name == names.value(row)) else { continue };
            let number = numbers.value(row);
            comments.insert((number, 0), definition.comment.clone());
            for (place, column) in (1..).zip(&definition.columns) {
                comments.insert((number, place), column.comment.clone());
            }
        }
    }
    Ok(comments)
}

fn description_table(comments: &HashMap<Place, String>) -> Result<MemTable> {
    let mut rows: Vec<(&Place, &String)> = comments.iter().collect();
    rows.sort();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("objoid", Arc::new(rows.iter().map(|((table, _), _)| *table).collect::<Int32Array>())),
        ("classoid", Arc::new(Int32Array::from(vec![PG_CLASS; rows.len()]))),
        ("objsubid", Arc::new(rows.iter().map(|((_, column), _)| *column).collect::<Int32Array>())),
        ("description", Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, comment)| comment)))),
    ];
    let batch = RecordBatch::try_from_iter(columns)?;
    MemTable::try_new(batch.schema(), vec![vec![batch]])
}

/// The catalog's schema with our descriptions.
#[derive(Debug)]
struct Described {
    inner: Arc<dyn SchemaProvider>,
    descriptions: Arc<MemTable>,
}

#[async_trait]
impl SchemaProvider for Described {
    fn table_names(&self) -> Vec<String> {
        self.inner.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if name == "pg_description" {
            return Ok(Some(Arc::clone(&self.descriptions) as Arc<dyn TableProvider>));
        }
        self.inner.table(name).await
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name)
    }
}

/// `obj_description(table, catalog)` and `col_description(table, column)`.
#[derive(Debug)]
struct Description {
    name: &'static str,
    of_column: bool,
    comments: Arc<HashMap<Place, String>>,
    signature: Signature,
}

impl Description {
    fn function(name: &'static str, of_column: bool, comments: &Arc<HashMap<Place, String>>) -> ScalarUDF {
        let signature = Signature::variadic_any(Volatility::Stable);
        ScalarUDF::new_from_impl(Description { name, of_column, comments: Arc::clone(comments), signature })
    }
}

impl PartialEq for Description {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Description {}

impl std::hash::Hash for Description {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Description {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some(tables) = arrays.first() else { return exec_err!("{} takes a table's number", self.name) };
        let tables = arrow::compute::cast(tables, &DataType::Int32)?;
        let columns = match arrays.get(1).filter(|_| self.of_column) {
            Some(columns) => arrow::compute::cast(columns, &DataType::Int32)?,
            None => Arc::new(Int32Array::from(vec![0; tables.len()])),
        };
        let (tables, columns) = (tables.as_primitive::<Int32Type>(), columns.as_primitive::<Int32Type>());
        let described: StringArray = (0..tables.len())
            .map(|row| {
                let is_null = tables.is_null(row) || columns.is_null(row);
                let place = (!is_null).then(|| (tables.value(row), columns.value(row)))?;
                self.comments.get(&place).map(String::as_str)
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(described)))
    }
}
