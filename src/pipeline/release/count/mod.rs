//! Counts a dataset: every distinct combination of quasi-identifiers with its rows, persons and sensitive
//! values. Each thread groups what it reads, in codes; at the end groups are joined in the order of their
//! values, so that no thread shows. Decides nothing.
//!
//! Memory follows distinct values and distinct combinations, not rows, and has a bound.

use std::collections::VecDeque;
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

mod codes;
mod columns;
mod distinct;
mod groups;
mod join;
#[cfg(test)]
mod tests;

use columns::Columns;
use distinct::Distinct;
use groups::Groups;

/// What counting may take.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    /// Threads that read and group.
    pub threads: usize,
    /// About how many bytes groups and distinct values may take, all threads together.
    pub memory_bytes: usize,
}

impl Default for Means {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { threads, memory_bytes: 2 << 30 }
    }
}

/// Counts a dataset for its release. The same data give the same table, on any number of threads.
///
/// # Errors
/// What reading and rules say; [`Code::QueryMemory`] when there are too many distinct combinations or values,
/// [`Code::Policy`] for a hierarchy file that is wrong or lacks values, [`Code::Cancelled`].
pub fn table(
    rules: &ReleaseRules,
    policy: &Arc<Policy>,
    snapshot: &Snapshot,
    progress: &dyn Progress,
    means: Means,
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
    let units_of = match &rules.unit {
        None => None,
        Some(unit) => {
            let parts = counted.column(count + sensitive.len())?;
            let distinct = Distinct::join(unit, parts)?;
            // Null is nobody.
            let mut identity = distinct.identity();
            distinct.forget_null(&mut identity);
            Some(distinct.places(&identity))
        }
    };
    join::join(join::Parts { hierarchies, sensitive, values_of, units_of, counted, population })
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
}

impl Counted {
    /// Reads all of a snapshot.
    fn new(
        columns: &Columns<'_>,
        snapshot: &Snapshot,
        progress: &dyn Progress,
        means: Means,
    ) -> Result<Self> {
        let pieces: VecDeque<Piece> = snapshot.pieces().cloned().collect();
        let shared = Shared {
            of: pieces.iter().map(Piece::weight).sum(),
            done: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
            failed: std::sync::atomic::AtomicBool::new(false),
            memory_bytes: means.memory_bytes,
            pieces: Mutex::new(pieces),
            scan: columns.scan(snapshot)?,
            progress,
        };
        let threads = means.threads.clamp(1, shared.of.max(1).try_into().unwrap_or(usize::MAX));
        let work = || {
            let groups = shared.work(columns, snapshot);
            if groups.is_err() {
                shared.failed.store(true, Ordering::Relaxed);
            }
            groups
        };
        let groups = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
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
        match ended {
            Some(error) => Err(error),
            None => Ok(Self { groups: all }),
        }
    }

    fn bytes(&self) -> usize {
        self.groups.iter().map(Groups::bytes).sum()
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
    bytes: AtomicUsize,
    memory_bytes: usize,
    failed: std::sync::atomic::AtomicBool,
}

impl Shared<'_> {
    fn work(&self, columns: &Columns<'_>, snapshot: &Snapshot) -> Result<Groups> {
        let mut kernels = columns.kernels(snapshot)?;
        let mut groups = Groups::new(columns.quasi(), columns.sensitive(), columns.unit());
        let mut held = 0;
        loop {
            let piece = self.pieces.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(piece) = piece else { return Ok(groups) };
            for batch in self.scan.read(&piece)? {
                if self.progress.cancelled() || self.failed.load(Ordering::Relaxed) {
                    return Err(Error::new(Code::Cancelled, "counting was cancelled"));
                }
                let batch = batch?;
                if batch.rows() == 0 {
                    continue;
                }
                let values = kernels.apply(&batch)?;
                groups.add(&values)?;
                let now = groups.bytes();
                let all = self.bytes.fetch_add(now.wrapping_sub(held), Ordering::Relaxed);
                if all.wrapping_add(now.wrapping_sub(held)) > self.memory_bytes {
                    return Err(self.too_many());
                }
                held = now;
            }
            let done = self.done.fetch_add(piece.weight(), Ordering::Relaxed) + piece.weight();
            self.progress.at(done, self.of);
        }
    }

    fn too_many(&self) -> Error {
        let most = self.memory_bytes >> 20;
        let what = format!(
            "the quasi-identifiers have too many distinct combinations for {most} MiB: make values coarser \
             by the columns' own rules (truncate, bucket), or allow more memory"
        );
        Error::new(Code::QueryMemory, what)
    }
}
