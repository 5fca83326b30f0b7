//! One or more cases for every registered transform. Types are not named here: the suite tries every
//! sample column that the transform takes with the parameters of the case.

use std::sync::Arc;

use arrow::array::types::Float64Type;
use arrow::array::{ArrayRef, StringArray};

use super::super::testing::{word, words};
use super::Case;
use super::samples::{self, ROWS};
use crate::policy::args::Value;

/// The table.
pub(super) fn all() -> Vec<Case> {
    let mut cases = vec![
        Case::new("keep", None, &[]).shows_array(),
        Case::new("drop", None, &[]),
        Case::new("null", None, &[]),
        Case::new("email_domain", None, &[]).column(samples::texts(|row| {
            let at = ["@", " @ ", "@@", ""][row % 4];
            format!("canary.{row}{at}domain{}.example.org", row / 4)
        })),
        Case::new("hierarchy", None, &[("file", word("levels.csv")), ("level", Value::Integer(1))])
            .file("levels.csv", "0;low;*\n-731;low;*\n1462;high;*\n"),
        Case::new(
            "hierarchy",
            None,
            &[
                ("file", word("levels.csv")),
                ("level", Value::Integer(2)),
                ("delimiter", word(",")),
                ("other", word("null")),
            ],
        )
        .file("levels.csv", "0,low,few\n-731,low,few\n1462,high,many\n"),
        Case::new("rare", None, &[("below", Value::Integer(2))]).shows_values(),
        Case::new("rare", None, &[("below", Value::Integer(2)), ("unit", word("User"))])
            .reads(|| vec![persons()])
            .shows_values(),
    ];
    cases.extend(scrubs());
    cases.extend(constants());
    cases.extend(texts());
    cases.extend(numbers());
    cases.extend(times());
    cases.extend(places());
    cases.extend(locals());
    cases.extend(pseudonyms());
    cases.extend(addresses());
    cases
}

fn constants() -> Vec<Case> {
    [word("redacted"), Value::Integer(-1), Value::Number(0.5), Value::Flag(true)]
        .into_iter()
        .map(|value| Case::new("constant", None, &[("value", value)]))
        .collect()
}

fn texts() -> Vec<Case> {
    let pattern = ("pattern", word("[0-9]+"));
    vec![
        Case::new("mask", None, &[]),
        Case::new("mask", None, &[("first", Value::Integer(2)), ("last", Value::Integer(3))]),
        Case::new("mask", None, &[("last", Value::Integer(3)), ("length", word("same"))]),
        Case::new("regex_replace", None, &[pattern.clone(), ("with", word("#"))]),
        Case::new(
            "regex_replace",
            None,
            &[pattern, ("with", word("#")), ("unmatched", word("dangerous_keep"))],
        ),
    ]
}

fn scrubs() -> Vec<Case> {
    let of = |set: &[(&str, Value)]| Case::new("scrub", None, set);
    let learned = || vec![samples::all().remove(0), samples::all().remove(1)];
    let from = ("learn_from", words(&["User", "Note"]));
    vec![
        of(&[]).shows_values(),
        of(&[("detect", words(&["email"])), ("words", words(&["canary"]))]).shows_values(),
        of(&[("format", word("json"))]),
        of(&[("only_keys", words(&["x"]))]),
        // What is learned never leaves, whatever else is around it.
        of(&[from.clone(), ("detect", words(&[]))]).learns(learned),
        of(&[from, ("replace", word("marker")), ("format", word("text"))]).learns(learned),
    ]
}

fn numbers() -> Vec<Case> {
    let (width, edges) =
        (("width", Value::Integer(100)), ("edges", Value::Numbers(vec![-1000.0, 0.0, 2000.0])));
    let whole = |name, value| (name, Value::Integer(value));
    vec![
        Case::new("round", None, &[("to", Value::Integer(100))]),
        Case::new("round", None, &[("decimals", Value::Integer(1))]),
        Case::new("bucket", None, std::slice::from_ref(&width)),
        Case::new("bucket", None, &[width.clone(), ("as", word("midpoint"))]),
        Case::new("bucket", None, &[width, ("as", word("lower")), whole("origin", 50)]),
        Case::new("bucket", None, std::slice::from_ref(&edges)),
        Case::new("bucket", None, &[edges.clone(), ("as", word("midpoint"))]),
        Case::new("bucket", None, &[edges.clone(), ("as", word("lower"))]),
        Case::new("bucket", None, &[edges, ("labels", words(&["a", "b", "c", "d"]))]),
        Case::new("top_code", None, &[whole("at", 50)]),
        Case::new("bottom_code", None, &[whole("at", 50)]),
        Case::new("clamp", None, &[whole("bottom", 0), whole("top", 50)]),
    ]
}

fn times() -> Vec<Case> {
    let as_of = Value::Date(chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap());
    let mut cases = vec![Case::new("age_band", None, &[("as_of", as_of)])];
    for unit in ["minute", "hour", "day", "week", "month", "quarter", "year"] {
        cases.push(Case::new("truncate", None, &[("to", word(unit))]));
    }
    for step in ["day", "second"] {
        let set =
            [("person", word("User")), ("days_max", Value::Integer(30)), ("step", word(step))];
        cases.push(Case::new("shift_time", None, &set).reads(|| vec![persons()]));
    }
    cases
}

fn places() -> Vec<Case> {
    let axis = |axis| ("axis", word(axis));
    let metres = ("metres", Value::Integer(1000));
    let mut cases = vec![
        Case::new("geo_grid", None, &[axis("latitude"), metres.clone()]),
        Case::new(
            "geo_grid",
            None,
            &[axis("longitude"), metres, ("at_latitude", Value::Integer(60))],
        ),
    ];
    for name in ["latitude", "longitude"] {
        let set = [
            axis(name),
            ("other", word("Other")),
            ("person", word("User")),
            ("level", Value::Number(1.4)),
            ("radius_m", Value::Integer(500)),
            ("domain", word("place")),
        ];
        cases.push(Case::new("geo_laplace", None, &set).reads(|| vec![degrees(), persons()]));
    }
    cases
}

fn locals() -> Vec<Case> {
    let (person, epsilon) = (("person", word("User")), ("epsilon", Value::Number(1.5)));
    let categories = [person.clone(), epsilon.clone(), ("values", words(&["0", "a", "b"]))];
    let range = [
        person,
        epsilon,
        ("low", Value::Integer(-100)),
        ("high", Value::Integer(1_000)),
        ("step", Value::Integer(5)),
    ];
    let who = || ("person", word("User"));
    let one_time = [who(), ("p", Value::Integer(0)), ("q", Value::Integer(1))];
    let small = [who(), ("report", word("Id")), ("bits", Value::Integer(24))];
    vec![
        Case::new("randomized_response", None, &categories).reads(|| vec![persons()]),
        Case::new("laplace", None, &range).reads(|| vec![persons()]),
        Case::new("rappor", None, &one_time).reads(|| vec![persons()]),
        Case::new("rappor", None, &small).reads(|| vec![persons(), samples::all().remove(0)]),
    ]
}

fn pseudonyms() -> Vec<Case> {
    let of = |method, set: &[(&str, Value)]| Case::new("pseudonym", Some(method), set);
    let numbers = || {
        samples::texts(|row| format!("+358 {:07}-{:02}", 7_654_321 - row / 2 * 123_457, row / 2))
    };
    vec![
        of("hmac", &[]),
        of("hmac", &[("keep", word("email_domain")), ("prefix", word("user_"))]),
        of("hmac", &[("length", Value::Integer(40)), ("normalize", words(&["trim", "case_fold"]))]),
        of("token", &[("order", word("first_seen"))]),
        of("token", &[("style", word("letters")), ("prefix", word("group_"))]),
        of("ff1", &[]).column(numbers()),
        of("ff1", &[("alphabet", word("alphanumeric")), ("others", word("any"))]).column(numbers()),
        of("aes_siv", &[]),
    ]
}

fn addresses() -> Vec<Case> {
    let v4 = |row: usize| [198, 18 + row / 8, 7 * row, 255 - row].map(|part| part % 256);
    let text = move || {
        samples::texts(|row| match row % 5 {
            0 => format!("2001:db8:{row:x}::{:x}:cafe", row * 7919),
            1 => format!("::ffff:198.51.100.{row}"),
            2 => format!("no address {row}"),
            _ => v4(row).map(|part| part.to_string()).join("."),
        })
    };
    let bytes = || {
        samples::bytes(|row| match row % 3 {
            0 => vec![198, 51, 100, row as u8],
            1 => (0..16).map(|byte: u8| byte.wrapping_mul(row as u8) ^ 0x2a).collect(),
            _ => vec![1, 2, 3],
        })
    };
    let mut cases = Vec::new();
    for method in ["crypto_pan", "ipcrypt_pfx", "truncate"] {
        for invalid in ["null", "token"] {
            let set = [("invalid", word(invalid))];
            cases.push(Case::new("ip", Some(method), &set).column(text()).column(bytes()));
        }
    }
    cases
}

/// A column of coordinates, one of them none.
fn degrees() -> ArrayRef {
    Arc::new(samples::primitive::<Float64Type>(|row| row as f64 * 4.0))
}

/// A column of persons, some with several rows, some rows with none.
fn persons() -> ArrayRef {
    let name = |row: usize| (row % 9 != 5).then(|| format!("person {}", row % 4));
    Arc::new((0..ROWS).map(name).collect::<StringArray>())
}
