//! The profile of one column of the sample. Values go in, counts come out; nothing is kept between
//! columns.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::looks::{Looks, is_blank, is_card};
use super::{ColumnProfile, Lengths, Numbers};
use crate::error::Result;
use crate::pipeline::transform::column::{canonical, to_canonical};

/// Looks at one column, given in pieces.
pub(super) fn profile(
    name: &str,
    data_type: &DataType,
    pieces: &[ArrayRef],
    looks: &Looks,
) -> Result<ColumnProfile> {
    let mut found = ColumnProfile {
        name: name.to_owned(),
        data_type: data_type.clone(),
        values: 0,
        nulls: 0,
        blanks: 0,
        distinct: 0,
        looks: std::collections::BTreeMap::new(),
        inside: std::collections::BTreeMap::new(),
        lengths: None,
        numbers: None,
    };
    let pieces = pieces.iter().map(to_canonical).collect::<Result<Vec<_>>>()?;
    for piece in &pieces {
        let nulls = piece.logical_nulls().map_or(0, |nulls| nulls.null_count()) as u64;
        found.nulls += nulls;
        found.values += piece.len() as u64 - nulls;
    }
    match canonical(data_type) {
        DataType::Utf8 => texts(&mut found, &pieces, looks),
        DataType::List(item) if item.data_type() == &DataType::Utf8 => {
            let items: Vec<ArrayRef> = pieces.iter().filter_map(items).collect();
            found.values = items.iter().map(|item| (item.len() - item.null_count()) as u64).sum();
            texts(&mut found, &items, looks);
        }
        kind if kind.is_numeric() => numbers(&mut found, &pieces, &kind),
        DataType::Boolean => {
            let has = |wanted: bool| {
                pieces
                    .iter()
                    .any(|piece| piece.as_boolean().iter().any(|flag| flag == Some(wanted)))
            };
            found.distinct = u64::from(has(true)) + u64::from(has(false));
        }
        kind if kind.is_temporal() => {
            let mut seen = std::collections::HashSet::new();
            for piece in pieces.iter().filter_map(|piece| cast(piece, &DataType::Int64).ok()) {
                let whole = piece.as_any().downcast_ref::<Int64Array>();
                seen.extend(whole.into_iter().flatten().flatten());
            }
            found.distinct = seen.len() as u64;
        }
        _ => {}
    }
    Ok(found)
}

/// The items of lists that are used.
pub(super) fn items(lists: &ArrayRef) -> Option<ArrayRef> {
    let lists = lists.as_list_opt::<i32>()?;
    let (first, last) = (lists.offsets().first()?, lists.offsets().last()?);
    let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
    Some(lists.values().slice(first, last.checked_sub(first)?))
}

/// Each text that differs, and how many values it is, in no order.
pub(super) fn counted(pieces: &[ArrayRef]) -> Vec<(&str, u64)> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for piece in pieces {
        for text in piece.as_string_opt::<i32>().into_iter().flatten().flatten() {
            *counts.entry(text).or_default() += 1;
        }
    }
    counts.into_iter().collect()
}

fn texts(found: &mut ColumnProfile, pieces: &[ArrayRef], looks: &Looks) {
    let (mut least, mut most, mut sum) = (u64::MAX, 0, 0);
    for (text, count) in counted(pieces) {
        if is_blank(text) {
            found.blanks += count;
            continue;
        }
        found.distinct += 1;
        let length = text.chars().count() as u64;
        (least, most) = (least.min(length), most.max(length));
        sum += length * count;
        let look = looks.whole(text);
        *found.looks.entry(look).or_default() += count;
        for inside in looks.inside(text).filter(|inside| *inside != look) {
            *found.inside.entry(inside).or_default() += count;
        }
    }
    if let Some(mean) = sum.checked_div(found.telling()) {
        found.lengths = Some(Lengths { least, mean, most });
    }
}

fn numbers(found: &mut ColumnProfile, pieces: &[ArrayRef], kind: &DataType) {
    let mut all: Vec<f64> = Vec::new();
    for piece in pieces.iter().filter_map(|piece| cast(piece, &DataType::Float64).ok()) {
        let piece = piece.as_any().downcast_ref::<Float64Array>();
        all.extend(piece.into_iter().flatten().flatten().filter(|number| !number.is_nan()));
    }
    let count =
        |holds: &dyn Fn(f64) -> bool| all.iter().filter(|value| holds(**value)).count() as u64;
    let whole = |value: f64| value.fract() == 0.0;
    let mut numbers = Numbers {
        negative: count(&|value| value < 0.0),
        zero: count(&|value| value == 0.0),
        fractional: count(&|value| !whole(value)),
        latitude: count(&|value| value.abs() <= 90.0),
        longitude: count(&|value| value.abs() <= 180.0),
        epoch: count(&|value| (946_684_800.0..4_102_444_800.0).contains(&value)),
        epoch_millis: count(&|value| (946_684_800e3..4_102_444_800e3).contains(&value)),
        day: count(&|value| whole(value) && is_day(value)),
        card: count(&|value| {
            kind.is_integer() && (2e12..7e18).contains(&value) && is_card(&format!("{value:.0}"))
        }),
        ..Numbers::default()
    };
    all.iter_mut().for_each(|value| *value = value.abs());
    all.sort_by(f64::total_cmp);
    numbers.digits_median = all.get(all.len() / 2).map_or(0, |value| magnitude(*value));
    numbers.digits_most = all.last().map_or(0, |value| magnitude(*value));
    // Equal absolute values of different sign are few, and this is an estimate.
    all.dedup();
    found.distinct = all.len() as u64;
    found.numbers = Some(numbers);
}

/// Digits before the point.
fn magnitude(value: f64) -> u32 {
    let mut digits = 0;
    let mut edge = 1.0;
    while edge <= value && digits < 40 {
        edge *= 10.0;
        digits += 1;
    }
    digits
}

/// 20260131, from 1850 to 2099.
fn is_day(value: f64) -> bool {
    let (month, day) = ((value / 100.0).floor() % 100.0, value % 100.0);
    (18_500_101.0..=20_991_231.0).contains(&value)
        && (1.0..=12.0).contains(&month)
        && (1.0..=31.0).contains(&day)
}
