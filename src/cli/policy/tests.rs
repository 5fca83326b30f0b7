//! What the verbs of `policy` write, and how they end.

use std::path::Path;

use clap::Parser;

use super::*;
use crate::shared::shared;

/// The verbs as a program of their own, so that tests give them words as a person would.
#[derive(Debug, Parser)]
struct Program {
    #[command(subcommand)]
    command: PolicyCommand,
}

const GOOD: &str = "\
version: 1
dataset: jobs
source: {parquet: nowhere}
columns: {a: {class: measure, keep}, b: drop}
grants: [{partner: cern, access: rows, until: 2026-12-31}]
";

/// Runs a verb in a folder of files; what it wrote, what it complained of, how it ended.
fn run_in(files: &[(&str, &str)], words: &str) -> (String, String, ExitCode) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let place = |word: &str| match word {
        "." => folder.path().display().to_string(),
        name if name.ends_with(".yaml") => folder.path().join(name).display().to_string(),
        other => other.to_owned(),
    };
    let words = std::iter::once("policy".to_owned()).chain(words.split(' ').map(place));
    let program = Program::try_parse_from(words).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let today = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
    let mut around = Surroundings { out: &mut out, err: &mut err, today, colour: false };
    let code = run(program.command, &mut around).unwrap();
    let text = |bytes: Vec<u8>| {
        let folder = format!("{}/", folder.path().display());
        String::from_utf8(bytes).unwrap().replace(&folder, "")
    };
    (text(out), text(err), code)
}

#[test]
fn a_good_policy_is_checked_with_code_zero() {
    let (out, err, code) = run_in(&[("a.yaml", GOOD)], "check a.yaml");
    assert_eq!((out.as_str(), err.as_str(), code), ("1 file: no errors, no warnings\n", "", DONE));
}

#[test]
fn an_invalid_policy_is_checked_with_code_three_and_all_files_are_looked_at() {
    let bad = GOOD.replace("keep", "kepe");
    let (out, _, code) = run_in(&[("a.yaml", &bad), ("b.yaml", &bad)], "check .");
    assert_eq!(out.matches("error[P031]: there is no transform `kepe`").count(), 2);
    assert!(out.ends_with("2 files: 2 errors, no warnings\n"), "{out}");
    assert_eq!(code, INVALID);
}

#[test]
fn two_policies_of_one_dataset_are_a_problem_of_the_second() {
    let (out, _, code) = run_in(&[("a.yaml", GOOD), ("b.yaml", GOOD)], "check .");
    assert!(out.contains("error[P018]: dataset `jobs` has a policy already, in `a.yaml`"), "{out}");
    assert_eq!(code, INVALID);
}

#[test]
fn warnings_are_refused_only_when_asked_for() {
    let warns = GOOD.replace("class: measure, ", "");
    let (_, _, code) = run_in(&[("a.yaml", &warns)], "check a.yaml");
    assert_eq!(code, DONE);
    let (out, _, code) = run_in(&[("a.yaml", &warns)], "check --deny-warnings a.yaml");
    assert!(out.ends_with("1 file: no errors, 1 warning\n"), "{out}");
    assert_eq!(code, INVALID);
}

#[test]
fn json_is_an_array_even_of_nothing() {
    let (out, _, code) = run_in(&[("a.yaml", GOOD)], "check --format json a.yaml");
    assert_eq!((out.as_str(), code), ("[]\n", DONE));
    let bad = GOOD.replace("keep", "kepe");
    let (out, _, _) = run_in(&[("a.yaml", &bad)], "check --format json a.yaml");
    let problems: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(problems[0]["code"], "P031");
    assert_eq!(problems[0]["place"]["line"], 4);
    assert_eq!(problems[0]["help"], "did you mean `keep`?");
}

#[test]
fn a_missing_file_and_an_empty_folder_are_invalid() {
    let (out, _, code) = run_in(&[], "check gone.yaml");
    assert!(out.starts_with("error[P010]: there is no such file"), "{out}");
    assert_eq!(code, INVALID);
    let (out, _, code) = run_in(&[], "check .");
    assert!(out.starts_with("error[P010]: the folder holds no such files"), "{out}");
    assert_eq!(code, INVALID);
}

#[test]
fn data_that_cannot_be_read_is_a_problem_of_the_source() {
    let (out, _, code) = run_in(&[("a.yaml", GOOD)], "check --data a.yaml");
    assert!(out.contains("error[P053]: the data cannot be looked at\n --> a.yaml:3:9"), "{out}");
    assert_eq!(code, INVALID);
}

#[test]
fn a_partner_without_a_grant_is_denied_with_a_suggestion() {
    let (out, err, code) = run_in(&[("a.yaml", GOOD)], "explain a.yaml --partner cerm");
    assert!(out.contains("`cerm` has no grant"), "{out}");
    assert_eq!(err, "`cerm` has no grant that runs today; did you mean `cern`?\n");
    assert_eq!(code, DENIED);
    let (_, err, code) = run_in(&[("a.yaml", GOOD)], "explain a.yaml --partner cern");
    assert_eq!((err.as_str(), code), ("", DONE));
}

#[test]
fn an_explanation_comes_as_markdown_and_json_too() {
    let (out, _, _) = run_in(&[("a.yaml", GOOD)], "explain a.yaml --format markdown");
    assert!(
        out.contains("\n| a | keep; measure; seen: the value itself | Leaves as it is. |"),
        "{out}"
    );
    let (out, _, _) = run_in(&[("a.yaml", GOOD)], "explain a.yaml --format json");
    let explanation: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(explanation["columns"][0]["protection"], "keep");
    assert_eq!(explanation["withheld"][0], "b");
}

#[test]
fn a_weaker_policy_fails_only_when_asked_for() {
    let weak = GOOD.replace("b: drop", "b: keep");
    let files = [("old.yaml", GOOD), ("new.yaml", &weak)];
    assert_eq!(run_in(&files, "diff old.yaml new.yaml").2, DONE);
    assert_eq!(run_in(&files, "diff old.yaml new.yaml --fail-on-weaken").2, DENIED);
    assert_eq!(run_in(&files, "diff new.yaml old.yaml --fail-on-weaken").2, DONE);
    let (out, _, _) = run_in(&files, "diff old.yaml new.yaml --format json");
    let difference: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(difference["verdict"], "weakens");
}

#[test]
fn the_schema_is_json() {
    let (out, _, code) = run_in(&[], "schema");
    let schema: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(schema["title"], "Veilflight policy");
    assert_eq!(code, DONE);
}

const CASES: &str = "\
key: \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"
types: {a: int64}
rows:
  - input: {a: 7, b: x}
    expect: {a: 7, b: ~absent}
  - input: {a: null}
    expect: {a: null}
";

#[test]
fn cases_that_hold_end_with_code_zero() {
    let files = [("a.yaml", GOOD), ("a.test.yaml", CASES)];
    let (out, err, code) = run_in(&files, "test .");
    let expected = "a.test.yaml: 3 values as expected\n";
    assert_eq!((out.as_str(), err.as_str(), code), (expected, "", DONE));
}

#[test]
fn cases_that_fail_are_shown_as_a_table() {
    let wrong =
        CASES.replace("expect: {a: 7,", "expect: {a: 8,").replace("{a: null}\n  ", "{a: 1}\n  ");
    let files = [("a.yaml", GOOD), ("a.test.yaml", &wrong)];
    let (out, _, code) = run_in(&files, "test a.test.yaml");
    assert_eq!(
        out,
        "\
a.test.yaml: 2 of 3 values are not as expected

  line  row  column  input  expected  actual
  5     1    a       7      8         7
  7     2    a       1      null      1
"
    );
    assert_eq!(code, FAILED);
}

#[test]
fn cases_say_what_is_wrong_with_them() {
    let wrong = "key: 00\nrows:\n  - input: {A: 1}\n    expects: {a: 1}\n";
    let files = [("a.yaml", GOOD), ("a.test.yaml", wrong)];
    let (_, err, code) = run_in(&files, "test a.test.yaml");
    for expected in [
        "error[P024]: `key` must be 64 hexadecimal digits",
        "error[P022]: a row has no key `expects`",
        "error[P023]: a row needs the key `expect`",
        "error[P035]: the policy has no column `A`",
    ] {
        assert!(err.contains(expected), "{err}");
    }
    assert_eq!(code, INVALID);
}

#[test]
fn a_sample_that_does_not_fit_its_type_fails() {
    let wrong = CASES.replace("{a: 7, b", "{a: seven, b");
    let files = [("a.yaml", GOOD), ("a.test.yaml", &wrong)];
    let (_, err, code) = run_in(&files, "test a.test.yaml");
    assert!(err.contains("a sample value of `a` does not fit its type"), "{err}");
    assert_eq!(code, FAILED);
}

#[test]
fn cases_hold_lists_element_by_element() {
    const POLICY: &str = "\
version: 1
dataset: jobs
source: {parquet: a.parquet}
columns:
  Nodes: {class: identifier, pseudonym: {method: token, prefix: n}}
  Times: {class: quasi, truncate: hour}
  Counts: {class: measure, keep}
  Plain: {class: measure, keep}
grants: [{partner: cern, access: rows}]
";
    const CASES: &str = "\
key: \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"
types: {Nodes: [text], Times: [timestamp_utc], Counts: [number]}
rows:
  - input: {Nodes: [a1, null, b2, a1], Times: [2026-01-05T10:59:59Z], Counts: [1, 2.50], Plain: x}
    expect: {Nodes: [n2, null, n1, n2], Times: [2026-01-05T10:00:00Z], Counts: [1.0, 2.5], Plain: ~same}
  - input: {Nodes: [], Times: null, Counts: [3]}
    expect: {Nodes: ~same, Times: null, Counts: ~same}
";
    let run = |cases: &str| run_in(&[("a.yaml", POLICY), ("a.test.yaml", cases)], "test --print .");
    let (out, err, code) = run(CASES);
    assert_eq!((err.as_str(), code), ("", DONE), "{out}");
    assert!(out.contains("expect: {Nodes: [\"n2\",null,\"n1\",\"n2\"], "), "{out}");
    assert!(out.ends_with("a.test.yaml: 7 values as expected\n"), "{out}");
    let (out, _, code) = run(&CASES.replace("[n2, null, n1, n2]", "[n2, null, n1, n3]"));
    assert!(out.contains("[\"n2\",null,\"n1\",\"n3\"]  [\"n2\",null,\"n1\",\"n2\"]"), "{out}");
    assert_eq!(code, FAILED);
    for (from, to, why) in [
        ("Plain: x", "Plain: [x]", "says that it has lists"),
        ("Nodes: [], T", "Nodes: a1, T", "the value of `Nodes` must be a list"),
        ("Counts: [3]", "Counts: [[3]]", "a list of single values"),
        ("Nodes: [text]", "Nodes: [text, text]", "the type of its elements in brackets"),
    ] {
        let (out, err, code) = run(&CASES.replace(from, to));
        assert!(err.contains(why) && code == INVALID, "{to}: {out}{err}");
    }
}

#[test]
fn what_comes_out_can_be_printed_for_copying() {
    let files = [("a.yaml", GOOD), ("a.test.yaml", CASES)];
    let (out, _, _) = run_in(&files, "test --print a.test.yaml");
    assert!(out.starts_with("expect: {a: \"7\"}\nexpect: {a: null}\n"), "{out}");
}

#[test]
fn a_policy_is_found_beside_its_cases() {
    assert!(is_yaml("a.yaml") && is_yaml("a.yml") && !is_yaml("a.md"));
    assert_eq!(policy_files(&[Path::new("x.yaml").to_owned()]).unwrap().len(), 1);
}

/// A policy over two columns of delimited text, which is there.
const TEXT: &str = "\
version: 1
dataset: jobs
source: {delimited: {paths: a.csv, delimiter: \";\", header: true, columns: {a: integer, b: text}}}
columns: {a: {class: measure, keep}, b: drop}
rows: a > 1
grants: [{partner: cern, access: rows}]
";

#[test]
fn data_that_fits_is_good() {
    let files = [("p.yaml", TEXT), ("a.csv", "b;a\nx;1\n")];
    let (out, _, code) = run_in(&files, "check --data p.yaml");
    assert_eq!((out.as_str(), code), ("1 file: no errors, no warnings\n", DONE));
    let (out, _, _) = run_in(&files, "explain --data p.yaml --partner cern");
    assert!(out.contains("keep; measure; seen: the value itself; whole numbers"), "{out}");
}

#[test]
fn a_filter_over_columns_that_are_not_there_is_refused() {
    let wrong = TEXT.replace("a > 1", "c > 1");
    let files = [("p.yaml", wrong.as_str()), ("a.csv", "b;a\nx;1\n")];
    let (out, _, code) = run_in(&files, "check --data p.yaml");
    assert!(
        out.contains("error[P054]: the filter cannot be used on the data\n --> p.yaml:5:7"),
        "{out}"
    );
    assert_eq!(code, INVALID);
}

/// What is said of noise stands beside the problems, for people alone.
#[test]
fn check_says_what_to_expect_of_noise_and_machines_hear_the_problems_alone() {
    let noisy = "\
version: 1
dataset: d
source: {parquet: a}
unit: u
public_numbers: {units: 40000, rows: 400000, largest: 60}
columns: {u: drop, s: keep, v: keep}
grants:
  - {partner: cern, access: dp, epsilon: 5, groups_max: 2, rows_max: 10, keys: {s: [A, B]}, bounds: {v: [0, 8]}}
";
    let (out, _, code) = run_in(&[("p.yaml", noisy)], "check p.yaml");
    // Scale 2 * 10 / 0.5 = 40, times ln 20 = 119.8; sums of values of 8 at most.
    for line in [
        "answers with noise of `d` to `cern`:",
        "  COUNT(*) by `s` (2 groups): off by up to 120, under 0.1 % of an average group (200000 rows)",
        "  SUM of `v` by `s` (2 groups): off by up to 959, 0.1 % of an average group with values in the \
         middle of their bounds",
        "1 file: no errors, no warnings",
    ] {
        assert!(out.lines().any(|told| told == line), "{line}\n{out}");
    }
    assert_eq!(code, DONE);
    let (out, ..) = run_in(&[("p.yaml", noisy)], "check --format json p.yaml");
    assert_eq!(out.trim(), "[]");
    let silent = noisy.replace("public_numbers: {units: 40000, rows: 400000, largest: 60}\n", "");
    let (out, ..) = run_in(&[("p.yaml", silent.as_str())], "check p.yaml");
    assert!(out.contains("  COUNT(*): off by up to 60\n"), "{out}");
    assert!(out.contains("  left out: not estimated"), "{out}");
}

/// The policies that we ship over real data, against that data.
#[test]
fn the_policies_we_ship_fit_their_real_data() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if shared("data").is_none() {
        return;
    }
    let names =
        ["adult", "adult-rows", "lab-values", "slurm-accounting", "slurm-jobs", "traffic-stops"];
    for name in names {
        let loaded = load(&root.join(format!("policies/{name}.yaml"))).unwrap();
        let found = check_data(&loaded, NaiveDate::from_ymd_opt(2026, 3, 1).unwrap());
        assert!(found.is_empty(), "{}", render::human(&found, false));
    }
}
