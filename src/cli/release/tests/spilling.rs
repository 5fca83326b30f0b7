//! What memory does not hold while a release is counted: put aside, gone afterwards, and not to be told from
//! the release.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::building::build_by;
use super::*;
use crate::pipeline::release::build::{Built, Watch};
use crate::pipeline::release::progress::Progress;

/// Looks for what is put aside while combinations are counted.
struct Eye {
    folder: PathBuf,
    seen: AtomicBool,
    /// Whether to end what it sees.
    ends: bool,
}

impl Progress for Eye {
    fn at(&self, _: u64, _: u64) {}

    fn cancelled(&self) -> bool {
        let below = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
        let parts = below(self.folder.clone()).map(|entry| entry.path());
        let mut files = parts.filter(|path| path.is_dir()).flat_map(below);
        if files.any(|file| file.file_name().to_string_lossy().contains("spill")) {
            self.seen.store(true, Ordering::Relaxed);
        }
        self.ends && self.seen.load(Ordering::Relaxed)
    }
}

impl Watch for Eye {
    fn phase(&self, _: &'static str) {}
}

/// What memory does not hold is put aside, on any number of threads, and nobody can tell from the release.
#[test]
fn a_release_has_the_same_bytes_whether_or_not_persons_fit_into_memory() {
    let release = format!(
        "{}  unit: name\n  l_diversity: {{column: job, l: 2}}\n",
        RELEASE.replace("0.05", "0.2")
    );
    for method in ["lattice", "mondrian"] {
        let mut files = Vec::new();
        for (threads, memory_bytes) in [(2, 64 << 20), (1, 200_000), (2, 300_000), (3, 400_000)] {
            let custody = Custody::empty();
            let key = custody.place().state.join("master.key");
            fs::copy(shared_key().join("master.key"), key).unwrap();
            custody.write_parquet("people/a.parquet", &people(0..20_000), 500);
            custody.write_policy("people.yaml", &policy(method, &release));
            let folder = custody.place().state.join("releases/people");
            let eye = Eye { folder, seen: AtomicBool::default(), ends: false };
            let built = build_by(&custody, &eye, threads, memory_bytes).unwrap();
            let Built::Made(manifest) = built else { panic!("it was not there") };
            // How several threads share rows is theirs to say; what one holds is known.
            let seen = eye.seen.into_inner();
            match threads {
                1 => assert!(seen, "{method}: nothing was put aside"),
                _ => assert!(!seen || memory_bytes < 64 << 20, "{method}: there was room"),
            }
            assert!(parts(&custody, &manifest).iter().all(|path| path.is_file()));
            let place = releases(&custody).place("people", &manifest.id);
            let names = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(names.count(), manifest.files.len() + 1, "files are left");
            files.push(manifest.files);
        }
        assert!(files.iter().all(|one| *one == files[0]), "{method}");
    }
    // Ended in the middle of it, nothing is left.
    let custody = Custody::empty();
    custody.write_parquet("people/a.parquet", &people(0..20_000), 500);
    custody.write_policy("people.yaml", &policy("lattice", &release));
    let folder = custody.place().state.join("releases/people");
    let eye = Eye { folder: folder.clone(), seen: AtomicBool::default(), ends: true };
    assert_eq!(build_by(&custody, &eye, 1, 200_000).unwrap_err().code(), Code::Cancelled);
    let left = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| name != ".lock").count(), 0);
}
