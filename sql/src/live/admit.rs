//! The gate behind history's files: lets through the rows that a caller may see, up to an epoch.
//!
//! ```text
//!   files, tail ─▶ Admit { dealers, epoch } ─▶ everything else
//! ```
//! It is closed to the optimiser: no predicate of a query is ever evaluated below it, so not even an error message can tell of a row
//! that the caller may not see.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::StreamExt;

use crate::access::{Access, Dealers};

/// Lets rows through by dealer and epoch.
#[derive(Debug)]
pub(crate) struct Admit {
    input: Arc<dyn ExecutionPlan>,
    gate: Arc<Gate>,
    properties: Arc<PlanProperties>,
}

#[derive(Debug)]
struct Gate {
    access: Arc<Access>,
    epoch_max: i64,
    /// Place of the dealer and of the epoch among the input's columns.
    dealer: usize,
    epoch: usize,
    /// The columns that go on.
    projection: Vec<usize>,
    schema: SchemaRef,
}

impl Admit {
    /// A gate over `input`, whose columns at `dealer` and `epoch` are a text and an integer; `projection` are the columns that go on.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        access: Arc<Access>,
        epoch_max: i64,
        (dealer, epoch): (usize, usize),
        projection: Vec<usize>,
    ) -> Result<Self> {
        let schema = Arc::new(input.schema().project(&projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            input.output_partitioning().clone(),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let gate = Arc::new(Gate { access, epoch_max, dealer, epoch, projection, schema });
        Ok(Admit { input, gate, properties: Arc::new(properties) })
    }
}

impl Gate {
    fn admit(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let (dealers, epochs) = (batch.column(self.dealer), batch.column(self.epoch));
        let (Some(dealers), Some(epochs)) = (dealers.as_string_opt::<i32>(), epochs.as_primitive_opt::<Int64Type>())
        else {
            return Err(DataFusionError::Internal(
                "history's dealers are no text, or its epochs no integers".to_owned(),
            ));
        };
        let is_seen = |row: usize| {
            let is_owned = dealers.is_valid(row);
            match &self.access.dealers {
                Dealers::All => is_owned || self.access.sees_system(),
                Dealers::Only(only) => is_owned && only.contains(dealers.value(row)),
            }
        };
        let admitted: BooleanArray =
            (0..batch.num_rows()).map(|row| Some(epochs.value(row) <= self.epoch_max && is_seen(row))).collect();
        Ok(filter_record_batch(&batch.project(&self.projection)?, &admitted)?)
    }
}

impl DisplayAs for Admit {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "Admit: epoch<={}", self.gate.epoch_max)
    }
}

impl ExecutionPlan for Admit {
    fn name(&self) -> &'static str {
        "Admit"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else {
            return Err(DataFusionError::Internal("the gate behind history lost its input".to_owned()));
        };
        let Gate { access, epoch_max, dealer, epoch, projection, .. } = self.gate.as_ref();
        let admit = Admit::new(input, Arc::clone(access), *epoch_max, (*dealer, *epoch), projection.clone())?;
        Ok(Arc::new(admit))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let gate = Arc::clone(&self.gate);
        let schema = Arc::clone(&gate.schema);
        let admitted = self.input.execute(partition, context)?.map(move |batch| gate.admit(&batch?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, admitted)))
    }
}
