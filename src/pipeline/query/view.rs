//! One view as a table of the query engine: its scan gives the policy's output and nothing else. All
//! that a statement says is worked above it; what comes below are names of columns, a number of rows, and
//! filters on columns kept in clear, which only choose row groups (see [`super::prune`]).
//!
//! Columns of text and bytes are given as views, which the engine compares and hashes fastest; those
//! inside lists and structures stay plain, because many functions of the engine take nothing else there.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::Stream;

use super::logical::UNIT_COLUMN;
use super::run::Stop;
use super::{View, prune};
use crate::error::{Code, Context as _, Error, Result};
use crate::pipeline::rows::{Pick, Rows, Transformed};
use crate::pipeline::source::{Piece, split};
use crate::pipeline::stream::Pipeline;
use crate::policy::Access;

/// A view as a table.
#[derive(Clone)]
pub(super) struct ViewTable {
    pipeline: Arc<Pipeline>,
    view: View,
    schema: SchemaRef,
    picks: Vec<Pick>,
}

impl ViewTable {
    /// The table of a view. `with_unit` adds [`UNIT_COLUMN`] behind the columns that leave.
    pub(super) fn new(pipeline: Arc<Pipeline>, view: View, with_unit: bool) -> Self {
        let mut fields: Vec<Field> =
            view.plan.schema().fields().iter().map(|field| as_seen(field)).collect();
        let mut picks: Vec<Pick> = (0..fields.len()).map(Pick::Column).collect();
        if with_unit {
            fields.push(Field::new(UNIT_COLUMN, DataType::UInt64, true));
            picks.push(Pick::Unit);
        }
        Self { pipeline, view, schema: Arc::new(Schema::new(fields)), picks }
    }

    /// Whether all of it is read, whatever a statement says.
    ///
    /// PRIVACY: how long a noisy answer takes must not tell in which part of the files a condition holds.
    fn is_read_whole(&self) -> bool {
        matches!(self.view.plan.access(), Access::Dp(_))
    }

    /// What it shows.
    pub(super) const fn view(&self) -> &View {
        &self.view
    }
}

/// A field as the engine sees it.
pub(super) fn as_seen(field: &Field) -> Field {
    let kind = match field.data_type() {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        other => other.clone(),
    };
    field.clone().with_data_type(kind)
}

impl fmt::Debug for ViewTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewTable")
            .field("dataset", &self.view.plan.dataset())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for ViewTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let all = || (0..self.picks.len()).collect();
        let columns: Vec<usize> = projection.cloned().unwrap_or_else(all);
        let schema = Arc::new(self.schema.project(&columns)?);
        let picks = columns.iter().filter_map(|at| self.picks.get(*at)).copied().collect();
        let filters = if self.is_read_whole() { &[] } else { filters };
        let limit = limit.filter(|_| !self.is_read_whole());
        let shards = prune::remaining(&self.view, &self.schema, filters, session);
        let scan = ViewScan {
            pipeline: Arc::clone(&self.pipeline),
            view: self.view.clone(),
            picks,
            shards: shards.into(),
            partitions: Vec::new(),
            fetch: limit,
            properties: properties(schema, 1),
        };
        Ok(Arc::new(scan.parted(session.config().target_partitions())))
    }

    // PRIVACY: only what compares columns that leave as they are may choose what is read. All else would
    // be answered from raw statistics, and so tell of raw values. The filter itself stays above.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| {
            if !self.is_read_whole() && prune::is_clear(&self.view.plan, filter) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(answer).collect())
    }
}

/// The scan of a view: the leaf of every plan.
#[derive(Clone)]
pub(super) struct ViewScan {
    pipeline: Arc<Pipeline>,
    view: View,
    picks: Vec<Pick>,
    /// What is left to read of each of the view's shards.
    shards: Arc<[Vec<Piece>]>,
    partitions: Vec<Vec<Piece>>,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl ViewScan {
    /// The scan of one shard alone, in the order of its rows.
    pub(super) fn of_shard(&self, shard: u32) -> Result<Self> {
        let pieces = usize::try_from(shard).ok().and_then(|shard| self.shards.get(shard));
        let pieces = pieces
            .cloned()
            .ok_or_else(|| Error::new(Code::TicketStale, format!("there is no shard {shard}")))?;
        let mut scan = self.clone();
        scan.properties = properties(scan.schema(), 1);
        scan.partitions = vec![pieces];
        Ok(scan)
    }

    /// The scan of all shards in at most `partitions` parts of about equal work.
    fn parted(mut self, partitions: usize) -> Self {
        let pieces = self.shards.iter().flatten().cloned().collect();
        let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
        self.partitions = split(pieces, partitions).into_iter().map(|part| part.pieces).collect();
        self.properties = properties(self.schema(), self.partitions.len());
        self
    }

    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.partitions.iter().map(Vec::len).sum()
    }
}

fn properties(schema: SchemaRef, partitions: usize) -> Arc<PlanProperties> {
    // PRIVACY: nothing is said of the values: no order, no bounds, no count.
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

impl fmt::Debug for ViewScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewScan")
            .field("dataset", &self.view.plan.dataset())
            .field("picks", &self.picks)
            .field("partitions", &self.partitions.len())
            .finish_non_exhaustive()
    }
}

impl DisplayAs for ViewScan {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl ExecutionPlan for ViewScan {
    fn name(&self) -> &str {
        "ViewScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _see: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let pieces = self.partitions.get(partition).cloned().ok_or_else(|| {
            outward(Error::new(Code::Internal, format!("a view has no partition {partition}")))
        })?;
        let schema = self.schema();
        let stop = context.session_config().get_extension::<Stop>();
        let stream = ViewStream {
            scan: self.clone(),
            stage: Stage::Closed(pieces),
            stop,
            left: self.fetch,
            known: schema.fields().iter().map(|_| None).collect(),
            schema: Arc::clone(&schema),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn supports_limit_pushdown(&self) -> bool {
        false
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self { fetch: limit, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    // PRIVACY: no expression ever comes below the policy, also not one that is made while the query runs.
    fn handle_child_pushdown_result(
        &self,
        _phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _config: &datafusion::config::ConfigOptions,
    ) -> EngineResult<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::all_unsupported(result))
    }
}

/// The rows of one partition. Works where it is polled, one batch a poll; stops when it is dropped.
struct ViewStream {
    scan: ViewScan,
    stage: Stage,
    stop: Option<Arc<Stop>>,
    left: Option<usize>,
    /// Of each column: the dictionary that was met last, and its values as the engine sees them.
    known: Vec<Option<Known>>,
    schema: SchemaRef,
}

enum Stage {
    Closed(Vec<Piece>),
    Open(Box<Rows>),
    Over,
}

struct Known {
    values: ArrayRef,
    seen: ArrayRef,
}

impl ViewStream {
    /// The next batch; the inner `None` where there is none yet.
    fn next(&mut self) -> Result<Option<Option<RecordBatch>>> {
        if self.left == Some(0) {
            self.stage = Stage::Over;
        }
        let rows = match &mut self.stage {
            Stage::Over => return Ok(None),
            Stage::Open(rows) => rows,
            Stage::Closed(pieces) => {
                let pieces = std::mem::take(pieces);
                self.stage = Stage::Over;
                let rows = self.open(pieces)?;
                self.stage = Stage::Open(Box::new(rows));
                return Ok(Some(None));
            }
        };
        match rows.next()? {
            None => {
                self.stage = Stage::Over;
                Ok(None)
            }
            Some(batch) if batch.rows == 0 => Ok(Some(None)),
            Some(batch) => self.shaped(batch).map(|batch| Some(Some(batch))),
        }
    }

    /// Learning may take long and waits for others who learn the same: other work goes on elsewhere
    /// meanwhile.
    fn open(&self, pieces: Vec<Piece>) -> Result<Rows> {
        let ViewScan { pipeline, view, picks, .. } = &self.scan;
        let stop = || self.stop.as_ref().is_some_and(|stop| stop.is_asked());
        tokio::task::block_in_place(|| {
            Rows::open(pipeline, &view.plan, &view.snapshot, picks, pieces, &stop)
        })
    }

    fn shaped(&mut self, batch: Transformed) -> Result<RecordBatch> {
        let columns = batch
            .columns
            .iter()
            .zip(self.schema.fields())
            .zip(&mut self.known)
            .map(|((column, field), known)| shape(column, field.data_type(), known))
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|_| Error::new(Code::Internal, "a view's columns do not fit its schema"))?;
        let Some(left) = &mut self.left else { return Ok(batch) };
        let taken = batch.num_rows().min(*left);
        *left -= taken;
        Ok(batch.slice(0, taken))
    }
}

impl Stream for ViewStream {
    type Item = EngineResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // A join that finds no pair does not pause between batches, and so is not dropped meanwhile.
        if self.stop.as_ref().is_some_and(|stop| stop.is_over()) {
            self.stage = Stage::Over;
            let over = Error::new(Code::Cancelled, "nobody waits for the statement any more");
            return Poll::Ready(Some(Err(outward(over))));
        }
        match self.next() {
            Ok(Some(Some(batch))) => Poll::Ready(Some(Ok(batch))),
            Ok(Some(None)) => {
                task.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(None) => Poll::Ready(None),
            Err(error) => {
                self.stage = Stage::Over;
                Poll::Ready(Some(Err(outward(error))))
            }
        }
    }
}

/// A transformed column as the engine sees it. The texts of a dictionary are made views once and shared
/// by all rows; no text is copied.
fn shape(column: &ArrayRef, kind: &DataType, known: &mut Option<Known>) -> Result<ArrayRef> {
    let failed = || "a view's column has no such form".to_owned();
    let Some(dictionary) = column.as_any_dictionary_opt() else {
        if column.data_type() == kind {
            return Ok(Arc::clone(column));
        }
        return cast(column, kind).context(Code::Internal, failed);
    };
    let values = dictionary.values();
    let same = |known: &Known| known.values.to_data().ptr_eq(&values.to_data());
    let seen = match known.take().filter(same) {
        Some(known) => known,
        None => Known {
            values: Arc::clone(values),
            seen: cast(values, kind).context(Code::Internal, failed)?,
        },
    };
    let rows = take(&seen.seen, dictionary.keys(), None).context(Code::Internal, failed);
    *known = Some(seen);
    rows
}

/// An error of ours on its way through the engine.
pub(super) fn outward(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
