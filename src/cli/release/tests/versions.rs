//! What two releases of the same people tell together: refused where it can be, and said where it cannot.

use std::collections::BTreeMap;

use super::*;

/// Rows of a class by what stands beside the quasi-identifiers.
type Beside = BTreeMap<(Vec<Option<String>>, Option<String>), i64>;

fn jobs(rows: &[Vec<Option<String>>]) -> Beside {
    let mut jobs = Beside::new();
    for row in rows {
        *jobs.entry((row[1..3].to_vec(), row[3].clone())).or_default() += 1;
    }
    jobs
}

/// What the manual says of pinned levels: rows do not move between classes, and a class that grew by one has
/// a newcomer. Whoever knows who came, and the class, reads the rest of the row.
#[test]
fn a_newcomer_shows_in_the_difference_of_two_versions_and_nobody_else_does() {
    let levels = "{fixed: {age: 2, zip: 3}}";
    let custody = custody(&policy(levels, RELEASE));
    built(&custody);
    let before = jobs(&pulled(&custody.open().unwrap(), "cern").unwrap());
    custody.write_parquet("people/b.parquet", &people(ROWS + 1..ROWS + 2), 50);
    built(&custody);
    let after = jobs(&pulled(&custody.open().unwrap(), "cern").unwrap());
    let all = before.keys().chain(after.keys());
    let change = |key| after.get(key).unwrap_or(&0) - before.get(key).unwrap_or(&0);
    let mut changed: Vec<_> = all.filter(|key| change(key) != 0).collect();
    changed.dedup();
    changed.sort();
    changed.dedup();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(change(changed[0]), 1);
    // Row 241 is a cook of 39 + ... years: (241 * 7) % 33 = 4.
    let (class, job) = changed[0];
    assert_eq!(class[0].as_deref(), Some("[20, 40)"));
    assert_eq!(job.as_deref(), Some("cook"));
}

/// Two generalizations of the same data, each with k rows a class: held against each other, rows stand out.
/// So the second is refused, and only `dangerous_rerelease` lets it be.
#[test]
fn what_two_generalizations_tell_together_is_refused_unless_it_is_asked_for_by_name() {
    let by_age = policy("{fixed: {age: 1, zip: 5}}", RELEASE);
    let by_zip = policy("{fixed: {age: 4, zip: 1}}", RELEASE);
    let custody = custody(&by_age);
    let k = built(&custody).rows.smallest;
    let first = pulled(&custody.open().unwrap(), "cern").unwrap();
    custody.write_policy("people.yaml", &by_zip);
    let (exit, _, err) = call(&custody, "build people");
    assert_eq!(exit, Exit::PolicyInvalid);
    assert!(err.contains("dangerous_rerelease"), "{err}");
    let allowed = format!("{RELEASE}  dangerous_rerelease: true\n");
    custody.write_policy("people.yaml", &policy("{fixed: {age: 4, zip: 1}}", &allowed));
    let k = built(&custody).rows.smallest.min(k);
    assert!(k >= 5);
    let second = pulled(&custody.open().unwrap(), "cern").unwrap();
    // Rows of both, joined by what stands beside the quasi-identifiers.
    let zips: BTreeMap<_, _> = second.iter().map(|row| (row[4].clone(), row[2].clone())).collect();
    let mut joined: BTreeMap<_, u64> = BTreeMap::new();
    for row in &first {
        if let Some(zip) = zips.get(&row[4]) {
            *joined.entry((row[1].clone(), zip.clone())).or_default() += 1;
        }
    }
    let alone = joined.values().filter(|rows| **rows < k).count();
    assert!(alone > 0, "{joined:?}");
}
