//! The privacy unit of a row as a number that says no more than "the same" or "another": what groups
//! are counted by where a grant gives aggregates alone. It is no transform: no policy can name it and
//! it never leaves.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, UInt64Builder};
use arrow::datatypes::DataType;

use super::mac::{Label, Mac};
use super::normalize::Normalization;
use super::{Kernel, plain};
use crate::error::Result;
use crate::keys::ColumnKeys;
use crate::policy::args::Args;

/// Whether units can be told apart by a column of this canonical type.
pub const fn fits(input: &DataType) -> bool {
    plain::reads(input)
}

/// The kernel that numbers units: the first 64 bits of a keyed hash; null stays null, and is no unit.
///
/// `args` are those of the unit column's own rule: what the policy calls equal is one unit.
///
/// PRIVACY: keyed by a scheme of its own, so that what an operator may find in spilled files is neither a
/// raw value nor a pseudonym that any partner holds. Two units share a number once in 2^64 pairs, and a
/// group then counts as smaller than it is, never as larger.
///
/// # Errors
/// When the key cannot be derived.
pub fn kernel(keys: &ColumnKeys, args: &Args) -> Result<Box<dyn Kernel>> {
    let mac = Mac::new(&keys.derive("unit")?)?;
    Ok(Box::new(Unit { mac, normalization: Normalization::new(args) }))
}

/// The kernel that gives units their names: values as bytes, as the unit column's own rule calls them equal.
/// For counts that never leave the process, and need to know which units are the same and nothing else.
pub fn names(args: &Args) -> Box<dyn Kernel> {
    Box::new(Names(Normalization::new(args)))
}

#[derive(Debug)]
struct Names(Normalization);

impl Kernel for Names {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        let mut out = BinaryBuilder::with_capacity(values.len(), values.len() * 8);
        let mut scratch = String::new();
        plain::for_each(values, |value| {
            out.append_option(value.map(|value| self.0.apply(value, &mut scratch)));
            Ok(())
        })?;
        Ok(Arc::new(out.finish()))
    }
}

#[derive(Debug)]
struct Unit {
    mac: Mac,
    normalization: Normalization,
}

impl Kernel for Unit {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        let mut out = UInt64Builder::with_capacity(values.len());
        let mut scratch = String::new();
        plain::for_each(values, |value| {
            out.append_option(value.map(|value| {
                let value = self.normalization.apply(value, &mut scratch);
                let [a, b, c, d, e, f, g, h, ..] = self.mac.tag(Label::Value, value);
                u64::from_be_bytes([a, b, c, d, e, f, g, h])
            }));
            Ok(())
        })?;
        Ok(Arc::new(out.finish()))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, StringArray};
    use arrow::datatypes::UInt64Type;

    use super::super::testing::{args, words};
    use super::super::{find, hmac};
    use super::*;
    use crate::keys::{KeyRing, Secret};

    fn units(rule: &Args, values: ArrayRef) -> Vec<Option<u64>> {
        let ring = Arc::new(KeyRing::new(vec![(1, Secret::new([7; 32]))]).unwrap());
        let keys = ColumnKeys::new(ring, "unit:jobs", Some("cern"), 1);
        let out = kernel(&keys, rule).unwrap().apply(&values, &[]).unwrap();
        out.as_primitive::<UInt64Type>().iter().collect()
    }

    #[test]
    fn equal_values_are_one_unit_and_null_is_none() {
        let rule = Args::new();
        let text = units(&rule, Arc::new(StringArray::from(vec![Some("7"), Some("8"), None])));
        assert_eq!(text[0], units(&rule, Arc::new(Int64Array::from(vec![7])))[0]);
        assert_ne!(text[0], text[1]);
        assert_eq!(text[2], None);
    }

    #[test]
    fn what_the_policy_calls_equal_is_one_unit() {
        let rule = args(&hmac::HmacPseudonym, &[("normalize", words(&["case_fold", "trim"]))]);
        let two: ArrayRef = Arc::new(StringArray::from(vec!["Ann ", "ann"]));
        let folded = units(&rule, Arc::clone(&two));
        assert_eq!(folded[0], folded[1]);
        assert_ne!(units(&Args::new(), Arc::clone(&two))[0], units(&Args::new(), two)[1]);
        assert!(find("unit", None).is_none());
    }
}
