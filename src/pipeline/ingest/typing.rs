//! The rows of a block become arrays, a column at a time; rows with a text that has no value become
//! rejects; steps are folded into their jobs. Reads no text itself.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, ListBuilder, NullBufferBuilder,
    PrimitiveArray, StringArray, StringBuilder, UInt32Array, types,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::compute;
use arrow::datatypes::DataType;

use super::cells::{self, Fault};
use super::column::{Column, Fold, Kind};
use super::rows::{Part, Reject, Rows};
use super::zone::Zone;
use crate::error::{Code, Context, Result};

/// What a block became.
pub(super) struct Typed {
    /// One array a column, all of the same length.
    pub(super) arrays: Vec<ArrayRef>,
    /// The number of rows.
    pub(super) rows: usize,
    /// What could not be read, in the order of the text.
    pub(super) rejects: Vec<Reject>,
    /// Steps that went into their jobs, and records that were left out.
    pub(super) left_out: u64,
}

/// Types all rows of a block.
pub(super) fn type_rows(rows: Rows<'_>, columns: &[Column], zone: Zone) -> Result<Typed> {
    let mut faults = Faults { first: Vec::new() };
    let mut arrays = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        arrays.push(array(&rows, at, column, zone, &mut faults)?);
    }
    let count = rows.len();
    let steps = (0..count).any(|row| rows.place(row).is_some_and(|(_, part)| part == Part::Step));
    let mut left_out = rows.left_out();
    let mut rejects = Vec::new();
    if !steps && faults.first.is_empty() {
        rejects.extend(rows.into_rejects());
        return Ok(Typed { arrays, rows: count, rejects, left_out });
    }
    // Row by row: those that go out, and to each of them its steps.
    let mut faults = faults.sorted();
    let mut next = faults.drain(..).peekable();
    let mut kept: Vec<u32> = Vec::new();
    let mut groups: Vec<Vec<u32>> = Vec::new();
    let mut job_kept = None;
    for row in 0..count {
        let Some((bytes, part)) = rows.place(row) else { continue };
        let number = u32::try_from(row).unwrap_or(u32::MAX);
        let fault = next.next_if(|(faulty, _)| *faulty == number).map(|(_, reason)| reason);
        match (fault, part, job_kept) {
            (Some(reason), part, _) => {
                rejects.push(Reject { reason, bytes });
                if part == Part::Whole {
                    job_kept = Some(false);
                }
            }
            (None, Part::Whole, _) => {
                kept.push(number);
                groups.push(Vec::new());
                job_kept = Some(true);
            }
            (None, Part::Step, Some(true)) => {
                if let Some(group) = groups.last_mut() {
                    group.push(number);
                }
                left_out += 1;
            }
            (None, Part::Step, Some(false)) => {
                rejects.push(Reject { reason: "a step whose job was rejected".into(), bytes });
            }
            (None, Part::Step, None) => {
                let reason = "a step whose job is not before it".into();
                rejects.push(Reject { reason, bytes });
            }
        }
    }
    rejects.extend(rows.into_rejects());
    rejects.sort_by_key(|reject| reject.bytes.start);
    let arrays = fold(&arrays, columns, &kept, &groups)?;
    Ok(Typed { arrays, rows: kept.len(), rejects, left_out })
}

/// The texts without a value: a row, and what is wrong with its first.
struct Faults {
    first: Vec<(u32, Fault)>,
}

impl Faults {
    fn add(&mut self, row: usize, column: &Column, fault: &Fault) {
        let reason = format!("column `{}`: {fault}", column.name);
        self.first.push((u32::try_from(row).unwrap_or(u32::MAX), reason.into()));
    }

    /// By row, one a row: that of the first column.
    fn sorted(mut self) -> Vec<(u32, Fault)> {
        self.first.sort_by_key(|(row, _)| *row);
        self.first.dedup_by_key(|(row, _)| *row);
        self.first
    }
}

fn array(
    rows: &Rows<'_>,
    at: usize,
    column: &Column,
    zone: Zone,
    faults: &mut Faults,
) -> Result<ArrayRef> {
    let mut source = Source { rows, at, column, nulls: Nulls::new(column), faults };
    let array: ArrayRef = match column.kind {
        Kind::Text => source.texts()?,
        Kind::Integer => source.primitive::<types::Int64Type>(cells::integer),
        Kind::Number => source.primitive::<types::Float64Type>(cells::number),
        Kind::Date => source.primitive::<types::Date32Type>(cells::date),
        Kind::Time => {
            source.primitive::<types::TimestampMicrosecondType>(|text| cells::time(text, zone))
        }
        Kind::Epoch => source.primitive::<types::TimestampMicrosecondType>(cells::epoch),
        Kind::Seconds => source.primitive::<types::Int64Type>(cells::seconds),
        Kind::Minutes => source.primitive::<types::Int64Type>(cells::minutes),
        Kind::ProcessorTime => source.primitive::<types::Float64Type>(cells::processor_time),
        Kind::Bytes => source.primitive::<types::Int64Type>(cells::bytes),
        Kind::Kibibytes => source.primitive::<types::Int64Type>(|text| cells::scaled(text, b'K')),
        Kind::Mebibytes => source.primitive::<types::Int64Type>(|text| cells::scaled(text, b'M')),
        Kind::Flag => source.flags(),
        Kind::Nodes => source.nodes(),
    };
    Ok(array)
}

/// One column of the rows.
struct Source<'a, 'b> {
    rows: &'a Rows<'b>,
    at: usize,
    column: &'a Column,
    nulls: Nulls<'a>,
    faults: &'a mut Faults,
}

/// Says which texts mean null, as [`cells::is_null`] does: nearly always by their length alone.
struct Nulls<'a> {
    column: &'a Column,
    /// A bit for every length that a text of those has.
    lengths: u64,
}

impl<'a> Nulls<'a> {
    fn new(column: &'a Column) -> Self {
        let bit = |length: usize| 1 << length.min(63);
        let lengths = column.nulls.iter().fold(bit(0), |all, null| all | bit(null.len()));
        Self { column, lengths }
    }

    fn has(&self, text: &[u8]) -> bool {
        (self.lengths >> text.len().min(63)) & 1 != 0 && cells::is_null(self.column, text)
    }
}

impl Source<'_, '_> {
    /// Calls `each` with the row's number and its text, none where it is null.
    fn each(&mut self, mut each: impl FnMut(Option<&[u8]>) -> Result<(), Fault>) {
        for (row, text) in self.rows.column(self.at).enumerate() {
            let text = text.filter(|text| !self.nulls.has(text));
            if let Err(fault) = each(text) {
                self.faults.add(row, self.column, &fault);
            }
        }
    }

    fn primitive<T: ArrowPrimitiveType>(
        &mut self,
        parse: impl Fn(&[u8]) -> Option<T::Native>,
    ) -> ArrayRef {
        let kind = self.column.kind;
        let mut values: Vec<T::Native> = Vec::with_capacity(self.rows.len());
        let mut nulls = NullBufferBuilder::new(self.rows.len());
        // Jobs that follow each other often have the same text, which is then read once.
        let mut last: (Vec<u8>, Option<T::Native>) = (Vec::new(), None);
        self.each(|text| {
            let Some(text) = text else {
                values.push(T::Native::default());
                nulls.append_null();
                return Ok(());
            };
            if last.0 != text {
                last.0.clear();
                last.0.extend_from_slice(text);
                last.1 = parse(text);
            }
            values.push(last.1.unwrap_or_default());
            nulls.append(last.1.is_some());
            if last.1.is_none() { Err(cells::misfit(kind)) } else { Ok(()) }
        });
        let array = PrimitiveArray::<T>::new(values.into(), nulls.finish());
        Arc::new(array.with_data_type(kind.data_type()))
    }

    fn flags(&mut self) -> ArrayRef {
        let mut values = Vec::with_capacity(self.rows.len());
        self.each(|text| {
            let value = text.map(cells::flag);
            values.push(value.flatten());
            if value == Some(None) { Err(cells::misfit(Kind::Flag)) } else { Ok(()) }
        });
        Arc::new(BooleanArray::from(values))
    }

    fn nodes(&mut self) -> ArrayRef {
        let mut lists = ListBuilder::new(StringBuilder::new());
        // A block names few lists, each of them often.
        let mut known: HashMap<Vec<u8>, Result<Vec<String>, Fault>> = HashMap::new();
        self.each(|text| {
            let Some(text) = text else {
                lists.append_null();
                return Ok(());
            };
            if !known.contains_key(text) {
                known.insert(text.to_vec(), cells::nodes(text));
            }
            match known.get(text) {
                Some(Ok(hosts)) => {
                    for host in hosts {
                        lists.values().append_value(host);
                    }
                    lists.append(true);
                    Ok(())
                }
                other => {
                    lists.append_null();
                    let fault = other.and_then(|known| known.as_ref().err()).cloned();
                    Err(fault.unwrap_or_else(|| cells::misfit(Kind::Nodes)))
                }
            }
        });
        Arc::new(lists.finish())
    }

    /// Texts are copied as they stand and looked at together: only if one of them is no UTF-8 is each
    /// looked at.
    fn texts(&mut self) -> Result<ArrayRef> {
        let many = || "a block holds too much text".to_owned();
        let mut offsets = Vec::with_capacity(self.rows.len() + 1);
        let total = self.rows.column(self.at).flatten().map(<[u8]>::len).sum();
        let mut bytes: Vec<u8> = Vec::with_capacity(total);
        let mut nulls = NullBufferBuilder::new(self.rows.len());
        offsets.push(0_i32);
        self.each(|text| {
            bytes.extend_from_slice(text.unwrap_or_default());
            nulls.append(text.is_some());
            // A block is under 2^30 bytes.
            offsets.push(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            Ok(())
        });
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        if let Ok(array) = StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls.finish()) {
            return Ok(Arc::new(array));
        }
        let mut texts = Vec::with_capacity(self.rows.len());
        self.each(|text| {
            let text = text.map(|text| std::str::from_utf8(text).map(str::to_owned)).transpose();
            match text {
                Ok(text) => texts.push(text),
                Err(_) => {
                    texts.push(None);
                    return Err(cells::misfit(Kind::Text));
                }
            }
            Ok(())
        });
        let total: usize = texts.iter().flatten().map(String::len).sum();
        i32::try_from(total).context(Code::Internal, many)?;
        Ok(Arc::new(StringArray::from(texts)))
    }
}

/// The rows that go out, each with what its steps add.
fn fold(
    arrays: &[ArrayRef],
    columns: &[Column],
    kept: &[u32],
    groups: &[Vec<u32>],
) -> Result<Vec<ArrayRef>> {
    let own: UInt32Array = kept.to_vec().into();
    let picks: Vec<Option<Vec<u32>>> = columns
        .iter()
        .zip(arrays)
        .map(|(column, array)| match column.fold {
            Fold::Most => Some(picked(array, kept, groups, true)),
            Fold::Least => Some(picked(array, kept, groups, false)),
            Fold::Job | Fold::With(_) => None,
        })
        .collect();
    let mut out = Vec::with_capacity(arrays.len());
    for (at, (column, array)) in columns.iter().zip(arrays).enumerate() {
        let from = match column.fold {
            Fold::With(other) => other,
            _ => at,
        };
        let picked = picks.get(from).and_then(Option::as_ref);
        let rows = picked.map_or_else(|| own.clone(), |rows| rows.clone().into());
        let taken = compute::take(array, &rows, None);
        out.push(taken.context(Code::Internal, || "rows cannot be picked".to_owned())?);
    }
    Ok(out)
}

/// For each job the row, its own or a step's, with the greatest or the least value.
fn picked(array: &ArrayRef, kept: &[u32], groups: &[Vec<u32>], most: bool) -> Vec<u32> {
    let value = |row: u32| -> Option<f64> {
        let row = row as usize;
        if row >= array.len() || array.is_null(row) {
            return None;
        }
        match array.data_type() {
            #[expect(clippy::cast_precision_loss, reason = "only compared; 2^53 bytes are 8 PiB")]
            DataType::Int64 => Some(array.as_primitive::<types::Int64Type>().value(row) as f64),
            DataType::Float64 => Some(array.as_primitive::<types::Float64Type>().value(row)),
            _ => None,
        }
    };
    let better = |new: f64, old: f64| if most { new > old } else { new < old };
    kept.iter()
        .zip(groups)
        .map(|(job, steps)| {
            let mut best = (*job, value(*job));
            for step in steps {
                if let Some(new) = value(*step)
                    && best.1.is_none_or(|old| better(new, old))
                {
                    best = (*step, Some(new));
                }
            }
            best.0
        })
        .collect()
}
