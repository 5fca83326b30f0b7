//! Rows put aside between reading and writing, so that memory does not grow with them: each goes to the
//! bucket of its class, and a bucket is small enough to be sorted in memory. Knows no labels.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type, UInt64Type};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};

use super::store::private_file;
use crate::error::{Code, Context, Error, Result};

/// About how many bytes of rows one thread gathers before it puts them aside.
const GATHERED_BYTES: usize = 24 << 20;

/// Where a row belongs: to the rank of its class (or to its combination, as long as its class is not known),
/// and inside that to a place that a keyed number gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) group: u32,
    pub(super) number: u128,
}

/// Which bucket a place is in. Known before a row is read, for the rows of each group are counted.
#[derive(Debug)]
pub(super) struct Buckets {
    /// By group: its first bucket, and over how many it is spread.
    of: Vec<(u32, u32)>,
    len: u32,
}

impl Buckets {
    /// Buckets of about `most` rows each, of groups of so many rows.
    pub(super) fn new(rows: &[u64], most: u64) -> Self {
        let most = most.max(1);
        let (mut of, mut next, mut filled) = (Vec::with_capacity(rows.len()), 0_u32, 0_u64);
        for rows in rows {
            if *rows > most {
                next += u32::from(filled > 0);
                let parts = u32::try_from(rows.div_ceil(most)).unwrap_or(u32::MAX);
                of.push((next, parts));
                next += parts;
                filled = 0;
                continue;
            }
            if filled + rows > most {
                next += 1;
                filled = 0;
            }
            of.push((next, 1));
            filled += rows;
        }
        Self { of, len: next + u32::from(filled > 0) }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// The bucket of a place.
    ///
    /// INVARIANT: buckets in their order hold places in their order.
    fn of(&self, place: Place) -> Option<usize> {
        let (first, parts) = self.of.get(place.group as usize)?;
        // The upper bits of the number, scaled to the parts.
        let high = u64::try_from(place.number >> 64).unwrap_or(u64::MAX);
        let part = (u128::from(high) * u128::from(*parts)) >> 64;
        usize::try_from(u128::from(*first) + part).ok()
    }
}

/// Rows on the disk, by bucket. Threads put rows aside at the same time.
pub(super) struct Spill {
    buckets: Buckets,
    schema: SchemaRef,
    files: Vec<Mutex<Option<StreamWriter<BufWriter<File>>>>>,
    folder: PathBuf,
    name: &'static str,
}

impl Spill {
    /// Nothing put aside yet. `name` begins the names of its files in `folder`.
    pub(super) fn new(
        folder: &Path,
        name: &'static str,
        schema: &Schema,
        buckets: Buckets,
    ) -> Self {
        let files = (0..buckets.len()).map(|_| Mutex::new(None)).collect();
        let mut fields: Vec<Field> =
            schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        // Behind the columns, where no column's name can be in their way: they are found by place.
        for kind in [DataType::UInt32, DataType::UInt64, DataType::UInt64] {
            fields.push(Field::new("place", kind, false));
        }
        let schema = Arc::new(Schema::new(fields));
        Self { buckets, schema, files, folder: folder.to_owned(), name }
    }

    fn path(&self, bucket: usize) -> PathBuf {
        self.folder.join(format!("{}-{bucket:05}.rows", self.name))
    }

    fn write(&self, bucket: usize, batch: &RecordBatch) -> Result<()> {
        let failed = || "rows cannot be put aside".to_owned();
        let none = || Error::new(Code::Internal, "there is no such bucket");
        let file = self.files.get(bucket).ok_or_else(none)?;
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = match &mut *file {
            Some(writer) => writer,
            empty => {
                let sink = BufWriter::with_capacity(1 << 16, private_file(&self.path(bucket))?);
                let options = IpcWriteOptions::default()
                    .try_with_compression(Some(CompressionType::LZ4_FRAME))
                    .context(Code::Internal, failed)?;
                let writer = StreamWriter::try_new_with_options(sink, &self.schema, options);
                empty.insert(writer.context(Code::State, failed)?)
            }
        };
        writer.write(batch).context(Code::State, failed)
    }

    /// Ends the files.
    pub(super) fn finish(&self) -> Result<()> {
        for file in &self.files {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(mut writer) = file.take() {
                let failed = || "rows cannot be put aside".to_owned();
                writer.finish().context(Code::State, failed)?;
            }
        }
        Ok(())
    }

    /// How many buckets there are.
    pub(super) const fn len(&self) -> usize {
        self.files.len()
    }

    /// The rows of a bucket in the order of their places; the file goes.
    pub(super) fn sorted(&self, bucket: usize) -> Result<Sorted> {
        let path = self.path(bucket);
        let failed = || "rows that were put aside cannot be read".to_owned();
        let mut batches = Vec::new();
        let mut order = Vec::new();
        if path.exists() {
            let file = File::open(&path).context(Code::State, failed)?;
            let file = BufReader::with_capacity(1 << 18, file);
            let reader = StreamReader::try_new(file, None).context(Code::State, failed)?;
            for batch in reader {
                let batch = batch.context(Code::State, failed)?;
                let at = u32::try_from(batches.len()).unwrap_or(u32::MAX);
                for (row, place) in (0..).zip(places(&batch)?) {
                    order.push((place, at, row));
                }
                let width = batch.num_columns() - PLACES;
                let kept: Vec<usize> = (0..width).collect();
                batches.push(batch.project(&kept).context(Code::Internal, failed)?);
            }
            std::fs::remove_file(&path).context(Code::State, failed)?;
        }
        // Equal places are equal rows, so that it does not matter which comes first.
        order.sort_unstable();
        Ok(Sorted { batches, order })
    }
}

/// How many columns a place takes.
const PLACES: usize = 3;

fn places(batch: &RecordBatch) -> Result<Vec<Place>> {
    let odd = || Error::new(Code::State, "rows that were put aside are not as they were written");
    let from = batch.num_columns().checked_sub(PLACES).ok_or_else(odd)?;
    let column = |at: usize| batch.columns().get(from + at).ok_or_else(odd);
    let groups = column(0)?.as_primitive_opt::<UInt32Type>().ok_or_else(odd)?;
    let high = column(1)?.as_primitive_opt::<UInt64Type>().ok_or_else(odd)?;
    let low = column(2)?.as_primitive_opt::<UInt64Type>().ok_or_else(odd)?;
    let rows = groups.values().iter().zip(high.values()).zip(low.values());
    let place = |((group, high), low): ((&u32, &u64), &u64)| Place {
        group: *group,
        number: (u128::from(*high) << 64) | u128::from(*low),
    };
    Ok(rows.map(place).collect())
}

/// The rows of a bucket in order.
pub(super) struct Sorted {
    batches: Vec<RecordBatch>,
    order: Vec<(Place, u32, u32)>,
}

impl Sorted {
    /// How many.
    pub(super) const fn len(&self) -> usize {
        self.order.len()
    }

    /// Their places.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.order.iter().map(|(place, _, _)| *place)
    }

    /// Some of them.
    pub(super) fn rows(&self, range: std::ops::Range<usize>) -> Result<RecordBatch> {
        let failed = || Error::new(Code::Internal, "rows cannot be put in order");
        let chosen = self.order.get(range).ok_or_else(failed)?;
        let indices: Vec<(usize, usize)> =
            chosen.iter().map(|(_, batch, row)| (*batch as usize, *row as usize)).collect();
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        interleaved(&batches, &indices).ok_or_else(failed)
    }
}

/// Rows of batches by batch and place; also where a release has no column beside its quasi-identifiers, and a
/// row is nothing but its place.
fn interleaved(batches: &[&RecordBatch], indices: &[(usize, usize)]) -> Option<RecordBatch> {
    match batches.first() {
        Some(first) if first.num_columns() == 0 => {
            let options = RecordBatchOptions::new().with_row_count(Some(indices.len()));
            RecordBatch::try_new_with_options(first.schema(), Vec::new(), &options).ok()
        }
        _ => interleave_record_batch(batches, indices).ok(),
    }
}

/// Gathers rows of one thread and puts them aside bucket by bucket.
pub(super) struct Gather<'a> {
    spill: &'a Spill,
    batches: Vec<RecordBatch>,
    rows: Vec<(u32, u32, Place, u32)>,
    bytes: usize,
}

impl<'a> Gather<'a> {
    /// Into this spill.
    pub(super) const fn new(spill: &'a Spill) -> Self {
        Self { spill, batches: Vec::new(), rows: Vec::new(), bytes: 0 }
    }

    /// Takes rows with their places; those without one are left out.
    pub(super) fn add(&mut self, batch: RecordBatch, places: &[Option<Place>]) -> Result<()> {
        let unknown = || Error::new(Code::Internal, "a row belongs to no bucket");
        let at = u32::try_from(self.batches.len()).unwrap_or(u32::MAX);
        let before = self.rows.len();
        for (row, place) in (0..).zip(places) {
            let Some(place) = place else { continue };
            let bucket = self.spill.buckets.of(*place).ok_or_else(unknown)?;
            let bucket = u32::try_from(bucket).map_err(|_| unknown())?;
            self.rows.push((bucket, at, *place, row));
        }
        if self.rows.len() == before {
            return Ok(());
        }
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
        if self.bytes >= GATHERED_BYTES { self.flush() } else { Ok(()) }
    }

    /// Puts aside what was gathered.
    pub(super) fn flush(&mut self) -> Result<()> {
        let failed = || Error::new(Code::Internal, "rows cannot be put aside");
        let batches = std::mem::take(&mut self.batches);
        let mut rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        rows.sort_unstable_by_key(|(bucket, batch, _, row)| (*bucket, *batch, *row));
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        for run in rows.chunk_by(|one, other| one.0 == other.0) {
            let Some((bucket, ..)) = run.first() else { continue };
            let indices: Vec<(usize, usize)> =
                run.iter().map(|(_, batch, _, row)| (*batch as usize, *row as usize)).collect();
            let taken = interleaved(&batches, &indices).ok_or_else(failed)?;
            let groups: UInt32Array = run.iter().map(|(_, _, place, _)| place.group).collect();
            let half = |shift: u32| -> UInt64Array {
                let part = |number: u128| (number >> shift) as u64;
                run.iter().map(|(_, _, place, _)| part(place.number)).collect()
            };
            let mut columns = taken.columns().to_vec();
            columns.push(Arc::new(groups));
            columns.push(Arc::new(half(64)));
            columns.push(Arc::new(half(0)));
            let batch = RecordBatch::try_new(Arc::clone(&self.spill.schema), columns);
            self.spill.write(*bucket as usize, &batch.map_err(|_| failed())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_about_as_many_rows_as_asked_and_keep_the_order() {
        let rows = [3, 4, 5, 100, 2, 0, 9, 1];
        let buckets = Buckets::new(&rows, 10);
        assert_eq!(buckets.of[..3], [(0, 1), (0, 1), (1, 1)]);
        assert_eq!(buckets.of[3], (2, 10));
        assert_eq!(buckets.of[4..], [(12, 1), (12, 1), (13, 1), (13, 1)]);
        assert_eq!(buckets.len(), 14);
        let mut last = 0;
        for group in 0..8 {
            for number in [0, u128::MAX / 2, u128::MAX] {
                let bucket = buckets.of(Place { group, number }).unwrap();
                assert!(bucket >= last && bucket < 14);
                last = bucket;
            }
        }
        assert_eq!(Buckets::new(&[], 10).len(), 0);
        assert_eq!(Buckets::new(&[0, 0], 10).len(), 0);
    }
}
