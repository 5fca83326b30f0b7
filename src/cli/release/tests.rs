//! Releases by hand, from a policy and its data to what a partner pulls, and what those who change files,
//! data or rules are told.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::cli::Exit;
use crate::error::{Code, Result};
use crate::local::tests::Custody;
use crate::local::{Local, Purpose};
use crate::pipeline::release::manifest::Manifest;
use crate::pipeline::release::pins::Pins;
use crate::pipeline::release::store::Releases;

mod arx;
mod building;
mod choosing;
mod models;
mod persons;
mod spilling;
mod threads;
mod versions;

/// Rows of the data.
const ROWS: i64 = 240;

/// What stands in every raw value that must not leave: so many quasi-identifiers of rows that are alone.
const ALONE: &str = "99999";

/// The policy's release: columns that identify together, and what is asked.
const RELEASE: &str = "  quasi_identifiers:
    - {column: age, intervals: {from: 0, widths: [10, 20, 40]}}
    - {column: zip, mask: [1, 2, 3, 4]}
  suppress_max: 0.05
  k_anonymity: {k: 5}
";

/// A policy with a release by a method. Where the release counts persons, so do aggregates of it.
fn policy(method: &str, release: &str) -> String {
    let (unit, aggregates) = match release.contains("unit: name") {
        true => ("unit: name\n", "  - {partner: kek, access: aggregates, group_min: 5}\n"),
        false => ("", ""),
    };
    format!(
        "\
version: 1
dataset: people
source: {{parquet: 'people/*.parquet'}}
rows: \"age < 90\"
{unit}columns:
  name: {{pseudonym: {{method: hmac}}}}
  age: keep
  zip: keep
  job: keep
  number: keep
  secret: drop
release:
  method: {method}
{release}grants:
  - {{partner: cern, access: rows}}
  - {{partner: desy, access: rows}}
{aggregates}"
    )
}

/// People of few ages and zip codes, and three rows that are like no other.
fn people(rows: std::ops::Range<i64>) -> RecordBatch {
    let alone = |row: i64| row % 80 == 7;
    let texts = |of: &dyn Fn(i64) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows.clone().map(of)))
    };
    let ages = rows.clone().map(|row| if alone(row) { 81 } else { 20 + (row * 7) % 33 });
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("name", texts(&|row| Some(format!("person-{}", row % 97)))),
        ("age", Arc::new(Int64Array::from_iter_values(ages))),
        (
            "zip",
            texts(&|row| match row {
                row if alone(row) => Some(format!("{ALONE}{row}")),
                row if row % 40 == 3 => None,
                row => Some(format!("12{}{}{}", row % 2, row % 3, row % 5)),
            }),
        ),
        ("job", texts(&|row| Some(["nurse", "cook", "clerk"][(row % 3) as usize].to_owned()))),
        ("number", Arc::new(Int64Array::from_iter_values(rows.clone()))),
        ("secret", texts(&|row| Some(format!("hush-{row}")))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .unwrap()
}

fn custody(text: &str) -> Custody {
    let custody = Custody::empty();
    custody.write_parquet("people/a.parquet", &people(0..ROWS), 50);
    custody.write_policy("people.yaml", text);
    custody
}

/// Runs `release` with some words.
fn call(custody: &Custody, line: &str) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let state = custody.place().state;
    let mut words: Vec<OsString> = vec!["veilflight".into(), "release".into()];
    words.extend(line.split(' ').map(OsString::from));
    words.extend(["--state".into(), state.into()]);
    words.extend(["--policies".into(), custody.policies().into()]);
    let exit = crate::cli::run(words, &mut out, &mut err);
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn built(custody: &Custody) -> Manifest {
    let (exit, out, err) = call(custody, "build people --json");
    assert_eq!(exit, Exit::Done, "{err}");
    serde_json::from_str(&out).unwrap()
}

fn releases(custody: &Custody) -> Releases {
    let place = custody.place();
    Releases::new(&place.state, place.ring().unwrap())
}

fn pins(custody: &Custody) -> Pins {
    releases(custody).pins("people").unwrap()
}

/// The rows that a partner pulls, as texts.
fn pulled(local: &Local, partner: &str) -> Result<Vec<Vec<Option<String>>>> {
    let pull = local.for_purpose(Purpose::Export).pull(partner, "people")?;
    let mut rows = Vec::new();
    for batch in pull {
        rows.extend(texts(&batch?));
    }
    Ok(rows)
}

fn texts(batch: &RecordBatch) -> Vec<Vec<Option<String>>> {
    let columns: Vec<ArrayRef> =
        batch.columns().iter().map(|column| cast(column, &DataType::Utf8).unwrap()).collect();
    let cell = |column: &ArrayRef, row: usize| {
        let column = column.as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| cell(column, row)).collect())
        .collect()
}

/// How many rows, or persons, each combination of quasi-identifiers has.
fn classes(rows: &[Vec<Option<String>>]) -> std::collections::BTreeMap<Vec<Option<String>>, u64> {
    let mut classes = std::collections::BTreeMap::new();
    for row in rows {
        *classes.entry(row[1..3].to_vec()).or_default() += 1;
    }
    classes
}

fn parts(custody: &Custody, manifest: &Manifest) -> Vec<PathBuf> {
    let place = releases(custody).place("people", &manifest.id);
    manifest.files.iter().map(|part| place.join(&part.name)).collect()
}

#[test]
fn a_release_is_built_once_and_every_partner_gets_the_same_rows() {
    let custody = custody(&policy("lattice", RELEASE));
    let local = custody.open().unwrap();
    let error = pulled(&local, "cern").unwrap_err();
    assert_eq!(error.code(), Code::DatasetUnavailable);
    assert!(error.to_string().contains("`veilflight release build people`"), "{error}");
    let manifest = built(&custody);
    assert_eq!(manifest.rows.read, 240);
    assert_eq!(manifest.rows.released + manifest.rows.suppressed, 240);
    assert!(manifest.rows.smallest >= 5);
    // A catalogue that is open finds it within a second.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let rows = pulled(&local, "cern").unwrap();
    assert_eq!(rows.len() as u64, manifest.rows.released);
    let classes = classes(&rows);
    assert_eq!(classes.len() as u64, manifest.rows.classes);
    assert!(classes.values().all(|rows| *rows >= 5), "{classes:?}");
    // The same rows for another, but for pseudonyms.
    let others = pulled(&local, "desy").unwrap();
    assert_eq!(rows.len(), others.len());
    for (row, other) in rows.iter().zip(&others) {
        assert_eq!(row[1..], other[1..]);
        assert_ne!(row[0], other[0]);
    }
    let before = fs::read(custody.place().state.join("releases/people/current.json")).unwrap();
    let (exit, out, _) = call(&custody, "build people");
    assert_eq!(exit, Exit::Done);
    assert!(out.starts_with(&format!("there already: release {}", manifest.id)), "{out}");
    let after = fs::read(custody.place().state.join("releases/people/current.json")).unwrap();
    assert!(before == after);
}

#[test]
fn the_schema_says_what_was_done_and_does_not_depend_on_the_data() {
    let mut schemas = Vec::new();
    for rows in [ROWS, 40] {
        let custody = Custody::empty();
        custody.write_parquet("people/a.parquet", &people(0..rows), 50);
        custody.write_policy("people.yaml", &policy("lattice", RELEASE));
        let manifest = built(&custody);
        let local = custody.open().unwrap();
        let (schema, _) = local.promised("cern", "people").unwrap();
        let age = schema.field_with_name("age").unwrap();
        assert_eq!(age.data_type(), &DataType::Utf8);
        let told = |key: &str| age.metadata().get(key).map(String::as_str);
        assert_eq!(told("veilflight.protection"), Some("release"));
        assert_eq!(told("veilflight.release"), Some(manifest.id.as_str()));
        assert_eq!(told("veilflight.release.method"), Some("lattice"));
        assert_eq!(told("veilflight.release.k"), Some("5"));
        let plain = schema
            .fields()
            .iter()
            .map(|field| (field.name().clone(), field.data_type().clone(), field.is_nullable()));
        schemas.push((plain.collect::<Vec<_>>(), manifest.levels.clone(), manifest.id));
    }
    let [(one, levels, id), (other, others, name)] = schemas.try_into().unwrap();
    assert_eq!(one, other);
    // Other data, and indeed other levels.
    assert_ne!(levels, others);
    assert_ne!(id, name);
}

#[test]
fn raw_values_of_quasi_identifiers_and_rows_that_are_suppressed_are_in_no_byte_of_a_release() {
    let custody = custody(&policy("lattice", RELEASE));
    let manifest = built(&custody);
    assert!(manifest.rows.suppressed >= 3, "{:?}", manifest.rows);
    let alone: Vec<String> = (0..ROWS).filter(|row| row % 80 == 7).map(|r| r.to_string()).collect();
    for path in parts(&custody, &manifest) {
        let bytes = fs::read(&path).unwrap();
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!holds(ALONE.as_bytes()) && !holds(b"hush"));
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&path).unwrap()).unwrap();
        let metadata = Arc::clone(reader.metadata());
        let pairs = metadata.file_metadata().key_value_metadata().cloned().unwrap_or_default();
        assert!(pairs.iter().all(|pair| pair.key == "ARROW:schema"), "{pairs:?}");
        for chunk in metadata.row_groups().iter().flat_map(|group| group.columns()) {
            let told = format!("{:?}", chunk.statistics());
            assert!(!told.contains(ALONE) && !told.contains("hush"), "{told}");
        }
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            // All values of dictionaries, whether a row has them or not.
            for column in batch.columns() {
                let shown = match column.as_any_dictionary_opt() {
                    Some(dictionary) => format!("{:?}", dictionary.values()),
                    None => format!("{column:?}"),
                };
                assert!(!shown.contains(ALONE) && !shown.contains("hush"), "{shown}");
            }
            let numbers = batch.column_by_name("number").unwrap().as_primitive::<Int64Type>();
            assert!(numbers.iter().flatten().all(|n| !alone.contains(&n.to_string())));
            let ages = cast(batch.column_by_name("age").unwrap(), &DataType::Utf8).unwrap();
            assert!(
                ages.as_string::<i32>().iter().flatten().all(|age| age.parse::<i64>().is_err())
            );
        }
        assert!(batch_has_no(&path, "secret"));
    }
    // Nor in what a partner pulls.
    let local = custody.open().unwrap();
    for row in pulled(&local, "cern").unwrap() {
        assert!(!format!("{row:?}").contains(ALONE));
        assert!(!format!("{row:?}").contains("person-"), "{row:?}");
    }
}

fn batch_has_no(path: &Path, column: &str) -> bool {
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap();
    reader.schema().field_with_name(column).is_err()
}

#[test]
fn suppressed_rows_are_left_out_and_are_no_class() {
    let custody = custody(&policy("lattice", RELEASE));
    let manifest = built(&custody);
    let rows = pulled(&custody.open().unwrap(), "cern").unwrap();
    // Not a row of stars among others: whoever is suppressed is not there.
    let stars = [Some("*".to_owned()), Some("*".to_owned())];
    let fully = rows.iter().filter(|row| row[1..3] == stars).count() as u64;
    assert!(fully == 0 || fully == manifest.rows.released, "{fully}");
    let numbers: Vec<&str> = rows.iter().map(|row| row[4].as_deref().unwrap()).collect();
    assert!(!numbers.contains(&"7") && !numbers.contains(&"87"));
}

#[test]
fn the_order_of_rows_is_neither_the_files_nor_that_of_raw_values() {
    let text = policy("{fixed: {age: 1, zip: 5}}", RELEASE);
    let mut orders = Vec::new();
    for turn in [1, 77] {
        let custody = Custody::empty();
        // The same key in both, and the same rows in another order, cut in another way.
        fs::copy(shared_key().join("master.key"), custody.place().state.join("master.key"))
            .unwrap();
        let places = Int64Array::from_iter_values((0..ROWS).map(|row| (row * turn) % ROWS));
        let batch = take_record_batch(&people(0..ROWS), &cast(&places, &DataType::UInt64).unwrap());
        let group = if turn == 1 { 50 } else { 7 };
        custody.write_parquet("people/a.parquet", &batch.unwrap(), group);
        custody.write_policy("people.yaml", &text);
        built(&custody);
        orders.push(pulled(&custody.open().unwrap(), "cern").unwrap());
    }
    assert!(orders[0] == orders[1], "the order of the file shows");
    // Inside classes, numbers rise about as often as they fall.
    let number = |row: &Vec<Option<String>>| row[4].as_ref().unwrap().parse::<i64>().unwrap();
    let pairs = orders[0].windows(2).filter(|pair| pair[0][1..3] == pair[1][1..3]);
    let rises: Vec<bool> = pairs.map(|pair| number(&pair[0]) < number(&pair[1])).collect();
    let up = rises.iter().filter(|up| **up).count();
    assert!((rises.len() / 4..rises.len() * 3 / 4).contains(&up), "{up} of {}", rises.len());
}

/// A folder with one key for all tests that compare two custodians.
fn shared_key() -> PathBuf {
    static FOLDER: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let text = "c4a1f09be3d25c7786b0e19d4f3a62588e0d7c1b95a6f2433dbe801c5f7a9264";
        let keys = crate::keys::provider::MasterKeys::parse(text, "a key").unwrap();
        crate::keys::provider::create_file(&folder.path().join("master.key"), &keys).unwrap();
        folder
    });
    folder.path().to_owned()
}

#[test]
fn a_second_generalization_is_refused_also_after_the_first_was_withdrawn() {
    let custody = custody(&policy("lattice", RELEASE));
    let first = built(&custody);
    let finer = RELEASE.replace("k: 5", "k: 6");
    custody.write_policy("people.yaml", &policy("lattice", &finer));
    // What was built by other rules is not served, and nothing else is built.
    let error = pulled(&custody.open().unwrap(), "cern").unwrap_err();
    assert_eq!(error.code(), Code::DatasetUnavailable);
    let (exit, _, err) = call(&custody, "build people");
    assert_eq!(exit, Exit::PolicyInvalid);
    assert!(err.contains("dangerous_rerelease") && err.contains(&first.id), "{err}");
    let (exit, out, _) = call(&custody, "withdraw people --reason review");
    assert_eq!(exit, Exit::Done);
    assert!(out.contains("are removed"), "{out}");
    assert!(parts(&custody, &first).iter().all(|path| !path.exists()));
    let (exit, _, err) = call(&custody, "build people");
    assert_eq!(exit, Exit::PolicyInvalid, "{err}");
    let dangerous = format!("{finer}  dangerous_rerelease: true\n");
    custody.write_policy("people.yaml", &policy("lattice", &dangerous));
    let second = built(&custody);
    assert_ne!(first.id, second.id);
    let pins = pins(&custody);
    assert_eq!(pins.history.len(), 2);
    assert!(pins.history[1].dangerous && pins.history[0].withdrawn.is_some());
}

/// The attack that pinned levels stop. A person joins the data; the optimum of the new data is another
/// generalization; and who has both versions sees in which of the new classes there is one more than the
/// old classes account for.
#[test]
fn two_versions_cannot_be_held_against_each_other() {
    let custody = custody(&policy("lattice", RELEASE));
    let first = built(&custody);
    let local = custody.open().unwrap();
    let before = classes(&pulled(&local, "cern").unwrap());
    custody.write_parquet("people/b.parquet", &people(ROWS..ROWS + 160), 50);
    let second = built(&custody);
    assert_eq!(second.levels_of.as_deref(), Some(first.id.as_str()));
    assert_eq!(second.levels, first.levels);
    let local = custody.open().unwrap();
    let after = classes(&pulled(&local, "cern").unwrap());
    // Every class of the old version is the same class of the new, or was and is suppressed: none was
    // divided, so that no difference of two classes is smaller than what was added.
    assert!(before.keys().all(|class| after.contains_key(class)), "{before:?} {after:?}");
    // What the old version was is removed, and stays on record.
    let pins = pins(&custody);
    assert_eq!(pins.history.len(), 2);
    assert!(!pins.history[0].stored && pins.history[1].stored);
    assert!(parts(&custody, &first).iter().all(|path| !path.exists()));
    // Without pinned levels the same data would have had others.
    let alone = Custody::empty();
    alone.write_parquet("people/a.parquet", &people(0..ROWS + 160), 50);
    alone.write_policy("people.yaml", &policy("lattice", RELEASE));
    assert_ne!(built(&alone).levels, first.levels, "the test shows nothing");
}

#[test]
fn methods_that_divide_rows_by_their_values_take_no_new_data() {
    let custody = custody(&policy("mondrian", RELEASE));
    built(&custody);
    custody.write_parquet("people/b.parquet", &people(ROWS..ROWS + 40), 50);
    let (exit, _, err) = call(&custody, "build people");
    assert_eq!(exit, Exit::PolicyInvalid);
    assert!(err.contains("mondrian") && err.contains("dangerous_rerelease"), "{err}");
    // The old one is served meanwhile.
    assert!(!pulled(&custody.open().unwrap(), "cern").unwrap().is_empty());
}

#[test]
fn what_was_changed_by_hand_is_not_served() {
    let custody = custody(&policy("lattice", RELEASE));
    let manifest = built(&custody);
    let part = parts(&custody, &manifest).remove(0);
    let place = part.parent().unwrap().to_owned();
    let current = place.parent().unwrap().join("current.json");
    let refused = |path: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let whole = fs::read(path).unwrap();
        let mut changed = whole.clone();
        change(&mut changed);
        fs::write(path, &changed).unwrap();
        let served = pulled(&custody.open().unwrap(), "cern");
        let (exit, out, err) = call(&custody, "verify people");
        assert_eq!(exit, Exit::Failed, "{out}{err}");
        fs::write(path, &whole).unwrap();
        served.err().map(|error| error.code())
    };
    assert_eq!(call(&custody, "verify people").0, Exit::Done);
    let last = |bytes: &mut Vec<u8>| {
        // A byte of the footer.
        let at = bytes.len() - 20;
        bytes[at] ^= 1;
    };
    assert_eq!(refused(&part, &last), Some(Code::SourceUnreadable));
    assert_eq!(refused(&part, &|bytes| bytes.push(0)), Some(Code::SourceUnreadable));
    let manifest_path = place.join("manifest.json");
    assert_eq!(refused(&manifest_path, &|bytes| bytes[40] ^= 1), Some(Code::State));
    assert_eq!(refused(&current, &|bytes| bytes[40] ^= 1), Some(Code::State));
    // A byte of a page: the footer is as it was.
    assert_eq!(refused(&part, &|bytes| bytes[60] ^= 1), Some(Code::SourceUnreadable));
    assert_eq!(call(&custody, "verify people").0, Exit::Done);
    assert!(pulled(&custody.open().unwrap(), "cern").is_ok());
}

#[test]
fn builds_and_withdrawals_are_recorded_with_their_reasons() {
    let custody = custody(&policy("lattice", RELEASE));
    let (exit, ..) = call(&custody, "build people --reason october");
    assert_eq!(exit, Exit::Done);
    assert_eq!(call(&custody, "withdraw people --reason review --keep-files").0, Exit::Done);
    let local = custody.open().unwrap();
    let error = pulled(&local, "cern").unwrap_err();
    assert_eq!(error.code(), Code::DatasetUnavailable);
    assert!(error.to_string().contains("withdrawn"), "{error}");
    let told = custody.told().join("\n");
    assert!(told.contains("ReleaseBuild  people done"), "{told}");
    assert!(told.contains("ReleaseWithdraw  people done"), "{told}");
    let (_, out, _) = call(&custody, "list");
    assert!(out.contains("withdrawn on") && out.contains(": review"), "{out}");
    let (_, out, _) = call(&custody, "show people");
    assert!(out.contains("reason: october"), "{out}");
    // Files were kept; withdrawing again removes them.
    let manifest = releases(&custody);
    let note = pins(&custody).history[0].clone();
    let manifest = manifest.manifest("people", &note).unwrap();
    assert!(parts(&custody, &manifest).iter().all(|path| path.exists()));
    assert_eq!(call(&custody, "withdraw people --reason review").0, Exit::Done);
    assert!(parts(&custody, &manifest).iter().all(|path| !path.exists()));
    assert_eq!(call(&custody, "withdraw people --reason review").0, Exit::Failed);
    // And built again it is the same.
    assert_eq!(built(&custody).files, manifest.files);
}

#[test]
fn whatever_is_stored_only_its_owner_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let custody = custody(&policy("lattice", RELEASE));
    built(&custody);
    let mut folders = vec![custody.place().state.join("releases")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files >= 3);
}

/// A person spread over many rows: k counts persons where the policy names the unit.
#[test]
fn k_counts_persons_and_not_their_rows() {
    let custody = Custody::empty();
    let rows = 120;
    let texts = |of: &dyn Fn(i64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..rows).map(of)))
    };
    // One person has all rows of one zip code; twenty share the other.
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "name",
            texts(&|row| {
                if row % 2 == 0 { "hermit".to_owned() } else { format!("person-{}", row % 20) }
            }),
        ),
        ("age", Arc::new(Int64Array::from_iter_values((0..rows).map(|_| 30)))),
        ("zip", texts(&|row| if row % 2 == 0 { "11111".to_owned() } else { "22222".to_owned() })),
        ("job", texts(&|_| "cook".to_owned())),
        ("number", Arc::new(Int64Array::from_iter_values(0..rows))),
        ("secret", texts(&|_| "hush".to_owned())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    custody.write_parquet("people/a.parquet", &batch, 50);
    let levels = "{fixed: {age: 0, zip: 0}}";
    // By rows the hermit's 60 rows are a large class.
    let by_rows = RELEASE.replace("0.05", "0.6");
    custody.write_policy("people.yaml", &policy(levels, &by_rows));
    let manifest = built(&custody);
    assert_eq!(manifest.rows.suppressed, 0);
    let by_persons = format!("{by_rows}  unit: name\n  dangerous_rerelease: true\n");
    custody.write_policy("people.yaml", &policy(levels, &by_persons));
    let manifest = built(&custody);
    assert_eq!(manifest.rows.suppressed, 60);
    let rows = pulled(&custody.open().unwrap(), "cern").unwrap();
    assert!(rows.iter().all(|row| row[2].as_deref() == Some("22222")));
    // Aggregates are counted by the same unit, over the release.
    let local = custody.open().unwrap();
    let counted = local.query("kek", "SELECT zip, count(*) AS n FROM people GROUP BY zip").unwrap();
    let counted: Vec<_> = counted.flat_map(|batch| self::texts(&batch.unwrap())).collect();
    assert_eq!(counted, [[Some("22222".to_owned()), Some("60".to_owned())]]);
}

/// Statements are over the release: no filter, group or count tells of raw values or of rows left out.
#[test]
fn statements_see_the_release_and_nothing_beneath_it() {
    let custody = custody(&policy("lattice", RELEASE));
    let manifest = built(&custody);
    let local = custody.open().unwrap();
    let one = |sql: &str| -> Vec<Vec<Option<String>>> {
        let rows = local.query("cern", sql).unwrap();
        rows.flat_map(|batch| texts(&batch.unwrap())).collect()
    };
    let released = Some(manifest.rows.released.to_string());
    assert_eq!(one("SELECT count(*) AS n FROM people"), [[released]]);
    let zero = [[Some("0".to_owned())]];
    assert_eq!(one("SELECT count(*) AS n FROM people WHERE age = '81'"), zero);
    assert_eq!(one("SELECT count(*) AS n FROM people WHERE number = 7"), zero);
    assert_eq!(one(&format!("SELECT count(*) AS n FROM people WHERE zip LIKE '{ALONE}%'")), zero);
    let small = "SELECT age, zip, count(*) AS n FROM people GROUP BY age, zip HAVING count(*) < 5";
    assert!(one(small).is_empty());
    assert_eq!(
        local.query("cern", "SELECT secret FROM people").unwrap_err().code(),
        Code::SqlInvalid
    );
}

/// `nulls: suppress_row` is applied when the release is built, before rows are counted: a row that went out
/// of its class afterwards could leave too few.
#[test]
fn no_row_leaves_its_class_when_a_release_is_served() {
    let text = policy("lattice", RELEASE).replace("columns:\n", "nulls: suppress_row\ncolumns:\n");
    let custody = custody(&text);
    let manifest = built(&custody);
    // Six rows of the data lack a zip code.
    assert_eq!(manifest.rows.read, 234);
    let rows = pulled(&custody.open().unwrap(), "cern").unwrap();
    assert_eq!(rows.len() as u64, manifest.rows.released);
    assert!(classes(&rows).values().all(|rows| *rows >= 5));
}

/// With `fixed` the levels are the policy's, so that they tell nothing of the data (downcoding, minimality).
#[test]
fn fixed_levels_are_those_of_the_policy_whatever_the_data() {
    let mut seen = Vec::new();
    for rows in [ROWS, 160] {
        let custody = Custody::empty();
        custody.write_parquet("people/a.parquet", &people(0..rows), 50);
        custody.write_policy("people.yaml", &policy("{fixed: {age: 2, zip: 3}}", RELEASE));
        let manifest = built(&custody);
        seen.push(manifest.levels.iter().map(|level| level.level).collect::<Vec<_>>());
        // Every row shows labels of these levels, and no other.
        for row in pulled(&custody.open().unwrap(), "cern").unwrap() {
            assert!(["[20, 40)", "[40, 60)"].contains(&row[1].as_deref().unwrap()), "{row:?}");
            assert!(row[2].as_deref().is_none_or(|zip| zip.ends_with("***")), "{row:?}");
        }
    }
    assert_eq!(seen[0], [2, 3]);
    assert_eq!(seen[0], seen[1]);
}
