//! The Bloom filters of RAPPOR, bit for bit those of the published clients: which bits a value sets in a cohort, and
//! how bits lie in bytes. Draws no noise.
//!
//! MD5 spreads values over bits here; nothing depends on its being hard to invert.

use md5::{Digest, Md5};

/// The most bits: a byte of the digest names one.
pub(super) const BITS_MAX: i64 = 256;

/// The most hashes: a digest has so many bytes.
pub(super) const HASHES_MAX: i64 = 16;

/// Up to [`BITS_MAX`] bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Filter([u64; 4]);

impl Filter {
    /// The filter of one value: of the MD5 digest of the cohort (four bytes, the most significant first) and the
    /// value, each of the first `hashes` bytes sets a bit.
    pub(super) fn of(value: &[u8], cohort: u16, hashes: usize, bits: usize) -> Self {
        let digest = Md5::new().chain_update(u32::from(cohort).to_be_bytes()).chain_update(value);
        let mut filter = Self::default();
        for byte in digest.finalize().into_iter().take(hashes) {
            if let Some(bit) = usize::from(byte).checked_rem(bits) {
                filter.set(bit);
            }
        }
        filter
    }

    /// Whether a bit is one.
    pub(super) fn has(&self, bit: usize) -> bool {
        self.0.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// Makes a bit one.
    pub(super) fn set(&mut self, bit: usize) {
        if let Some(word) = self.0.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    /// The first `bits` bits as bytes: the number of which bit 0 is the least, with its most significant byte first.
    pub(super) fn bytes(&self, bits: usize) -> impl Iterator<Item = u8> {
        let all = self.0.into_iter().rev().flat_map(u64::to_be_bytes);
        all.skip(32_usize.saturating_sub(bits / 8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of google/rappor, analysis/tools/hash_candidates_test.py: two hashes into 16 bits, cohorts 0 to 3; a bit's
    /// number is 16 for each cohort before, and one more.
    #[test]
    fn bits_are_those_of_the_published_vectors() {
        for (value, expected) in [
            ("apple", [5, 1, 26, 26, 38, 34, 63, 62]),
            ("banana", [12, 14, 28, 24, 37, 34, 62, 49]),
            ("carrot", [4, 12, 25, 21, 48, 38, 61, 54]),
        ] {
            for (cohort, numbers) in (0_u16..).zip(expected.chunks(2)) {
                let mut filter = Filter::default();
                for number in numbers {
                    filter.set(number - 1 - 16 * usize::from(cohort));
                }
                assert_eq!(Filter::of(value.as_bytes(), cohort, 2, 16), filter, "{value} {cohort}");
            }
        }
    }

    /// Python: hashlib.md5(struct.pack(">L", cohort) + value).digest(), byte i modulo k.
    #[test]
    fn bits_are_those_of_an_independent_computation() {
        for (value, cohort, hashes, bits, expected) in [
            ("foo", 3, 2, 32, vec![4, 12]),
            ("", 0, 2, 128, vec![83, 113]),
            ("FermiGrid", 31, 2, 128, vec![43, 82]),
            (
                "größer",
                63,
                16,
                256,
                vec![3, 26, 51, 68, 89, 91, 127, 132, 137, 151, 154, 175, 209, 227, 231, 241],
            ),
            ("42", 1023, 5, 24, vec![7, 8, 10, 17, 19]),
            (
                "a value of more than one block, since a block has sixty-four bytes",
                7,
                1,
                8,
                vec![2],
            ),
        ] {
            let filter = Filter::of(value.as_bytes(), cohort, hashes, bits);
            let found: Vec<usize> = (0..BITS_MAX as usize).filter(|bit| filter.has(*bit)).collect();
            assert_eq!(found, expected, "{value} {cohort}");
        }
    }

    #[test]
    fn bit_0_is_the_last_of_the_last_byte() {
        let mut filter = Filter::default();
        for bit in [0, 9, 15, 70] {
            filter.set(bit);
        }
        assert_eq!(filter.bytes(16).collect::<Vec<_>>(), [0b1000_0010, 0b0000_0001]);
        assert_eq!(filter.bytes(72).collect::<Vec<_>>(), [64, 0, 0, 0, 0, 0, 0, 130, 1]);
        assert_eq!(filter.bytes(256).count(), 32);
    }
}
