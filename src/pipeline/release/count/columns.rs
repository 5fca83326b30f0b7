//! The columns that are counted, as their own rules leave them: quasi-identifiers, sensitive columns, and
//! the column of persons as what its rule calls equal. How a rule is bound is in `keyless`.

use std::sync::Arc;

use arrow::array::ArrayRef;

use super::super::keyless;
use crate::error::{Error, Result};
use crate::pipeline::RawBatch;
use crate::pipeline::scan::Scan;
use crate::pipeline::source::Snapshot;
use crate::pipeline::transform::column::ColumnKernel;
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
            let field = field.map_err(|_| keyless::missing(self.policy, &column.name))?;
            let kernel = match is_unit {
                true => keyless::persons(self.policy, column, field.data_type())?,
                false => keyless::kernel(self.policy, column, field.data_type())?.0,
            };
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
    snapshot.schema().field_with_name(name).map_err(|_| keyless::missing(policy, name))?;
    let column = policy.columns.iter().find(|column| column.name == name);
    column.ok_or_else(|| keyless::missing(policy, name))
}
