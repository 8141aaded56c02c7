//! The engine: answers queries over live tables, for whoever serves them.
//!
//! ```text
//!   Engine ─▶ Caller { access, its catalog } ─▶ plan(statement) ─▶ execute(plan, Settings) ─▶ Answer { epoch, schema, batches }
//!                                                                     │ waits for min_epoch, pins one snapshot, counts time, rows, memory
//!                                                                     └ on threads of its own, which step back behind the dataflow
//! ```
//! A query that panics, takes too long or too much is an error of its own and of nobody else.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::sqlparser::ast::Statement;
use datafusion::object_store::ObjectStore;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as PlannedStatement;
use futures::StreamExt;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use crate::access::Access;
use crate::catalog::{quoted, register, session_config, stored_sql};
use crate::error::{SqlError, explain, sentence};
use crate::functions::QueriedEpoch;
use crate::live::pin::Pin;
use crate::live::{HISTORY_URL, LiveTables, StoredTable, VersionsTable};
use crate::postgres::catalog::register_pg_catalog;
use crate::views::{UserView, VIEW_BYTES_MAX, VIEWS_MAX, ViewStore};

/// Batches of an answer that wait for their reader.
const BATCHES_WAITING: usize = 2;
/// How long a query waits for its turn while too many are under way.
const TURN_WAIT_MAX: Duration = Duration::from_secs(5);

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

/// Takes queries back.
pub type CancelSignal = watch::Receiver<u64>;

/// Answers queries over live tables.
#[derive(Debug)]
pub struct Engine {
    tables: Arc<LiveTables>,
    limits: QueryLimits,
    environment: Arc<RuntimeEnv>,
    views: Option<ViewStore>,
    scopes: Mutex<BTreeMap<Access, Arc<Scope>>>,
    turns: Arc<Semaphore>,
    /// Taken when the engine goes.
    runtime: Option<Runtime>,
}

/// The catalog of all callers with one access.
struct Scope {
    access: Arc<Access>,
    context: SessionContext,
    views: Mutex<Vec<UserView>>,
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Scope").field("access", &self.access).finish_non_exhaustive()
    }
}

/// Someone who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    engine: Arc<Engine>,
    scope: Arc<Scope>,
}

/// An answer on its way.
#[derive(Debug)]
pub struct Answer {
    /// The epoch that it shows.
    pub epoch: i64,
    /// Its columns.
    pub schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch, SqlError>>,
    _task: AbortOnDrop,
}

/// Stops a query whose reader is gone.
#[derive(Debug)]
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Answer {
    /// The next rows; none at the end.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, SqlError>> {
        self.batches.recv().await
    }

    /// All rows.
    ///
    /// # Errors
    /// If the query fails on the way.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, SqlError> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }
}

impl Engine {
    /// An engine over live tables, whose history's files lie in a store. Views of users are kept in `views`; without a folder they last as long as the engine.
    ///
    /// # Errors
    /// If its threads cannot be started.
    pub fn start(
        tables: Arc<LiveTables>,
        history: Arc<dyn ObjectStore>,
        limits: QueryLimits,
        views: Option<&Path>,
    ) -> Result<Arc<Self>, SqlError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads.max(1))
            .thread_name("queries")
            .on_thread_start(crate::priority::step_back)
            .enable_all()
            .build()
            .map_err(|error| SqlError::Storage(format!("the threads of queries cannot be started: {error}")))?;
        let environment = RuntimeEnvBuilder::new()
            .with_memory_limit(limits.memory_bytes_max, 1.0)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(|error| SqlError::Storage(sentence(&error.to_string())))?;
        let url = ObjectStoreUrl::parse(HISTORY_URL).map_err(|error| SqlError::Storage(sentence(&error.to_string())))?;
        environment.register_object_store(url.as_ref(), history);
        Ok(Arc::new(Engine {
            tables,
            limits,
            environment,
            views: views.map(ViewStore::new),
            scopes: Mutex::new(BTreeMap::new()),
            turns: Arc::new(Semaphore::new(limits.queries_max.max(1))),
            runtime: Some(runtime),
        }))
    }

    /// The tables.
    pub fn tables(&self) -> &Arc<LiveTables> {
        &self.tables
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
        register(&context, definitions, versions, |place| Some(Arc::clone(&stored[place]) as _)).await.map_err(opening)?;
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
                Err(error) => tracing::warn!(view = view.name, %error, "a view of a user is no longer possible and is left out"),
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

impl Caller {
    /// What it may see.
    pub fn access(&self) -> &Arc<Access> {
        &self.scope.access
    }

    /// The engine that it asks.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn explain(&self, error: &DataFusionError) -> SqlError {
        explain(error, self.engine.tables.definitions())
    }

    /// Plans a statement that reads.
    ///
    /// # Errors
    /// If it is wrong, or would change something.
    pub async fn plan(&self, statement: Statement) -> Result<LogicalPlan, SqlError> {
        let (caller, state) = (self.clone(), self.scope.context.state());
        let planned = async move {
            let plan = state.statement_to_plan(PlannedStatement::Statement(Box::new(statement))).await;
            let plan = plan.and_then(|plan| read_only().verify_plan(&plan).map(|()| plan));
            let plan = plan.map_err(|error| caller.explain(&error))?;
            let tells_all = matches!(&plan, LogicalPlan::Analyze(_))
                || matches!(&plan, LogicalPlan::Explain(explain) if explain.verbose);
            if tells_all && !caller.access().sees_plans() {
                let reason = "EXPLAIN ANALYZE and EXPLAIN VERBOSE tell of all dealers' rows: only EXPLAIN is answered here";
                return Err(SqlError::Denied(reason.to_owned()));
            }
            Ok(plan)
        };
        self.engine.on_own_threads(planned).await
    }

    /// Plans and executes a text of one statement that reads.
    ///
    /// # Errors
    /// As [`Caller::plan`] and [`Caller::execute`].
    pub async fn query(&self, sql: &str, settings: &Settings) -> Result<Answer, SqlError> {
        let statement = crate::postgres::statement::parse_one(sql)?;
        let plan = self.plan(statement).await?;
        self.execute(plan, settings, None).await
    }

    /// Executes a plan. All its scans see one epoch.
    ///
    /// # Errors
    /// If the epoch that is asked for does not come in time, or the query fails before its first rows.
    pub async fn execute(
        &self,
        plan: LogicalPlan,
        settings: &Settings,
        cancel: Option<CancelSignal>,
    ) -> Result<Answer, SqlError> {
        let Some(runtime) = &self.engine.runtime else {
            return Err(SqlError::Internal("the engine is gone".to_owned()));
        };
        let limits = self.engine.limits;
        let timeout = settings.timeout.map_or(limits.timeout, |own| own.min(limits.timeout));
        let deadline = Instant::now() + timeout;
        let turn = tokio::time::timeout(TURN_WAIT_MAX, Arc::clone(&self.engine.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(SqlError::Busy(limits.queries_max)) };
        let pin = self.pin(settings).await?;
        let epoch = pin.epoch();
        let state = self.pinned_state(pin);

        let (batches_in, mut batches) = mpsc::channel(BATCHES_WAITING);
        let (schema_in, schema) = tokio::sync::oneshot::channel();
        let (caller, rows_out) = (self.clone(), batches_in.clone());
        let body = async move {
            // Held until the last row is read.
            let _turn = turn;
            let physical = state.create_physical_plan(&plan).await.map_err(|error| caller.explain(&error))?;
            let mut stream = execute_stream(physical, state.task_ctx()).map_err(|error| caller.explain(&error))?;
            // Nobody waits for the schema only if the caller is gone.
            let _ = schema_in.send(stream.schema());
            let mut rows = 0;
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(|error| caller.explain(&error))?;
                rows += batch.num_rows() as u64;
                if rows > limits.rows_max {
                    return Err(SqlError::TooManyRows(limits.rows_max));
                }
                // A reader that is gone wants no more.
                if batch.num_rows() > 0 && rows_out.send(Ok(batch)).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let task = runtime.spawn(async move {
            let work = tokio::spawn(body);
            let _abort = AbortOnDrop(work.abort_handle());
            let outcome = tokio::select! {
                outcome = work => outcome.unwrap_or_else(|panic| Err(SqlError::Internal(panic.to_string()))),
                () = tokio::time::sleep_until(deadline) => Err(SqlError::Timeout(timeout)),
                () = cancelled(cancel) => Err(SqlError::Cancelled),
            };
            if let Err(error) = outcome {
                let _ = batches_in.send(Err(error)).await;
            }
        });
        let task = AbortOnDrop(task.abort_handle());
        match schema.await {
            Ok(schema) => Ok(Answer { epoch, schema, batches, _task: task }),
            // Before its first rows a query can only end with an error.
            Err(_) => match batches.recv().await {
                Some(Err(error)) => Err(error),
                _ => Err(SqlError::Internal("the query ended without an answer".to_owned())),
            },
        }
    }

    /// Waits for the epoch that is asked for, and pins its snapshot.
    async fn pin(&self, settings: &Settings) -> Result<Pin, SqlError> {
        let tables = &self.engine.tables;
        let wanted = settings.min_epoch.max(settings.as_of).unwrap_or(i64::MIN);
        let wait_max = self.engine.limits.wait_max;
        if let Err(progress) = tables.wait_for(wanted, wait_max).await {
            let shown = progress.epoch;
            return Err(if shown < progress.answers_from {
                SqlError::Filling { wanted: progress.answers_from, shown }
            } else {
                SqlError::NotYet { wanted, shown, waited: wait_max }
            });
        }
        let access = Arc::clone(&self.scope.access);
        let Some(as_of) = settings.as_of else {
            return Ok(Pin { snapshot: tables.current(), as_of: None, from_history: false, access });
        };
        let kept = tables.snapshot_at(as_of);
        let from_history = kept.is_none();
        Ok(Pin { snapshot: kept.unwrap_or_else(|| tables.current()), as_of: Some(as_of), from_history, access })
    }

    fn pinned_state(&self, pin: Pin) -> SessionState {
        let mut state = self.scope.context.state();
        let queried = QueriedEpoch { epoch_ms: pin.epoch() };
        let config = state.config_mut();
        config.set_extension(Arc::new(pin));
        config.options_mut().extensions.insert(queried);
        state.mark_start_execution();
        state
    }

    /// Makes a view that callers with the same access share and that lasts.
    ///
    /// # Errors
    /// If the query is wrong, the name is a table's, or there are too many views.
    pub async fn create_view(&self, name: &str, query: &str, replace: bool) -> Result<(), SqlError> {
        if self.engine.tables.definitions().iter().any(|table| table.name == name) {
            return Err(SqlError::View(format!("{name} is a table of the pipeline: choose another name for the view")));
        }
        if query.len() > VIEW_BYTES_MAX {
            return Err(SqlError::View(format!("the view's query is longer than {VIEW_BYTES_MAX} bytes: shorten it")));
        }
        let view = UserView { name: name.to_owned(), query: query.to_owned() };
        let mut views = self.scope.views.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match views.iter().position(|other| other.name == name) {
            Some(_) if !replace => {
                return Err(SqlError::View(format!("there is a view {name} already: CREATE OR REPLACE VIEW changes it")));
            }
            Some(place) => views[place] = view.clone(),
            None if views.len() >= VIEWS_MAX => {
                return Err(SqlError::View(format!("there are {VIEWS_MAX} views already, which is the limit: drop one")));
            }
            None => views.push(view.clone()),
        }
        show_view(&self.scope.context, &view).await.map_err(|error| self.explain(&error))?;
        self.keep_views(views)
    }

    /// Takes a view away. Tells whether there was one.
    ///
    /// # Errors
    /// If the change cannot be kept.
    pub fn drop_view(&self, name: &str) -> Result<bool, SqlError> {
        let mut views = self.scope.views.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(place) = views.iter().position(|view| view.name == name) else { return Ok(false) };
        views.remove(place);
        let table = format!("public.{}", quoted(name));
        self.scope.context.deregister_table(table.as_str()).map_err(|error| self.explain(&error))?;
        self.keep_views(views)?;
        Ok(true)
    }

    fn keep_views(&self, views: Vec<UserView>) -> Result<(), SqlError> {
        let mut present = self.scope.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &self.engine.views {
            store.save(&self.scope.access, &views)?;
        }
        *present = views;
        Ok(())
    }
}

/// Comes back when the query is taken back, and never if it cannot be.
async fn cancelled(signal: Option<CancelSignal>) {
    if let Some(mut signal) = signal
        && signal.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
