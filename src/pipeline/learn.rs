//! What has to be known of whole columns before the first value leaves: tokens assigned, rare values
//! counted. Done once for the same data, policy, audience and keys; streams that come meanwhile wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::scan::Scan;
use super::source::Snapshot;
use super::transform::column::{observed, to_canonical};
use super::transform::{Bind, Counted, Learned, Learner, TokenMap};
use crate::error::{Code, Error, Result};
use crate::policy::plan::Plan;

/// One entry a planned column: what was learned, where there was something to learn.
type Lessons = Arc<Vec<Option<Learned>>>;

/// Remembers what was learned.
#[derive(Debug, Default)]
pub(super) struct School {
    known: Mutex<BTreeMap<String, Arc<Mutex<Option<Lessons>>>>>,
}

/// How many sets of lessons are remembered; the least in order of name goes first.
const KNOWN_MAX: usize = 256;

/// How many bytes all lessons that are remembered may take, unless one alone takes more.
const BYTES_MAX: usize = 512 << 20;

/// About how many bytes lessons take.
fn bytes(lessons: &[Option<Learned>]) -> usize {
    lessons.iter().flatten().map(Learned::bytes).sum()
}

impl School {
    /// The lessons for a plan over a snapshot; learns them when they are not known. `cancelled` is
    /// asked between batches.
    ///
    /// INVARIANT: where one of the `wanted` columns learns, all of the plan learn, so that the numbers
    /// of tokens do not depend on which columns were asked for first. Where none does, nothing is read.
    pub(super) fn attend(
        &self,
        plan: &Plan,
        snapshot: &Snapshot,
        epoch: u32,
        wanted: &[usize],
        bind: &dyn Fn(usize) -> Result<BoundColumn>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Lessons> {
        let mut learns = false;
        for at in wanted {
            learns = learns || learner(plan, *at, &bind(*at)?)?.is_some();
        }
        if !learns {
            return Ok(Arc::new(vec![None; plan.columns().len()]));
        }
        let version = format!("{}|{}", plan.policy().digest, snapshot.moment());
        let key = format!(
            "{}|{}|{version}|{epoch}",
            plan.dataset(),
            plan.audience().unwrap_or_default(),
        );
        let place = {
            let mut known = lock(&self.known);
            if known.len() >= KNOWN_MAX && !known.contains_key(&key) {
                known.pop_first();
            }
            Arc::clone(known.entry(key.clone()).or_default())
        };
        let mut lessons = lock(&place);
        if let Some(lessons) = lessons.as_ref() {
            return Ok(Arc::clone(lessons));
        }
        let learned = Arc::new(learn(plan, snapshot, &version, bind, cancelled)?);
        *lessons = Some(Arc::clone(&learned));
        drop(lessons);
        self.forget(&key);
        Ok(learned)
    }

    /// Forgets other lessons while all together take more than [`BYTES_MAX`]. Streams that use them keep
    /// them; whoever comes next learns them again.
    fn forget(&self, but: &str) {
        let mut known = lock(&self.known);
        let size = |place: &Arc<Mutex<Option<Lessons>>>| {
            // One that is being learned is not waited for.
            place
                .try_lock()
                .ok()
                .and_then(|lessons| lessons.as_ref().map(|of| bytes(of)))
                .unwrap_or(0)
        };
        let sizes: Vec<(String, usize)> =
            known.iter().map(|(key, place)| (key.clone(), size(place))).collect();
        let mut all: usize = sizes.iter().map(|(_, size)| size).sum();
        for (key, size) in sizes.iter().filter(|(key, size)| key != but && *size > 0) {
            if all <= BYTES_MAX {
                break;
            }
            known.remove(key);
            all -= size;
        }
    }
}

/// What a learner or kernel of one column is bound to, owned.
#[derive(Debug)]
pub(super) struct BoundColumn {
    pub(super) keys: crate::keys::ColumnKeys,
    pub(super) reads: Vec<(String, arrow::datatypes::DataType)>,
    pub(super) types: Vec<arrow::datatypes::DataType>,
    pub(super) tokens: Arc<dyn TokenMap>,
    pub(super) neighbours: Vec<super::transform::Neighbour>,
}

impl BoundColumn {
    /// The borrowed form that transforms take.
    pub(super) fn bind<'a>(
        &'a self,
        plan: &'a Plan,
        at: usize,
        learned: Option<&'a Learned>,
    ) -> Result<Bind<'a>> {
        let column =
            plan.columns().get(at).ok_or_else(|| Error::new(Code::Internal, "no such column"))?;
        Ok(Bind {
            column: &column.name,
            input: column.bound(),
            reads: &self.types,
            keys: &self.keys,
            tokens: &self.tokens,
            learned,
            neighbours: &self.neighbours,
            folder: plan.policy().folder(),
        })
    }
}

struct Pupil {
    at: usize,
    /// The column whose values it gets: its own, or the first of those that it learns from.
    column: String,
    reads: Vec<String>,
    /// Whether it learns from other columns, and so what their rules give must be settled before.
    follows: bool,
    tokens: Arc<dyn TokenMap>,
    by_element: bool,
    learner: Box<dyn Learner>,
}

/// The learner of a column, where it has one.
fn learner(plan: &Plan, at: usize, bound: &BoundColumn) -> Result<Option<Box<dyn Learner>>> {
    let column =
        plan.columns().get(at).ok_or_else(|| Error::new(Code::Internal, "no such column"))?;
    column.rule.transform.learner(&column.rule.args, &bound.bind(plan, at, None)?)
}

fn learn(
    plan: &Plan,
    snapshot: &Snapshot,
    version: &str,
    bind: &dyn Fn(usize) -> Result<BoundColumn>,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Option<Learned>>> {
    let mut lessons = vec![None; plan.columns().len()];
    let mut pupils = Vec::new();
    for (at, column) in plan.columns().iter().enumerate() {
        let bound = bind(at)?;
        if let Some(learner) = learner(plan, at, &bound)? {
            let others: Vec<String> =
                bound.neighbours.iter().map(|neighbour| neighbour.column.clone()).collect();
            let (name, reads) = match others.first() {
                Some(first) => (first.clone(), others.clone()),
                None => {
                    let reads = bound.reads.iter().map(|(name, _)| name.clone()).collect();
                    (column.name.clone(), reads)
                }
            };
            let tokens = Arc::clone(&bound.tokens);
            let follows = !others.is_empty();
            let by_element = column.by_element && !follows;
            let column = name;
            pupils.push(Pupil { at, column, reads, follows, tokens, by_element, learner });
        }
    }
    if pupils.is_empty() {
        return Ok(lessons);
    }
    let columns: Vec<String> = pupils
        .iter()
        .flat_map(|pupil| std::iter::once(&pupil.column).chain(&pupil.reads))
        .cloned()
        .collect();
    let scan = Scan::new(plan, snapshot, &columns)?;
    for piece in snapshot.pieces() {
        for batch in scan.read(piece)? {
            if cancelled() {
                return Err(Error::new(Code::Cancelled, "cancelled while learning"));
            }
            let batch = batch?;
            if batch.rows() == 0 {
                continue;
            }
            for pupil in &mut pupils {
                let values = observed(&batch.column(&pupil.column)?, pupil.by_element)?;
                let reads = pupil
                    .reads
                    .iter()
                    .map(|name| to_canonical(&batch.column(name)?))
                    .collect::<Result<Vec<_>>>()?;
                pupil.learner.observe(&values, &reads)?;
            }
        }
    }
    // INVARIANT: tokens of a column are numbered by its own learner, in its own order, before another
    // column's learner asks for them.
    pupils.sort_by_key(|pupil| pupil.follows);
    for pupil in pupils {
        let mut lesson = pupil.learner.finish()?;
        if let Learned::Tokens(tally) = &mut lesson {
            let tally = std::mem::take(tally);
            let of = Counted { dataset: plan.dataset(), column: &pupil.column, version };
            pupil.tokens.count(&tally.scope, of, &tally.rows)?;
        }
        if let Some(place) = lessons.get_mut(pupil.at) {
            *place = Some(lesson);
        }
    }
    Ok(lessons)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
