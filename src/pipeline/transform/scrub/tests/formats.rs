//! Environments, JSON and rules by key.

use super::*;

fn gm2() -> Scene {
    Scene::new(
        &[("detect", words(&["email", "secret"]))],
        &[(
            "Experiment",
            text(&["gm2", "dune"]),
            "pseudonym",
            Some("token"),
            &[("order", word("first_seen")), ("prefix", word("EX_"))],
        )],
    )
}

#[test]
fn a_comma_or_a_blank_in_a_value_breaks_nothing() {
    let scene = gm2();
    let gm2 = scene.own(0, "gm2");
    for (value, expected) in [
        ("RFCLNAME=a.fcl,b.fcl EXPERIMENT=gm2", format!("RFCLNAME=a.fcl,b.fcl EXPERIMENT={gm2}")),
        ("\"A='b gm2' C=GM2\"", format!("\"A='b {gm2}' C={gm2}\"")),
        ("A=x;B=gm2 y;", format!("A=x;B={gm2} y;")),
        ("A=x\nGM2_DIR=/gm2\n", format!("A=x\n{gm2}_DIR=/{gm2}\n")),
        ("./run gm2 A=b", format!("./run {gm2} A=b")),
    ] {
        assert_eq!(scene.scrub(value), expected, "{value}");
    }
}

#[test]
fn the_value_of_a_key_that_names_a_secret_is_one() {
    let set = [("detect", words(&["secret"])), ("format", word("environment"))];
    assert_eq!(
        plain(&set, "HOME=/x GITHUB_TOKEN=abc TOKEN_FILE=a.use P='a b' DB_PASSWORD='a b' E="),
        "HOME=/x GITHUB_TOKEN=<secret> TOKEN_FILE=a.use P='a b' DB_PASSWORD='<secret>' E="
    );
    let json = r#"{"token": "abc", "auth": {"api_key": 17, "x": [true]}, "secret": ["a", ""]}"#;
    assert_eq!(
        plain(&[("detect", words(&["secret"]))], json),
        r#"{"token": "<secret>", "auth": {"api_key": "<secret>", "x": [true]}, "secret": ["<secret>", ""]}"#
    );
}

#[test]
fn keys_decide_which_pairs_leave_in_environments() {
    let value = "A=ada@x.org GLIDEIN_X=1 B=2;3 PATH=/bin:/x";
    let with =
        |name, keys: &[&str]| plain(&[(name, words(keys)), ("replace", word("marker"))], value);
    assert_eq!(with("drop_keys", &["glidein_*", "path"]), "A=<email> B=2;3 ");
    assert_eq!(with("only_keys", &["B"]), "B=2;3 ");
    assert_eq!(with("only_keys", &["Q"]), "");
    assert_eq!(with("keep_keys", &["a"]), value);
}

#[test]
fn what_is_kept_by_key_still_passes_the_dictionary() {
    let scene = Scene::users(&["ada@fnal.gov"], &[("keep_keys", words(&["ID"]))]);
    let ada = scene.own(0, "ada@fnal.gov");
    let out = scene.scrub("ID=bob@x.org:ada@fnal.gov X=bob@x.org");
    assert!(out.starts_with(&format!("ID=bob@x.org:{ada} X=<email:")), "{out}");
}

#[test]
fn keys_decide_which_members_leave_in_json() {
    let value =
        r#" { "env" : {"A": "b", "x": {"drop": 1}}, "drop": [1], "c": [{"drop": 2, "d": 3}] } "#;
    let with = |name, keys: &[&str]| plain(&[(name, words(keys))], value);
    assert_eq!(
        with("drop_keys", &["drop"]),
        r#" { "env" : {"A": "b", "x": {}}, "c": [{ "d": 3}] } "#
    );
    assert_eq!(with("only_keys", &["c"]), r#" { "c": [{"drop": 2, "d": 3}] } "#);
    assert_eq!(
        plain(&[("only_keys", words(&["a"]))], r#"[{"a": 1, "b": 2}, {"b": 3}]"#),
        r#"[{"a": 1}, {}]"#
    );
}

#[test]
fn json_keeps_its_form_and_escapes_hide_nothing() {
    let scene = Scene::users(&["ada@fnal.gov", "zoë@fnal.gov"], &[]);
    let local = |user: &str| scene.own(0, user).split_once('@').unwrap().0.to_owned();
    let (ada, zoe) = (local("ada@fnal.gov"), local("zoë@fnal.gov"));
    for (value, expected) in [
        (
            r#"{"a":1.50,"b":[true,null,-0],"c":"\u00e9\/"}"#,
            r#"{"a":1.50,"b":[true,null,-0],"c":"\u00e9\/"}"#.to_owned(),
        ),
        (r#"["\u0061da", "zo\u00eb\n"]"#, format!(r#"["{ada}", "{zoe}\n"]"#)),
        (
            r#"{"ada": "\ud83d\ude00 \"ada\""}"#,
            format!("{{\"{ada}\": \"\u{1f600} \\\"{ada}\\\"\"}}"),
        ),
    ] {
        assert_eq!(scene.scrub(value), expected, "{value}");
    }
    // What is no JSON is a text.
    assert_eq!(scene.scrub(r#"{"a": ada"#), format!(r#"{{"a": {ada}"#));
    assert_eq!(scene.scrub("[ada]"), format!("[{ada}]"));
}

#[test]
fn what_is_not_of_its_format_does_not_leave() {
    let json = [("format", word("json"))];
    for value in
        [r#"{"a": 1"#, "x", r#"{"a" 1}"#, r#""\ud800""#, "[1,]", "{} x", "nan", "'a'", "[tru]"]
    {
        assert_eq!(plain(&json, value), "<unparsed>", "{value}");
    }
    assert_eq!(plain(&json, &"[".repeat(100_000)), "<unparsed>");
    assert_eq!(plain(&json, " "), " ");
    let environment = [("format", word("environment"))];
    assert_eq!(plain(&environment, "./run.sh"), "<unparsed>");
    assert_eq!(plain(&environment, "A=b c"), "A=b c");
    // Where pairs must stay behind, a text without pairs is not let past.
    let auto = [("drop_keys", words(&["A"]))];
    assert_eq!(plain(&auto, "run --A=b"), "<unparsed>");
    assert_eq!(plain(&auto, "A=b C=d"), "C=d");
    assert_eq!(plain(&[("keep_keys", words(&["A"]))], "run"), "run");
}
