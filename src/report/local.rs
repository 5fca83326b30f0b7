//! Released data of one partner on the custodian's own machine. A thin coat over [`crate::local`]: it adds no
//! way to a row.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::released::{Answer, Released};
use super::roles::PROTECTION;
use crate::error::{Code, Result};
use crate::local::Local;
use crate::policy::Policy;
use crate::policy::load::leaves;

/// One dataset as one partner gets it.
#[derive(Debug)]
pub struct OnThisMachine {
    local: Local,
    partner: String,
    policy: Arc<Policy>,
    schema: SchemaRef,
    version: Option<String>,
}

impl OnThisMachine {
    /// Opens a dataset for a partner.
    ///
    /// # Errors
    /// When there is no such dataset, no grant, or it cannot be served.
    pub fn open(local: Local, partner: &str, dataset: &str) -> Result<Self> {
        let policy = local.granted(partner, dataset)?;
        let (schema, version) = match local.pull(partner, dataset) {
            // Looked at and not read.
            Ok(pull) => {
                let version = pull.seen.first().map(|seen| seen.data_version.clone());
                (Arc::clone(&pull.schema), version)
            }
            // Who gets aggregates only has no rows to say types of; names are enough to group by.
            Err(error) if error.code() == Code::AggregatesOnly => (names(&policy), None),
            Err(error) => return Err(error),
        };
        Ok(Self { local, partner: partner.to_owned(), policy, schema, version })
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The version of the data, where rows are granted.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

/// The columns that leave, without their types.
fn names(policy: &Policy) -> SchemaRef {
    let leaving = policy.columns.iter().filter(|column| leaves(&column.rule));
    let field = |column: &crate::policy::Column| {
        let protection = (PROTECTION.to_owned(), column.rule.transform.spec().name());
        Field::new(&column.name, DataType::Null, true).with_metadata([protection].into())
    };
    Arc::new(Schema::new(leaving.map(field).collect::<Vec<_>>()))
}

impl Released for OnThisMachine {
    fn schema(&self) -> Result<SchemaRef> {
        Ok(Arc::clone(&self.schema))
    }

    fn query(&self, sql: &str) -> Result<Answer> {
        Ok(Box::new(self.local.query(&self.partner, sql)?))
    }

    fn pull(&self) -> Result<Answer> {
        Ok(Box::new(self.local.pull(&self.partner, &self.policy.dataset)?))
    }
}
