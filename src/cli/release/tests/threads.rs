//! The number of threads shows in no byte of a release: neither in how rows were counted, nor in what was
//! found, nor in what was written.

use super::*;

/// Enough combinations for the search to divide its work (`WORK_MIN`), in several files and row groups.
const ROWS: i64 = 8_000;

fn crowd() -> RecordBatch {
    // Numbers without pattern; small ones are frequent.
    let mixed = |row: i64, by: i64| (row * by + 12_345).wrapping_mul(2_654_435_761) >> 16 & 0xFFFF;
    let spread =
        |row: i64, by: i64, below: i64| (mixed(row, by) % below).min(mixed(row, by + 2) % below);
    let numbers = |of: &dyn Fn(i64) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..ROWS).map(of)))
    };
    let names =
        StringArray::from_iter_values((0..ROWS).map(|row| format!("person-{}", row % 4_001)));
    RecordBatch::try_from_iter([
        ("name", Arc::new(names) as ArrayRef),
        ("age", numbers(&|row| spread(row, 37, 64))),
        ("size", numbers(&|row| spread(row, 101, 32))),
        ("hour", numbers(&|row| spread(row, 17, 24))),
        ("job", numbers(&|row| spread(row, 11, 9))),
        ("number", numbers(&|row| row)),
    ])
    .unwrap()
}

/// A policy of so many quasi-identifiers by a method.
fn policy(method: &str, plain: bool, models: &str) -> String {
    let quasi = match plain {
        true => "[age, size, hour]",
        false => {
            "
    - {column: age, intervals: {from: 0, widths: [2, 4, 8, 16, 32]}}
    - {column: size, intervals: {from: 0, widths: [2, 4, 8, 16]}}
    - {column: hour, intervals: {from: 0, widths: [2, 6, 12]}}"
        }
    };
    format!(
        "\
version: 1
dataset: people
source: {{parquet: 'people/*.parquet'}}
columns:
  name: {{pseudonym: {{method: hmac}}}}
  age: keep
  size: keep
  hour: keep
  job: keep
  number: keep
release:
  quasi_identifiers: {quasi}
  method: {method}
  suppress_max: 0.1
{models}grants: [{{partner: cern, access: rows}}]
"
    )
}

/// Names and bytes of all files of a release, and its manifest but for what depends on where and when.
fn bytes(custody: &Custody, manifest: &Manifest) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = parts(custody, manifest)
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    let nowhere = |text: &str| text.to_owned();
    let manifest = Manifest {
        id: nowhere("id"),
        date: nowhere("date"),
        data_version: nowhere("version"),
        ..manifest.clone()
    };
    files.push(("manifest".to_owned(), serde_json::to_vec(&manifest).unwrap()));
    files
}

#[test]
fn releases_are_the_same_to_the_byte_on_any_number_of_threads() {
    let persons = "  unit: name\n  k_anonymity: {k: 4}\n  l_diversity: {column: job, l: 2}\n";
    let rows = "  k_anonymity: {k: 4}\n";
    let cases = [
        ("lattice", false, persons),
        ("{lattice: {objective: discernibility}}", false, rows),
        ("{fixed: {age: 4, size: 3, hour: 2}}", false, persons),
        ("mondrian", false, persons),
        ("{mondrian: {strict: false}}", false, rows),
        ("microaggregation", true, rows),
        ("local_suppression", true, persons),
    ];
    let crowd = crowd();
    for (method, plain, models) in cases {
        let mut first = None;
        for threads in [1, 2, 7] {
            let custody = Custody::empty();
            let key = custody.place().state.join("master.key");
            fs::copy(shared_key().join("master.key"), key).unwrap();
            custody.write_parquet("people/a.parquet", &crowd.slice(0, 5_000), 700);
            custody.write_parquet("people/b.parquet", &crowd.slice(5_000, 3_000), 450);
            custody.write_policy("people.yaml", &policy(method, plain, models));
            let line = format!("build people --json --threads {threads}");
            let (exit, out, err) = call(&custody, &line);
            assert_eq!(exit, Exit::Done, "{method}: {err}");
            let manifest: Manifest = serde_json::from_str(&out).unwrap();
            assert!(manifest.rows.classes > 20, "{method}: {:?}", manifest.rows);
            let bytes = bytes(&custody, &manifest);
            match &first {
                None => first = Some(bytes),
                Some(first) => {
                    let names = |of: &[(String, Vec<u8>)]| -> Vec<String> {
                        of.iter().map(|(name, _)| name.clone()).collect()
                    };
                    assert_eq!(names(first), names(&bytes), "{method}, {threads} threads");
                    assert!(*first == bytes, "{method}, {threads} threads");
                }
            }
        }
    }
}
