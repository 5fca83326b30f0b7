//! The forms, each written and read back, and what the old tools wrote.

use super::*;

fn entry(token: &str, original: &str, count: u64) -> Entry {
    let (token, original) = (token.to_owned(), original.to_owned());
    Entry { token, original, count, valid: true }
}

fn section(name: &str, prefix: &str, entries: Vec<Entry>) -> Section {
    let counter = entries.len() as u64;
    Section { name: name.to_owned(), prefix: prefix.to_owned(), start: 1, counter, entries }
}

fn users() -> Section {
    let pairs = [("user_0001", "jsmith"), ("user_0002", "mjones"), ("user_0003", "alee")];
    section("USER", "user_", pairs.map(|(token, name)| entry(token, name, 2)).into())
}

fn written(format: Format, sections: &[Section]) -> String {
    let mut out = Vec::new();
    write(format, sections, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn pairs(found: &Found) -> Vec<(&str, &str, Option<u64>)> {
    found.entries.iter().map(|e| (e.token.as_str(), e.original.as_str(), e.count)).collect()
}

/// The guide's own example, to the letter.
const GUIDE: &str = "\
================================================================================
CLUSTER DATA ANONYMIZATION MAPPING
================================================================================
CONFIDENTIAL - ADMIN ACCESS ONLY
================================================================================

USER MAPPINGS:
--------------------------------------------------------------------------------
user_0001       -> jsmith
user_0002       -> mjones
user_0003       -> alee

GROUP MAPPINGS:
--------------------------------------------------------------------------------
group_A         -> physics
group_B         -> biology
group_C         -> chemistry

================================================================================
Total users anonymized: 3
Total groups anonymized: 3
================================================================================
";

#[test]
fn the_text_is_that_of_the_guide_to_the_letter() {
    let pairs = [("group_A", "physics"), ("group_B", "biology"), ("group_C", "chemistry")];
    let groups =
        section("GROUP", "group_", pairs.map(|(token, name)| entry(token, name, 1)).into());
    assert_eq!(written(Format::Text, &[users(), groups]), GUIDE);
}

#[test]
fn of_a_text_the_sections_of_the_prefix_are_read() {
    let found = read(GUIDE.as_bytes(), None, "group_").unwrap();
    let expected = [
        ("group_A", "physics", None),
        ("group_B", "biology", None),
        ("group_C", "chemistry", None),
    ];
    assert_eq!(pairs(&found), expected);
    assert_eq!(found.entries[0].place, "line 15");
    assert_eq!(found.passed_over, ["USER"]);
    // As a Windows editor saves it.
    let windows = format!("\u{feff}{}", GUIDE.replace('\n', "\r\n"));
    assert_eq!(read(windows.as_bytes(), None, "group_").unwrap(), found);
    let why = read(GUIDE.as_bytes(), None, "node_").unwrap_err();
    assert_eq!(why, "none of its sections (USER, GROUP) has tokens that begin with `node_`");
}

#[test]
fn odd_values_keep_their_blanks_in_every_form() {
    let values = [" jsmith ", "NULL", "", "a -> b", "x,\"y\"", "USER MAPPINGS:", "  "];
    let entries: Vec<Entry> = (1..)
        .zip(values)
        .map(|(number, value)| entry(&format!("user_{number:04}"), value, number))
        .collect();
    for format in [Format::Text, Format::Csv, Format::Json] {
        let text = written(format, &[section("USER", "user_", entries.clone())]);
        let found = read(text.as_bytes(), None, "user_").unwrap();
        let read: Vec<&str> = found.entries.iter().map(|entry| &*entry.original).collect();
        assert_eq!(read, values, "{text}");
        let counts = found.entries.iter().map(|entry| entry.count);
        let kept = (1..).take(values.len()).map(|count| (format != Format::Text).then_some(count));
        assert!(counts.eq(kept));
    }
}

#[test]
fn a_line_break_in_a_value_is_refused_in_text_and_kept_in_the_others() {
    let section = || section("USER", "user_", vec![entry("user_0001", "a\nb", 1)]);
    let error = write(Format::Text, &[section()], &mut Vec::new()).unwrap_err().to_string();
    assert!(error.starts_with("the original of `user_0001` has a line break"), "{error}");
    for format in [Format::Csv, Format::Json] {
        let text = written(format, &[section()]);
        assert_eq!(read(text.as_bytes(), None, "").unwrap().entries[0].original, "a\nb");
    }
}

#[test]
fn the_json_of_the_notebooks_keeps_prefix_counter_and_tokens() {
    let old = r#"{"entries": [
        {"token": "IP5", "count": 1, "valid": true, "original": "10.0.0.1"},
        {"token": "IP6", "count": 2, "valid": false, "original": "None"}],
        "config": {"prefix": "IP", "start": 5, "counter": 6}}"#;
    let found = read(old.as_bytes(), None, "ignored").unwrap();
    assert_eq!(pairs(&found), [("IP5", "10.0.0.1", Some(1)), ("IP6", "None", Some(2))]);
    assert_eq!((found.prefix.as_deref(), found.counter), (Some("IP"), Some(6)));
    assert_eq!(found.entries[1].place, "entry 2");
    // What we write has the same names at the same places.
    let ours = section("IP", "IP", vec![entry("IP5", "10.0.0.1", 1)]);
    let text = written(Format::Json, &[Section { start: 5, counter: 5, ..ours }]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({
        "entries": [{"token": "IP5", "count": 1, "valid": true, "original": "10.0.0.1"}],
        "config": {"prefix": "IP", "start": 5, "counter": 5},
    });
    assert_eq!(value, expected);
}

#[test]
fn other_shapes_of_json_are_read() {
    let expected = [("UR1", "alice", Some(2)), ("UR2", "bob", None)];
    for text in [
        r#"[{"token":"UR1","count":2,"original":"alice"},{"token":"UR2","original":"bob"}]"#,
        r#"{"prefix":"UR","counter":2,"keys":{"alice":{"token":"UR1","count":2,"valid":true},"bob":{"token":"UR2"}}}"#,
        r#"{"keys":[{"key":"alice","token":"UR1","count":2},{"key":"bob","token":"UR2"}],"prefix":"UR"}"#,
        r#"{"alice":{"id":"UR1","count":2,"valid":true},"bob":{"id":"UR2"}}"#,
    ] {
        assert_eq!(pairs(&read(text.as_bytes(), None, "UR").unwrap()), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_without_a_value() {
    let cut = GUIDE.replace("user_0003       -> alee\n", "");
    let orphan = "user_0001       -> jsmith\n";
    let cases = [
        (cut.as_str(), "the file says that it holds 3 users, and holds 2: it was cut or changed"),
        (orphan, "line 1: a token stands before the first heading such as `USER MAPPINGS:`"),
        ("USER MAPPINGS:\nuser_0001 = jsmith\n", "line 2 is no line of a token map"),
        ("{\"entries\": [\n{\"token\": }]}", "line 2 is not JSON"),
        ("[{\"token\": \"UR1\"}]", "entry 1 has no `original`"),
        ("[{\"original\": \"x\"}]", "entry 1 has no `token`"),
        (
            "[{\"token\":\"UR1\",\"original\":\"x\",\"count\":-1}]",
            "entry 1: the count is no whole number",
        ),
        ("token,count\nUR1,2\n", "there is no column `original`"),
        ("token,original\nUR1,alice,extra\n", "line 2 has 3 cells, not 2"),
        ("token,original,count\nUR1,alice,many\n", "line 2: the count is no whole number"),
    ];
    for (text, why) in cases {
        let told = read(text.as_bytes(), None, "").unwrap_err();
        assert_eq!(told, why, "{text}");
        assert!(!told.contains("jsmith") && !told.contains("alice"));
    }
    assert_eq!(read(b"USER MAPPINGS:\nu -> \xff\n", None, "").unwrap_err(), "line 2 is not UTF-8");
}

#[test]
fn csv_and_json_hold_one_column() {
    for format in [Format::Csv, Format::Json] {
        let error = write(format, &[users(), users()], &mut Vec::new()).unwrap_err();
        assert!(error.to_string().ends_with("or write `--format text`"), "{error}");
    }
    let csv = written(Format::Csv, &[users()]);
    assert!(csv.starts_with("token,original,count,valid\nuser_0001,jsmith,2,true\n"), "{csv}");
}
