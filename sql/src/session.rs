//! A session over one set of files at one epoch.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{CatalogProvider, MemorySchemaProvider};
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::runtime::Runtime;

use crate::definition::{FileEntry, TableDefinition};
use crate::error::{SqlError, sentence};
use crate::functions::{local_date, queried_epoch};

/// How a session answers.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The epoch of the answers, in milliseconds since 1970.
    pub queried_epoch_ms: i64,
    /// Memory that queries may take, in bytes.
    pub memory_bytes_max: usize,
    /// How long a query may take.
    pub timeout: Option<Duration>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

/// Answers queries over one set of files.
pub struct Session {
    context: SessionContext,
    runtime: Runtime,
    definitions: Vec<TableDefinition>,
    timeout: Option<Duration>,
}

/// A name as SQL writes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn list(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    names.map(|name| quoted(name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// The last version of each row, if that is not its end.
fn stored_sql(definition: &TableDefinition) -> String {
    let table = quoted(&definition.name);
    let columns = list(definition.stored().map(|column| &column.name));
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

impl Session {
    /// Opens a session over `files`.
    ///
    /// # Errors
    /// If a definition and its files do not fit, or the runtime cannot start.
    pub fn open(
        definitions: Vec<TableDefinition>,
        files: &[FileEntry],
        options: &SessionOptions,
    ) -> Result<Self, SqlError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .thread_name("sql")
            .build()
            .map_err(|error| SqlError::Storage(error.to_string()))?;
        let mut config = SessionConfig::new()
            .with_information_schema(true)
            .with_default_catalog_and_schema("dealerflow", "public")
            .with_target_partitions(2);
        config.options_mut().execution.parquet.schema_force_view_types = false;
        config.options_mut().execution.time_zone = Some("UTC".into());
        let environment = RuntimeEnvBuilder::new()
            .with_memory_limit(options.memory_bytes_max, 1.0)
            .build_arc()
            .map_err(|error| SqlError::Storage(sentence(&error.to_string())))?;
        let context = SessionContext::new_with_config_rt(config, environment);
        context.register_udf(local_date());
        context.register_udf(queried_epoch(options.queried_epoch_ms));
        let session = Session { context, runtime, definitions, timeout: options.timeout };
        session
            .runtime
            .block_on(session.register(files))
            .map_err(|error| SqlError::Storage(sentence(&error.to_string())))?;
        Ok(session)
    }

    /// The tables.
    pub fn definitions(&self) -> &[TableDefinition] {
        &self.definitions
    }

    async fn register(&self, files: &[FileEntry]) -> Result<(), DataFusionError> {
        let catalog: Arc<dyn CatalogProvider> = self
            .context
            .catalog("dealerflow")
            .ok_or_else(|| DataFusionError::Internal("the default catalog is missing".into()))?;
        for schema in ["versions", "stored", "history", "system"] {
            catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()))?;
        }
        let mut paths: BTreeMap<&str, Vec<&PathBuf>> = BTreeMap::new();
        for file in files {
            paths.entry(&file.table).or_default().push(&file.path);
        }
        for definition in &self.definitions {
            let table = quoted(&definition.name);
            self.register_versions(definition, paths.get(definition.name.as_str()))?;
            if definition.is_archive {
                self.register_view(&format!("history.{table}"), &archive_sql(definition)).await?;
                continue;
            }
            self.register_view(&format!("stored.{table}"), &stored_sql(definition)).await?;
            self.register_view(&format!("history.{table}"), &history_sql(definition)).await?;
        }
        for definition in self.definitions.iter().filter(|definition| !definition.is_archive) {
            let table = quoted(&definition.name);
            let sql = definition.view.clone().unwrap_or_else(|| format!("select * from stored.{table}"));
            self.register_view(&format!("public.{table}"), &sql).await?;
        }
        self.register_system()
    }

    fn register_versions(
        &self,
        definition: &TableDefinition,
        paths: Option<&Vec<&PathBuf>>,
    ) -> Result<(), DataFusionError> {
        let schema = definition.versions_schema();
        let name = format!("versions.{}", quoted(&definition.name));
        let Some(paths) = paths else {
            self.context.register_table(name.as_str(), Arc::new(MemTable::try_new(schema, vec![vec![]])?))?;
            return Ok(());
        };
        let urls = paths
            .iter()
            .map(|path| ListingTableUrl::parse(path.canonicalize()?.to_string_lossy()))
            .collect::<Result<Vec<_>, _>>()?;
        let listing = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
        let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(listing).with_schema(schema);
        self.context.register_table(name.as_str(), Arc::new(ListingTable::try_new(config)?))?;
        Ok(())
    }

    async fn register_view(&self, name: &str, sql: &str) -> Result<(), DataFusionError> {
        let view = self.context.sql(sql).await?.into_view();
        self.context.register_table(name, view)?;
        Ok(())
    }

    /// `system.tables` and `system.columns`: what the tables and columns mean.
    fn register_system(&self) -> Result<(), DataFusionError> {
        let texts = |names: &[&str], columns: Vec<Vec<String>>| -> Result<MemTable, DataFusionError> {
            let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
            let schema = Arc::new(Schema::new(fields));
            let arrays = columns.into_iter().map(|column| Arc::new(StringArray::from(column)) as _).collect();
            let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
            MemTable::try_new(schema, vec![vec![batch]])
        };
        let names = self.definitions.iter().map(|table| table.name.clone()).collect();
        let comments = self.definitions.iter().map(|table| table.comment.clone()).collect();
        let tables = texts(&["table_name", "comment"], vec![names, comments])?;
        self.context.register_table("system.tables", Arc::new(tables))?;
        let columns =
            || self.definitions.iter().flat_map(|table| table.columns.iter().map(move |column| (table, column)));
        let columns = vec![
            columns().map(|(table, _)| table.name.clone()).collect(),
            columns().map(|(_, column)| column.name.clone()).collect(),
            columns().map(|(_, column)| column.data_type.to_string()).collect(),
            columns().map(|(_, column)| column.comment.clone()).collect(),
        ];
        let columns = texts(&["table_name", "column_name", "data_type", "comment"], columns)?;
        self.context.register_table("system.columns", Arc::new(columns))?;
        Ok(())
    }

    /// Answers one query, waiting for it.
    ///
    /// # Errors
    /// A [`SqlError`] that says what is wrong with the query, or that it took too long or too much. A panic inside the engine is an
    /// error of this query alone.
    pub fn query_blocking(&self, sql: &str) -> Result<QueryResult, SqlError> {
        let (context, sql, timeout) = (self.context.clone(), sql.to_owned(), self.timeout);
        let query = async move {
            let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
            let frame = context.sql_with_options(&sql, read_only).await?;
            let schema = Arc::clone(frame.schema().inner());
            let batches = frame.collect().await?;
            Ok::<_, DataFusionError>(QueryResult { schema, batches })
        };
        let outcome = self.runtime.block_on(async {
            let task = tokio::spawn(query);
            match timeout {
                None => Ok(task.await),
                Some(limit) => {
                    let abort = task.abort_handle();
                    tokio::time::timeout(limit, task).await.map_err(|_| {
                        abort.abort();
                        SqlError::Timeout(limit)
                    })
                }
            }
        })?;
        match outcome {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => Err(self.explain(&error.to_string())),
            Err(panic) => Err(SqlError::Internal(panic.to_string())),
        }
    }

    /// The engine's message as one sentence, with the nearest name for one that is misspelt.
    fn explain(&self, message: &str) -> SqlError {
        const REFUSALS: [&str; 3] = ["DDL not supported", "DML not supported", "Statement not supported"];
        if REFUSALS.iter().any(|refusal| message.contains(refusal)) {
            return SqlError::ReadOnly;
        }
        let message = sentence(message);
        if let Some(name) = message.strip_prefix("table '").and_then(|rest| rest.split('\'').next()) {
            let name = name.rsplit('.').next().unwrap_or(name);
            let tables = self.definitions.iter().map(|table| table.name.as_str());
            let nearest = tables.min_by_key(|own| strsim::levenshtein(own, name));
            let hint = nearest.filter(|nearest| strsim::levenshtein(nearest, name) <= 3);
            let hint = hint.map_or_else(|| "SHOW TABLES lists them".to_owned(), |hint| format!("did you mean {hint}?"));
            return SqlError::Query(format!("there is no table {name}: {hint}"));
        }
        SqlError::Query(message)
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
