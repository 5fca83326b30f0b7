//! Every format of one page.

use serde_json::{Value, json};

use super::super::page::{Page, Show, Table};
use super::super::plot::{Bar, Plot, Shape};
use super::super::testing::meta;
use super::*;

const EVIL: &str = "<script>alert('1')</script>\"&";

fn page_of(value: &Value) -> Page {
    let mut table =
        Table::new("rows", EVIL, EVIL, &[("a", EVIL, Show::Token), ("b", "B", Show::Share)]);
    table.rows.push(vec![value.clone(), json!(0.5)]);
    table.rows.push(vec![Value::Null, Value::Null]);
    let bar =
        Bar { name: EVIL.to_owned(), value: 1.0, told: EVIL.to_owned(), marked: 0.5, rest: false };
    let mut page = Page {
        stem: "x".to_owned(),
        title: EVIL.to_owned(),
        summary: EVIL.to_owned(),
        tables: vec![table],
        plots: vec![Plot {
            title: EVIL.to_owned(),
            alt: EVIL.to_owned(),
            shape: Shape::Bars(vec![bar]),
        }],
        blocks: vec![EVIL.to_owned()],
        notes: vec![EVIL.to_owned()],
        ..Page::default()
    };
    page.figure("f", EVIL, EVIL, Show::Text);
    page
}

#[test]
fn no_value_is_markup_in_a_page() {
    let mut meta = meta();
    meta.partner = EVIL.to_owned();
    meta.policy.dataset = EVIL.to_owned();
    meta.policy.general = vec![EVIL.to_owned()];
    let html = html::page(&page_of(&EVIL.into()), &meta).unwrap();
    assert!(!html.contains("<script") && !html.contains("\"&\""), "{html}");
    assert!(html.matches("&lt;script&gt;").count() >= 12, "{html}");
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_forbids_itself_to_ask() {
    let html = html::page(&page_of(&"v".into()), &meta()).unwrap();
    for outside in [
        "http:", "https:", "url(", "@import", "<link", "<script", "<img", "<iframe", "src=",
        "href=",
    ] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
    assert!(html.contains("<svg role=\"img\" aria-label="));
    assert!(html.contains("prefers-color-scheme: dark") && html.contains("@media print"));
}

#[test]
fn null_is_null_in_every_format() {
    let page = page_of(&"None".into());
    let meta = meta();
    let object: Value = serde_json::from_slice(&json::page(&page, &meta).unwrap()).unwrap();
    assert_eq!(object["rows"], json!([{"a": "None", "b": 0.5}, {"a": null, "b": null}]));
    assert_eq!(csv::table(&page.tables[0]).unwrap(), b"a,b\nNone,0.5\n,\n");
    assert!(text::page(&page, &meta).contains("  (null)"));
    assert!(html::page(&page, &meta).unwrap().contains("<td class=\"null\">null</td>"));
}

#[test]
fn meta_tells_whose_data_under_which_policy_of_when() {
    let object = meta().json(&page_of(&"v".into()));
    let expected = json!({
        "dataset": "jobs", "partner": "cern", "policy_digest": "d".repeat(64), "data_version": "v1",
        "made": "2027-01-15T08:00:00Z", "columns": [], "f": EVIL,
    });
    assert_eq!(object, expected);
}

#[test]
fn a_terminal_is_not_told_to_do_anything() {
    let page = page_of(&"a\u{1b}[31mb".into());
    assert!(!text::page(&page, &meta()).contains('\u{1b}'));
}

#[test]
fn long_tables_are_cut_in_the_page_and_whole_in_the_csv() {
    let mut page = page_of(&"v".into());
    let table = &mut page.tables[0];
    table.rows = (0..700).map(|n| vec![json!(n), json!(0.1)]).collect();
    let html = html::page(&page, &meta()).unwrap();
    assert!(html.contains("and 200 rows more"));
    assert_eq!(csv::table(&page.tables[0]).unwrap().iter().filter(|b| **b == b'\n').count(), 701);
}
