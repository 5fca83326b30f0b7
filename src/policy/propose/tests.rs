//! What is proposed for columns by their names and by what their values look like; that every
//! proposal is a policy.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, TimeUnit};

use super::*;
use crate::pipeline::profile::{Lengths, Look, Numbers};
use crate::policy::check::check_schema;
use crate::policy::load::{Loaded, load_bytes};

/// A column of a thousand values, all of one look.
fn column(name: &str, data_type: DataType, look: Option<Look>, distinct: u64) -> ColumnProfile {
    ColumnProfile {
        name: name.to_owned(),
        data_type,
        values: 1000,
        nulls: 0,
        blanks: 0,
        distinct,
        looks: look.map(|look| (look, 1000)).into_iter().collect(),
        inside: BTreeMap::new(),
        lengths: Some(Lengths { least: 1, mean: 8, most: 20 }),
        numbers: None,
    }
}

fn text(name: &str, look: Look, distinct: u64) -> ColumnProfile {
    column(name, DataType::Utf8, Some(look), distinct)
}

fn number(name: &str, numbers: Numbers, distinct: u64) -> ColumnProfile {
    ColumnProfile {
        numbers: Some(numbers),
        lengths: None,
        ..column(name, DataType::Int64, None, distinct)
    }
}

fn settings() -> Settings {
    Settings {
        dataset: "jobs".to_owned(),
        source: Source::Parquet { paths: vec!["data/jobs".to_owned()] },
        partner: None,
        today: NaiveDate::from_ymd_opt(2026, 3, 1).unwrap(),
    }
}

fn proposal(columns: Vec<ColumnProfile>, links: Vec<Link>) -> Proposal {
    propose(Profile { rows: Some(5000), sampled: 1000, files: 1, columns, links }, settings())
}

/// The proposal's text, loaded and held against its columns.
fn loaded(proposal: &Proposal) -> Loaded {
    let yaml = proposal.yaml();
    let loaded = load_bytes(Path::new("a.yaml"), yaml.as_bytes())
        .unwrap_or_else(|report| panic!("{report}\n{yaml}"));
    let fields: Vec<_> = proposal
        .profile
        .columns
        .iter()
        .map(|column| Field::new(&column.name, column.data_type.clone(), true))
        .collect();
    let errors: Vec<_> = check_schema(&loaded, &Schema::new(fields))
        .into_iter()
        .filter(|found| found.is_error())
        .collect();
    assert!(errors.is_empty(), "{errors:?}\n{yaml}");
    loaded
}

/// The rule of a single column beside one that is kept.
fn rule(column: ColumnProfile) -> String {
    let proposal = proposal(vec![column, text("cluster", Look::Word, 3)], Vec::new());
    loaded(&proposal);
    proposal.columns[0].written()
}

#[test]
fn an_innocent_name_does_not_hide_what_the_values_are() {
    for (look, starts) in [
        (Look::Email, "{class: identifier, pseudonym: {method: hmac, domain: user}}"),
        (Look::Principal, "{class: identifier, pseudonym"),
        (Look::DistinguishedName, "{class: identifier, pseudonym"),
        (Look::Slot, "{class: quasi, pseudonym: {method: hmac, domain: host}}"),
        (Look::Address, "{class: identifier, ip: {method: crypto_pan, domain: ip}}"),
        (Look::Mac, "{class: identifier, pseudonym"),
        (Look::Uuid, "{class: identifier, pseudonym"),
        (Look::Url, "{class: text, drop}"),
        (Look::Path, "{class: text, drop}"),
        (Look::Secret, "{class: identifier, drop}"),
        (Look::Digest, "{class: identifier, pseudonym"),
        (Look::Iban, "{class: identifier, drop}"),
        (Look::Card, "{class: identifier, drop}"),
        (Look::NationalId, "{class: identifier, drop}"),
        (Look::Phone, "{class: identifier, pseudonym: {method: ff1"),
        (Look::Environment, "{class: text, drop}"),
        (Look::Json, "{class: text, drop}"),
        (Look::Command, "{class: text, drop}"),
        (Look::NodeList, "{class: quasi, pseudonym: {method: hmac, domain: host}}"),
        (Look::Host, "{class: quasi, pseudonym: {method: hmac, domain: host}}"),
        (Look::Prose, "{class: text, drop}"),
        // Nothing is known of these.
        (Look::Word, "drop"),
        (Look::WordNumber, "drop"),
        (Look::Words, "drop"),
        (Look::Code, "drop"),
        (Look::Flag, "drop"),
        (Look::Other, "drop"),
    ] {
        let rule = rule(text("x1", look, 5));
        assert!(rule.starts_with(starts), "{look:?}: {rule}");
    }
}

#[test]
fn a_name_that_would_be_kept_is_not_when_values_identify() {
    // Each of these names alone would let the column out.
    for name in ["partition", "site", "state", "ExitCode", "elapsed", "reqmem", "submit", "problem"]
    {
        for look in [Look::Email, Look::Path, Look::Address, Look::Secret, Look::DistinguishedName]
        {
            let rule = rule(text(name, look, 5));
            assert!(
                rule.contains("pseudonym") || rule.contains("drop") || rule.contains("crypto_pan"),
                "{name} of {look:?}: {rule}"
            );
        }
        // One address among a thousand values.
        let mut column = text(name, Look::Word, 5);
        column.looks = BTreeMap::from([(Look::Word, 999), (Look::Email, 1)]);
        let rule = rule(column);
        let safe = rule.contains("drop") || rule.contains("regex_replace");
        assert!(safe, "{name} with one address: {rule}");
    }
}

#[test]
fn numbers_are_kept_where_tame_and_leave_in_public_intervals_where_not() {
    let tame = Numbers { digits_median: 4, digits_most: 5, ..Numbers::default() };
    assert_eq!(rule(number("RequestMemory", tame, 12)), "{class: measure, keep}");
    let far = Numbers { digits_median: 3, digits_most: 9, ..Numbers::default() };
    let one = rule(number("DiskUsage", far, 12));
    assert!(one.contains("bucket: {edges: [0, 1, 128"), "{one}");
    // The same intervals whatever the data is.
    let farther = Numbers { digits_median: 1, digits_most: 12, ..Numbers::default() };
    assert_eq!(one, rule(number("DiskUsage", farther, 900)));
    // A number of its own a row.
    assert!(rule(number("RemoteUserCpu", tame, 1000)).contains("bucket"));
    // Nobody knows what these are.
    assert_eq!(rule(number("x7", tame, 12)), "drop");
    assert_eq!(rule(number("x7", Numbers { card: 1000, ..tame }, 12)), "{class: identifier, drop}");
}

#[test]
fn times_are_coarsened_in_every_form_they_come_in() {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    for (column, expected) in [
        (column("submit", micros.clone(), None, 900), "truncate: hour"),
        (column("submit", DataType::Date32, None, 900), "truncate: month"),
        (
            column("birthday", DataType::Date32, None, 900),
            "age_band: {width: 10, as_of: 2026-01-01}",
        ),
        (text("submit", Look::Time, 900), "regex_replace"),
        (number("QDate", Numbers { epoch: 1000, ..Numbers::default() }, 900), "round: 3600"),
        (number("ts", Numbers { epoch_millis: 1000, ..Numbers::default() }, 900), "round: 3600000"),
        (number("dob", Numbers { day: 1000, ..Numbers::default() }, 900), "bucket: {width: 100000"),
    ] {
        let name = column.name.clone();
        let rule = rule(column);
        assert!(rule.contains(expected), "{name}: {rule}");
    }
}

#[test]
fn columns_of_one_kind_share_a_domain_and_a_rule() {
    let columns = vec![
        text("User", Look::Email, 40),
        text("Owner", Look::Word, 40),
        text("NotifyUser", Look::Email, 40),
        text("group", Look::Word, 5),
        text("account", Look::Word, 5),
        text("partition", Look::Word, 5),
    ];
    let link = |of, within, whole, inside| Link { of, within, whole, inside, values: 1000 };
    let links = vec![link(3, 4, 1000, 0), link(4, 3, 1000, 0), link(1, 5, 2, 0)];
    let proposal = proposal(columns, links);
    let rules: Vec<&str> = proposal.columns.iter().map(|column| column.rule.as_str()).collect();
    assert_eq!(rules[0], rules[1]);
    assert_eq!(rules[0], rules[2]);
    assert_eq!(rules[3], rules[4]);
    // A partition named after a user.
    assert_eq!(rules[5], "drop");
    assert!(proposal.columns[5].reasons.iter().any(|reason| reason.contains("`Owner`")));
    assert_eq!(proposal.unit, Some(0));
    // No two columns of one domain are replaced in different ways.
    let loaded = loaded(&proposal);
    assert!(loaded.warnings.iter().all(|found| found.code != "P110"), "{:?}", loaded.warnings);
}

#[test]
fn the_one_who_cancelled_is_cut_off() {
    let mut state = text("state", Look::Code, 40);
    state.looks = BTreeMap::from([(Look::Code, 900), (Look::Words, 100)]);
    let columns = vec![number("uid", Numbers::default(), 40), state];
    let links = vec![Link { of: 0, within: 1, whole: 0, inside: 100, values: 1000 }];
    let proposal = proposal(columns, links);
    let rule = &proposal.columns[1].rule;
    assert!(rule.starts_with("regex_replace") && rule.contains("by [0-9]+"), "{rule}");
    assert!(proposal.columns[1].reasons.iter().any(|reason| reason.contains("`uid`")));
}

#[test]
fn names_of_every_form_come_back_as_they_were() {
    let long = "n".repeat(3000);
    let names = [
        "a b",
        " led",
        "tail ",
        "it's",
        "say \"x\"",
        "back\\slash",
        "# no comment",
        "a # b",
        "a: b",
        "- a",
        "line\nbreak",
        "tab\there",
        "\u{1}bell",
        "null",
        "true",
        "NO",
        "~",
        "1e3",
        "123",
        "2026-01-01",
        "{a}",
        "[a]",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a`",
        "ä",
        "姓名",
        "🙂",
        "\u{202e}abc",
        "\u{feff}bom",
        "\u{85}",
        "\u{2028}",
        "a\r\nb",
        "?",
        ":",
        "",
        "<<",
        "class",
        "e\u{301}",
        "\u{e000}",
        "=",
        "a,b",
        long.as_str(),
    ];
    for data_type in [DataType::Utf8, DataType::Struct(Vec::<Field>::new().into())] {
        let columns: Vec<_> =
            names.iter().map(|name| column(name, data_type.clone(), None, 5)).collect();
        let columns = columns.into_iter().chain([text("User", Look::Word, 3)]).collect();
        let mut proposal = proposal(columns, Vec::new());
        // Delimited sources name them a second time.
        let typed = names.iter().copied().chain(["User"]);
        let loaded = loaded(&proposal);
        let read: Vec<&str> =
            loaded.policy.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(read, typed.clone().collect::<Vec<_>>());
        proposal.settings.source = Source::Delimited {
            paths: vec!["it's a \"file\".csv".to_owned(), "b#c".to_owned()],
            delimiter: b'\t',
            header: true,
            quote: None,
            nulls: Vec::new(),
            columns: typed.map(|name| (name.to_owned(), crate::policy::FieldType::Text)).collect(),
        };
        let again = load_bytes(Path::new("a.yaml"), proposal.yaml().as_bytes()).unwrap();
        assert_eq!(again.policy.source, proposal.settings.source);
    }
}

#[test]
fn every_type_and_every_kind_of_emptiness_gives_a_policy() {
    let item = Arc::new(Field::new("item", DataType::Utf8, true));
    for data_type in [
        DataType::Null,
        DataType::Boolean,
        DataType::Int8,
        DataType::UInt64,
        DataType::Float32,
        DataType::Decimal128(38, 10),
        DataType::Binary,
        DataType::FixedSizeBinary(16),
        DataType::Date64,
        DataType::Time64(TimeUnit::Nanosecond),
        DataType::Duration(TimeUnit::Second),
        DataType::List(item),
        DataType::LargeUtf8,
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    ] {
        for name in [
            "x1", "user", "ip", "submit", "elapsed", "memory", "lat", "dob", "phone", "zip",
            "state",
        ] {
            let mut column = column(name, data_type.clone(), None, 0);
            column.values = 0;
            column.nulls = 1000;
            loaded(&proposal(vec![column.clone()], Vec::new()));
            column.values = 1000;
            column.nulls = 0;
            loaded(&proposal(vec![column], Vec::new()));
        }
    }
}

#[test]
fn a_column_without_a_value_in_the_sample_does_not_leave_by_its_name_alone() {
    for name in ["RequestMemory", "state", "submit", "elapsed", "partition", "status", "lat"] {
        let mut empty = number(name, Numbers::default(), 0);
        (empty.values, empty.nulls) = (0, 1000);
        let rule = rule(empty);
        assert!(rule.contains("drop"), "{name}: {rule}");
    }
}

#[test]
fn where_nothing_is_known_a_column_leaves_empty_so_that_the_policy_loads() {
    let proposal = proposal(vec![text("x1", Look::Word, 5), text("x2", Look::Word, 5)], Vec::new());
    let loaded = loaded(&proposal);
    let names: Vec<_> =
        loaded.policy.columns.iter().map(|c| c.rule.transform.spec().name()).collect();
    assert_eq!(names, ["null", "drop"]);
}

#[test]
fn two_thousand_columns_are_a_policy_too() {
    let columns =
        (0..2000).map(|at| text(&format!("column {at} of many"), Look::Email, 5)).collect();
    assert_eq!(loaded(&proposal(columns, Vec::new())).policy.columns.len(), 2000);
    // Reasons go before rules where there is no room.
    let long = "wide".repeat(80);
    let columns = (0..2500).map(|at| text(&format!("{long}{at}"), Look::Email, 5)).collect();
    let many = proposal(columns, Vec::new());
    assert!(many.yaml().len() < 1 << 20 && !many.yaml().contains("e-mail"));
    assert_eq!(loaded(&many).policy.columns.len(), 2500);
}

#[test]
fn a_partner_who_is_named_gets_a_grant_that_ends() {
    let mut settings = settings();
    settings.partner = Some(("cern".to_owned(), NaiveDate::from_ymd_opt(2027, 3, 1).unwrap()));
    let columns = vec![text("user", Look::Word, 5)];
    let profile = Profile { rows: None, sampled: 1000, files: 2, columns, links: Vec::new() };
    let proposal = propose(profile, settings);
    let loaded = loaded(&proposal);
    let [grant] = loaded.policy.grants.as_slice() else { panic!() };
    assert_eq!(
        (grant.partner.as_str(), grant.until.map(|day| day.to_string())),
        ("cern", Some("2027-03-01".to_owned()))
    );
    assert_eq!(loaded.policy.unit.as_deref(), Some("user"));
}

#[test]
fn what_is_advised_beside_a_rule_is_a_rule_too() {
    let columns = vec![
        text("User", Look::Email, 40),
        text("Cmd", Look::Command, 400),
        text("Environment", Look::Environment, 400),
        text("x1", Look::Word, 5),
    ];
    let proposal = proposal(columns, Vec::new());
    let mut advised = 0;
    for column in &proposal.columns {
        for advice in &column.advice {
            let (_, rule) = advice.split_once(": ").unwrap();
            let now = format!("  {}: {}\n", column.name, column.written());
            let yaml = proposal.yaml();
            assert!(yaml.contains(&now));
            let yaml = yaml.replace(&now, &format!("  {}: {rule}\n", column.name));
            if let Err(report) = load_bytes(Path::new("a.yaml"), yaml.as_bytes()) {
                panic!("{report}");
            }
            advised += 1;
        }
    }
    // `scrub` is advised where this program has it, for both texts.
    let scrubs = usize::from(crate::pipeline::transform::find("scrub", None).is_some()) * 2;
    assert_eq!(advised, 3 + scrubs);
}

#[test]
fn the_text_of_a_proposal() {
    let columns = vec![
        text("User", Look::Email, 40),
        text("state", Look::Code, 5),
        text("x1", Look::Word, 5),
    ];
    insta::assert_snapshot!(proposal(columns, Vec::new()).yaml());
}
