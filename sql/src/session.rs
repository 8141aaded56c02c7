//! A session over one set of files at one epoch.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionContext;
use tokio::runtime::Runtime;

use crate::catalog::{register, session_config};
use crate::definition::{FileEntry, TableDefinition};
use crate::error::{SqlError, explain, sentence};

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
        let config = session_config(options.queried_epoch_ms);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_limit(options.memory_bytes_max, 1.0)
            .build_arc()
            .map_err(|error| SqlError::Storage(sentence(&error.to_string())))?;
        let context = SessionContext::new_with_config_rt(config, environment);
        let mut paths: BTreeMap<&str, Vec<&PathBuf>> = BTreeMap::new();
        for file in files {
            paths.entry(&file.table).or_default().push(&file.path);
        }
        let versions = |place: usize| {
            let definition: &TableDefinition = &definitions[place];
            versions_table(definition, paths.get(definition.name.as_str()))
        };
        let registered = runtime.block_on(register(&context, &definitions, versions, |_| None));
        registered.map_err(|error| SqlError::Storage(sentence(&error.to_string())))?;
        Ok(Session { context, runtime, definitions, timeout: options.timeout })
    }

    /// The tables.
    pub fn definitions(&self) -> &[TableDefinition] {
        &self.definitions
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
            Ok(Err(error)) => Err(explain(&error, &self.definitions)),
            Err(panic) => Err(SqlError::Internal(panic.to_string())),
        }
    }
}

/// The versions of a table that lie in these files.
fn versions_table(
    definition: &TableDefinition,
    paths: Option<&Vec<&PathBuf>>,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let schema = definition.versions_schema();
    let Some(paths) = paths else { return Ok(Arc::new(MemTable::try_new(schema, vec![vec![]])?)) };
    let urls = paths
        .iter()
        .map(|path| ListingTableUrl::parse(path.canonicalize()?.to_string_lossy()))
        .collect::<Result<Vec<_>, _>>()?;
    let listing = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(listing).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
