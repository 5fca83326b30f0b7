//! What people and machines see of a problem.

use super::*;

fn sample() -> Diagnostic {
    let file = SourceFile::new("jobs.yaml", "version: 1\ndatset: jobs\n");
    let mut diagnostic = Diagnostic::new(
        Severity::Error,
        "P022",
        &file,
        Some(Span::new(11, 17)),
        "a policy has no key `datset`",
    );
    diagnostic.label("unknown key").help("did you mean `dataset`?");
    diagnostic
}

#[test]
fn a_person_sees_message_place_line_and_help() {
    assert_eq!(
        render::human(&[sample()], false),
        "\
error[P022]: a policy has no key `datset`
 --> jobs.yaml:2:1
  |
2 | datset: jobs
  | ^^^^^^ unknown key
  |
  = help: did you mean `dataset`?

"
    );
}

#[test]
fn a_machine_sees_the_same_as_json() {
    assert_eq!(
        render::json_lines(&[sample()]),
        concat!(
            r#"{"severity":"error","code":"P022","message":"a policy has no key `datset`","#,
            r#""file":"jobs.yaml","place":{"line":2,"column":1,"end_line":2,"end_column":7,"#,
            r#""start_byte":11,"end_byte":17},"label":"unknown key","#,
            r#""help":"did you mean `dataset`?"}"#,
            "\n"
        )
    );
    assert_eq!(render::json(&[]), "[]\n");
}

#[test]
fn colour_is_only_written_when_asked_for() {
    assert!(!render::human(&[sample()], false).contains('\u{1b}'));
    assert!(render::human(&[sample()], true).contains('\u{1b}'));
}

#[test]
fn a_problem_without_a_place_names_the_file() {
    let file = SourceFile::new("gone.yaml", "");
    let diagnostic = Diagnostic::new(Severity::Error, "P010", &file, None, "cannot be read");
    assert_eq!(
        render::human(&[diagnostic], false),
        "error[P010]: cannot be read\n--> gone.yaml\n\n"
    );
}

#[test]
fn a_terminal_is_not_commanded_by_a_file() {
    let file = SourceFile::new("a.yaml", "x");
    let diagnostic = Diagnostic::new(Severity::Error, "P022", &file, None, "key `\u{1b}[2J`");
    assert!(!render::human(&[diagnostic], false).contains('\u{1b}'));
}

#[test]
fn positions_count_characters_and_never_split_one() {
    let file = SourceFile::new("a.yaml", "é: ü\nb: 1\n");
    assert_eq!(file.position(0), (1, 1));
    assert_eq!(file.position(1), (1, 1));
    assert_eq!(file.position(2), (1, 2));
    assert_eq!(file.position(7), (2, 1));
    assert_eq!(file.position(1000), (3, 1));
}

#[test]
fn the_nearest_word_is_meant_unless_it_is_far() {
    assert_eq!(did_you_mean("datset", ["dataset", "description"]), Some("dataset"));
    assert_eq!(did_you_mean("crypto-pan", ["crypto_pan", "truncate"]), Some("crypto_pan"));
    assert_eq!(did_you_mean("KEEP", ["keep", "drop"]), Some("keep"));
    assert_eq!(did_you_mean("zebra", ["keep", "drop"]), None);
    assert_eq!(did_you_mean("", ["keep"]), None);
}

#[test]
fn an_empty_report_does_not_exist() {
    assert!(Report::new(Vec::new()).is_none());
}

#[test]
fn a_report_reads_from_the_top_of_the_file() {
    let file = SourceFile::new("a.yaml", "a: 1\nb: 2\n");
    let at = |start| {
        let span = Some(Span::new(start, start + 1));
        Diagnostic::new(Severity::Error, "P022", &file, span, "x")
    };
    let report = Report::new(vec![at(5), at(0)]).unwrap();
    let starts: Vec<_> =
        report.diagnostics().iter().filter_map(|d| d.span).map(|span| span.start).collect();
    assert_eq!(starts, [0, 5]);
}
