//! What a class is called: one number, a field of bits for each column, so that coarsening a column
//! rewrites a field. Knows neither columns nor classes.

/// What a class is called.
pub(super) trait Key: Copy + Eq + Send + Sync {
    /// The field that begins at a bit, under a mask.
    fn field(self, shift: u32, mask: u32) -> usize;
    /// The same with another field.
    fn with(self, shift: u32, mask: u32, field: u32) -> Self;
    /// Both, of fields that are not in both.
    fn or(self, other: Self) -> Self;
    /// Spread over 64 bits, the upper ones best.
    fn spread(self) -> u64;
    /// No field set.
    const ZERO: Self;
}

/// An odd number without pattern, near 2^64 over the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Key for u64 {
    #[inline]
    fn field(self, shift: u32, mask: u32) -> usize {
        ((self >> shift) & Self::from(mask)) as usize
    }

    #[inline]
    fn with(self, shift: u32, mask: u32, field: u32) -> Self {
        (self & !(Self::from(mask) << shift)) | (Self::from(field) << shift)
    }

    #[inline]
    fn or(self, other: Self) -> Self {
        self | other
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
    fn field(self, shift: u32, mask: u32) -> usize {
        ((self >> shift) & Self::from(mask)) as usize
    }

    #[inline]
    fn with(self, shift: u32, mask: u32, field: u32) -> Self {
        (self & !(Self::from(mask) << shift)) | (Self::from(field) << shift)
    }

    #[inline]
    fn or(self, other: Self) -> Self {
        self | other
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "both halves are mixed")]
    fn spread(self) -> u64 {
        (self as u64).spread() ^ ((self >> 64) as u64).wrapping_add(SPREAD).spread()
    }

    const ZERO: Self = 0;
}
