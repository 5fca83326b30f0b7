//! SWF: the archive's own logs in full, and what is no row. What a column means is said by the archive.

use super::super::format::Options;
use super::super::run::run;
use super::super::testing::{Scene, Table, ingest, silent};
use crate::shared::shared;

const HEAD: &str = "; Computer: x\n; Acknowledge: A. Person\n;\n";

#[test]
fn minus_one_is_no_value_and_comments_are_no_rows() {
    let text = format!(
        "{HEAD}  11 566129 5 28826 1 7.38 -1 1 28800 -1 5 153 75 18180 3 -1 -1 -1\n; later\n\n\
         12 -1 532 -1 1 259.00 2048 1 28800 -1 1 153 75 18184 3 -1 -1 -1"
    );
    let out = ingest("swf", text, Options::default()).unwrap();
    assert_eq!(out.summary.counts.rows, 2);
    assert_eq!(out.rejects, []);
    assert_eq!(out.table.names.len(), 18);
    assert_eq!(out.table.column("job_number"), ["11", "12"]);
    assert_eq!(out.table.column("submit_time"), ["566129", "-"]);
    assert_eq!(out.table.column("run_time"), ["28826", "-"]);
    assert_eq!(out.table.column("average_cpu_time_used"), ["7.38", "259.0"]);
    assert_eq!(out.table.column("used_memory"), ["-", "2048.0"]);
    assert_eq!(out.table.column("think_time"), ["-", "-"]);
}

#[test]
fn a_line_of_other_length_and_a_word_are_rejected_with_their_line() {
    let row = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18";
    let text = format!("{row}\n{row} 19\n1 2 3\n{}\n{row}\n", row.replace("12", "alice"));
    let out = ingest("swf", text, Options::default()).unwrap();
    assert_eq!(out.summary.counts.rows, 2);
    let reasons: Vec<(&str, u64)> =
        out.rejects.iter().map(|(reason, line, _)| (reason.as_str(), *line)).collect();
    assert_eq!(
        reasons,
        [
            ("19 fields, and there are 18", 2),
            ("3 fields, and there are 18", 3),
            ("column `user_id`: no integer", 4),
        ]
    );
    let refused = ingest("swf", "a,b\n1,2\n", Options::default()).map(|_| ()).unwrap_err();
    assert!(refused.chain().contains("is no SWF"), "{}", refused.chain());
}

#[test]
fn the_comments_of_the_beginning_are_metadata_of_the_output() {
    let scene = Scene::new();
    let row = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18\n";
    let one = scene.input("one.swf", format!("{HEAD}{row}"));
    let two = scene.input("two.swf", row);
    let request = scene.request("swf", &[one, two]);
    run(&request, &silent()).unwrap();
    let notes = Table::metadata(&request.out);
    assert_eq!(notes.get("swf.header.one").map(String::as_str), Some(HEAD));
    assert!(!notes.contains_key("swf.header.two"));
}

#[test]
fn the_logs_of_the_archive_come_in_whole() {
    // Rows, rows with a user, jobs by the status "cancelled" (5), and the sum of processors given: counted
    // with awk on the same files.
    let logs = [
        ("CEA-Curie-2011-2.1-cln", 312_826),
        ("METACENTRUM-2009-2", 103_656),
        ("SDSC-SP2-1998-4.2-cln", 59_715),
    ];
    for (name, rows) in logs {
        let Some(path) = shared(&format!("data/swf/{name}.swf.gz")) else { return };
        let scene = Scene::new();
        let mut request = scene.request("swf", &[path]);
        request.limits = super::super::Limits { threads: 2, ..Default::default() };
        request.normalize = true;
        let summary = run(&request, &silent()).unwrap();
        assert_eq!((summary.counts.rows, summary.counts.rejected), (rows, 0), "{name}");
        if name.starts_with("SDSC") {
            let table = Table::read(&request.out);
            assert_eq!(&table.rows[0][..5], ["11", "566129", "5", "28826", "1"]);
            for shared in ["job_id", "user", "group", "wall_seconds", "cpus_used", "state"] {
                assert!(table.names.iter().any(|name| name == shared), "{shared}");
            }
            let notes = Table::metadata(&request.out);
            let header = &notes["swf.header.SDSC-SP2-1998-4.2-cln"];
            assert!(header.contains("Acknowledge: Victor Hazlewood"));
        }
    }
}

#[test]
fn an_option_that_says_nothing_of_the_format_is_refused() {
    let refused = |options: Options| {
        let row = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18\n";
        ingest("swf", row, options).map(|_| ()).unwrap_err().chain()
    };
    let fields = Options { fields: Some(vec!["a".to_owned()]), ..Options::default() };
    assert!(refused(fields).contains("`--fields` says nothing of `swf`"));
    let records = Options { records: vec!["E".to_owned()], ..Options::default() };
    assert!(refused(records).contains("`--records` says nothing of `swf`"));
}
