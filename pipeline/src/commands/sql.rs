//! `dealerflow sql`: queries over a replay's output folder, or over a running pipeline; without a query, a prompt.
//!
//! ```text
//!   --output DIR ─▶ session over files ─┐
//!   --url, or the configuration's ─▶ wire ┴─▶ answers ─▶ table, CSV, JSON          prompt: lines, history, completion, timing
//! ```

use std::io::{BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;

use sql::format::{Format, write};
use sql::{QueryResult, Session, SqlError};

use self::prompt::prompt;
use self::wire::WireClient;
use super::{CommandError, load_config};
use crate::config::Config;
use crate::replay::output::open_output;

mod prompt;
mod wire;

/// How the answer is written.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatName {
    /// Aligned columns
    Table,
    /// RFC 4180
    Csv,
    /// One array of objects
    Json,
}

/// Asks queries.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Output folder of a replay
    #[arg(long, value_name = "DIR", conflicts_with_all = ["url", "config"])]
    output: Option<PathBuf>,
    /// A running pipeline: postgres://USER:TOKEN@HOST:PORT/dealerflow
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    url: Option<String>,
    /// Configuration of the running pipeline that is asked if neither folder nor URL is given
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How the answer is written
    #[arg(long, value_enum, default_value = "table")]
    format: FormatName,
    /// The query; without one, a prompt, or what comes on standard input
    query: Option<String>,
}

/// Who answers.
enum Asked {
    Folder(Box<Session>),
    Pipeline(Box<WireClient>),
}

impl Asked {
    fn ask(&mut self, query: &str) -> Result<QueryResult, SqlError> {
        match self {
            Asked::Folder(session) => session.query_blocking(query),
            Asked::Pipeline(client) => client.query(query),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// If the folder holds no finished output, the pipeline is out of reach, or the query is wrong.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let mut asked = match (&arguments.output, &arguments.url) {
        (Some(output), _) => Asked::Folder(Box::new(open_output(output).map_err(CommandError::failed)?)),
        (None, Some(url)) => Asked::Pipeline(Box::new(WireClient::connect(url).map_err(CommandError::failed)?)),
        (None, None) => {
            let config = load_config(arguments.config.as_deref())?;
            Asked::Pipeline(Box::new(WireClient::connect_to(&parameters_of(&config)?).map_err(CommandError::failed)?))
        }
    };
    let format = match arguments.format {
        FormatName::Table => Format::Table,
        FormatName::Csv => Format::Csv,
        FormatName::Json => Format::Json,
    };
    match &arguments.query {
        Some(query) => show(&mut asked, query, format),
        None if std::io::stdin().is_terminal() => prompt(&mut asked, format),
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(CommandError::failed)?;
            statements(&text).iter().try_for_each(|statement| show(&mut asked, statement, format))
        }
    }
}

/// How the pipeline of a configuration is reached from this machine: as its first token, if it has one.
fn parameters_of(config: &Config) -> Result<tokio_postgres::Config, CommandError> {
    let mut listen = config.sql.listen;
    if listen.ip().is_unspecified() {
        listen.set_ip(if listen.is_ipv6() {
            std::net::Ipv6Addr::LOCALHOST.into()
        } else {
            std::net::Ipv4Addr::LOCALHOST.into()
        });
    }
    let mut parameters = tokio_postgres::Config::new();
    parameters.host(listen.ip().to_string()).port(listen.port()).dbname("dealerflow").user("dealerflow");
    if let Some(token) = config.security.token.first() {
        let file = &token.token_file;
        let secret = std::fs::read_to_string(file).map_err(|error| {
            CommandError::failed(format!(
                "the token in {} cannot be read ({error}): name the pipeline by --url",
                file.display()
            ))
        })?;
        parameters.user(token.user()).password(secret.trim());
    }
    Ok(parameters)
}

/// Asks one query and prints the answer.
fn show(asked: &mut Asked, query: &str, format: Format) -> Result<(), CommandError> {
    let result = asked.ask(query).map_err(CommandError::failed)?;
    print(&result, format)
}

fn print(result: &QueryResult, format: Format) -> Result<(), CommandError> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    match write(format, result, &mut out).and_then(|()| Ok(out.flush()?)) {
        // A reader that has seen enough, such as `head`, is no failure.
        Err(SqlError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(CommandError::failed),
    }
}

/// The statements of a text, cut at semicolons outside quotes and comments.
fn statements(text: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let (mut quote, mut comment) = (None, false);
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        match (quote, letter) {
            _ if comment => comment = letter != '\n',
            (None, '-') if rest.peek() == Some(&'-') => comment = true,
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), close) if open == close => quote = None,
            (None, ';') => {
                statements.push(String::new());
                continue;
            }
            _ => {}
        }
        if !comment && let Some(statement) = statements.last_mut() {
            statement.push(letter);
        }
    }
    statements.retain(|statement| !statement.trim().is_empty());
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_where_statements_end() {
        let cut = |text: &str| statements(text).iter().map(|part| part.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(cut("select 1; select ';', \"a;b\" -- c;d\n; "), ["select 1", "select ';', \"a;b\""]);
        assert_eq!(cut("select 'it''s;'"), ["select 'it''s;'"]);
        assert!(cut(" ;\n-- nothing\n;").is_empty());
    }
}
