//! `drop`: the column does not leave, and the partner's schema does not name it.

use arrow::datatypes::DataType;

use super::{Bind, Exposure, Kernel, Spec, Transform};
use crate::error::{Code, Error, Result};
use crate::policy::args::Args;

/// No column at all.
///
/// - What it does: leaves the column out of schema and stream; it is not even read.
/// - What it hides: values, type and name.
/// - What still leaks: nothing.
#[derive(Debug)]
pub(super) struct Drop;

static SPEC: Spec = Spec {
    verb: "drop",
    method: None,
    primary: None,
    params: &[],
    does: "Leaves the column out: it is neither read nor named to the partner.",
    hides: "Values, type and name.",
    leaks: "Nothing.",
    takes: "every type",
    example: "drop",
    references: &[],
};

impl Transform for Drop {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn output(&self, _args: &Args, _input: &DataType) -> Result<Option<DataType>, String> {
        Ok(None)
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Nothing
    }

    fn explain(&self, _args: &Args) -> String {
        "Does not leave; the partner does not see that it exists.".to_owned()
    }

    fn kernel(&self, _args: &Args, _bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        Err(Error::new(Code::Internal, "a dropped column has no kernel"))
    }
}
