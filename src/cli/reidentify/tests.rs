//! Each kind of pseudonym is turned back to the value that it was made of, and to no other.

use std::fs::File;

use arrow::array::{
    Array, ArrayRef, AsArray, ListBuilder, RecordBatch, StringArray, StringBuilder,
};
use parquet::arrow::ArrowWriter;

use super::*;
use crate::cli::mapping::tests::{USERS, World};
use crate::cli::place::parse;
use crate::pipeline::transform::Bind;

const COLUMNS: [&str; 11] =
    ["User", "Owner", "Group", "Address", "Login", "Mail", "Paper", "Phone", "Ip", "Net", "Site"];

/// Two rows, the first with a null in the column `Mail`.
fn filled() -> World {
    let world = World::new();
    let column = |name: &str| -> (String, ArrayRef) {
        let values: [Option<&str>; 3] = match name {
            "Mail" => [None, Some("ann@example.org"), Some("bob@example.org")],
            "Phone" => [Some("+39 0444 123456"), Some("0444 654321"), Some("0444 654322")],
            "Ip" => [Some("192.0.2.7"), Some("2001:db8::7"), Some("192.0.2.8")],
            "Net" => [Some("198.51.100.1"), Some("203.0.113.9"), Some("198.51.100.77")],
            _ => [Some("one"), Some("two"), Some("three")],
        };
        (name.to_owned(), Arc::new(StringArray::from(values.to_vec())))
    };
    let mut nodes = ListBuilder::new(StringBuilder::new());
    nodes.append_value([Some("n1"), Some("n2")]);
    nodes.append_null();
    nodes.append_value([Some("n3"), None]);
    let nodes: (String, ArrayRef) = ("Nodes".to_owned(), Arc::new(nodes.finish()));
    let columns = COLUMNS.map(column).into_iter().chain([nodes]);
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = File::create(world.folder.path().join("policies/jobs.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    world
}

fn call(world: &World, column: &str, words: &[&str]) -> Result<String, String> {
    let policies = world.path("policies");
    let rest = ["--dataset", "jobs", "--column", column, "--policies", &policies, "--reason", "x"];
    let all = world.words(&[words, &rest[..]].concat());
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut out = Vec::new();
    match run(parse(&all)?, World::clock(), &mut out) {
        Ok(code) => assert_eq!(code, 0),
        Err(error) => return Err(format!("{error:#}")),
    }
    Ok(String::from_utf8(out).unwrap())
}

/// The pseudonym that the serving path gives a value for a partner.
fn pseudonym(world: &World, column: &str, partner: &str, value: Option<&str>) -> String {
    let policies = world.path("policies");
    let words =
        ["--dataset", "jobs", "--column", column, "--partner", partner, "--policies", &policies];
    #[derive(clap::Args)]
    struct Only {
        #[command(flatten)]
        which: Which,
    }
    let which = parse::<Only>(&words).unwrap().which;
    let target = Target::find(&which, &world.place(), &*world.store).unwrap();
    let input: ArrayRef = Arc::new(StringArray::from(vec![value]));
    let store = Arc::clone(&world.store);
    let tokens: Arc<dyn TokenMap> = store;
    let bind = Bind {
        column,
        input: input.data_type(),
        reads: &[],
        keys: &target.keys,
        tokens: &tokens,
        learned: None,
        neighbours: &[],
        folder: world.folder.path(),
    };
    let rule = &target.column.rule;
    let mut kernel = rule.transform.kernel(&rule.args, &bind).unwrap();
    let out = match value {
        Some(_) => kernel.apply(&input, &[]).unwrap(),
        None => kernel.null_token().unwrap().unwrap(),
    };
    out.as_string::<i32>().value(0).to_owned()
}

#[test]
fn every_kind_of_pseudonym_is_turned_back() {
    let world = filled();
    for (column, value) in [
        ("User", "two"),
        ("Mail", "bob@example.org"),
        ("Paper", "three"),
        ("Phone", "+39 0444 123456"),
        ("Ip", "192.0.2.7"),
        ("Ip", "2001:db8::7"),
        ("Nodes", "n3"),
    ] {
        // A grant that ended does not take the way back away.
        for partner in ["cern", "desy"] {
            let made = pseudonym(&world, column, partner, Some(value));
            assert_ne!(made, value);
            let said = call(&world, column, &[&made, "--partner", partner]).unwrap();
            assert_eq!(said, format!("{made:<15} -> {value}\n"), "{column}");
        }
    }
    let told = world.told();
    assert_eq!(told.len(), 14);
    assert!(
        told.iter().all(|line| line.0 == "Reidentify" && line.3 == "done" && !line.1.is_empty())
    );
}

#[test]
fn all_values_of_a_coarse_pseudonym_are_told() {
    let world = filled();
    let made = pseudonym(&world, "Net", "cern", Some("198.51.100.1"));
    let said = call(&world, "Net", &[&made, "--partner", "cern", "--json"]).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(answer["originals"], serde_json::json!(["198.51.100.1", "198.51.100.77"]));
}

#[test]
fn what_stands_for_nothing_here_is_told_so_and_recorded() {
    let world = filled();
    let null = pseudonym(&world, "Mail", "cern", None);
    let why = call(&world, "Mail", &[&null, "--partner", "cern"]).unwrap_err();
    assert_eq!(why, format!("`{null}` stands for null: there is no value"));
    let theirs = pseudonym(&world, "Mail", "desy", Some("ann@example.org"));
    let why = call(&world, "Mail", &[&theirs, "--partner", "cern"]).unwrap_err();
    assert!(
        why.starts_with(&format!("`{theirs}` stands for none of the values in 3 rows")),
        "{why}"
    );
    let why = call(&world, "Site", &["one", "--partner", "cern"]).unwrap_err();
    assert_eq!(why, "column `Site` is under `keep`, which makes no pseudonyms");
    let why = call(&world, "User", &["user_0009", "--partner", "cern"]).unwrap_err();
    assert_eq!(why, format!("`user_0009` was never given out in `{USERS}`"));
    let why = call(&world, "Mail", &[&theirs]).unwrap_err();
    assert!(why.contains("--partner"), "{why}");
    let outcomes: Vec<_> = world.told().into_iter().map(|line| line.3).collect();
    assert_eq!(outcomes, ["failed"; 3]);
}
