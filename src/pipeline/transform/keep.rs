//! `keep`: the value leaves as it is. Says nothing of whether that is wise; `policy check` does.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::{Bind, Exposure, Kernel, Spec, Transform};
use crate::error::Result;
use crate::policy::args::Args;

/// The value as it is.
///
/// - What it does: sends the value unchanged.
/// - What it hides: nothing.
/// - What still leaks: the value.
#[derive(Debug)]
pub(super) struct Keep;

static SPEC: Spec = Spec {
    verb: "keep",
    method: None,
    primary: None,
    params: &[],
    does: "Sends the value as it is.",
    hides: "Nothing.",
    leaks: "The value itself, and with it every link to other tables that hold it.",
    takes: "every type",
    example: "keep",
    references: &[],
};

impl Transform for Keep {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        Ok(Some(input.clone()))
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Clear
    }

    fn explain(&self, _args: &Args) -> String {
        "Leaves as it is.".to_owned()
    }

    fn kernel(&self, _args: &Args, _bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        Ok(Box::new(Same))
    }
}

struct Same;

impl Kernel for Same {
    // The seal copies every value into fresh buffers, so handing the array on is safe here.
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        Ok(Arc::clone(values))
    }
}
