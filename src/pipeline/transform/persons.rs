//! Secret numbers that depend on a person: the same person draws the same, without a table of persons.
//! Making readable pseudonyms of persons is `pseudonym`'s work.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::text::in_words;
use crate::error::{Code, Context, Error, Result};
use crate::keys::ColumnKeys;

/// A keyed function from values to 32 bytes that nobody without the key can tell from random ones.
pub(super) struct Draw(Hmac<Sha256>);

impl Draw {
    /// Under the column's key for `scheme`.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub(super) fn new(keys: &ColumnKeys, scheme: &str) -> Result<Self> {
        let key = keys.derive::<32>(scheme)?;
        let mac = Hmac::new_from_slice(key.expose())
            .map_err(|_| Error::new(Code::Internal, "a key of this length is refused"))?;
        Ok(Self(mac))
    }

    /// Four numbers of 64 bits for a list of values; two different lists draw independently.
    pub(super) fn numbers(&self, parts: &[&[u8]]) -> [u64; 4] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let mut bytes = mac.finalize().into_bytes().into_iter();
        std::array::from_fn(|_| {
            bytes.by_ref().take(8).fold(0, |number, byte| number << 8 | u64::from(byte))
        })
    }
}

/// The person of each row as bytes: text and bytes as they are, whole numbers in decimal, so that a
/// person is the same under either type.
///
/// # Errors
/// [`Code::SchemaDrift`] for types that name nobody.
pub(super) fn names(column: &ArrayRef) -> Result<BinaryArray> {
    check(column.data_type())?;
    let text = if column.data_type().is_integer() {
        cast(column, &DataType::Utf8).context(Code::Internal, || "persons as text".to_owned())?
    } else {
        ArrayRef::clone(column)
    };
    let bytes =
        cast(&text, &DataType::Binary).context(Code::Internal, || "persons as bytes".to_owned())?;
    bytes
        .as_binary_opt::<i32>()
        .cloned()
        .ok_or_else(|| Error::new(Code::Internal, "persons as bytes"))
}

/// Whether a column of this type can name persons.
///
/// # Errors
/// [`Code::SchemaDrift`] when it cannot.
pub(super) fn check(input: &DataType) -> Result<()> {
    fit(input).map_err(|reason| Error::new(Code::SchemaDrift, reason))
}

/// Whether a column of this type can name persons, or why not.
///
/// # Errors
/// A reason for the policy's author.
pub(super) fn fit(input: &DataType) -> Result<(), String> {
    match input {
        DataType::Utf8 | DataType::Binary | DataType::FixedSizeBinary(_) => Ok(()),
        other if other.is_integer() => Ok(()),
        other => Err(format!(
            "persons are named by text, bytes or whole numbers, and the column holds {}",
            in_words(other)
        )),
    }
}

/// The column at a place of the list that a kernel reads.
///
/// # Errors
/// [`Code::Internal`] when it was not handed over, or not for every row.
pub(super) fn read(reads: &[ArrayRef], place: usize, rows: usize) -> Result<&ArrayRef> {
    reads
        .get(place)
        .filter(|column| column.len() == rows)
        .ok_or_else(|| Error::new(Code::Internal, "a column to read is missing"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{FixedSizeBinaryArray, Float64Array, Int32Array, StringArray};

    use super::super::testing::keys;
    use super::*;

    #[test]
    fn a_person_is_the_same_as_text_and_as_a_number() {
        let number: ArrayRef = Arc::new(Int32Array::from(vec![Some(42), None]));
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("42"), None]));
        assert_eq!(names(&number).unwrap(), names(&text).unwrap());
        assert_eq!(names(&number).unwrap().value(0), b"42");
    }

    #[test]
    fn fixed_bytes_name_persons_and_fractions_do_not() {
        let bytes = FixedSizeBinaryArray::try_from_iter([[1_u8, 2], [3, 4]].iter()).unwrap();
        let bytes: ArrayRef = Arc::new(bytes);
        assert_eq!(names(&bytes).unwrap().value(1), [3, 4]);
        let float: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
        assert_eq!(names(&float).unwrap_err().code(), Code::SchemaDrift);
    }

    #[test]
    fn where_one_value_ends_and_the_next_begins_matters() {
        let draw = Draw::new(&keys("domain:person", None), "test").unwrap();
        assert_ne!(draw.numbers(&[b"ab", b"c"]), draw.numbers(&[b"a", b"bc"]));
        assert_eq!(draw.numbers(&[b"ab", b"c"]), draw.numbers(&[b"ab", b"c"]));
    }

    #[test]
    fn another_scheme_domain_or_audience_draws_otherwise() {
        let draw = |keys: &ColumnKeys, scheme| Draw::new(keys, scheme).unwrap().numbers(&[b"ada"]);
        let first = draw(&keys("domain:person", Some("cern")), "a");
        assert_ne!(first, draw(&keys("domain:person", Some("cern")), "b"));
        assert_ne!(first, draw(&keys("domain:other", Some("cern")), "a"));
        assert_ne!(first, draw(&keys("domain:person", Some("desy")), "a"));
        assert_ne!(first, draw(&keys("domain:person", None), "a"));
    }
}
