//! What a table is: declared once, and from that come the SQL schema, the Parquet schema, the JSON and the docs.

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// One of a list of words, kept as its position and shown as text.
    Word(&'static [&'static str]),
    /// 64-bit integer.
    Integer,
    /// Double.
    Double,
    /// Boolean.
    Boolean,
    /// Days since 1970-01-01.
    Date,
    /// UTC milliseconds since 1970-01-01.
    Timestamp,
    /// Bytes.
    Bytes,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in SQL.
    pub name: &'static str,
    /// Its type.
    pub column_type: ColumnType,
    /// Whether it is part of the key.
    pub key: bool,
    /// Whether few distinct values are expected, so that a dictionary pays.
    pub repetitive: bool,
    /// Whether it is computed at the queried epoch and never stored.
    pub computed: bool,
    /// What it means.
    pub comment: &'static str,
}

impl Column {
    pub(crate) const fn new(name: &'static str, column_type: ColumnType, comment: &'static str) -> Self {
        let repetitive = matches!(column_type, ColumnType::Word(_) | ColumnType::Boolean | ColumnType::Date);
        Column { name, column_type, key: false, repetitive, computed: false, comment }
    }

    pub(crate) const fn key(mut self) -> Self {
        self.key = true;
        self
    }

    pub(crate) const fn repetitive(mut self) -> Self {
        self.repetitive = true;
        self
    }

    pub(crate) const fn computed(mut self) -> Self {
        self.computed = true;
        self
    }
}

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Its name in SQL and in paths.
    pub name: &'static str,
    /// What a row is.
    pub comment: &'static str,
    /// Its columns, in the order users see. Key columns come first.
    pub columns: &'static [Column],
    /// The query over `stored.*` that gives the public table, where columns are computed.
    pub view: Option<&'static str>,
}

impl Table {
    /// The columns that rows hold.
    pub fn stored(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().filter(|column| !column.computed)
    }

    /// Number of key columns.
    pub fn keys(&self) -> usize {
        self.columns.iter().filter(|column| column.key).count()
    }
}
