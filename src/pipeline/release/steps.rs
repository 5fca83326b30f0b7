//! The steps of a build that other rooms answer for: counting combinations, choosing classes, measuring what
//! was written. Decides nothing but who does what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::build::{Found, Job};
use super::count::Means;
use super::manifest::{Guarantee, Manifest, Part, RANK};
use super::measure::{self, Beside};
use super::model::Guarantees;
use super::pins::Verdict;
use super::progress::Progress;
use super::recoding::Recoding;
use super::table::Table;
use super::{count, lattice, microaggregation, mondrian, suppression};
use crate::error::{Code, Error, Result};
use crate::pipeline::source::Snapshot;
use crate::policy::Policy;
use crate::policy::release::{Method, Model, Objective, ReleaseRules};

/// What the files were found to give.
pub(super) struct Measured {
    pub(super) guarantees: Vec<Guarantee>,
    pub(super) risk: BTreeMap<String, f64>,
    pub(super) classes: u64,
    pub(super) smallest: u64,
}

/// Counts the combinations of the rows that the policy lets in. What memory does not hold goes into a folder in
/// `part`, which is gone afterwards.
pub(super) fn count(
    job: &Job<'_>,
    rules: &ReleaseRules,
    snapshot: &Snapshot,
    part: &Path,
) -> Result<Table> {
    // Models ask whether there are k persons, never how many more.
    let k = |model: &Model| if let Model::KAnonymity { k } = model { *k } else { 0 };
    let k = rules.models.iter().map(k).max().unwrap_or(0);
    let means = Means {
        threads: job.threads.max(1),
        memory_bytes: job.memory_bytes,
        spill: Some(part),
        persons_max: Some(usize::try_from(k).unwrap_or(usize::MAX)),
    };
    count::table(rules, job.policy, snapshot, job.watch, means)
}

/// Has the method decide, or the levels of a release before.
pub(super) fn decide(
    job: &Job<'_>,
    rules: &ReleaseRules,
    verdict: &Verdict,
    table: &Table,
) -> Result<Recoding> {
    let (progress, threads): (&dyn Progress, usize) = (job.watch, job.threads.max(1));
    let guarantees = Guarantees::new(rules, table)?;
    if let Verdict::AtLevels { of, levels } = verdict {
        let method = Method::Fixed { levels: levels.clone() };
        let rules = ReleaseRules { method, ..rules.clone() };
        return lattice::fixed(table, &rules, &guarantees, progress).map_err(|error| {
            let what = format!(
                "the data do not give what is asked at the levels of release `{of}`: {}; \
                 `dangerous_rerelease: true` in the policy's release has levels chosen anew",
                error.chain()
            );
            Error::new(error.code(), what)
        });
    }
    match &rules.method {
        Method::Lattice { .. } => lattice::search_on(threads, table, rules, &guarantees, progress),
        Method::Fixed { .. } => lattice::fixed(table, rules, &guarantees, progress),
        Method::Mondrian { .. } => mondrian::mondrian(table, rules, &guarantees, progress, threads),
        Method::Microaggregation => {
            microaggregation::microaggregation(table, rules, &guarantees, progress)
        }
        Method::LocalSuppression => {
            suppression::local_suppression(table, rules, &guarantees, progress)
        }
    }
}

/// What the method made least, by name; several figures where they are compared one by one.
pub(super) fn loss(rules: &ReleaseRules, recoding: &Recoding) -> BTreeMap<String, f64> {
    let name = match &rules.method {
        Method::Lattice { objective: Objective::Loss { aggregate, .. } } => {
            format!("loss, {}", aggregate.name().replace('_', " "))
        }
        Method::Lattice { objective } => objective.name().to_owned(),
        method => method.name().to_owned(),
    };
    let figures = recoding.loss.as_deref().unwrap_or_default();
    match figures {
        [one] => [(name, *one)].into(),
        several => {
            // Two digits, so that names stand in the order of the comparison.
            let place = |at: usize| format!("{RANK}{:02}", at + 1);
            several.iter().enumerate().map(|(at, figure)| (place(at), *figure)).collect()
        }
    }
}

/// Measures files by code of its own, from their own columns.
///
/// # Errors
/// [`Code::Internal`] when they do not give what the rules ask.
pub(super) fn measure(
    policy: &Policy,
    rules: &ReleaseRules,
    found: &Found,
    files: &[Part],
    folder: &Path,
) -> Result<Measured> {
    let persons = Beside::persons(policy, rules.unit.as_deref()).persons;
    let beside = Beside { persons, ..Beside::of(&found.table, &found.recoding) };
    let paths: Vec<PathBuf> = files.iter().map(|part| folder.join(&part.name)).collect();
    let measured = measure::files(&paths, rules, &beside)?;
    measured.satisfies(rules)?;
    let rows: u64 = files.iter().map(|part| part.rows).sum();
    if measured.rows != rows {
        return Err(Error::new(Code::Internal, "the files have not the rows that were written"));
    }
    let suppressed = measured.suppressed().unwrap_or(0.0);
    // What was asked of shares of rows is compared as rows, since shares are rounded.
    if suppressed > rules.suppress_max + f64::EPSILON {
        return Err(Error::new(Code::Internal, "more rows are suppressed than may be"));
    }
    let guarantees = measured.findings.iter().map(|finding| Guarantee {
        model: finding.name.clone(),
        asked: finding.asked,
        achieved: finding.found,
    });
    let per = |rows: u64| if rows == 0 { 0.0 } else { 1.0 / rows as f64 };
    let marketer = if rows == 0 { 0.0 } else { measured.classes() as f64 / rows as f64 };
    let risk = [("prosecutor_max", per(measured.k())), ("marketer", marketer)];
    Ok(Measured {
        guarantees: guarantees.collect(),
        risk: risk.map(|(name, risk)| (name.to_owned(), risk)).into(),
        classes: measured.classes(),
        smallest: measured.smallest(),
    })
}

/// What files that were built before do not give of what can be read from them alone.
pub(super) fn measure_again(
    policy: &Policy,
    rules: &ReleaseRules,
    manifest: &Manifest,
    paths: &[PathBuf],
) -> Result<Option<String>> {
    // Distances to the whole table, and counts of a population, need what only the build had.
    let alone = |model: &Model| {
        use Model::{DistinctL, EntropyL, KAnonymity, RecursiveCl};
        matches!(model, KAnonymity { .. } | DistinctL { .. } | EntropyL { .. } | RecursiveCl { .. })
    };
    let models = rules.models.iter().filter(|model| alone(model)).cloned().collect();
    let rules = ReleaseRules { models, ..rules.clone() };
    let measured = measure::files(paths, &rules, &Beside::persons(policy, rules.unit.as_deref()))?;
    if measured.classes() != manifest.rows.classes || measured.rows != manifest.rows.released {
        return Ok(Some("the files have other rows or classes than the manifest says".to_owned()));
    }
    Ok(measured.satisfies(&rules).err().map(|error| error.to_string()))
}
