//! Equal to a model that keeps all rows in maps and sorts them, to itself under any layout and in any
//! memory, and to plain SQL where no bound binds.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::row::{RowConverter, SortField};
use datafusion::prelude::SessionContext;
use proptest::prelude::*;

use super::super::keyed::Order;
use super::super::steps::NONE;
use super::*;

/// The steps of a value by exact arithmetic on halves, not by the code that is tested.
fn steps(value: f64, bounds: &Bounds) -> Option<i64> {
    let (low, high) = bounds.steps();
    let ratio = value / bounds.step;
    if ratio.is_nan() {
        return None;
    }
    if ratio <= low as f64 {
        return Some(low);
    }
    if ratio >= high as f64 {
        return Some(high);
    }
    let below = ratio.floor();
    let nearest = match (ratio - below).total_cmp(&0.5) {
        std::cmp::Ordering::Less => below,
        std::cmp::Ordering::Greater => below + 1.0,
        std::cmp::Ordering::Equal if below as i64 % 2 == 0 => below,
        std::cmp::Ordering::Equal => below + 1.0,
    };
    Some((nearest as i64).clamp(low, high))
}

/// Whole values by whole steps do not pass through fractions.
fn whole_steps(value: i64, bounds: &Bounds) -> Option<i64> {
    if bounds.step.fract() != 0.0 {
        return steps(value as f64, bounds);
    }
    let (low, high) = bounds.steps();
    let step = bounds.step as i128;
    // The multiples on both sides, and the nearer one; of two as near the even one.
    let below = i128::from(value).div_euclid(step);
    let (down, up) = (i128::from(value) - below * step, (below + 1) * step - i128::from(value));
    let nearest = if down < up || (down == up && below % 2 == 0) { below } else { below + 1 };
    Some(nearest.clamp(low.into(), high.into()) as i64)
}

/// A group's key as the order of samples has it.
fn content(asked: &Asked, row: &Row, order: &Order) -> u64 {
    let mut columns: Vec<ArrayRef> = Vec::new();
    if asked.sites.is_some() {
        columns.push(Arc::new(StringViewArray::from_iter([row.site.map(site)])));
    }
    if asked.queues.is_some() {
        columns.push(Arc::new(Int64Array::from(vec![row.queue])));
    }
    if columns.is_empty() {
        return order.group_id(&[])[0];
    }
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone()));
    let converter = RowConverter::new(fields.collect()).unwrap();
    order.group_id(converter.convert_columns(&columns).unwrap().row(0).as_ref())[0]
}

/// A group as its keys are shown.
fn group(asked: &Asked, row: &Row) -> Option<Vec<String>> {
    let mut group = Vec::new();
    if let Some(public) = &asked.sites {
        if let Some(list) = public
            && !row.site.is_some_and(|site| list.contains(&site))
        {
            return None;
        }
        group.push(row.site.map_or("null".to_owned(), site));
    }
    if let Some(public) = &asked.queues {
        if let Some(list) = public
            && !list.contains(&row.queue)
        {
            return None;
        }
        group.push(row.queue.to_string());
    }
    Some(group)
}

fn model(asked: &Asked, rows: &[Row]) -> BTreeMap<Vec<String>, Vec<Vec<i128>>> {
    let order = Order::new(&keys()).unwrap();
    type Rows = Vec<(u64, [i64; 2])>;
    let mut units: BTreeMap<u64, BTreeMap<Vec<String>, (u64, Rows)>> = BTreeMap::new();
    for row in rows {
        let (Some(unit), Some(group)) = (row.unit, group(asked, row)) else { continue };
        let content = content(asked, row, &order);
        let values = [
            row.whole.and_then(|value| whole_steps(value, &asked.whole)).unwrap_or(NONE),
            row.part.and_then(|value| steps(value, &asked.part)).unwrap_or(NONE),
        ];
        let mut state = order.rows(unit, content);
        values.iter().for_each(|value| state.absorb(value.cast_unsigned()));
        let groups = units.entry(unit).or_default();
        let place = groups.entry(group).or_insert_with(|| (order.group(unit, content), Vec::new()));
        place.1.push((state.finish(0), values));
    }
    let measures = asked.measures();
    let empty = || -> Vec<Vec<i128>> {
        let each = |measure: &Measure| match measure {
            Measure::Quantile { grid, .. } => vec![0; grid.len() + 1],
            _ => vec![0],
        };
        measures.iter().map(each).collect()
    };
    let mut found = BTreeMap::new();
    for groups in units.into_values() {
        let mut groups: Vec<(Vec<String>, (u64, Rows))> = groups.into_iter().collect();
        if !asked.bounding.off {
            groups.sort_by_key(|(_, (place, _))| *place);
            groups.truncate(asked.bounding.groups as usize);
        }
        for (group, (_, mut rows)) in groups {
            if !asked.bounding.off {
                // As unsigned numbers: that is how rows with the same hash would be told apart.
                rows.sort();
                rows.truncate(asked.bounding.rows as usize);
            }
            let sums = found.entry(group).or_insert_with(empty);
            for (measure, sum) in measures.iter().zip(sums) {
                for (at, (_, values)) in rows.iter().enumerate() {
                    let there = |value: &usize| values[*value] != NONE;
                    let off = |value: &usize, center: &i64| {
                        i128::from(values[*value]) - i128::from(*center)
                    };
                    match measure {
                        Measure::Units => sum[0] += i128::from(at == 0),
                        Measure::Rows => sum[0] += 1,
                        Measure::Count(value) => sum[0] += i128::from(there(value)),
                        Measure::Sum { value, center } if there(value) => {
                            sum[0] += off(value, center)
                        }
                        Measure::Squares { value, center } if there(value) => {
                            sum[0] = sum[0].saturating_add(off(value, center).pow(2));
                        }
                        Measure::Quantile { value, grid, .. } if there(value) => {
                            let cell = grid.iter().filter(|point| **point < values[*value]).count();
                            sum[cell] += 1;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    // Every public combination is answered.
    let sites = match &asked.sites {
        None => Some(vec![Vec::new()]),
        Some(list) => {
            list.as_ref().map(|list| list.iter().map(|at| vec![site(*at)]).collect::<Vec<_>>())
        }
    };
    let queues = match &asked.queues {
        None => Some(vec![Vec::new()]),
        Some(list) => {
            list.as_ref().map(|list| list.iter().map(|at| vec![at.to_string()]).collect::<Vec<_>>())
        }
    };
    if let (Some(sites), Some(queues)) = (sites, queues) {
        for site in &sites {
            for queue in &queues {
                found.entry([site.clone(), queue.clone()].concat()).or_insert_with(empty);
            }
        }
    }
    found
}

fn whole() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        8 => (-50_i64..50).prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>()].prop_map(Some),
    ]
}

fn part() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        6 => (-100_i32..100).prop_map(|at| Some(f64::from(at) / 8.0)),
        1 => Just(None),
        1 => any::<f64>().prop_map(Some),
        1 => prop_oneof![
            Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0), Just(f64::MAX)
        ].prop_map(Some),
    ]
}

pub(super) fn row(units: u64) -> impl Strategy<Value = Row> {
    let unit = prop_oneof![9 => (0..units).prop_map(Some), 1 => Just(None)];
    let site = prop_oneof![9 => (0..6_u8).prop_map(Some), 1 => Just(None)];
    (unit, site, 0..4_i64, whole(), part()).prop_map(|(unit, site, queue, whole, part)| Row {
        unit,
        site,
        queue,
        whole,
        part,
    })
}

fn bounds() -> impl Strategy<Value = Bounds> {
    prop_oneof![
        Just(Bounds { low: 0.0, high: 20.0, step: 1.0 }),
        Just(Bounds { low: -30.0, high: 30.0, step: 4.0 }),
        Just(Bounds { low: -3.5, high: 12.25, step: 0.25 }),
        Just(Bounds { low: -9_007_199_254_740_991.0, high: 9_007_199_254_740_991.0, step: 1.0 }),
        Just(Bounds { low: 1.0, high: 1e300, step: 1e290 }),
    ]
}

pub(super) fn asked() -> impl Strategy<Value = Asked> {
    let list = prop_oneof![Just(None), Just(Some(vec![2_u8, 0, 9, 4])), Just(Some(vec![1_u8]))];
    let numbers = prop_oneof![Just(None), Just(Some(vec![3_i64, 1, 7]))];
    let sites = proptest::option::of(list);
    let queues = proptest::option::of(numbers);
    let bounding =
        (1..5_u64, 1..6_u64).prop_map(|(groups, rows)| Bounding { groups, rows, off: false });
    (sites, queues, bounds(), bounds(), bounding).prop_map(
        |(sites, queues, whole, part, bounding)| Asked { sites, queues, whole, part, bounding },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn it_equals_a_model_that_keeps_everything(
        asked in asked(),
        rows in proptest::collection::vec(row(8), 0..200),
        batch in 1..64_usize,
        partitions in 1..4_usize,
    ) {
        let layout = Layout { partitions, batch, ..PLAIN };
        prop_assert_eq!(asked.answer(&rows, layout).by_key(), model(&asked, &rows));
    }
}

/// Twenty thousand rows of three hundred units: many under the bounds and some far past them.
pub(super) fn many() -> Vec<Row> {
    let mut seed = 1_u64;
    let mut draw = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let row = |_| {
        let heavy = draw(2) == 0;
        Row {
            unit: (draw(20) > 0).then(|| if heavy { draw(3) } else { draw(300) }),
            site: (draw(20) > 0).then(|| draw(40) as u8),
            queue: draw(5) as i64,
            whole: (draw(10) > 0).then(|| draw(1_000) as i64),
            part: (draw(10) > 0).then(|| draw(1_000) as f64 / 16.0),
        }
    };
    (0..20_000).map(row).collect()
}

pub(super) fn plain(sites: Option<Option<Vec<u8>>>, groups: u64, rows: u64) -> Asked {
    Asked {
        sites,
        queues: Some(None),
        whole: Bounds { low: 0.0, high: 500.0, step: 1.0 },
        part: Bounds { low: 0.0, high: 50.0, step: 0.125 },
        bounding: Bounding { groups, rows, off: false },
    }
}

#[test]
fn whoever_works_at_it_in_however_much_memory_it_is_the_same() {
    let rows = many();
    let mut turned = rows.clone();
    turned.reverse();
    for asked in [
        plain(Some(None), 3, 4),
        plain(Some(None), 30, 400),
        plain(Some(Some((0..40).rev().collect())), 7, 20),
        plain(None, 1, 1000),
    ] {
        let expected = asked.answer(&rows, PLAIN);
        assert_eq!(expected.clone().by_key(), model(&asked, &rows));
        for partitions in [1, 2, 7] {
            for batch in [100, 1_000, 8_192] {
                let layout = Layout { partitions, batch, ..PLAIN };
                assert_eq!(asked.answer(&rows, layout), expected, "{asked:?} {layout:?}");
            }
        }
        assert_eq!(asked.answer(&turned, PLAIN), expected, "the order of rows");
        let small = Layout { partitions: 2, batch: 500, memory: 1_500_000 };
        let (exact, spilled) = asked.exact(&rows, small).unwrap();
        // Where units contribute little, what they do not is left out before it is written. (Which of two workers
        // finds the rest of memory taken by the other, is chance: something may be written then.)
        let many = asked.bounding.groups == 30;
        assert!(spilled > 0 || !many, "{asked:?}");
        assert_eq!(Answer::of(&exact), expected, "{asked:?}: spilled");
        if !many {
            let (_, spilled) = asked.exact(&rows, Layout { memory: 6_000_000, ..small }).unwrap();
            assert_eq!(spilled, 0, "{asked:?}");
        }
    }
}

#[test]
fn groups_that_are_not_public_come_in_the_order_of_their_keys() {
    let answer = plain(Some(None), 100, 100).answer(&many(), PLAIN);
    let keys: Vec<_> = answer.0.iter().map(|(keys, _)| keys[0].clone()).collect();
    let first: BTreeSet<_> = keys.iter().filter(|key| *key != "null").cloned().collect();
    let mut shown: Vec<_> = keys.into_iter().filter(|key| key != "null").collect();
    shown.dedup();
    assert_eq!(shown, first.into_iter().collect::<Vec<_>>());
}

#[test]
fn where_no_bound_binds_it_equals_plain_sql() {
    let rows = many();
    let mut asked = plain(Some(None), 10_000, 100_000);
    asked.whole.high = 1_000.0;
    asked.part.high = 100.0;
    let found = asked.answer(&rows, Layout { partitions: 2, ..PLAIN });
    let (schema, partitions) = batches(&rows, PLAIN);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let expected = runtime.block_on(async {
        let context = SessionContext::new();
        let table = Arc::new(MemTable::try_new(schema, partitions).unwrap());
        context.register_table("jobs", table).unwrap();
        let sql = "SELECT site, queue, count(DISTINCT unit), count(*), count(whole), sum(whole),
                          count(part), sum(CAST(part * 8 AS BIGINT))
                   FROM (SELECT unit, site, queue, whole, round(part * 8) / 8 AS part FROM jobs)
                   WHERE unit IS NOT NULL GROUP BY site, queue ORDER BY site NULLS FIRST, queue";
        context.sql(sql).await.unwrap().collect().await.unwrap()
    });
    let expected = arrow::compute::concat_batches(&expected[0].schema(), &expected).unwrap();
    assert_eq!(expected.num_rows(), found.0.len());
    let number = |column: usize, group: usize| {
        i128::from(expected.column(column).as_primitive::<Int64Type>().value(group))
    };
    let mut off = 0;
    for (group, (_, measured)) in found.0.iter().enumerate() {
        let ours = [0, 1, 2, 3, 7].map(|measure| measured[measure][0]);
        assert_eq!(ours, [2, 3, 4, 5, 6].map(|column| number(column, group)));
        // The engine rounds halves away from nought, and one in two sixteenths is a half.
        off += (measured[8][0] - number(7, group)).abs();
    }
    assert!(off < rows.len() as i128, "{off}");
}

#[test]
fn memory_is_bounded_by_what_units_contribute() {
    // One unit, a million rows, twenty groups of fifty: they fit where its rows do not.
    let rows: Vec<Row> = (0..1_000_000)
        .map(|at| Row {
            unit: Some(1),
            site: Some((at % 200) as u8),
            queue: at % 3,
            whole: Some(at * 7 % 1_000),
            part: Some(at as f64),
        })
        .collect();
    let asked = plain(Some(None), 20, 50);
    let layout = Layout { partitions: 2, batch: 1_000, memory: 2_000_000 };
    let (exact, _) = asked.exact(&rows, layout).unwrap();
    assert_eq!(exact.groups, 20);
    assert_eq!(Answer::of(&exact), asked.answer(&rows, PLAIN));
}

#[test]
fn units_that_come_once_go_by_and_are_chosen_among_later() {
    // Thirty thousand units with three rows each in as many groups, far apart: nothing is saved by choosing early.
    let rows: Vec<Row> = (0..90_000)
        .map(|at| Row {
            unit: Some(at % 30_000),
            site: Some((at / 30_000 * 7 + at % 5) as u8),
            queue: 1,
            whole: Some(at as i64 % 1_000),
            part: Some(at as f64 / 16.0),
        })
        .collect();
    for (sites, groups) in [(Some(None), 1), (Some(Some((0..40).collect())), 2), (None, 1)] {
        let asked = plain(sites, groups, 2);
        let expected = asked.answer(&rows, PLAIN);
        assert_eq!(expected.clone().by_key(), model(&asked, &rows));
        let small = Layout { partitions: 2, batch: 500, memory: 800_000 };
        let (exact, spilled) = asked.exact(&rows, small).unwrap();
        assert!(spilled > 0, "{asked:?}");
        assert_eq!(Answer::of(&exact), expected, "{asked:?}");
    }
}

/// A unit with thirty thousand rows, in as many groups as there are sites and queues.
fn one_with_much(sites: i64, queues: i64, values: i64) -> Vec<Row> {
    let row = |at: i64| Row {
        unit: Some(1 << 33),
        site: Some((at % sites) as u8),
        queue: at / sites % queues,
        whole: Some(at * 7 % values),
        part: Some((at % values) as f64 / 1_000.0),
    };
    (0..30_000).map(row).collect()
}

// PRIVACY: whether there is an answer does not depend on how much one unit has.
#[test]
fn one_unit_that_contributes_more_than_memory_holds_is_looked_at_part_by_part() {
    let all = || Some(Some((0..200).collect()));
    let queues = || Some(Some((0..300).rev().collect()));
    for (rows, sites, queues, groups, most) in [
        // One group of many rows, of rows that are all the same, and of some that are.
        (one_with_much(1, 1, 30_000), None, None, 1, 10_000),
        (one_with_much(1, 1, 1), None, Some(None), 1, 10_000),
        (one_with_much(1, 1, 3), None, Some(None), 1, 29_999),
        // Many groups of few rows, few of many, and more groups than are kept by far.
        (one_with_much(200, 100, 1_000), Some(None), Some(None), 5_000, 2),
        (one_with_much(200, 100, 1_000), Some(None), Some(None), 5, 2),
        (one_with_much(3, 2, 30_000), Some(None), Some(None), 4, 4_000),
        (one_with_much(200, 300, 1_000), all(), Some(None), 20_000, 3),
        (one_with_much(200, 3, 9_000), all(), queues(), 500, 90),
        (one_with_much(200, 3, 1), all(), queues(), 2, 60),
    ] {
        // Sums of sixty thousand public groups are asked for in advance.
        let is_public = matches!((&sites, &queues), (Some(Some(_)), Some(Some(_))));
        let sums = if is_public { 18_500_000 } else { 0 };
        let words = format!("{groups} groups, {most} rows, public: {is_public}");
        let mut asked = plain(sites, groups, most);
        asked.queues = queues;
        let rows = [rows, many().into_iter().take(2_000).collect()].concat();
        let expected = asked.answer(&rows, PLAIN);
        // Less than one unit needs, and next to nothing.
        for memory in [400_000, 50_000] {
            let layout = Layout { partitions: 2, batch: 1_000, memory: memory + sums };
            let (exact, _) = asked.exact(&rows, layout).unwrap();
            assert!(Answer::of(&exact) == expected, "{words} in {memory}");
        }
    }
}

#[test]
fn more_groups_than_memory_holds_are_counted_as_if_it_held_them() {
    // Three thousand units in sixty thousand groups, with a hundred and twenty numbers for each group.
    let rows: Vec<Row> = (0..80_000_i64)
        .map(|at| Row {
            unit: Some((at * 31 % 3_000) as u64),
            site: Some((at % 250) as u8),
            queue: at % 240 / (1 + at % 2),
            whole: (at % 5 > 0).then_some(at % 1_000),
            part: Some((at % 800) as f64 / 16.0),
        })
        .collect();
    let asked = plain(Some(None), 40, 2);
    let expected = asked.answer(&rows, PLAIN);
    assert_eq!(expected.clone().by_key(), model(&asked, &rows));
    for (memory, partitions) in [(2_000_000, 2), (200_000, 1), (20_000, 2)] {
        let layout = Layout { partitions, batch: 1_000, memory };
        let (exact, spilled) = asked.exact(&rows, layout).unwrap();
        assert!(spilled > 0);
        assert!(Answer::of(&exact) == expected, "{memory}");
    }
}
