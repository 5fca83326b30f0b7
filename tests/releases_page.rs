//! The page about releases: its commands run as they are printed, its policies are those that we ship, its figures and
//! pictures are what the commands give, and what it says of models is so. Says nothing about whether the advice is good.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use serde_json::Value;
use veilflight::pipeline::release::measure::{Beside, Measured, release};
use veilflight::policy::load::load;
use veilflight::policy::release::{Distance, HierarchyRule, Method, Model, Quasi, ReleaseRules};

use crate::shared::shared;

const PAGE: &str = include_str!("../docs/releases.md");

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The blocks of the page in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    // What stands before the first fence is no block.
    let mut rest = PAGE;
    let mut blocks = Vec::new();
    while let Some((_, after)) = rest.split_once(&fence) {
        let (block, next) = after.split_once("```").unwrap();
        blocks.push(block);
        rest = next;
    }
    blocks
}

/// A text without comments and blank lines.
fn bare(text: &str) -> String {
    let lines =
        text.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_policies_of_the_page_are_those_that_we_ship() {
    let blocks = blocks("yaml");
    assert_eq!(blocks.len(), 2);
    for (name, block) in ["adult", "slurm-jobs"].iter().zip(blocks) {
        let path = project().join(format!("policies/{name}.yaml"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(bare(&text).contains(&bare(block)), "{name}:\n{block}");
        assert!(load(&path).unwrap().policy.release.is_some());
    }
}

/// Runs a line as a shell would, in a folder beside the shared data.
fn typed(line: &str, folder: &Path) -> Output {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_veilflight"));
    let mut path = std::ffi::OsString::from(program.parent().unwrap());
    path.push(":/usr/bin:/bin");
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder).env_clear().env("PATH", path);
    command.output().unwrap()
}

#[test]
fn every_command_of_the_page_works_as_printed() {
    let Some(data) = shared("data") else { return };
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("project");
    std::fs::create_dir_all(folder.join("policies")).unwrap();
    std::os::unix::fs::symlink(data.parent().unwrap(), top.path().join("shared")).unwrap();
    for entry in std::fs::read_dir(project().join("policies")).unwrap() {
        let from = entry.unwrap().path();
        let to = folder.join("policies").join(from.file_name().unwrap());
        std::os::unix::fs::symlink(from, to).unwrap();
    }
    let mut told = String::new();
    for line in blocks("sh").iter().flat_map(|block| block.lines()) {
        let Output { status, stdout, stderr } = typed(line, &folder);
        let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert!(status.success(), "{line}\n{out}{err}");
        told.push_str(&out);
    }
    // Names of columns and counts are told, and no value.
    for value in ["Self-emp", "Bachelors", "croutons", "turdo"] {
        for name in ["before.html", "after.html", "choices.html", "jobs-before.html"] {
            let page = std::fs::read_to_string(folder.join(name)).unwrap();
            assert!(page.contains("</html>") && !page.contains(value), "{name} {value}");
        }
        assert!(!told.contains(value), "{value} in {told}");
    }
    for words in
        ["30,162", "14,021", "11,281", "as it should be", "Known without finding", "k-anonymity"]
    {
        assert!(told.contains(words), "{words} in {told}");
    }
    // After a release there is an after.
    assert!(!told.contains("After: "), "{told}");
    assert!(std::fs::read_to_string(folder.join("adult.csv")).unwrap().lines().count() > 28_000);
    figures_of_the_page(&folder.join("choices.json"));
    for name in ["adult-loss.svg", "adult-risk.svg"] {
        let (found, shown) = (folder.join("figures").join(name), project().join("docs").join(name));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::copy(&found, &shown).unwrap();
        }
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        assert!(read(&found) == read(&shown), "{name} differs; UPDATE=1 writes it");
    }
}

/// The figures under "Which k", as the search told them.
fn figures_of_the_page(path: &Path) {
    let found: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let of = |k: u64, suppress: f64, name: &str| -> f64 {
        let choices = found["choices"].as_array().unwrap();
        let is = |choice: &&Value| choice["k"] == k && choice["suppress_max"] == suppress;
        choices.iter().find(is).unwrap()[name].as_f64().unwrap() * 100.0
    };
    let lost = |k, suppress| format!("{:.0} %", of(k, suppress, "share_lost"));
    for words in [
        format!("{} is lost already at k = 2", lost(2, 0.0)),
        format!("k = 5 costs {} and k = 25 costs {}", lost(5, 0.05), lost(25, 0.05)),
        format!("k = 50 ({})", lost(50, 0.05)),
        format!("largest risk is {:.0} %", of(5, 0.05, "risk_highest")),
        format!("average one {:.2} %", of(5, 0.05, "risk_average")),
    ] {
        assert!(PAGE.replace('\n', " ").contains(&words), "{words}");
    }
}

/// Rows of classes: each with the values of its sensitive column.
fn measured(classes: &[&[&str]], model: Model) -> Measured {
    let quasi = classes
        .iter()
        .enumerate()
        .flat_map(|(at, class)| class.iter().map(move |_| format!("class {at}")));
    let quasi: ArrayRef = Arc::new(StringArray::from(quasi.collect::<Vec<_>>()));
    let values: ArrayRef = Arc::new(StringArray::from(classes.concat()));
    let batch = RecordBatch::try_from_iter([("q", quasi), ("s", values)]).unwrap();
    let rules = ReleaseRules {
        quasi_identifiers: vec![Quasi {
            column: "q".to_owned(),
            hierarchy: HierarchyRule::Top,
            weight: 1.0,
        }],
        models: vec![model],
        method: Method::LocalSuppression,
        suppress_max: 0.0,
        unit: None,
        population: None,
        dangerous_rerelease: false,
    };
    release([&batch], &rules, &Beside::default()).unwrap()
}

/// The table of what each model stops: of a class that shares one value, and of one that nearly does.
#[test]
fn what_the_page_says_that_models_stop_is_so() {
    let holds = |classes: &[&[&str]], model: Model| measured(classes, model).findings[0].holds;
    let s = || "s".to_owned();
    // Four of five rows have `a`; the first class has nothing else.
    let most: [&[&str]; 2] = [&["a", "a", "a", "a", "a"], &["a", "a", "a", "b", "b"]];
    let rare: [&[&str]; 2] = [&["b", "b", "b", "b", "b"], &["a", "a", "a", "a", "a"]];
    assert!(holds(&most, Model::KAnonymity { k: 5 }), "k does not see it");
    assert!(!holds(&most, Model::DistinctL { column: s(), l: 2 }));
    let t = |t: f64| Model::TCloseness { column: s(), t, distance: Distance::Equal };
    assert!(holds(&most, t(0.2)), "a value that 1 - t of the table has may be shared");
    assert!(!holds(&most, t(0.19)) && !holds(&rare, t(0.49)) && holds(&rare, t(0.5)));
    let beta = |beta: f64, enhanced| Model::BetaLikeness { column: s(), beta, enhanced };
    assert!(holds(&rare, beta(1.0, false)), "a value that 1 / (1 + beta) of the table has");
    assert!(!holds(&rare, beta(0.99, false)));
    assert!(!holds(&rare, beta(100.0, true)) && !holds(&most, beta(100.0, true)), "enhanced: all");
    // Of a class of five, four share one value: l = 2 holds all the same, and entropy and recursive bound it.
    let nearly: [&[&str]; 2] = [&["a", "a", "a", "a", "b"], &["a", "b", "b", "b", "b"]];
    assert!(holds(&nearly, Model::DistinctL { column: s(), l: 2 }));
    let entropy = |l: f64| Model::EntropyL {
        column: s(),
        l,
        estimator: veilflight::policy::release::Estimator::Shannon,
    };
    assert!(!holds(&nearly, entropy(2.0)) && holds(&nearly, entropy(1.6)));
    let recursive = |c: f64| Model::RecursiveCl { column: s(), c, l: 2 };
    assert!(!holds(&nearly, recursive(4.0)) && holds(&nearly, recursive(4.1)));
}
