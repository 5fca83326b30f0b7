//! What releases say of themselves, beside the literate cases in `tests/cases/policy-releases.md`.

use std::path::Path;

use crate::pipeline::transform::ALL;
use crate::policy::Policy;
use crate::policy::load::load_bytes;

const SMALL: &str = "\
version: 1
dataset: people
source: {parquet: raw}
rows: Age > 17
columns: {Site: keep, Age: keep, User: drop, Diagnosis: keep, Cost: {round: 10}, Note: drop}
release:
  quasi_identifiers: [Site, {column: Age, hierarchy: age.csv}]
  unit: User
  k_anonymity: {k: 5}
  l_diversity: {column: Diagnosis, l: 2}
grants: [{partner: p, access: rows}]
";

fn policy(folder: &Path, text: &str) -> Policy {
    load_bytes(&folder.join("p.yaml"), text.as_bytes())
        .unwrap_or_else(|report| panic!("{report}"))
        .policy
}

#[test]
fn the_release_digest_sees_what_decides_the_release_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("age.csv"), "18;young;*\n80;old;*\n").unwrap();
    let digest = |text: &str| policy(folder.path(), text).release_digest().unwrap();
    let first = digest(SMALL);
    for (same, with) in [
        // Grants, words, classes, and rules of columns that are served row by row.
        ("partner: p", "partner: q"),
        ("version: 1", "version: 1\ndescription: others"),
        ("round: 10", "round: 100"),
        ("Site: keep", "Site: {class: quasi, keep}"),
        ("{k: 5}", "{k: 5, suppress_max: 0}"),
        // Whether another may be built says nothing of this one.
        ("  unit: User\n", "  unit: User\n  dangerous_rerelease: true\n"),
    ] {
        assert_eq!(digest(&SMALL.replace(same, with)), first, "{with}");
    }
    for (different, with) in [
        ("raw", "raw2"),
        ("> 17", "> 18"),
        ("Note: drop", "Note: keep"),
        ("Diagnosis: keep", "Diagnosis: {mask: {last: 1}}"),
        ("Site: keep", "Site: {mask: {last: 1}}"),
        ("k: 5", "k: 6"),
        ("l: 2", "l: 3"),
        ("  unit: User\n", ""),
        ("[Site, ", "[{column: Site, weight: 2}, "),
        ("  unit: User\n", "  unit: User\n  method: mondrian\n"),
    ] {
        assert!(SMALL.contains(different), "{different}");
        assert_ne!(digest(&SMALL.replace(different, with)), first, "{with}");
    }
    let named = policy(folder.path(), SMALL);
    assert!(named.names_files());
    std::fs::write(folder.path().join("age.csv"), "18;grown;*\n80;grown;*\n").unwrap();
    assert_ne!(digest(SMALL), first, "the hierarchy holds something else");
    assert_ne!(named.digest_now(), named.digest);
    let without = SMALL.split("release:").next().unwrap();
    assert_eq!(policy(folder.path(), without).release_digest(), None);
}

#[test]
fn the_older_form_means_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let of = |release: &str| {
        let head = SMALL.split("release:").next().unwrap();
        policy(folder.path(), &format!("{head}release: {{{release}}}\n")).release.unwrap()
    };
    let old = of(
        "k_anonymity: {k: 10, quasi_identifiers: [Site, Age], method: full_domain, suppress_max: 0.02}",
    );
    let new = of(
        "quasi_identifiers: [Site, Age], method: lattice, suppress_max: 0.02, k_anonymity: {k: 10}",
    );
    assert_eq!(old, new);
}

/// A rule under which a column may be a quasi-identifier must not depend on a key. That those who say so
/// need none is tested with the transforms; here, that no stand-in slips through.
#[test]
fn what_stands_in_for_a_value_is_keyed() {
    for transform in ALL {
        let args = crate::policy::args::Args::defaults(transform.spec().params);
        let name = transform.spec().name();
        if name.starts_with("pseudonym") || transform.is_pseudonym() {
            assert!(transform.is_keyed(&args), "{name}");
        }
    }
}
