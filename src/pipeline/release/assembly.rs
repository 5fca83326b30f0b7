//! The last step of every method that works row by row: classes that show the same are one class,
//! all guarantees are checked on them once more, and rows without a class are counted against what
//! may be suppressed. Chooses no class.

use std::collections::HashMap;

use crate::error::{Code, Error, Result};
use crate::policy::release::{Model, ReleaseRules};

use super::model::{ClassCounts, Guarantees};
use super::recoding::{Cell, Part, Recoding};
use super::table::Table;

/// A class as a method found it.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// What its rows show.
    pub(super) cells: Vec<Cell>,
    /// Combinations, and how many of their rows.
    pub(super) members: Vec<(u32, u64)>,
}

/// Whether k-anonymity by rows is all that is asked for: equal rows may then go into different
/// classes, for nothing tells them apart.
pub(super) fn by_rows_alone(rules: &ReleaseRules, table: &Table) -> bool {
    let rows = rules.models.iter().all(|model| matches!(model, Model::KAnonymity { .. }));
    rows && !rules.models.is_empty() && table.units.is_none()
}

/// The models cannot be met in this way.
pub(super) fn unsatisfiable(context: impl Into<String>) -> Error {
    Error::new(Code::Policy, context)
}

/// Ended by who watches.
pub(super) fn cancelled() -> Error {
    Error::new(Code::Cancelled, "the release was cancelled")
}

/// One recoding of these classes; rows of `left` join none.
pub(super) fn assemble(
    table: &Table,
    guarantees: &Guarantees,
    divisible: bool,
    drafts: Vec<Draft>,
    left: Vec<(u32, u64)>,
) -> Result<Recoding> {
    let mut drafts = joined(table, drafts);
    let mut left = left;
    // INVARIANT: no class leaves without all guarantees, whatever the method believed.
    drafts.retain_mut(|draft| {
        let holds = holds(table, guarantees, divisible, &draft.members);
        if !holds {
            left.append(&mut draft.members);
        }
        holds
    });
    let suppressed: u64 = left.iter().map(|(_, rows)| rows).sum();
    let allowed = guarantees.suppressible();
    if suppressed > allowed {
        return Err(unsatisfiable(format!(
            "{suppressed} rows find no class for which the models hold, and {allowed} may be \
             suppressed: raise `suppress_max`, ask for less, or name fewer quasi-identifiers"
        )));
    }
    let mut parts: Vec<Part> = left.iter().map(|(at, rows)| part(*at, None, *rows)).collect();
    let mut classes = Vec::with_capacity(drafts.len());
    for (class, draft) in (0..).zip(drafts) {
        parts.extend(draft.members.iter().map(|(at, rows)| part(*at, Some(class), *rows)));
        classes.push(draft.cells);
    }
    parts.retain(|part| part.rows > 0);
    parts.sort_unstable_by_key(|part| (part.combination, part.class));
    parts.dedup_by(|next, kept| {
        let same = next.combination == kept.combination && next.class == kept.class;
        if same {
            kept.rows += next.rows;
        }
        same
    });
    Ok(Recoding { parts, classes, levels: None, loss: None })
}

const fn part(combination: u32, class: Option<u32>, rows: u64) -> Part {
    Part { combination, class, rows }
}

/// Whether the guarantees hold for these rows together.
pub(super) fn holds(
    table: &Table,
    guarantees: &Guarantees,
    divisible: bool,
    members: &[(u32, u64)],
) -> bool {
    if divisible {
        let rows: u64 = members.iter().map(|(_, rows)| rows).sum();
        return rows >= guarantees.k();
    }
    let combinations: Vec<u32> = members.iter().map(|(combination, _)| *combination).collect();
    guarantees.hold(&ClassCounts::of(table, &combinations))
}

/// Classes that show the same text are the same class to whoever reads the release. In order of
/// their first combination.
fn joined(table: &Table, drafts: Vec<Draft>) -> Vec<Draft> {
    let mut names: HashMap<Shown<'_>, u32> = HashMap::new();
    let mut keyed: Vec<(Vec<u32>, usize)> = Vec::with_capacity(drafts.len());
    for (place, draft) in drafts.iter().enumerate() {
        let mut key = Vec::with_capacity(draft.cells.len());
        for (column, cell) in draft.cells.iter().enumerate() {
            let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
            key.push(*names.entry(shown(table, column, cell)).or_insert(next));
        }
        keyed.push((key, place));
    }
    drop(names);
    keyed.sort_unstable();
    let mut drafts: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    let mut kept: Vec<Draft> = Vec::with_capacity(drafts.len());
    let mut last: Option<Vec<u32>> = None;
    for (key, place) in keyed {
        let Some(draft) = drafts.get_mut(place).and_then(Option::take) else { continue };
        match (&last, kept.last_mut()) {
            (Some(same), Some(class)) if *same == key => class.members.extend(draft.members),
            _ => kept.push(draft),
        }
        last = Some(key);
    }
    // Stable, so that ties stay in the order of what they show, which is that of the drafts.
    kept.sort_by_cached_key(|draft| draft.members.iter().min().copied());
    kept
}

/// What a reader sees of a cell.
#[derive(PartialEq, Eq, Hash)]
enum Shown<'a> {
    Text(Option<&'a str>),
    Number(Option<u64>),
}

fn shown<'a>(table: &'a Table, column: usize, cell: &'a Cell) -> Shown<'a> {
    match cell {
        Cell::Group { level, group } => {
            let labels = table.hierarchies.get(column).and_then(|h| h.labels.get(*level as usize));
            let label = labels.and_then(|labels| labels.get(*group as usize));
            Shown::Text(label.and_then(Option::as_deref))
        }
        Cell::Label(label) => Shown::Text(label.as_deref()),
        // Both zeros look the same.
        Cell::Number(number) => Shown::Number(number.map(|number| (number + 0.0).to_bits())),
    }
}
