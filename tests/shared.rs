//! The data that tests share with other projects, beside this one at `../shared`: where something of them is,
//! or a word that a test is skipped. Holds no data and no expectation of any.
//!
//! Part of the crate's own tests and of the integration binary: both ask in the same way.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file or folder below `../shared`; none, and a word about it, where it is not there. Under `CI=true`, asked
/// when the test runs, the test fails instead.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name);
    let found = find(path, std::env::var_os("CI").as_deref());
    found.unwrap_or_else(|missing| panic!("{missing}"))
}

/// Whether cases that take long without optimization are tried too: under `CI=true`, and where somebody asks with
/// `EVERY=1`. A test that leaves some out says which.
pub(crate) fn every_case() -> bool {
    std::env::var_os("CI").is_some_and(|it| it == "true") || every_case_asked()
}

/// Whether cases that take minutes even so are tried too: where somebody asks with `EVERY=1`, and nowhere else.
pub(crate) fn every_case_asked() -> bool {
    std::env::var_os("EVERY").is_some_and(|it| it == "1")
}

fn find(path: PathBuf, ci: Option<&OsStr>) -> Result<Option<PathBuf>, String> {
    if path.exists() {
        return Ok(Some(path));
    }
    if ci.is_some_and(|ci| ci == "true") {
        return Err(format!("`{}` is missing", path.display()));
    }
    say(&format!("skipped: `{}` is missing", path.display()));
    Ok(None)
}

/// Says what a test leaves out. Written past the harness, which keeps to itself what passing tests print.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[test]
fn missing_data_skip_a_test_and_fail_it_where_they_must_be_there() {
    let (nowhere, ci) = (PathBuf::from("no/such/file"), OsStr::new("true"));
    assert_eq!(find(nowhere.clone(), None), Ok(None));
    assert_eq!(find(nowhere.clone(), Some(OsStr::new("false"))), Ok(None));
    assert_eq!(find(nowhere, Some(ci)), Err("`no/such/file` is missing".to_owned()));
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(find(here.clone(), Some(ci)), Ok(Some(here)));
    assert!(every_case() || std::env::var_os("CI").is_none_or(|it| it != "true"));
}
