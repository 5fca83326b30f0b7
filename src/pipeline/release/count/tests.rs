//! What counting gives is what counting by hand gives, on any number of threads, and what is refused.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{
    Array, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::super::progress::Unwatched;
use super::*;
use crate::policy::load::load_bytes;

const COLUMNS: &str =
    "{site: keep, age: keep, seen: {truncate: hour}, user: drop, exit: keep, cost: keep}";

/// Rows with few values, nulls among them, the same for every seed.
fn rows(count: usize, seed: u64) -> RecordBatch {
    let mut state = seed;
    let mut random = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut text = |of: &str, below: u64| -> Vec<Option<String>> {
        let one = |value| (value > 0).then(|| format!("{of}{value}"));
        (0..count).map(|_| one(random(below))).collect()
    };
    let (site, user, exit) = (text("s", 5), text("u", 40), text("e", 4));
    let mut whole = |below: u64| -> Vec<Option<i64>> {
        let one = |value| (value > 0).then(|| i64::try_from(value).unwrap() - 3);
        (0..count).map(|_| one(random(below))).collect()
    };
    let (age, seen, cost) = (whole(12), whole(9), whole(7));
    let minutes = seen.into_iter().map(|seen| seen.map(|seen| seen * 1_200_000_000));
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let cost: Float64Array =
        cost.into_iter().map(|cost| cost.map(|cost| cost as f64 / 2.0)).collect();
    let site: DictionaryArray<Int32Type> = site.iter().map(Option::as_deref).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("site", Arc::new(site) as ArrayRef, true),
        ("age", Arc::new(Int64Array::from(age)), true),
        ("seen", Arc::new(minutes.collect::<TimestampMicrosecondArray>()), true),
        ("user", Arc::new(StringArray::from(user)), true),
        ("exit", Arc::new(StringArray::from(exit)), true),
        ("cost", Arc::new(cost), true),
    ])
    .unwrap()
}

fn write(path: &Path, batch: &RecordBatch, group: usize) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn policy(folder: &Path, columns: &str, more: &str, release: &str) -> Arc<Policy> {
    let text = format!(
        "version: 1\ndataset: jobs\nsource: {{parquet: data}}\ncolumns: {columns}\n{more}\nrelease: \
         {{{release}}}\ngrants: [{{partner: p, access: rows}}]\n"
    );
    let loaded = load_bytes(&folder.join("p.yaml"), text.as_bytes());
    Arc::new(loaded.unwrap_or_else(|report| panic!("{report}")).policy)
}

fn counted(policy: &Arc<Policy>, threads: usize) -> Result<Table> {
    let snapshot = source::snapshot(policy, 1)?;
    let rules = policy.release.as_ref().unwrap();
    table(rules, policy, &snapshot, &Unwatched, Means { threads, ..Means::default() })
}

/// What a table says, by the texts of the quasi-identifiers: rows, persons by number, values.
type Said = BTreeMap<Vec<Option<String>>, (u64, usize, Vec<BTreeMap<Option<String>, u64>>)>;

fn said(table: &Table) -> Said {
    let key = |at: usize| {
        let of = table.hierarchies.iter().zip(&table.leaves);
        of.map(|(hierarchy, leaves)| hierarchy.labels[0][leaves[at] as usize].clone()).collect()
    };
    let values = |at: usize| {
        let one = |sensitive: &Sensitive| {
            let counts = sensitive.counts.of(at).iter();
            counts.map(|(value, rows)| (sensitive.values[*value as usize].clone(), *rows)).collect()
        };
        table.sensitive.iter().map(one).collect()
    };
    (0..table.len())
        .map(|at| {
            let units = table.units.as_ref().map_or(0, |units| units.of(at).len());
            (key(at), (table.rows[at], units, values(at)))
        })
        .collect()
}

/// Rows, persons, and values by sensitive column.
type Row = (u64, Vec<String>, Vec<BTreeMap<Option<String>, u64>>);

/// The same, counted row by row from texts.
fn by_hand(
    batch: &RecordBatch,
    quasi: &[&str],
    sensitive: &[&str],
    keep: impl Fn(usize) -> bool,
) -> Said {
    let column = |name: &str| {
        let column = batch.column_by_name(name).unwrap();
        let column = match name {
            "seen" => arrow::compute::cast(column, &DataType::Int64).unwrap(),
            _ => Arc::clone(column),
        };
        let text = arrow::compute::cast(&column, &DataType::Utf8).unwrap();
        let text = text.as_string::<i32>();
        let texts: Vec<Option<String>> = text.iter().map(|text| text.map(str::to_owned)).collect();
        texts
    };
    let hour = |text: &Option<String>| {
        text.as_ref().map(|text| {
            let seconds = text.parse::<i64>().unwrap().div_euclid(3_600_000_000) * 3600;
            let moment = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
            moment.format("%Y-%m-%dT%H:%M:%S").to_string()
        })
    };
    let all: BTreeMap<&str, Vec<Option<String>>> =
        ["site", "age", "seen", "user", "exit", "cost"].map(|name| (name, column(name))).into();
    let mut said: BTreeMap<Vec<Option<String>>, Row> = BTreeMap::new();
    for row in (0..batch.num_rows()).filter(|row| keep(*row)) {
        let of = |name: &str| match name {
            "seen" => hour(&all["seen"][row]),
            name => all[name][row].clone(),
        };
        let entry = said.entry(quasi.iter().map(|name| of(name)).collect()).or_default();
        entry.0 += 1;
        entry.1.extend(of("user"));
        entry.2.resize(sensitive.len(), BTreeMap::new());
        for (counts, name) in entry.2.iter_mut().zip(sensitive) {
            *counts.entry(of(name)).or_insert(0) += 1;
        }
    }
    said.into_iter()
        .map(|(key, (rows, mut users, values))| {
            users.sort_unstable();
            users.dedup();
            (key, (rows, users.len(), values))
        })
        .collect()
}

const RELEASE: &str = "quasi_identifiers: [site, age, seen], unit: user, k_anonymity: {k: 2}, l_diversity: \
                       [{column: exit, l: 2}, {column: cost, l: 2}]";

#[test]
fn every_row_person_and_value_is_counted_once_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let all = rows(3000, 1);
    write(&folder.path().join("data/a.parquet"), &all.slice(0, 1700), 300);
    write(&folder.path().join("data/b.parquet"), &all.slice(1700, 1300), 5000);
    let policy = policy(folder.path(), COLUMNS, "", RELEASE);
    let one = counted(&policy, 1).unwrap();
    assert_eq!(said(&one), by_hand(&all, &["site", "age", "seen"], &["exit", "cost"], |_| true));
    for threads in [2, 5] {
        assert_eq!(counted(&policy, threads).unwrap(), one);
    }
    // Values in their own order, null last.
    let labels =
        |at: usize| one.hierarchies[at].labels[0].iter().map(Option::as_deref).collect::<Vec<_>>();
    assert_eq!(labels(1)[..3], [Some("-2"), Some("-1"), Some("0")]);
    assert_eq!(labels(1).last().unwrap(), &None);
    assert_eq!(labels(0), [Some("s1"), Some("s2"), Some("s3"), Some("s4"), None]);
    let costs: Vec<Option<&str>> = one.sensitive[1].values.iter().map(Option::as_deref).collect();
    assert_eq!(costs[..3], [Some("-1.0"), Some("-0.5"), Some("0.0")]);
    // Combinations in the order of their leaves.
    let key = |at: usize| one.leaves.iter().map(|leaves| leaves[at]).collect::<Vec<_>>();
    assert!((1..one.len()).all(|at| key(at - 1) < key(at)));
    assert_eq!(one.population, None);
}

#[test]
fn only_rows_that_the_policy_lets_out_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let all = rows(500, 2);
    write(&folder.path().join("data/a.parquet"), &all, 100);
    let exits = all.column_by_name("exit").unwrap().as_string::<i32>().clone();
    let is = |row: usize, text: &str| exits.is_valid(row) && exits.value(row) == text;
    let filtered = policy(folder.path(), COLUMNS, "rows: exit <> 'e1'", RELEASE);
    let by_filter = said(&counted(&filtered, 2).unwrap());
    let quasi = ["site", "age", "seen"];
    let expected =
        by_hand(&all, &quasi, &["exit", "cost"], |row| exits.is_valid(row) && !is(row, "e1"));
    assert_eq!(by_filter, expected);
    let whole = policy(folder.path(), COLUMNS, "nulls: suppress_row", RELEASE);
    let leaving = ["site", "age", "seen", "exit", "cost"];
    let complete =
        |row: usize| leaving.iter().all(|n| all.column_by_name(n).unwrap().is_valid(row));
    let expected = by_hand(&all, &quasi, &["exit", "cost"], complete);
    assert_eq!(said(&counted(&whole, 2).unwrap()), expected);
}

#[test]
fn the_population_is_counted_by_the_same_rules_and_must_hold_the_dataset() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["data", "people"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let (own, others) = (rows(40, 3), rows(300, 4));
    write(&folder.path().join("data/a.parquet"), &own, 100);
    let people = concat_batches(&own.schema(), [&own, &others]).unwrap();
    let people = people.project(&[0, 2, 1]).unwrap();
    write(&folder.path().join("people/a.parquet"), &people, 100);
    let release = "quasi_identifiers: [site, seen], k_map: {k: 2}, population: {parquet: people}";
    let ready = policy(folder.path(), COLUMNS, "rows: age > 0", release);
    let table = counted(&ready, 2).unwrap();
    let population = table.population.as_ref().unwrap();
    assert_eq!(population.iter().sum::<u64>(), 340);
    let ages =
        own.column_by_name("age").unwrap().as_primitive::<arrow::datatypes::Int64Type>().clone();
    let grown = (0..40).filter(|row| ages.is_valid(*row) && ages.value(*row) > 0).count();
    assert_eq!(table.rows.iter().sum::<u64>(), grown as u64);
    assert!(table.rows.contains(&0), "a combination of the population alone");
    let few = others.slice(0, 20).project(&[0, 2]).unwrap();
    write(&folder.path().join("people/a.parquet"), &few, 100);
    let refused = counted(&ready, 2).unwrap_err();
    assert_eq!(refused.code(), Code::Policy);
    assert!(refused.chain().contains("the population must hold the dataset's rows too"));
}

#[test]
fn hierarchies_are_those_of_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    write(&folder.path().join("data/a.parquet"), &rows(300, 5), 100);
    let file = folder.path().join("site.csv");
    std::fs::write(&file, "s9;low;*\ns4;high;*\ns3;high;*\ns2;low;*\ns1;low;*\n").unwrap();
    let release = "quasi_identifiers: [{column: site, hierarchy: site.csv, weight: 3}, {column: age, \
                   intervals: {widths: 4}}, {column: seen, time: day}], k_anonymity: {k: 2}, t_closeness: \
                   {column: exit, t: 0.5, distance: {hierarchy: exit.csv}}";
    std::fs::write(folder.path().join("exit.csv"), "e3;x;*\ne9;x;*\ne2;y;*\ne1;y;*\n").unwrap();
    let policy = policy(folder.path(), COLUMNS, "", release);
    let table = counted(&policy, 2).unwrap();
    let site = &table.hierarchies[0];
    assert_eq!((site.leaves(), site.levels(), site.weight.to_bits()), (6, 3, 3_f64.to_bits()));
    assert_eq!(table.hierarchies[1].labels[1][0].as_deref(), Some("[-4, 0)"));
    assert_eq!(table.hierarchies[2].labels[1][0].as_deref(), Some("1969-12-31"));
    let exit = table.sensitive[0].hierarchy.as_ref().unwrap();
    let labels: Vec<_> = exit.labels[0].iter().map(Option::as_deref).collect();
    assert_eq!(labels, [Some("e1"), Some("e2"), Some("e3"), Some("e9"), None]);
    assert_eq!(table.sensitive[0].values.len(), 4);
    std::fs::write(&file, "s4;high;*\ns3;high;*\n").unwrap();
    let refused = counted(&policy, 2).unwrap_err();
    assert_eq!(refused.code(), Code::Policy);
    assert!(refused.chain().contains("2 values of column `site`"), "{}", refused.chain());
}

#[test]
fn memory_has_a_bound_and_work_can_be_ended() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    write(&folder.path().join("data/a.parquet"), &rows(3000, 6), 100);
    let policy = policy(folder.path(), COLUMNS, "", RELEASE);
    let snapshot = source::snapshot(&policy, 1).unwrap();
    let rules = policy.release.as_ref().unwrap();
    let little = Means { threads: 2, memory_bytes: 20_000, ..Means::default() };
    let refused = table(rules, &policy, &snapshot, &Unwatched, little).unwrap_err();
    assert_eq!(refused.code(), Code::QueryMemory);
    let ended = std::sync::atomic::AtomicBool::new(true);
    let refused = table(rules, &policy, &snapshot, &ended, Means::default()).unwrap_err();
    assert_eq!(refused.code(), Code::Cancelled);
}

/// A table as it is whatever persons are called: by person the combinations.
fn nameless(mut table: Table) -> (Table, Vec<Vec<usize>>) {
    let mut of: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let units = table.units.take().unwrap();
    for at in 0..table.len() {
        assert!(units.of(at).is_sorted_by(|one, other| one < other), "each person once");
        units.of(at).iter().for_each(|unit| of.entry(*unit).or_default().push(at));
    }
    let mut all: Vec<Vec<usize>> = of.into_values().collect();
    all.sort();
    (table, all)
}

/// What watches looks at the folder that is spilled to: its own mode, and those of its files, while they lie
/// there; whether a name stands in one.
#[derive(Default)]
struct Looks {
    folder: std::path::PathBuf,
    files: AtomicUsize,
    end_after: Option<usize>,
}

impl Progress for Looks {
    fn at(&self, _done: u64, _of: u64) {}

    fn cancelled(&self) -> bool {
        use std::os::unix::fs::PermissionsExt;
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            for file in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                // Files go while they are looked at.
                let Ok(bytes) = std::fs::read(file.path()) else { continue };
                if file.file_name() == "lock" {
                    continue;
                }
                if let Ok(about) = file.metadata() {
                    assert_eq!(about.permissions().mode() & 0o777, 0o600);
                }
                for name in ["somebody-", "exit-"] {
                    let found = bytes.windows(name.len()).any(|part| part == name.as_bytes());
                    assert!(!found, "`{name}` stands in a file");
                }
                self.files.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.end_after.is_some_and(|files| self.files.load(Ordering::Relaxed) > files)
    }
}

/// Many persons and many values in few combinations, so that they are what memory does not hold.
fn crowded(folder: &Path) -> RecordBatch {
    let count = 20_000;
    let of = |name: &str, salt: usize, below: usize| -> StringArray {
        let one = |row: usize| (row * salt / 7 + row * row) % below;
        let text = |at: usize| (at > 0).then(|| format!("{name}{at}"));
        (0..count).map(|row| text(one(row))).collect()
    };
    let ages: Int64Array = (0..count).map(|row| Some(i64::try_from(row % 5).unwrap())).collect();
    let times: TimestampMicrosecondArray = (0..count).map(|_| Some(0)).collect();
    let costs: Float64Array = (0..count).map(|row| Some((row % 3) as f64)).collect();
    let all = RecordBatch::try_from_iter_with_nullable([
        ("site", Arc::new(of("s", 5, 6)) as ArrayRef, true),
        ("age", Arc::new(ages), true),
        ("seen", Arc::new(times), true),
        ("user", Arc::new(of("somebody-", 11, 7_000)), true),
        ("exit", Arc::new(of("exit-", 13, 40)), true),
        ("cost", Arc::new(costs), true),
    ])
    .unwrap();
    std::fs::create_dir(folder.join("data")).unwrap();
    write(&folder.join("data/a.parquet"), &all, 700);
    all
}

#[test]
fn what_memory_does_not_hold_is_put_aside_and_the_table_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let all = crowded(folder.path());
    let policy = policy(folder.path(), COLUMNS, "", RELEASE);
    let whole = counted(&policy, 2).unwrap();
    let by_hand = by_hand(&all, &["site", "age", "seen"], &["exit", "cost"], |_| true);
    assert_eq!(said(&whole), by_hand);
    let snapshot = source::snapshot(&policy, 1).unwrap();
    let rules = policy.release.as_ref().unwrap();
    let spill = folder.path().join("spill");
    for threads in [1, 2, 5] {
        let looks = Looks { folder: spill.clone(), ..Looks::default() };
        let little = Means {
            threads,
            memory_bytes: 120_000 * threads,
            spill: Some(&spill),
            persons_max: None,
        };
        let table = table(rules, &policy, &snapshot, &looks, little).unwrap();
        assert!(looks.files.into_inner() > 20, "nothing was put aside");
        assert_eq!(said(&table), by_hand);
        assert_eq!(nameless(table), nameless(whole.clone()));
        assert_eq!(std::fs::read_dir(&spill).unwrap().count(), 0, "files are left");
        // As many persons as can make a difference, and no more.
        let most = Means { persons_max: Some(3), ..little };
        let cut = super::table(rules, &policy, &snapshot, &Unwatched, most).unwrap();
        let (units, few) = (whole.units.as_ref().unwrap(), cut.units.as_ref().unwrap());
        for at in 0..whole.len() {
            assert_eq!(few.of(at).len(), units.of(at).len().min(3));
        }
        // Without a folder it is an error, as it is for a table that is too large by itself.
        let nowhere = Means { spill: None, ..little };
        let refused = super::table(rules, &policy, &snapshot, &Unwatched, nowhere).unwrap_err();
        assert_eq!(refused.code(), Code::QueryMemory);
        let tiny = Means { memory_bytes: 2_000, ..little };
        let refused = super::table(rules, &policy, &snapshot, &Unwatched, tiny).unwrap_err();
        assert_eq!(refused.code(), Code::QueryMemory);
        assert!(refused.chain().contains("persons need not"), "{}", refused.chain());
        // And for persons and values that are too many when each is counted once.
        let small = Means { threads: 1, memory_bytes: 60_000, ..little };
        let refused = super::table(rules, &policy, &snapshot, &Unwatched, small).unwrap_err();
        assert_eq!(refused.code(), Code::QueryMemory);
        assert!(refused.chain().contains("is counted once"), "{}", refused.chain());
    }
}

#[test]
fn nothing_is_left_of_what_was_put_aside_when_counting_ends_early() {
    let folder = tempfile::tempdir().unwrap();
    crowded(folder.path());
    let policy = policy(folder.path(), COLUMNS, "", RELEASE);
    let snapshot = source::snapshot(&policy, 1).unwrap();
    let rules = policy.release.as_ref().unwrap();
    let spill = folder.path().join("spill");
    let little =
        Means { threads: 2, memory_bytes: 240_000, spill: Some(&spill), persons_max: None };
    // While rows are read, and while what was put aside is gathered.
    for files in [1, 400] {
        let looks = Looks { folder: spill.clone(), end_after: Some(files), ..Looks::default() };
        let ended = table(rules, &policy, &snapshot, &looks, little).unwrap_err();
        assert_eq!(ended.code(), Code::Cancelled);
        assert_eq!(std::fs::read_dir(&spill).unwrap().count(), 0, "files are left");
    }
    // A folder that cannot be used.
    std::fs::remove_dir(&spill).unwrap();
    std::fs::write(&spill, "").unwrap();
    let refused = table(rules, &policy, &snapshot, &Unwatched, little).unwrap_err();
    assert_eq!(refused.code(), Code::Config);
}

/// More columns than one number of 64 bits has room for are compared one after the other.
#[test]
fn combinations_of_few_and_of_many_columns_are_in_the_order_of_their_leaves() {
    for width in [2, 12] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let cell = |row: i64, column: i64| (row % 130 * (column + 3) + row / 400 * column) % 101;
        let columns = (0..width).map(|column| {
            let values: Int64Array = (0..900).map(|row| Some(cell(row, column))).collect();
            (format!("c{column}"), Arc::new(values) as ArrayRef)
        });
        let all = RecordBatch::try_from_iter(columns).unwrap();
        write(&folder.path().join("data/a.parquet"), &all, 100);
        let names: Vec<String> = (0..width).map(|column| format!("c{column}")).collect();
        let keep = format!("{{{}: keep}}", names.join(": keep, "));
        let release = format!("quasi_identifiers: [{}], k_anonymity: {{k: 2}}", names.join(", "));
        let policy = policy(folder.path(), &keep, "", &release);
        let one = counted(&policy, 1).unwrap();
        assert_eq!(counted(&policy, 3).unwrap(), one);
        let bits = one.hierarchies.iter().map(|of| of.leaves().next_power_of_two().ilog2());
        assert_eq!(bits.sum::<u32>() > 63, width == 12);
        let mut rows: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for row in 0..900 {
            let key = (0..width).map(|column| cell(row, column).to_string()).collect();
            *rows.entry(key).or_default() += 1;
        }
        let key = |at: usize| one.leaves.iter().map(|leaves| leaves[at]).collect::<Vec<_>>();
        assert!((1..one.len()).all(|at| key(at - 1) < key(at)));
        let found = said(&one)
            .into_iter()
            .map(|(key, (rows, ..))| (key.into_iter().flatten().collect::<Vec<String>>(), rows));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), rows);
    }
}

#[test]
fn a_dataset_without_rows_is_an_empty_table() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    write(&folder.path().join("data/a.parquet"), &rows(10, 7), 100);
    let policy = policy(folder.path(), COLUMNS, "rows: age > 1000", RELEASE);
    let table = counted(&policy, 2).unwrap();
    assert!(table.is_empty());
    assert_eq!(table.hierarchies.len(), 3);
    assert_eq!(table.sensitive[0].counts.starts, [0]);
}

/// A dictionary may hold values that no row has: they are nobody's.
#[test]
fn only_values_that_rows_have_are_leaves() {
    let mut coder = codes::Coder::default();
    let values = StringArray::from(vec!["unused", "b", "a"]);
    let keys = Int32Array::from(vec![Some(2), None, Some(1), Some(2)]);
    let column: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(values)));
    let mut out = Vec::new();
    coder.codes(&column, &mut out).unwrap();
    assert_eq!(out, [1, 0, 2, 1]);
    let plain: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("c")]));
    coder.codes(&plain, &mut out).unwrap();
    assert_eq!(out, [2, 0, 3]);
    assert_eq!(coder.len(), 4);
}

#[test]
fn a_schema_without_the_column_is_drift() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let seen = Field::new("seen", DataType::Timestamp(TimeUnit::Microsecond, None), true);
    let schema = Arc::new(Schema::new(vec![seen]));
    write(&folder.path().join("data/a.parquet"), &RecordBatch::new_empty(schema), 100);
    let policy = policy(folder.path(), COLUMNS, "", RELEASE);
    assert_eq!(counted(&policy, 1).unwrap_err().code(), Code::SchemaDrift);
}
