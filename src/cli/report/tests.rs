//! Every report from files under a policy to files for a partner, as the command line makes them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use super::*;
use crate::cli::place::parse;
use crate::local::tests::Custody;

mod views;

/// Parts of original values: none of them may be in a byte of a report.
const ORIGINALS: &[&str] = &[
    "canary-ada",
    "canary-bob",
    "canary-run",
    "canary.example",
    "canary-token",
    "198.51.100.",
    "hush",
];

const POLICY: &str = "\
version: 1
dataset: jobs
source: {parquet: 'jobs/*.parquet'}
unit: User
columns:
  User: {pseudonym: {method: token, prefix: user_}}
  ClientIp: {ip: crypto_pan}
  Site: keep
  Cmd: {pseudonym: hmac}
  Environment: drop
  QDate: {truncate: hour}
  NumJobStarts: keep
  NumJobCompletions: keep
grants:
  - {partner: cern, access: rows}
  - {partner: desy, access: aggregates, group_min: 2}
";

/// Six jobs of two persons at two sites.
fn custody(policy: &str) -> Custody {
    let custody = Custody::empty();
    let texts = |values: [&str; 6]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let numbers = |values: [i32; 6]| -> ArrayRef { Arc::new(Int32Array::from(values.to_vec())) };
    let (ada, bob) = ("canary-ada@canary.example", "canary-bob@canary.example");
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_234_567_890_123_456; 6]));
    let columns = [
        ("User", texts([ada, bob, ada, ada, bob, ada])),
        ("ClientIp", texts(["198.51.100.7"; 6])),
        ("Site", texts(["Fermi", "fermi", "Fermi", "BNL", "BNL", "Fermi"])),
        ("Cmd", texts(["/home/canary-ada/canary-run.sh"; 6])),
        ("Environment", texts(["TOKEN=canary-token hush"; 6])),
        ("QDate", times),
        ("NumJobStarts", numbers([1, 1, 2, 1, 0, 1])),
        ("NumJobCompletions", numbers([1, 0, 1, 0, 0, 1])),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    custody.write_parquet("jobs/a.parquet", &batch, 4);
    custody.write_policy("jobs.yaml", policy);
    custody
}

struct Said {
    result: Result<u8, String>,
    out: String,
    err: String,
}

fn call(custody: &Custody, partner: &str, words: &str) -> Said {
    let (policies, place) = (custody.policies(), custody.place());
    let folder = custody.folder.path().join("out");
    let mut all: Vec<&str> = words.split(' ').collect();
    all.extend(["--dataset", "jobs", "--partner", partner]);
    all.extend([
        "--policies",
        policies.to_str().unwrap(),
        "--state",
        place.state.to_str().unwrap(),
    ]);
    all.extend(["--out", folder.to_str().unwrap()]);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let run = |args: Args| {
        let result = run(args, Arc::clone(&custody.clock), &mut out, &mut err);
        result.map_err(|error| format!("{error:#}"))
    };
    let result = parse::<Args>(&all).and_then(run);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { result, out: text(out), err: text(err) }
}

const EVERY: &[&str] = &[
    "users",
    "ips",
    "correlations",
    "summary",
    "failed-users",
    "site FERMI",
    "site --all-sites --force",
    "commands --group-by Site",
    "ragged",
    "vectors",
    "breakdown --by Site --within User",
    "efficiency",
];

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder.join("out")).unwrap().map(|file| file.unwrap());
    files
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            (name, std::fs::read(file.path()).unwrap())
        })
        .collect()
}

/// The originals that are somewhere in the files, names included.
fn found(files: &BTreeMap<String, Vec<u8>>) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    for (name, bytes) in files {
        let text = format!("{name}\n{}", String::from_utf8_lossy(bytes));
        let here = ORIGINALS.iter().filter(|original| text.contains(**original));
        found.extend(here.map(|original| (name.clone(), *original)));
    }
    found
}

#[test]
fn no_original_is_in_any_byte_of_any_report() {
    let custody = custody(POLICY);
    for words in EVERY {
        let said = call(&custody, "cern", words);
        assert_eq!(said.result, Ok(DONE), "{words}: {}", said.err);
        assert!(!said.out.is_empty(), "{words}");
        for original in ORIGINALS {
            assert!(!said.out.contains(original) && !said.err.contains(original), "{words}");
        }
    }
    let files = files(custody.folder.path());
    assert!(files.len() > 40, "{:?}", files.keys());
    assert_eq!(found(&files), []);
    // A page that names a column that stays behind would tell the partner that there is one.
    let html = String::from_utf8(files["cmd_env_report.html"].clone()).unwrap();
    assert!(html.contains("There is nothing on the environment: the policy drops it."));
    assert!(!html.contains("<code>Environment</code>"));
}

#[test]
fn the_search_for_originals_finds_them_where_a_policy_lets_them_out() {
    let open = POLICY
        .replace("{pseudonym: {method: token, prefix: user_}}", "keep")
        .replace("{ip: crypto_pan}", "keep");
    let custody = custody(&open);
    for words in ["users", "ips", "vectors"] {
        assert_eq!(call(&custody, "cern", words).result, Ok(DONE), "{words}");
    }
    let files = files(custody.folder.path());
    let found = found(&files);
    for name in ["users.json", "users.csv", "users.txt", "users.html", "vectors.codebook.json"] {
        assert!(found.contains(&(name.to_owned(), "canary-ada")), "{name}");
    }
    assert!(found.contains(&("ips.json".to_owned(), "198.51.100.")));
}

#[test]
fn reports_are_of_released_rows_and_stand_in_the_audit_log() {
    let custody = custody(POLICY);
    let said = call(&custody, "cern", "failed-users --format json");
    assert_eq!(said.result, Ok(DONE));
    let files = files(custody.folder.path());
    assert_eq!(files.keys().collect::<Vec<_>>(), ["failed_users.json"]);
    let told: serde_json::Value = serde_json::from_slice(&files["failed_users.json"]).unwrap();
    let meta = &told["meta"];
    assert_eq!(meta["total_failure_rows"], 2);
    assert_eq!(meta["job_failure_fraction"], 0.5);
    assert_eq!((&meta["dataset"], &meta["partner"]), (&"jobs".into(), &"cern".into()));
    assert_eq!(meta["made"], "2027-01-15T08:00:00Z");
    assert_eq!(meta["policy_digest"].as_str().unwrap().len(), 64);
    assert!(meta["data_version"].is_string());
    for row in told["failed_users"].as_array().unwrap() {
        assert!(row["token"].as_str().unwrap().starts_with("user_"), "{row}");
    }
    let log = custody.told();
    assert!(!log.is_empty());
    assert!(log.iter().all(|line| line.starts_with("report cern jobs")), "{log:?}");
}

#[test]
fn a_site_that_is_not_there_is_exit_code_one_and_a_file_that_says_so() {
    let custody = custody(POLICY);
    let said = call(&custody, "cern", "site Nowhere");
    assert_eq!(said.result, Ok(FAILED));
    assert_eq!(said.err, "what was asked for is not in the released data; the files say so\n");
    let files = files(custody.folder.path());
    assert!(String::from_utf8_lossy(&files["jobs_at_Nowhere.html"]).contains("Match: not found."));
    let found = call(&custody, "cern", "site FERMI");
    assert_eq!(found.result, Ok(DONE));
    assert!(found.out.contains("jobs_at_Fermi.json"), "{}", found.out);
}

#[test]
fn nothing_is_replaced_unless_asked_and_mistakes_are_told() {
    let custody = custody(POLICY);
    assert_eq!(call(&custody, "cern", "users").result, Ok(DONE));
    let again = call(&custody, "cern", "users").result.unwrap_err();
    assert!(again.ends_with("users.json` exists already; `--force` replaces it"), "{again}");
    assert_eq!(call(&custody, "cern", "users --force").result, Ok(DONE));
    let wrong = |words: &str| call(&custody, "cern", words).result.unwrap_err();
    assert!(wrong("ips --column ip=ClientIpp").contains("did you mean `ClientIp`?"));
    assert!(wrong("breakdown --by Sit").contains("did you mean `Site`?"));
    assert!(wrong("breakdown --by Environment").starts_with("no column `Environment` is released"));
    assert!(call(&custody, "fnal", "ips").result.unwrap_err().contains("grants cern, desy"));
    // Advice is for the custodian alone.
    let said = call(&custody, "cern", "commands");
    assert!(
        said.err.contains("the environment is in `Environment`, which the policy drops"),
        "{}",
        said.err
    );
}

#[test]
fn who_gets_aggregates_gets_reports_of_groups_and_no_others() {
    let custody = custody(POLICY);
    assert_eq!(call(&custody, "desy", "breakdown --by Site").result, Ok(DONE));
    let files = files(custody.folder.path());
    let told: serde_json::Value = serde_json::from_slice(&files["breakdown_Site.json"]).unwrap();
    // `fermi` is one person's.
    let sites: Vec<_> =
        told["rows"].as_array().unwrap().iter().map(|row| row["Site"].clone()).collect();
    assert_eq!(sites, ["BNL"]);
    for words in ["users", "ragged", "commands"] {
        let refused = call(&custody, "desy", words).result.unwrap_err();
        assert!(refused.contains("aggregates") || refused.contains("User"), "{words}: {refused}");
    }
}

#[test]
fn the_questions_about_persons_are_breakdowns_and_statements() {
    let custody = Custody::empty();
    let texts = |values: [&str; 6]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let (de, es) = ("Germany", "Spain");
    let born =
        texts(["1920-01-01", "1990-01-01", "1966-01-01", "1966-01-02", "1950-01-01", "2020-01-01"]);
    let born = arrow::compute::cast(&born, &arrow::datatypes::DataType::Date32).unwrap();
    let columns = [
        ("country", texts([de, de, de, es, es, de])),
        (
            "email",
            texts(["a@gmail.com", "b@web.de", "c@gmail.com", "d@gmail.com", "e@x.es", "f@web.de"]),
        ),
        ("birthday", born),
    ];
    custody.write_parquet("persons/a.parquet", &RecordBatch::try_from_iter(columns).unwrap(), 9);
    let policy = "\
version: 1
dataset: jobs
source: {parquet: 'persons/*.parquet'}
columns:
  country: keep
  email: email_domain
  birthday: {age_band: {width: 10, as_of: 2026-01-01, top: 110}}
grants:
  - {partner: cern, access: rows}
";
    custody.write_policy("persons.yaml", policy);
    for words in ["breakdown --by email --within country --top 1", "breakdown --by birthday"] {
        let said = call(&custody, "cern", words);
        assert_eq!(said.result, Ok(DONE), "{words}");
    }
    let files = files(custody.folder.path());
    let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
    let ages = "birthday,count,percentage,rank\n0-9,1,16.67,1\n30-39,1,16.67,1\n50-59,1,16.67,1\n\
                60-69,1,16.67,1\n70-79,1,16.67,1\n100-109,1,16.67,1\n";
    assert_eq!(text("breakdown_birthday.csv"), ages);
    let providers = "country,email,count,percentage,rank\nGermany,gmail.com,2,50.0,1\n\
                     Germany,web.de,2,50.0,1\nSpain,gmail.com,1,50.0,1\nSpain,x.es,1,50.0,1\n";
    assert_eq!(text("breakdown_email_by_country.csv"), providers);
    // The statements of the manual.
    let manual = include_str!("../../../docs/operations.md");
    let (_, after) = manual.split_once("```sql\n").unwrap();
    let (statements, _) = after.split_once("```").unwrap();
    let local = custody.open().unwrap();
    let mut told = Vec::new();
    for statement in statements.split(';').filter(|text| text.contains("SELECT")) {
        let answer = local.query("cern", &statement.replace("persons", "jobs")).unwrap();
        for batch in answer {
            told.extend(crate::report::cell::values(batch.unwrap().column(0)).unwrap());
        }
    }
    // Two of four Germans; of those with gmail.com one is 106, one is 60 that day, one will be the next.
    assert_eq!(told, [serde_json::json!(50.0), serde_json::json!(2)]);
}
