//! Lookups of keys of all types, beside a search through the whole table.

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int8Array, Int64Array,
    RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray, UInt16Array,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use std::sync::Arc;

use super::lookup::NONE;
use super::*;
use crate::pipeline::query::public::Public;

/// A small generator of numbers.
struct Chance(u64);

impl Chance {
    fn below(&mut self, many: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % many
    }
}

/// A column of one of several types, with nulls, of values under `many`.
fn column(kind: usize, rows: usize, many: u64, chance: &mut Chance) -> ArrayRef {
    let values: Vec<Option<u64>> =
        (0..rows).map(|_| Some(chance.below(many)).filter(|it| *it != 3)).collect();
    let each = values.iter().copied();
    match kind {
        0 => Arc::new(each.map(|it| it.map(|it| format!("{it}"))).collect::<StringViewArray>()),
        1 => Arc::new(
            each.map(|it| it.map(|it| format!("a long text that begins alike {it}")))
                .collect::<StringViewArray>(),
        ),
        2 => Arc::new(each.map(|it| it.map(|it| it as i64 - 5)).collect::<Int64Array>()),
        3 => Arc::new(each.map(|it| it.map(|it| it as i8 - 5)).collect::<Int8Array>()),
        4 => Arc::new(each.map(|it| it.map(|it| it as u16)).collect::<UInt16Array>()),
        5 => Arc::new(each.map(|it| it.map(|it| it % 2 == 0)).collect::<BooleanArray>()),
        6 => Arc::new(each.map(|it| it.map(|it| it as i32 - 5)).collect::<Date32Array>()),
        7 => Arc::new(
            each.map(|it| it.map(|it| it as i64 - 5)).collect::<TimestampMicrosecondArray>(),
        ),
        // The empty text stands where others have null.
        8 => Arc::new(
            each.map(|it| it.map(|it| "x".repeat(it as usize % 3))).collect::<StringArray>(),
        ),
        _ => Arc::new(each.map(|it| it.map(i128::from)).collect::<Decimal128Array>()),
    }
}

#[test]
fn the_rows_of_a_key_are_those_that_a_search_finds() {
    let mut chance = Chance(7);
    for kind in 0..10 {
        for (other, rows, many) in [(0, 30, 20), (1, 400, 60), (2, 5, 4), (5, 3_000, 1_500)] {
            let many = if kind == 3 || other == 3 { many.min(100) } else { many };
            let table = [("a", kind), ("b", other)]
                .map(|(name, kind)| (name, column(kind, rows, many, &mut chance)));
            let rows = RecordBatch::try_from_iter(table).unwrap();
            let public = Arc::new(Public::of("t", &rows).unwrap());
            for names in [vec!["a"], vec!["a", "b"]] {
                let key = |name: &&str| {
                    let kind = rows.column_by_name(name).unwrap().data_type();
                    let kind =
                        if *kind == DataType::Utf8 { DataType::Utf8View } else { kind.clone() };
                    ((*name).to_owned(), (*name).to_owned(), kind)
                };
                let keys: Vec<_> = names.iter().map(key).collect();
                let lookup = Lookup::new(Arc::clone(&public), true, keys.clone()).unwrap();
                let mut recent = lookup.index.recent();
                let mut most = 1;
                for _ in 0..4 {
                    // Also values that do not stand in the table.
                    let of = [kind, other].map(|kind| {
                        let many = if kind == 3 { many.min(100) } else { many + 5 };
                        column(kind, 500, many, &mut chance)
                    });
                    let asked: Vec<ArrayRef> =
                        of.iter().zip(&keys).map(|(it, key)| cast(it, &key.2).unwrap()).collect();
                    let asked: Vec<&ArrayRef> = asked.iter().collect();
                    let codes = lookup.index.codes(&asked, &mut recent).unwrap();
                    assert_eq!(codes.len(), 500);
                    let own: Vec<ArrayRef> = keys
                        .iter()
                        .map(|key| public.rows.column_by_name(&key.1).unwrap().clone())
                        .collect();
                    let fields =
                        keys.iter().map(|key| SortField::new(key.2.clone())).collect::<Vec<_>>();
                    let converter = RowConverter::new(fields).unwrap();
                    let own_rows = converter.convert_columns(&own).unwrap();
                    let plain: Vec<ArrayRef> = asked.iter().map(|it| Arc::clone(it)).collect();
                    let asked_rows = converter.convert_columns(&plain).unwrap();
                    for (row, code) in codes.iter().enumerate() {
                        let null = plain.iter().any(|it| it.is_null(row));
                        let found: Vec<u32> = (0..rows.num_rows())
                            .filter(|at| !null && own_rows.row(*at) == asked_rows.row(row))
                            .map(|at| at as u32)
                            .collect();
                        let (start, len) = lookup.index.place(*code);
                        let ours: Vec<u32> =
                            (start..start + len).map(|at| lookup.index.row(at as usize)).collect();
                        assert_eq!(ours, found, "{kind} {other} {row}");
                        assert_eq!(*code == NONE, found.is_empty());
                        most = most.max(found.len());
                    }
                }
                assert!(lookup.most() >= most);
            }
        }
    }
}

#[test]
fn names_of_joined_columns_come_apart_again() {
    assert_eq!(public_name(&joined_name("sites", "tier")), Some(("sites", "tier")));
    assert_eq!(public_name("tier"), None);
}
