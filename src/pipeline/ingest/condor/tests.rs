//! HTCondor: the fixture by hand, one pool's ads in three forms, kinds that differ between ads, and text
//! that is no ad.

use super::super::format::Options;
use super::super::run::run;
use super::super::testing::{Outcome, Scene, Table, fixture, ingest, silent};

fn read(text: &str) -> Outcome {
    ingest("condor", text, Options::default()).unwrap()
}

#[test]
fn the_fixtures_table_is_typed() {
    let Some(text) = fixture("htcondor/condor_history.txt") else { return };
    let out = read(&text);
    assert_eq!((out.summary.counts.rows, out.summary.counts.rejected), (6, 0));
    let table = &out.table;
    assert_eq!(table.column("Owner"), ["alice", "bob", "carol", "carol", "dave", "eve"]);
    assert_eq!(table.column("ProcId"), ["0", "0", "0", "1", "0", "0"]);
    assert_eq!(table.column("RequestGPUs"), ["2", "1", "-", "-", "0", "-"]);
    assert_eq!(table.column("QDate")[0], "2024-01-15T08:00:00Z");
    // The job that never ran has no start, not one in 1970.
    assert_eq!(table.column("JobStartDate")[5], "-");
    assert_eq!(table.column("CompletionDate")[4..], ["2024-01-15T11:30:45Z", "-"]);
    assert_eq!(table.column("RemoteWallClockTime")[0], "8118.0");
    assert_eq!(table.column("LastRemoteHost")[5], "-");
    let scene = Scene::new();
    let input = scene.input("history.txt", &text);
    let mut request = scene.request("condor", &[input]);
    request.normalize = true;
    run(&request, &silent()).unwrap();
    let table = Table::read(&request.out);
    // 65536 MiB.
    assert_eq!(table.column("memory_requested_bytes")[0], "68719476736");
    assert_eq!(table.column("memory_used_bytes")[0], "47428141056");
    assert_eq!(table.column("user")[1], "bob");
    assert_eq!(table.column("group")[1], "chemistry");
    assert_eq!(table.column("wall_seconds")[1], "312.0");
}

/// Two ads: literals of every kind, an expression, an environment as it stands.
const ADS: &str = r#"ClusterId = 7
Owner = "ann"
NumJobCompletions = "1"
RemoteUserCpu = 7934.0
MemoryUsage = ((ResidentSetSize + 1023) / 1024)
ResidentSetSize = 46137344
WantGlidein = true
Environment = "A=1 RFCLNAME=a.fcl,b.fcl Q='x y' \"z\""
QDate = 1705305600
Requirements = (OpSys == "LINUX") && (Memory >= 1024)
Rank = 0.0

*** Offset = 1234 ClusterId = 7 ProcId = 0 Owner = "ann" CompletionDate = 1
clusterid = 8
Owner = "bob"
numjobcompletions = 0
RemoteUserCpu = 12
MemoryUsage = undefined
ResidentSetSize = 1.0E+03
Rank = "none"
ExitCode = error
"#;

#[test]
fn literals_are_typed_and_expressions_stay_text() {
    let out = read(ADS);
    assert_eq!((out.summary.counts.rows, out.rejects.len()), (2, 0));
    let table = &out.table;
    // Names in any case are one; a counter that was written as a string is a number.
    assert_eq!(table.column("ClusterId"), ["7", "8"]);
    assert_eq!(table.column("NumJobCompletions"), ["1", "0"]);
    assert_eq!(table.column("RemoteUserCpu"), ["7934.0", "12.0"]);
    assert_eq!(table.column("MemoryUsage"), ["((ResidentSetSize + 1023) / 1024)", "-"]);
    // A counter that was written as a real is a whole number.
    assert_eq!(table.column("ResidentSetSize"), ["46137344", "1000"]);
    assert_eq!(table.column("WantGlidein"), ["true", "-"]);
    assert_eq!(table.column("Environment"), ["A=1 RFCLNAME=a.fcl,b.fcl Q='x y' \"z\"", "-"]);
    assert_eq!(table.column("Requirements")[0], "(OpSys == \"LINUX\") && (Memory >= 1024)");
    // A number here and a string there is text.
    assert_eq!(table.column("Rank"), ["0.0", "none"]);
    assert_eq!(table.column("ExitCode"), ["-", "-"]);
    assert_eq!(table.column("QDate"), ["2024-01-15T08:00:00Z", "-"]);
}

#[test]
fn the_same_ads_as_json_are_the_same_rows() {
    let json = r#"[
{
  "ClusterId": 7, "Owner": "ann", "NumJobCompletions": "1", "RemoteUserCpu": 7934.0,
  "MemoryUsage": "/Expr(((ResidentSetSize + 1023) / 1024))/", "ResidentSetSize": 46137344,
  "WantGlidein": true, "Environment": "A=1 RFCLNAME=a.fcl,b.fcl Q='x y' \"z\"", "QDate": 1705305600,
  "Requirements": "/Expr((OpSys == \"LINUX\") && (Memory >= 1024))/", "Rank": 0.0
}
,
{
  "ClusterId": 8, "Owner": "bob", "NumJobCompletions": 0, "RemoteUserCpu": 12,
  "MemoryUsage": "/Expr(undefined)/", "ResidentSetSize": 1000.0, "Rank": "none", "ExitCode": null
}
]
"#;
    let (ads, array) = (read(ADS).table, read(json).table);
    assert_eq!(array.rows, ads.rows);
    assert_eq!(array.names, ads.names);
    // One behind the other, without an array.
    let stream = json.trim_start_matches("[\n").replace("\n,\n", "\n").replace("\n]\n", "\n");
    assert_eq!(read(&stream).table.rows, ads.rows);
    let nested = r#"{"A": [1, {"b": "}]"}], "B": {"x": "\"{"}}"#;
    let table = read(nested).table;
    assert_eq!(table.column("A"), [r#"[1,{"b":"}]"}]"#]);
    assert_eq!(table.column("B"), [r#"{"x":"\"{"}"#]);
}

#[test]
fn a_table_says_which_kinds_its_columns_have_and_rejects_ragged_rows() {
    let text =
        "Owner\tNumJobCompletions\tx\nann\t1\t1.5\nbob\tundefined\t2\nc\td\te\tf\neve\t\terror\n";
    let out = read(text);
    let table = &out.table;
    assert_eq!(table.column("Owner"), ["ann", "bob", "eve"]);
    assert_eq!(table.column("NumJobCompletions"), ["1", "-", "-"]);
    assert_eq!(table.column("x"), ["1.5", "2.0", "-"]);
    assert_eq!(out.rejects.len(), 1);
    assert_eq!(
        (out.rejects[0].0.as_str(), out.rejects[0].1),
        ("4 fields, and the heading has 3", 4)
    );
}

#[test]
fn what_is_no_ad_is_rejected_and_the_next_one_is_read() {
    let text = "Owner = \"ann\nClusterId = 1\n\nClusterId = 2\n\nwhat is this\nClusterId = 3\n\nClusterId = 4\n";
    let out = read(text);
    assert_eq!(out.table.column("ClusterId"), ["2", "4"]);
    let reasons: Vec<(&str, u64)> =
        out.rejects.iter().map(|(reason, line, _)| (reason.as_str(), *line)).collect();
    assert_eq!(
        reasons,
        [("a string that does not end", 1), ("a line that is no `Name = value`", 6)]
    );
    let json = "[{\"A\": 1},\n what \n{\"A\": nope},{\"A\": 2}]";
    let out = read(json);
    assert_eq!(out.table.column("A"), ["1", "2"]);
    let reasons: Vec<&str> = out.rejects.iter().map(|(reason, ..)| reason.as_str()).collect();
    assert_eq!(reasons, ["text between objects", "an object that is no JSON"]);
    let refused =
        ingest("condor", "User,Group\na,b\n", Options::default()).map(|_| ()).unwrap_err();
    assert!(refused.chain().contains("is neither job ads"), "{}", refused.chain());
}

#[test]
fn a_person_may_say_what_a_column_is() {
    use super::super::column::Kind;

    let text = "A = 1\nB = 2\n";
    let options = Options { types: vec![("a".to_owned(), Kind::Text)], ..Options::default() };
    let out = ingest("condor", text, options).unwrap();
    assert_eq!(out.table.types, ["Utf8", "Int64"]);
    let options = Options { types: vec![("Owmer".to_owned(), Kind::Text)], ..Options::default() };
    let refused = ingest("condor", "Owner = \"a\"\n", options).map(|_| ()).unwrap_err();
    assert!(refused.chain().contains("did you mean `Owner`?"), "{}", refused.chain());
}
