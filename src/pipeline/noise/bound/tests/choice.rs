//! What is kept of units, row by row: equal to sorting, whatever the order of rows, and whoever kept some of
//! them before.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::choice::{Choice, Keyed, Rule};
use super::super::keyed::Order;
use super::{Bounding, keys};

const IDS: [[u64; 2]; 6] = [[9, 1], [1, 1], [1 << 40, 3], [77, 0], [5, 5], [u64::MAX, 2]];

type Kept = BTreeMap<(u64, u32), Vec<Vec<u64>>>;

/// Rows as records, without a value with a number of rows instead.
fn record((unit, group, values): &(u64, u32, [u64; 3]), count: usize) -> Vec<u64> {
    let values = if count == 0 { &values[..1] } else { &values[..count] };
    [&[*unit, u64::from(*group)], values].concat()
}

/// All rows sorted by their places, of which the first stay.
fn model(records: &[Vec<u64>], count: usize, bounding: &Bounding, order: &Order) -> Kept {
    let mut units: BTreeMap<u64, BTreeMap<u32, Vec<Vec<u64>>>> = BTreeMap::new();
    for record in records {
        let rows = units.entry(record[0]).or_default().entry(record[1] as u32).or_default();
        match count {
            0 => rows.extend((0..record[2]).map(|_| Vec::new())),
            _ => rows.push(record[2..].to_vec()),
        }
    }
    let mut kept = Kept::new();
    for (unit, groups) in units {
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(group, _)| order.group(unit, IDS[*group as usize][0]));
        groups.truncate(bounding.groups as usize);
        for (group, mut rows) in groups {
            let place = |values: &Vec<u64>| {
                let mut state = order.rows(unit, IDS[group as usize][0]);
                values.iter().for_each(|value| state.absorb(*value));
                (state.finish(0), values.clone())
            };
            rows.sort_by_key(place);
            rows.truncate(bounding.rows as usize);
            kept.insert((unit, group), rows);
        }
    }
    kept.values_mut().for_each(|rows| rows.sort());
    kept
}

/// What a choice holds, which is also what it hands over.
fn held(mut choice: Choice, count: usize) -> Kept {
    let mut found: Vec<(u32, usize)> =
        choice.found().map(|(group, rows, _)| (group, rows as usize)).collect();
    let (records, mut kept) = (choice.kept(), Kept::new());
    let mut drained = 0;
    choice.drain(|unit, group, values| {
        drained += 1;
        let rows = kept.entry((unit, group)).or_default();
        match count {
            0 => rows.extend((0..values[0]).map(|_| Vec::new())),
            _ => rows.push(values.to_vec()),
        }
    });
    assert_eq!((drained, choice.kept()), (records, 0));
    let mut told: Vec<(u32, usize)> =
        kept.iter().map(|((_, group), rows)| (*group, rows.len())).collect();
    told.sort_unstable();
    found.sort_unstable();
    assert_eq!(told, found);
    kept.values_mut().for_each(|rows| rows.sort());
    kept
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_is_what_comes_first_in_any_order_and_of_what_others_kept(
        rows in proptest::collection::vec((0..4_u64, 0..6_u32, [1..4_u64, 0..3, 0..3]), 0..120),
        count in 0..4_usize,
        (groups, most) in (1..7_u64, 1..9_u64),
        pieces in 1..4_usize,
    ) {
        let order = Order::new(&keys()).unwrap();
        let keyed = Keyed { order: &order, ids: &IDS };
        let bounding = Bounding { groups, rows: most, off: false };
        // Whether the number of groups is known or not: the same is kept.
        let rule = Rule::new(&bounding, count, (pieces == 2).then_some(IDS.len()));
        let records: Vec<Vec<u64>> = rows.iter().map(|row| record(row, count)).collect();
        let expected = model(&records, count, &bounding, &order);
        let mut all = Choice::new(rule);
        all.offer_records(&records.concat(), keyed).unwrap();
        prop_assert_eq!(&held(all, count), &expected);
        let mut turned = Choice::new(rule);
        records.iter().rev().for_each(|row| turned.offer_records(row, keyed).unwrap());
        prop_assert_eq!(&held(turned, count), &expected);
        let mut last = Choice::new(rule);
        for piece in 0..pieces {
            let mut choice = Choice::new(rule);
            let some = records.iter().skip(piece).step_by(pieces);
            some.for_each(|row| choice.offer_records(row, keyed).unwrap());
            choice.drain(|unit, group, values| {
                let record = [&[unit, u64::from(group)], values].concat();
                last.offer_records(&record, keyed).unwrap();
            });
        }
        prop_assert_eq!(&held(last, count), &expected);
    }
}

#[test]
fn what_is_held_is_no_more_than_is_kept() {
    let order = Order::new(&keys()).unwrap();
    let keyed = Keyed { order: &order, ids: &IDS };
    let rule = Rule::new(&Bounding { groups: 2, rows: 10, off: false }, 1, None);
    let mut choice = Choice::new(rule);
    for at in 0..200_000_u64 {
        let value = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        choice.offer(at % 3, (at % 6) as u32, &[value], keyed).unwrap();
    }
    assert_eq!(choice.kept(), 60, "three units, in two groups each, with ten rows each");
    assert!(choice.bytes() < 20_000, "{}", choice.bytes());
}
