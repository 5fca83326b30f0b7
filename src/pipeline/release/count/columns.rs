//! The columns that are counted, as their own rules leave them: quasi-identifiers, sensitive columns, and
//! the column of persons as what its rule calls equal. Rules that need a key are refused.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use crate::error::{Code, Error, Result};
use crate::keys::{ColumnKeys, KeyRing};
use crate::pipeline::RawBatch;
use crate::pipeline::scan::Scan;
use crate::pipeline::source::Snapshot;
use crate::pipeline::transform::column::{ColumnKernel, canonical};
use crate::pipeline::transform::{Bind, Counted, TokenMap, elements, unit};
use crate::policy::release::ReleaseRules;
use crate::policy::{Column, Policy};

/// What is counted of a table.
pub(super) struct Columns<'a> {
    policy: &'a Policy,
    quasi: Vec<&'a Column>,
    sensitive: Vec<&'a Column>,
    unit: Option<&'a Column>,
    /// Whether all rows are read, not only those that the policy lets out.
    everything: bool,
}

impl<'a> Columns<'a> {
    /// Of the dataset.
    pub(super) fn of_dataset(
        policy: &'a Policy,
        rules: &ReleaseRules,
        snapshot: &Snapshot,
    ) -> Result<Self> {
        let column = |name: &str| column(policy, name, snapshot);
        let quasi = rules.quasi_identifiers.iter().map(|quasi| column(&quasi.column));
        Ok(Self {
            policy,
            quasi: quasi.collect::<Result<_>>()?,
            sensitive: rules.sensitive().into_iter().map(column).collect::<Result<_>>()?,
            unit: rules.unit.as_deref().map(column).transpose()?,
            everything: false,
        })
    }

    /// Of the population: quasi-identifiers of all its rows. The policy's filter is about other columns.
    pub(super) fn of_population(
        policy: &'a Policy,
        rules: &ReleaseRules,
        snapshot: &Snapshot,
    ) -> Result<Self> {
        let quasi = rules.quasi_identifiers.iter();
        let quasi = quasi.map(|quasi| column(policy, &quasi.column, snapshot));
        let quasi = quasi.collect::<Result<_>>().map_err(|error| {
            Error::new(error.code(), format!("the population of {}", error.chain()))
        })?;
        Ok(Self { policy, quasi, sensitive: Vec::new(), unit: None, everything: true })
    }

    pub(super) const fn quasi(&self) -> usize {
        self.quasi.len()
    }

    pub(super) const fn sensitive(&self) -> usize {
        self.sensitive.len()
    }

    pub(super) const fn unit(&self) -> bool {
        self.unit.is_some()
    }

    /// All, in the order in which they are counted.
    fn all(&self) -> impl Iterator<Item = (&'a Column, bool)> {
        let ruled = self.quasi.iter().chain(&self.sensitive).map(|column| (*column, false));
        ruled.chain(self.unit.map(|column| (column, true)))
    }

    /// The scan of their rows.
    pub(super) fn scan(&self, snapshot: &Snapshot) -> Result<Arc<Scan>> {
        let names: Vec<String> = self.all().map(|(column, _)| column.name.clone()).collect();
        if self.everything {
            return Ok(Arc::new(Scan::everything(&names)));
        }
        Scan::of_policy(self.policy, snapshot, &names)
    }

    /// Kernels for one thread.
    pub(super) fn kernels(&self, snapshot: &Snapshot) -> Result<Kernels> {
        let lane = |(column, is_unit): (&Column, bool)| {
            let field = snapshot.schema().field_with_name(&column.name);
            let field = field.map_err(|_| missing(self.policy, &column.name))?;
            let kernel = kernel(self.policy, column, &canonical(field.data_type()), is_unit)?;
            Ok((column.name.clone(), kernel))
        };
        Ok(Kernels(self.all().map(lane).collect::<Result<_>>()?))
    }
}

/// Columns on their way.
pub(super) struct Kernels(Vec<(String, ColumnKernel)>);

impl Kernels {
    /// The columns of raw rows as they are counted.
    pub(super) fn apply(&mut self, batch: &RawBatch) -> Result<Vec<ArrayRef>> {
        let lanes = self.0.iter_mut();
        let applied = lanes.map(|(name, kernel)| {
            kernel.apply(&batch.column(name)?, &[]).map_err(|error| {
                Error::new(error.code(), format!("column `{name}`: {}", error.chain()))
            })
        });
        applied.collect()
    }
}

fn column<'a>(policy: &'a Policy, name: &str, snapshot: &Snapshot) -> Result<&'a Column> {
    snapshot.schema().field_with_name(name).map_err(|_| missing(policy, name))?;
    let column = policy.columns.iter().find(|column| column.name == name);
    column.ok_or_else(|| missing(policy, name))
}

fn missing(policy: &Policy, column: &str) -> Error {
    let what = format!("dataset `{}`: the data has no column `{column}`", policy.dataset);
    Error::new(Code::SchemaDrift, what)
}

/// The kernel of a rule that is the same for all partners.
fn kernel(
    policy: &Policy,
    column: &Column,
    input: &DataType,
    is_unit: bool,
) -> Result<ColumnKernel> {
    let (transform, args) = (column.rule.transform, &column.rule.args);
    let refused = |reason: &str| {
        let (name, rule) = (&column.name, transform.spec().name());
        let what = format!("column `{name}` of `{}`: `{rule}` {reason}", policy.dataset);
        Error::new(Code::Policy, what)
    };
    if is_unit {
        if !unit::fits(input) {
            return Err(refused("persons cannot be told apart by such a column"));
        }
        return Ok(ColumnKernel::new(unit::names(args), false, false));
    }
    let fit = elements::fit(transform, args, input).map_err(|reason| refused(&reason))?;
    if fit.by_element || fit.output.is_none_or(|output| output.is_nested()) {
        return Err(refused("gives no single value, and a release counts these"));
    }
    let alone = transform.reads(args).is_empty() && transform.learns_from(args).is_empty();
    if transform.is_keyed(args) || transform.learns_column() || !alone {
        return Err(refused("looks at more than the value, and a release is one for all partners"));
    }
    // PRIVACY: a rule that asks for a key all the same fails.
    let keys = ColumnKeys::new(Arc::new(KeyRing::none()), "release", None, 0);
    let tokens: Arc<dyn TokenMap> = Arc::new(NoTokens);
    let bind = Bind {
        column: &column.name,
        input,
        reads: &[],
        keys: &keys,
        tokens: &tokens,
        learned: None,
        neighbours: &[],
        folder: policy.folder(),
    };
    Ok(ColumnKernel::new(transform.kernel(args, &bind)?, false, false))
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
