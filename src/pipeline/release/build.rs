//! Builds a release: counts combinations, lets the method decide, rewrites rows by what it decided, measures
//! the files again and pins them. The only place of this room that sees rows. Decides no class itself.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use chrono::{DateTime, SecondsFormat};
use data_encoding::HEXLOWER;

use super::classes::{Classes, Joins};
use super::manifest::{self, Input, Level, Manifest, Part, Rows};
use super::pins::{Note, Verdict};
use super::progress::Progress;
use super::recoding::Recoding;
use super::ruled::{Leaves, Ruled};
use super::scatter::Scatter;
use super::shown::Shown;
use super::spill::{Buckets, Gather, Place, Spill};
use super::store::{Lock, Releases};
use super::table::Table;
use super::write::Form;
use super::{checkpoint, steps, store};
use crate::clock::Clock;
use crate::error::{Code, Context, Error, Result};
use crate::hashed::sha256;
use crate::pipeline::source::{self, Piece, PinnedFile, Snapshot};
use crate::policy::Policy;
use crate::policy::release::{Method, ReleaseRules};

/// About how many bytes of rows one file gets, in memory: one thread sorts as many at a time.
const BUCKET_BYTES: u64 = 64 << 20;

/// The most rows of a file.
const BUCKET_ROWS: u64 = 1 << 20;

/// The most files of about equal size; where they do not hold the rows, files are larger.
const BUCKETS_MAX: u64 = 384;

/// Into how many row groups a release is cut at least, where it has rows enough: they are what shards are
/// made of.
const GROUPS_MIN: u64 = 16;

/// The least and the most rows of a row group.
const GROUP_ROWS: (u64, u64) = (4_096, 131_072);

/// Where the rows of one divided combination go, one after the other.
type Ranks<'a> = Box<dyn Iterator<Item = Option<u32>> + 'a>;

/// Hears how far a build is. Called from several threads.
pub trait Watch: Progress {
    /// Something else is done now.
    fn phase(&self, what: &'static str);
}

/// What is to be built, and for whom to tell.
pub struct Job<'a> {
    /// The policy; it has a release.
    pub policy: &'a Arc<Policy>,
    /// Where releases are.
    pub releases: &'a Releases,
    /// The right to change those of the dataset.
    pub lock: &'a Lock,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Why, where somebody says so.
    pub reason: Option<String>,
    /// Whether the files of the release before stay.
    pub keep: bool,
    /// How many threads work.
    pub threads: usize,
    /// About how many bytes counting may take.
    pub memory_bytes: usize,
    /// Who looks on.
    pub watch: &'a dyn Watch,
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("dataset", &self.policy.dataset).finish_non_exhaustive()
    }
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Built {
    /// It was there already.
    Exists(Manifest),
    /// It was made, and is served from now on.
    Made(Manifest),
}

/// What is found out about a release before its rows are written.
pub(super) struct Found {
    pub(super) table: Table,
    pub(super) recoding: Recoding,
}

/// Builds a release, or finds that it is there.
///
/// A build that fails or is cancelled leaves nothing; one that is killed leaves what it had found out, and
/// the next goes on from there.
///
/// INVARIANT: what is pinned was measured from its own files and gives what the policy asks.
///
/// # Errors
/// [`Code::Policy`] when the release must not be built, or no release satisfies its rules,
/// [`Code::Cancelled`], and what reading and writing say.
pub fn build(job: &Job<'_>) -> Result<Built> {
    let policy = job.policy;
    let none =
        || Error::new(Code::Usage, format!("the policy of `{}` has no release", policy.dataset));
    let rules = policy.release.as_ref().ok_or_else(none)?;
    let digest = policy.release_digest().ok_or_else(none)?;
    job.watch.phase("looking at the data");
    let snapshot = source::snapshot(policy, 1)?;
    let pins = job.releases.pins(&policy.dataset)?;
    let verdict = pins.verdict(rules, snapshot.version(), &digest)?;
    if let Verdict::Exists(id) = &verdict
        && let Some(note) = pins.note(id)
    {
        return Ok(Built::Exists(job.releases.manifest(&policy.dataset, note)?));
    }
    let levels = match &verdict {
        Verdict::AtLevels { levels, .. } => {
            levels.iter().map(|(column, level)| format!("{column}={level}")).collect()
        }
        Verdict::Build | Verdict::Exists(_) => Vec::new(),
    };
    let ring = job.releases.ring();
    // PRIVACY: partners see the name. By a key of ours it tells them nothing of data or policy.
    let labels = ["release", "id", &policy.dataset, snapshot.version(), &digest, &levels.join(",")];
    let id = HEXLOWER.encode(ring.derive::<8>(ring.newest(), &labels)?.expose());
    let part = job.releases.part(job.lock, &id)?;
    let done = assemble(job, rules, &digest, &verdict, &id, &snapshot, &part);
    match done {
        Ok(manifest) => Ok(Built::Made(manifest)),
        Err(error) => {
            let _ = std::fs::remove_dir_all(&part);
            Err(error)
        }
    }
}

fn assemble(
    job: &Job<'_>,
    rules: &ReleaseRules,
    digest: &str,
    verdict: &Verdict,
    id: &str,
    snapshot: &Snapshot,
    part: &Path,
) -> Result<Manifest> {
    clear(part)?;
    let policy = job.policy;
    let of = format!("{id} {digest} {}", snapshot.version());
    let found = match checkpoint::load(part, &of) {
        Some((table, recoding)) => Found { table, recoding },
        None => {
            job.watch.phase("counting combinations");
            let mut table = steps::count(job, rules, snapshot, part)?;
            job.watch.phase("choosing classes");
            let recoding = steps::decide(job, rules, verdict, &table)?;
            // Who is behind combinations was for choosing alone.
            table.units = None;
            checkpoint::save(part, &of, &table, &recoding)?;
            Found { table, recoding }
        }
    };
    let (inputs, written) = thread::scope(|scope| {
        let inputs = scope.spawn(|| inputs(snapshot, job.watch));
        let written = Writing::new(job, rules, &found, snapshot, part).and_then(Writing::run);
        let panicked = |_| Err(Error::new(Code::Internal, "a build's thread panicked"));
        (inputs.join().unwrap_or_else(panicked), written)
    });
    stop(job.watch)?;
    let (inputs, written) = (inputs?, written?);
    job.watch.phase("measuring the release");
    let measured = steps::measure(policy, rules, &found, &written.files, part)?;
    stop(job.watch)?;
    let date = DateTime::from_timestamp(job.clock.now_seconds(), 0).unwrap_or_default();
    let read: u64 = found.table.rows.iter().sum();
    let (levels_of, method) = match verdict {
        Verdict::AtLevels { of, .. } => (Some(of.clone()), rules.method.name()),
        Verdict::Build | Verdict::Exists(_) => (None, rules.method.name()),
    };
    let manifest = Manifest {
        version: manifest::VERSION,
        program: concat!("veilflight ", env!("CARGO_PKG_VERSION")).to_owned(),
        date: date.to_rfc3339_opts(SecondsFormat::Secs, true),
        dataset: policy.dataset.clone(),
        id: id.to_owned(),
        reason: job.reason.clone(),
        data_version: snapshot.version().to_owned(),
        inputs,
        policy_digest: policy.digest.clone(),
        release_digest: digest.to_owned(),
        method: method.to_owned(),
        levels: told_levels(&found),
        levels_of,
        guarantees: measured.guarantees,
        rows: Rows {
            read,
            released: written.files.iter().map(|part| part.rows).sum(),
            suppressed: written.suppressed,
            suppressed_share: if read == 0 { 0.0 } else { written.suppressed as f64 / read as f64 },
            classes: measured.classes,
            smallest: measured.smallest,
        },
        loss: steps::loss(rules, &found.recoding),
        risk: measured.risk,
        columns: written.columns,
        files: written.files,
    };
    let text = manifest.to_text()?;
    checkpoint::remove(part);
    store::write_private(part, manifest::FILE, &text)?;
    let note = Note {
        id: id.to_owned(),
        date: manifest.date.clone(),
        data_version: manifest.data_version.clone(),
        release_digest: digest.to_owned(),
        method: manifest.method.clone(),
        levels: store::levels(&manifest),
        manifest_sha256: manifest::digest(&text),
        dangerous: rules.dangerous_rerelease,
        stored: true,
        withdrawn: None,
    };
    job.releases.publish(job.lock, part, note, job.keep)?;
    Ok(manifest)
}

/// Removes what a killed build left half done, but for what it had found out.
fn clear(part: &Path) -> Result<()> {
    let failed = || format!("`{}` cannot be read", part.display());
    for entry in std::fs::read_dir(part).context(Code::State, failed)? {
        let path = entry.context(Code::State, failed)?.path();
        if path.is_dir() {
            std::fs::remove_dir_all(&path).context(Code::State, failed)?;
        } else if path.file_name().is_some_and(|name| name != checkpoint::FILE) {
            std::fs::remove_file(&path).context(Code::State, failed)?;
        }
    }
    Ok(())
}

fn told_levels(found: &Found) -> Vec<Level> {
    let levels = found.recoding.levels.as_deref().unwrap_or_default();
    let hierarchies = found.table.hierarchies.iter().zip(levels);
    let level = hierarchies.map(|(hierarchy, level)| Level {
        column: hierarchy.name.clone(),
        level: *level,
        last: u32::try_from(hierarchy.levels().saturating_sub(1)).unwrap_or(u32::MAX),
    });
    level.collect()
}

/// The files that are read, with their hashes.
fn inputs(snapshot: &Snapshot, watch: &dyn Watch) -> Result<Vec<Input>> {
    let hash = |file: &&PinnedFile| {
        let failed = || format!("`{}` cannot be read", file.path().display());
        let sha256 =
            sha256(file.open()?, &|| watch.cancelled()).context(Code::SourceUnreadable, failed)?;
        let name = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Input { name, bytes: file.len(), sha256 })
    };
    snapshot.files().iter().map(hash).collect()
}

fn stop(watch: &dyn Watch) -> Result<()> {
    if watch.cancelled() {
        return Err(Error::new(Code::Cancelled, "the build was cancelled"));
    }
    Ok(())
}

/// Rows on their way into files.
struct Writing<'a> {
    job: &'a Job<'a>,
    rules: &'a ReleaseRules,
    snapshot: &'a Snapshot,
    part: &'a Path,
    table: &'a Table,
    shown: Shown,
    classes: Classes,
    most: u64,
}

/// What was written.
struct Written {
    files: Vec<Part>,
    columns: Vec<manifest::Column>,
    suppressed: u64,
}

impl<'a> Writing<'a> {
    fn new(
        job: &'a Job<'a>,
        rules: &'a ReleaseRules,
        found: &'a Found,
        snapshot: &'a Snapshot,
        part: &'a Path,
    ) -> Result<Self> {
        let means = matches!(rules.method, Method::Microaggregation);
        let shown = Shown::new(&found.table, &found.recoding, means)?;
        let classes = Classes::new(&found.table, &found.recoding, &shown)?;
        let most = (BUCKET_BYTES / snapshot.row_bytes().max(1)).clamp(1, BUCKET_ROWS);
        let table = &found.table;
        // All files of rows that are put aside are open at a time.
        let most = most.max(table.rows.iter().sum::<u64>() / BUCKETS_MAX);
        Ok(Self { job, rules, snapshot, part, table, shown, classes, most })
    }

    fn run(self) -> Result<Written> {
        let watch = self.job.watch;
        watch.phase("reading rows");
        let beside = Ruled::new(self.job.policy, self.rules, self.snapshot)?;
        let beside = Arc::clone(beside.schema());
        let buckets = Buckets::new(self.classes.rank_rows(), self.most);
        let ranked = Spill::new(self.part, "ranked", &beside, buckets);
        let divided = self
            .classes
            .divided_rows()
            .map(|rows| Spill::new(self.part, "divided", &beside, Buckets::new(rows, self.most)));
        let rows = AtomicU64::new(0);
        let pieces: VecDeque<Piece> = self.snapshot.pieces().cloned().collect();
        let pieces = Mutex::new(pieces);
        self.in_threads(|| self.read(&pieces, &ranked, divided.as_ref(), &rows))?;
        let read = rows.into_inner();
        let counted: u64 = self.table.rows.iter().sum();
        if read != counted {
            let what = "rows were counted and are not there: the data changed, build again";
            return Err(Error::new(Code::SourceUnreadable, what));
        }
        if let Some(divided) = &divided {
            divided.finish()?;
            let next = AtomicU64::new(0);
            self.in_threads(|| self.divide(divided, &ranked, &next))?;
        }
        ranked.finish()?;
        watch.phase("writing files");
        let form = Form::new(self.job.policy, self.rules, &self.shown, &beside)?;
        let mut files = self.files(&form, &ranked)?;
        if files.is_empty() {
            // No rows are a table too.
            files.push(form.write(&self.file(0), None, &self.shown, 1, &|_| false)?);
        }
        Ok(Written { files, columns: form.columns(), suppressed: self.classes.suppressed() })
    }

    fn file(&self, bucket: usize) -> std::path::PathBuf {
        self.part.join(format!("part-{bucket:05}.parquet"))
    }

    /// Runs the same work in several threads; the first error counts, and ends the others.
    fn in_threads(&self, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
        thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.job.threads.max(1)).map(|_| scope.spawn(&work)).collect();
            let panicked = |_| Err(Error::new(Code::Internal, "a build's thread panicked"));
            // All are waited for, whatever the first says.
            let done: Vec<Result<()>> =
                threads.into_iter().map(|one| one.join().unwrap_or_else(panicked)).collect();
            done.into_iter().collect()
        })
    }

    /// Puts the rows of pieces aside, each in the bucket of its class.
    fn read(
        &self,
        pieces: &Mutex<VecDeque<Piece>>,
        ranked: &Spill,
        divided: Option<&Spill>,
        rows: &AtomicU64,
    ) -> Result<()> {
        let (policy, watch) = (self.job.policy, self.job.watch);
        let ring = self.job.releases.ring();
        let mut ruled = Ruled::new(policy, self.rules, self.snapshot)?;
        let mut scatter = Scatter::new(ring, &policy.dataset, ruled.schema())?;
        let mut leaves: Vec<Leaves> = self.table.hierarchies.iter().map(Leaves::new).collect();
        let scan = ruled.scan(policy, self.snapshot)?;
        let all = self.table.rows.iter().sum();
        let (mut ranked, mut divided) = (Gather::new(ranked), divided.map(Gather::new));
        let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while let Some(piece) = next() {
            for raw in scan.read(&piece)? {
                stop(watch)?;
                let raw = raw?;
                if raw.rows() == 0 {
                    continue;
                }
                let batch = ruled.take(&raw, &mut leaves)?;
                let joins = self.classes.of(&batch.leaves, raw.rows())?;
                let done = rows.fetch_add(raw.rows() as u64, Ordering::Relaxed) + raw.rows() as u64;
                watch.at(done, all);
                if joins.iter().all(|(_, joins)| *joins == Joins::None) {
                    continue;
                }
                let numbers = scatter.numbers(&batch.stored)?;
                let placed = |wanted: &dyn Fn(u32, Joins) -> Option<u32>| -> Vec<Option<Place>> {
                    let rows = joins.iter().zip(&numbers);
                    let place = |((at, joins), number): (&(u32, Joins), &u128)| {
                        Some(Place { group: wanted(*at, *joins)?, number: *number })
                    };
                    rows.map(place).collect()
                };
                if let Some(divided) = &mut divided {
                    let places = placed(&|at, joins| (joins == Joins::Divided).then_some(at));
                    divided.add(batch.stored.clone(), &places)?;
                }
                let places = placed(&|_, joins| match joins {
                    Joins::Rank(rank) => Some(rank),
                    Joins::None | Joins::Divided => None,
                });
                ranked.add(batch.stored, &places)?;
            }
        }
        if let Some(mut divided) = divided {
            divided.flush()?;
        }
        ranked.flush()
    }

    /// Puts rows of divided combinations where they go: in the order of their numbers.
    fn divide(&self, divided: &Spill, ranked: &Spill, next: &AtomicU64) -> Result<()> {
        let mut gather = Gather::new(ranked);
        // A combination may be spread over buckets, and is dealt out in their order: one thread does it.
        if next.fetch_add(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let odd = || Error::new(Code::Internal, "a divided combination has more rows than counted");
        let mut current: Option<(u32, Ranks<'_>)> = None;
        for bucket in 0..divided.len() {
            stop(self.job.watch)?;
            let sorted = divided.sorted(bucket)?;
            let mut places = Vec::with_capacity(sorted.len());
            for place in sorted.places() {
                if current.as_ref().is_none_or(|(combination, _)| *combination != place.group) {
                    current = Some((place.group, Box::new(self.classes.ranks(place.group))));
                }
                let rank = current.as_mut().and_then(|(_, ranks)| ranks.next()).ok_or_else(odd)?;
                places.push(rank.map(|rank| Place { group: rank, number: place.number }));
            }
            for (at, places) in places.chunks(DEALT_ROWS).enumerate() {
                let from = at * DEALT_ROWS;
                gather.add(sorted.rows(from..from + places.len())?, places)?;
            }
        }
        gather.flush()
    }

    /// Writes the files, several at a time.
    fn files(&self, form: &Form, ranked: &Spill) -> Result<Vec<Part>> {
        let watch = self.job.watch;
        let all: u64 = self.classes.rank_rows().iter().sum();
        let group_rows = (all / GROUPS_MIN).clamp(GROUP_ROWS.0, GROUP_ROWS.1);
        let group_rows = usize::try_from(group_rows).unwrap_or(usize::MAX);
        let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let files = Mutex::new(Vec::new());
        self.in_threads(|| {
            loop {
                let bucket = next.fetch_add(1, Ordering::Relaxed);
                let bucket = usize::try_from(bucket).unwrap_or(usize::MAX);
                if bucket >= ranked.len() {
                    return Ok(());
                }
                let sorted = ranked.sorted(bucket)?;
                if sorted.len() == 0 {
                    continue;
                }
                let told = |rows: u64| {
                    watch.at(done.fetch_add(rows, Ordering::Relaxed) + rows, all);
                    watch.cancelled()
                };
                let path = self.file(bucket);
                let part = form.write(&path, Some(&sorted), &self.shown, group_rows, &told)?;
                files.lock().unwrap_or_else(PoisonError::into_inner).push(part);
            }
        })?;
        let mut files = files.into_inner().unwrap_or_else(PoisonError::into_inner);
        files.sort_by(|one: &Part, other| one.name.cmp(&other.name));
        let written: u64 = files.iter().map(|part| part.rows).sum();
        if written != all {
            return Err(Error::new(Code::Internal, "not every row of a class was written"));
        }
        Ok(files)
    }
}

/// Rows that are dealt out to classes at a time.
const DEALT_ROWS: usize = 16 * 1024;
