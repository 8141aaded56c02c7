//! What a statement is: a query, or a command that the connection itself answers.

use datafusion::logical_expr::sqlparser::ast::{
    CopyOption, CopySource, CopyTarget, Ident, ObjectName, ObjectType, Reset, Set, Statement,
};
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;

use crate::error::SqlError;

/// A statement, as the connection meets it.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Answered by the engine.
    Query(Box<Statement>),
    /// `BEGIN`: reading needs no transaction, so that it begins and ends in name only.
    Begin,
    /// `COMMIT` and `ROLLBACK`, by their tag.
    End(&'static str),
    /// `SET name = value`.
    Set { name: String, value: String },
    /// `RESET name`, or all.
    Reset(Option<String>),
    /// `SHOW name`.
    Show(String),
    /// `CREATE VIEW`.
    CreateView { name: String, query: String, replace: bool },
    /// `DROP VIEW`.
    DropView { names: Vec<String>, if_exists: bool },
    /// `COPY … TO STDOUT`.
    Copy { query: Box<Statement>, options: CopyOptions },
    /// What needs nothing done, by its tag.
    Nothing(&'static str),
}

/// How `COPY` writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyOptions {
    pub(crate) format: CopyFormat,
    pub(crate) header: bool,
    pub(crate) delimiter: Option<char>,
    pub(crate) null: Option<String>,
}

/// The formats of `COPY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CopyFormat {
    Text,
    Csv,
    Binary,
}

/// Settings that `SHOW` must not leave to the engine, which does not know them.
const OWN_SETTINGS: [&str; 15] = [
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "extra_float_digits",
    "intervalstyle",
    "max_identifier_length",
    "search_path",
    "server_version",
    "server_version_num",
    "standard_conforming_strings",
    "statement_timeout",
    "timezone",
    "transaction_isolation",
];

fn refused(message: impl Into<String>, sqlstate: &'static str) -> SqlError {
    SqlError::Query { message: message.into(), sqlstate }
}

/// How psql asks for a table's storage options, which none of ours has; the engine does not know arrays of subqueries.
const PSQL_STORAGE: &str = "pg_catalog.array_to_string(c.reloptions || array(select 'toast.' || x from \
                            pg_catalog.unnest(tc.reloptions) x), ', ')";

/// Splits a text into statements.
pub(crate) fn parse(parser: &PostgresCompatibilityParser, sql: &str) -> Result<Vec<Statement>, SqlError> {
    let wrong = |error: datafusion::logical_expr::sqlparser::parser::ParserError| {
        let message = error.to_string();
        let message = message.strip_prefix("sql parser error: ").unwrap_or(&message);
        refused(format!("this is no SQL: {message}"), "42601")
    };
    parser.parse(&sql.replace(PSQL_STORAGE, "''")).map_err(wrong)
}

/// The one statement of a text.
pub(crate) fn parse_one(sql: &str) -> Result<Statement, SqlError> {
    let mut statements = parse(&PostgresCompatibilityParser::new(), sql)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(refused("the query is empty", "42601")),
        (Some(_), false) => Err(refused("more than one statement: send them one by one", "42601")),
    }
}

/// What a statement is.
pub(crate) fn command_of(statement: Statement) -> Result<Command, SqlError> {
    Ok(match statement {
        Statement::StartTransaction { .. } => Command::Begin,
        Statement::Commit { .. } => Command::End("COMMIT"),
        Statement::Rollback { .. } => Command::End("ROLLBACK"),
        Statement::Set(set) => set_of(set)?,
        Statement::Reset(reset) => match reset.reset {
            Reset::ALL => Command::Reset(None),
            Reset::ConfigurationParameter(name) => Command::Reset(Some(name.to_string().to_lowercase())),
        },
        Statement::ShowVariable { variable } => show_of(variable),
        Statement::CreateView(view) => {
            if view.materialized || view.temporary || !view.columns.is_empty() {
                return Err(refused("only plain views are kept: CREATE VIEW name AS SELECT …", "0A000"));
            }
            let (name, query) = (own_name(&view.name)?, view.query.to_string());
            Command::CreateView { name, query, replace: view.or_replace }
        }
        Statement::Drop { object_type: ObjectType::View, if_exists, names, .. } => {
            let names = names.iter().map(own_name).collect::<Result<Vec<_>, _>>()?;
            Command::DropView { names, if_exists }
        }
        Statement::Copy { source, to: true, target: CopyTarget::Stdout, options, legacy_options, .. } => {
            if !legacy_options.is_empty() {
                return Err(refused("COPY takes its options in parentheses: WITH (FORMAT csv, HEADER true)", "0A000"));
            }
            Command::Copy { query: Box::new(copied(source)?), options: copy_options(options)? }
        }
        Statement::Copy { .. } => return Err(SqlError::ReadOnly),
        Statement::Discard { .. } => Command::Nothing("DISCARD ALL"),
        Statement::Deallocate { .. } => Command::Nothing("DEALLOCATE"),
        Statement::UNLISTEN { .. } => Command::Nothing("UNLISTEN"),
        other => Command::Query(Box::new(other)),
    })
}

fn set_of(set: Set) -> Result<Command, SqlError> {
    match set {
        Set::SingleAssignment { variable, values, .. } => {
            let values: Vec<String> = values.iter().map(|value| unquoted(&value.to_string())).collect();
            Ok(Command::Set { name: variable.to_string().replace('"', "").to_lowercase(), value: values.join(", ") })
        }
        Set::SetTimeZone { value, .. } => {
            Ok(Command::Set { name: "timezone".to_owned(), value: unquoted(&value.to_string()) })
        }
        Set::SetNames { charset_name, .. } => {
            Ok(Command::Set { name: "client_encoding".to_owned(), value: unquoted(&charset_name.to_string()) })
        }
        // Every transaction reads one epoch for each query, whatever it asks for.
        Set::SetTransaction { .. } | Set::SetSessionParam(_) => Ok(Command::Nothing("SET")),
        other => Err(refused(format!("SET {other} is not known here"), "0A000")),
    }
}

fn show_of(variable: Vec<Ident>) -> Command {
    let name = variable.iter().map(|part| part.value.to_lowercase()).collect::<Vec<_>>().join(".");
    let name = match name.as_str() {
        "time.zone" => "timezone".to_owned(),
        "transaction.isolation.level" => "transaction_isolation".to_owned(),
        _ => name,
    };
    if OWN_SETTINGS.contains(&name.as_str()) || name.starts_with("dealerflow.") {
        Command::Show(name)
    } else {
        Command::Query(Box::new(Statement::ShowVariable { variable }))
    }
}

fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let inner = inner.or_else(|| value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')));
    inner.map_or_else(|| value.to_owned(), |inner| inner.replace("''", "'"))
}

/// The name of a view: views lie in schema public alone.
fn own_name(name: &ObjectName) -> Result<String, SqlError> {
    let parts: Vec<String> = name.0.iter().map(ToString::to_string).collect();
    let folded = |part: &str| match part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => part.to_lowercase(),
    };
    match parts.as_slice() {
        [view] => Ok(folded(view)),
        [schema, view] if folded(schema) == "public" => Ok(folded(view)),
        _ => Err(refused("views lie in schema public: leave the schema out", "3F000")),
    }
}

fn copied(source: CopySource) -> Result<Statement, SqlError> {
    match source {
        CopySource::Query(query) => Ok(Statement::Query(query)),
        CopySource::Table { table_name, columns } => {
            let columns = columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let columns = if columns.is_empty() { "*".to_owned() } else { columns };
            parse_one(&format!("select {columns} from {table_name}"))
        }
    }
}

fn copy_options(options: Vec<CopyOption>) -> Result<CopyOptions, SqlError> {
    let mut own = CopyOptions { format: CopyFormat::Text, header: false, delimiter: None, null: None };
    for option in options {
        match option {
            CopyOption::Format(format) => {
                own.format = match format.value.to_lowercase().as_str() {
                    "text" => CopyFormat::Text,
                    "csv" => CopyFormat::Csv,
                    "binary" => CopyFormat::Binary,
                    other => return Err(refused(format!("COPY writes text, csv or binary, not {other}"), "22023")),
                }
            }
            CopyOption::Header(header) => own.header = header,
            CopyOption::Delimiter(delimiter) => own.delimiter = Some(delimiter),
            CopyOption::Null(null) => own.null = Some(null),
            CopyOption::Encoding(encoding) if encoding.eq_ignore_ascii_case("utf8") => {}
            other => return Err(refused(format!("COPY does not take the option {other}"), "0A000")),
        }
    }
    Ok(own)
}

/// The first word of a query, which its tag names.
pub(crate) fn tag_of(statement: &Statement) -> &'static str {
    match statement {
        Statement::Explain { .. } | Statement::ExplainTable { .. } => "EXPLAIN",
        Statement::ShowVariable { .. } | Statement::ShowTables { .. } | Statement::ShowColumns { .. } => "SHOW",
        _ => "SELECT",
    }
}
