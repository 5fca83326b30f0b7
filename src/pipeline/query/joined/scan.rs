//! The scan of a dataset with public columns beside it, batch after batch: which rows stay, how often, and what
//! stands beside them. Where no key has several rows, which is usual, batches go by as they came.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::StreamExt;

use super::lookup::{Lookup, NONE, Recent};
use super::{Beside, Origin};
use crate::error::{Code, Context as _, Error, Result};
use crate::pipeline::query::view::outward;

/// How many rows a batch has at most.
const BATCH_ROWS: usize = 8192;

/// What is done with each batch of the dataset.
pub(super) struct Work {
    pub(super) lookups: Vec<Arc<Lookup>>,
    pub(super) beside: Vec<Beside>,
    /// By lookup: where its keys stand in the batch.
    pub(super) keys: Vec<Vec<usize>>,
    pub(super) columns: Vec<Origin>,
    pub(super) schema: SchemaRef,
}

/// The scan of a dataset with public columns beside it.
#[derive(Clone)]
pub(super) struct JoinedScan {
    input: Arc<dyn ExecutionPlan>,
    work: Arc<Work>,
    properties: Arc<PlanProperties>,
}

impl JoinedScan {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, work: Arc<Work>) -> Self {
        // PRIVACY: nothing is said of the values: no order, no bounds, no count.
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&work.schema)),
            datafusion::physical_expr::Partitioning::UnknownPartitioning(
                input.output_partitioning().partition_count(),
            ),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, work, properties: Arc::new(properties) }
    }

    fn over(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next();
        let none = || DataFusionError::Internal("a join without its dataset".to_owned());
        Ok(Arc::new(Self::new(input.ok_or_else(none)?, Arc::clone(&self.work))))
    }
}

impl fmt::Debug for JoinedScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinedScan")
            .field("lookups", &self.work.lookups.len())
            .finish_non_exhaustive()
    }
}

impl DisplayAs for JoinedScan {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl ExecutionPlan for JoinedScan {
    fn name(&self) -> &str {
        "JoinedScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _see: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        self.over(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        self.over(children)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let recent = self.work.lookups.iter().map(|lookup| lookup.index.recent()).collect();
        let rows = JoinedRows { input, work: Arc::clone(&self.work), recent, cursor: None };
        let stream = futures::stream::unfold(rows, |mut rows| async move {
            let next = rows.next().await.transpose()?;
            Some((next, rows))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.work.schema), stream)))
    }
}

/// The rows of one partition.
struct JoinedRows {
    input: SendableRecordBatchStream,
    work: Arc<Work>,
    /// By lookup, then by key.
    recent: Vec<Vec<Recent>>,
    cursor: Option<Cursor>,
}

/// A batch of the dataset on its way out.
struct Cursor {
    batch: RecordBatch,
    /// By lookup, then by row: the code of its key.
    codes: Vec<Vec<u32>>,
    /// The row that is next, and which of its combinations.
    row: usize,
    at: usize,
}

impl JoinedRows {
    async fn next(&mut self) -> EngineResult<Option<RecordBatch>> {
        loop {
            if let Some(cursor) = &mut self.cursor {
                match cursor.chunk(&self.work).map_err(outward)? {
                    Some(chunk) => return Ok(Some(chunk)),
                    None => self.cursor = None,
                }
            }
            let Some(batch) = self.input.next().await.transpose()? else { return Ok(None) };
            self.cursor = Some(self.looked_up(batch).map_err(outward)?);
        }
    }

    fn looked_up(&mut self, batch: RecordBatch) -> Result<Cursor> {
        let mut codes = Vec::new();
        let parts = self.work.lookups.iter().zip(&self.work.keys).zip(&mut self.recent);
        for ((lookup, keys), recent) in parts {
            let columns = keys.iter().map(|at| {
                let column = batch.columns().get(*at);
                column.ok_or_else(|| Error::new(Code::Internal, "a key of a join is not read"))
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            codes.push(lookup.index.codes(&columns, recent)?);
        }
        Ok(Cursor { batch, codes, row: 0, at: 0 })
    }
}

impl Cursor {
    /// The next rows; nothing where the batch is over.
    fn chunk(&mut self, work: &Work) -> Result<Option<RecordBatch>> {
        while self.row < self.batch.num_rows() {
            let single = work.lookups.iter().all(|lookup| lookup.most() == 1);
            let found = if single { self.single(work) } else { self.several(work) };
            if found.rows > 0 {
                return found.put_together(&self.batch, work).map(Some);
            }
        }
        Ok(None)
    }

    /// All rows that stay, where none has more than one match.
    fn single(&mut self, work: &Work) -> Found {
        let rows = self.batch.num_rows();
        self.row = rows;
        let needed = || work.lookups.iter().zip(&self.codes).filter(|(lookup, _)| !lookup.keeps);
        let stays = |row: u32| {
            needed().all(|(_, codes)| codes.get(row as usize).is_some_and(|code| *code != NONE))
        };
        let whole = needed().all(|(_, codes)| !codes.contains(&NONE));
        let dataset = (!whole).then(|| (0..).take(rows).filter(|row| stays(*row)).collect());
        let public = work.lookups.iter().zip(&self.codes).map(|(lookup, codes)| {
            let row = |code: &u32| match *code {
                NONE => NONE,
                code => lookup.index.row(lookup.index.place(code).0 as usize),
            };
            match &dataset {
                None => codes.iter().map(row).collect(),
                Some(stay) => {
                    let stay: &Vec<u32> = stay;
                    stay.iter().filter_map(|at| codes.get(*at as usize)).map(row).collect()
                }
            }
        });
        let public = public.collect();
        let rows = dataset.as_ref().map_or(rows, Vec::len);
        Found { rows, dataset, public }
    }

    /// The next rows, each as often as it has combinations of matches.
    fn several(&mut self, work: &Work) -> Found {
        let mut dataset: Vec<u32> = Vec::new();
        let mut public: Vec<Vec<u32>> = vec![Vec::new(); work.lookups.len()];
        while self.row < self.batch.num_rows() && dataset.len() < BATCH_ROWS {
            let place = |(lookup, codes): (&Arc<Lookup>, &Vec<u32>)| {
                lookup.index.place(codes.get(self.row).copied().unwrap_or(NONE))
            };
            let matches: Vec<(u32, u32)> =
                work.lookups.iter().zip(&self.codes).map(place).collect();
            let ways = |(lookup, (_, len)): (&Arc<Lookup>, &(u32, u32))| match (*len, lookup.keeps)
            {
                (0, true) => 1,
                (len, _) => len as usize,
            };
            let all: usize = work.lookups.iter().zip(&matches).map(ways).product();
            while self.at < all && dataset.len() < BATCH_ROWS {
                let mut rest = self.at;
                for ((lookup, found), out) in work.lookups.iter().zip(&matches).zip(&mut public) {
                    let own = ways((lookup, found));
                    let (start, len) = *found;
                    let at = start as usize + rest % own;
                    rest /= own;
                    out.push(if len == 0 { NONE } else { lookup.index.row(at) });
                }
                dataset.push(u32::try_from(self.row).unwrap_or(u32::MAX));
                self.at += 1;
            }
            if self.at >= all {
                (self.row, self.at) = (self.row + 1, 0);
            }
        }
        Found { rows: dataset.len(), dataset: Some(dataset), public }
    }
}

/// Rows of a join.
struct Found {
    rows: usize,
    /// Which rows of the dataset; without it all of the batch, in their order.
    dataset: Option<Vec<u32>>,
    /// By lookup: which rows of its table; [`NONE`] where there is none.
    public: Vec<Vec<u32>>,
}

impl Found {
    fn put_together(self, batch: &RecordBatch, work: &Work) -> Result<RecordBatch> {
        let failed = || "rows of a join cannot be put together".to_owned();
        let lost = || Error::new(Code::Internal, "a column of a join is not there");
        let Self { rows, dataset, public } = self;
        let dataset = dataset.map(UInt32Array::from);
        let found = |at: usize| public.get(at).ok_or_else(lost);
        let mut columns: Vec<ArrayRef> = Vec::new();
        for part in &work.columns {
            let column = match *part {
                Origin::Dataset(at) => {
                    let column = batch.columns().get(at).ok_or_else(lost)?;
                    match &dataset {
                        None => Ok(Arc::clone(column)),
                        Some(places) => take(column, places, None),
                    }
                }
                Origin::Public(at, column) => {
                    let lookup = work.lookups.get(at).ok_or_else(lost)?;
                    let column = lookup.public.rows.columns().get(column).ok_or_else(lost)?;
                    take(column, &places(found(at)?), None)
                }
                Origin::Beside(at) => {
                    let beside = work.beside.get(at).ok_or_else(lost)?;
                    let mut sums = vec![0; rows];
                    for (part, lookup) in beside.numbers.parts.iter().zip(&beside.lookups) {
                        for (sum, row) in sums.iter_mut().zip(found(*lookup)?) {
                            *sum += part.rows.get(*row as usize).unwrap_or(&part.none);
                        }
                    }
                    take(&beside.numbers.numbers, &UInt32Array::from(sums), None)
                }
            };
            columns.push(column.context(Code::Internal, failed)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&work.schema), columns, &options)
            .context(Code::Internal, failed)
    }
}

/// Places of rows, null where there is none.
fn places(rows: &[u32]) -> UInt32Array {
    match rows.contains(&NONE) {
        false => UInt32Array::from(rows.to_vec()),
        true => rows.iter().map(|row| Some(*row).filter(|row| *row != NONE)).collect(),
    }
}
