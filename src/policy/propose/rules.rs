//! Which rule fits a kind and a type: the first of several that the policy language itself accepts.
//! Intervals are public round numbers, never taken from the data.

use std::collections::HashMap;
use std::path::Path;

use arrow::datatypes::{DataType, Field, Schema};

use super::Proposed;
use super::judge::{is_number, is_text, leaks};
use super::kind::{Kind, word};
use super::quote::{key, scalar};
use crate::pipeline::profile::{ColumnProfile, Look};
use crate::policy::check::check_schema;
use crate::policy::load::load_bytes;

/// Powers of two, in whatever unit: requests for memory are mostly these.
const EDGES_MEMORY: &str = "[0, 1, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, \
                            262144, 524288, 1048576, 4194304, 16777216, 67108864]";
/// From a second to a month.
const EDGES_DURATION: &str = "[0, 1, 10, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400, \
                              172800, 345600, 604800, 1209600, 2592000]";
/// How many.
const EDGES_COUNT: &str = "[0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000, \
                           1000000]";
/// Anything else.
const EDGES_QUANTITY: &str = "[0, 0.01, 0.1, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, \
                              10000, 100000, 1000000, 10000000]";
const EDGES_MONEY: &str =
    "[0, 1, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000]";
const EDGES_AGE: &str = "[5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85]";

/// What rules are made from besides the column.
#[derive(Debug, Clone, Default)]
pub(super) struct Around {
    /// The year of the day on which ages are counted.
    pub(super) year: i32,
    /// The column that names the protected unit.
    pub(super) unit: Option<(String, DataType)>,
}

/// A rule as it stands in a policy, without its class, and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The rule: `drop`, `keep`, `truncate: hour`.
    pub(super) rule: String,
    /// A sentence beside it.
    pub(super) why: Option<&'static str>,
}

/// Chooses rules; remembers what the language said of each.
#[derive(Debug, Default)]
pub(super) struct Rules {
    asked: HashMap<(String, DataType), bool>,
}

impl Rules {
    /// The rule for a column of this kind.
    pub(super) fn choose(&mut self, kind: Kind, column: &ColumnProfile, around: &Around) -> Chosen {
        for (rule, why) in candidates(kind, column, around) {
            if self.fits(&rule, column, around) {
                return Chosen { rule, why };
            }
        }
        Chosen { rule: "drop".to_owned(), why: None }
    }

    /// Whether the language takes a rule for a column's type.
    pub(super) fn fits(&mut self, rule: &str, column: &ColumnProfile, around: &Around) -> bool {
        let asked = (rule.to_owned(), column.data_type.clone());
        if let Some(fits) = self.asked.get(&asked) {
            return *fits;
        }
        let fits = fits(rule, &column.data_type, around);
        self.asked.insert(asked, fits);
        fits
    }
}

/// Asks the loader and the check, as they will be asked of the whole policy.
fn fits(rule: &str, data_type: &DataType, around: &Around) -> bool {
    let mut text = format!(
        "version: 1\ndataset: a\nsource: {{parquet: a}}\ncolumns:\n  the column: {}\n  beside it: keep\n",
        in_braces(None, rule)
    );
    let mut fields = vec![
        Field::new("the column", data_type.clone(), true),
        Field::new("beside it", DataType::Int64, true),
    ];
    if let Some((unit, unit_type)) = &around.unit {
        text.push_str(&format!("  {}: drop\n", key(unit)));
        fields.push(Field::new(unit, unit_type.clone(), true));
    }
    match load_bytes(Path::new("a.yaml"), text.as_bytes()) {
        Ok(loaded) => {
            check_schema(&loaded, &Schema::new(fields)).iter().all(|found| !found.is_error())
        }
        Err(_) => false,
    }
}

/// A column's value in the policy.
pub(super) fn in_braces(kind: Option<Kind>, rule: &str) -> String {
    match kind.and_then(Kind::class) {
        Some(class) => format!("{{class: {}, {rule}}}", word(class)),
        None if rule.contains(':') => format!("{{{rule}}}"),
        None => rule.to_owned(),
    }
}

/// A rule that takes names and addresses out of texts, where this program has one and takes it: it
/// looks for the values of the columns whose pseudonyms leave.
pub(super) fn scrub(seen: &[ColumnProfile], proposed: &[Proposed]) -> Option<String> {
    crate::pipeline::transform::find("scrub", None)?;
    let learned: Vec<_> = seen
        .iter()
        .zip(proposed)
        .filter(|(_, column)| column.kind.is_sought() && column.rule.starts_with("pseudonym"))
        .filter(|(column, _)| is_text(&column.data_type) || column.data_type.is_integer())
        .take(LEARNED_MAX)
        .collect();
    let names: Vec<String> = learned.iter().map(|(column, _)| scalar(&column.name)).collect();
    let rule = format!("scrub: {{learn_from: [{}]}}", names.join(", "));
    let mut text = format!(
        "version: 1\ndataset: a\nsource: {{parquet: a}}\ncolumns:\n  \"the text \": {{{rule}}}\n"
    );
    let mut fields = vec![Field::new("the text ", DataType::Utf8, true)];
    for (column, proposed) in learned {
        text.push_str(&format!("  {}: {}\n", key(&column.name), proposed.written()));
        fields.push(Field::new(&column.name, column.data_type.clone(), true));
    }
    let loaded = load_bytes(Path::new("a.yaml"), text.as_bytes()).ok()?;
    let fits = check_schema(&loaded, &Schema::new(fields)).iter().all(|found| !found.is_error());
    fits.then_some(rule)
}

/// How many columns a proposed scrub learns from.
const LEARNED_MAX: usize = 8;

type Candidate = (String, Option<&'static str>);

/// Rules for a kind, the one that keeps most of what studies need first. What is left is dropped.
fn candidates(kind: Kind, column: &ColumnProfile, around: &Around) -> Vec<Candidate> {
    let one = |rule: &str| vec![(rule.to_owned(), None)];
    let hmac = |domain: &str| one(&format!("pseudonym: {{method: hmac, domain: {domain}}}"));
    match kind {
        Kind::User | Kind::Email => hmac("user"),
        Kind::UserNumber => hmac("uid"),
        Kind::GroupNumber => hmac("gid"),
        Kind::Host | Kind::HostList => hmac("host"),
        Kind::Job => hmac("job"),
        Kind::Certificate => hmac("certificate"),
        Kind::Mac => hmac("mac"),
        Kind::Uuid => hmac("uuid"),
        Kind::Digest | Kind::Number | Kind::PersonNumber => hmac(&scalar(&domain(&column.name))),
        Kind::Group => {
            one("pseudonym: {method: token, domain: group, style: letters, prefix: group_}")
        }
        Kind::Account => {
            one("pseudonym: {method: token, domain: account, style: letters, prefix: account_}")
        }
        Kind::Address => one("ip: {method: crypto_pan, domain: ip}"),
        Kind::Phone => vec![(
            "pseudonym: {method: ff1, alphabet: digits, domain: phone}".to_owned(),
            Some("looks like a number still and may be somebody's; `drop` is safer"),
        )],
        Kind::Time | Kind::Day | Kind::Birthday => times(kind, column, around),
        Kind::Year => one("bucket: {width: 10, as: lower}"),
        Kind::Age => one(&format!("bucket: {{edges: {EDGES_AGE}}}")),
        Kind::Latitude => one("geo_grid: {axis: latitude, degrees: 0.01}"),
        Kind::Longitude => one("geo_grid: {axis: longitude, degrees: 0.01}"),
        Kind::PostalCode if is_text(&column.data_type) => one("mask: {first: 2}"),
        Kind::PostalCode => one("bucket: {width: 1000, as: lower}"),
        Kind::Place
        | Kind::Country
        | Kind::Sex
        | Kind::Ethnicity
        | Kind::Education
        | Kind::Occupation
        | Kind::Marital
        | Kind::Site
        | Kind::Queue
        | Kind::Experiment
        | Kind::Category
        | Kind::Health => rare(around),
        Kind::Status => statuses(column, around),
        Kind::ExitCode => codes(column),
        Kind::Resources => guard(
            "^(?:(?:billing|cpu|energy|mem|node|pages|vmem|fs/disk|ic/[a-z]+|gres/[a-z]+(?::[a-z]+[0-9]*)?)=[0-9.]+[A-Za-z]?(?:,|$))+$",
        ),
        Kind::Memory => measures(column, EDGES_MEMORY),
        Kind::Duration => measures(column, EDGES_DURATION),
        Kind::Count => measures(column, EDGES_COUNT),
        Kind::Quantity => measures(column, EDGES_QUANTITY),
        Kind::Money if is_text(&column.data_type) => rare(around),
        Kind::Money => one(&format!("bucket: {{edges: {EDGES_MONEY}, as: lower}}")),
        Kind::Flag => one("keep"),
        Kind::PersonName
        | Kind::NationalId
        | Kind::Card
        | Kind::BankAccount
        | Kind::Street
        | Kind::Secret
        | Kind::Row
        | Kind::Path
        | Kind::Command
        | Kind::Environment
        | Kind::Title
        | Kind::Prose
        | Kind::Link
        | Kind::Structured
        | Kind::Unknown => Vec::new(),
    }
}

/// A domain named after a column.
fn domain(name: &str) -> String {
    let words = super::names::words(name);
    if words.is_empty() { "column".to_owned() } else { words.join("_") }
}

/// Values of few persons become one text.
fn rare(around: &Around) -> Vec<Candidate> {
    let why = Some("values of few become `other`");
    let mut rules = Vec::new();
    if let Some((unit, _)) = &around.unit {
        rules.push((format!("rare: {{below: 10, unit: {}}}", scalar(unit)), why));
    }
    rules.push(("rare: {below: 10}".to_owned(), why));
    rules
}

/// Only texts of this form leave; all others become null.
fn guard(pattern: &str) -> Vec<Candidate> {
    replaced(pattern, "${0}")
}

fn replaced(pattern: &str, with: &str) -> Vec<Candidate> {
    let rule = format!("regex_replace: {{pattern: {}, with: {}}}", scalar(pattern), scalar(with));
    vec![(rule, Some("text in any other form becomes null"))]
}

fn times(kind: Kind, column: &ColumnProfile, around: &Around) -> Vec<Candidate> {
    let plain = |rule: &str| (rule.to_owned(), None);
    let millis = column.of_numbers(|numbers| numbers.epoch_millis) >= 0.5;
    let day = column.of_numbers(|numbers| numbers.day) >= 0.5;
    if kind == Kind::Birthday {
        return vec![
            plain(&format!("age_band: {{width: 10, as_of: {}-01-01}}", around.year)),
            if day {
                (
                    "bucket: {width: 100000, as: lower}".to_owned(),
                    Some("19740131 becomes 19700000: the decade"),
                )
            } else {
                plain("drop")
            },
        ]
        .into_iter()
        .chain(
            replaced("^\\s*([0-9]{3})[0-9].*$", "${1}0")
                .into_iter()
                .filter(|_| is_text(&column.data_type)),
        )
        .collect::<Vec<_>>()
        .into_iter()
        .filter(|(rule, _)| rule != "drop")
        .collect();
    }
    if is_text(&column.data_type) {
        return if column.share(&[Look::Day]) >= 0.5 {
            replaced("^([0-9]{4}-[0-9]{2})-[0-9]{2}$", "${1}")
        } else {
            replaced(
                "^([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}):[0-9]{2}(?::[0-9.,]+)?(?: ?(?:Z|UTC|[+-][0-9:]+))?$",
                "${1}:00:00",
            )
        };
    }
    if is_number(column) {
        return vec![if day {
            (
                "bucket: {width: 100, as: lower}".to_owned(),
                Some("20260131 becomes 20260100: the month"),
            )
        } else if millis {
            ("round: 3600000".to_owned(), Some("milliseconds since 1970, to the hour"))
        } else {
            ("round: 3600".to_owned(), Some("seconds since 1970, to the hour"))
        }];
    }
    vec![plain("truncate: hour"), plain("truncate: month")]
}

fn statuses(column: &ColumnProfile, around: &Around) -> Vec<Candidate> {
    if is_number(column) {
        return if column.distinct <= 100 { vec![("keep".to_owned(), None)] } else { Vec::new() };
    }
    if matches!(column.data_type, DataType::Boolean) {
        return vec![("keep".to_owned(), None)];
    }
    // A state in capitals may be followed by who caused it.
    if is_guarded(column) {
        return replaced("^([A-Z][A-Z_]{1,30})(?: by [0-9]+|[+])?$", "${1}");
    }
    rare(around)
}

/// Whether a state gets a rule that lets only capitals out.
pub(super) fn is_guarded(column: &ColumnProfile) -> bool {
    is_text(&column.data_type) && column.share(&[Look::Code]) >= 0.5
}

fn codes(column: &ColumnProfile) -> Vec<Candidate> {
    if is_text(&column.data_type) {
        return guard("^-?[0-9]{1,5}(?::[0-9]{1,5})?$");
    }
    vec![("keep".to_owned(), None)]
}

/// A measure leaves as it is where it is tame, and in intervals where single values stand out.
fn measures(column: &ColumnProfile, edges: &str) -> Vec<Candidate> {
    if is_text(&column.data_type) {
        return if column.share(&[Look::Size]) >= 0.5 {
            guard("^[0-9]+(?:[.][0-9]+)? ?[KMGTPEkmgt]?i?[Bb]?[nc]?$")
        } else if column.share(&[Look::Duration]) >= 0.5 {
            guard("^(?:[0-9]+-)?[0-9]{1,4}(?::[0-9]{2}){1,2}(?:[.][0-9]+)?$")
        } else {
            guard("^[+-]?[0-9]{1,15}(?:[.][0-9]{1,15})?$")
        };
    }
    let Some(numbers) = &column.numbers else { return Vec::new() };
    let far = numbers.digits_most >= 4 && numbers.digits_most >= numbers.digits_median + 3;
    let unlike = column.telling() >= 100
        && column.distinctness() > 0.9
        && (numbers.digits_most >= 4 || numbers.fractional > 0);
    let by_interval = |why| {
        vec![
            (format!("bucket: {{edges: {edges}, as: lower}}"), Some(why)),
            (format!("bucket: {{edges: {edges}}}"), Some(why)),
            ("round: 1000".to_owned(), Some(why)),
        ]
    };
    match (far, unlike) {
        _ if leaks(column) => Vec::new(),
        (true, _) => by_interval("few values are far larger than most and would stand out"),
        (_, true) => {
            by_interval("nearly every row has a value of its own, which could be looked up")
        }
        _ => vec![("keep".to_owned(), None)],
    }
}
