//! What plans scan: `stored.<table>` and `versions.<table>` of the snapshot that the execution is pinned to.
//!
//! ```text
//!   stored.<table>    in memory: chunks of the pinned version     only growing, or as of an epoch that memory let go: from versions
//!   versions.<table>  history's files and tail up to the pinned epoch, through the gate
//! ```

use std::sync::{Arc, OnceLock};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, col, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;

use super::LiveTables;
use super::admit::Admit;
use super::filter::{values_of, wanted_rows};
use super::pin::Pin;
use super::scan::LiveScan;
use crate::access::Dealers;

/// The present rows of a table, without computed columns.
#[derive(Debug)]
pub(crate) struct StoredTable {
    tables: Arc<LiveTables>,
    place: usize,
    schema: SchemaRef,
    /// The query over `versions.<table>` that gives the same from history.
    from_versions: OnceLock<LogicalPlan>,
}

impl StoredTable {
    pub(crate) fn new(tables: &Arc<LiveTables>, place: usize) -> Self {
        let schema = tables.definitions()[place].stored_schema();
        StoredTable { tables: Arc::clone(tables), place, schema, from_versions: OnceLock::new() }
    }

    /// Says how the rows are found in history. The first word holds.
    pub(crate) fn set_from_versions(&self, plan: LogicalPlan) {
        let _ = self.from_versions.set(plan);
    }

    /// From history, whose views need no projection of ours: the optimiser takes away what is not asked for.
    async fn scan_versions(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(plan) = self.from_versions.get() else {
            return Err(DataFusionError::Internal("history of a live table was not told".to_owned()));
        };
        let mut builder = LogicalPlanBuilder::from(plan.clone());
        if let Some(projection) = projection {
            let columns: Vec<Expr> =
                projection.iter().map(|place| Expr::from(plan.schema().qualified_field(*place))).collect();
            builder = builder.project(columns)?;
        }
        session.create_physical_plan(&builder.build()?).await
    }
}

#[async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let pin = Pin::of(session)?;
        let version = pin.snapshot.tables.get(self.place).and_then(Option::as_ref);
        let (Some(version), false) = (version, pin.from_history) else {
            return self.scan_versions(session, projection).await;
        };
        let definition = &self.tables.definitions()[self.place];
        let rows = wanted_rows(self.tables.codec(self.place), &definition.key, filters, &pin.access)?;
        let projection = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&projection)?);
        let partitions = session.config().target_partitions();
        Ok(Arc::new(LiveScan::new(&definition.name, version.select(&rows), projection, schema, partitions)))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let key = &self.tables.definitions()[self.place].key;
        let is_of_key =
            |filter: &&Expr| values_of(filter).is_some_and(|(column, _)| key.iter().any(|key| key == column));
        // What the index finds is filtered again above: a list may be longer than is looked up.
        let support = |filter: &&Expr| {
            if is_of_key(filter) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(support).collect())
    }
}

/// Every version of every row of a table, up to the pinned epoch.
#[derive(Debug)]
pub(crate) struct VersionsTable {
    place: usize,
    schema: SchemaRef,
}

impl VersionsTable {
    pub(crate) fn new(tables: &LiveTables, place: usize) -> Self {
        VersionsTable { place, schema: tables.definitions()[place].versions_schema() }
    }
}

#[async_trait]
impl TableProvider for VersionsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let pin = Pin::of(session)?;
        let wanted = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        // The gate needs dealer and epoch beside what is asked for.
        let (dealer, epoch) = (self.schema.index_of("dealer_id")?, self.schema.index_of("epoch")?);
        let mut read = wanted.clone();
        for needed in [dealer, epoch] {
            if !read.contains(&needed) {
                read.push(needed);
            }
        }
        let place_of = |column: usize| read.iter().position(|other| *other == column).unwrap_or(0);
        let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        let files = &pin.snapshot.files;
        if let Some(table) = files.tables.get(self.place).and_then(Option::as_ref) {
            // These alone go down to the files: they skip what the gate would stop, and can neither fail nor tell anything.
            let mut filters = vec![col("epoch").lt_eq(lit(pin.epoch()))];
            if let Dealers::Only(dealers) = &pin.access.dealers {
                filters
                    .push(col("dealer_id").in_list(dealers.iter().map(|dealer| lit(dealer.as_str())).collect(), false));
            }
            inputs.push(table.scan(session, Some(&read), &filters, None).await?);
        }
        let after = files.epoch_last.unwrap_or(i64::MIN);
        let tail = pin.snapshot.tail.after(after).flat_map(|changes| &changes.tables);
        let tail: Vec<_> =
            tail.filter(|(place, _)| *place == self.place).map(|(_, versions)| versions.clone()).collect();
        if !tail.is_empty() || inputs.is_empty() {
            inputs.push(MemorySourceConfig::try_new_exec(&[tail], Arc::clone(&self.schema), Some(read.clone()))?);
        }
        let input = match inputs.len() {
            1 => inputs.remove(0),
            _ => UnionExec::try_new(inputs)?,
        };
        let projection = wanted.iter().map(|column| place_of(*column)).collect();
        let gate = (place_of(dealer), place_of(epoch));
        Ok(Arc::new(Admit::new(input, Arc::clone(&pin.access), pin.epoch(), gate, projection)?))
    }
}
