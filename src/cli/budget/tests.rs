//! The verbs over a policy, a state and what was spent on it.

use std::path::Path;

use super::*;
use crate::audit::show::{Filter, lines};
use crate::budget::ledger::Ledger;
use crate::cli::place::parse;
use crate::clock::ManualClock;
use crate::keys::provider::{MasterKeys, create_file};

const POLICY: &str = "\
version: 1
dataset: jobs
source: {parquet: data}
unit: User
columns: {User: {pseudonym: hmac}, Site: keep}
privacy: {epsilon: 2, delta: 1e-7}
grants:
  - {partner: cern, access: dp, epsilon: 1.0, delta: 1e-8, groups_max: 2, rows_max: 5}
  - {partner: lab-with-a-long-name, access: dp, epsilon: 0.5, groups_max: 2, rows_max: 5}
  - {partner: desy, access: rows}
";

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new(1_800_000_000_000_000))
}

fn loss(epsilon: &str, delta: &str) -> Loss {
    Loss { epsilon: epsilon.parse().unwrap(), delta: delta.parse().unwrap() }
}

/// A folder with two policies, a key, and a state in which two partners asked something.
struct Trial(tempfile::TempDir);

impl Trial {
    fn new(policy: &str) -> Self {
        let trial = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(trial.path("policies")).unwrap();
        std::fs::write(trial.path("policies/jobs.yaml"), policy).unwrap();
        let plain = POLICY.split("privacy:").next().unwrap().replace("jobs", "logs");
        std::fs::write(trial.path("policies/logs.yaml"), plain).unwrap();
        let place = trial.place();
        let store = place.open_or_create(clock()).unwrap();
        create_file(&trial.path("state/master.key"), &MasterKeys::generate(0).unwrap()).unwrap();
        let ledger = Ledger::new(store, clock(), place.ring().unwrap());
        let loaded = load(&trial.path("policies/jobs.yaml")).unwrap().policy;
        let cern = account(&loaded, "cern").unwrap();
        let digest = "0123456789abcdef".repeat(4);
        let spent = ledger.spend(&cern, &digest, "count(*) by Site", loss("0.1", "1e-9")).unwrap();
        spent.keep(b"answer").unwrap();
        drop(ledger.spend(&cern, "fedcba", "sum\n\u{1b}[2J", loss("0.25", "0")).unwrap());
        let lab = account(&loaded, "lab-with-a-long-name").unwrap();
        drop(ledger.spend(&lab, "aa", "", loss("0.5", "0")).unwrap());
        trial
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn place(&self) -> Place {
        #[derive(Debug, clap::Args)]
        struct Only {
            #[command(flatten)]
            place: Place,
        }
        parse::<Only>(&["--state", text(&self.path("state"))]).unwrap().place
    }

    fn call(&self, words: &[&str]) -> Result<String, String> {
        let (state, policies) = (self.path("state"), self.path("policies"));
        let mut all = words.to_vec();
        all.extend(["--state", text(&state)]);
        if words[0] != "history" {
            all.extend(["--policies", text(&policies)]);
        }
        let mut out = Vec::new();
        match run(parse(&all)?, clock(), &mut out) {
            Ok(code) => assert_eq!(code, 0),
            Err(error) => return Err(format!("{error:#}")),
        }
        Ok(String::from_utf8(out).unwrap())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_is_left_is_shown_by_dataset_and_partner() {
    let trial = Trial::new(POLICY);
    insta::assert_snapshot!(trial.call(&["show"]).unwrap(), @r"
    jobs  (pure accounting; cap of all partners: epsilon 2, delta 0.0000001; spent by all: epsilon 0.85, delta 0.000000001)
      partner                             total        spent         left  for one statement
      cern                  epsilon           1         0.35         0.65               0.65
                            delta    0.00000001  0.000000001  0.000000009        0.000000009
      lab-with-a-long-name  epsilon         0.5          0.5            0                  0
                            delta             0            0            0                  0
    ");
    let one = trial.call(&["show", "jobs", "--partner", "cern", "--json"]).unwrap();
    let one: serde_json::Value = serde_json::from_str(&one).unwrap();
    let expected = serde_json::json!([{
        "dataset": "jobs",
        "partner": "cern",
        "accounting": "pure",
        "total": {"epsilon": "1", "delta": "0.00000001"},
        "spent": {"epsilon": "0.35", "delta": "0.000000001"},
        "left": {"epsilon": "0.65", "delta": "0.000000009"},
        "statement_max": {"epsilon": "0.65", "delta": "0.000000009"},
        "cap": {"epsilon": "2", "delta": "0.0000001"},
        "spent_all": {"epsilon": "0.85", "delta": "0.000000001"},
    }]);
    assert_eq!(one, expected);
    assert_eq!(trial.call(&["show", "logs"]).unwrap(), "no grant has a privacy budget\n");
    for (words, error) in [
        (&["show", "job"][..], "there is no dataset `job`; did you mean `jobs`?"),
        (
            &["show", "jobs", "--partner", "cren"],
            "the policy of `jobs` gives no budget to `cren`; did you mean `cern`?",
        ),
        (&["show", "jobs", "--partner", "desy"], "the policy of `jobs` gives no budget to `desy`"),
    ] {
        assert_eq!(trial.call(words).unwrap_err(), error);
    }
}

#[test]
fn zero_concentrated_budgets_say_what_one_statement_may_cost() {
    // What was spent on it so far was pure.
    let trial = Trial::new(POLICY);
    let policy = POLICY
        .replace("epsilon: 2, delta: 1e-7", "epsilon: 5, delta: 1e-7, accounting: zcdp")
        .replace("epsilon: 1.0", "epsilon: 3.0")
        .replace("epsilon: 0.5,", "epsilon: 0.5, delta: 1e-9,");
    std::fs::write(trial.path("policies/jobs.yaml"), policy).unwrap();
    insta::assert_snapshot!(trial.call(&["show", "jobs", "--partner", "cern"]).unwrap(), @r"
    jobs  (zcdp accounting; cap of all partners: epsilon 5, delta 0.0000001; spent by all: epsilon 3.11512, delta 0.000000051)
      partner                total        spent         left  for one statement
      cern     epsilon           3      1.51397      1.48603           0.436086
               delta    0.00000001  0.000000006  0.000000004        0.000000004
    ");
}

#[test]
fn every_question_is_told_with_its_cost() {
    let trial = Trial::new(POLICY);
    insta::assert_snapshot!(trial.call(&["history"]).unwrap(), @r"
    1  2027-01-15T08:00:00Z  cern  jobs  - epsilon 0.1, delta 0.000000001  answered  0123456789abcdef
        count(*) by Site
    2  2027-01-15T08:00:00Z  cern  jobs  - epsilon 0.25, delta 0  no answer  fedcba
        sum
        \u{1b}[2J
    3  2027-01-15T08:00:00Z  lab-with-a-long-name  jobs  - epsilon 0.5, delta 0  no answer  aa
    ");
    let lines = trial.call(&["history", "jobs", "--partner", "cern", "--json"]).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let expected = serde_json::json!({
        "number": 1, "time": "2027-01-15T08:00:00Z", "partner": "cern", "dataset": "jobs",
        "kind": "spend", "accounting": "pure",
        "loss": {"epsilon": "0.1", "delta": "0.000000001"}, "rho": "0.005", "answered": true,
        "question": "0123456789abcdef".repeat(4), "canonical": "count(*) by Site",
    });
    assert_eq!(lines[0], expected);
    assert_eq!(lines[1]["answered"], false);
    let nothing = trial.call(&["history", "logs"]).unwrap();
    assert_eq!(nothing, "nothing was spent and nothing was granted by hand\n");
    assert_eq!(trial.call(&["history", "logs", "--json"]).unwrap(), "");
}

#[test]
fn what_is_granted_by_hand_is_told_in_the_audit_log_and_stays_below_the_cap() {
    let trial = Trial::new(POLICY);
    let grant = |partner: &str, more: &[&str]| {
        let mut words = vec!["grant", "jobs", "--partner", partner, "--reason", "the paper"];
        words.extend(more);
        trial.call(&words)
    };
    assert_eq!(
        grant("cern", &["--epsilon", "0.5", "--delta", "1e-9"]).unwrap(),
        "`cern` has epsilon 1.5 and delta 0.000000011 of `jobs` now; left: epsilon 1.15, delta 0.00000001\n"
    );
    assert_eq!(
        grant("cern", &["--epsilon", "0.51"]).unwrap_err(),
        "`cern` would have epsilon 2.01 and delta 0.000000011 of `jobs`, and the policy's cap over all partners \
         is epsilon 2 and delta 0.0000001"
    );
    for wrong in [
        &["--epsilon", "-1"][..],
        &["--epsilon", "NaN"],
        &["--epsilon", "1e3"],
        &[],
        &["--epsilon", "0"],
    ] {
        assert!(grant("cern", wrong).is_err(), "{wrong:?}");
    }
    assert!(trial.call(&["grant", "jobs", "--partner", "cern", "--epsilon", "0.1"]).is_err());
    assert!(
        grant("desy", &["--epsilon", "0.1"]).unwrap_err().contains("gives no budget to `desy`")
    );
    let history = trial.call(&["history", "--partner", "cern"]).unwrap();
    let last = history.lines().rev().take(2).collect::<Vec<_>>();
    assert_eq!(
        last,
        [
            "    the paper",
            "4  2027-01-15T08:00:00Z  cern  jobs  + epsilon 0.5, delta 0.000000001  by hand"
        ]
    );
    let store = trial.place().open(clock()).unwrap();
    let told: Vec<_> = lines(&*store, &Filter::default())
        .unwrap()
        .into_iter()
        .map(|line| {
            let deed = line.subject.deed.unwrap();
            (line.subject.method, deed.reason, deed.scope.unwrap(), line.outcome)
        })
        .collect();
    let line = |what: &str, outcome| {
        ("BudgetGrant".to_owned(), "the paper".to_owned(), what.to_owned(), outcome)
    };
    let expected = [
        line("epsilon 0.5 and delta 0.000000001 more", "done"),
        line("epsilon 0.51 and delta 0 more", "failed"),
        line("epsilon 0 and delta 0 more", "failed"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn people_see_six_digits_rounded_the_careful_way() {
    for (value, up, shown) in [
        ("0", true, "0"),
        ("1.5", true, "1.5"),
        ("0.123456789", true, "0.123457"),
        ("0.123456789", false, "0.123456"),
        ("0.00000000012345678", false, "0.000000000123456"),
        ("9.9999999", true, "10"),
        ("20", false, "20"),
    ] {
        assert_eq!(short(value.parse().unwrap(), up), shown, "{value}");
    }
}
