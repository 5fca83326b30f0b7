//! What is found and what is not, at the level of cells; files and verdicts are tested with the command.

use super::dictionary::{Dictionary, digits, is_number, normal};
use super::*;

/// The entries that stand in a text, by the values that they have.
fn inside(values: &[&str], text: &str) -> Vec<String> {
    let mut dictionary = Dictionary::default();
    values.iter().for_each(|value| dictionary.add(value, 0));
    let compiled = dictionary.compile(Rules::default()).unwrap();
    let mut found = Vec::new();
    compiled.inside(text, |at| found.push(compiled.entry(at).unwrap().0.to_owned()));
    found
}

#[test]
fn an_identifier_is_found_between_words_and_not_in_them() {
    let names = ["ada", "bob.b", "josé", "o'neil", "/home/x"];
    for (text, found) in [
        ("ada", vec!["ada"]),
        ("/home/ada/x", vec!["ada"]),
        ("ada_2,ada-3", vec!["ada", "ada"]),
        ("canada adam ada2", vec![]),
        ("ADA", vec![]),
        ("bob.b.c", vec!["bob.b"]),
        ("bob.bc", vec![]),
        ("josé josée éjosé", vec!["josé"]),
        ("o'neil's", vec!["o'neil"]),
        // One that begins with no letter needs no boundary there.
        ("cd/home/x/y", vec!["/home/x"]),
        ("cd/home/xy", vec![]),
    ] {
        assert_eq!(inside(&names, text), found, "{text}");
    }
    // The longer one does not hide the shorter one, nor the other way round.
    assert_eq!(inside(&["ada", "ada lovelace"], "x ada lovelace y"), ["ada", "ada lovelace"]);
    assert_eq!(inside(&["ada lovelace", "ada"], "x ada lovelacey"), ["ada"]);
}

#[test]
fn short_values_are_not_looked_for_inside() {
    assert_eq!(inside(&["bo", "42", "1234", "12345"], "a bo 42 1234 12345"), ["12345"]);
}

#[test]
fn numbers_have_one_form() {
    for (text, form) in
        [("5.0", "5"), ("-5.00", "-5"), ("5.5", "5.5"), ("a.0", "a.0"), ("5.", "5.")]
    {
        assert_eq!(normal(text), form);
    }
    assert!(is_number("-12") && !is_number("1.2") && !is_number("-") && !is_number(""));
    assert_eq!(digits("-10.0.0.1"), 5);
}

#[test]
fn of_a_long_value_the_beginning_is_looked_for() {
    let long = "x9".repeat(5_000);
    let needle = dictionary::needle(&long);
    assert_eq!(needle.len(), 4_096);
    assert_eq!(inside(&[needle], &format!("a {long} b")), [needle]);
    assert_eq!(inside(&[needle], &format!("a{long} b")), [""; 0]);
    // Cut between characters.
    let accents = "é".repeat(5_000);
    assert!(dictionary::needle(&format!("a{accents}")).len() >= 4_093);
    assert_eq!(dictionary::needle("short"), "short");
}

/// Cells of one column.
struct Cells<'a>(&'a [String]);

impl Outputs for Cells<'_> {
    fn visit(&self, visitor: &mut dyn Visitor) -> Result<()> {
        let column = visitor.column("text");
        self.0.iter().for_each(|cell| visitor.cell(column, cell));
        Ok(())
    }
}

#[test]
fn with_little_memory_the_same_is_found_in_several_passes() {
    use crate::local::tests::Custody;
    let custody = Custody::empty();
    let names: Vec<String> = (0..5_000).map(|n| format!("name{n:05}")).collect();
    let column: arrow::array::ArrayRef =
        Arc::new(arrow::array::StringArray::from_iter_values(&names));
    let batch = arrow::array::RecordBatch::try_from_iter([("User", column)]).unwrap();
    custody.write_parquet("jobs.parquet", &batch, 700);
    custody.write_policy(
        "jobs.yaml",
        "version: 1\ndataset: jobs\nsource: {parquet: jobs.parquet}\ncolumns:\n  \
         User: {pseudonym: {method: hmac}}\ngrants: [{partner: cern, access: rows}]\n",
    );
    let local = custody.open().unwrap();
    let cells: Vec<String> =
        names.iter().step_by(7).map(|name| format!("/home/{name}/x and {name}")).collect();
    let scan = |dictionary_bytes| {
        let rules = Rules { dictionary_bytes, ..Rules::default() };
        local.scan("cern", "jobs", rules, &Cells(&cells), &|_| {}).unwrap()
    };
    let (once, often) = (scan(1 << 20), scan(10_000));
    assert_eq!(once.passes, 1);
    assert!(often.passes >= 16, "{}", often.passes);
    assert_eq!((once.identifiers, often.identifiers), (5_000, 5_000));
    assert_eq!(once.findings.len(), 1);
    assert_eq!((once.findings[0].inside, once.findings[0].distinct), (715, 715));
    let often = often.findings.into_iter().next().unwrap();
    assert_eq!((often.inside, often.distinct), (715, 715));
    // The same of what stands in texts, which are looked into again for each share.
    let texts = names.iter().map(|name| format!("mail {name}@example.org now"));
    let column: arrow::array::ArrayRef =
        Arc::new(arrow::array::StringArray::from_iter_values(texts));
    let batch = arrow::array::RecordBatch::try_from_iter([("Cmd", column)]).unwrap();
    custody.write_parquet("jobs.parquet", &batch, 700);
    custody.write_policy(
        "jobs.yaml",
        "version: 1\ndataset: jobs\nsource: {parquet: jobs.parquet}\ncolumns:\n  \
         Cmd: {scrub: {words: [abc]}}\ngrants: [{partner: cern, access: rows}]\n",
    );
    let local = custody.open().unwrap();
    let cells: Vec<String> =
        names.iter().step_by(7).map(|name| format!("to {name}@example.org")).collect();
    let rules = Rules { dictionary_bytes: 10_000, ..Rules::default() };
    let often = local.scan("cern", "jobs", rules, &Cells(&cells), &|_| {}).unwrap();
    assert!(often.passes >= 16, "{}", often.passes);
    // The word of the policy is one more.
    assert_eq!(often.identifiers, 5_001);
    assert_eq!((often.findings[0].inside, often.findings[0].distinct), (715, 715));
}
