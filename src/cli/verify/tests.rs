//! Verdicts over files as a custodian has them: our own exports, and what older tools left behind.

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    StringDictionaryBuilder,
};
use arrow::datatypes::{Int32Type, Int64Type};

use std::path::Path;

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
        self.export_of("jobs", "cern", name, format)
    }

    fn export_of(&self, dataset: &str, partner: &str, name: &str, format: &str) -> PathBuf {
        let out = self.folder.path().join(name);
        let path = out.to_str().unwrap();
        let words = self.words(&[dataset, "--partner", partner, "--to", format, "--out", path]);
        let args = crate::cli::place::parse(&words.iter().map(String::as_str).collect::<Vec<_>>());
        export::run(&args.unwrap(), Arc::clone(&self.clock), &mut Vec::new()).unwrap();
        out
    }

    /// Exit code and answer.
    fn verify(&self, path: &Path, more: &[&str]) -> (u8, String) {
        self.verify_alone(path, &[&["--dataset", "jobs", "--partner", "cern"], more].concat())
    }

    /// The same of a file that says what it is, or is said to be something else.
    fn verify_alone(&self, path: &Path, more: &[&str]) -> (u8, String) {
        let mut words = vec![path.to_str().unwrap()];
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
    // A value of another type, and fewer rows, whatever the hashes say.
    let text_path = custody.export("again.csv", "csv");
    let text = std::fs::read_to_string(&text_path).unwrap();
    std::fs::write(&text_path, text.replace("8192", "eight")).unwrap();
    let (code, out) = custody.verify(&text_path, &[]);
    assert_eq!(code, DIFFERS);
    let line = "types: `again.csv`, line 2: column `Memory` holds something else than Int64";
    assert!(out.contains(line), "{out}");
    let text_path = custody.export("again.jsonl", "jsonl");
    let text = std::fs::read_to_string(&text_path).unwrap();
    std::fs::write(&text_path, text.split_inclusive('\n').next().unwrap()).unwrap();
    let (code, out) = custody.verify(&text_path, &[]);
    assert_eq!(code, DIFFERS);
    assert!(out.contains("types: the files hold 1 rows, the manifest says 2"), "{out}");
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

/// Texts that hold identifiers that no released column has.
const TEXTS: [&str; 4] = [
    "mail grace.hopper@navy.mil from /home/kim/x on wn-7.cern.ch as ada",
    "ssh 10.11.12.13 PASSWORD=hunter2 run.sh on wn-a1 in test",
    "klist bob/admin@CERN.CH call +41 22 767 6111 for /DC=ch/CN=Ada Lovelace",
    "nothing, in Geneva, for bo and 51007",
];

const SCRUBBED: &str = "\
version: 1
dataset: jobs
source: {parquet: 'jobs/*.parquet'}
columns:
  User: drop
  Uid: drop
  Hosts: drop
  Site: keep
  Cmd: {scrub: {learn_from: [User, Uid, Hosts, Site], words: [geneva], except: [test]}}
grants:
  - {partner: cern, access: rows}
";

/// A custodian of [`TEXTS`].
fn scrubbed(policy: &str) -> Custody {
    let custody = Custody::empty();
    let mut hosts = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    for some in [["wn-a1", "wn-a2"], ["wn-b1", "wn-b2"], ["wn-a1", "wn-c1"], ["wn-d1", "wn-d2"]] {
        hosts.append_value(some.map(Some));
    }
    let columns: [(&str, ArrayRef); 5] = [
        ("User", Arc::new(StringArray::from(vec!["ada", "run", "CERN\\test", "bo@cern.ch"]))),
        ("Uid", Arc::new(Int64Array::from(UIDS.to_vec()))),
        ("Hosts", Arc::new(hosts.finish())),
        ("Site", Arc::new(StringArray::from(vec!["Meyrin", "Bern", "Meyrin", "Bern"]))),
        ("Cmd", Arc::new(StringArray::from(TEXTS.to_vec()))),
    ];
    custody.write_parquet("jobs/a.parquet", &RecordBatch::try_from_iter(columns).unwrap(), 3);
    custody.write_policy("jobs.yaml", policy);
    custody
}

#[test]
fn what_a_scrub_rule_took_out_is_found_wherever_it_stands() {
    let custody = scrubbed(SCRUBBED);
    for (name, format) in [("a.parquet", "parquet"), ("a.csv", "csv"), ("a.jsonl", "jsonl")] {
        let path = custody.export(name, format);
        let (code, out) = custody.verify(&path, &[]);
        assert_eq!(code, 0, "{out}");
        assert!(out.contains(" identifiers of User, Uid, Hosts, Site, Cmd in "), "{out}");
    }
    // Columns that the policy drops, elements of lists, and what detectors know by its form: each in the
    // column itself, and in any other.
    let path = custody.export("b.csv", "csv");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\r\nMeyrin,mail <email:"), "{text}");
    for (leak, of) in [
        ("ada", "User"),
        ("run", "User"),
        ("run.sh", "User"),
        ("bo@cern.ch", "User"),
        ("423120", "Uid"),
        ("wn-a2", "Hosts"),
        ("(wn-d2)", "Hosts"),
        ("grace.hopper@navy.mil", "Cmd"),
        ("/scratch/kim/y", "Cmd"),
        ("wn-7.cern.ch", "Cmd"),
        ("10.11.12.13", "Cmd"),
        ("hunter2", "Cmd"),
        ("bob/admin@CERN.CH", "Cmd"),
        ("+41 22 767 6111", "Cmd"),
        ("/DC=ch/CN=Ada Lovelace", "Cmd"),
    ] {
        for (column, from) in [("Cmd", "Meyrin,"), ("Site", "Meyrin")] {
            let tampered = text.replacen(from, &format!("{from} x {leak} "), 1);
            std::fs::write(&path, tampered).unwrap();
            let (code, out) = custody.verify(&path, &[]);
            assert_eq!(code, LEAK, "{leak}: {out}");
            let found =
                format!("FOUND: column `{column}`: 0 cells are an identifier, 1 hold one; ");
            assert!(out.contains(&found) && out.contains(&format!(", of {of}")), "{leak}: {out}");
        }
    }
    // A short one only as the whole cell, and a part of a word not at all.
    for (other, code) in [("bo", 0), ("running", 0), ("wn-a", 0), ("1001", 0)] {
        std::fs::write(&path, text.replacen("Meyrin,", &format!("Meyrin,{other} x"), 1)).unwrap();
        let (exit, out) = custody.verify(&path, &["--json"]);
        assert_eq!(
            (exit, out.contains("\"findings\": []")),
            (DIFFERS, true),
            "{code} {other}: {out}"
        );
    }
    let found = custody.found("c.csv", "Cmd\nbo\n", &[]);
    assert_eq!(found, ["Cmd 1+0 User"]);
}

#[test]
fn words_of_a_scrub_rule_count_where_it_takes_them_out() {
    let custody = scrubbed(SCRUBBED);
    // The rule's own words, and the values of a column that leaves in clear.
    let text = "Site,Cmd,place\nMeyrin,x,Geneva\nBern,to Bern,geneva\nBern,in geneva,Meyrin\n";
    assert_eq!(custody.found("a.csv", text, &[]), ["Cmd 0+2 Site+Cmd"]);
    // What is learned from a column that leaves coarser counts everywhere but there.
    custody.write_policy("jobs.yaml", &SCRUBBED.replace("Site: keep", "Site: {rare: {below: 2}}"));
    assert_eq!(custody.found("a.csv", text, &[]), ["Cmd 0+2 Site+Cmd", "place 1+0 Site"]);
    custody.write_policy("jobs.yaml", SCRUBBED);
    // A word that the rule spares, there and elsewhere.
    let (code, out) = custody.verify(
        &{
            let path = custody.folder.path().join("b.csv");
            std::fs::write(&path, "Cmd,note\na test,x\ntest,the test\n").unwrap();
            path
        },
        &[],
    );
    assert_eq!(code, LEAK, "{out}");
    assert!(out.contains("2 cells hold words that a scrub rule leaves alone by `except`"), "{out}");
    assert!(out.contains("FOUND: column `note`") && !out.contains("column `Cmd`"), "{out}");
}

#[test]
fn a_pair_that_stays_behind_is_looked_for_and_one_that_may_leave_is_not() {
    let custody = Custody::empty();
    let texts = ["A=ada@fnal.gov B=bob@fnal.gov C=cyd@fnal.gov"];
    let columns: [(&str, ArrayRef); 1] = [("Env", Arc::new(StringArray::from(texts.to_vec())))];
    custody.write_parquet("a.parquet", &RecordBatch::try_from_iter(columns).unwrap(), 3);
    custody.write_policy(
        "jobs.yaml",
        "version: 1\ndataset: jobs\nsource: {parquet: a.parquet}\ncolumns:\n  Env: {scrub: {drop_keys: \
         [A], keep_keys: [B]}}\ngrants: [{partner: cern, access: rows}]\n",
    );
    let path = custody.export("a.csv", "csv");
    assert!(std::fs::read_to_string(&path).unwrap().contains("\nB=bob@fnal.gov C=<email:"));
    assert_eq!(custody.verify(&path, &[]).0, 0);
    assert_eq!(custody.found("b.csv", "x\nada@fnal.gov\nbob@fnal.gov\n", &[]), ["x 1+0 Env"]);
}

#[test]
fn without_an_identifier_the_verdict_says_that_nothing_was_looked_for() {
    let policy = "version: 1\ndataset: jobs\nsource: {parquet: 'jobs/*.parquet'}\ncolumns:\n  Site: keep\n  \
                  User: drop\n  Uid: drop\n  Hosts: drop\n  Cmd: drop\ngrants: [{partner: cern, access: \
                  rows}]\n";
    let custody = scrubbed(policy);
    let path = custody.export("a.csv", "csv");
    let (code, out) = custody.verify(&path, &[]);
    assert_eq!(code, 0);
    assert!(out.contains("nothing to look for in 4 cells: the policy has no column with"), "{out}");
    assert!(out.ends_with("verdict: matches, nothing looked for\n"), "{out}");
    let (_, json) = custody.verify(&path, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["verdict"], "matches, nothing looked for");
    assert_eq!(json["nothing_looked_for"], true);
    // Without a manifest nothing at all was compared.
    let other = custody.folder.path().join("b.csv");
    std::fs::copy(&path, &other).unwrap();
    let (code, out) = custody.verify(&other, &[]);
    assert_eq!(code, DIFFERS);
    assert!(out.ends_with("verdict: not verified, nothing looked for\n"), "{out}");
    // Columns that name somebody, and nobody in them.
    custody.write_policy(
        "jobs.yaml",
        &policy.replace("User: drop", "User: {class: identifier, drop}"),
    );
    let (_, json) = custody.verify(&other, &["--json"]);
    assert!(json.contains("\"verdict\": \"clean\""), "{json}");
}

#[test]
fn an_export_of_a_view_is_compared_with_the_view() {
    let views = "views:\n  - {name: users, sql: \"SELECT User, count(*) AS jobs FROM jobs GROUP BY \
                 User\"}\n  - {name: plain, sql: \"SELECT Id, User, Memory FROM jobs\"}\n  - {name: total, sql: \
                 \"SELECT count(*) AS jobs FROM jobs\"}\n";
    let policy = POLICY.replace("grants:", &format!("unit: User\n{views}grants:"));
    let custody = custody(&policy.replace(
        "access: rows}",
        "access: rows}\n  - {partner: desy, access: aggregates, group_min: 2}",
    ));
    for (partner, view, format) in [
        ("cern", "plain", "parquet"),
        ("cern", "users", "csv"),
        ("cern", "users", "jsonl"),
        ("desy", "total", "arrow"),
    ] {
        let path = custody.export_of(view, partner, &format!("{view}.{format}"), format);
        let manifest = Manifest::read(&path).unwrap().unwrap();
        assert_eq!((manifest.dataset.as_str(), manifest.name().as_str()), ("jobs", view));
        let (code, out) = custody.verify_alone(&path, &[]);
        assert_eq!(code, 0, "{view} {format}: {out}");
        for what in ["hashes", "policy", "data", "rows", "types"] {
            assert!(out.contains(&format!("{what}: as they should be")), "{view} {format}: {out}");
        }
        assert!(out.contains("of User, Uid, Hosts, Ip in"), "{out}");
    }
    let path = custody.folder.path().join("users.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("person_", "ada_", 1)).unwrap();
    let (code, out) = custody.verify_alone(&path, &[]);
    assert_eq!(code, LEAK, "{out}");
    // By its name, where there is no manifest.
    let (code, _) = custody.verify_alone(
        &{
            let other = custody.folder.path().join("other.csv");
            std::fs::write(&other, "User,jobs\nperson_1,2\n").unwrap();
            other
        },
        &["--dataset", "total", "--partner", "desy"],
    );
    assert_eq!(code, 0);
}

#[test]
fn exit_codes_are_those_that_the_help_names() {
    assert_eq!(crate::cli::finished(Ok(LEAK)).unwrap(), Exit::Denied);
    assert_eq!((Exit::Denied as u8, Exit::Failed as u8), (LEAK, DIFFERS));
}
