//! Tests of the policy language. What authors see stands in `tests/cases/*.md`: policies, and the exact
//! text that `check`, `explain` and `diff` give for them. `UPDATE=1` rewrites the expected text.

use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::NaiveDate;
use proptest::prelude::*;

use super::fixture::Cases;
use super::load::{Loaded, load, load_bytes};
use super::problem::Problem;
use super::{check, diff, explain, lint, schema};
use crate::diagnostic::{Diagnostic, render};

mod digest;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, 1).unwrap()
}

/// A fenced block: its info string, its text, and where the text stands in the file.
struct Block {
    info: String,
    text: String,
    range: std::ops::Range<usize>,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize)> = None;
    let mut at = 0;
    for line in markdown.split_inclusive('\n') {
        if let Some(info) = line.strip_prefix("```") {
            open = match open.take() {
                None => Some((info.trim().to_owned(), at + line.len())),
                Some((info, start)) => {
                    let text = markdown.get(start..at).unwrap().to_owned();
                    blocks.push(Block { info, text, range: start..at });
                    None
                }
            };
        }
        at += line.len();
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

/// Runs one file of cases and returns what each expected block should hold.
fn run_cases(markdown: &str) -> Vec<(std::ops::Range<usize>, String, String)> {
    let mut policies: Vec<String> = Vec::new();
    let mut raw: Option<Schema> = None;
    let mut fresh = true;
    let mut out = Vec::new();
    for block in blocks(markdown) {
        let actual = match block.info.split(' ').collect::<Vec<_>>().as_slice() {
            ["yaml"] => {
                if fresh {
                    policies.clear();
                    raw = None;
                }
                fresh = false;
                policies.push(block.text);
                continue;
            }
            ["schema"] => {
                raw = Some(parse_schema(&block.text));
                continue;
            }
            ["check"] => check_text(&policies[0], raw.as_ref()),
            ["explain", partner @ ..] => {
                let loaded = loaded(&policies[0]);
                explain::text(&explain::explain(
                    &loaded.policy,
                    partner.first().copied(),
                    raw.as_ref(),
                    today(),
                ))
            }
            ["diff"] => {
                let (old, new) = (loaded(&policies[0]), loaded(&policies[1]));
                diff::text(&diff::diff(&old.policy, &new.policy))
            }
            other => panic!("unknown block {other:?}"),
        };
        fresh = true;
        out.push((block.range, block.text, actual));
    }
    out
}

fn case_path() -> PathBuf {
    root().join("tests/cases/case.yaml")
}

fn loaded(text: &str) -> Loaded {
    load_bytes(&case_path(), text.as_bytes()).unwrap_or_else(|report| panic!("{report}"))
}

fn check_text(policy: &str, raw: Option<&Schema>) -> String {
    let mut found = match load_bytes(&case_path(), policy.as_bytes()) {
        Ok(loaded) => {
            let mut found = loaded.warnings.clone();
            found.extend(lint::dates(&loaded, today()));
            if let Some(raw) = raw {
                found.extend(check::check_schema(&loaded, raw));
            }
            found.extend(check_views(&loaded, raw));
            found
        }
        Err(report) => report.into_diagnostics(),
    };
    crate::diagnostic::sort(&mut found);
    let text =
        render::human(&found, false).replace(&case_path().display().to_string(), "case.yaml");
    if text.is_empty() { "ok\n".to_owned() } else { format!("{}\n", text.trim_end()) }
}

/// What is wrong with views is the query engine's to say.
#[cfg(feature = "server")]
fn check_views(loaded: &Loaded, raw: Option<&Schema>) -> Vec<Diagnostic> {
    let raw = raw.map(|raw| std::sync::Arc::new(raw.clone()));
    crate::pipeline::query::check_views(loaded, raw.as_ref().map(|raw| (raw, today())))
}

#[cfg(not(feature = "server"))]
fn check_views(_loaded: &Loaded, _raw: Option<&Schema>) -> Vec<Diagnostic> {
    Vec::new()
}

fn parse_schema(text: &str) -> Schema {
    let fields: Vec<Field> = text
        .lines()
        .map(|line| {
            let (name, kind) = line.split_once(": ").unwrap();
            let (kind, listed) =
                kind.strip_prefix("list of ").map_or((kind, false), |kind| (kind, true));
            let kind = match kind {
                "text" => DataType::Utf8,
                "int32" => DataType::Int32,
                "int64" => DataType::Int64,
                "float64" => DataType::Float64,
                "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
                other => panic!("unknown type {other}"),
            };
            let kind = if listed { DataType::new_list(kind, true) } else { kind };
            Field::new(name, kind, true)
        })
        .collect();
    Schema::new(fields)
}

#[test]
fn authors_see_what_the_cases_say() {
    let mut all = String::new();
    let server = cfg!(feature = "server").then_some("views");
    let names =
        ["form", "rules", "grants", "data", "lints", "explain", "diff", "releases", "privacy"];
    for name in names.into_iter().chain(server) {
        let path = root().join(format!("tests/cases/policy-{name}.md"));
        let markdown = std::fs::read_to_string(&path).unwrap();
        let mut updated = markdown.clone();
        let results = run_cases(&markdown);
        assert!(!results.is_empty(), "{name} has no cases");
        for (range, expected, actual) in results.into_iter().rev() {
            if std::env::var_os("UPDATE").is_some() {
                updated.replace_range(range, &actual);
            } else {
                assert_eq!(actual, expected, "in {}", path.display());
            }
        }
        if updated != markdown {
            std::fs::write(&path, &updated).unwrap();
        }
        all.push_str(&updated);
    }
    // Those that need a special file or real data have tests of their own, here and with the
    // command line.
    let elsewhere = [
        Problem::FileTooLarge,
        Problem::NotUtf8,
        Problem::Nesting,
        Problem::Tab,
        Problem::DataUnreadable,
        Problem::FilterRefused,
        Problem::PublicTable,
        Problem::More,
    ];
    let elsewhere = elsewhere.iter().chain(if server.is_none() { VIEWS } else { &[] });
    let elsewhere: Vec<&Problem> = elsewhere.collect();
    for problem in Problem::ALL.iter().filter(|problem| !elsewhere.contains(problem)) {
        assert!(all.contains(&format!("[{}]", problem.code())), "no case shows {problem:?}");
    }
}

/// What only cases with the query engine show.
const VIEWS: &[Problem] = &[Problem::ViewName, Problem::ViewRefused];

fn refused(bytes: &[u8]) -> String {
    let report = load_bytes(Path::new("p.yaml"), bytes).unwrap_err();
    render::human(report.diagnostics(), false)
}

#[test]
fn a_file_that_is_no_text_is_refused_with_the_byte() {
    assert_eq!(
        refused(b"version: 1\nd\xff"),
        "\
error[P012]: byte 13 is not UTF-8
 --> p.yaml:2:2
  |
2 | d\u{fffd}
  |  ^
  |
  = help: save the file as UTF-8

"
    );
}

#[test]
fn a_huge_file_is_refused_unread() {
    let text = refused(&vec![b' '; (1 << 20) + 1]);
    assert_eq!(text, "error[P011]: the file is larger than 1 MiB\n--> p.yaml\n\n");
}

#[test]
fn deep_nesting_is_refused() {
    for depth in [33, 5000] {
        let text = refused(format!("version: {}", "[".repeat(depth)).as_bytes());
        assert!(text.starts_with("error[P019]: lists and maps nest deeper than 32"), "{text}");
    }
}

#[test]
fn a_list_without_end_is_refused() {
    let text = refused(format!("version: [{}]", "1,".repeat(10_001)).as_bytes());
    assert!(text.starts_with("error[P019]: a list or map has more than 10000 items"), "{text}");
    let keys: String = (0..10_001).map(|at| format!("k{at}: 1\n")).collect();
    let text = refused(keys.as_bytes());
    assert!(text.starts_with("error[P019]: a list or map has more than 10000 items"), "{text}");
}

#[test]
fn too_many_problems_are_counted_and_never_forgotten() {
    let columns: String = (0..300).map(|at| format!("  k{at}: kepe\n")).collect();
    let text = format!("version: 1\ndataset: d\nsource: {{parquet: x}}\ncolumns:\n{columns}");
    let report = load_bytes(Path::new("p.yaml"), text.as_bytes()).unwrap_err();
    assert_eq!(report.diagnostics().len(), 201);
    let last = report.diagnostics().last().unwrap();
    assert_eq!((last.code, last.message.as_str()), ("P099", "there are 100 more problems"));
    // Warnings that fill the list do not hide an error behind them.
    let mut problems = super::problem::Problems::new(crate::diagnostic::SourceFile::new("p", ""));
    for _ in 0..300 {
        problems.add(Problem::ClassMissing, None, "a warning");
    }
    assert!(!problems.any_error());
    problems.add(Problem::UnknownKey, None, "an error");
    assert!(problems.any_error());
    assert!(problems.into_list().iter().any(Diagnostic::is_error));
}

#[test]
fn a_tab_is_called_a_tab() {
    assert_eq!(
        refused(b"version: 1\ncolumns:\n\ta: keep\n"),
        "\
error[P014]: a tab is used for indentation
 --> p.yaml:3:1
  |
3 |     a: keep
  | ^
  |
  = help: indent with spaces

"
    );
}

#[test]
fn a_missing_file_is_said_to_be_missing() {
    let report = load(Path::new("/nowhere/p.yaml")).unwrap_err();
    assert_eq!(report.to_string(), "error[P010]: there is no such file\n--> /nowhere/p.yaml");
}

#[test]
fn nothing_at_all_is_no_policy() {
    for text in ["", "\n", "# only a comment\n", "---\n", "\u{feff}"] {
        assert!(load_bytes(Path::new("p.yaml"), text.as_bytes()).is_err(), "{text:?}");
    }
}

const SMALL: &str = "\
version: 1
dataset: jobs
source: {parquet: raw}
columns: {a: keep, b: drop}
grants: [{partner: p, access: rows}, {partner: q, access: rows, until: 2027-01-01}]
";

#[test]
fn yaml_surprises_keep_their_letters() {
    // In a place for text, what is written is what is meant; other readers of YAML would make
    // flags, nulls, numbers and dates of these.
    for text in [
        "NO",
        "yes",
        "on",
        "~",
        "null",
        "1.10",
        "010",
        "1e3",
        "0x10",
        "1_000",
        "2026-01-01",
        ".5",
        "12:30:45",
    ] {
        let policy = loaded(&format!("{SMALL}description: {text}\n")).policy;
        assert_eq!(policy.description, text);
    }
    // Norway is a column like any other.
    let policy = loaded(&SMALL.replace("b: drop", "NO: drop")).policy;
    assert_eq!(policy.columns[1].name, "NO");
}

#[test]
fn a_number_has_one_reading_or_none() {
    let epoch = |text: &str| {
        load_bytes(Path::new("p.yaml"), format!("{SMALL}epoch: {text}\n").as_bytes())
            .map(|loaded| loaded.policy.epoch)
            .map_err(|report| report.diagnostics()[0].help.clone().unwrap_or_default())
    };
    assert_eq!(epoch("7"), Ok(Some(7)));
    assert_eq!(epoch("0"), Ok(Some(0)));
    for (written, help) in [
        ("1e3", "write it out: 1000"),
        ("0x10", "write it out: 16"),
        ("0b11", "write it out: 3"),
        ("1_000", "write it out: 1000"),
        ("+5", "write it out: 5"),
        (".5", "write it out: 0.5"),
        ("5.", "write it out: 5"),
        ("010", "write it out: 10, or 8 if octal is meant"),
        ("09", "write it out: 9"),
        ("\"7\"", "write 7 without quotes"),
        (".inf", ""),
        ("NaN", ""),
        ("seven", ""),
        ("~", ""),
    ] {
        assert_eq!(epoch(written), Err(help.to_owned()), "{written}");
    }
}

#[test]
fn codes_are_given_once() {
    let mut codes: Vec<&str> = Problem::ALL.iter().map(|problem| problem.code()).collect();
    codes.sort_unstable();
    let count = codes.len();
    codes.dedup();
    assert_eq!(codes.len(), count);
    assert!(Problem::ALL.iter().all(|problem| problem.doc().ends_with('.')));
}

#[test]
fn the_schema_knows_every_key_and_transform() {
    let schema = schema::schema();
    let properties = schema["properties"].as_object().unwrap();
    let keys: Vec<&str> = properties.keys().map(String::as_str).collect();
    assert_eq!(keys, super::raw::KEYS);
    let grant = schema["$defs"]["grant"]["properties"].as_object().unwrap();
    for key in super::raw::DP_KEYS {
        assert!(grant.contains_key(*key), "{key}");
    }
    let privacy = schema["properties"]["privacy"]["properties"].as_object().unwrap();
    assert!(privacy.keys().eq(super::raw::PRIVACY_KEYS));
    let rule = &schema["$defs"]["rule"]["anyOf"][1]["properties"];
    for transform in crate::pipeline::transform::ALL {
        let spec = transform.spec();
        let forms = rule[spec.verb]["anyOf"].as_array().unwrap();
        let of_method = |form: &&serde_json::Value| {
            form["type"] == "object"
                && spec.method.is_none_or(|m| form["properties"]["method"]["const"] == m)
        };
        let form = forms.iter().find(of_method).unwrap();
        for param in spec.params {
            assert_eq!(form["properties"][param.name]["description"], param.doc);
        }
    }
    let text = schema.to_string();
    for reference in text.split("\"#/$defs/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schema["$defs"].get(name).is_some(), "{name} is not defined");
    }
}

/// An editor reads the bare word `null` as no value at all.
#[test]
fn the_schema_takes_null_for_the_transform_of_that_name() {
    let forms = &schema::schema()["$defs"]["rule"]["anyOf"];
    assert!(forms.as_array().unwrap().iter().any(|form| form["type"] == "null"));
}

/// A grant to a name that nobody can be registered under would never be of use, and never say why.
#[test]
fn a_grant_names_partners_as_they_are_registered() {
    let grant = |name: &str| {
        let text = SMALL.replace("partner: p,", &format!("partner: {name},"));
        load_bytes(Path::new("p.yaml"), text.as_bytes()).is_ok()
    };
    for name in ["cern", "7", "public-dashboard", &"x".repeat(63)] {
        assert!(grant(name), "{name}");
    }
    for name in ["CERN", "a.b", "a@b", "-a", &"x".repeat(64)] {
        assert!(!grant(name), "{name}");
    }
}

#[test]
fn every_example_of_the_registry_is_a_rule() {
    for transform in crate::pipeline::transform::ALL {
        let spec = transform.spec();
        // Columns and files that examples name are not there; everything else must be right.
        let text = format!(
            "version: 1\ndataset: d\nsource: {{parquet: x}}\ncolumns:\n  User: keep\n  x: {}\n",
            spec.example
        );
        if let Err(report) = load_bytes(&case_path(), text.as_bytes()) {
            let others = [Problem::UnknownColumn.code(), Problem::FileUnreadable.code(), "P036"];
            let wrong: Vec<_> = report
                .diagnostics()
                .iter()
                .filter(|d| d.is_error() && !others.contains(&d.code))
                .collect();
            assert!(wrong.is_empty(), "{}: {report}", spec.name());
        }
    }
}

fn policy_files(test: bool) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("policies"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter(|path| path.to_string_lossy().contains(".test.") == test)
        .collect();
    files.sort();
    files
}

#[test]
fn the_policies_we_ship_are_good() {
    let files = policy_files(false);
    assert!(files.len() >= 4);
    for file in files {
        let loaded = load(&file).unwrap_or_else(|report| panic!("{report}"));
        // Quasi-identifiers without a release are said to remain on each policy's page.
        let others: Vec<_> = loaded
            .warnings
            .iter()
            .filter(|warning| warning.code != Problem::QuasiUncovered.code())
            .collect();
        assert!(others.is_empty(), "{others:?}");
        assert!(file.with_extension("md").is_file(), "{} has no page", file.display());
        assert!(file.with_extension("test.yaml").is_file(), "{} has no cases", file.display());
    }
}

#[test]
fn the_policies_we_ship_do_what_their_cases_say() {
    for file in policy_files(true) {
        let cases = Cases::load(&file).unwrap_or_else(|report| panic!("{report}"));
        let outcome = cases.run().unwrap_or_else(|error| panic!("{}", error.chain()));
        assert!(outcome.compared > 5);
        assert_eq!(outcome.mismatches, [], "{}: {:#?}", file.display(), outcome.actual);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_loader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = load_bytes(Path::new("p.yaml"), &bytes);
    }

    #[test]
    fn no_text_of_yaml_makes_the_loader_panic(
        text in "[\\[\\]{}:,\\-#&*!|>'\"%@`~? \t\na-c0-9é.<=\u{feff}]{0,120}"
    ) {
        if let Err(report) = load_bytes(Path::new("p.yaml"), text.as_bytes()) {
            let _ = report.to_string();
        }
    }

    #[test]
    fn no_change_to_a_good_policy_makes_the_loader_panic(
        at in 0..SMALL.len(), insert in "[\\[\\]{}:,\\-&*!|'\" \t\n~é]{0,3}", cut in 0..8usize
    ) {
        let mut text = SMALL.to_owned();
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, &insert);
        if let Err(report) = load_bytes(Path::new("p.yaml"), text.as_bytes()) {
            let _ = report.to_string();
        }
    }
}
