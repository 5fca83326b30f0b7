//! A sample of raw rows, spread over all files and row groups, held for as long as its profile is made.
//! Takes runs of rows at even distances; draws no lots, so that the same data gives the same sample.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection};

use super::column::profile;
use super::links::Words;
use super::looks::Looks;
use super::{ColumnProfile, Link};
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::source::{ParquetFile, Piece, Snapshot, look};
use crate::policy::Source;

/// Rows that are taken together.
const RUN_ROWS: u64 = 128;
/// What a sample takes in memory at most, about.
const BYTES_MAX: u64 = 256 << 20;

/// Hears how far the work is: what is being done, how much of it, of how much.
pub type Watch<'a> = dyn FnMut(&str, u64, u64) + 'a;

/// Raw rows of a dataset, column by column.
///
/// PRIVACY: no `Debug`, and nothing here gives a value out; what leaves are counts.
pub struct Sample {
    pub(super) schema: SchemaRef,
    /// For each column its pieces.
    pub(super) columns: Vec<Vec<ArrayRef>>,
    pub(super) sampled: u64,
    pub(super) rows: Option<u64>,
    pub(super) files: usize,
}

impl std::fmt::Debug for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sample").field("sampled", &self.sampled).finish_non_exhaustive()
    }
}

impl Sample {
    /// Reads about `rows` rows of parquet files; paths are relative to `folder`.
    ///
    /// # Errors
    /// `SourceUnreadable` when there is no file or one cannot be read, `SchemaDrift` when two files
    /// differ in their columns.
    pub fn parquet(
        folder: &Path,
        paths: &[String],
        rows: u64,
        watch: &mut Watch<'_>,
    ) -> Result<Self> {
        watch("looking at files", 0, 0);
        let snapshot = look(folder, &Source::Parquet { paths: paths.to_vec() }, 1)?;
        let total: u64 = snapshot.pieces().map(Piece::weight).sum();
        let chosen = chosen(total, rows.min(affordable(&snapshot)));
        let wanted: u64 = chosen.iter().map(|run| run.end - run.start).sum();
        let width = snapshot.schema().fields().len();
        let mut this = Self {
            schema: Arc::clone(snapshot.schema()),
            columns: vec![Vec::new(); width],
            sampled: 0,
            rows: Some(total),
            files: files(&snapshot),
        };
        let mut first = 0;
        for piece in snapshot.pieces() {
            let last = first + piece.weight();
            let own = within(&chosen, first..last);
            first = last;
            if let Piece::RowGroup { file, index } = piece
                && !own.is_empty()
            {
                this.take(file, *index, &own)?;
                watch("reading a sample", this.sampled, wanted);
            }
        }
        Ok(this)
    }

    /// Takes these rows of a row group.
    fn take(&mut self, file: &Arc<ParquetFile>, index: usize, own: &[Range<usize>]) -> Result<()> {
        let place = || format!("row group {index} of `{}`", file.path().display());
        let metadata = file.reader_metadata(index)?;
        let rows = usize::try_from(file.rows(index)).unwrap_or(usize::MAX);
        let roots: Vec<usize> = (0..metadata.schema().fields().len()).collect();
        let unchecked = file.unchecked_texts(&roots);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.reopen()?, metadata)
            .with_row_groups(vec![index])
            .with_row_selection(RowSelection::from_consecutive_ranges(own.iter().cloned(), rows))
            .with_batch_size(4096)
            .build()
            .context(Code::SourceUnreadable, || format!("open {}", place()))?;
        for batch in reader {
            // PRIVACY: the library's words may quote what it could not decode.
            let undecoded =
                || Error::new(Code::SourceUnreadable, format!("{} cannot be decoded", place()));
            let batch = batch.map_err(|_| undecoded())?;
            for name in &unchecked {
                let column = batch.column_by_name(name).ok_or_else(undecoded)?;
                column.to_data().validate_full().map_err(|_| undecoded())?;
            }
            self.sampled += batch.num_rows() as u64;
            // Files may have their columns in any order.
            for (field, pieces) in self.schema.fields().iter().zip(&mut self.columns) {
                let column = batch.column_by_name(field.name()).ok_or_else(undecoded)?;
                pieces.push(Arc::clone(column));
            }
        }
        Ok(())
    }

    /// The columns' names and types.
    pub const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The profile of each column.
    ///
    /// # Errors
    /// `Internal` for a column that Arrow cannot bring into a plain form.
    pub fn columns(&self, watch: &mut Watch<'_>) -> Result<Vec<ColumnProfile>> {
        let looks = Looks::new()?;
        let mut profiles = Vec::new();
        for (field, pieces) in self.schema.fields().iter().zip(&self.columns) {
            profiles.push(profile(field.name(), field.data_type(), pieces, &looks)?);
            watch("looking at columns", profiles.len() as u64, self.columns.len() as u64);
        }
        Ok(profiles)
    }

    /// Which columns hold the values of columns `of`.
    ///
    /// # Errors
    /// `Internal` when there are too many values to look for.
    pub fn links(&self, of: &[usize], watch: &mut Watch<'_>) -> Result<Vec<Link>> {
        let named: Vec<(usize, &[ArrayRef])> =
            of.iter().filter_map(|at| Some((*at, self.columns.get(*at)?.as_slice()))).collect();
        let Some(words) = Words::of(&named)? else { return Ok(Vec::new()) };
        let mut links = Vec::new();
        for (at, (field, pieces)) in self.schema.fields().iter().zip(&self.columns).enumerate() {
            if holds_text(field.data_type()) {
                links.extend(words.within(at, pieces)?);
            }
            watch("comparing columns", at as u64 + 1, self.columns.len() as u64);
        }
        Ok(links)
    }

    /// The rows looked at, the rows there are, and the files.
    pub const fn size(&self) -> (u64, Option<u64>, usize) {
        (self.sampled, self.rows, self.files)
    }
}

/// Whether a column is text, or a list of texts.
fn holds_text(data_type: &DataType) -> bool {
    match crate::pipeline::transform::column::canonical(data_type) {
        DataType::Utf8 => true,
        DataType::List(item) => item.data_type() == &DataType::Utf8,
        _ => false,
    }
}

/// Which rows of all are taken: all where they are few, else runs at even distances, the first and
/// the last row among them.
fn chosen(total: u64, rows: u64) -> Vec<Range<u64>> {
    if total <= rows {
        return vec![Range { start: 0, end: total }];
    }
    let runs = (rows / RUN_ROWS).max(1);
    let length = (rows / runs).max(1);
    let last = runs.saturating_sub(1).max(1);
    let begin = |run: u64| {
        let (room, run, last) = (u128::from(total - length), u128::from(run), u128::from(last));
        u64::try_from(room * run / last).unwrap_or(0)
    };
    (0..runs).map(|run| Range { start: begin(run), end: begin(run) + length }).collect()
}

/// The parts of runs that lie in one piece, counted from its start.
fn within(chosen: &[Range<u64>], piece: Range<u64>) -> Vec<Range<usize>> {
    let local = |row: u64| usize::try_from(row - piece.start).unwrap_or(usize::MAX);
    let cut = chosen.iter().map(|run| run.start.max(piece.start)..run.end.min(piece.end));
    let own = cut.filter(|run| run.start < run.end);
    let mut own: Vec<_> = own.map(|run| local(run.start)..local(run.end)).collect();
    // Runs that touch are one.
    own.dedup_by(|next, before| {
        let touch = next.start <= before.end;
        if touch {
            before.end = before.end.max(next.end);
        }
        touch
    });
    own
}

/// How many rows fit in memory, at least one run.
fn affordable(snapshot: &Snapshot) -> u64 {
    let roots: Vec<usize> = (0..snapshot.schema().fields().len()).collect();
    let width = snapshot.pieces().map(|piece| match piece {
        Piece::RowGroup { file, index } => file.row_bytes(*index, &roots),
        Piece::Text(file) => file.row_bytes(),
    });
    // Offsets and validity come on top of what values take.
    let width = width.max().unwrap_or(1) + 8 * roots.len() as u64;
    (BYTES_MAX / width.max(1)).max(RUN_ROWS)
}

fn files(snapshot: &Snapshot) -> usize {
    let mut paths: BTreeMap<&Path, ()> = BTreeMap::new();
    for piece in snapshot.pieces() {
        if let Piece::RowGroup { file, .. } = piece {
            paths.insert(file.path(), ());
        }
    }
    paths.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_from_the_first_row_to_the_last() {
        assert_eq!(chosen(100, 1000), vec![Range { start: 0, end: 100 }]);
        let runs = chosen(1_000_000, 20_000);
        assert_eq!(runs.first().unwrap().start, 0);
        assert_eq!(runs.last().unwrap().end, 1_000_000);
        let rows: u64 = runs.iter().map(|run| run.end - run.start).sum();
        assert!((19_000..=20_000).contains(&rows), "{rows}");
        let widest = runs.windows(2).map(|pair| pair[1].start - pair[0].end).max().unwrap();
        assert!(widest < 10_000, "{widest}");
        assert_eq!(chosen(10, 1), vec![Range { start: 0, end: 1 }]);
    }

    #[test]
    fn runs_are_cut_at_pieces() {
        let chosen = [Range { start: 5, end: 15 }, Range { start: 15, end: 18 }];
        assert_eq!(within(&chosen, 0..10), [Range { start: 5, end: 10 }]);
        assert_eq!(within(&chosen, 10..20), [Range { start: 0, end: 8 }]);
        assert!(within(&chosen, 20..30).is_empty());
    }
}
