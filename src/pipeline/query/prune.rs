//! Which row groups a filter cannot match, by the smallest and largest value that the footer tells of
//! columns kept in clear. Knows of no other column, and takes no row out: the filter itself is asked of
//! every row that is read.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::Type;
use parquet::file::metadata::RowGroupMetaData;

use super::View;
use crate::pipeline::source::{ParquetFile, Piece};
use crate::policy::plan::{Plan, PlannedColumn};

/// Whether a filter speaks of nothing but columns that leave as they are.
pub(super) fn is_clear(plan: &Plan, filter: &Expr) -> bool {
    let names = filter.column_refs();
    !names.is_empty() && names.iter().all(|name| clear_column(plan, &name.name).is_some())
}

/// A column by name, if it is kept in clear and its statistics can be trusted to order as the engine
/// does. Numbers with a fraction are not: files do not count what is not a number.
fn clear_column<'a>(plan: &'a Plan, name: &str) -> Option<&'a PlannedColumn> {
    let column = plan.columns().iter().find(|column| column.name == name)?;
    let kept = column.rule.transform.spec().verb == "keep" && column.input == column.output;
    let ordered = match &column.output {
        DataType::Utf8
        | DataType::Date32
        | DataType::Timestamp(..)
        | DataType::Time32(_)
        | DataType::Time64(_) => true,
        other => other.is_integer(),
    };
    (kept && ordered).then_some(column)
}

/// The pieces of each shard of a view that rows may be in for which all `filters` hold.
pub(super) fn remaining(
    view: &View,
    schema: &SchemaRef,
    filters: &[Expr],
    session: &dyn Session,
) -> Vec<Vec<Piece>> {
    let shards = view.snapshot.shards();
    let shards = (0..shards).filter_map(|shard| view.snapshot.shard(shard));
    let question = question(view, schema, filters, session);
    shards
        .map(|shard| match &question {
            Some(question) => {
                let files = shard.pieces.chunk_by(of_one_file);
                files.flat_map(|pieces| matching(schema, question, pieces)).collect()
            }
            None => shard.pieces.clone(),
        })
        .collect()
}

fn of_one_file(a: &Piece, b: &Piece) -> bool {
    match (a, b) {
        (Piece::RowGroup { file: a, .. }, Piece::RowGroup { file: b, .. }) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

/// What is asked of statistics, and the columns that it speaks of.
struct Question {
    predicate: Arc<PruningPredicate>,
    columns: Vec<String>,
}

/// What of the filters can be asked of statistics.
///
/// PRIVACY: the engine sends only what it was told may come. It is looked at again, because this is the
/// gate: a column that is not kept in clear has no statistics, whoever asks.
fn question(
    view: &View,
    schema: &SchemaRef,
    filters: &[Expr],
    session: &dyn Session,
) -> Option<Question> {
    let clear = filters.iter().filter(|filter| is_clear(&view.plan, filter)).cloned();
    let filter = conjunction(clear)?;
    let columns: BTreeSet<String> =
        filter.column_refs().into_iter().map(|column| column.name.clone()).collect();
    let fields = DFSchema::try_from(schema.as_ref().clone()).ok()?;
    let filter = session.create_physical_expr(unqualified(filter)?, &fields).ok()?;
    let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema));
    Some(Question { predicate: builder.build(filter)?, columns: columns.into_iter().collect() })
}

/// The filter with columns by their bare names, whatever the statement calls the table.
fn unqualified(filter: Expr) -> Option<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let bare = filter.transform(|part| {
        Ok(match part {
            Expr::Column(column) => {
                Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))
            }
            other => Transformed::no(other),
        })
    });
    bare.ok().map(|bare| bare.data)
}

/// Those of a file's row groups that rows may be in for which the predicate holds.
fn matching(schema: &SchemaRef, question: &Question, pieces: &[Piece]) -> Vec<Piece> {
    let mut groups = Vec::new();
    let mut file = None;
    for piece in pieces {
        if let Piece::RowGroup { file: of, index } = piece {
            groups.push(*index);
            file = Some(of);
        }
    }
    let stays = file
        .and_then(|file| Statistics::of(schema, &question.columns, file, &groups))
        .and_then(|statistics| question.predicate.prune(&statistics).ok());
    match stays {
        Some(stays) if stays.len() == pieces.len() => pieces
            .iter()
            .zip(stays)
            .filter(|(_, stays)| *stays)
            .map(|(piece, _)| piece.clone())
            .collect(),
        _ => pieces.to_vec(),
    }
}

/// The least and the greatest value, by column, and how many nulls: an entry a row group.
struct Statistics {
    columns: BTreeMap<String, (ArrayRef, ArrayRef, UInt64Array)>,
    rows: UInt64Array,
}

impl Statistics {
    fn of(
        schema: &SchemaRef,
        names: &[String],
        file: &ParquetFile,
        groups: &[usize],
    ) -> Option<Self> {
        let reader = file.reader_metadata(*groups.first()?).ok()?;
        let metadata = reader.metadata();
        let chosen: Vec<&RowGroupMetaData> =
            groups.iter().filter_map(|group| metadata.row_groups().get(*group)).collect();
        let rows = chosen.iter().map(|group| u64::try_from(group.num_rows()).ok()).collect();
        let told = |name: &String| Some((name.clone(), told(name, schema, &reader, &chosen)?));
        Some(Self { columns: names.iter().filter_map(told).collect(), rows })
    }
}

/// What a file tells of one column.
fn told(
    name: &str,
    schema: &SchemaRef,
    reader: &ArrowReaderMetadata,
    groups: &[&RowGroupMetaData],
) -> Option<(ArrayRef, ArrayRef, UInt64Array)> {
    let kind = schema.field_with_name(name).ok()?.data_type();
    let converter =
        StatisticsConverter::try_new(name, reader.schema(), reader.parquet_schema()).ok()?;
    // What is not told is not known: it is not taken for none.
    let converter = converter.with_missing_null_counts_as_zero(false);
    let leaf = converter.parquet_column_index()?;
    let trusted = groups.iter().all(|group| {
        // Old writers ordered otherwise than they should have; some times have no order at all.
        group.columns().get(leaf).is_some_and(|chunk| {
            chunk.column_type() != Type::INT96
                && chunk.statistics().is_none_or(|told| !told.is_min_max_deprecated())
        })
    });
    if !trusted {
        return None;
    }
    let seen = |values: ArrayRef| cast(&values, kind).ok();
    let least = seen(converter.row_group_mins(groups.iter().copied()).ok()?)?;
    let greatest = seen(converter.row_group_maxes(groups.iter().copied()).ok()?)?;
    let nulls = converter.row_group_null_counts(groups.iter().copied()).ok()?;
    Some((least, greatest, nulls))
}

impl PruningStatistics for Statistics {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.columns.get(&column.name).map(|(least, _, _)| Arc::clone(least))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.columns.get(&column.name).map(|(_, greatest, _)| Arc::clone(greatest))
    }

    fn num_containers(&self) -> usize {
        self.rows.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let nulls = self.columns.get(&column.name).map(|(_, _, nulls)| nulls.clone())?;
        Some(Arc::new(nulls))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.rows.clone()))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
