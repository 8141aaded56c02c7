//! The catalog: one declaration gives the tables of a replay's folder and of a running pipeline.
//!
//! ```text
//!   versions.<table> ─┬─▶ stored.<table>   the present rows ─▶ public.<table> (its view, if it has one)
//!                     └─▶ history.<table>  every version, with valid_from and valid_to; an archive's rows as they came
//!   system.tables, system.columns: what they mean
//! ```

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{CatalogProvider, MemorySchemaProvider};
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::definition::TableDefinition;
use crate::functions::{QueriedEpoch, dealerflow_epoch, local_date, queried_epoch};

/// The name of the catalog, which PostgreSQL calls a database.
pub const CATALOG: &str = "dealerflow";

/// A name as SQL writes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn list(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    names.map(|name| quoted(name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// The present rows, from versions: the last one of each row, if that is not its end.
pub(crate) fn stored_sql(definition: &TableDefinition) -> String {
    let table = quoted(&definition.name);
    let columns = list(definition.stored().map(|column| &column.name));
    if definition.only_grows {
        return format!("select {columns} from versions.{table}");
    }
    let key = list(definition.key.iter());
    format!(
        "select {columns} from (select *, row_number() over (partition by {key} order by epoch desc) as version_rank \
         from versions.{table}) where version_rank = 1 and change = 'upsert'"
    )
}

/// Every version of each row, with the time over which it held.
fn history_sql(definition: &TableDefinition) -> String {
    let table = quoted(&definition.name);
    let mut columns: Vec<&str> = definition.stored().map(|column| column.name.as_str()).collect();
    if !definition.has_own_epoch() {
        columns.push("epoch");
    }
    let (columns, key) = (list(columns.iter()), list(definition.key.iter()));
    format!(
        "select {columns}, changed_at as valid_from, valid_to from (select *, lead(changed_at) over \
         (partition by {key} order by epoch) as valid_to from versions.{table}) where change = 'upsert'"
    )
}

/// Every row as it was written.
fn archive_sql(definition: &TableDefinition) -> String {
    let columns = list(definition.stored().map(|column| column.name.as_str()).chain(["epoch"]));
    format!("select {columns} from versions.{}", quoted(&definition.name))
}

/// The configuration that all sessions share.
pub(crate) fn session_config(queried_epoch_ms: i64) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_default_catalog_and_schema(CATALOG, "public")
        .with_target_partitions(2)
        .with_option_extension(QueriedEpoch { epoch_ms: queried_epoch_ms });
    config.options_mut().execution.parquet.schema_force_view_types = false;
    config.options_mut().execution.time_zone = Some("UTC".into());
    config
}

/// Registers functions, tables and views. `versions` gives the table of all versions, by the place of the definition; `stored` that of
/// the present rows, or none if a query over the versions is to give them.
pub(crate) async fn register(
    context: &SessionContext,
    definitions: &[TableDefinition],
    versions: impl Fn(usize) -> Result<Arc<dyn TableProvider>, DataFusionError>,
    stored: impl Fn(usize) -> Option<Arc<dyn TableProvider>>,
) -> Result<(), DataFusionError> {
    for function in [local_date(), queried_epoch(), dealerflow_epoch()] {
        context.register_udf(function);
    }
    let catalog: Arc<dyn CatalogProvider> =
        context.catalog(CATALOG).ok_or_else(|| DataFusionError::Internal("the default catalog is missing".into()))?;
    for schema in ["versions", "stored", "history", "system"] {
        catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()))?;
    }
    for (place, definition) in definitions.iter().enumerate() {
        let table = quoted(&definition.name);
        context.register_table(format!("versions.{table}"), versions(place)?)?;
        if definition.is_archive {
            register_view(context, &format!("history.{table}"), &archive_sql(definition)).await?;
            continue;
        }
        match stored(place) {
            Some(stored) => drop(context.register_table(format!("stored.{table}"), stored)?),
            None => register_view(context, &format!("stored.{table}"), &stored_sql(definition)).await?,
        }
        register_view(context, &format!("history.{table}"), &history_sql(definition)).await?;
    }
    for definition in definitions.iter().filter(|definition| !definition.is_archive) {
        let table = quoted(&definition.name);
        let sql = definition.view.clone().unwrap_or_else(|| format!("select * from stored.{table}"));
        register_view(context, &format!("public.{table}"), &sql).await?;
    }
    register_system(context, definitions)
}

async fn register_view(context: &SessionContext, name: &str, sql: &str) -> Result<(), DataFusionError> {
    let view = context.sql(sql).await?.into_view();
    context.register_table(name, view)?;
    Ok(())
}

/// `system.tables` and `system.columns`: what the tables and columns mean.
fn register_system(context: &SessionContext, definitions: &[TableDefinition]) -> Result<(), DataFusionError> {
    let texts = |names: &[&str], columns: Vec<Vec<String>>| -> Result<MemTable, DataFusionError> {
        let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
        let schema = Arc::new(Schema::new(fields));
        let arrays = columns.into_iter().map(|column| Arc::new(StringArray::from(column)) as _).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
        MemTable::try_new(schema, vec![vec![batch]])
    };
    let names = definitions.iter().map(|table| table.name.clone()).collect();
    let comments = definitions.iter().map(|table| table.comment.clone()).collect();
    let tables = texts(&["table_name", "comment"], vec![names, comments])?;
    context.register_table("system.tables", Arc::new(tables))?;
    let columns = || definitions.iter().flat_map(|table| table.columns.iter().map(move |column| (table, column)));
    let columns = vec![
        columns().map(|(table, _)| table.name.clone()).collect(),
        columns().map(|(_, column)| column.name.clone()).collect(),
        columns().map(|(_, column)| column.data_type.to_string()).collect(),
        columns().map(|(_, column)| column.comment.clone()).collect(),
    ];
    let columns = texts(&["table_name", "column_name", "data_type", "comment"], columns)?;
    context.register_table("system.columns", Arc::new(columns))?;
    Ok(())
}
