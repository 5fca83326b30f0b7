//! Before a release and around it: what a search tells and records, and what lists say of what is not built.

use serde_json::Value;

use super::*;

fn listed(custody: &Custody, line: &str) -> Value {
    let (exit, out, err) = call(custody, line);
    assert_eq!(exit, Exit::Done, "{out}{err}");
    serde_json::from_str(&out).unwrap()
}

/// INVARIANT: the audit entry opens before the first raw byte is read.
#[test]
fn a_search_is_recorded_before_rows_are_read() {
    let custody = custody(&policy("lattice", RELEASE));
    assert_eq!(call(&custody, "search people --k 5 --suppress 0.05").0, Exit::Done);
    fs::remove_dir_all(custody.policies().join("people")).unwrap();
    assert_eq!(call(&custody, "search people --k 5").0, Exit::Failed);
    let told = custody.told();
    assert!(told[0].starts_with("ReleaseSearch  people done"), "{told:?}");
    assert!(told[1].starts_with("ReleaseSearch  people failed"), "{told:?}");
}

/// The figure of the search is the one that the build makes least, weights and aggregate included.
#[test]
fn a_search_tells_the_loss_that_the_build_has() {
    let weighted = RELEASE.replace("[10, 20, 40]}}", "[10, 20, 40]}, weight: 3}");
    for (method, name) in [
        ("lattice", "loss, geometric mean"),
        ("{lattice: {objective: loss, aggregate: arithmetic_mean}}", "loss, arithmetic mean"),
        ("{lattice: {objective: discernibility}}", "discernibility"),
        ("{lattice: {objective: loss, aggregate: rank}}", "loss, rank 01"),
    ] {
        let custody = custody(&policy(method, &weighted));
        let path = custody.policies().join("choices.json");
        let line = format!("search people --k 2,5 --suppress 0,0.05 --json {}", path.display());
        let (exit, out, err) = call(&custody, &line);
        assert_eq!(exit, Exit::Done, "{err}");
        let found: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let manifest = built(&custody);
        // k = 5 with one row in twenty is what the policy asks for.
        let choice = &found["choices"][3];
        assert_eq!((&choice["k"], &choice["suppress_max"]), (&5.into(), &0.05.into()));
        assert_eq!(choice["loss"][0], serde_json::json!(manifest.loss[name]), "{method}");
        let share = choice["share_lost"].as_f64().unwrap();
        assert!(share > 0.0 && share < 1.0, "{method} {share}");
        let decides = found["decides"].as_str().unwrap();
        assert_eq!(decides.contains("weighted (age 3, others 1)"), name != "discernibility");
        let flat = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(decides), "{decides} in {out}");
        let (_, shown, _) = call(&custody, "show people");
        match name {
            "loss, rank 01" => {
                assert_eq!(choice["loss"].as_array().unwrap().len(), manifest.loss.len());
                let words = "loss by column, the column that loses most first: ";
                assert!(shown.contains(words) && !shown.contains("rank 0"), "{shown}");
            }
            name => assert!(shown.contains(&format!("{name}: {}", manifest.loss[name])), "{shown}"),
        }
    }
}

#[test]
fn a_list_tells_what_is_not_built_and_what_other_rules_made() {
    let custody = custody(&policy("lattice", RELEASE));
    let states = |line: &str| -> Vec<String> {
        let list = listed(&custody, line);
        let states = list.as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap());
        states.map(str::to_owned).collect()
    };
    assert_eq!(states("list --json"), ["not built"]);
    let (_, out, _) = call(&custody, "list");
    assert!(out.contains("`veilflight release build people` builds it"), "{out}");
    built(&custody);
    assert_eq!(states("list people --json"), ["served"]);
    // Another rule: what was built is not served any more.
    custody.write_policy("people.yaml", &policy("lattice", &RELEASE.replace("k: 5", "k: 7")));
    assert_eq!(states("list --json"), ["stale"]);
    assert!(call(&custody, "show people").1.contains("stale"));
    assert!(pulled(&custody.open().unwrap(), "cern").is_err());
    // A policy that cannot be loaded hides nothing that was built.
    custody.write_policy("people.yaml", "version: 1\n");
    let (exit, out, _) = call(&custody, "list");
    assert_eq!(exit, Exit::Done);
    assert!(out.contains("served") && out.contains("cannot be loaded"), "{out}");
}

#[test]
fn every_verb_takes_policies_and_knows_a_misspelt_dataset() {
    let custody = custody(&policy("lattice", RELEASE));
    let verbs = ["build", "list", "search", "show", "verify", "withdraw --reason why"];
    for line in verbs.map(|verb| format!("{verb} peple")) {
        let line = line.as_str();
        let (exit, out, err) = call(&custody, line);
        assert_eq!(exit, Exit::Failed, "{line} {out}");
        assert!(err.contains("did you mean `people`?"), "{line}: {err}");
    }
    assert!(!releases(&custody).place("peple", "").exists(), "nothing was made for it");
    let (_, _, err) = call(&custody, "show people");
    assert!(err.contains("`veilflight release build people` builds it"), "{err}");
}

#[test]
fn what_verify_finds_is_told_as_json_too() {
    let custody = custody(&policy("lattice", RELEASE));
    let manifest = built(&custody);
    let found = listed(&custody, "verify people --json");
    assert_eq!(found["id"], manifest.id.as_str());
    let checks = found["checks"].as_array().unwrap();
    assert_eq!(checks.len(), manifest.files.len() + 2, "manifest, files, guarantees");
    assert!(checks.iter().all(|check| check["wrong"].is_null()), "{found}");
    fs::remove_file(&parts(&custody, &manifest)[0]).unwrap();
    let (exit, out, _) = call(&custody, "verify people --json");
    assert_eq!(exit, Exit::Failed);
    assert!(out.contains("it is not there"), "{out}");
}
