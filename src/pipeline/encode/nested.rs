//! Writes what has children: lists, maps, structs, unions. Which rows of the children are looked at is
//! decided here, and nothing else of them.

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, StructArray, UnionArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, UnionFields, UnionMode};
use arrow_ipc::FieldNode;

use super::run::{push_blank, push_run};
use super::{Body, Run, index, internal, mismatch, signed};
use crate::error::{Code, Error, Result};

impl Body {
    /// Lists of any form, and maps, which were made lists.
    pub(super) fn lists(&mut self, item: &Field, runs: &[Run<'_>], rows: usize) -> Result<()> {
        let mut children = Vec::new();
        let mut total = 0_usize;
        let out = self.buffer((rows + 1) * 4)?;
        let mut slots = out.chunks_exact_mut(4).skip(1);
        for run in runs {
            let Run::Values { array, start, len } = run else {
                for slot in slots.by_ref().take(run.len()) {
                    slot.copy_from_slice(&offset(total)?);
                }
                continue;
            };
            let lists = Lists::of(array)?;
            for row in *start..start + len {
                // PRIVACY: a null list may cover items; they are not looked at.
                if lists.nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                    let (from, to) = lists.span(row).ok_or_else(mismatch)?;
                    if to > from {
                        push_run(&mut children, lists.values, from, to - from);
                        total += to - from;
                    }
                }
                if let Some(slot) = slots.next() {
                    slot.copy_from_slice(&offset(total)?);
                }
            }
        }
        self.column(item, &children)
    }

    pub(super) fn fixed_lists(&mut self, item: &Field, size: i32, runs: &[Run<'_>]) -> Result<()> {
        let size = index(size)?;
        let mut children = Vec::new();
        for run in runs {
            match run {
                Run::Blank(len) => push_blank(&mut children, len * size),
                Run::Values { array, start, len } => {
                    let list: &FixedSizeListArray =
                        array.as_fixed_size_list_opt().ok_or_else(mismatch)?;
                    for row in *start..start + len {
                        if list.is_valid(row) {
                            let from = index(list.value_offset(row))?;
                            push_run(&mut children, list.values(), from, size);
                        } else {
                            push_blank(&mut children, size);
                        }
                    }
                }
            }
        }
        self.column(item, &children)
    }

    /// Unions: each child gets the rows that show it, in dense form, whatever form they come in.
    pub(super) fn unions(
        &mut self,
        fields: &UnionFields,
        mode: UnionMode,
        runs: &[Run<'_>],
        rows: usize,
    ) -> Result<()> {
        if mode != UnionMode::Dense {
            return Err(internal("a type that cannot be sent"));
        }
        self.nodes.push(FieldNode::new(signed(rows)?, 0));
        let (first, _) = fields.iter().next().ok_or_else(mismatch)?;
        let mut shown = Vec::with_capacity(rows);
        let mut offsets = Vec::with_capacity(rows);
        let mut children: Vec<(i8, Vec<Run<'_>>, usize)> =
            fields.iter().map(|(id, _)| (id, Vec::new(), 0)).collect();
        for run in runs {
            for row in 0..run.len() {
                let (id, place) = match run {
                    Run::Blank(_) => (first, None),
                    Run::Values { array, start, .. } => {
                        let union: &UnionArray =
                            array.as_any().downcast_ref().ok_or_else(mismatch)?;
                        let id = union.type_id(start + row);
                        (id, Some((union.child(id), union.value_offset(start + row))))
                    }
                };
                let (_, runs, len) =
                    children.iter_mut().find(|(own, ..)| *own == id).ok_or_else(mismatch)?;
                shown.push(id.cast_unsigned());
                offsets.extend_from_slice(&offset(*len)?);
                *len += 1;
                match place {
                    Some((child, at)) => push_run(runs, child, at, 1),
                    None => push_blank(runs, 1),
                }
            }
        }
        self.buffer(rows)?.copy_from_slice(&shown);
        self.buffer(rows * 4)?.copy_from_slice(&offsets);
        for ((_, field), (_, runs, _)) in fields.iter().zip(&children) {
            self.column(field, runs)?;
        }
        Ok(())
    }
}

/// A list array of some form.
struct Lists<'a> {
    spans: Spans<'a>,
    values: &'a ArrayRef,
    nulls: Option<&'a NullBuffer>,
}

/// Where the items of each row stand.
enum Spans<'a> {
    Narrow(&'a [i32]),
    Wide(&'a [i64]),
    NarrowView(&'a [i32], &'a [i32]),
    WideView(&'a [i64], &'a [i64]),
}

impl<'a> Lists<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
        let (spans, values) = match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list_opt::<i32>().ok_or_else(mismatch)?;
                (Spans::Narrow(list.value_offsets()), list.values())
            }
            DataType::LargeList(_) => {
                let list = array.as_list_opt::<i64>().ok_or_else(mismatch)?;
                (Spans::Wide(list.value_offsets()), list.values())
            }
            DataType::ListView(_) => {
                let list = array.as_list_view_opt::<i32>().ok_or_else(mismatch)?;
                (Spans::NarrowView(list.value_offsets(), list.value_sizes()), list.values())
            }
            DataType::LargeListView(_) => {
                let list = array.as_list_view_opt::<i64>().ok_or_else(mismatch)?;
                (Spans::WideView(list.value_offsets(), list.value_sizes()), list.values())
            }
            _ => return Err(mismatch()),
        };
        Ok(Self { spans, values, nulls: array.nulls() })
    }

    fn span(&self, row: usize) -> Option<(usize, usize)> {
        let narrow = |value: Option<&i32>| usize::try_from(*value?).ok();
        let wide = |value: Option<&i64>| usize::try_from(*value?).ok();
        match self.spans {
            Spans::Narrow(offsets) => {
                Some((narrow(offsets.get(row))?, narrow(offsets.get(row + 1))?))
            }
            Spans::Wide(offsets) => Some((wide(offsets.get(row))?, wide(offsets.get(row + 1))?)),
            Spans::NarrowView(offsets, sizes) => {
                let from = narrow(offsets.get(row))?;
                Some((from, from.checked_add(narrow(sizes.get(row))?)?))
            }
            Spans::WideView(offsets, sizes) => {
                let from = wide(offsets.get(row))?;
                Some((from, from.checked_add(wide(sizes.get(row))?)?))
            }
        }
    }
}

/// The child of each run of structs; blank under a null struct.
pub(super) fn struct_runs<'a>(at: usize, runs: &[Run<'a>]) -> Result<Vec<Run<'a>>> {
    let mut children = Vec::new();
    for run in runs {
        match run {
            Run::Blank(len) => push_blank(&mut children, *len),
            Run::Values { array, start, len } => {
                let parent: &StructArray = array.as_struct_opt().ok_or_else(mismatch)?;
                let child = parent.columns().get(at).ok_or_else(mismatch)?;
                match parent.nulls() {
                    None => push_run(&mut children, child, *start, *len),
                    Some(nulls) => {
                        for row in *start..start + len {
                            if nulls.is_valid(row) {
                                push_run(&mut children, child, row, 1);
                            } else {
                                push_blank(&mut children, 1);
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(children)
}

fn offset(total: usize) -> Result<[u8; 4]> {
    // More than a message may hold is cut into smaller messages, but not past 2 GiB.
    i32::try_from(total)
        .map(i32::to_le_bytes)
        .map_err(|_| Error::new(Code::RowTooLarge, "the lists of a batch are too long"))
}
