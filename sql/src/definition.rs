//! What a caller says about its tables and where their files lie.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// A column as users see it.
#[derive(Clone, Debug)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// What it means.
    pub comment: String,
    /// Whether the table's view computes it; files do not hold it.
    pub computed: bool,
}

/// A table.
#[derive(Clone, Debug)]
pub struct TableDefinition {
    /// Its name.
    pub name: String,
    /// What a row is.
    pub comment: String,
    /// Its columns, in the order users see.
    pub columns: Vec<ColumnDefinition>,
    /// Names of its key columns; null equals null among them.
    pub key: Vec<String>,
    /// The query over `stored.*` that gives the public table, where columns are computed.
    pub view: Option<String>,
    /// Whether it is a record of what came and has no present state: only schema `history` shows it, row by row.
    pub is_archive: bool,
    /// Whether rows are added and never changed or removed.
    pub only_grows: bool,
}

impl TableDefinition {
    /// The stored columns.
    pub fn stored(&self) -> impl Iterator<Item = &ColumnDefinition> {
        self.columns.iter().filter(|column| !column.computed)
    }

    /// The schema of its stored columns.
    pub fn stored_schema(&self) -> SchemaRef {
        let fields: Vec<Field> =
            self.stored().map(|column| Field::new(&column.name, column.data_type.clone(), true)).collect();
        Arc::new(Schema::new(fields))
    }

    /// Whether the table's files have a column `epoch` of its own.
    pub fn has_own_epoch(&self) -> bool {
        self.stored().any(|column| column.name == "epoch")
    }

    /// The schema of its files: the stored columns, the epoch of the version, what changed, and when.
    pub fn versions_schema(&self) -> SchemaRef {
        let mut fields: Vec<Field> =
            self.stored().map(|column| Field::new(&column.name, column.data_type.clone(), true)).collect();
        if !self.has_own_epoch() {
            fields.push(Field::new("epoch", DataType::Int64, false));
        }
        fields.push(Field::new("change", DataType::Utf8, false));
        fields.push(Field::new("changed_at", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false));
        Arc::new(Schema::new(fields))
    }
}

/// A visible file.
#[derive(Clone, Debug)]
pub struct FileEntry {
    /// The table.
    pub table: String,
    /// Where it lies.
    pub path: PathBuf,
}
