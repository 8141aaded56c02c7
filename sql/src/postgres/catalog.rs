//! PostgreSQL's own catalog over ours, with the comments of tables and columns.
//!
//! The numbers of objects come from `pg_class`; what is said about them is one list, from which `pg_description`, `obj_description` and
//! `col_description` answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, StringArray};
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
    let objects = objects(context).await?;
    context.register_udf(Visible::function(&objects));
    let comments = Arc::new(comments(&objects, definitions));
    context.register_udf(Description::function("obj_description", false, &comments));
    context.register_udf(Description::function("col_description", true, &comments));
    let catalog = context.catalog(CATALOG).ok_or_else(|| DataFusionError::Internal("no catalog".to_owned()))?;
    let inner = catalog.schema("pg_catalog").ok_or_else(|| DataFusionError::Internal("no pg_catalog".to_owned()))?;
    let descriptions = Arc::new(description_table(&comments)?);
    catalog.register_schema("pg_catalog", Arc::new(Described { inner, descriptions }))?;
    Ok(())
}

/// A table or view of the catalog.
struct Object {
    number: i32,
    schema: String,
    name: String,
}

async fn objects(context: &SessionContext) -> Result<Vec<Object>> {
    let sql = "select c.oid, n.nspname, c.relname from pg_catalog.pg_class c \
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace";
    let mut objects = Vec::new();
    for batch in context.sql(sql).await?.collect().await? {
        let numbers = arrow::compute::cast(batch.column(0), &DataType::Int32)?;
        let schemas = arrow::compute::cast(batch.column(1), &DataType::Utf8)?;
        let names = arrow::compute::cast(batch.column(2), &DataType::Utf8)?;
        let (numbers, schemas, names) =
            (numbers.as_primitive::<Int32Type>(), schemas.as_string::<i32>(), names.as_string::<i32>());
        objects.extend((0..batch.num_rows()).map(|row| Object {
            number: numbers.value(row),
            schema: schemas.value(row).to_owned(),
            name: names.value(row).to_owned(),
        }));
    }
    Ok(objects)
}

/// What is said of each table and column, in schemas `public` and `history`.
fn comments(objects: &[Object], definitions: &[TableDefinition]) -> HashMap<Place, String> {
    let mut comments = HashMap::new();
    for object in objects.iter().filter(|object| matches!(object.schema.as_str(), "public" | "history")) {
        let Some(definition) = definitions.iter().find(|table| table.name == object.name) else { continue };
        // History has the stored columns; its own ones behind them explain themselves.
        let columns = definition.columns.iter().filter(|column| object.schema == "public" || !column.computed);
        comments.insert((object.number, 0), definition.comment.clone());
        for (place, column) in (1..).zip(columns) {
            comments.insert((object.number, place), column.comment.clone());
        }
    }
    comments
}

/// `pg_table_is_visible(table)`: whether a name without a schema finds it. What is made later, a view of a user, is found, too.
#[derive(Debug)]
struct Visible {
    found: BTreeSet<i32>,
    /// The greatest number when the catalog was made.
    newest: i32,
    signature: Signature,
}

impl Visible {
    fn function(objects: &[Object]) -> ScalarUDF {
        let is_found = |object: &&Object| matches!(object.schema.as_str(), "public" | "pg_catalog");
        let found = objects.iter().filter(is_found).map(|object| object.number).collect();
        let newest = objects.iter().map(|object| object.number).max().unwrap_or(0);
        ScalarUDF::new_from_impl(Visible { found, newest, signature: Signature::any(1, Volatility::Stable) })
    }
}

impl PartialEq for Visible {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Visible {}

impl std::hash::Hash for Visible {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Visible {
    fn name(&self) -> &'static str {
        "pg_table_is_visible"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some(numbers) = arrays.first() else { return exec_err!("pg_table_is_visible takes a table's number") };
        let numbers = arrow::compute::cast(numbers, &DataType::Int32)?;
        // Numbers are given in turn.
        let newest = self.newest;
        let is_visible = |number: i32| number > newest || self.found.contains(&number);
        let visible: BooleanArray =
            numbers.as_primitive::<Int32Type>().iter().map(|number| number.map(is_visible)).collect();
        Ok(ColumnarValue::Array(Arc::new(visible)))
    }
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
