//! The policy's output: pieces of files in, transformed columns out. Everything that sends or computes
//! gets its values here; nobody beyond sees what was read. Seals nothing and knows no query.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::ArrayRef;

use super::RawBatch;
use super::learn::BoundColumn;
use super::scan::{Batches, Scan};
use super::source::{Piece, Snapshot};
use super::stream::Pipeline;
use super::transform::column::{ColumnKernel, canonical};
use super::transform::{Neighbour, unit};
use crate::error::{Code, Error, Result};
use crate::keys::ColumnKeys;
use crate::policy::Nulls;
use crate::policy::args::Args;
use crate::policy::plan::{Plan, domain};

/// What is wanted of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// A column of the plan.
    Column(usize),
    /// The number of the row's privacy unit. See [`mod@unit`].
    Unit,
}

/// The policy's output of some pieces, batch by batch.
pub(super) struct Rows {
    lanes: Vec<Lane>,
    scan: Arc<Scan>,
    pieces: VecDeque<Piece>,
    batches: Option<Batches>,
}

/// Columns as they may leave, once sealed: canonical arrays of the planned types, or dictionaries of
/// them. No `Debug`: there is no good reason to print it.
pub(super) struct Transformed {
    /// In the order in which they were picked.
    pub(super) columns: Vec<ArrayRef>,
    /// The number of rows; columns may be none.
    pub(super) rows: usize,
}

impl Rows {
    /// Starts reading `pieces` for what is picked, and only for that. `stop` is asked while whole columns
    /// are learned.
    ///
    /// INVARIANT: a column is decoded only if it is picked, a picked column's transform reads it, or the
    /// policy needs it to let the row out at all.
    ///
    /// # Errors
    /// [`Code::TicketStale`] when a file that the policy names changed, and what kernels and learners say.
    pub(super) fn open(
        pipeline: &Pipeline,
        plan: &Plan,
        snapshot: &Snapshot,
        picks: &[Pick],
        pieces: Vec<Piece>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Self> {
        let lanes = lanes(pipeline, plan, snapshot, picks, stop)?;
        let columns: Vec<String> = lanes
            .iter()
            .flat_map(|lane| std::iter::once(&lane.name).chain(&lane.reads))
            .cloned()
            .collect();
        let scan = Scan::new(plan, snapshot, &columns)?;
        Ok(Self { lanes, scan, pieces: pieces.into(), batches: None })
    }

    /// The next batch, or `None` at the end. A batch may have no rows: it is given all the same, so that
    /// the caller can stop in a part of which the filter leaves nothing.
    ///
    /// # Errors
    /// What the scan and the kernels say.
    pub(super) fn next(&mut self) -> Result<Option<Transformed>> {
        loop {
            if let Some(batch) = self.batches.as_mut().and_then(Iterator::next) {
                return self.transform(&batch?).map(Some);
            }
            match self.pieces.pop_front() {
                Some(piece) => self.batches = Some(self.scan.read(&piece)?),
                None => return Ok(None),
            }
        }
    }

    fn transform(&mut self, batch: &RawBatch) -> Result<Transformed> {
        let rows = batch.rows();
        let columns = if rows == 0 {
            Vec::new()
        } else {
            self.lanes.iter_mut().map(|lane| lane.apply(batch)).collect::<Result<_>>()?
        };
        Ok(Transformed { columns, rows })
    }
}

/// A column on its way: where it comes from and the kernel that rewrites it.
struct Lane {
    name: String,
    reads: Vec<String>,
    kernel: ColumnKernel,
}

impl Lane {
    fn apply(&mut self, batch: &RawBatch) -> Result<ArrayRef> {
        let reads = self.reads.iter().map(|name| batch.column(name)).collect::<Result<Vec<_>>>()?;
        // Kernels do not know their column; whoever reads the log has to.
        self.kernel.apply(&batch.column(&self.name)?, &reads).map_err(|error| {
            Error::new(error.code(), format!("column `{}`: {}", self.name, error.chain()))
        })
    }
}

fn lanes(
    pipeline: &Pipeline,
    plan: &Plan,
    snapshot: &Snapshot,
    picks: &[Pick],
    stop: &dyn Fn() -> bool,
) -> Result<Vec<Lane>> {
    let policy = plan.policy();
    if policy.names_files() && policy.digest_now() != policy.digest {
        // What would leave is not what the ticket, the log and the auditor's digest say.
        return Err(Error::new(Code::TicketStale, "a file that the policy names changed"));
    }
    let epoch = policy.epoch.unwrap_or_else(|| pipeline.ring().newest());
    let bind = |at| bind(pipeline, plan, snapshot, epoch, at);
    let wanted: Vec<usize> = picks
        .iter()
        .filter_map(|pick| match pick {
            Pick::Column(at) => Some(*at),
            Pick::Unit => None,
        })
        .collect();
    let lessons = pipeline.school().attend(plan, snapshot, epoch, &wanted, &bind, stop)?;
    let token_nulls = policy.nulls == Nulls::Token;
    let lane = |pick: &Pick| {
        let at = match pick {
            Pick::Column(at) => *at,
            Pick::Unit => return unit_lane(pipeline, plan, epoch),
        };
        let column = plan.columns().get(at).ok_or_else(no_such_column)?;
        let bound = bind(at)?;
        let learned = lessons.get(at).and_then(Option::as_ref);
        let transform = column.rule.transform;
        let kernel = transform.kernel(&column.rule.args, &bound.bind(plan, at, learned)?)?;
        Ok(Lane {
            name: column.name.clone(),
            kernel: ColumnKernel::new(
                kernel,
                !bound.reads.is_empty(),
                token_nulls && transform.is_pseudonym(),
            )
            .with_elements(column.item()),
            reads: bound.reads.into_iter().map(|(name, _)| name).collect(),
        })
    };
    picks.iter().map(lane).collect()
}

/// The lane that numbers privacy units.
fn unit_lane(pipeline: &Pipeline, plan: &Plan, epoch: u32) -> Result<Lane> {
    let name = plan.unit().map(str::to_owned).ok_or_else(|| {
        Error::new(
            Code::DatasetUnavailable,
            "neither policy nor grant names a unit, and units were asked for",
        )
    })?;
    // Its own rule says which values are one: also where that rule lets nothing out.
    let rule = plan.policy().columns.iter().find(|column| column.name == name);
    let none = Args::new();
    let args = rule.map_or(&none, |column| &column.rule.args);
    let domain = format!("unit:{}", plan.dataset());
    let keys = ColumnKeys::new(Arc::clone(pipeline.ring()), &domain, plan.audience(), epoch);
    let kernel = ColumnKernel::new(unit::kernel(&keys, args)?, false, false);
    Ok(Lane { name, reads: Vec::new(), kernel })
}

pub(super) fn bind(
    pipeline: &Pipeline,
    plan: &Plan,
    snapshot: &Snapshot,
    epoch: u32,
    at: usize,
) -> Result<BoundColumn> {
    let column = plan.columns().get(at).ok_or_else(no_such_column)?;
    let reads = column
        .rule
        .transform
        .reads(&column.rule.args)
        .into_iter()
        .map(|name| {
            let field = snapshot.schema().field_with_name(&name).map_err(|_| {
                Error::new(Code::SchemaDrift, format!("the data has no column `{name}`"))
            })?;
            Ok((name, canonical(field.data_type())))
        })
        .collect::<Result<Vec<_>>>()?;
    let neighbours = column
        .rule
        .transform
        .learns_from(&column.rule.args)
        .into_iter()
        .map(|name| neighbour(pipeline, plan, snapshot, epoch, name))
        .collect::<Result<Vec<_>>>()?;
    Ok(BoundColumn {
        neighbours,
        keys: ColumnKeys::new(Arc::clone(pipeline.ring()), &column.domain, plan.audience(), epoch),
        types: reads.iter().map(|(_, kind)| kind.clone()).collect(),
        reads,
        tokens: Arc::clone(pipeline.tokens()),
    })
}

/// A column that another one learns from, with its own rule and keys, whether it leaves or not.
fn neighbour(
    pipeline: &Pipeline,
    plan: &Plan,
    snapshot: &Snapshot,
    epoch: u32,
    name: String,
) -> Result<Neighbour> {
    let missing = || Error::new(Code::SchemaDrift, format!("the data has no column `{name}`"));
    let policy = plan.policy();
    let column = policy.columns.iter().find(|column| column.name == name).ok_or_else(missing)?;
    let field = snapshot.schema().field_with_name(&name).map_err(|_| missing())?;
    let input = canonical(field.data_type());
    let ring = Arc::clone(pipeline.ring());
    let keys = ColumnKeys::new(ring, &domain(policy, column), plan.audience(), epoch);
    Ok(Neighbour { input, rule: column.rule.clone(), keys, column: name })
}

fn no_such_column() -> Error {
    Error::new(Code::Internal, "no such column")
}
