//! Verdicts over files as a custodian has them: our own exports, and what older tools left behind.

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    StringDictionaryBuilder,
};
use arrow::datatypes::Int32Type;

use super::*;
use crate::cli::{Exit, export};
use crate::local::tests::Custody;

const POLICY: &str = "\
version: 1
dataset: jobs
source: {parquet: 'jobs/*.parquet'}
columns:
  Id: keep
  User: {pseudonym: {method: token, prefix: person_}}
  Uid: {pseudonym: {method: hmac}}
  Hosts: {class: identifier, drop}
  Ip: {ip: crypto_pan}
  Path: drop
  Memory: keep
grants:
  - {partner: cern, access: rows}
";

const USERS: [&str; 4] = ["ada@fnal.gov", "bo@cern.ch", "NULL", "run"];
const UIDS: [i64; 4] = [423_120, 7, 1_001, 51_007];
const ADDRESSES: [&str; 4] = ["131.225.1.2", "188.184.7.9", "131.225.1.3", "10.20.30.40"];
const PATHS: [&str; 4] = ["/home/ada/x.sh", "/bin/true", "/exp/canada/y", "/home/bo_2/z"];

/// A custodian with four jobs.
fn custody(policy: &str) -> Custody {
    let custody = Custody::empty();
    let mut users = StringDictionaryBuilder::<Int32Type>::new();
    users.extend(USERS.map(Some));
    let hosts = ListArray::from_iter_primitive::<Int64Type, _, _>(std::iter::repeat_n(
        Some(vec![Some(990_001), Some(990_002)]),
        4,
    ));
    let columns: [(&str, ArrayRef); 7] = [
        ("Id", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
        ("User", Arc::new(users.finish())),
        ("Uid", Arc::new(Int64Array::from(UIDS.to_vec()))),
        ("Hosts", Arc::new(hosts)),
        ("Ip", Arc::new(StringArray::from(ADDRESSES.to_vec()))),
        ("Path", Arc::new(StringArray::from(PATHS.to_vec()))),
        ("Memory", Arc::new(Int64Array::from(vec![7, 1_001, 8_192, 16_384]))),
    ];
    custody.write_parquet("jobs/a.parquet", &RecordBatch::try_from_iter(columns).unwrap(), 3);
    custody.write_policy("jobs.yaml", policy);
    custody
}

impl Custody {
    fn words(&self, words: &[&str]) -> Vec<String> {
        let state = self.folder.path().join("state");
        let policies = self.policies();
        let places = ["--state", state.to_str().unwrap(), "--policies", policies.to_str().unwrap()];
        words.iter().chain(&places).map(|word| (*word).to_owned()).collect()
    }

    fn export(&self, name: &str, format: &str) -> PathBuf {
        let out = self.folder.path().join(name);
        let path = out.to_str().unwrap();
        let words = self.words(&["jobs", "--partner", "cern", "--to", format, "--out", path]);
        let args = crate::cli::place::parse(&words.iter().map(String::as_str).collect::<Vec<_>>());
        export::run(&args.unwrap(), Arc::clone(&self.clock), &mut Vec::new()).unwrap();
        out
    }

    /// Exit code and answer.
    fn verify(&self, path: &Path, more: &[&str]) -> (u8, String) {
        let mut words = vec![path.to_str().unwrap(), "--dataset", "jobs", "--partner", "cern"];
        words.extend(more);
        let words = self.words(&words);
        let args = crate::cli::place::parse(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let mut out = Vec::new();
        let code = run(&args.unwrap(), Arc::clone(&self.clock), &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    /// The verdict over a file with this text: the columns in which something was found.
    fn found(&self, name: &str, text: &str, more: &[&str]) -> Vec<String> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        self.found_in(&path, more)
    }

    fn found_in(&self, path: &Path, more: &[&str]) -> Vec<String> {
        let (code, out) = self.verify(path, &[more, &["--json"]].concat());
        let verdict: serde_json::Value = serde_json::from_str(&out).unwrap();
        let findings = verdict["findings"].as_array().unwrap();
        let found: Vec<String> = findings
            .iter()
            .map(|finding| {
                let (column, of) = (finding["column"].as_str().unwrap(), &finding["of"]);
                let of: Vec<&str> =
                    of.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
                format!("{column} {}+{} {}", finding["whole"], finding["inside"], of.join("+"))
            })
            .collect();
        assert_eq!(code == LEAK, !found.is_empty(), "{out}");
        found
    }
}

#[test]
fn a_clean_export_is_clean_in_every_format() {
    let custody = custody(POLICY);
    for (name, format) in [
        ("jobs.parquet", "parquet"),
        ("jobs.arrow", "arrow"),
        ("jobs.csv.gz", "csv"),
        ("jobs.jsonl.zst", "jsonl"),
        ("jobs/", "parquet"),
    ] {
        let path = custody.export(name, format);
        let (code, out) = custody.verify(&path, &[]);
        assert_eq!(code, 0, "{name}: {out}");
        assert!(out.contains("verdict: clean"), "{out}");
        assert!(out.contains("User, Uid, Hosts, Ip"), "{out}");
        for what in ["hashes", "policy", "data", "rows", "types"] {
            assert!(out.contains(&format!("{what}: as they should be")), "{name}: {out}");
        }
    }
}

#[test]
fn an_export_with_a_leaking_policy_is_caught() {
    let custody = custody(&POLICY.replace("Path: drop", "Path: keep"));
    for (name, format) in [("jobs.parquet", "parquet"), ("jobs.csv", "csv"), ("j.jsonl", "jsonl")] {
        let path = custody.export(name, format);
        let (code, out) = custody.verify(&path, &[]);
        assert_eq!(code, LEAK, "{out}");
        // Words are whole: no `ada` in `canada`, no `bo` of two letters in `bo_2`.
        let line = "FOUND: column `Path`: 0 cells are an identifier, 1 hold one; 1 distinct, of User; \
                    the policy keeps this column in clear";
        assert!(out.contains(line), "{out}");
        assert!(!out.contains("ada"), "a value is told: {out}");
        let (_, shown) = custody.verify(&path, &["--show-values"]);
        assert!(shown.contains("\"ada\""), "{shown}");
        // What is left out is said.
        let (code, out) = custody.verify(&path, &["--ignore-column", "Path"]);
        assert_eq!(code, 0, "{out}");
        assert!(out.contains("ignored, as asked: column `Path`"), "{out}");
    }
}

#[test]
fn what_older_tools_left_behind_fails() {
    let custody = custody(POLICY);
    // Tokens beside originals; a mapping beside the data; originals printed; correlations with originals.
    let beside = "user,anon_user\nada@fnal.gov,user_0001\n";
    assert_eq!(custody.found("a.csv", beside, &[]), ["user 1+0 User"]);
    let mapping = "USER MAPPINGS:\nuser_0001       -> ada\n";
    assert_eq!(custody.found("mapping.txt", mapping, &[]), ["(text) 0+1 User"]);
    let reverse = r#"{"maps": {"ada": "UR_1"}, "user_ip_correlations": [["run", "UR2", 3]]}"#;
    let found = custody.found("jobs_at.json", reverse, &[]);
    assert_eq!(
        found,
        ["column 1 (its name is an identifier) 0+0 ", "user_ip_correlations 1+0 User"]
    );
    // The garbled copy and the original side by side, and vectors of the clear address.
    let original = "{\"ecg\": 5, \"ecg_original\": \"bo@cern.ch\", \"ip_int\": 2212561154}\n";
    let found = custody.found("ragged.jsonl", original, &[]);
    assert_eq!(found, ["ecg_original 1+0 User", "ip_int 1+0 Ip"]);
    // A value in a longer one; a name with a place after it; an order of columns nobody detected.
    let dump = "JobID|WorkDir|State\n1|/scratch/ada/tmp|CANCELLED by 423120\n2|x|COMPLETED\n";
    let found = custody.found("sacct.csv", dump, &[]);
    assert_eq!(found, ["WorkDir 0+1 User", "State 0+1 Uid"]);
    // Without a header, the first row is looked at as well.
    assert_eq!(custody.found("chunk.csv", "run,1\nx,2\n", &[]).len(), 1);
    // Packed by another program.
    let path = custody.folder.path().join("b.txt.gz");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"mail ada@fnal.gov\n").unwrap();
    std::fs::write(&path, packed.finish().unwrap()).unwrap();
    assert_eq!(custody.found_in(&path, &[]), ["(text) 0+1 User"]);
}

#[test]
fn numbers_are_found_as_numbers_and_as_text_and_small_ones_by_the_name_of_the_column() {
    let custody = custody(POLICY);
    let columns: [(&str, ArrayRef); 4] = [
        ("Memory", Arc::new(Int64Array::from(vec![7, 1_001, 16_384]))),
        ("Owner", Arc::new(Int64Array::from(vec![1, 2, 51_007]))),
        ("Score", Arc::new(Float64Array::from(vec![423_120.0, 0.5, 1e300]))),
        ("uid", Arc::new(Int64Array::from(vec![7, 8, 9]))),
    ];
    custody.write_parquet("out.parquet", &RecordBatch::try_from_iter(columns).unwrap(), 8);
    let path = custody.policies().join("out.parquet");
    let found = custody.found_in(&path, &[]);
    assert_eq!(found, ["Owner 1+0 Uid", "Score 1+0 Uid", "uid 1+0 Uid"]);
    // Where all numbers count, those of other columns are found as well.
    let found = custody.found_in(&path, &["--number-digits", "1"]);
    assert_eq!(found[0], "Memory 2+0 Uid");
    // Elements of lists, in lists.
    let found = custody.found("a.jsonl", "{\"n\": [1, [990002]]}\n", &[]);
    assert_eq!(found, ["n 1+0 Hosts"]);
    // No words in numbers and moments.
    let times = "t,x\n2026-01-01T00:00:00.423120Z,0.51007\n";
    assert_eq!(custody.found("t.csv", times, &[]), [] as [String; 0]);
}

#[test]
fn words_that_say_nothing_and_other_cases_do_not_count() {
    let custody = custody(POLICY);
    assert_eq!(custody.found("a.csv", "state\nNULL\nADA\n", &[]), [] as [String; 0]);
    assert_eq!(custody.found("a.csv", "state\nNULL\nADA\n", &["--any-case"]), ["state 1+0 User"]);
    // A short handle counts where it is the whole cell.
    assert_eq!(custody.found("b.csv", "who,what\nbo,a bo b\n", &[]), ["who 1+0 User"]);
}

#[test]
fn a_file_that_is_not_the_one_that_was_written_differs() {
    let custody = custody(POLICY);
    let path = custody.export("jobs.csv", "csv");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("8192", "8193")).unwrap();
    let (code, out) = custody.verify(&path, &[]);
    assert_eq!(code, DIFFERS);
    assert!(out.contains("hashes: `jobs.csv` is not the file that was written"), "{out}");
    let folder = custody.export("parts/", "arrow");
    std::fs::write(folder.join("notes"), "for you").unwrap();
    let (code, out) = custody.verify(&folder, &[]);
    assert_eq!(code, DIFFERS);
    assert!(out.contains("`notes` was not written by the export"), "{out}");
    // Another policy, and other rows: what was exported is not what a pull gives.
    let path = custody.export("jobs.parquet", "parquet");
    custody.write_policy("jobs.yaml", &POLICY.replace("columns:", "rows: Id > 2\ncolumns:"));
    let (code, out) = custody.verify(&path, &[]);
    assert_eq!(code, DIFFERS);
    assert!(out.contains("policy: the policy changed since"), "{out}");
    assert!(out.contains("rows: 4 rows were written, a pull gives 2"), "{out}");
    custody.write_policy("jobs.yaml", &POLICY.replace("Memory: keep", "Memory: drop"));
    let (_, out) = custody.verify(&path, &[]);
    assert!(out.contains("types: `jobs.parquet` has other columns or types"), "{out}");
}

#[test]
fn without_a_manifest_the_dataset_must_be_said_and_the_reading_is_in_the_log() {
    let custody = custody(POLICY);
    let path = custody.folder.path().join("x.txt");
    std::fs::write(&path, "nothing\n").unwrap();
    let words = custody.words(&[path.to_str().unwrap()]);
    let args = crate::cli::place::parse(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let error = run(&args.unwrap(), Arc::clone(&custody.clock), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().ends_with("has no manifest: say `--dataset`"), "{error}");
    assert_eq!(custody.verify(&path, &[]).0, 0);
    assert_eq!(custody.told(), ["verify cern jobs done Some(0)"]);
    let store = custody.place().open(Arc::clone(&custody.clock)).unwrap();
    let told = crate::audit::show::lines(&*store, &crate::audit::show::Filter::default()).unwrap();
    assert_eq!(told[0].subject.columns, ["User", "Uid", "Hosts", "Ip"]);
}

#[test]
fn exit_codes_are_those_that_the_help_names() {
    assert_eq!(crate::cli::finished(Ok(LEAK)).unwrap(), Exit::Denied);
    assert_eq!((Exit::Denied as u8, Exit::Failed as u8), (LEAK, DIFFERS));
}
