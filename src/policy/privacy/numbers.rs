//! The numbers of a dataset that its custodian declares public: how many units and rows there are, and how many
//! rows the heaviest unit has. Estimates are made of them, and nothing else. Never looks at data.

use super::DpGrant;
use crate::diagnostic::Span;
use crate::pipeline::transform::Change;
use crate::policy::problem::{Problem, Problems, listed};
use crate::policy::raw::RawNumbers;
use crate::policy::read::Spanned;

/// What anybody may know of a dataset's size, by the custodian's word.
///
/// PRIVACY: written in the policy, never counted from the data: so an estimate tells nothing of the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublicNumbers {
    /// How many units have rows.
    pub units: Option<u64>,
    /// How many rows there are.
    pub rows: Option<u64>,
    /// How many rows the heaviest unit has.
    pub largest: Option<u64>,
    /// How many rows the smallest group has of those by one column with public values.
    pub smallest_group: Option<u64>,
}

/// The numbers of a policy, where they can be those of one table.
pub(in crate::policy) fn numbers(problems: &mut Problems, raw: &RawNumbers) -> PublicNumbers {
    let count = |written: &Option<Spanned<i64>>| u64::try_from(written.as_ref()?.value).ok();
    let found = PublicNumbers {
        units: count(&raw.units),
        rows: count(&raw.rows),
        largest: count(&raw.largest),
        smallest_group: count(&raw.smallest_group),
    };
    let span = |written: &Option<Spanned<i64>>| written.as_ref().map_or(raw.span, |it| it.span);
    let mut refuse = |span: Span, message: &str, help: &str| {
        problems.add(Problem::OutOfRange, span, message).help(help);
    };
    let PublicNumbers { units, rows, largest, smallest_group } = found;
    if smallest_group > rows && rows.is_some() {
        refuse(
            span(&raw.smallest_group),
            "`smallest_group` has more rows than there are",
            "it is the number of rows of the smallest group by a column with `keys`",
        );
    }
    if let (Some(units), Some(rows)) = (units, rows)
        && rows < units
    {
        refuse(
            span(&raw.rows),
            "there are fewer `rows` than `units`",
            "count the units that have rows",
        );
        return found;
    }
    let (Some(rows), Some(largest)) = (rows, largest) else { return found };
    // Every other unit has a row at least.
    let most = rows.saturating_sub(units.unwrap_or(1).saturating_sub(1));
    if largest > most {
        let message = format!("`largest` is more than {most}, which is all that one unit can have");
        refuse(
            span(&raw.largest),
            &message,
            "it is the number of rows of the unit that has the most",
        );
    } else if units.is_some_and(|units| units.saturating_mul(largest) < rows) {
        refuse(
            span(&raw.largest),
            "`units` with `largest` rows each are fewer than `rows`",
            "it is the number of rows of the unit that has the most",
        );
    }
    found
}

/// The numbers count units of one kind: that which all grants protect.
pub(in crate::policy) fn of_one_unit<'a>(
    problems: &mut Problems,
    raw: &RawNumbers,
    grants: impl Iterator<Item = &'a DpGrant>,
) {
    let mut units: Vec<&str> = grants.map(|grant| grant.unit.as_str()).collect();
    units.sort_unstable();
    units.dedup();
    if units.len() > 1 {
        problems
            .add(
                Problem::Refused,
                raw.span,
                format!(
                    "`public_numbers` counts one kind of unit, and grants protect {}",
                    listed(&units)
                ),
            )
            .help("name one `unit` at the top for all grants, or leave the numbers out");
    }
}

/// What changed in the numbers. They change no answer, only what is said before one.
pub(in crate::policy) fn numbers_changes(
    old: Option<PublicNumbers>,
    new: Option<PublicNumbers>,
) -> Vec<(Change, String)> {
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let told = |number: Option<u64>| number.map_or("not told".to_owned(), |it| it.to_string());
    [
        ("units", old.units, new.units),
        ("rows", old.rows, new.rows),
        ("largest", old.largest, new.largest),
        ("smallest_group", old.smallest_group, new.smallest_group),
    ]
    .into_iter()
    .filter(|(_, old, new)| old != new)
    .map(|(name, old, new)| (Change::Moves, format!("{name} was {}, is {}", told(old), told(new))))
    .collect()
}
