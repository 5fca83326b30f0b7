//! Accounting logs of PBS: the fixture by hand, and values with blanks, quotes and twins.

use super::super::format::Options;
use super::super::testing::{Outcome, fixture, ingest};
use super::*;

fn read(text: &str) -> Outcome {
    ingest("pbs", text, Options::default()).unwrap()
}

#[test]
fn the_fixtures_jobs_that_ended_are_typed() {
    let Some(text) = fixture("pbs/20240115") else { return };
    let out = ingest("pbs", &text, Options::default()).unwrap();
    let counts = out.summary.counts;
    assert_eq!((counts.rows, counts.rejected, counts.left_out), (3, 0, 6));
    let table = &out.table;
    assert_eq!(table.column("job_id"), ["1001.pbs", "1002.pbs", "1003.pbs"]);
    assert_eq!(table.column("user"), ["alice", "bob", "carol"]);
    assert_eq!(table.column("start")[0], "2024-01-15T08:05:12Z");
    assert_eq!(table.column("end")[0], "2024-01-15T09:35:12Z");
    // 98304mb, 8192mb and 491520mb.
    assert_eq!(table.column("resources_used.mem"), ["103079215104", "8589934592", "515396075520"]);
    // 02:28:32, 00:04:58, 00:58:45.
    assert_eq!(table.column("resources_used.cput"), ["8912", "298", "3525"]);
    assert_eq!(table.column("resources_used.walltime"), ["5400", "312", "3600"]);
    assert_eq!(table.column("exec_host"), ["[node101, node102]", "[gpu-node02]", "[bigmem01]"]);
    assert_eq!(table.column("Exit_status"), ["0", "1", "0"]);
    // These records do not say what was asked for; those of the start do.
    assert_eq!(table.column("Resource_List.ncpus"), ["-", "-", "-"]);
    let options = Options { records: vec!["S".to_owned()], ..Options::default() };
    let started = ingest("pbs", &text, options).unwrap().table;
    assert_eq!(started.column("Resource_List.ncpus"), ["64", "4", "64"]);
    assert_eq!(started.column("Resource_List.walltime"), ["14400", "3600", "21600"]);
    assert_eq!(started.names, table.names);
}

#[test]
fn values_with_blanks_and_quotes_are_whole() {
    let line = "04/11/2019 00:01:28;E;42[7].srv;user=ann account=\"a b=c\" jobname=my job \
                Resource_List.select=1:ncpus=2:mem=4gb exec_host=n1/0*4+n2/1 \
                resources_used.mem=512kb resources_used.walltime=100:00:01 Exit_status=-11 run_count=2\n";
    let out = read(line);
    assert_eq!(out.rejects, []);
    let table = &out.table;
    assert_eq!(table.column("record_time"), ["2019-04-11T00:01:28Z"]);
    assert_eq!(table.column("job_id"), ["42[7].srv"]);
    assert_eq!(table.column("account"), ["a b=c"]);
    assert_eq!(table.column("jobname"), ["my job"]);
    assert_eq!(table.column("Resource_List.select"), ["1:ncpus=2:mem=4gb"]);
    assert_eq!(table.column("exec_host"), ["[n1, n2]"]);
    assert_eq!(table.column("resources_used.mem"), ["524288"]);
    assert_eq!(table.column("resources_used.walltime"), ["360001"]);
    assert_eq!(table.column("Exit_status"), ["-11"]);
    assert_eq!(table.column("run_count"), ["2"]);
}

#[test]
fn what_cannot_be_meant_is_rejected_with_its_line() {
    let text = "01/15/2024 08:00:00;E;1.pbs;user=ann end=1705311312\r\n\
                no record\n\
                01/15/2024 08:00:00;E;2.pbs;user=ann jobname=x user=root\n\
                01/15/2024 08:00:00;E;3.pbs;user=\"ann\n\
                01/15/2024 08:00:00;E;4.pbs;what is this\n\
                \n\
                01/15/2024 08:00:00;D;5.pbs;requestor=x\n";
    let out = read(text);
    let counts = out.summary.counts;
    assert_eq!((counts.rows, counts.rejected, counts.left_out), (1, 4, 1));
    let reasons: Vec<(&str, u64)> =
        out.rejects.iter().map(|(reason, line, _)| (reason.as_str(), *line)).collect();
    assert_eq!(
        reasons,
        [
            ("a line that is no `date;type;job;...`", 2),
            ("one key stands twice", 3),
            ("a quote that does not close", 4),
            ("text that is no `key=value`", 5),
        ]
    );
}

#[test]
fn a_known_key_with_a_value_of_another_kind_is_text_for_all() {
    // One site prints what it used as a number of a unit that no one else knows.
    let text = "01/15/2024 08:00:00;E;1.pbs;user=ann resources_used.mem=12gw\n\
                01/15/2024 08:00:00;E;2.pbs;user=ann resources_used.mem=12gb\n";
    let out = read(text);
    assert_eq!(out.table.column("resources_used.mem"), ["12gw", "12gb"]);
}

#[test]
fn keys_and_values_are_split_where_keys_begin() {
    let split = |message: &'static str| -> Vec<(String, String)> {
        let pairs = pairs(message).into_iter().map(Result::unwrap);
        pairs.map(|(key, value)| (key.to_owned(), value.into_owned())).collect()
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(split("a=1;b=x y;c="), [pair("a", "1"), pair("b", "x y"), pair("c", "")]);
    // A semicolon before something that is no key is part of a value.
    assert_eq!(split("a=1;2 b=3"), [pair("a", "1;2"), pair("b", "3")]);
    assert_eq!(split(r#"a="x \"y\" z" b=2"#), [pair("a", "x \"y\" z"), pair("b", "2")]);
    assert_eq!(split(""), []);
}
