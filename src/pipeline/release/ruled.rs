//! Rows of the data as a release takes them: those that the policy's filter lets in, with columns in the
//! form in which they are stored, and for each row the leaf of each quasi-identifier. Decides nothing
//! about classes and keeps no row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};

use super::keyless;
use super::table::Hierarchy;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::RawBatch;
use crate::pipeline::scan::Scan;
use crate::pipeline::source::Snapshot;
use crate::pipeline::transform::column::{ColumnKernel, canonical, to_canonical};
use crate::policy::release::ReleaseRules;
use crate::policy::stored::{Role, layout};
use crate::policy::{Column, Policy};

/// How the columns of a policy come out of the data, for one thread.
pub(super) struct Ruled {
    quasi: Vec<Kept>,
    stored: Vec<Kept>,
    schema: SchemaRef,
}

/// One column on its way: its name and the kernel that rewrites it, where one does.
struct Kept {
    name: String,
    kernel: Option<ColumnKernel>,
}

/// Rows as a release takes them.
pub(super) struct Batch {
    /// By quasi-identifier: the leaf of each row.
    pub(super) leaves: Vec<Vec<u32>>,
    /// The other columns that are stored, canonical.
    pub(super) stored: RecordBatch,
}

impl Ruled {
    /// Kernels of their own over `snapshot`.
    ///
    /// # Errors
    /// [`Code::Policy`] where a rule cannot be applied before it is known for whom: one that needs a key, a
    /// learner or another column.
    pub(super) fn new(policy: &Policy, rules: &ReleaseRules, snapshot: &Snapshot) -> Result<Self> {
        let bound = |column: &Column, role: Role| -> Result<(Kept, Field)> {
            let name = column.name.clone();
            let field = snapshot
                .schema()
                .field_with_name(&name)
                .map_err(|_| keyless::missing(policy, &name))?;
            if role == Role::Raw {
                let kind = canonical(field.data_type());
                return Ok((
                    Kept { name: name.clone(), kernel: None },
                    Field::new(name, kind, true),
                ));
            }
            let (kernel, output) = keyless::kernel(policy, column, field.data_type())?;
            Ok((Kept { name: name.clone(), kernel: Some(kernel) }, Field::new(name, output, true)))
        };
        let (mut stored, mut fields) = (Vec::new(), Vec::new());
        for (column, role) in layout(policy, rules) {
            if role != Role::Quasi {
                let (kept, field) = bound(column, role)?;
                stored.push(kept);
                fields.push(field);
            }
        }
        let quasi = rules.quasi_identifiers.iter().map(|quasi| {
            let column = policy.columns.iter().find(|column| column.name == quasi.column);
            let column = column.ok_or_else(|| keyless::missing(policy, &quasi.column))?;
            bound(column, Role::Quasi).map(|(kept, _)| kept)
        });
        Ok(Self {
            quasi: quasi.collect::<Result<_>>()?,
            stored,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    /// The columns that are stored beside the quasi-identifiers, in the policy's order.
    pub(super) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The scan of the columns that are needed, under the policy's filter.
    pub(super) fn scan(&self, policy: &Policy, snapshot: &Snapshot) -> Result<Arc<Scan>> {
        let names = self.quasi.iter().chain(&self.stored).map(|kept| kept.name.clone());
        Scan::of_policy(policy, snapshot, &names.collect::<Vec<_>>())
    }

    /// Takes raw rows.
    ///
    /// # Errors
    /// What kernels say, and [`Code::SourceUnreadable`] for a value that was not there when values were
    /// counted.
    pub(super) fn take(&mut self, raw: &RawBatch, places: &mut [Leaves]) -> Result<Batch> {
        let mut leaves = Vec::with_capacity(self.quasi.len());
        for (kept, places) in self.quasi.iter_mut().zip(places) {
            leaves.push(places.of(&kept.apply(raw)?)?);
        }
        let columns = self.stored.iter_mut().map(|kept| to_canonical(&kept.apply(raw)?));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(raw.rows()));
        let stored = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|_| Error::new(Code::Internal, "stored columns do not fit together"))?;
        Ok(Batch { leaves, stored })
    }
}

impl Kept {
    fn apply(&mut self, raw: &RawBatch) -> Result<ArrayRef> {
        let column = raw.column(&self.name)?;
        let Some(kernel) = &mut self.kernel else { return Ok(column) };
        kernel.apply(&column, &[]).map_err(|error| {
            Error::new(error.code(), format!("column `{}`: {}", self.name, error.chain()))
        })
    }
}

/// The leaves of one hierarchy by their values.
#[derive(Debug, Clone)]
pub(super) struct Leaves {
    name: String,
    places: Arc<HashMap<Option<String>, u32>>,
    /// The dictionary that was met last, and the leaves of its values.
    known: Option<(ArrayRef, Vec<Option<u32>>)>,
}

impl Leaves {
    /// Of a hierarchy; its first level has a label for each leaf.
    pub(super) fn new(hierarchy: &Hierarchy) -> Self {
        let labels = hierarchy.labels.first().map(Vec::as_slice).unwrap_or_default();
        let places = labels.iter().cloned().zip(0..).collect();
        Self { name: hierarchy.name.clone(), places: Arc::new(places), known: None }
    }

    /// The leaf of each row.
    fn of(&mut self, values: &ArrayRef) -> Result<Vec<u32>> {
        let failed = || "values of a quasi-identifier have no plain form".to_owned();
        // Each distinct value is looked up once: columns are few values in many rows.
        let dictionary = match values.as_dictionary_opt::<Int32Type>() {
            Some(_) => Arc::clone(values),
            None => {
                let kind = Box::new(values.data_type().clone());
                let kind = DataType::Dictionary(Box::new(DataType::Int32), kind);
                cast(values, &kind).context(Code::Internal, failed)?
            }
        };
        let dictionary = dictionary
            .as_dictionary_opt::<Int32Type>()
            .ok_or_else(|| Error::new(Code::Internal, failed()))?;
        let own = dictionary.values();
        let same =
            |(known, _): &(ArrayRef, Vec<Option<u32>>)| known.to_data().ptr_eq(&own.to_data());
        let (kept, leaves) = match self.known.take().filter(same) {
            Some(known) => known,
            None => {
                let texts = super::text::texts(own)?;
                let texts = texts.as_string::<i32>();
                let leaf = |text: Option<&str>| self.places.get(&text.map(str::to_owned)).copied();
                (Arc::clone(own), texts.iter().map(leaf).collect())
            }
        };
        let null = self.places.get(&None).copied();
        let rows = dictionary.keys().iter().map(|key| {
            let leaf = match key {
                Some(key) => usize::try_from(key).ok().and_then(|key| *leaves.get(key)?),
                None => null,
            };
            leaf.ok_or_else(|| self.changed())
        });
        let rows = rows.collect::<Result<Vec<_>>>();
        self.known = Some((kept, leaves));
        rows
    }

    fn changed(&self) -> Error {
        // PRIVACY: the value is not told.
        let what = format!(
            "column `{}` has a value that it had not when values were counted: the data changed, build \
             again",
            self.name
        );
        Error::new(Code::SourceUnreadable, what)
    }
}
