//! How a rule is bound before it is known for whom: without a key, without tokens, without other columns. What
//! is counted and what is written pass through the same kernels. Reads no rows.

use std::sync::Arc;

use arrow::datatypes::DataType;

use crate::error::{Code, Error, Result};
use crate::keys::{ColumnKeys, KeyRing};
use crate::pipeline::transform::column::{ColumnKernel, canonical};
use crate::pipeline::transform::{Bind, Counted, TokenMap, elements, unit};
use crate::policy::{Column, Policy};

/// The kernel of a rule that is the same for all partners, and the type that it gives, over a column that lies in
/// the data as `raw`.
///
/// # Errors
/// [`Code::Policy`] for a rule that needs a key, learns, looks at other columns, or gives no single value.
pub(super) fn kernel(
    policy: &Policy,
    column: &Column,
    raw: &DataType,
) -> Result<(ColumnKernel, DataType)> {
    let (transform, args) = (column.rule.transform, &column.rule.args);
    let refused = |reason: &str| refused(policy, column, reason);
    let input = canonical(raw);
    let fit = elements::fit(transform, args, &input).map_err(|reason| refused(&reason))?;
    let output = match fit.output {
        Some(output) if !fit.by_element && !output.is_nested() => output,
        _ => return Err(refused("gives no single value, and a release counts these")),
    };
    let alone = transform.reads(args).is_empty() && transform.learns_from(args).is_empty();
    if transform.is_keyed(args) || transform.learns_column() || !alone {
        return Err(refused("looks at more than the value, and a release is one for all partners"));
    }
    // PRIVACY: a rule that asks for a key all the same fails.
    let keys = ColumnKeys::new(Arc::new(KeyRing::none()), "release", None, 0);
    let tokens: Arc<dyn TokenMap> = Arc::new(NoTokens);
    let bind = Bind {
        column: &column.name,
        input: &input,
        reads: &[],
        keys: &keys,
        tokens: &tokens,
        learned: None,
        neighbours: &[],
        folder: policy.folder(),
    };
    Ok((ColumnKernel::new(transform.kernel(args, &bind)?, false, false), output))
}

/// The kernel of a column that tells persons apart: what its rule calls equal is one person.
///
/// # Errors
/// [`Code::Policy`] for a type that names nobody.
pub(super) fn persons(policy: &Policy, column: &Column, raw: &DataType) -> Result<ColumnKernel> {
    if !unit::fits(&canonical(raw)) {
        return Err(refused(policy, column, "persons cannot be told apart by such a column"));
    }
    Ok(ColumnKernel::new(unit::names(&column.rule.args), false, false))
}

/// That the data lack a column.
pub(super) fn missing(policy: &Policy, column: &str) -> Error {
    let what = format!("dataset `{}`: the data has no column `{column}`", policy.dataset);
    Error::new(Code::SchemaDrift, what)
}

fn refused(policy: &Policy, column: &Column, reason: &str) -> Error {
    let (name, rule) = (&column.name, column.rule.transform.spec().name());
    let what = format!("column `{name}` of `{}`: `{rule}` {reason}", policy.dataset);
    Error::new(Code::Policy, what)
}

/// No rule that a release applies has tokens.
#[derive(Debug)]
struct NoTokens;

impl TokenMap for NoTokens {
    fn numbers(&self, _: &str, _: &[&str]) -> Result<Vec<u64>> {
        Err(Error::new(Code::Internal, "a release has no tokens"))
    }

    fn count(&self, _: &str, _: Counted<'_>, _: &[(u64, u64)]) -> Result<()> {
        Err(Error::new(Code::Internal, "a release has no tokens"))
    }
}
