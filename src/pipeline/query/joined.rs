//! A dataset with columns of public tables beside its own: each row once for each of its matches. The public
//! tables are looked up, the dataset is read as it comes; nothing else is decided here.
//!
//! PRIVACY: all of the dataset is read, in its own order, whatever the public tables hold: nothing that is asked
//! of them goes below, no side is chosen by what is known of the data, and nothing here fails on a value.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::TableType;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::StreamExt;

use super::public::Public;
use super::view::outward;
use crate::error::{Code, Context as _, Error, Result};

/// How many rows a batch has at most.
const BATCH_ROWS: usize = 8192;

/// What a column of a public table is called beside those of the dataset: no statement can say it.
pub(in crate::pipeline) fn joined_name(table: &str, column: &str) -> String {
    format!("\0{table}\0{column}")
}

/// The public table and the column that a name of [`joined_name`] stands for.
pub(in crate::pipeline) fn public_name(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix('\0')?.split_once('\0')
}

/// One public table, made ready to be looked up.
#[derive(Debug)]
pub(in crate::pipeline) struct Lookup {
    /// The table.
    pub(in crate::pipeline) public: Arc<Public>,
    /// Whether rows without a match stay.
    pub(in crate::pipeline) keeps: bool,
    /// The dataset's column, that of the public table, and the type that both are compared in.
    pub(in crate::pipeline) keys: Vec<(String, String, DataType)>,
    index: Arc<Index>,
}

impl Lookup {
    /// A public table by its keys.
    ///
    /// # Errors
    /// [`Code::Internal`] for keys of types that were not checked.
    pub(in crate::pipeline) fn new(
        public: Arc<Public>,
        keeps: bool,
        keys: Vec<(String, String, DataType)>,
    ) -> Result<Self> {
        let by = keys.iter().map(|(_, public, kind)| (public.clone(), kind.clone())).collect();
        let index = public.index(by)?;
        Ok(Self { public, keeps, keys, index })
    }

    /// The most rows of one key, at least one.
    pub(in crate::pipeline) fn most(&self) -> usize {
        self.index.most
    }
}

/// The rows of a table by their keys.
#[derive(Debug)]
pub(super) struct Index {
    /// Columns, and the types that they are compared in.
    pub(super) by: Vec<(String, DataType)>,
    most: usize,
    /// By key: where its rows stand in `rows`.
    places: HashMap<Box<[u8]>, (u32, u32)>,
    rows: Vec<u32>,
}

impl Index {
    /// Sorts a table by columns, each in a type. Null is no key.
    ///
    /// # Errors
    /// [`Code::Internal`] for keys of types that were not checked.
    pub(super) fn new(table: &RecordBatch, by: Vec<(String, DataType)>) -> Result<Self> {
        let kinds: Vec<DataType> = by.iter().map(|(_, kind)| kind.clone()).collect();
        let mut converter = Converter::new(&kinds)?;
        let columns = by.iter().map(|(name, _)| {
            let column = table.column_by_name(name);
            column.cloned().ok_or_else(|| Error::new(Code::Internal, "no such public column"))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let mut by_key: BTreeMap<Box<[u8]>, Vec<u32>> = BTreeMap::new();
        converter.each(&columns, table.num_rows(), |row, key| {
            if let (Some(key), Ok(row)) = (key, u32::try_from(row)) {
                by_key.entry(key.into()).or_default().push(row);
            }
        })?;
        let (mut places, mut rows) = (HashMap::with_capacity(by_key.len()), Vec::new());
        let mut most = 1;
        for (key, own) in by_key {
            most = most.max(own.len());
            // A public table has far fewer rows than there are numbers.
            let place = (u32::try_from(rows.len()), u32::try_from(own.len()));
            let (Ok(start), Ok(len)) = place else {
                return Err(Error::new(Code::Internal, "a public table of too many rows"));
            };
            rows.extend(own);
            places.insert(key, (start, len));
        }
        Ok(Self { by, most, places, rows })
    }
}

/// Rows as bytes that are equal where their keys are.
struct Converter {
    kinds: Vec<DataType>,
    rows: RowConverter,
}

impl Converter {
    fn new(kinds: &[DataType]) -> Result<Self> {
        let fields = kinds.iter().map(|kind| SortField::new(kind.clone())).collect();
        let rows = RowConverter::new(fields)
            .context(Code::Internal, || "keys of a join cannot be compared".to_owned())?;
        Ok(Self { kinds: kinds.to_vec(), rows })
    }

    /// Calls with each row and its key; with none where a part of it is null.
    fn each(
        &mut self,
        columns: &[ArrayRef],
        count: usize,
        mut see: impl FnMut(usize, Option<&[u8]>),
    ) -> Result<()> {
        let failed = || "keys of a join cannot be compared".to_owned();
        let fitted = |(column, kind): (&ArrayRef, &DataType)| {
            cast(column, kind).context(Code::Internal, failed)
        };
        let columns = columns.iter().zip(&self.kinds).map(fitted).collect::<Result<Vec<_>>>()?;
        let rows = self.rows.convert_columns(&columns).context(Code::Internal, failed)?;
        for (at, row) in rows.iter().enumerate().take(count) {
            let null = columns.iter().any(|column| column.is_null(at));
            see(at, (!null).then(|| row.as_ref()));
        }
        Ok(())
    }
}

/// Where a column of the whole comes from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// The column of the dataset in this place.
    Dataset(usize),
    /// The column of this lookup's table.
    Public(usize, usize),
}

/// A dataset beside public tables, as a table: the dataset's columns first, under their own names.
#[derive(Debug)]
pub(in crate::pipeline) struct Joined {
    dataset: Arc<dyn TableProvider>,
    lookups: Vec<Arc<Lookup>>,
    /// By lookup: more columns, a value a row of the public table, under names of their own.
    more: Vec<(usize, ArrayRef)>,
    from: Vec<Origin>,
    schema: SchemaRef,
}

impl Joined {
    /// The dataset with all columns of the public tables, and `more` of them: of which lookup, how it is
    /// called, a value for each row of its table.
    pub(in crate::pipeline) fn new(
        dataset: Arc<dyn TableProvider>,
        lookups: Vec<Arc<Lookup>>,
        more: Vec<(usize, String, ArrayRef)>,
    ) -> Self {
        let own = dataset.schema();
        let mut fields: Vec<Field> = own.fields().iter().map(|it| it.as_ref().clone()).collect();
        let mut from: Vec<Origin> = (0..fields.len()).map(Origin::Dataset).collect();
        for (at, lookup) in lookups.iter().enumerate() {
            for (column, field) in lookup.public.schema().fields().iter().enumerate() {
                let name = joined_name(&lookup.public.name, field.name());
                fields.push(field.as_ref().clone().with_name(name).with_nullable(true));
                from.push(Origin::Public(at, column));
            }
        }
        let mut beside = Vec::new();
        for (at, name, values) in more {
            let columns = lookups.get(at).map_or(0, |lookup| lookup.public.rows.num_columns());
            let before = beside.iter().filter(|(other, _)| *other == at).count();
            fields.push(Field::new(name, values.data_type().clone(), true));
            from.push(Origin::Public(at, columns + before));
            beside.push((at, values));
        }
        Self { dataset, lookups, more: beside, from, schema: Arc::new(Schema::new(fields)) }
    }

    /// All columns of a lookup's table, those of its own first.
    fn columns(&self, at: usize) -> Vec<ArrayRef> {
        let own = self.lookups.get(at).map_or(&[][..], |lookup| lookup.public.rows.columns());
        let more = self.more.iter().filter(|(other, _)| *other == at).map(|(_, values)| values);
        own.iter().chain(more).cloned().collect()
    }
}

#[async_trait]
impl TableProvider for Joined {
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
        _filters: &[datafusion::logical_expr::Expr],
        _limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let all = || (0..self.from.len()).collect();
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(all);
        let from: Vec<Origin> =
            wanted.iter().filter_map(|at| self.from.get(*at)).copied().collect();
        let own = self.dataset.schema();
        let mut places: Vec<usize> = Vec::new();
        for part in &from {
            if let Origin::Dataset(at) = part {
                places.push(*at);
            }
        }
        for (name, ..) in self.lookups.iter().flat_map(|lookup| &lookup.keys) {
            places.push(own.index_of(name)?);
        }
        places.sort_unstable();
        places.dedup();
        let place = |at: &usize| places.binary_search(at).ok();
        let lost = || outward(Error::new(Code::Internal, "a column of a join is not read"));
        let mut columns = Vec::new();
        for part in from {
            columns.push(match part {
                Origin::Dataset(at) => Origin::Dataset(place(&at).ok_or_else(lost)?),
                public @ Origin::Public(..) => public,
            });
        }
        let mut keys = Vec::new();
        for lookup in &self.lookups {
            let own = lookup.keys.iter().map(|(name, ..)| {
                own.index_of(name).ok().and_then(|at| place(&at)).ok_or_else(lost)
            });
            keys.push(own.collect::<EngineResult<Vec<_>>>()?);
        }
        // PRIVACY: no condition and no limit goes to the dataset.
        let input = self.dataset.scan(session, Some(&places), &[], None).await?;
        let schema = Arc::new(self.schema.project(&wanted)?);
        let work = Work {
            lookups: self.lookups.clone(),
            tables: (0..self.lookups.len()).map(|at| self.columns(at)).collect(),
            keys,
            columns,
            schema,
        };
        Ok(Arc::new(JoinedScan::new(input, Arc::new(work))))
    }
}

/// What is done with each batch of the dataset.
struct Work {
    lookups: Vec<Arc<Lookup>>,
    /// By lookup: its columns.
    tables: Vec<Vec<ArrayRef>>,
    /// By lookup: where its keys stand in the batch.
    keys: Vec<Vec<usize>>,
    columns: Vec<Origin>,
    schema: SchemaRef,
}

/// The scan of a dataset with public columns beside it.
#[derive(Clone)]
struct JoinedScan {
    input: Arc<dyn ExecutionPlan>,
    work: Arc<Work>,
    properties: Arc<PlanProperties>,
}

impl JoinedScan {
    fn new(input: Arc<dyn ExecutionPlan>, work: Arc<Work>) -> Self {
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
        let kinds = |lookup: &Arc<Lookup>| -> Vec<DataType> {
            lookup.keys.iter().map(|(.., kind)| kind.clone()).collect()
        };
        let converters = self.work.lookups.iter().map(|lookup| Converter::new(&kinds(lookup)));
        let converters = converters.collect::<Result<Vec<_>>>().map_err(outward)?;
        let rows = JoinedRows { input, work: Arc::clone(&self.work), converters, cursor: None };
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
    converters: Vec<Converter>,
    cursor: Option<Cursor>,
}

/// A batch of the dataset on its way out.
struct Cursor {
    batch: RecordBatch,
    /// By lookup, then by row: where its matches stand, and how many there are.
    matches: Vec<Vec<(u32, u32)>>,
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
        let mut matches = Vec::new();
        let parts = self.work.lookups.iter().zip(&self.work.keys).zip(&mut self.converters);
        for ((lookup, keys), converter) in parts {
            let columns = keys.iter().map(|at| {
                let column = batch.columns().get(*at).cloned();
                column.ok_or_else(|| Error::new(Code::Internal, "a key of a join is not read"))
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let mut own = Vec::with_capacity(batch.num_rows());
            converter.each(&columns, batch.num_rows(), |_, key| {
                own.push(
                    key.and_then(|key| lookup.index.places.get(key)).copied().unwrap_or((0, 0)),
                );
            })?;
            matches.push(own);
        }
        Ok(Cursor { batch, matches, row: 0, at: 0 })
    }
}

impl Cursor {
    /// The next rows; nothing where the batch is over.
    fn chunk(&mut self, work: &Work) -> Result<Option<RecordBatch>> {
        let mut dataset: Vec<u32> = Vec::new();
        let mut public: Vec<Vec<Option<u32>>> = vec![Vec::new(); work.lookups.len()];
        while self.row < self.batch.num_rows() && dataset.len() < BATCH_ROWS {
            let matches = self.matches.iter().map(|own| own.get(self.row).copied());
            let matches: Vec<(u32, u32)> = matches.map(Option::unwrap_or_default).collect();
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
                    out.push(if len == 0 { None } else { lookup.index.rows.get(at).copied() });
                }
                dataset.push(u32::try_from(self.row).unwrap_or(u32::MAX));
                self.at += 1;
            }
            if self.at >= all {
                (self.row, self.at) = (self.row + 1, 0);
            }
        }
        if dataset.is_empty() {
            return Ok(None);
        }
        let failed = || "rows of a join cannot be put together".to_owned();
        let rows = dataset.len();
        let dataset = UInt32Array::from(dataset);
        let public: Vec<UInt32Array> = public.into_iter().map(UInt32Array::from).collect();
        let lost = || Error::new(Code::Internal, "a column of a join is not there");
        let columns = work.columns.iter().map(|part| {
            let (column, places) = match part {
                Origin::Dataset(at) => (self.batch.columns().get(*at), Some(&dataset)),
                Origin::Public(at, column) => {
                    (work.tables.get(*at).and_then(|own| own.get(*column)), public.get(*at))
                }
            };
            let (column, places) = (column.ok_or_else(lost)?, places.ok_or_else(lost)?);
            take(column, places, None).context(Code::Internal, failed)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&work.schema), columns, &options);
        batch.map(Some).context(Code::Internal, failed)
    }
}
