//! Counts a dataset: every distinct combination of quasi-identifiers with its rows, persons and sensitive
//! values. Each thread groups what it reads, in codes; at the end groups are joined in the order of their
//! values, so that no thread shows. Decides nothing.
//!
//! Memory follows distinct values and distinct combinations, not rows, and has a bound. The table itself must
//! be in memory. Who is behind combinations, and which sensitive values rows have, is put aside (`aside`) when
//! memory does not hold it, and gathered again combination by combination (`deal`).

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray};

use super::hierarchy::{self, Built, Order, Values};
use super::progress::Progress;
use super::table::{Sensitive, Table};
use super::text::texts;
use crate::error::{Code, Error, Result};
use crate::pipeline::scan::Scan;
use crate::pipeline::source::{self, Piece, Snapshot};
use crate::policy::Policy;
use crate::policy::release::{Distance, HierarchyRule, Model, ReleaseRules};

mod aside;
mod codes;
mod columns;
mod deal;
mod distinct;
mod groups;
mod join;
mod order;
#[cfg(test)]
mod tests;

use aside::Aside;
use columns::Columns;
use distinct::Distinct;
use groups::{Bytes, Groups};

/// What counting may take.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// Threads that read and group.
    pub threads: usize,
    /// About how many bytes groups and distinct values may take, all threads together.
    pub memory_bytes: usize,
    /// Where a private folder may be made for what these do not hold. Without one, that is an error.
    pub spill: Option<&'a Path>,
    /// How many persons of a combination are remembered, where it makes no difference whether there are more: a
    /// union of combinations has so many persons if and only if the remembered ones do.
    pub persons_max: Option<usize>,
}

impl Default for Means<'_> {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { threads, memory_bytes: 2 << 30, spill: None, persons_max: None }
    }
}

impl<'a> Means<'a> {
    /// What this machine has, and this folder to spill to.
    pub fn spilling_to(folder: &'a Path) -> Self {
        Self { spill: Some(folder), ..Self::default() }
    }
}

/// Counts a dataset for its release. The same data give the same table, on any number of threads.
///
/// # Errors
/// What reading and rules say; [`Code::QueryMemory`] when there are too many distinct combinations or values for
/// the table to be in memory, [`Code::State`] when nothing can be put aside,
/// [`Code::Policy`] for a hierarchy file that is wrong or lacks values, [`Code::Cancelled`].
pub fn table(
    rules: &ReleaseRules,
    policy: &Arc<Policy>,
    snapshot: &Snapshot,
    progress: &dyn Progress,
    means: Means<'_>,
) -> Result<Table> {
    let columns = Columns::of_dataset(policy, rules, snapshot)?;
    let mut counted = Counted::new(&columns, snapshot, progress, means)?;
    let mut population = match &rules.population {
        None => None,
        Some(source) => {
            let snapshot = source::look(policy.folder(), source, 1)?;
            let columns = Columns::of_population(policy, rules, &snapshot)?;
            let left = means.memory_bytes.saturating_sub(counted.bytes());
            let means = Means { memory_bytes: left, ..means };
            Some(Counted::new(&columns, &snapshot, progress, means)?)
        }
    };
    let count = rules.quasi_identifiers.len();
    let mut hierarchies = Vec::with_capacity(count);
    for (at, quasi) in rules.quasi_identifiers.iter().enumerate() {
        let mut parts = counted.column(at)?;
        if let Some(population) = &mut population {
            parts.extend(population.column(at)?);
        }
        let distinct = Distinct::join(&quasi.column, parts)?;
        let build = |of: &Values<'_>| {
            hierarchy::build(&quasi.hierarchy, of, Order::File, quasi.weight, policy.folder())
        };
        let Built { hierarchy, leaf_of } = distinct.values(|of| build(&of))?;
        let own = counted.groups.len();
        let mut places = distinct.places(&leaf_of);
        let others = places.split_off(own.min(places.len()));
        counted.place(places)?;
        if let Some(population) = &mut population {
            population.place(others)?;
        }
        hierarchies.push(hierarchy);
    }
    let mut sensitive = Vec::new();
    let mut values_of = Vec::new();
    for (at, column) in rules.sensitive().into_iter().enumerate() {
        let distinct = Distinct::join(column, counted.column(count + at)?)?;
        let values = distinct.values(|of| labels(of.values, of.null))?;
        let hierarchy = match distance(rules, column) {
            None => None,
            Some(rule) => {
                let build = |of: &Values<'_>| {
                    hierarchy::build(rule, of, Order::Values, 1.0, policy.folder())
                };
                Some(distinct.values(|of| build(&of))?.hierarchy)
            }
        };
        values_of.push(distinct.places(&distinct.identity()));
        let name = column.to_owned();
        sensitive.push(Sensitive { name, values, counts: Default::default(), hierarchy });
    }
    let units = match &rules.unit {
        None => None,
        Some(_) if counted.aside.is_some() => Some(join::Units::Aside),
        Some(unit) => {
            let parts = counted.column(count + sensitive.len())?;
            let distinct = Distinct::join(unit, parts)?;
            // Null is nobody.
            let mut identity = distinct.identity();
            distinct.forget_null(&mut identity);
            Some(join::Units::Here(distinct.places(&identity)))
        }
    };
    let parts =
        join::Parts { hierarchies, sensitive, values_of, units, means, counted, population };
    join::join(parts, &|| stop(progress))
}

fn stop(progress: &dyn Progress) -> Result<()> {
    if progress.cancelled() {
        return Err(Error::new(Code::Cancelled, "counting was cancelled"));
    }
    Ok(())
}

/// The hierarchy by which a model measures distances of a column.
fn distance<'a>(rules: &'a ReleaseRules, of: &str) -> Option<&'a HierarchyRule> {
    rules.models.iter().find_map(|model| match model {
        Model::TCloseness { column, distance: Distance::Hierarchical(rule), .. }
            if column == of =>
        {
            Some(rule)
        }
        _ => None,
    })
}

/// The texts of values, null last.
fn labels(values: &ArrayRef, null: bool) -> Result<Vec<Option<String>>> {
    let texts = texts(values)?;
    let mut labels: Vec<Option<String>> =
        texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect();
    if null {
        labels.push(None);
    }
    Ok(labels)
}

/// What the threads counted, each with codes of its own.
struct Counted {
    groups: Vec<Groups>,
    /// What memory did not hold; then all that can be put aside is there.
    aside: Option<Arc<Aside>>,
}

impl Counted {
    /// Reads all of a snapshot.
    fn new(
        columns: &Columns<'_>,
        snapshot: &Snapshot,
        progress: &dyn Progress,
        means: Means<'_>,
    ) -> Result<Self> {
        let pieces: VecDeque<Piece> = snapshot.pieces().cloned().collect();
        let shared = Shared {
            of: pieces.iter().map(Piece::weight).sum(),
            done: AtomicU64::new(0),
            stay: AtomicUsize::new(0),
            loose: AtomicUsize::new(0),
            failed: std::sync::atomic::AtomicBool::new(false),
            aside: Mutex::new(None),
            means,
            sensitive: columns.sensitive(),
            pieces: Mutex::new(pieces),
            scan: columns.scan(snapshot)?,
            progress,
        };
        let threads = means.threads.clamp(1, shared.of.max(1).try_into().unwrap_or(usize::MAX));
        let threads = u32::try_from(threads).unwrap_or(u32::MAX);
        let work = &|thread: u32| {
            let groups = shared.work(columns, snapshot, thread);
            if groups.is_err() {
                shared.failed.store(true, Ordering::Relaxed);
            }
            groups
        };
        let groups = std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
            let ended = workers.into_iter().map(|worker| {
                let panicked = |_| Err(Error::new(Code::Internal, "counting panicked"));
                worker.join().unwrap_or_else(panicked)
            });
            ended.collect::<Vec<Result<Groups>>>()
        });
        // Of several errors the first that says what is wrong, not that another thread failed.
        let mut all = Vec::with_capacity(groups.len());
        let mut ended = None;
        for groups in groups {
            match groups {
                Ok(groups) => all.push(groups),
                Err(error) if ended.is_none() || error.code() != Code::Cancelled => {
                    ended = Some(error);
                }
                Err(_) => {}
            }
        }
        if let Some(error) = ended {
            return Err(error);
        }
        let aside = shared.aside.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(aside) = &aside {
            for (thread, groups) in (0_u32..).zip(&mut all) {
                stop(progress)?;
                groups.put_aside(thread, aside)?;
            }
        }
        Ok(Self { groups: all, aside })
    }

    fn bytes(&self) -> usize {
        self.groups.iter().map(|groups| groups.bytes().stay).sum()
    }

    /// The distinct values of a column, thread by thread.
    fn column(&mut self, at: usize) -> Result<Vec<codes::Found>> {
        self.groups.iter_mut().map(|groups| groups.take_values(at)).collect()
    }

    /// Puts the leaves of a quasi-identifier in place of its codes, thread by thread.
    fn place(&mut self, places: Vec<Vec<u32>>) -> Result<()> {
        self.groups.iter_mut().zip(places).try_for_each(|(groups, places)| groups.place(&places))
    }
}

/// What the threads share.
struct Shared<'a> {
    pieces: Mutex<VecDeque<Piece>>,
    scan: Arc<Scan>,
    progress: &'a dyn Progress,
    done: AtomicU64,
    of: u64,
    stay: AtomicUsize,
    loose: AtomicUsize,
    means: Means<'a>,
    sensitive: usize,
    aside: Mutex<Option<Arc<Aside>>>,
    failed: std::sync::atomic::AtomicBool,
}

impl Shared<'_> {
    fn work(&self, columns: &Columns<'_>, snapshot: &Snapshot, thread: u32) -> Result<Groups> {
        let mut kernels = columns.kernels(snapshot)?;
        let mut groups = Groups::new(columns.quasi(), columns.sensitive(), columns.unit());
        let mut held = Bytes::default();
        loop {
            let piece = self.pieces.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(piece) = piece else { return Ok(groups) };
            for batch in self.scan.read(&piece)? {
                stop(self.progress)?;
                if self.failed.load(Ordering::Relaxed) {
                    return Err(Error::new(Code::Cancelled, "counting was cancelled"));
                }
                let batch = batch?;
                if batch.rows() == 0 {
                    continue;
                }
                let values = kernels.apply(&batch)?;
                groups.add(&values)?;
                self.hold(&mut groups, &mut held, thread)?;
            }
            let done = self.done.fetch_add(piece.weight(), Ordering::Relaxed) + piece.weight();
            self.progress.at(done, self.of);
        }
    }

    /// Tells what a thread holds, and puts aside what it can of its share where all hold too much together.
    ///
    /// INVARIANT: where all hold too much, one of them has more than its share, and puts it aside with its next
    /// batch.
    fn hold(&self, groups: &mut Groups, held: &mut Bytes, thread: u32) -> Result<()> {
        let most = self.means.memory_bytes;
        let (stay, loose) = self.tell(groups.bytes(), held);
        if stay.saturating_add(loose) <= most {
            return Ok(());
        }
        if stay > most {
            return Err(self.too_many());
        }
        // What little there is beside a large table is not put aside with every batch.
        let share = (most - stay).max(most / 8) / self.means.threads.max(1);
        if held.loose > share {
            let aside = self.aside()?;
            groups.put_aside(thread, &aside)?;
            self.tell(groups.bytes(), held);
        }
        Ok(())
    }

    /// What all threads hold, now that this one holds `now` and not `held`.
    fn tell(&self, now: Bytes, held: &mut Bytes) -> (usize, usize) {
        let told = |all: &AtomicUsize, now: usize, held: usize| {
            let change = now.wrapping_sub(held);
            all.fetch_add(change, Ordering::Relaxed).wrapping_add(change)
        };
        let all = (told(&self.stay, now.stay, held.stay), told(&self.loose, now.loose, held.loose));
        *held = now;
        all
    }

    /// Where threads put aside what memory does not hold.
    fn aside(&self) -> Result<Arc<Aside>> {
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(aside) = &*aside {
            return Ok(Arc::clone(aside));
        }
        let folder = self.means.spill.ok_or_else(|| self.too_many())?;
        let made = Aside::new(folder, self.sensitive, self.of, self.means.memory_bytes)?;
        Ok(Arc::clone(aside.insert(Arc::new(made))))
    }

    fn too_many(&self) -> Error {
        let most = self.means.memory_bytes >> 20;
        let what = format!(
            "the distinct combinations of quasi-identifiers, and the distinct values of columns, do not fit into \
             {most} MiB, and they must (persons need not, they are put aside): make values coarser by the \
             columns' own rules (truncate, bucket), or allow more memory"
        );
        Error::new(Code::QueryMemory, what)
    }
}
