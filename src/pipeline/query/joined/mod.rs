//! A dataset with columns of public tables beside its own: each row once for each of its matches. The public
//! tables are looked up (`lookup`), the dataset is read as it comes (`scan`); nothing else is decided here.
//!
//! PRIVACY: all of the dataset is read, in its own order, whatever the public tables hold: nothing that is asked
//! of them goes below, no side is chosen by what is known of the data, and nothing here fails on a value.

use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::TableType;
use datafusion::physical_plan::ExecutionPlan;

use super::view::outward;
use crate::error::{Code, Error};

mod lookup;
mod scan;
#[cfg(test)]
mod tests;

pub(super) use lookup::Index;
pub(in crate::pipeline) use lookup::Lookup;
use scan::{JoinedScan, Work};

/// What a column of a public table is called beside those of the dataset: no statement can say it.
pub(in crate::pipeline) fn joined_name(table: &str, column: &str) -> String {
    format!("\0{table}\0{column}")
}

/// The public table and the column that a name of [`joined_name`] stands for.
pub(in crate::pipeline) fn public_name(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix('\0')?.split_once('\0')
}

/// Numbers by the rows that were found in one public table, or in several.
#[derive(Debug)]
pub(in crate::pipeline) struct Numbers {
    /// By table.
    pub(in crate::pipeline) parts: Vec<Part>,
    /// The number of each sum of places; null is none.
    pub(in crate::pipeline) numbers: Int64Array,
}

/// What the row that was found in one table adds to the place of a number.
#[derive(Debug)]
pub(in crate::pipeline) struct Part {
    /// By row of the table.
    pub(in crate::pipeline) rows: Vec<u32>,
    /// Where no row was found.
    pub(in crate::pipeline) none: u32,
}

/// A column of numbers beside the rows.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Beside {
    /// What it is called.
    pub(in crate::pipeline) name: String,
    /// By part of the numbers: the place of its lookup.
    pub(in crate::pipeline) lookups: Vec<usize>,
    /// What it holds.
    pub(in crate::pipeline) numbers: Arc<Numbers>,
}

/// Where a column of the whole comes from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// The column of the dataset in this place.
    Dataset(usize),
    /// The column of this lookup's table.
    Public(usize, usize),
    /// The numbers in this place.
    Beside(usize),
}

/// A dataset beside public tables, as a table: the dataset's columns first, under their own names.
#[derive(Debug)]
pub(in crate::pipeline) struct Joined {
    dataset: Arc<dyn TableProvider>,
    lookups: Vec<Arc<Lookup>>,
    beside: Vec<Beside>,
    from: Vec<Origin>,
    schema: SchemaRef,
}

impl Joined {
    /// The dataset with all columns of the public tables, and numbers beside them.
    pub(in crate::pipeline) fn new(
        dataset: Arc<dyn TableProvider>,
        lookups: Vec<Arc<Lookup>>,
        beside: Vec<Beside>,
    ) -> Self {
        let own = dataset.schema();
        let mut fields: Vec<Field> = own.fields().iter().map(|it| it.as_ref().clone()).collect();
        let mut from: Vec<Origin> = (0..fields.len()).map(Origin::Dataset).collect();
        for (at, lookup) in lookups.iter().enumerate() {
            for (column, field) in lookup.public.schema().fields().iter().enumerate() {
                let name = joined_name(&lookup.public.name, field.name());
                fields.push(field.as_ref().clone().with_name(name).with_nullable(true));
                from.push(Origin::Public(at, column));
            }
        }
        for (at, beside) in beside.iter().enumerate() {
            fields.push(Field::new(&beside.name, DataType::Int64, true));
            from.push(Origin::Beside(at));
        }
        Self { dataset, lookups, beside, from, schema: Arc::new(Schema::new(fields)) }
    }
}

#[async_trait]
impl TableProvider for Joined {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[datafusion::logical_expr::Expr],
        _limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let all = || (0..self.from.len()).collect();
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(all);
        let from: Vec<Origin> =
            wanted.iter().filter_map(|at| self.from.get(*at)).copied().collect();
        let own = self.dataset.schema();
        let mut places: Vec<usize> = Vec::new();
        for part in &from {
            if let Origin::Dataset(at) = part {
                places.push(*at);
            }
        }
        for (name, ..) in self.lookups.iter().flat_map(|lookup| &lookup.keys) {
            places.push(own.index_of(name)?);
        }
        places.sort_unstable();
        places.dedup();
        let place = |at: &usize| places.binary_search(at).ok();
        let lost = || outward(Error::new(Code::Internal, "a column of a join is not read"));
        let mut columns = Vec::new();
        for part in from {
            columns.push(match part {
                Origin::Dataset(at) => Origin::Dataset(place(&at).ok_or_else(lost)?),
                public @ (Origin::Public(..) | Origin::Beside(_)) => public,
            });
        }
        let mut keys = Vec::new();
        for lookup in &self.lookups {
            let own = lookup.keys.iter().map(|(name, ..)| {
                own.index_of(name).ok().and_then(|at| place(&at)).ok_or_else(lost)
            });
            keys.push(own.collect::<EngineResult<Vec<_>>>()?);
        }
        // PRIVACY: no condition and no limit goes to the dataset.
        let input = self.dataset.scan(session, Some(&places), &[], None).await?;
        let schema = Arc::new(self.schema.project(&wanted)?);
        let (lookups, beside) = (self.lookups.clone(), self.beside.clone());
        let work = Work { lookups, beside, keys, columns, schema };
        Ok(Arc::new(JoinedScan::new(input, Arc::new(work))))
    }
}
