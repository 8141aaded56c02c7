//! The engine: answers queries over live tables, for whoever serves them.
//!
//! ```text
//!   Engine ─▶ Caller { access, its catalog } ─▶ plan(statement) ─▶ execute(plan, Settings) ─▶ Answer { epoch, schema, batches }
//!                                                                     │ waits for min_epoch, pins one snapshot, counts time, rows, memory
//!                                                                     └ on threads of its own, which step back behind the dataflow
//! ```
//! A query that panics, takes too long or too much is an error of its own and of nobody else.

mod answer;
mod caller;
mod outcome;
mod standing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::object_store::ObjectStore;
use datafusion::prelude::SessionContext;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::catalog::{quoted, register, session_config, stored_sql};
use crate::error::{SqlError, sentence};
use crate::live::{HISTORY_URL, LiveTables, StoredTable, VersionsTable};
use crate::postgres::catalog::register_pg_catalog;
use crate::priority::{Niceness, step_back};
use crate::views::{UserView, ViewStore};
use answer::AbortOnDrop;
pub use answer::{Answer, CancelSignal};
pub use caller::Caller;
pub use outcome::{OnQuery, QueryOutcome};
pub use standing::{Difference, StandingQuery};

/// Bounds on queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// How long a query may take, until its last row is read.
    pub timeout: Duration,
    /// How long a query waits for an epoch that it asks for.
    pub wait_max: Duration,
    /// Memory that all queries together may take, in bytes.
    pub memory_bytes_max: usize,
    /// Rows of one answer.
    pub rows_max: u64,
    /// Queries under way at once.
    pub queries_max: usize,
    /// Threads that answer.
    pub threads: usize,
}

/// What a caller has set for its queries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The epoch whose tables are asked for; the present one if not set.
    pub as_of: Option<i64>,
    /// An epoch to wait for.
    pub min_epoch: Option<i64>,
    /// A shorter time for each query.
    pub timeout: Option<Duration>,
}

/// Answers queries over live tables.
pub struct Engine {
    tables: Arc<LiveTables>,
    limits: QueryLimits,
    environment: Arc<RuntimeEnv>,
    views: Option<ViewStore>,
    scopes: Mutex<BTreeMap<Access, Arc<Scope>>>,
    turns: Arc<Semaphore>,
    /// Who hears of each query's end.
    on_query: OnQuery,
    /// Taken when the engine goes.
    runtime: Option<Runtime>,
}

/// The catalog of all callers with one access.
struct Scope {
    access: Arc<Access>,
    context: SessionContext,
    views: Mutex<Vec<UserView>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Scope").field("access", &self.access).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over live tables, whose history's files lie in a store. Views of users are kept in `views`; without a folder they last as
    /// long as the engine. `on_query` hears of each query's end.
    ///
    /// # Errors
    /// If its threads cannot be started.
    pub fn start(
        tables: Arc<LiveTables>,
        history: Arc<dyn ObjectStore>,
        limits: QueryLimits,
        views: Option<&Path>,
        on_query: OnQuery,
    ) -> Result<Arc<Self>, SqlError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads.max(1))
            .thread_name("queries")
            .on_thread_start(|| step_back(Niceness::Queries))
            .enable_all()
            .build()
            .map_err(|error| SqlError::Storage(format!("the threads of queries cannot be started: {error}")))?;
        let environment = RuntimeEnvBuilder::new()
            .with_memory_limit(limits.memory_bytes_max, 1.0)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(|error| SqlError::Storage(sentence(&error.to_string())))?;
        let url =
            ObjectStoreUrl::parse(HISTORY_URL).map_err(|error| SqlError::Storage(sentence(&error.to_string())))?;
        environment.register_object_store(url.as_ref(), history);
        Ok(Arc::new(Engine {
            tables,
            limits,
            environment,
            views: views.map(ViewStore::new),
            scopes: Mutex::new(BTreeMap::new()),
            turns: Arc::new(Semaphore::new(limits.queries_max.max(1))),
            on_query,
            runtime: Some(runtime),
        }))
    }

    /// The tables.
    pub fn tables(&self) -> &Arc<LiveTables> {
        &self.tables
    }

    /// Its threads, for those who serve answers; `None` while it is being dropped.
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.runtime.as_ref().map(Runtime::handle)
    }

    /// Queries under way, and the memory that they take, in bytes.
    pub fn load(&self) -> (usize, usize) {
        let queries = self.limits.queries_max.max(1) - self.turns.available_permits();
        (queries, self.environment.memory_pool.reserved())
    }

    /// The limits.
    pub fn limits(&self) -> &QueryLimits {
        &self.limits
    }

    /// A caller with some access.
    ///
    /// # Errors
    /// If its catalog cannot be made, or its views cannot be read.
    pub async fn caller(self: &Arc<Self>, access: &Access) -> Result<Caller, SqlError> {
        let known = self.scopes.lock().unwrap_or_else(PoisonError::into_inner).get(access).cloned();
        if let Some(scope) = known {
            return Ok(Caller { engine: Arc::clone(self), scope });
        }
        let scope = Arc::new(self.scope(access).await?);
        // Of two that were made at once the first one stays: views belong to it.
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        let scope = Arc::clone(scopes.entry(access.clone()).or_insert(scope));
        Ok(Caller { engine: Arc::clone(self), scope })
    }

    async fn scope(&self, access: &Access) -> Result<Scope, SqlError> {
        let opening = |error: DataFusionError| SqlError::Storage(sentence(&error.to_string()));
        let context = SessionContext::new_with_config_rt(session_config(0), Arc::clone(&self.environment));
        let definitions = self.tables.definitions();
        let stored: Vec<Arc<StoredTable>> =
            (0..definitions.len()).map(|place| Arc::new(StoredTable::new(&self.tables, place))).collect();
        let versions = |place| Ok(Arc::new(VersionsTable::new(&self.tables, place)) as _);
        register(&context, definitions, versions, |place| Some(Arc::clone(&stored[place]) as _))
            .await
            .map_err(opening)?;
        for (definition, stored) in definitions.iter().zip(&stored) {
            let frame = context.sql(&stored_sql(definition)).await.map_err(opening)?;
            stored.set_from_versions(frame.into_unoptimized_plan());
        }
        register_pg_catalog(&context, definitions).await.map_err(opening)?;
        let mut views = Vec::new();
        for view in self.views.as_ref().map_or(Ok(Vec::new()), |store| store.load(access))? {
            match show_view(&context, &view).await {
                Ok(()) => views.push(view),
                // A view of a table that a later version does not have must not keep its owner out.
                Err(error) => {
                    tracing::warn!(view = view.name, %error, "a view of a user is no longer possible and is left out");
                }
            }
        }
        Ok(Scope { access: Arc::new(access.clone()), context, views: Mutex::new(views) })
    }

    /// Runs a future on the threads of queries; a panic in it is an error.
    async fn on_own_threads<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, SqlError>> + Send + 'static,
    ) -> Result<T, SqlError> {
        let Some(runtime) = &self.runtime else { return Err(SqlError::Internal("the engine is gone".to_owned())) };
        let task = runtime.spawn(work);
        let _abort = AbortOnDrop(task.abort_handle());
        task.await.unwrap_or_else(|panic| Err(SqlError::Internal(panic.to_string())))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Registers a view of a user.
async fn show_view(context: &SessionContext, view: &UserView) -> Result<(), DataFusionError> {
    let frame = context.sql_with_options(&view.query, read_only()).await?;
    let (state, plan) = frame.into_parts();
    drop(state);
    let table = datafusion::datasource::ViewTable::new(plan, Some(view.query.clone()));
    let name = format!("public.{}", quoted(&view.name));
    context.deregister_table(name.as_str())?;
    context.register_table(name.as_str(), Arc::new(table)).map(drop)
}

fn read_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

#[cfg(test)]
mod tests;
