//! The verb on a small table: what it says, what it writes, and that no value is in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::*;
use crate::audit::show::{Filter, Line, lines};
use crate::clock::SystemClock;
use crate::keys::provider::{MasterKeys, create_file};

/// Names, towns, ages; four rows look like nobody else's.
const ROWS: &str = "who,town,age,illness\n\
ann,Zwettl,34,flu\nbob,Zwettl,34,flu\ncy,Zwettl,34,cold\ndee,Retz,35,flu\nann,Zwettl,34,flu\n\
eve,Retz,51,gout\nfay,Krems,77,cold\nguy,,34,flu\n";

const POLICY: &str = "version: 1\ndataset: stays\ndescription: one row a stay\nsource:\n  delimited:\n    \
paths: stays.csv\n    delimiter: \",\"\n    header: true\n    columns: {who: text, town: text, age: integer, \
illness: text}\ncolumns:\n  who: {class: identifier, pseudonym: hmac}\n  town: {class: quasi, keep}\n  \
age: {class: quasi, bucket: {edges: [40, 60]}}\n  illness: {class: sensitive, keep}\ngrants: []\n";

struct Scene(tempfile::TempDir);

impl Scene {
    fn new(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("stays.csv"), ROWS).unwrap();
        fs::write(folder.path().join("stays.yaml"), policy).unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        let keys = MasterKeys::generate(0).unwrap();
        create_file(&folder.path().join("state/master.key"), &keys).unwrap();
        Self(folder)
    }

    /// Methods, columns and outcomes of the audit log, in order.
    fn recorded(&self) -> Vec<String> {
        let place = Place { state: self.0.path().join("state"), key: None };
        let lines =
            lines(&*place.open(Arc::new(SystemClock)).unwrap(), &Filter::default()).unwrap();
        let told = |line: &Line| {
            let subject = &line.subject;
            format!("{} {} {}", subject.method, subject.columns.join("+"), line.outcome)
        };
        lines.iter().map(told).collect()
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let folder = self.path("");
        let state = self.path("state");
        let mut all = vec!["--policies", &folder, "--state", &state];
        all.extend(words);
        let args: Args = super::super::place::parse(&all).unwrap();
        let mut out = Vec::new();
        run(&args, Arc::new(SystemClock), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }
}

fn unsaid(text: &str) {
    for value in ["Zwettl", "Retz", "Krems", "gout", "flu", "ann", "eve"] {
        let words = text.split(|c: char| !c.is_alphanumeric());
        assert!(words.into_iter().all(|word| word != value), "{value} in {text}");
    }
}

/// PRIVACY: counts and names of columns come out of raw rows, never a value.
#[test]
fn before_and_after_are_told_without_a_value() {
    let scene = Scene::new(POLICY);
    let (json, html) = (scene.path("risk.json"), scene.path("risk.html"));
    let text = scene.run(&["stays", "--json", &json, "--html", &html]).unwrap();
    let found: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    // Raw: Zwettl 34 four times; Retz 35, Retz 51, Krems 77 and nowhere 34 once each.
    assert_eq!(found["before"]["rows"], 8);
    assert_eq!((&found["before"]["classes"], &found["before"]["uniques"]), (&5.into(), &4.into()));
    assert_eq!(found["before"]["prosecutor"]["highest"], 1.0);
    assert_eq!(found["before"]["marketer"], 5.0 / 8.0);
    // By bands of age nothing is joined here: 34 and 35 are in different towns.
    assert_eq!(found["after"]["classes"], 5);
    assert_eq!(found["quasi_identifiers"], serde_json::json!(["town", "age"]));
    assert_eq!(found["special_uniques"]["rows"], 4);
    let page = fs::read_to_string(&html).unwrap();
    for text in [&text, &page, &found.to_string()] {
        unsaid(text);
    }
    assert!(page.contains("<svg role=\"img\"") && !page.contains("http://"));
    assert!(text.contains("Prosecutor, highest") && text.contains("100.00 %"), "{text}");
    assert_eq!(fs::metadata(&html).unwrap().permissions().mode() & 0o777, 0o600);
    let again = scene.run(&["stays", "--json", &json]).unwrap_err().to_string();
    assert!(again.contains("is there already"), "{again}");
    scene.run(&["stays", "--json", &json, "--force", "--before-only"]).unwrap();
    let found: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(found["after"], Value::Null);
}

#[test]
fn persons_are_counted_where_the_policy_names_a_unit() {
    let scene = Scene::new(&POLICY.replace("columns:\n  who", "unit: who\ncolumns:\n  who"));
    let json = scene.path("risk.json");
    scene.run(&["stays", "--json", &json]).unwrap();
    let found: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    // Ann's two stays hide nobody else: three persons in the class of four rows.
    assert_eq!(found["before"]["prosecutor"]["lowest"], 1.0 / 3.0);
    assert_eq!(found["unit"], "who");
}

#[test]
fn columns_are_those_that_are_named_and_others_are_advice() {
    let scene = Scene::new(POLICY);
    let text = scene.run(&["stays", "--qi", "age", "--population", "1000"]).unwrap();
    assert!(text.contains("Who knows age of somebody"), "{text}");
    assert!(text.contains("Uniques of the population"), "{text}");
    unsaid(&text);
    let wrong = scene.run(&["stays", "--qi", "twn"]).unwrap_err().to_string();
    assert!(wrong.contains("did you mean `town`?"), "{wrong}");
    let wrong = scene.run(&["stay"]).unwrap_err().to_string();
    assert!(wrong.contains("did you mean `stays`?"), "{wrong}");
    let twice = scene.run(&["stays", "--qi", "age,age"]).unwrap_err().to_string();
    assert!(twice.contains("twice"), "{twice}");
    let scene = Scene::new(&POLICY.replace("class: quasi, ", ""));
    let none = scene.run(&["stays"]).unwrap_err().to_string();
    assert!(none.contains("`--qi`"), "{none}");
}

#[test]
fn a_stand_in_tells_rows_apart_as_the_value_does() {
    let scene = Scene::new(POLICY);
    let json = scene.path("risk.json");
    scene.run(&["stays", "--qi", "who", "--json", &json]).unwrap();
    let found: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(found["before"]["uniques"], found["after"]["uniques"]);
    assert_eq!(found["after"]["classes"], 7);
}

/// INVARIANT: the audit entry opens before the first raw byte is read, and closes with what became of it.
#[test]
fn raw_rows_are_read_only_for_the_record() {
    let scene = Scene::new(POLICY);
    scene.run(&["stays"]).unwrap();
    assert_eq!(scene.recorded(), ["Risk town+age+illness done"]);
    // What cannot be read was on record before it was tried.
    fs::remove_file(scene.path("stays.csv")).unwrap();
    assert!(scene.run(&["stays", "--qi", "town"]).is_err());
    assert_eq!(scene.recorded()[1..], ["Risk town+illness failed"]);
    // Without a log nothing is looked at: the data are not even missed.
    fs::remove_dir_all(scene.path("state")).unwrap();
    let error = scene.run(&["stays"]).unwrap_err().to_string();
    assert!(!error.contains("stays.csv") && error.contains("key"), "{error}");
}

#[test]
fn rows_whose_class_has_one_value_are_known_without_being_found() {
    let scene = Scene::new(POLICY);
    let json = scene.path("risk.json");
    let text = scene.run(&["stays", "--json", &json]).unwrap();
    let found: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    // The four of Zwettl have two illnesses; four others are alone.
    let illness = serde_json::json!({ "column": "illness", "rows": 4, "share": 0.5 });
    assert_eq!(found["before"]["homogeneity"], serde_json::json!([illness]));
    assert_eq!(found["after"]["homogeneity"], found["before"]["homogeneity"]);
    assert!(text.contains("Known without finding"), "{text}");
    // By age alone: 34 (three flu and a cold, and one flu more), 35, 51 and 77 once each.
    scene.run(&["stays", "--qi", "age", "--json", &json, "--force"]).unwrap();
    let found: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(found["before"]["homogeneity"][0]["rows"], 3);
    // In bands: under 40 flu and cold; gout alone; a cold alone.
    assert_eq!(found["after"]["homogeneity"][0]["rows"], 2);
    // Where nothing that leaves tells rows apart, all are one class.
    let dropped =
        Scene::new(&POLICY.replace("age: {class: quasi, bucket: {edges: [40, 60]}}", "age: drop"));
    let json = dropped.path("risk.json");
    dropped.run(&["stays", "--qi", "age", "--sensitive", "town", "--json", &json]).unwrap();
    let found: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!((&found["after"]["classes"], &found["sensitive"][0]), (&1.into(), &"town".into()));
    assert_eq!(found["after"]["homogeneity"][0]["rows"], 0);
    let both =
        dropped.run(&["stays", "--qi", "age", "--sensitive", "age"]).unwrap_err().to_string();
    assert!(both.contains("say one"), "{both}");
}

#[test]
fn weights_give_each_row_the_risk_of_what_it_stands_for() {
    let weighted = POLICY.replace("illness: text}", "illness: text, w: number}");
    let scene = Scene::new(&weighted.replace("grants:", "  w: drop\ngrants:"));
    let weights = ["w", "10", "10", "20", "2.5", "10", "1", "300", "40"];
    let rows: Vec<String> =
        ROWS.lines().zip(weights).map(|(row, weight)| format!("{row},{weight}\n")).collect();
    fs::write(scene.path("stays.csv"), rows.concat()).unwrap();
    let json = scene.path("risk.json");
    let text = scene.run(&["stays", "--weight", "w", "--json", &json]).unwrap();
    let found: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let before = &found["before"]["individual"];
    assert_eq!(before["population"], 393.5);
    // Who stands for nobody else is as at risk as in the sample.
    assert_eq!(before["highest"], 1.0);
    let classes = [(4, 50.0), (1, 2.5), (1, 1.0), (1, 300.0), (1, 40.0)];
    let expected: f64 =
        classes.map(|(n, all)| n as f64 * crate::risk::individual::risk(n, all)).iter().sum();
    let close = |found: &Value, wanted: f64| (found.as_f64().unwrap() - wanted).abs() < 1e-12;
    assert!(close(&before["expected_matches"], expected), "{before}");
    assert_eq!(before["share_at_risk"], 2.0 / 8.0, "2.5 and 1 are above one in five");
    assert!(
        text.contains("Individual, highest") && text.contains("Expected right matches"),
        "{text}"
    );
    unsaid(&text);
    for wrong in ["", "-1", "0", "x"] {
        let bad = rows.concat().replace(",300\n", &format!(",{wrong}\n"));
        fs::write(scene.path("stays.csv"), bad).unwrap();
        let error = scene.run(&["stays", "--weight", "w"]).unwrap_err();
        let error = format!("{error:#}");
        assert!(!error.contains("-1") && !error.contains("`x`"), "{error}");
    }
    let both = scene.run(&["stays", "--weight", "age"]).unwrap_err().to_string();
    assert!(both.contains("say one"), "{both}");
}
