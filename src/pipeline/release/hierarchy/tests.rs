//! Hierarchies from files and rules: each level is coarser than the one before, and bad files are refused with their line.

use std::sync::Arc;

use arrow::array::{
    Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};

use super::*;

fn built(rule: &HierarchyRule, values: &ArrayRef, null: bool) -> Hierarchy {
    let rows = vec![1; values.len() + 1];
    let of = Values { name: "x", values, null, rows: &rows };
    let built = build(rule, &of, Order::File, 1.0, Path::new("/")).unwrap();
    nests(&built.hierarchy);
    built.hierarchy
}

/// What [`Hierarchy`] promises.
fn nests(hierarchy: &Hierarchy) {
    let leaves = hierarchy.leaves();
    let identity: Vec<u32> = (0..u32::try_from(leaves).unwrap()).collect();
    assert_eq!(hierarchy.groups[0], identity);
    assert_eq!(hierarchy.labels.len(), hierarchy.groups.len());
    for (level, (groups, labels)) in hierarchy.groups.iter().zip(&hierarchy.labels).enumerate() {
        assert_eq!(groups.len(), leaves);
        let mut used = vec![false; labels.len()];
        groups.iter().for_each(|group| used[*group as usize] = true);
        assert!(leaves == 0 || used.iter().all(|used| *used), "level {level} has an empty group");
        if let Some(above) = hierarchy.groups.get(level + 1) {
            let mut parents = HashMap::new();
            for (group, parent) in groups.iter().zip(above) {
                assert_eq!(parents.entry(group).or_insert(parent), &parent, "level {level}");
            }
        }
    }
    let last = hierarchy.labels.last().unwrap();
    assert_eq!(*last, [Some("*".to_owned())]);
    assert!(hierarchy.groups.last().unwrap().iter().all(|group| *group == 0));
}

fn labels(hierarchy: &Hierarchy, level: usize) -> Vec<&str> {
    let of = |group: &u32| hierarchy.labels[level][*group as usize].as_deref().unwrap_or("null");
    hierarchy.groups[level].iter().map(of).collect()
}

fn intervals(from: f64, widths: &[f64]) -> HierarchyRule {
    HierarchyRule::Intervals { from, widths: widths.to_vec() }
}

#[test]
fn numbers_lie_in_intervals_that_hold_their_lower_end() {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![-1, 0, 4, 5, 9, 10, 39]));
    let hierarchy = built(&intervals(0.0, &[5.0, 10.0]), &values, true);
    assert_eq!(labels(&hierarchy, 0), ["-1", "0", "4", "5", "9", "10", "39", "null"]);
    assert_eq!(
        labels(&hierarchy, 1),
        ["[-5, 0)", "[0, 5)", "[0, 5)", "[5, 10)", "[5, 10)", "[10, 15)", "[35, 40)", "null"]
    );
    assert_eq!(
        labels(&hierarchy, 2),
        ["[-10, 0)", "[0, 10)", "[0, 10)", "[0, 10)", "[0, 10)", "[10, 20)", "[30, 40)", "null"]
    );
    assert_eq!(labels(&hierarchy, 3), ["*"; 8]);
}

#[test]
fn fractions_lie_where_their_labels_say() {
    let values: ArrayRef =
        Arc::new(Float64Array::from(vec![0.1, 0.2, 0.3, 0.7, f64::INFINITY, f64::NAN]));
    let hierarchy = built(&intervals(0.0, &[0.1, 0.3]), &values, false);
    assert_eq!(
        labels(&hierarchy, 1)[..4],
        ["[0.1, 0.2)", "[0.2, 0.3)", "[0.3, 0.4)", "[0.7, 0.8)"]
    );
    assert_eq!(labels(&hierarchy, 1)[4..], ["inf", "NaN"]);
    let cents: ArrayRef =
        Arc::new(Decimal128Array::from(vec![1999, 2000]).with_precision_and_scale(10, 2).unwrap());
    let hierarchy = built(&intervals(0.0, &[5.0]), &cents, false);
    assert_eq!(labels(&hierarchy, 0), ["19.99", "20.00"]);
    assert_eq!(labels(&hierarchy, 1), ["[15, 20)", "[20, 25)"]);
}

#[test]
fn any_numbers_nest_at_any_widths() {
    let mut state = 7_u64;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        #[expect(clippy::cast_precision_loss, reason = "any number will do")]
        let unit = (state >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    };
    for _ in 0..200 {
        let scale = 10_f64.powf(random() * 12.0 - 6.0);
        let values: Vec<f64> = (0..50).map(|_| (random() - 0.5) * scale * 100.0).collect();
        let values: ArrayRef = Arc::new(Float64Array::from(values));
        let width = scale * (0.1 + random());
        let factor = (2.0 + random() * 5.0).floor();
        built(
            &intervals(random() * scale, &[width, width * factor, width * factor * 3.0]),
            &values,
            true,
        );
    }
    let far: ArrayRef = Arc::new(Float64Array::from(vec![1e300]));
    let of = Values { name: "x", values: &far, null: false, rows: &[1] };
    let refused = build(&intervals(0.0, &[1.0]), &of, Order::File, 1.0, Path::new("/"));
    let refused = refused.err().unwrap();
    assert_eq!(refused.code(), Code::SourceValue);
    assert!(!refused.chain().contains("e300"), "{}", refused.chain());
}

#[test]
fn times_are_cut_to_units() {
    let second = |text: &str| {
        chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
            .unwrap()
            .and_utc()
            .timestamp_micros()
    };
    let values: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
        second("1969-12-31 23:59:59"),
        second("2024-03-05 13:45:00"),
        second("2024-12-30 00:00:00"),
    ]));
    let units =
        |units: &[&str]| HierarchyRule::Time(units.iter().map(|u| (*u).to_owned()).collect());
    let all = built(&units(&["hour", "day", "month", "quarter", "year", "decade"]), &values, true);
    assert_eq!(labels(&all, 0)[1], "2024-03-05T13:45:00");
    assert_eq!(labels(&all, 1), ["1969-12-31T23", "2024-03-05T13", "2024-12-30T00", "null"]);
    assert_eq!(labels(&all, 2), ["1969-12-31", "2024-03-05", "2024-12-30", "null"]);
    assert_eq!(labels(&all, 3), ["1969-12", "2024-03", "2024-12", "null"]);
    assert_eq!(labels(&all, 4), ["1969-Q4", "2024-Q1", "2024-Q4", "null"]);
    assert_eq!(labels(&all, 5), ["1969", "2024", "2024", "null"]);
    assert_eq!(labels(&all, 6), ["1960s", "2020s", "2020s", "null"]);
    // The last days of a year can lie in the first week of the next.
    let weeks = built(&units(&["day", "week"]), &values, false);
    assert_eq!(labels(&weeks, 2), ["1970-W01", "2024-W10", "2025-W01"]);
    let days: ArrayRef = Arc::new(Date32Array::from(vec![-1, 0, 20_000]));
    let days = built(&units(&["month", "decade"]), &days, false);
    assert_eq!(labels(&days, 1), ["1969-12", "1970-01", "2024-10"]);
}

#[test]
fn masks_keep_the_length_and_count_characters() {
    let values: ArrayRef = Arc::new(StringArray::from(vec!["81667", "8166*", "Ä1", "", "81668"]));
    let hierarchy = built(&HierarchyRule::Mask(vec![1, 3]), &values, true);
    assert_eq!(labels(&hierarchy, 1), ["8166*", "8166*", "Ä*", "", "8166*", "null"]);
    assert_eq!(labels(&hierarchy, 2), ["81***", "81***", "**", "", "81***", "null"]);
}

fn filed(text: &str, values: &[&str], null: bool, order: Order) -> Result<Built> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.csv"), text).unwrap();
    let rule = HierarchyRule::File { path: "x.csv".to_owned(), separator: ';' };
    let array: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
    let rows = vec![10; values.len() + 1];
    let of = Values { name: "x", values: &array, null, rows: &rows };
    build(&rule, &of, order, 2.0, folder.path())
}

#[test]
fn values_of_a_file_that_the_data_lack_are_leaves_too() {
    let text = "c;x;any\na;x;any\nb;y;any\n";
    let built = filed(text, &["a", "b"], true, Order::File).unwrap();
    nests(&built.hierarchy);
    assert_eq!(built.leaf_of, [1, 2, 3]);
    assert_eq!(labels(&built.hierarchy, 0), ["c", "a", "b", "null"]);
    assert_eq!(labels(&built.hierarchy, 1), ["x", "x", "y", "null"]);
    assert_eq!(labels(&built.hierarchy, 2), ["any", "any", "any", "null"]);
    assert_eq!(labels(&built.hierarchy, 3), ["*"; 4]);
    assert!((built.hierarchy.weight - 2.0).abs() < 1e-12);
    // Where a model measures by values, these come first.
    let built = filed(text, &["a", "b"], false, Order::Values).unwrap();
    nests(&built.hierarchy);
    assert_eq!(built.leaf_of, [0, 1]);
    assert_eq!(labels(&built.hierarchy, 0), ["a", "b", "c"]);
    assert_eq!(labels(&built.hierarchy, 1), ["x", "y", "x"]);
}

#[test]
fn values_that_a_file_lacks_are_counted_and_not_told() {
    let refused = filed("a;x\n", &["a", "Xq7", "Zq8"], false, Order::File).err().unwrap();
    assert_eq!(refused.code(), Code::Policy);
    let text = refused.chain();
    assert!(
        text.contains("2 values of column `x`, in 20 rows, stand in no line of `x.csv`"),
        "{text}"
    );
    assert!(!text.contains("Xq7"), "{text}");
}

#[test]
fn a_column_without_rows_has_a_hierarchy_of_nothing() {
    let none: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
    let hierarchy = built(&HierarchyRule::Top, &none, false);
    assert_eq!((hierarchy.leaves(), hierarchy.levels()), (0, 2));
    let null = built(&HierarchyRule::Mask(vec![1]), &none, true);
    assert_eq!(labels(&null, 1), ["null"]);
}
