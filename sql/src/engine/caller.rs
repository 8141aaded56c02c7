//! Callers: they plan statements, execute plans at one epoch, and keep views.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::sqlparser::ast::Statement;
use datafusion::physical_plan::execute_stream;
use datafusion::sql::parser::Statement as PlannedStatement;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::answer::{AbortOnDrop, Answer, CancelSignal, cancelled};
use super::outcome::{Measured, QueryOutcome};
use super::{Engine, Scope, Settings, read_only, show_view};
use crate::access::Access;
use crate::catalog::quoted;
use crate::error::{SqlError, explain};
use crate::functions::QueriedEpoch;
use crate::live::pin::Pin;
use crate::postgres::statement::parse_one;
use crate::views::{UserView, VIEW_BYTES_MAX, VIEWS_MAX};

/// Batches of an answer that wait for their reader.
const BATCHES_WAITING: usize = 2;
/// How long a query waits for its turn while too many are under way.
const TURN_WAIT_MAX: Duration = Duration::from_secs(5);

/// Someone who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(super) engine: Arc<Engine>,
    pub(super) scope: Arc<Scope>,
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
        if matches!(statement, Statement::Copy { .. }) {
            return Err(SqlError::ReadOnly);
        }
        let (caller, state) = (self.clone(), self.scope.context.state());
        let planned = async move {
            let plan = state.statement_to_plan(PlannedStatement::Statement(Box::new(statement))).await;
            let plan = plan.and_then(|plan| read_only().verify_plan(&plan).map(|()| plan));
            let plan = plan.map_err(|error| caller.explain(&error))?;
            let tells_all = matches!(&plan, LogicalPlan::Analyze(_))
                || matches!(&plan, LogicalPlan::Explain(explain) if explain.verbose);
            if tells_all && !caller.access().sees_plans() {
                let reason =
                    "EXPLAIN ANALYZE and EXPLAIN VERBOSE tell of all dealers' rows: only EXPLAIN is answered here";
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
        let statement = parse_one(sql)?;
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
        let measured = Measured::begin(&self.engine);
        let limits = self.engine.limits;
        let timeout = settings.timeout.map_or(limits.timeout, |own| own.min(limits.timeout));
        let deadline = Instant::now() + timeout;
        let (turn, pin) = match self.admitted(settings).await {
            Ok(admitted) => admitted,
            Err(error) => {
                measured.end(QueryOutcome::Failed);
                return Err(error);
            }
        };
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
            measured.end(match &outcome {
                Ok(()) => QueryOutcome::Answered,
                Err(SqlError::Cancelled) => QueryOutcome::Cancelled,
                Err(_) => QueryOutcome::Failed,
            });
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

    /// Waits for a query's turn, then for its epoch.
    async fn admitted(&self, settings: &Settings) -> Result<(OwnedSemaphorePermit, Pin), SqlError> {
        let turn = tokio::time::timeout(TURN_WAIT_MAX, Arc::clone(&self.engine.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(SqlError::Busy(self.engine.limits.queries_max)) };
        Ok((turn, self.pin(settings).await?))
    }

    /// Waits for the epoch that is asked for, and pins its snapshot.
    async fn pin(&self, settings: &Settings) -> Result<Pin, SqlError> {
        let tables = &self.engine.tables;
        let wanted = settings.min_epoch.max(settings.as_of).unwrap_or(i64::MIN);
        let wait_max = self.engine.limits.wait_max;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if i128::from(wanted) > (now + wait_max).as_millis() as i128 {
            return Err(SqlError::Future { wanted, shown: tables.current().epoch });
        }
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
                return Err(SqlError::View(format!(
                    "there is a view {name} already: CREATE OR REPLACE VIEW changes it"
                )));
            }
            Some(place) => views[place] = view.clone(),
            None if views.len() >= VIEWS_MAX => {
                return Err(SqlError::View(format!(
                    "there are {VIEWS_MAX} views already, which is the limit: drop one"
                )));
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
