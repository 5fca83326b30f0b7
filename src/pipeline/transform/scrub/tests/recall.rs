//! Recall and precision by type on a public set of texts with marked entities: structured types only. Names
//! and places are not looked for, and not counted. `docs/scrub.md` has the table; this test holds it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value as Json;

use super::super::engine::found_in;
use super::super::find::What;
use super::*;
use crate::shared::shared;

/// What the set calls it, what finds it, and the floors of recall and precision in per mille.
const TYPES: [(&str, &[Kind], u32, u32); 7] = [
    ("CREDIT_CARD", &[Kind::Card], 985, 1000),
    ("DOMAIN_NAME", &[Kind::Url, Kind::Host], 1000, 1000),
    ("EMAIL_ADDRESS", &[Kind::Email], 1000, 1000),
    ("IBAN_CODE", &[Kind::Iban], 1000, 1000),
    ("IP_ADDRESS", &[Kind::Ipv4, Kind::Ipv6], 1000, 1000),
    ("PHONE_NUMBER", &[Kind::Phone], 1000, 970),
    ("US_SSN", &[Kind::Ssn], 1000, 1000),
];

#[derive(Debug, Default)]
struct Count {
    gold: u32,
    hidden: u32,
    finds: u32,
    right: u32,
}

#[test]
fn recall_and_precision_by_type_do_not_fall() {
    let Some(path) = shared("data/text/synth_dataset_v2.json") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let samples: Vec<Json> = serde_json::from_str(&text).unwrap();
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    for sample in &samples {
        let text = sample["full_text"].as_str().unwrap();
        // Places are counted in characters.
        let places: Vec<usize> =
            text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let place = |name: &Json| places[usize::try_from(name.as_u64().unwrap()).unwrap()];
        let gold: Vec<(&str, usize, usize)> = sample["spans"]
            .as_array()
            .unwrap()
            .iter()
            .map(|span| {
                let kind = span["entity_type"].as_str().unwrap();
                (kind, place(&span["start_position"]), place(&span["end_position"]))
            })
            .collect();
        let finds = found_in(text);
        for (name, kinds, ..) in TYPES {
            let count = counts.entry(name).or_default();
            for (_, start, end) in gold.iter().filter(|(kind, ..)| *kind == name) {
                count.gold += 1;
                // Hidden is what lies in finds whole, of whatever kind.
                let hidden = |at: usize| finds.iter().any(|find| find.start <= at && at < find.end);
                count.hidden += u32::from((*start..*end).all(hidden));
            }
            for find in
                finds.iter().filter(|find| kinds.iter().any(|kind| find.what == What::Kind(*kind)))
            {
                count.finds += 1;
                // Right is what touches an entity of the type.
                let touches = |(kind, start, end): &(&str, usize, usize)| {
                    *kind == name && find.start < *end && *start < find.end
                };
                count.right += u32::from(gold.iter().any(touches));
            }
        }
    }
    let mut table = String::from(
        "| type | marked | hidden | recall | finds | right | precision |\n|---|---|---|---|---|---|---|\n",
    );
    let percent = |part: u32, all: u32| f64::from(part) * 100.0 / f64::from(all.max(1));
    for (name, ..) in TYPES {
        let Count { gold, hidden, finds, right } = counts[name];
        writeln!(
            table,
            "| {name} | {gold} | {hidden} | {:.1} % | {finds} | {right} | {:.1} % |",
            percent(hidden, gold),
            percent(right, finds)
        )
        .unwrap();
    }
    println!("{table}");
    for (name, _, recall, precision) in TYPES {
        let Count { gold, hidden, finds, right } = counts[name];
        assert!(hidden * 1000 >= recall * gold, "recall of {name}");
        assert!(right * 1000 >= precision * finds, "precision of {name}");
    }
}
