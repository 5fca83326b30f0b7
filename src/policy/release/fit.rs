//! Whether hierarchies, models and methods can work on what a column's own rule makes of it. Looks at types
//! alone.

use arrow::datatypes::{DataType, Schema};

use super::{Distance, HierarchyRule, Method, Model, ReleaseRules};
use crate::pipeline::transform::column::canonical;
use crate::pipeline::transform::elements;
use crate::policy::Policy;
use crate::policy::check::type_name;

/// What of a release does not fit the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What it is about.
    pub of: Part,
    /// What is wrong, lower case, no full stop.
    pub reason: String,
}

/// A part of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The quasi-identifier at this place.
    Quasi(usize),
    /// The model at this place.
    Model(usize),
    /// The unit.
    Unit,
}

/// Everything of a policy's release that does not fit the raw columns. A column that the data lack, or
/// that its own rule does not fit, is no business of this.
pub fn misfits(policy: &Policy, raw: &Schema) -> Vec<Misfit> {
    let Some(rules) = &policy.release else { return Vec::new() };
    let mut found = Vec::new();
    for (at, quasi) in rules.quasi_identifiers.iter().enumerate() {
        let Some(kind) = leaving(policy, &quasi.column, raw) else { continue };
        let fits = match rules.method {
            Method::Microaggregation => numeric(&kind)
                .map_err(|reason| format!("`microaggregation` of `{}`: {reason}", quasi.column)),
            _ => fits(&quasi.hierarchy, &kind).map_err(|reason| {
                format!("{} of `{}`: {reason}", word(&quasi.hierarchy), quasi.column)
            }),
        };
        found.extend(fits.err().map(|reason| Misfit { of: Part::Quasi(at), reason }));
    }
    for (at, model) in rules.models.iter().enumerate() {
        let Some(column) = model.column() else { continue };
        let Some(kind) = leaving(policy, column, raw) else { continue };
        let rule = match model {
            Model::TCloseness { distance: Distance::Hierarchical(rule), .. } => rule,
            _ => &HierarchyRule::Top,
        };
        let reason = fits(rule, &kind).err().map(|reason| format!("`{column}`: {reason}"));
        found.extend(reason.map(|reason| Misfit { of: Part::Model(at), reason }));
    }
    if let Some(unit) = &rules.unit
        && let Ok(field) = raw.field_with_name(unit)
    {
        let kind = canonical(field.data_type());
        if !crate::pipeline::transform::unit::fits(&kind) {
            let reason = format!("persons cannot be told apart by {}", type_name(&kind));
            found.push(Misfit { of: Part::Unit, reason });
        }
    }
    found
}

/// The type that a column's own rule makes of it.
fn leaving(policy: &Policy, column: &str, raw: &Schema) -> Option<DataType> {
    let field = raw.field_with_name(column).ok()?;
    let rule = &policy.columns.iter().find(|known| known.name == column)?.rule;
    elements::fit(rule.transform, &rule.args, &canonical(field.data_type())).ok()?.output
}

/// Whether values of this type can be made coarser by a rule.
///
/// # Errors
/// Why not, lower case, no full stop.
pub fn fits(rule: &HierarchyRule, kind: &DataType) -> Result<(), String> {
    match rule {
        HierarchyRule::Intervals { .. } => numeric(kind),
        HierarchyRule::Time(units) => match kind {
            DataType::Timestamp(..) => Ok(()),
            DataType::Date32 | DataType::Date64 => match units.first() {
                Some(unit) if unit == "hour" => Err("dates have no hours".to_owned()),
                _ => Ok(()),
            },
            _ => {
                Err(format!("it wants dates or timestamps, and what leaves is {}", type_name(kind)))
            }
        },
        HierarchyRule::Mask(_) => match kind {
            DataType::Utf8 => Ok(()),
            kind if kind.is_integer() => Ok(()),
            _ => Err(format!(
                "it wants text or whole numbers, and what leaves is {}",
                type_name(kind)
            )),
        },
        HierarchyRule::File { .. } | HierarchyRule::Top => match kind {
            kind if kind.is_nested() => Err(format!("{} have no groups", type_name(kind))),
            DataType::Binary | DataType::FixedSizeBinary(_) => {
                Err(format!("{} has no text", type_name(kind)))
            }
            _ => Ok(()),
        },
    }
}

/// Whether values of this type are numbers.
///
/// # Errors
/// Why not, lower case, no full stop.
pub fn numeric(kind: &DataType) -> Result<(), String> {
    let decimal = matches!(kind, DataType::Decimal128(..) | DataType::Decimal256(..));
    if kind.is_integer() || kind.is_floating() || decimal {
        return Ok(());
    }
    Err(format!("it wants numbers, and what leaves is {}", type_name(kind)))
}

/// The key of the policy that a rule stands under.
pub(super) const fn word(rule: &HierarchyRule) -> &'static str {
    match rule {
        HierarchyRule::File { .. } => "`hierarchy`",
        HierarchyRule::Intervals { .. } => "`intervals`",
        HierarchyRule::Time(_) => "`time`",
        HierarchyRule::Mask(_) => "`mask`",
        HierarchyRule::Top => "`top`",
    }
}

/// The last level of a rule, where it is known without the data: a file is not opened here.
pub(super) fn level_max(rule: &HierarchyRule) -> Option<usize> {
    match rule {
        HierarchyRule::File { .. } => None,
        HierarchyRule::Intervals { widths, .. } => Some(widths.len() + 1),
        HierarchyRule::Time(units) => Some(units.len() + 1),
        HierarchyRule::Mask(counts) => Some(counts.len() + 1),
        HierarchyRule::Top => Some(1),
    }
}

/// Whether nothing but k-anonymity by rows is asked for.
pub(super) fn is_k_by_rows(rules: &ReleaseRules) -> bool {
    rules.unit.is_none()
        && rules.models.iter().all(|model| matches!(model, Model::KAnonymity { .. }))
}
