//! Reports on small tables that were worked out by hand.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, DurationSecondArray, Float64Array, Int32Array, Int64Array, ListArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Float32Type, Int32Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::breakdown::{Breakdown, Order};
use super::commands::Layout;
use super::testing::{Made, Written, texts};
use super::vectors::{Missing, Origin, Vectors};
use super::{ALL, Report};

fn numbers(values: &[Option<i32>]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

/// Seven jobs of three users and one of nobody.
///
/// user_0001 has four: two failed (starts 1 and 2, completions 0), one with two starts and one completion, one
/// good. user_0002 has two: one failed, one that was removed before it started (0/0). user_0010 has one good.
/// The one of nobody has no completions told.
fn jobs() -> Written {
    Written::new(vec![
        (
            "User",
            texts(&[
                "user_0010",
                "user_0001",
                "user_0001",
                "user_0002",
                "user_0001",
                "user_0002",
                "user_0001",
                "~",
            ]),
        ),
        (
            "Ip",
            texts(&[
                "10.0.0.9",
                "10.0.0.2",
                "10.0.0.10",
                "~",
                "10.0.0.10",
                "~",
                "10.0.0.2",
                "fe80::1",
            ]),
        ),
        ("NumJobStarts", numbers(&[1, 1, 2, 1, 2, 0, 1, 1].map(Some))),
        ("NumJobCompletions", texts(&["1", "0", "0", "0.0", "1", "0", " 1 ", "~"])),
        (
            "Site",
            texts(&[
                "FermiGrid",
                "fermigrid",
                "FermiGrid",
                "BNL",
                "~",
                " FERMIGRID ",
                "BNL",
                "O'Neill",
            ]),
        ),
    ])
    .protected("User", "pseudonym.token")
    .protected("Ip", "ip.crypto_pan")
}

fn figure(made: &Made, name: &str, key: &str) -> Value {
    made.json(name)["meta"][key].clone()
}

#[test]
fn users_are_told_with_token_count_and_valid_and_nobody_is_null() {
    let (found, made) = jobs().report(&Report::Users);
    assert!(found);
    assert_eq!(made.files, ["users.json", "users.csv", "users.txt", "users.html"]);
    let told = made.json("users.json");
    let expected = json!([
        ["user_0001", 4, true],
        ["user_0002", 2, true],
        ["user_0010", 1, true],
        [null, 1, false],
    ]);
    assert_eq!(told["users"], expected);
    assert_eq!(told["meta"]["total_rows"], 8);
    assert_eq!(told["meta"]["distinct_users"], 3);
    assert_eq!(told["meta"]["rows_without_user"], 1);
    let csv = "rank,token,count,share,valid\n1,user_0001,4,0.5,true\n2,user_0002,2,0.25,true\n\
               3,user_0010,1,0.125,true\n3,,1,0.125,false\n";
    assert_eq!(made.text("users.csv"), csv);
    for name in &made.files {
        assert!(!made.text(name).contains("None"), "{name}");
    }
}

#[test]
fn addresses_are_valid_where_they_are_addresses() {
    let (_, made) = jobs().report(&Report::Ips);
    let expected = json!([
        ["10.0.0.2", 2, true],
        ["10.0.0.9", 1, true],
        ["10.0.0.10", 2, true],
        ["fe80::1", 1, true],
        [null, 2, false],
    ]);
    assert_eq!(made.json("ips.json")["ips"], expected);
    let odd = Written::new(vec![("Ip", texts(&["256.0.0.1", "1.2.3", "0.0.0.0", " ", "~"]))]);
    let (_, made) = odd.report(&Report::Ips);
    let valid: Vec<_> = made.json("ips.json")["ips"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry[2] == true)
        .map(|entry| entry[0].clone())
        .collect();
    assert_eq!(valid, ["0.0.0.0"]);
}

#[test]
fn each_user_has_the_address_that_they_come_from_most_often() {
    let (_, made) = jobs().report(&Report::Correlations);
    let told = made.json("correlations.json");
    // user_0001 comes twice from each of two: the first in order counts. user_0002 comes from nowhere.
    let expected = json!([
        ["user_0001", "10.0.0.2", 4, true],
        ["user_0002", null, 2, true],
        ["user_0010", "10.0.0.9", 1, true],
        [null, "fe80::1", 1, false],
    ]);
    assert_eq!(told["user_ip_correlations"], expected);
    assert_eq!(
        told["correlations"][0],
        json!({
            "user": "user_0001", "ip": "10.0.0.2", "user_count": 4, "ip_count": 2, "ip_share": 0.5,
            "distinct_ips": 2, "user_valid": true,
        })
    );
    assert_eq!(told["correlations"][1]["ip_count"], 0);
}

#[test]
fn a_failed_row_was_started_and_not_completed_and_the_fraction_is_another_number() {
    let (_, made) = jobs().report(&Report::FailedUsers);
    let told = made.json("failed_users.json");
    let expected = json!([
        {"token": "user_0001", "failure_count": 2, "valid": true},
        {"token": "user_0002", "failure_count": 1, "valid": true},
    ]);
    assert_eq!(told["failed_users"], expected);
    assert_eq!(
        told["rows"][0],
        json!({
            "token": "user_0001", "fails": 2, "total": 4, "frac_of_user_rows": 0.5,
            "frac_of_all_rows": 0.25, "valid": true,
        })
    );
    assert_eq!(told["rows"][1]["frac_of_user_rows"], 0.5);
    let meta = &told["meta"];
    assert_eq!(
        (&meta["total_failure_rows"], &meta["distinct_failed_users"]),
        (&json!(3), &json!(2))
    );
    // Seven rows tell both counters: eight starts, three completions.
    assert_eq!((&meta["sum_starts"], &meta["sum_completions"]), (&json!(8), &json!(3)));
    assert_eq!(meta["job_failure_fraction"], json!(0.625));
    assert_eq!(meta["rows_without_counters"], 1);
}

#[test]
fn counters_as_text_as_double_and_as_whole_numbers_are_the_same() {
    let starts = [1, 2, 0, 1];
    let completions = [0, 1, 0, 1];
    let told = |starts: ArrayRef, completions: ArrayRef| {
        let users = texts(&["a", "a", "a", "b"]);
        let jobs = Written::new(vec![
            ("User", users),
            ("NumJobStarts", starts),
            ("NumJobCompletions", completions),
        ]);
        let (_, made) = jobs.report(&Report::FailedUsers);
        made.json("failed_users.json")["meta"].clone()
    };
    let whole = |values: [i32; 4]| numbers(&values.map(Some));
    let double = |values: [i32; 4]| Arc::new(Float64Array::from_iter_values(values.map(f64::from)));
    let text = |values: [i32; 4]| {
        let values = values.map(|value| value.to_string());
        texts(&values.each_ref().map(String::as_str))
    };
    let expected = told(whole(starts), whole(completions));
    // One failed row; starts = 2, completions = 1 counts in the fraction only, 0/0 in neither.
    assert_eq!(expected["total_failure_rows"], 1);
    assert_eq!(expected["job_failure_fraction"], 0.5);
    assert_eq!(told(double(starts), double(completions)), expected);
    assert_eq!(told(text(starts), text(completions)), expected);
    let none = told(whole([0; 4]), whole([0; 4]));
    assert_eq!(
        (&none["job_failure_fraction"], &none["total_failure_rows"]),
        (&json!(null), &json!(0))
    );
}

#[test]
fn users_who_fail_alike_stand_in_the_order_of_tokens() {
    let users = texts(&["user_0010", "user_0002", "user_0003", "user_0003"]);
    let jobs = Written::new(vec![
        ("User", users),
        ("NumJobStarts", numbers(&[1, 1, 1, 1].map(Some))),
        ("NumJobCompletions", numbers(&[0, 0, 0, 1].map(Some))),
    ]);
    let (_, made) = jobs.report(&Report::FailedUsers);
    let rows = made.json("failed_users.json")["rows"].clone();
    let tokens: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["token"].clone()).collect();
    assert_eq!(tokens, ["user_0003", "user_0002", "user_0010"]);
}

#[test]
fn a_site_is_found_in_any_case_with_all_its_spellings() {
    let (found, made) = jobs().report(&Report::Site(Some("FERMIgrid".to_owned())));
    assert!(found);
    let told = made.json("jobs_at_FermiGrid.json");
    let meta = &told["meta"];
    assert_eq!(meta["requested_site"], "FERMIgrid");
    assert_eq!(meta["canonical_site"], "FermiGrid");
    assert_eq!(meta["is_valid_site"], true);
    assert_eq!(meta["total_jobs_at_site"], 4);
    let note = "found by another spelling; 3 spellings, all included: `FermiGrid` (2), `FERMIGRID` (1), \
                `fermigrid` (1)";
    assert_eq!(meta["match_note"], note);
    let jobs_at = told["jobs_at_site"].as_array().unwrap();
    assert_eq!(jobs_at.len(), 4);
    assert_eq!(
        jobs_at[0],
        json!({
            "User": "user_0010", "Ip": "10.0.0.9", "NumJobStarts": 1, "NumJobCompletions": "1",
            "Site": "FermiGrid",
        })
    );
    assert_eq!(jobs_at[3]["Ip"], json!(null));
    let csv = made.text("jobs_at_FermiGrid.csv");
    assert_eq!(csv.lines().count(), 5);
    assert!(csv.starts_with(
        "User,Ip,NumJobStarts,NumJobCompletions,Site\nuser_0010,10.0.0.9,1,1,FermiGrid\n"
    ));
    let users = "token,count,share,valid\nuser_0001,2,0.5,true\nuser_0002,1,0.25,true\nuser_0010,1,0.25,true\n";
    assert_eq!(made.text("jobs_at_FermiGrid-users.csv"), users);
}

#[test]
fn a_site_with_a_quote_in_its_name_is_a_name() {
    let (found, made) = jobs().report(&Report::Site(Some("o'neill".to_owned())));
    assert!(found);
    assert_eq!(figure(&made, "jobs_at_O_Neill.json", "total_jobs_at_site"), 1);
}

#[test]
fn a_site_that_is_not_there_gives_an_empty_report_that_says_so() {
    let (found, made) = jobs().report(&Report::Site(Some("../Fermi".to_owned())));
    assert!(!found);
    let told = made.json("jobs_at__.._Fermi.json");
    assert_eq!(told["jobs_at_site"], json!([]));
    assert_eq!(told["meta"]["is_valid_site"], false);
    assert_eq!(told["meta"]["canonical_site"], json!(null));
    assert_eq!(told["meta"]["match_note"], "not found");
    assert_eq!(told["notes"][0], "Match: not found.");
}

#[test]
fn all_sites_have_a_report_each_and_none_is_counted_too() {
    let (found, made) = jobs().report(&Report::Site(None));
    assert!(found);
    let told = made.json("sites.json");
    let sites: Vec<_> = told["sites"]
        .as_array()
        .unwrap()
        .iter()
        .map(|site| (site["site"].clone(), site["count"].clone(), site["file"].clone()))
        .collect();
    let expected = [
        (json!("BNL"), json!(2), json!("jobs_at_BNL")),
        (json!("FermiGrid"), json!(4), json!("jobs_at_FermiGrid")),
        (json!("O'Neill"), json!(1), json!("jobs_at_O_Neill")),
    ];
    assert_eq!(sites, expected);
    assert_eq!(told["meta"]["rows_without_site"], 1);
    assert_eq!(figure(&made, "jobs_at_BNL.json", "total_jobs_at_site"), 2);
    assert_eq!(figure(&made, "jobs_at_BNL.json", "match_note"), "exact");
}

/// Three jobs with environments, as a scrub rule lets them out.
fn environments() -> Written {
    Written::new(vec![
        ("User", texts(&["user_0002", "user_0001", "~"])),
        ("Cmd", texts(&["/exp/group_A/users/user_0002/run.sh --all", "/bin/true", "~"])),
        (
            "Environment",
            texts(&[
                "GRID_USER=user_0002 EXPERIMENT=gm2 RFCLNAME=a.fcl,b.fcl",
                "home=/home/user_0001;A=1",
                "~",
            ]),
        ),
    ])
}

fn layout(group_by: Option<&str>) -> Layout {
    Layout { group_by: group_by.map(str::to_owned), width: 40, details: true, limit: None }
}

#[test]
fn commands_and_environments_are_laid_out_a_block_a_job() {
    let (_, made) = environments().report(&Report::Commands(layout(Some("User"))));
    let text = made.text("cmd_env_report.txt");
    let (_, blocks) = text.split_once("\n\n\n").unwrap();
    insta::assert_snapshot!(blocks, @r"
    ## User: user_0001  (jobs: 1)

    — Job #1 —
    User: user_0001
    Cmd:
      /bin/true
    Environment:
      A=1
      home=/home/user_0001

    ## User: user_0002  (jobs: 1)

    — Job #2 —
    User: user_0002
    Cmd:
      /exp/group_A/users/user_0002/run.sh
      --all
    Environment:
      EXPERIMENT=gm2
      GRID_USER=user_0002
      RFCLNAME=a.fcl,b.fcl

    ## User: (null)  (jobs: 1)

    — Job #3 —
    User: (null)
    Cmd:
      (none)
    Environment:
      (none)
    ");
    assert_eq!(figure(&made, "cmd_env_report.json", "total_jobs"), 3);
}

#[test]
fn what_the_policy_drops_is_said_with_the_rule_that_would_release_it() {
    let jobs = Written::new(vec![("User", texts(&["user_0001"])), ("Cmd", texts(&["abcdef"]))])
        .protected("Cmd", "pseudonym.hmac");
    let (_, made) = jobs.report_with(&Report::Commands(layout(None)), &[], &["Environment"]);
    let text = made.text("cmd_env_report.txt").replace('\n', " ");
    assert!(text.contains("There is nothing on the environment: the policy drops it."), "{text}");
    assert!(
        text.contains("A rule such as `{scrub: {learn_from: [User]}}` would release it."),
        "{text}"
    );
    assert!(text.contains("Of the command only a stand-in leaves"), "{text}");
    let nothing = Written::new(vec![("User", texts(&["user_0001"]))]);
    let (_, made) = nothing.report_with(&Report::Commands(layout(None)), &[], &["Cmd", "Secrets"]);
    for name in &made.files {
        // A partner does not learn what else there is.
        assert!(!made.text(name).contains("Secrets"), "{name}");
    }
    assert_eq!(made.json("cmd_env_report.json")["notes"].as_array().unwrap().len(), 2);
}

#[test]
fn ragged_lines_hold_what_is_not_null() {
    let jobs = Written::new(vec![
        ("User", texts(&["J\u{f6}rg", "~"])),
        ("N", numbers(&[Some(1), None])),
        (
            "L",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([
                Some(vec![Some(1)]),
                None,
            ])),
        ),
    ]);
    let (_, made) = jobs.report(&Report::Ragged(vec![]));
    let lines = "[{\"k\":\"User\",\"v\":\"J\u{f6}rg\"},{\"k\":\"N\",\"v\":1},{\"k\":\"L\",\"v\":[1]}]\n[]\n";
    assert_eq!(made.text("ragged.jsonl"), lines);
    assert_eq!(figure(&made, "ragged.json", "pairs"), 3);
    let (_, made) = jobs.report(&Report::Ragged(vec!["N".to_owned()]));
    assert_eq!(made.text("ragged.jsonl"), "[{\"k\":\"N\",\"v\":1}]\n[]\n");
}

#[test]
fn vectors_are_as_the_codebook_says() {
    let times = |values: Vec<Option<i64>>| Arc::new(TimestampMicrosecondArray::from(values));
    let jobs = Written::new(vec![
        ("Site", texts(&["B", "A", "B", "~", "C"])),
        ("N", numbers(&[Some(1), Some(-2), None, Some(4), Some(5)])),
        (
            "T",
            times(vec![Some(7_200_000_000), None, Some(3_600_000_000), Some(3_600_000_000), None]),
        ),
        (
            "Odd",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![None::<Vec<_>>; 5])),
        ),
    ]);
    let wanted = |nulls: Missing, times: Origin, most: u64| {
        Report::Vectors(Vectors { columns: vec![], nulls, times, categories_max: most })
    };
    let read = |made: &Made, column: &str| {
        let file = std::fs::File::open(made.place.path().join("vectors.parquet")).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let batch = reader.map(|batch| batch.unwrap()).next().unwrap();
        batch.column_by_name(column).map(|column| column.as_fixed_size_list().clone())
    };
    let (_, made) = jobs.report(&wanted(Missing::Zero, Origin::First, 2));
    let vectors = read(&made, "vector").unwrap();
    assert_eq!(vectors.value_length(), 3);
    let values: Vec<f32> = vectors.values().as_primitive::<Float32Type>().values().to_vec();
    let expected = [0., 1., 3600., 1., -2., 0., 0., 0., 0., 0., 4., 0., 2., 5., 0.];
    assert_eq!(values, expected);
    let present: Vec<bool> =
        read(&made, "present").unwrap().values().as_boolean().iter().map(Option::unwrap).collect();
    let (yes, no) = (true, false);
    assert_eq!(present, [yes, yes, yes, yes, yes, no, yes, no, yes, no, yes, yes, yes, yes, no]);
    let book = made.json("vectors.codebook.json");
    assert_eq!((&book["width"], &book["rows"]), (&json!(3), &json!(5)));
    assert_eq!(
        book["columns"][0],
        json!({
            "at": 0, "column": "Site", "kind": "category", "other_code": 2,
            "values": [{"code": 0, "value": "B", "count": 2}, {"code": 1, "value": "A", "count": 1}],
        })
    );
    assert_eq!(book["columns"][2]["origin"], "1970-01-01T01:00:00Z");
    let notes = made.json("vectors.json")["notes"].to_string();
    assert!(notes.contains("`Odd` is no number, time or text"), "{notes}");

    let (_, made) = jobs.report(&wanted(Missing::Nan, Origin::Epoch, 9));
    let vectors = read(&made, "vector").unwrap();
    let values = vectors.values().as_primitive::<Float32Type>().values().to_vec();
    assert_eq!(values[..3], [0., 1., 7200.]);
    assert!(values[5].is_nan() && read(&made, "present").is_none());
}

#[test]
fn ages_are_ordered_as_numbers_and_ranks_are_shared() {
    let ages = texts(&["[100-110]", "[20-30]", "[20-30]", "[0-10]", "[90-100]", "[90-100]", "~"]);
    let persons = Written::new(vec![("age", ages)]);
    let wanted = Breakdown { by: "age".to_owned(), ..Breakdown::default() };
    let (_, made) = persons.report(&Report::Breakdown(wanted.clone()));
    let csv = "age,count,percentage,rank\n[0-10],1,14.29,3\n[20-30],2,28.57,1\n[90-100],2,28.57,1\n\
               [100-110],1,14.29,3\n,1,14.29,3\n";
    assert_eq!(made.text("breakdown_age.csv"), csv);
    let by_count = Breakdown { order: Order::Count, top: Some(1), ..wanted };
    let (_, made) = persons.report(&Report::Breakdown(by_count));
    assert_eq!(
        made.text("breakdown_age.csv"),
        "age,count,percentage,rank\n[20-30],2,28.57,1\n[90-100],2,28.57,1\n"
    );
}

#[test]
fn providers_are_counted_within_countries() {
    let persons = Written::new(vec![
        ("country", texts(&["Germany", "Germany", "Germany", "Spain", "~"])),
        ("email", texts(&["x1@gmail.com", "x2@gmail.com", "x3@web.de", "x4@gmail.com", "broken"])),
    ]);
    let wanted = Breakdown {
        by: "email".to_owned(),
        within: Some("country".to_owned()),
        domain: true,
        ..Breakdown::default()
    };
    let (_, made) = persons.report(&Report::Breakdown(wanted));
    let csv = "country,email,count,percentage,rank\nGermany,gmail.com,2,66.67,1\nGermany,web.de,1,33.33,2\n\
               Spain,gmail.com,1,100.0,1\n,,1,100.0,1\n";
    assert_eq!(made.text("breakdown_email_by_country.csv"), csv);
}

#[test]
fn hours_and_efficiency_are_sums_over_rows_that_tell_both() {
    let jobs = Written::new(vec![
        ("User", texts(&["a", "a", "b"])),
        ("Elapsed", Arc::new(DurationSecondArray::from(vec![3600, 7200, 3600]))),
        ("TotalCPU", Arc::new(Int64Array::from(vec![Some(3600), None, Some(1800)]))),
        ("AllocCPUS", numbers(&[Some(2), Some(1), Some(1)])),
        ("ReqMem", numbers(&[Some(1000), Some(3000), None])),
    ]);
    let (_, made) = jobs.report(&Report::Efficiency);
    let told = made.json("efficiency.json");
    assert_eq!(
        told["by_user"],
        json!([
            {"key": "a", "jobs": 2, "wall_hours": 3.0, "core_hours": 4.0, "cpu_hours": 1.0,
             "cpu_efficiency": 0.5, "memory_requested_mean": 2000.0},
            {"key": "b", "jobs": 1, "wall_hours": 1.0, "core_hours": 1.0, "cpu_hours": 0.5,
             "cpu_efficiency": 0.5, "memory_requested_mean": null},
        ])
    );
    let notes = told["notes"].to_string();
    assert!(notes.contains("nothing on the site"), "{notes}");
}

#[test]
fn a_report_goes_on_without_a_column_and_says_which() {
    let bare = Written::new(vec![("Other", texts(&["x"]))]);
    for report in [
        Report::Users,
        Report::Ips,
        Report::Correlations,
        Report::Summary,
        Report::FailedUsers,
        Report::Efficiency,
        Report::Site(Some("x".to_owned())),
    ] {
        let (_, made) = bare.report(&report);
        let name = made.files.iter().find(|name| name.ends_with(".json")).unwrap();
        let notes = made.json(name)["notes"].to_string();
        assert!(notes.contains("There is nothing on the "), "{name}: {notes}");
    }
    let (_, made) = bare.report_with(&Report::Users, &["user=Other"], &[]);
    assert_eq!(made.json("users.json")["users"], json!([["x", 1, true]]));
}

#[test]
fn jobs_over_time_are_drawn_where_a_time_is_released() {
    let day = 86_400_000_000_i64;
    let jobs = Written::new(vec![
        ("User", texts(&["a", "a", "b"])),
        ("QDate", Arc::new(TimestampMicrosecondArray::from(vec![0, 10 * day, 10 * day]))),
    ]);
    let (_, made) = jobs.report(&Report::Summary);
    let html = made.text("summary.html");
    assert!(
        html.contains(
            "Jobs a day from 1970-01-01 to 1970-01-11, at most 2 in the day of 1970-01-11."
        )
    );
}

#[test]
fn every_report_is_listed() {
    for (name, what) in ALL {
        assert!(!what.is_empty(), "{name}");
    }
    let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
    assert!(names.is_sorted());
    for report in [Report::Users, Report::FailedUsers, Report::Site(None), Report::Ragged(vec![])] {
        assert!(names.contains(&report.name()));
    }
}
