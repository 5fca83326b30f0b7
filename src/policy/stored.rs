//! Which columns of a policy stand in a release, and in which form: what the release decides about as it
//! leaves, everything else as it is in the data, since its rules are applied when the release is served.
//! Pure; makes no release.

use arrow::datatypes::{DataType, Field, Schema};

use super::load::leaves;
use super::release::{Method, ReleaseRules};
use super::{Column, Policy};
use crate::pipeline::transform::column::canonical;
use crate::pipeline::transform::elements;

/// In which form a column stands in a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// As its class shows it.
    Quasi,
    /// As its rule leaves it: what the models of the release were measured on.
    Sensitive,
    /// As it is in the data: its rule is applied when it is served.
    Raw,
}

impl Role {
    /// The word in manifests.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Quasi => "quasi",
            Self::Sensitive => "sensitive",
            Self::Raw => "raw",
        }
    }
}

/// The columns that stand in a release, in the order of the policy.
///
/// PRIVACY: a column that does not leave is not stored, unless a rule of a column that leaves needs it or
/// persons are counted by it.
pub fn layout<'a>(policy: &'a Policy, rules: &ReleaseRules) -> Vec<(&'a Column, Role)> {
    let sensitive = rules.sensitive();
    let role = |column: &Column| {
        if rules.is_quasi(&column.name) {
            Some(Role::Quasi)
        } else if sensitive.contains(&column.name.as_str()) {
            Some(Role::Sensitive)
        } else if leaves(&column.rule) || is_needed(policy, rules, &column.name) {
            Some(Role::Raw)
        } else {
            None
        }
    };
    policy.columns.iter().filter_map(|column| Some((column, role(column)?))).collect()
}

/// Whether a raw value of the column is needed when the release is served.
fn is_needed(policy: &Policy, rules: &ReleaseRules, name: &str) -> bool {
    let is_unit = |unit: &Option<String>| unit.as_deref() == Some(name);
    is_unit(&policy.unit) || is_unit(&rules.unit) || read_by(policy, rules, name).is_some()
}

/// A column whose rule reads this one when the release is served.
fn read_by<'a>(policy: &'a Policy, rules: &ReleaseRules, name: &str) -> Option<&'a Column> {
    let sensitive = rules.sensitive();
    policy.columns.iter().find(|column| {
        let (transform, args) = (column.rule.transform, &column.rule.args);
        let served = leaves(&column.rule)
            && !rules.is_quasi(&column.name)
            && !sensitive.contains(&column.name.as_str());
        let reads = || transform.reads(args).into_iter().chain(transform.learns_from(args));
        served && reads().any(|read| read == name)
    })
}

/// Why the release cannot be served by these rules: a rule that reads a column which is generalized or
/// changed when the release is built would read something else than its author meant.
pub fn misread(policy: &Policy, rules: &ReleaseRules) -> Option<String> {
    let changed = layout(policy, rules).into_iter().filter(|(_, role)| *role != Role::Raw);
    changed.into_iter().find_map(|(column, _)| {
        let reader = read_by(policy, rules, &column.name)?;
        Some(format!(
            "the rule of `{}` reads `{}`, of which a release has no raw values",
            reader.name, column.name
        ))
    })
}

/// The types that a quasi-identifier may have in a release: text, whatever it was, so that the schema does
/// not tell how far it was generalized; a number where means stand for values.
pub fn quasi_types(rules: &ReleaseRules) -> &'static [DataType] {
    match rules.method {
        Method::Microaggregation => &[DataType::Utf8, DataType::Float64],
        _ => &[DataType::Utf8],
    }
}

/// The columns that a release of data with the columns `raw` would have; those that do not fit their rules
/// are left out.
pub fn schema(policy: &Policy, rules: &ReleaseRules, raw: &Schema) -> Schema {
    let field = |(column, role): (&Column, Role)| {
        let field = raw.field_with_name(&column.name).ok()?;
        let kind = match role {
            Role::Quasi => quasi_types(rules).last()?.clone(),
            Role::Sensitive => {
                let (transform, args) = (column.rule.transform, &column.rule.args);
                elements::fit(transform, args, &canonical(field.data_type())).ok()?.output?
            }
            Role::Raw => canonical(field.data_type()),
        };
        Some(Field::new(&column.name, kind, true))
    };
    Schema::new(layout(policy, rules).into_iter().filter_map(field).collect::<Vec<_>>())
}
