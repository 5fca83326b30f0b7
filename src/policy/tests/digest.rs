//! What a policy's digest sees, and what it does not.

use super::*;

#[test]
fn the_digest_sees_meaning_and_not_writing() {
    let digest = |text: &str| loaded(text).policy.digest;
    let same = [
        SMALL.to_owned(),
        format!("\u{feff}# a comment\n{SMALL}"),
        SMALL.replace('\n', "\r\n"),
        SMALL.replace("jobs", "\"jobs\""),
        SMALL.replace("raw", "[raw]"),
        "columns:\n  a: keep\n  b: {drop}\ngrants:\n- {access: rows, until: 2027-01-01, partner: q}\n- \
         access: rows\n  partner: p\nsource:\n    parquet: 'raw'\ndataset: jobs\nversion: 1\nnulls: \
         keep\nlinkage: per_partner\n"
            .to_owned(),
    ];
    let limited = |limits: &str| {
        SMALL.replace("access: rows}", &format!("access: rows, limits: {{{limits}}}}}"))
    };
    for text in same.iter().chain([&limited("")]) {
        assert_eq!(digest(text), digest(SMALL), "{text}");
    }
    let different = [
        SMALL.replace("jobs", "job"),
        SMALL.replace("raw", "raw2"),
        SMALL.replace("b: drop", "b: keep"),
        SMALL.replace("a: keep, b: drop", "b: drop, a: keep"),
        SMALL.replace("2027-01-01", "2027-01-02"),
        SMALL.replace("partner: p,", "partner: r,"),
        limited("rows_day: 10"),
        limited("rows_day: 11"),
        limited("bytes_day: 10"),
        limited("queries: 10"),
        limited("seconds: 10"),
        limited("rows_day: 10, seconds: 10"),
        format!("{SMALL}nulls: token\n"),
        format!("{SMALL}linkage: shared\n"),
        format!("{SMALL}rows: a = 1\n"),
        format!("{SMALL}unit: a\n"),
        format!("{SMALL}epoch: 1\n"),
        format!("{SMALL}description: x\n"),
        format!("{SMALL}privacy: {{epsilon: 1}}\n"),
        format!("{SMALL}privacy: {{epsilon: 2}}\n"),
        format!("{SMALL}privacy: {{epsilon: 1, delta: 1e-9}}\n"),
        format!("{SMALL}privacy: {{epsilon: 1, delta: 1e-9, accounting: zcdp}}\n"),
        format!("{SMALL}public_numbers: {{units: 7}}\n"),
        format!("{SMALL}public_numbers: {{rows: 7}}\n"),
        format!("{SMALL}public_numbers: {{largest: 7}}\n"),
        format!("{SMALL}public_numbers: {{largest: 8}}\n"),
        format!("{SMALL}public_numbers: {{largest: 8, smallest_group: 2}}\n"),
    ];
    let mut digests: Vec<String> = different.iter().map(|text| digest(text)).collect();
    digests.push(digest(SMALL));
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), different.len() + 1);
}

#[test]
fn the_digest_sees_all_of_a_differentially_private_grant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(folder.path().join("keys.txt"), "A\nB\n").unwrap();
    let of = |rest: &str| {
        let grant = format!("{{partner: r, access: dp, unit: b{rest}}}");
        let text = SMALL.replace("grants: [", &format!("grants: [{grant}, "));
        assert_ne!(text, SMALL);
        load_bytes(&path, text.as_bytes()).unwrap_or_else(|report| panic!("{report}")).policy
    };
    const GRANT: &str = ", epsilon: 1.0, delta: 1e-8, groups_max: 2, rows_max: 3";
    let first = of(GRANT).digest;
    // What is written and what it stands for are one.
    for same in [
        ", epsilon: 1, delta: 0.00000001, groups_max: 2, rows_max: 3",
        ", rows_max: 3, query: {delta: 1e-9, epsilon: 0.1}, epsilon: 1.0, delta: 1e-8, groups_max: 2",
        ", epsilon: 1.0, delta: 1e-8, groups_max: 2, rows_max: 3, bounds: {}, keys: {}",
    ] {
        assert_eq!(of(same).digest, first, "{same}");
    }
    let bounds = format!("{GRANT}, bounds: {{a: [0, 1]}}");
    assert_eq!(of(&bounds.replace("[0, 1]", "{low: 0, high: 1}")).digest, of(&bounds).digest);
    let mut digests: Vec<String> = [
        GRANT.to_owned(),
        GRANT.replace("1.0", "1.1"),
        GRANT.replace("1e-8", "1e-9"),
        GRANT.replace("groups_max: 2", "groups_max: 3"),
        GRANT.replace("rows_max: 3", "rows_max: 2"),
        format!("{GRANT}, query: {{epsilon: 0.2}}"),
        format!("{GRANT}, query: {{delta: 1e-10}}"),
        bounds.clone(),
        bounds.replace('1', "2"),
        bounds.replace("[0, 1]", "{low: 0, high: 1, step: 0.5}"),
        bounds.replace("[0, 1]", "{low: 0, high: 1, null_as: 0}"),
        bounds.replace("[0, 1]", "{low: 0, high: 1, null_as: 1}"),
        format!("{GRANT}, keys: {{a: [A]}}"),
        format!("{GRANT}, keys: {{a: [A, B]}}"),
        format!("{GRANT}, keys: {{a: [B, A]}}"),
        format!("{GRANT}, keys: {{a: {{file: keys.txt}}}}"),
    ]
    .iter()
    .map(|rest| of(rest).digest)
    .collect();
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), count);
    // A file of public values counts by what it holds now.
    let named = of(&format!("{GRANT}, keys: {{a: {{file: keys.txt}}}}"));
    assert!(named.names_files() && !of(GRANT).names_files());
    assert_eq!(named.digest_now(), named.digest);
    std::fs::write(folder.path().join("keys.txt"), "A\nC\n").unwrap();
    assert_ne!(named.digest_now(), named.digest);
}
