//! The datasets that can be asked for: reads the folder of policies, follows its changes, and
//! remembers the state of each dataset's files for a moment. Does not decide who may see what; that is
//! `policy::plan`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::error::{Code, Context, Error, Result};
use crate::pipeline::release::store::Releases;
use crate::pipeline::source::{self, Snapshot};
use crate::policy::Policy;
use crate::policy::public::stamps;

/// Resolves the bytes of one policy file; the error is the report as it is shown to people.
pub type Loader = Box<dyn Fn(&Path, &[u8]) -> Result<Policy, String> + Send + Sync>;

/// How long a look at a dataset's files stays good.
const SNAPSHOT_GOOD_FOR: Duration = Duration::from_secs(1);

/// The policies in force.
///
/// INVARIANT: a policy gets here through the loader alone; a file that the loader refuses changes
/// nothing. Requests hold the policy they began with.
pub struct Catalog {
    folder: PathBuf,
    loader: Loader,
    shards_max: u32,
    releases: Releases,
    policies: ArcSwap<BTreeMap<String, Arc<Policy>>>,
    files: Mutex<Files>,
    snapshots: Mutex<BTreeMap<String, Arc<Slot>>>,
}

/// What the folder held when it was last looked at.
#[derive(Default)]
struct Files {
    contents: BTreeMap<PathBuf, Vec<u8>>,
    /// What was said of the files that are not in force as they are.
    refused: BTreeMap<PathBuf, String>,
    /// Whether one of them was refused by the loader, which may read more than the policy.
    unread: bool,
    in_force: BTreeMap<PathBuf, Arc<Policy>>,
    /// For each policy in force that names files: the digest with these files, and when public tables were
    /// written.
    named: BTreeMap<PathBuf, String>,
}

/// The files of one dataset; whoever asks while another is looking waits for that look.
#[derive(Default)]
struct Slot(tokio::sync::Mutex<Option<Look>>);

struct Look {
    policy_digest: String,
    at: Instant,
    snapshot: Snapshot,
}

/// What a look at the folder changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// Datasets that are new or have a new policy.
    pub changed: Vec<String>,
    /// Datasets that are no longer served.
    pub removed: Vec<String>,
    /// Files that were refused, with the report for people.
    pub refused: Vec<(PathBuf, String)>,
}

impl Catalog {
    /// Reads all policies of `folder`. Of a policy with a release, what is served is in `releases`.
    ///
    /// # Errors
    /// [`Code::Policy`] when one is invalid, with every report in the text; [`Code::Config`] when the
    /// folder cannot be read.
    pub fn open(
        folder: &Path,
        shards_max: u32,
        releases: Releases,
        loader: Loader,
    ) -> Result<Self> {
        let catalog = Self {
            folder: folder.to_owned(),
            loader,
            shards_max,
            releases,
            policies: ArcSwap::default(),
            files: Mutex::default(),
            snapshots: Mutex::default(),
        };
        let reload = catalog.reload()?;
        if reload.refused.is_empty() {
            return Ok(catalog);
        }
        let reports: Vec<String> = reload.refused.into_iter().map(|(_, report)| report).collect();
        Err(Error::new(Code::Policy, reports.join("\n")))
    }

    /// The policy of a dataset.
    pub fn policy(&self, dataset: &str) -> Option<Arc<Policy>> {
        self.policies.load().get(dataset).cloned()
    }

    /// All policies, by the name of their dataset.
    pub fn policies(&self) -> Arc<BTreeMap<String, Arc<Policy>>> {
        self.policies.load_full()
    }

    /// Looks at the folder again. A valid file takes effect, a removed file's dataset goes, a file that
    /// is refused leaves what was in force. Reads files: not for an async task.
    ///
    /// # Errors
    /// [`Code::Config`] when the folder cannot be read; everything stays in force then.
    pub fn reload(&self) -> Result<Reload> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = read_folder(&self.folder)?;
        let named = digests_now(&files.in_force);
        if contents == files.contents && named == files.named && !files.unread {
            return Ok(Reload::default());
        }
        let mut unread = false;
        let mut refused = BTreeMap::new();
        let mut next = BTreeMap::new();
        for (path, text) in &contents {
            let old = files.in_force.get(path);
            let same =
                files.contents.get(path) == Some(text) && named.get(path) == files.named.get(path);
            // What was refused may be good now: the other file of its dataset is gone, or a file that
            // it names is there.
            if same && !files.refused.contains_key(path) {
                next.extend(old.map(|policy| (path.clone(), Arc::clone(policy))));
                continue;
            }
            match (self.loader)(path, text) {
                Ok(policy) => {
                    next.insert(path.clone(), Arc::new(policy));
                }
                Err(report) => {
                    unread = true;
                    refused.insert(path.clone(), report);
                    next.extend(old.map(|policy| (path.clone(), Arc::clone(policy))));
                }
            }
        }
        refuse_doubles(&mut next, &files.in_force, &mut refused);
        let policies: BTreeMap<String, Arc<Policy>> =
            next.values().map(|policy| (policy.dataset.clone(), Arc::clone(policy))).collect();
        let before = self.policies.load_full();
        let changed = policies
            .values()
            .filter(|new| before.get(&new.dataset).is_none_or(|old| old.digest != new.digest))
            .map(|policy| policy.dataset.clone())
            .collect();
        let removed: Vec<String> =
            before.keys().filter(|name| !policies.contains_key(*name)).cloned().collect();
        self.policies.store(Arc::new(policies));
        // What was said before is not said again.
        let told = refused
            .iter()
            .filter(|(path, report)| files.refused.get(*path) != Some(*report))
            .map(|(path, report)| (path.clone(), report.clone()))
            .collect();
        files.contents = contents;
        files.refused = refused;
        files.unread = unread;
        files.named = digests_now(&next);
        files.in_force = next;
        drop(files);
        let mut snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &removed {
            snapshots.remove(name);
        }
        Ok(Reload { changed, removed, refused: told })
    }

    /// The state of the dataset's files, at most `SNAPSHOT_GOOD_FOR` old: of its release, where the policy
    /// has one.
    ///
    /// # Errors
    /// What [`source::snapshot`] and [`Releases::snapshot`] say.
    pub async fn snapshot(&self, policy: &Arc<Policy>) -> Result<Snapshot> {
        let slot = self.slot(policy);
        let mut last = slot.0.lock().await;
        match last.as_ref() {
            Some(look) if look.is_of(policy) && look.at.elapsed() < SNAPSHOT_GOOD_FOR => {
                Ok(look.snapshot.clone())
            }
            _ => self.look(policy, &mut last).await,
        }
    }

    /// The state of this version where it was looked at last and its files are still the same, so that
    /// the shards of one answer are opened without looking again; else as [`Self::snapshot`].
    ///
    /// # Errors
    /// What [`source::snapshot`] says.
    pub async fn snapshot_of(&self, policy: &Arc<Policy>, version: &str) -> Result<Snapshot> {
        let slot = self.slot(policy);
        let mut last = slot.0.lock().await;
        if let Some(look) = last.as_ref()
            && look.is_of(policy)
            && look.snapshot.version() == version
        {
            let snapshot = look.snapshot.clone();
            if in_the_background(move || snapshot.is_current()).await? {
                return Ok(look.snapshot.clone());
            }
        }
        self.look(policy, &mut last).await
    }

    fn slot(&self, policy: &Policy) -> Arc<Slot> {
        let mut slots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(policy.dataset.clone()).or_default())
    }

    async fn look(&self, policy: &Arc<Policy>, last: &mut Option<Look>) -> Result<Snapshot> {
        let (asked, shards_max) = (Arc::clone(policy), self.shards_max);
        let at = Instant::now();
        let releases = self.releases.clone();
        // INVARIANT: where a policy has a release, nothing of its source is served.
        let look = move || match asked.release {
            Some(_) => releases.snapshot(&asked, shards_max),
            None => source::snapshot(&asked, shards_max),
        };
        let snapshot = in_the_background(look).await?;
        if snapshot.is_err() {
            *last = None;
        }
        let snapshot = snapshot?;
        let policy_digest = policy.digest.clone();
        *last = Some(Look { policy_digest, at, snapshot: snapshot.clone() });
        Ok(snapshot)
    }
}

impl Look {
    fn is_of(&self, policy: &Policy) -> bool {
        self.policy_digest == policy.digest
    }
}

/// Runs what reads files where it blocks nobody.
async fn in_the_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context(Code::Internal, || "the look at the files did not finish".to_owned())
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policies = self.policies.load();
        f.debug_struct("Catalog")
            .field("folder", &self.folder)
            .field("datasets", &policies.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The digests of policies that name files, with these files as they are now.
fn digests_now(policies: &BTreeMap<PathBuf, Arc<Policy>>) -> BTreeMap<PathBuf, String> {
    let public = |policy: &Policy| !policy.public_tables.is_empty();
    let naming = policies.iter().filter(|(_, policy)| policy.names_files() || public(policy));
    let now = |policy: &Policy| format!("{} {}", policy.digest_now(), stamps(policy));
    naming.map(|(path, policy)| (path.clone(), now(policy))).collect()
}

/// Two files with one name, of a dataset or a view: what was in force before stays, what is new is refused.
///
/// INVARIANT: a name means one thing in all policies of a server, so that a statement that reads several
/// datasets never has two of it.
fn refuse_doubles(
    next: &mut BTreeMap<PathBuf, Arc<Policy>>,
    in_force: &BTreeMap<PathBuf, Arc<Policy>>,
    refused: &mut BTreeMap<PathBuf, String>,
) {
    let has = |policy: &Policy, name: &str| policy.names().any(|known| known == name);
    // Each round puts back what was in force, where there are no doubles; so there is a last one.
    while let Some(name) = double(next) {
        let holders: Vec<(PathBuf, bool)> = next
            .iter()
            .filter(|(_, policy)| has(policy, &name))
            .map(|(path, policy)| (path.clone(), policy.dataset == name))
            .collect();
        let all: Vec<String> =
            holders.iter().map(|(path, _)| format!("`{}`", path.display())).collect();
        let datasets = holders.iter().all(|(_, dataset)| *dataset);
        for (path, _) in holders {
            let old = in_force.get(&path);
            let stays = old.is_some_and(|old| has(old, &name));
            match old {
                Some(old) => next.insert(path.clone(), Arc::clone(old)),
                None => next.remove(&path),
            };
            if !stays {
                let all = all.join(" and ");
                let report = if datasets {
                    format!(
                        "error: {all} name the same dataset `{name}`; each dataset has one policy"
                    )
                } else {
                    format!(
                        "error: {all} have a table `{name}`; datasets and views of a server have names \
                         of their own"
                    )
                };
                refused.insert(path, report);
            }
        }
    }
}

/// A name that two policies have.
fn double(policies: &BTreeMap<PathBuf, Arc<Policy>>) -> Option<String> {
    let mut names = BTreeSet::new();
    let mut all = policies.values().flat_map(|policy| policy.names());
    all.find(|name| !names.insert(*name)).map(str::to_owned)
}

/// The policy files of a folder with their contents. Tests of policies and hidden files are not
/// policies.
fn read_folder(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let unreadable =
        |path: &Path| format!("the folder of policies: `{}` cannot be read", path.display());
    let mut contents = BTreeMap::new();
    for entry in std::fs::read_dir(folder).context(Code::Config, || unreadable(folder))? {
        let path = entry.context(Code::Config, || unreadable(folder))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let (stem, is_yaml) = match name.rsplit_once('.') {
            Some((stem, "yaml" | "yml")) => (stem, true),
            _ => (name, false),
        };
        if !is_yaml || name.starts_with('.') || stem.ends_with(".test") || path.is_dir() {
            continue;
        }
        // A file that goes away between the listing and the reading was removed.
        match std::fs::read(&path) {
            Ok(text) => {
                contents.insert(path, text);
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(Error::new(Code::Config, unreadable(&path)).because(cause)),
        }
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyRing, Secret};
    use crate::policy::{Linkage, Nulls, Source};

    /// Files of this test hold `name digest`, or anything else for an invalid one.
    fn loader() -> Loader {
        Box::new(|path, bytes| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let (dataset, digest) = text.split_once(' ').ok_or(format!("bad: {text}"))?;
            Ok(Policy {
                dataset: dataset.to_owned(),
                description: String::new(),
                source: Source::Parquet { paths: vec!["x.parquet".to_owned()] },
                linkage: Linkage::PerPartner,
                rows: None,
                unit: None,
                nulls: Nulls::Keep,
                epoch: None,
                columns: Vec::new(),
                release: None,
                views: Vec::new(),
                privacy: None,
                public_tables: Vec::new(),
                public_numbers: None,
                key_files: Vec::new(),
                grants: Vec::new(),
                digest: digest.to_owned(),
                path: path.to_owned(),
            })
        })
    }

    /// No releases.
    fn releases() -> Releases {
        let ring = KeyRing::new(vec![(1, Secret::new([7; 32]))]).unwrap();
        Releases::new(Path::new("nowhere"), Arc::new(ring))
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(files: &[(&str, &str)]) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            for (name, text) in files {
                folder.write(name, text);
            }
            folder
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.path().join(name), text).unwrap();
        }

        fn remove(&self, name: &str) {
            std::fs::remove_file(self.0.path().join(name)).unwrap();
        }

        fn open(&self) -> Result<Catalog> {
            Catalog::open(self.0.path(), 4, releases(), loader())
        }
    }

    fn served(catalog: &Catalog) -> Vec<(String, String)> {
        catalog.policies().values().map(|p| (p.dataset.clone(), p.digest.clone())).collect()
    }

    fn pair(name: &str, digest: &str) -> (String, String) {
        (name.to_owned(), digest.to_owned())
    }

    #[test]
    fn policies_are_read_and_nothing_else() {
        let folder = Folder::with(&[
            ("a.yaml", "a 1"),
            ("b.yml", "b 1"),
            ("a.test.yaml", "broken"),
            (".hidden.yaml", "broken"),
            ("README.md", "broken"),
        ]);
        assert_eq!(served(&folder.open().unwrap()), [pair("a", "1"), pair("b", "1")]);
    }

    #[test]
    fn an_invalid_policy_stops_the_start_and_every_report_is_told() {
        let folder = Folder::with(&[("a.yaml", "broken"), ("b.yaml", "b 1"), ("c.yaml", "worse")]);
        let error = folder.open().unwrap_err();
        assert_eq!(error.code(), Code::Policy);
        assert_eq!(error.to_string(), "bad: broken\nbad: worse");
    }

    #[test]
    fn a_missing_folder_stops_the_start() {
        let error =
            Catalog::open(Path::new("/nowhere/at/all"), 4, releases(), loader()).unwrap_err();
        assert_eq!(error.code(), Code::Config);
    }

    #[test]
    fn a_valid_change_takes_effect_and_an_invalid_one_leaves_the_old() {
        let folder = Folder::with(&[("a.yaml", "a 1"), ("b.yaml", "b 1")]);
        let catalog = folder.open().unwrap();
        let held = catalog.policy("a").unwrap();
        folder.write("a.yaml", "broken");
        folder.write("b.yaml", "b 2");
        let reload = catalog.reload().unwrap();
        assert_eq!(reload.changed, ["b"]);
        assert_eq!(reload.refused.len(), 1);
        assert_eq!(served(&catalog), [pair("a", "1"), pair("b", "2")]);
        assert_eq!(catalog.reload().unwrap(), Reload::default(), "a refusal is told once");
        folder.write("a.yaml", "a 3");
        assert_eq!(catalog.reload().unwrap().changed, ["a"]);
        assert_eq!(served(&catalog), [pair("a", "3"), pair("b", "2")]);
        assert_eq!(held.digest, "1", "a request keeps the policy it began with");
    }

    #[test]
    fn a_file_that_a_policy_names_is_followed_too() {
        let folder = Folder::with(&[
            ("sites.csv", "fnal;us\ncern;ch\n"),
            (
                "a.yaml",
                "version: 1\ndataset: a\ndescription: A\nsource: {parquet: a.parquet}\n\
                 columns:\n  Site: {hierarchy: {file: sites.csv, level: 1}}\n\
                 grants:\n  - {partner: cern, access: rows}\n",
            ),
        ]);
        let loader: Loader = Box::new(|path, bytes| {
            let loaded = crate::policy::load::load_bytes(path, bytes);
            loaded.map(|loaded| loaded.policy).map_err(|report| report.to_string())
        });
        let catalog = Catalog::open(folder.0.path(), 4, releases(), loader).unwrap();
        let digest = || catalog.policy("a").unwrap().digest.clone();
        let first = digest();
        folder.write("sites.csv", "fnal;us\ncern;fr\n");
        assert_eq!(catalog.reload().unwrap().changed, ["a"]);
        let second = digest();
        assert_ne!(first, second);
        folder.write("sites.csv", "no level");
        assert_eq!(catalog.reload().unwrap().refused.len(), 1);
        assert_eq!(catalog.reload().unwrap(), Reload::default(), "a refusal is told once");
        assert_eq!(digest(), second);
        folder.write("sites.csv", "fnal;us\ncern;ch\n");
        assert_eq!(catalog.reload().unwrap().changed, ["a"]);
        assert_eq!(digest(), first);
    }

    #[test]
    fn a_removed_file_takes_its_dataset_away() {
        let folder = Folder::with(&[("a.yaml", "a 1"), ("b.yaml", "b 1")]);
        let catalog = folder.open().unwrap();
        folder.remove("a.yaml");
        assert_eq!(catalog.reload().unwrap().removed, ["a"]);
        assert_eq!(served(&catalog), [pair("b", "1")]);
    }

    #[test]
    fn a_second_file_for_a_dataset_is_refused() {
        let folder = Folder::with(&[("b.yaml", "a 1")]);
        let catalog = folder.open().unwrap();
        folder.write("a.yaml", "a 2");
        let reload = catalog.reload().unwrap();
        assert_eq!(reload.refused.len(), 1);
        assert!(reload.refused[0].0.ends_with("a.yaml"));
        assert_eq!(served(&catalog), [pair("a", "1")]);
        assert_eq!(folder.open().unwrap_err().code(), Code::Policy);
    }

    #[test]
    fn a_second_file_takes_over_when_the_first_is_gone() {
        let folder = Folder::with(&[("a.yaml", "a 1")]);
        let catalog = folder.open().unwrap();
        folder.write("b.yaml", "a 2");
        assert_eq!(catalog.reload().unwrap().refused.len(), 1);
        folder.write("c.yaml", "c 1");
        assert_eq!(catalog.reload().unwrap().refused, [], "a refusal is told once");
        folder.remove("a.yaml");
        assert_eq!(catalog.reload().unwrap().changed, ["a"]);
        assert_eq!(served(&catalog), [pair("a", "2"), pair("c", "1")]);
    }

    #[test]
    fn a_file_that_takes_the_name_of_another_leaves_both_as_they_were() {
        let folder = Folder::with(&[("a.yaml", "a 1"), ("b.yaml", "b 1")]);
        let catalog = folder.open().unwrap();
        folder.write("b.yaml", "a 2");
        let reload = catalog.reload().unwrap();
        assert_eq!(reload.refused.len(), 1);
        assert!(reload.refused[0].0.ends_with("b.yaml"));
        assert_eq!((reload.changed, reload.removed), (Vec::new(), Vec::new()));
        assert_eq!(served(&catalog), [pair("a", "1"), pair("b", "1")]);
        // The name that `b.yaml` gave up is still held by what was in force.
        folder.write("c.yaml", "b 3");
        assert_eq!(catalog.reload().unwrap().refused.len(), 1);
        assert_eq!(served(&catalog), [pair("a", "1"), pair("b", "1")]);
    }
}
