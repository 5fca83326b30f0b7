//! Optimal full-domain generalization: of all generalizations that take every column to one level, the
//! one that gives the guarantees, with as many rows suppressed as may be, and loses least. Works on
//! distinct combinations; knows nothing of rows or files.
//!
//! The search is in the manner of Flash (Kohlmayer, Prasser, Eckert, Kemper, Kuhn, "Flash: Efficient,
//! Stable and Optimal K-Anonymity", PASSAT 2012) and OLA (El Emam et al., JAMIA 16(5), 2009): where a
//! generalization that fails rules out all finer ones, it goes up a path to the coarsest that could
//! still win and divides the path by halves. Beyond them:
//! - Bounds of the loss are known before anything is grouped, so generalizations are taken in their
//!   order and the search ends when no bound is below the best loss.
//! - Columns alone and in pairs are looked at first (as Incognito does, LeFevre et al., SIGMOD 2005):
//!   what fails for two columns fails for all of them.
//! - Classes are made from the classes of the smallest finer generalization that is still remembered.
//! - Losses are compared with a fixed order behind them, so that the same generalization wins on any
//!   number of threads.

mod classes;
mod floor;
mod hunt;
mod key;
mod layout;
mod order;
mod space;
mod verdict;

use crate::error::{Code, Error, Result};
use crate::policy::release::{Method, Objective, ReleaseRules};

use super::model::{Guarantees, Profile};
use super::objective::{Loss, Marginals, Measure};
use super::progress::Progress;
use super::recoding::{Cell, Part, Recoding};
use super::table::Table;
use classes::{Carry, Classes, Scratch};
use key::Key;
use layout::Layout;
use space::Space;
use verdict::Judge;

/// The optimal generalization of a table, on all processors.
pub fn search(
    table: &Table,
    rules: &ReleaseRules,
    guarantees: &Guarantees,
    progress: &dyn Progress,
) -> Result<Recoding> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    search_on(threads, table, rules, guarantees, progress)
}

/// The same on at most so many threads.
pub fn search_on(
    threads: usize,
    table: &Table,
    rules: &ReleaseRules,
    guarantees: &Guarantees,
    progress: &dyn Progress,
) -> Result<Recoding> {
    let team = Team { threads, work_min: hunt::WORK_MIN };
    search_by(team, table, rules, guarantees, progress)
}

/// Who searches.
#[derive(Debug, Clone, Copy)]
struct Team {
    /// So many threads at most.
    threads: usize,
    /// Less work than this, in classes times generalizations, is one thread's.
    work_min: usize,
}

fn search_by(
    team: Team,
    table: &Table,
    rules: &ReleaseRules,
    guarantees: &Guarantees,
    progress: &dyn Progress,
) -> Result<Recoding> {
    let objective = match &rules.method {
        Method::Lattice { objective } => objective,
        _ => {
            &Objective::Loss { aggregate: crate::policy::release::Aggregate::Rank, gs_factor: 0.5 }
        }
    };
    with_layout(table, Search { table, objective, guarantees, progress, team })
}

/// The generalization with the levels that the rules fix, checked and suppressed only.
pub fn fixed(
    table: &Table,
    rules: &ReleaseRules,
    guarantees: &Guarantees,
    _progress: &dyn Progress,
) -> Result<Recoding> {
    let Method::Fixed { levels } = &rules.method else {
        return Err(Error::new(Code::Internal, "levels are fixed by another method"));
    };
    let chosen = table.hierarchies.iter().map(|hierarchy| {
        let name = &hierarchy.name;
        let level = levels
            .get(name)
            .copied()
            .ok_or_else(|| Error::new(Code::Policy, format!("no level is fixed for `{name}`")))?;
        let known = usize::try_from(level).is_ok_and(|level| level < hierarchy.levels());
        let level = u8::try_from(level).ok().filter(|_| known);
        level.ok_or_else(|| {
            let last = hierarchy.levels().saturating_sub(1);
            Error::new(Code::Policy, format!("the levels of `{name}` are 0 to {last}"))
        })
    });
    let levels: Vec<u8> = chosen.collect::<Result<_>>()?;
    with_layout(table, Fixed { table, levels, guarantees })
}

/// Work over classes, whatever their names take.
trait Work {
    fn run<K: Key>(self, layout: Layout) -> Result<Recoding>;
}

fn with_layout(table: &Table, work: impl Work) -> Result<Recoding> {
    let (layout, bits) = Layout::of(table);
    if bits <= u64::BITS {
        work.run::<u64>(layout)
    } else if bits <= u128::BITS {
        work.run::<u128>(layout)
    } else {
        let text = "the values of the quasi-identifiers are too many to be combined; take fewer \
                    quasi-identifiers, or coarser rules for them";
        Err(Error::new(Code::Policy, text))
    }
}

struct Search<'a> {
    table: &'a Table,
    objective: &'a Objective,
    guarantees: &'a Guarantees,
    progress: &'a dyn Progress,
    team: Team,
}

impl Work for Search<'_> {
    fn run<K: Key>(self, layout: Layout) -> Result<Recoding> {
        let (table, guarantees) = (self.table, self.guarantees);
        let measure = Measure::new(self.objective, table)?;
        let marginals = Marginals::of(table);
        let space = Space::new(table)?;
        let judge = Judge { guarantees, measure: &measure, marginals: &marginals, layout: &layout };
        let carry = carry(guarantees);
        let combinations = Classes::<K>::of(table, &layout, carry);
        let hunt = hunt::Hunt::new(table, &space, &judge, carry, combinations);
        let (levels, loss) = hunt.run(self.progress, self.team)?;
        recoding::<K>(table, &layout, guarantees, &levels, Some(loss))
    }
}

struct Fixed<'a> {
    table: &'a Table,
    levels: Vec<u8>,
    guarantees: &'a Guarantees,
}

impl Work for Fixed<'_> {
    fn run<K: Key>(self, layout: Layout) -> Result<Recoding> {
        recoding::<K>(self.table, &layout, self.guarantees, &self.levels, None)
    }
}

fn carry(guarantees: &Guarantees) -> Carry {
    Carry {
        persons: usize::try_from(guarantees.k()).unwrap_or(usize::MAX),
        values: guarantees.look_at_values(),
        follow: false,
    }
}

/// The classes of a generalization as they are released; those that fail are suppressed.
fn recoding<K: Key>(
    table: &Table,
    layout: &Layout,
    guarantees: &Guarantees,
    levels: &[u8],
    loss: Option<Loss>,
) -> Result<Recoding> {
    let carry = Carry { follow: true, ..carry(guarantees) };
    let combinations = Classes::<K>::of(table, layout, carry);
    let bottom = vec![0; levels.len()];
    let mut scratch = Scratch::default();
    let classes = combinations.roll_up(layout, (&bottom, levels), carry, &mut scratch);
    let mut kept: Vec<Option<u32>> = vec![None; classes.len()];
    let mut cells = Vec::new();
    let (mut suppressed, mut beyond) = (0, false);
    classes.each(|class, profile: &Profile<'_>| {
        let holds = guarantees.hold_for(profile);
        if profile.rows == 0 {
            beyond |= !holds;
        } else if holds {
            if let (Some(kept), Some(key)) = (kept.get_mut(class), classes.keys.get(class)) {
                *kept = u32::try_from(cells.len()).ok();
                cells.push(shown(layout, levels, *key));
            }
        } else {
            suppressed += profile.rows;
        }
        true
    });
    if beyond || suppressed > guarantees.suppressible() {
        return Err(unsatisfiable(&format!(
            "{suppressed} rows would have to be suppressed and {} may be",
            guarantees.suppressible()
        )));
    }
    let parts = (0_u32..).zip(scratch.class_of()).zip(&table.rows);
    let parts = parts.filter(|(_, rows)| **rows > 0).map(|((combination, class), rows)| Part {
        combination,
        class: kept.get(*class as usize).copied().flatten(),
        rows: *rows,
    });
    Ok(Recoding {
        parts: parts.collect(),
        classes: cells,
        levels: Some(levels.iter().map(|level| u32::from(*level)).collect()),
        loss: loss.map(|loss| loss.0),
    })
}

fn shown<K: Key>(layout: &Layout, levels: &[u8], key: K) -> Vec<Cell> {
    let groups = layout.groups(key).zip(levels);
    groups
        .map(|(group, level)| Cell::Group {
            level: u32::from(*level),
            group: u32::try_from(group).unwrap_or(u32::MAX),
        })
        .collect()
}

/// No generalization gives what the policy asks.
fn unsatisfiable(why: &str) -> Error {
    let text = format!("the release's guarantees cannot be given: {why}");
    Error::new(Code::Policy, text)
}

#[cfg(test)]
mod tests;
