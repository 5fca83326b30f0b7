//! The order of rows inside a class: by a keyed number of all that the row holds. Knows no class.

use aes::Aes128;
use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::row::{RowConverter, SortField};

use crate::error::{Code, Context, Error, Result};
use crate::keys::KeyRing;

/// Numbers rows.
///
/// PRIVACY: the order of the source's rows would tell when something happened, and an order by raw values
/// would tell which pseudonym comes before which. A keyed number tells neither: equal rows are side by
/// side, and all others are where a key puts them that no partner has.
pub(super) struct Scatter {
    cipher: Aes128,
    rows: RowConverter,
}

impl Scatter {
    /// For rows of these columns of a dataset.
    ///
    /// # Errors
    /// [`Code::Policy`] when a column's values cannot be compared as bytes.
    pub(super) fn new(ring: &KeyRing, dataset: &str, schema: &Schema) -> Result<Self> {
        let key = ring.derive::<16>(ring.newest(), &["release", "order", dataset])?;
        let cipher = Aes128::new(key.expose().into());
        let fields = schema.fields().iter();
        if let Some(field) = fields.clone().find(|field| {
            !RowConverter::supports_fields(&[SortField::new(field.data_type().clone())])
        }) {
            let what = format!(
                "column `{}` holds `{}`, of which a release has no order",
                field.name(),
                field.data_type()
            );
            return Err(Error::new(Code::Policy, what));
        }
        let fields = fields.map(|field| SortField::new(field.data_type().clone()));
        let rows = RowConverter::new(fields.collect())
            .context(Code::Internal, || "rows have no order".to_owned())?;
        Ok(Self { cipher, rows })
    }

    /// The number of each row: the [`mac`] of its bytes.
    pub(super) fn numbers(&mut self, batch: &RecordBatch) -> Result<Vec<u128>> {
        if batch.num_columns() == 0 {
            // Nothing tells such rows apart.
            return Ok(vec![0; batch.num_rows()]);
        }
        let failed = || "rows have no order".to_owned();
        let rows = self.rows.convert_columns(batch.columns()).context(Code::Internal, failed)?;
        Ok(rows.iter().map(|row| mac(&self.cipher, row.data())).collect())
    }
}

/// AES-128 in CBC-MAC over the length of the bytes and these.
pub(super) fn mac(cipher: &Aes128, text: &[u8]) -> u128 {
    let mut state: Block<Aes128> = (text.len() as u128).to_be_bytes().into();
    cipher.encrypt_block(&mut state);
    for part in text.chunks(BLOCK) {
        state.iter_mut().zip(part).for_each(|(byte, next)| *byte ^= next);
        cipher.encrypt_block(&mut state);
    }
    u128::from_be_bytes(state.into())
}

/// The bytes of a block.
const BLOCK: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;
    use crate::keys::Secret;

    fn scatter(key: u8, batch: &RecordBatch) -> Vec<u128> {
        let ring = KeyRing::new(vec![(1, Secret::new([key; 32]))]).unwrap();
        Scatter::new(&ring, "jobs", &batch.schema()).unwrap().numbers(batch).unwrap()
    }

    fn batch(rows: &[(i64, &str)]) -> RecordBatch {
        let numbers: ArrayRef =
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)));
        RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap()
    }

    #[test]
    fn a_row_has_one_number_wherever_it_stands_and_others_have_others() {
        let rows =
            [(1, "ada"), (2, "bob"), (1, "ada"), (1, "a much longer text than a block"), (1, "")];
        let numbers = scatter(7, &batch(&rows));
        assert_eq!(numbers[0], numbers[2]);
        let mut distinct = numbers.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 4);
        for (at, row) in rows.iter().enumerate() {
            assert_eq!(scatter(7, &batch(&[*row]))[0], numbers[at]);
        }
    }

    #[test]
    fn the_order_is_neither_that_of_the_values_nor_to_be_known_without_the_key() {
        let rows: Vec<(i64, String)> = (0..200).map(|n| (n, format!("user{n:03}"))).collect();
        let rows: Vec<(i64, &str)> = rows.iter().map(|(n, text)| (*n, text.as_str())).collect();
        let order = |key| {
            let numbers = scatter(key, &batch(&rows));
            let mut order: Vec<usize> = (0..rows.len()).collect();
            order.sort_by_key(|row| numbers[*row]);
            order
        };
        let rises = |order: &[usize]| order.windows(2).filter(|pair| pair[0] < pair[1]).count();
        // Half of the pairs rise, give or take what chance allows once in a million keys.
        assert!((60..140).contains(&rises(&order(7))), "{}", rises(&order(7)));
        assert_ne!(order(7), order(8));
    }
}
