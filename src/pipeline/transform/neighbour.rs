//! Another column of the same data with its own rule: for a transform that has to say what leaves there.
//! What to do with it is the transform's business.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::DataType;

use super::{Bind, Kernel, TokenMap};
use crate::error::Result;
use crate::keys::ColumnKeys;
use crate::policy::Rule;

/// A column beside the one that is transformed.
#[derive(Debug)]
pub struct Neighbour {
    /// Its name in the data.
    pub column: String,
    /// Its canonical type.
    pub input: DataType,
    /// What is done to it.
    pub rule: Rule,
    /// Keys for its domain, audience and epoch.
    pub keys: ColumnKeys,
}

impl Neighbour {
    /// The type of one value: of a list, that of its items.
    pub fn item(&self) -> &DataType {
        match &self.input {
            DataType::List(item) => item.data_type(),
            other => other,
        }
    }

    /// What the column's rule does to single values; `None` where no stand-in leaves for them, only what is
    /// coarser, nothing, or the value itself.
    ///
    /// Its tokens must be learned before it is asked.
    ///
    /// # Errors
    /// What the transform says.
    pub fn kernel(
        &self,
        tokens: &Arc<dyn TokenMap>,
        folder: &Path,
    ) -> Result<Option<Box<dyn Kernel>>> {
        let Rule { transform, args } = &self.rule;
        let fits = transform.output(args, self.item()).is_ok_and(|output| output.is_some());
        if !transform.is_pseudonym() || !fits || !transform.reads(args).is_empty() {
            return Ok(None);
        }
        let bind = Bind {
            column: &self.column,
            input: self.item(),
            reads: &[],
            keys: &self.keys,
            tokens,
            learned: None,
            neighbours: &[],
            folder,
        };
        transform.kernel(args, &bind).map(Some)
    }
}
