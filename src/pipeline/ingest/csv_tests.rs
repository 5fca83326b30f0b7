//! What delimited text becomes, badly quoted text too.

use proptest::prelude::*;

use super::super::Counts;
use super::super::column::Kind;
use super::super::format::Options;
use super::super::run;
use super::super::testing::{Outcome, Scene, Table, ingest, ingest_whole, silent};

fn csv(text: impl AsRef<[u8]>) -> Outcome {
    ingest("csv", text, Options::default()).unwrap()
}

#[test]
fn kinds_are_inferred_and_values_kept() {
    let done = csv("id,load,ok,day,at,zip,none\n\
         1,0.5,true,2019-01-01,2019-01-01 08:55:55,01234,\n\
         -2,3,false,2020-02-29,2019-01-01T08:55:56Z,99999,\n\
         ,,,,,,\n");
    assert_eq!(
        done.table.types,
        ["Int64", "Float64", "Boolean", "Date32", "Timestamp(µs, \"UTC\")", "Utf8", "Utf8"]
    );
    assert_eq!(done.table.column("load"), ["0.5", "3.0", "-"]);
    assert_eq!(done.table.column("zip"), ["01234", "99999", "-"]);
    assert_eq!(done.table.column("at"), ["2019-01-01T08:55:55Z", "2019-01-01T08:55:56Z", "-"]);
    let types = vec![("id".to_owned(), Kind::Text), ("zip".to_owned(), Kind::Integer)];
    let options = Options { types, ..Options::default() };
    let done = ingest("csv", "id,zip\n1,01234\n", options).unwrap();
    assert_eq!(done.table.types, ["Utf8", "Int64"]);
    assert_eq!(done.table.rows, [["1", "1234"]]);
}

#[test]
fn quotes_are_those_of_the_rfc() {
    let done = csv("\u{feff}\"user\",\"note, long\"\r\n\
         ada,\"say \"\"hi\"\"\"\r\n\
         \"bob\",\"two\r\nlines, one comma\"\r\n\
         cyd,\"\"\r\n\
         dan,\r\n\
         eve,5\" disk\r\n");
    assert_eq!(done.rejects, []);
    assert_eq!(done.table.names, ["user", "note, long"]);
    assert_eq!(done.table.column("user"), ["ada", "bob", "cyd", "dan", "eve"]);
    assert_eq!(
        done.table.column("note, long"),
        ["say \"hi\"", "two\r\nlines, one comma", "", "-", "5\" disk"]
    );
}

#[test]
fn the_delimiter_is_found() {
    for delimiter in [",", ";", "\t", "|"] {
        let text = "a;b|c,d\te\n".replace([',', ';', '\t', '|'], "_");
        let text = format!("{text}1\n").replace('_', delimiter);
        let text = text.replace("1\n", &["1"; 5].join(delimiter));
        assert_eq!(csv(&text).table.names, ["a", "b", "c", "d", "e"], "{delimiter:?}");
    }
    // A comma in every value beside a semicolon between them.
    let done = csv("name;town\n\"Doe, J\";Bern\n\"Roe, R\";\"Basel, CH\"\n");
    assert_eq!(done.table.rows, [["Doe, J", "Bern"], ["Roe, R", "Basel, CH"]]);
    let done = csv("only\n1\n\n2\n");
    assert_eq!(done.table.column("only"), ["1", "-", "2"]);
}

#[test]
fn what_does_not_fit_is_rejected() {
    let mut text = "id,name\n".to_owned();
    (0..10).for_each(|id| text.push_str(&format!("{id},x\n")));
    text.push_str("ten,x\n10,y,z\n11\n12,\"a\" b\n\n13,\"never closed\n14,x\n");
    let options = Options { sample: Some(5), ..Options::default() };
    let done = ingest("csv", &text, options).unwrap();
    let found: Vec<(&str, u64)> =
        done.rejects.iter().map(|(reason, line, _)| (reason.as_str(), *line)).collect();
    assert_eq!(
        found,
        [
            ("column `id`: no integer", 12),
            ("too many fields", 13),
            ("too few fields", 14),
            ("quotes that do not pair up", 15),
            ("quotes that do not pair up", 17),
        ]
    );
    assert_eq!(done.table.column("id").last(), Some(&"14"));
    assert_eq!(done.summary.counts, Counts { rows: 11, rejected: 5, left_out: 0 });
    // All of it seen, the column is text, and nothing is lost.
    let done = ingest("csv", &text, Options { sample: Some(0), ..Options::default() }).unwrap();
    assert_eq!(done.table.types, ["Utf8", "Utf8"]);
    assert_eq!(done.summary.counts.rejected, 4);
}

#[test]
fn inputs_may_have_their_columns_in_another_order_but_not_others() {
    let scene = Scene::new();
    let one = scene.input("one.csv", "a,b\n1,x\n");
    let other = scene.input("two.csv", "b;a\ny;2\n");
    run(&scene.request("csv", &[one.clone(), other]), &silent()).unwrap();
    assert_eq!(Table::read(&scene.out()).rows, [["1", "x"], ["2", "y"]]);
    let scene = Scene::new();
    let third = scene.input("three.csv", "a,c\n1,x\n");
    let error = run(&scene.request("csv", &[one, third]), &silent()).unwrap_err().to_string();
    assert!(error.contains("has the column `c`"), "{error}");
}

#[test]
fn a_bad_header_is_an_error() {
    for (text, expected) in [
        ("", "is empty"),
        ("a,,b\n", "field 2 of the header line has no name"),
        ("a,b,a\n", "names `a` twice"),
        ("\"a,b\n1,2\n", "do not pair up"),
    ] {
        let error = ingest("csv", text, Options::default()).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let fields = Some(vec!["a".to_owned(), "b".to_owned()]);
    let options = Options { fields, ..Options::default() };
    for text in ["1,2\n", "a,b\n1,2\n"] {
        assert_eq!(ingest("csv", text, options.clone()).unwrap().table.rows, [["1", "2"]]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_another_writer_writes_comes_back(
        rows in prop::collection::vec(("[ -~\n\"]{1,9}", "[a-c,;\"\r\n]{0,9}"), 1..40)
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["left", "right"]).unwrap();
        for (left, right) in &rows {
            writer.write_record([left, right]).unwrap();
        }
        let text = writer.into_inner().unwrap();
        let types = vec![("left".to_owned(), Kind::Text), ("right".to_owned(), Kind::Text)];
        let options = Options { types, delimiter: Some(b','), ..Options::default() };
        let done = ingest("csv", &text, options).unwrap();
        prop_assert_eq!(&done.rejects, &[]);
        let left: Vec<&str> = rows.iter().map(|(left, _)| left.as_str()).collect();
        prop_assert_eq!(done.table.column("left"), left);
        let right: Vec<&str> =
            rows.iter().map(|(_, right)| if right.is_empty() { "-" } else { right }).collect();
        prop_assert_eq!(done.table.column("right"), right);
    }

    // INVARIANT: nothing is dropped silently, whatever the damage, and chunks change nothing.
    #[test]
    fn damaged_text_is_rejected_not_lost(lines in prop::collection::vec("[a\",0-9]{0,8}", 0..200)) {
        let text = format!("a,b\n{}", lines.join("\n"));
        let options = Options { delimiter: Some(b','), ..Options::default() };
        let done = ingest("csv", &text, options.clone()).unwrap();
        prop_assert_eq!(done.summary.counts.rows as usize, done.table.rows.len());
        prop_assert_eq!(done.summary.counts.rejected as usize, done.rejects.len());
        // Each line is one row or reject, or inside one by a quoted newline.
        let extra = |text: &str| text.matches('\n').count();
        let inside: usize = done.table.rows.iter().flatten().map(|text| extra(text)).sum();
        let rejected: usize = done.rejects.iter().map(|(_, _, text)| 1 + extra(text)).sum();
        let filled = text.lines().skip(1).count();
        let blank = text.lines().skip(1).filter(|line| line.is_empty()).count();
        let known = done.table.rows.len() + inside + rejected;
        prop_assert!(known <= filled && known + blank >= filled, "{} {} {}", known, blank, filled);
        let whole = ingest_whole("csv", &text, options).unwrap();
        prop_assert_eq!(whole.table, done.table);
        prop_assert_eq!(whole.rejects, done.rejects);
    }
}
