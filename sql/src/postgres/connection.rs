//! One client's connection: its caller, its settings, and what it asks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion_postgres::arrow_pg::datatypes::arrow_schema_to_pg_fields;
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_postgres::pgwire;
use futures::{Sink, SinkExt};
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::results::{FieldInfo, Response, Tag};
use pgwire::api::stmt::{QueryParser, StoredStatement};
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, METADATA_USER, Type};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::extendedquery::{Close, CloseComplete, Parse, ParseComplete, TARGET_TYPE_BYTE_STATEMENT};
use pgwire::messages::response::TransactionStatus;

use super::answer::{epoch_status, rows, setting, setting_fields, wire_error};
use super::cancel::{Cancellable, Cancellations};
use super::commands::ConnectionSettings;
use super::copy::copy;
use super::parameters::{Parameter, parameters_of, values_of};
use super::statement::{Command, command_of, parse, tag_of};
use crate::access::{Access, Tokens};
use crate::engine::{Answer, Caller, Engine};
use crate::error::SqlError;

/// Statements that a connection keeps prepared, at most.
const PREPARED_MAX: usize = 1_000;

/// One client.
pub(crate) struct Connection {
    engine: Arc<Engine>,
    tokens: Arc<Tokens>,
    parser: Arc<PostgresCompatibilityParser>,
    cancellations: Arc<Cancellations>,
    cancellable: OnceLock<Cancellable>,
    caller: tokio::sync::OnceCell<Caller>,
    settings: Mutex<ConnectionSettings>,
    /// Names of prepared statements.
    prepared: Mutex<BTreeSet<String>>,
}

/// A statement that was prepared.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    command: Command,
    /// Its plan and parameters, if the engine answers it.
    plan: Option<(LogicalPlan, Vec<Parameter>)>,
}

/// Whether a statement is answered with rows of its own making.
enum Outcome {
    Rows(Box<Answer>, &'static str),
    Copy(Box<Answer>, super::statement::CopyOptions),
    Response(Response),
}

impl Connection {
    pub(crate) fn new(
        engine: Arc<Engine>,
        tokens: Arc<Tokens>,
        parser: Arc<PostgresCompatibilityParser>,
        cancellations: Arc<Cancellations>,
    ) -> Self {
        Connection {
            engine,
            tokens,
            parser,
            cancellations,
            cancellable: OnceLock::new(),
            caller: tokio::sync::OnceCell::new(),
            settings: Mutex::default(),
            prepared: Mutex::default(),
        }
    }

    /// Who asks. The user's name is the one that the secret was checked for: it cannot be changed afterwards.
    async fn caller<C: ClientInfo>(&self, client: &C) -> Result<Caller, SqlError> {
        let user = client.metadata().get(METADATA_USER).map_or("", String::as_str);
        let access = if self.tokens.is_empty() {
            Arc::new(Access::unrestricted())
        } else {
            let denied = || SqlError::Denied(format!("there is no token {user}"));
            self.tokens.of_user(user).map(|(_, access)| access).ok_or_else(denied)?
        };
        self.caller.get_or_try_init(|| self.engine.caller(&access)).await.cloned()
    }

    fn settings(&self) -> ConnectionSettings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn execute<C: ClientInfo>(&self, client: &C, plan: LogicalPlan) -> Result<Answer, SqlError> {
        let (pid, secret) = client.pid_and_secret_key();
        let cancellable = self.cancellable.get_or_init(|| self.cancellations.enter((pid, secret.to_bytes())));
        let caller = self.caller(client).await?;
        caller.execute(plan, &self.settings().engine, cancellable.signal()).await
    }

    /// Does what a statement asks. `plan` is its plan with all values, if it was prepared.
    async fn run<C: ClientInfo>(
        &self,
        client: &C,
        command: Command,
        plan: Option<LogicalPlan>,
    ) -> Result<Outcome, SqlError> {
        if client.transaction_status() == TransactionStatus::Error && !matches!(command, Command::End(_)) {
            let message = "the transaction failed before: ROLLBACK ends it".to_owned();
            return Err(SqlError::Query { message, sqlstate: "25P02" });
        }
        let caller = self.caller(client).await?;
        let done = |tag: &str| Ok(Outcome::Response(Response::Execution(Tag::new(tag))));
        match command {
            Command::Query(statement) => {
                let tag = tag_of(&statement);
                let plan = match plan {
                    Some(plan) => plan,
                    None => caller.plan(*statement).await?,
                };
                Ok(Outcome::Rows(Box::new(self.execute(client, plan).await?), tag))
            }
            Command::Copy { query, options } => {
                let plan = match plan {
                    Some(plan) => plan,
                    None => caller.plan(*query).await?,
                };
                Ok(Outcome::Copy(Box::new(self.execute(client, plan).await?), options))
            }
            Command::Begin => Ok(Outcome::Response(Response::TransactionStart(Tag::new("BEGIN")))),
            Command::End(tag) => Ok(Outcome::Response(Response::TransactionEnd(Tag::new(tag)))),
            Command::Set { name, value } => {
                self.settings.lock().unwrap_or_else(PoisonError::into_inner).set(&name, &value)?;
                done("SET")
            }
            Command::Reset(name) => {
                self.settings.lock().unwrap_or_else(PoisonError::into_inner).reset(name.as_deref());
                done("RESET")
            }
            Command::Show(name) => {
                let value = self.settings().show(&name, self.engine.tables().epoch());
                let shown = setting(&name, &value).map_err(|error| SqlError::Internal(error.to_string()))?;
                Ok(Outcome::Response(Response::Query(shown)))
            }
            Command::CreateView { name, query, replace } => {
                caller.create_view(&name, &query, replace).await?;
                done("CREATE VIEW")
            }
            Command::DropView { names, if_exists } => {
                for name in names {
                    if !caller.drop_view(&name)? && !if_exists {
                        let hint = "DROP VIEW takes away what CREATE VIEW made".to_owned();
                        return Err(SqlError::NoTable { name, hint });
                    }
                }
                done("DROP VIEW")
            }
            Command::Nothing(tag) => done(tag),
        }
    }

    /// The same as a response, behind the epoch of its rows.
    async fn respond<C>(
        &self,
        client: &mut C,
        command: Command,
        plan: Option<LogicalPlan>,
        format: &Format,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match self.run(client, command, plan).await.map_err(|error| wire_error(&error))? {
            Outcome::Rows(answer, tag) => {
                client.feed(epoch_status(answer.epoch)).await?;
                rows(*answer, format, tag).map(Response::Query)
            }
            Outcome::Copy(answer, options) => {
                client.feed(epoch_status(answer.epoch)).await?;
                copy(*answer, &options).map(Response::CopyOut)
            }
            Outcome::Response(response) => Ok(response),
        }
    }
}

#[async_trait]
impl SimpleQueryHandler for Connection {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let statements = parse(&self.parser, query).map_err(|error| wire_error(&error))?;
        let mut responses = Vec::with_capacity(statements.len());
        for statement in statements {
            let command = command_of(statement).map_err(|error| wire_error(&error))?;
            match self.respond(client, command, None, &Format::UnifiedText).await {
                Ok(response) => responses.push(response),
                // What was answered before stays answered; nothing behind it is done.
                Err(error) if !responses.is_empty() => {
                    responses.push(Response::Error(Box::new(error.into())));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if responses.is_empty() {
            responses.push(Response::EmptyQuery);
        }
        Ok(responses)
    }
}

#[async_trait]
impl QueryParser for Connection {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, client: &C, sql: &str, types: &[Option<Type>]) -> PgWireResult<Option<Self::Statement>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let mut statements = parse(&self.parser, sql).map_err(|error| wire_error(&error))?;
        let Some(statement) = statements.pop() else { return Ok(None) };
        if !statements.is_empty() {
            let message = "a prepared statement is one statement: prepare them one by one".to_owned();
            return Err(wire_error(&SqlError::Query { message, sqlstate: "42601" }));
        }
        let command = command_of(statement).map_err(|error| wire_error(&error))?;
        let query = match &command {
            Command::Query(statement) => Some(statement.as_ref().clone()),
            Command::Copy { query, .. } => Some(query.as_ref().clone()),
            _ => None,
        };
        let plan = match query {
            None => None,
            Some(query) => {
                let caller = self.caller(client).await.map_err(|error| wire_error(&error))?;
                let plan = caller.plan(query).await.map_err(|error| wire_error(&error))?;
                let parameters = parameters_of(&plan, types)?;
                Some((plan, parameters))
            }
        };
        Ok(Some(Prepared { command, plan }))
    }

    fn get_parameter_types(&self, statement: &Self::Statement) -> PgWireResult<Vec<Type>> {
        let parameters = statement.plan.as_ref().map(|(_, parameters)| parameters.as_slice()).unwrap_or_default();
        Ok(parameters.iter().map(|parameter| parameter.wire.clone()).collect())
    }

    fn get_result_schema(&self, statement: &Self::Statement, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        match (&statement.command, &statement.plan) {
            (Command::Query(_), Some((plan, _))) => {
                arrow_schema_to_pg_fields(plan.schema().as_arrow(), format.unwrap_or(&Format::UnifiedText), None)
            }
            (Command::Show(name), _) => Ok(setting_fields(name)),
            _ => Ok(Vec::new()),
        }
    }
}

/// The connection as its own parser and handler of prepared statements.
pub(crate) struct Extended(pub(crate) Arc<Connection>);

#[async_trait]
impl ExtendedQueryHandler for Extended {
    type Statement = Prepared;
    type QueryParser = Connection;

    fn query_parser(&self) -> Arc<Self::QueryParser> {
        Arc::clone(&self.0)
    }

    async fn on_parse<C>(&self, client: &mut C, message: Parse) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.clone().unwrap_or_else(|| DEFAULT_NAME.to_owned());
        let stored = StoredStatement::parse(client, &message, self.query_parser()).await?;
        let too_many = {
            let mut prepared = self.0.prepared.lock().unwrap_or_else(PoisonError::into_inner);
            prepared.len() >= PREPARED_MAX && !prepared.contains(&name) || {
                prepared.insert(name.clone());
                false
            }
        };
        if too_many {
            let message = format!("{PREPARED_MAX} statements are prepared here, which is the limit: close some");
            return Err(wire_error(&SqlError::Query { message, sqlstate: "53400" }));
        }
        match stored {
            Some(stored) => client.portal_store().put_statement(Arc::new(stored)),
            None => client.portal_store().put_empty_statement(&name),
        }
        client.feed(PgWireBackendMessage::ParseComplete(ParseComplete::new())).await?;
        Ok(())
    }

    async fn on_close<C>(&self, client: &mut C, message: Close) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        if message.target_type == TARGET_TYPE_BYTE_STATEMENT {
            self.0.prepared.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
            client.portal_store().rm_statement(name);
        } else {
            client.portal_store().rm_portal(name);
        }
        client.feed(PgWireBackendMessage::CloseComplete(CloseComplete::new())).await?;
        Ok(())
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Self::Statement>,
        _max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let Prepared { command, plan } = portal.statement.statement.clone();
        let plan = match plan {
            None => None,
            Some((plan, parameters)) if parameters.is_empty() => Some(plan),
            Some((plan, parameters)) => {
                let values = values_of(portal, &parameters)?;
                let bound = plan.replace_params_with_values(&values);
                Some(bound.map_err(|error| {
                    wire_error(&SqlError::Query {
                        message: crate::error::sentence(&error.to_string()),
                        sqlstate: "22023",
                    })
                })?)
            }
        };
        self.0.respond(client, command, plan, &portal.result_column_format).await
    }
}
