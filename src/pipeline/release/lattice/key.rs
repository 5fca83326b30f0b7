//! What a class is called: one number, a field of bits for each column, so that coarsening a column
//! rewrites a field. Knows neither columns nor classes.

use std::ops::{BitAnd, BitOr, Not, Shl, Shr};

/// What a class is called.
pub(super) trait Key:
    Copy
    + Eq
    + Send
    + Sync
    + From<u32>
    + Shl<u32, Output = Self>
    + Shr<u32, Output = Self>
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + Not<Output = Self>
{
    /// The lowest 32 bits.
    fn low(self) -> u32;
    /// Spread over 64 bits, the upper ones best.
    fn spread(self) -> u64;
    /// No field set.
    const ZERO: Self;

    /// The field that begins at a bit, under a mask.
    #[inline]
    fn field(self, shift: u32, mask: u32) -> usize {
        ((self >> shift).low() & mask) as usize
    }

    /// The same with another field.
    #[inline]
    fn with(self, shift: u32, mask: u32, field: u32) -> Self {
        (self & !(Self::from(mask) << shift)) | (Self::from(field) << shift)
    }

    /// Both, of fields that are not in both.
    #[inline]
    fn or(self, other: Self) -> Self {
        self | other
    }
}

/// An odd number without pattern, near 2^64 over the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Key for u64 {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lowest bits are asked for")]
    fn low(self) -> u32 {
        self as u32
    }

    #[inline]
    fn spread(self) -> u64 {
        let mixed = (self ^ (self >> 29)).wrapping_mul(SPREAD);
        (mixed ^ (mixed >> 32)).wrapping_mul(SPREAD)
    }

    const ZERO: Self = 0;
}

impl Key for u128 {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lowest bits are asked for")]
    fn low(self) -> u32 {
        self as u32
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "both halves are mixed")]
    fn spread(self) -> u64 {
        (self as u64).spread() ^ ((self >> 64) as u64).wrapping_add(SPREAD).spread()
    }

    const ZERO: Self = 0;
}
