//! A replay's output folder, opened for queries.
//!
//! ```text
//!   DIR/parquet/_manifests/… ─▶ files ─┐
//!   operators' table declarations ─────┴─▶ sql::Session at the manifest's last epoch
//! ```

use std::path::{Path, PathBuf};

use connectors::HistoryError;
use connectors::objects::Objects;
use connectors::parquet::{FOLDER, Manifest};
use operators::domain::table::Table;
use operators::domain::tables::{ARCHIVE, TableId};
use sql::{ColumnDefinition, FileEntry, Session, SessionOptions, SqlError, TableDefinition};

use crate::arrow_rows::data_type;

/// Memory that queries over an output folder may take, in bytes.
const QUERY_MEMORY_BYTES_MAX: usize = 2 << 30;

/// Why a folder cannot be queried.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// There is no folder.
    #[error("the output folder {path} does not exist; run `dealerflow replay --output {path}` first", path = path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// Its manifest cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A file that the manifest names is gone.
    #[error("{path} is missing, though the manifest names it: bring it back, or replay again with --overwrite", path = path.display())]
    FileMissing {
        /// The file.
        path: PathBuf,
    },
    /// Its tables cannot be opened.
    #[error(transparent)]
    Sql(#[from] SqlError),
}

/// The tables as the SQL layer sees them.
pub fn definitions() -> Vec<TableDefinition> {
    let definition = |(table, only_grows): (&'static Table, bool)| TableDefinition {
        name: table.name.to_owned(),
        comment: table.comment.to_owned(),
        columns: table
            .columns
            .iter()
            .map(|column| ColumnDefinition {
                name: column.name.to_owned(),
                data_type: data_type(column.column_type),
                comment: column.comment.to_owned(),
                computed: column.computed,
            })
            .collect(),
        key: table.columns.iter().filter(|column| column.key).map(|column| column.name.to_owned()).collect(),
        view: table.view.map(str::to_owned),
        only_grows,
        is_archive: table.name == ARCHIVE.name,
    };
    let tables = TableId::ALL.into_iter().map(|id| (id.table(), id.only_grows()));
    tables.chain([(&ARCHIVE, true)]).map(definition).collect()
}

/// Opens the outputs of a finished replay.
///
/// # Errors
/// If the folder is missing, holds no finished output, or its files cannot be read.
pub fn open_output(output: &Path) -> Result<Session, OutputError> {
    if !output.is_dir() {
        return Err(OutputError::Missing { path: output.to_owned() });
    }
    let manifest = Manifest::latest(&Objects::scratch_folder(output).map_err(HistoryError::from)?.below(FOLDER))?;
    let folder = output.join(FOLDER);
    let files: Vec<FileEntry> = manifest
        .tables
        .iter()
        .flat_map(|(table, files)| files.iter().map(move |file| (table, file)))
        .map(|(table, file)| FileEntry { table: table.clone(), path: folder.join(&file.path) })
        .collect();
    if let Some(missing) = files.iter().find(|file| !file.path.exists()) {
        return Err(OutputError::FileMissing { path: missing.path.clone() });
    }
    let options = SessionOptions {
        queried_epoch_ms: manifest.epoch_last,
        memory_bytes_max: QUERY_MEMORY_BYTES_MAX,
        timeout: None,
    };
    Ok(Session::open(definitions(), &files, &options)?)
}
