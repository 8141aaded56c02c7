//! The prompt: statements over several lines, history, completion of tables, columns and words, and the time that each answer took.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Instant;

use arrow::array::AsArray;
use reedline::{
    ColumnarMenu, DefaultCompleter, Emacs, FileBackedHistory, KeyCode, KeyModifiers, MenuBuilder, Prompt,
    PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, Signal, ValidationResult, Validator,
    default_emacs_keybindings,
};
use sql::format::Format;

use super::{Asked, print, statements};
use crate::commands::CommandError;

/// Lines that the history keeps.
const HISTORY_LINES_MAX: usize = 2_000;
/// Letters of a word before it is completed.
const COMPLETED_LETTERS_MIN: usize = 1;

/// Words of SQL worth completing.
const WORDS: [&str; 44] = [
    "and",
    "as",
    "between",
    "by",
    "case",
    "cast",
    "count",
    "dealerflow.as_of",
    "dealerflow.min_epoch",
    "dealerflow_epoch",
    "desc",
    "distinct",
    "else",
    "end",
    "exists",
    "explain",
    "from",
    "full",
    "group",
    "having",
    "history",
    "in",
    "inner",
    "interval",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "not",
    "null",
    "on",
    "or",
    "order",
    "over",
    "partition",
    "reset",
    "select",
    "set",
    "show",
    "sum",
    "union",
    "where",
    "with",
];

const HELP: &str = "\
statements end with a semicolon; \\q leaves, \\dt lists tables, \\d TABLE tells its columns, \\f table|csv|json chooses the format
set dealerflow.as_of = '2026-02-16T15:00:00Z'; shows the tables as they were; reset dealerflow.as_of; the present ones";

/// Where lines of earlier prompts are kept: with the user's other settings, not with the pipeline's data.
fn history_file() -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME")?);
    let state = std::env::var_os("XDG_STATE_HOME").map_or_else(|| home.join(".local/state"), PathBuf::from);
    Some(state.join("dealerflow/sql-history"))
}

/// Asks until the user has had enough.
pub(super) fn prompt(asked: &mut Asked, mut format: Format) -> Result<(), CommandError> {
    let mut editor = editor(asked);
    println!("dealerflow {}; \\? tells more", env!("CARGO_PKG_VERSION"));
    loop {
        let line = match editor.read_line(&Sign) {
            Ok(Signal::Success(line)) => line,
            Ok(Signal::CtrlC) => continue,
            Ok(_) => return Ok(()),
            Err(error) => return Err(CommandError::failed(format!("the terminal cannot be read: {error}"))),
        };
        let line = line.trim();
        if let Some(command) = line.strip_prefix('\\') {
            match command.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["q"] => return Ok(()),
                ["dt"] => answer(asked, "select table_name, comment from system.tables order by 1", format),
                ["d", table] => {
                    let table = table.replace('\'', "''");
                    let columns = "select column_name, data_type, comment from system.columns";
                    answer(asked, &format!("{columns} where table_name = '{table}'"), format);
                }
                ["f", "table"] => format = Format::Table,
                ["f", "csv"] => format = Format::Csv,
                ["f", "json"] => format = Format::Json,
                _ => println!("{HELP}"),
            }
            continue;
        }
        for statement in statements(line) {
            answer(asked, &statement, format);
        }
    }
}

/// Prints an answer and how long it took; an error is no reason to leave.
fn answer(asked: &mut Asked, statement: &str, format: Format) {
    let started = Instant::now();
    let outcome = asked.ask(statement).map_err(CommandError::failed);
    let took = started.elapsed();
    let outcome =
        outcome.and_then(|result| if result.schema.fields().is_empty() { Ok(()) } else { print(&result, format) });
    match outcome {
        Ok(()) => println!("{:.1} ms", took.as_secs_f64() * 1_000.0),
        Err(error) => eprintln!("{}", error.sentence),
    }
}

fn editor(asked: &mut Asked) -> Reedline {
    let mut words: Vec<String> = WORDS.iter().map(|word| (*word).to_owned()).collect();
    words.extend(names(asked));
    let mut completer = DefaultCompleter::with_inclusions(&['_', '.']).set_min_word_len(COMPLETED_LETTERS_MIN);
    completer.insert(words);
    let mut keys = default_emacs_keybindings();
    let complete = vec![ReedlineEvent::Menu("completion".to_owned()), ReedlineEvent::MenuNext];
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
    let menu = Box::new(ColumnarMenu::default().with_name("completion"));
    let editor = Reedline::create()
        .with_completer(Box::new(completer))
        .with_menu(ReedlineMenu::EngineCompleter(menu))
        .with_validator(Box::new(Statement))
        .with_edit_mode(Box::new(Emacs::new(keys)));
    let Some(file) = history_file() else { return editor };
    // Who cannot keep a history can still ask.
    match FileBackedHistory::with_file(HISTORY_LINES_MAX, file) {
        Ok(history) => editor.with_history(Box::new(history)),
        Err(_) => editor,
    }
}

/// Tables and columns.
fn names(asked: &mut Asked) -> Vec<String> {
    let sql = "select table_name from system.tables union select column_name from system.columns";
    let Ok(result) = asked.ask(sql) else { return Vec::new() };
    let texts = result.batches.iter().filter_map(|batch| batch.column(0).as_string_opt::<i32>());
    texts.flat_map(|texts| texts.iter().flatten().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// A line goes on until its statement ends.
struct Statement;

impl Validator for Statement {
    fn validate(&self, line: &str) -> ValidationResult {
        let line = line.trim();
        if line.is_empty() || line.starts_with('\\') || line.ends_with(';') {
            ValidationResult::Complete
        } else {
            ValidationResult::Incomplete
        }
    }
}

struct Sign;

impl Prompt for Sign {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed("dealerflow")
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("         -> ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("({}) ", search.term))
    }
}
