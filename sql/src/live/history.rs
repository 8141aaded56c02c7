//! The history's files, as the tables of one manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;

use crate::definition::{FileEntry, TableDefinition};

/// The versions of every table that lie in files.
#[derive(Debug, Default)]
pub(crate) struct HistoryFiles {
    /// The files hold everything up to this epoch.
    pub(crate) epoch_last: Option<i64>,
    /// By the place of the definition; none for a table without files.
    pub(crate) tables: Vec<Option<Arc<ListingTable>>>,
}

impl HistoryFiles {
    /// The tables of files.
    ///
    /// # Errors
    /// If a file cannot be named.
    pub(crate) fn open(
        definitions: &[TableDefinition],
        files: &[FileEntry],
        epoch_last: Option<i64>,
    ) -> Result<Self, DataFusionError> {
        let mut by_table: BTreeMap<&str, Vec<ListingTableUrl>> = BTreeMap::new();
        for file in files {
            by_table.entry(&file.table).or_default().push(ListingTableUrl::parse(file.path.to_string_lossy())?);
        }
        let table = |definition: &TableDefinition| -> Result<Option<Arc<ListingTable>>, DataFusionError> {
            let Some(urls) = by_table.remove(definition.name.as_str()) else { return Ok(None) };
            let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
            let config = ListingTableConfig::new_with_multi_paths(urls)
                .with_listing_options(options)
                .with_schema(definition.versions_schema());
            Ok(Some(Arc::new(ListingTable::try_new(config)?)))
        };
        let tables = definitions.iter().map(table).collect::<Result<Vec<_>, _>>()?;
        Ok(HistoryFiles { epoch_last, tables })
    }
}
