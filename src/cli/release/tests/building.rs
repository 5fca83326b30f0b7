//! How a build goes: what it tells, how it ends early, what the next one takes up, and who waits. What is
//! released is looked at beside.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::pipeline::release::build::{Built, Job, Watch, build};
use crate::pipeline::release::progress::Progress;
use crate::policy::load::load;

/// Hears what is done, and may end it.
#[derive(Default)]
struct Ear {
    phases: Mutex<Vec<&'static str>>,
    /// At which phase a copy of the build's folder is taken and the build ended.
    until: Option<(&'static str, PathBuf, PathBuf)>,
    over: AtomicBool,
}

impl Progress for Ear {
    fn at(&self, _: u64, _: u64) {}

    fn cancelled(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

impl Watch for Ear {
    fn phase(&self, what: &'static str) {
        self.phases.lock().unwrap().push(what);
        if let Some((until, from, to)) = &self.until
            && *until == what
        {
            for entry in fs::read_dir(from).unwrap() {
                let part = entry.unwrap().path();
                if part.file_name().unwrap().to_string_lossy().starts_with(".build-") {
                    copy(&part, &to.join(part.file_name().unwrap()));
                }
            }
            self.over.store(true, Ordering::Relaxed);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

fn build_with(custody: &Custody, ear: &Ear) -> Result<Built> {
    build_by(custody, ear, 2, 64 << 20)
}

pub(super) fn build_by(
    custody: &Custody,
    watch: &dyn Watch,
    threads: usize,
    memory_bytes: usize,
) -> Result<Built> {
    let releases = releases(custody);
    let policy = Arc::new(load(&custody.policies().join("people.yaml")).unwrap().policy);
    let lock = releases.lock("people")?;
    build(&Job {
        policy: &policy,
        releases: &releases,
        lock: &lock,
        clock: &*custody.clock,
        reason: None,
        keep: false,
        threads,
        memory_bytes,
        watch,
    })
}

#[test]
fn a_cancelled_build_leaves_nothing_and_a_killed_one_goes_on_where_it_had_counted() {
    let custody = custody(&policy("lattice", RELEASE));
    let folder = custody.place().state.join("releases/people");
    let aside = tempfile::tempdir().unwrap();
    let until = Some(("reading rows", folder.clone(), aside.path().to_owned()));
    let ear = Ear { until, ..Ear::default() };
    assert_eq!(build_with(&custody, &ear).unwrap_err().code(), Code::Cancelled);
    assert!(ear.phases.lock().unwrap().contains(&"counting combinations"));
    let left = || {
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name != ".lock").collect::<Vec<_>>()
    };
    assert_eq!(left(), [] as [OsString; 0], "a cancelled build leaves nothing");
    assert_eq!(pins(&custody).history.len(), 0);
    // What a kill would have left, and beside it the remains of another build.
    let part = fs::read_dir(aside.path()).unwrap().next().unwrap().unwrap().path();
    let name = part.file_name().unwrap().to_owned();
    copy(&part, &folder.join(&name));
    fs::write(folder.join(&name).join("ranked-00000.rows"), "half").unwrap();
    fs::create_dir(folder.join(".build-0000000000000000")).unwrap();
    let ear = Ear::default();
    let Built::Made(resumed) = build_with(&custody, &ear).unwrap() else {
        panic!("it was not there")
    };
    assert!(!ear.phases.lock().unwrap().contains(&"counting combinations"));
    assert_eq!(left().len(), 2, "{:?}", left());
    // The same as without an interruption, where the key is the same.
    let other = Custody::empty();
    fs::copy(custody.place().state.join("master.key"), other.place().state.join("master.key"))
        .unwrap();
    other.write_parquet("people/a.parquet", &people(0..ROWS), 50);
    other.write_policy("people.yaml", &policy("lattice", RELEASE));
    assert_eq!(built(&other).files, resumed.files);
}

#[test]
fn a_checkpoint_of_other_data_is_not_used() {
    let custody = custody(&policy("lattice", RELEASE));
    let folder = custody.place().state.join("releases/people");
    let aside = tempfile::tempdir().unwrap();
    let until = Some(("reading rows", folder.clone(), aside.path().to_owned()));
    let ear = Ear { until, ..Ear::default() };
    assert!(build_with(&custody, &ear).is_err());
    let part = fs::read_dir(aside.path()).unwrap().next().unwrap().unwrap().path();
    copy(&part, &folder.join(part.file_name().unwrap()));
    custody.write_parquet("people/b.parquet", &people(ROWS..ROWS + 40), 50);
    let ear = Ear::default();
    assert!(matches!(build_with(&custody, &ear).unwrap(), Built::Made(_)));
    assert!(ear.phases.lock().unwrap().contains(&"counting combinations"));
    assert!(!folder.join(part.file_name().unwrap()).exists());
}

#[test]
fn while_one_builds_another_is_refused_and_the_old_release_is_served() {
    let custody = custody(&policy("lattice", RELEASE));
    built(&custody);
    let releases = releases(&custody);
    let lock = releases.lock("people").unwrap();
    let (exit, _, err) = call(&custody, "build people");
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("another process"), "{err}");
    assert!(!pulled(&custody.open().unwrap(), "cern").unwrap().is_empty());
    drop(lock);
    assert_eq!(call(&custody, "build people").0, Exit::Done);
}

#[test]
fn a_release_is_served_though_its_source_is_gone() {
    let custody = custody(&policy("lattice", RELEASE));
    let manifest = built(&custody);
    fs::remove_dir_all(custody.policies().join("people")).unwrap();
    let rows = pulled(&custody.open().unwrap(), "cern").unwrap();
    assert_eq!(rows.len() as u64, manifest.rows.released);
}
