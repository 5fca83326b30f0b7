//! `null`: the column's name and type leave, its values do not. A column that should not even be named
//! is `drop`ped instead.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use super::column::nulls;
use super::{Bind, Exposure, Kernel, Spec, Transform};
use crate::error::Result;
use crate::policy::args::Args;

/// Null in every row.
///
/// - What it does: sends null of the column's own type for every row.
/// - What it hides: every value, and which rows had none.
/// - What still leaks: that the column exists, its name and its type.
#[derive(Debug)]
pub(super) struct Null;

static SPEC: Spec = Spec {
    verb: "null",
    method: None,
    primary: None,
    params: &[],
    does: "Sends null in every row; the column keeps its name and type.",
    hides: "Every value, and which rows had one.",
    leaks: "That the column exists, its name and its type.",
    takes: "every type",
    example: "null",
    references: &[],
};

impl Transform for Null {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        Ok(Some(input.clone()))
    }

    fn adds_nulls(&self, _args: &Args) -> bool {
        true
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Nothing
    }

    fn explain(&self, _args: &Args) -> String {
        "Leaves as null in every row.".to_owned()
    }

    fn kernel(&self, _args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        Ok(Box::new(Nothing(bind.input.clone())))
    }
}

struct Nothing(DataType);

impl Kernel for Nothing {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        Ok(nulls(&self.0, values.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn every_row_is_null_and_the_type_stays() {
        let out = testing::apply(&Null, &[], &testing::text(&["alice", "bob"]));
        assert_eq!(testing::texts(&out), [None, None]);
    }
}
