//! The scan of a live table: chunks of one version, cut to the rows that are wanted.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
};

use super::table::Selection;

/// Rows of one partition at least: fewer are not worth a thread of their own.
const PARTITION_ROWS_MIN: usize = 16_384;

/// Reads selected rows of one version of a table.
#[derive(Debug)]
pub(crate) struct LiveScan {
    table: String,
    partitions: Vec<Vec<Selection>>,
    rows: usize,
    projection: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl LiveScan {
    /// A scan of `selections`, in up to `partitions_max` parts. `schema` is that of the projection.
    pub(crate) fn new(
        table: &str,
        selections: Vec<Selection>,
        projection: Vec<usize>,
        schema: SchemaRef,
        partitions_max: usize,
    ) -> Self {
        let rows: usize = selections.iter().map(Selection::rows).sum();
        let count = (rows / PARTITION_ROWS_MIN).clamp(1, partitions_max.max(1));
        let mut partitions: Vec<(usize, Vec<Selection>)> = vec![(0, Vec::new()); count];
        for selection in selections {
            if let Some((rows, part)) = partitions.iter_mut().min_by_key(|(rows, _)| *rows) {
                *rows += selection.range.len();
                part.push(selection);
            }
        }
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(count),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        LiveScan {
            table: table.to_owned(),
            partitions: partitions.into_iter().map(|(_, part)| part).collect(),
            rows,
            projection,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for LiveScan {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "LiveScan: table={}, rows={}", self.table, self.rows)
    }
}

impl ExecutionPlan for LiveScan {
    fn name(&self) -> &'static str {
        "LiveScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let selections = self.partitions.get(partition).cloned().unwrap_or_default();
        let projection = self.projection.clone();
        let batches = selections.into_iter().map(move |selection| -> Result<RecordBatch> {
            selection.batch(&projection).map_err(DataFusionError::from)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), futures::stream::iter(batches))))
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let of_partition = |part: &Vec<Selection>| part.iter().map(Selection::rows).sum();
        let rows = match args.partition() {
            Some(partition) => self.partitions.get(partition).map_or(0, of_partition),
            None => self.rows,
        };
        Ok(Arc::new(Statistics {
            num_rows: Precision::Exact(rows),
            total_byte_size: Precision::Absent,
            column_statistics: vec![ColumnStatistics::new_unknown(); self.projection.len()],
        }))
    }
}
