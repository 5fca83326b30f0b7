//! The rows that are held for the groups of units, in blocks that grow with them: each row is a word for its
//! hash and one for each value. Knows no unit and no group, and decides nothing.

use crate::error::{Code, Error, Result};

/// Blocks of rows, in one piece of memory.
pub(super) struct Blocks {
    /// Words of a row.
    stride: usize,
    /// The most rows of a block.
    most: usize,
    words: Vec<u64>,
    /// By the size of blocks, as a power of two: those that nobody uses.
    free: Vec<Vec<u32>>,
}

/// Which power of two has room for so many rows; one row has nought.
const fn size(rows: u64) -> usize {
    rows.next_power_of_two().trailing_zeros() as usize
}

#[expect(clippy::indexing_slicing, reason = "blocks are numbered here")]
impl Blocks {
    /// No blocks, for rows of so many values and blocks of at most so many rows.
    pub(super) const fn new(values: usize, most: usize) -> Self {
        Self { stride: values + 1, most, words: Vec::new(), free: Vec::new() }
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let free: usize = self.free.iter().map(Vec::capacity).sum();
        self.words.capacity() * size_of::<u64>() + free * size_of::<u32>()
    }

    /// For how many rows there are blocks.
    pub(super) fn rows_held(&self) -> usize {
        self.words.len() / self.stride
    }

    /// The rows of a block that has so many.
    pub(super) fn rows(&self, block: u32, rows: u32) -> &[u64] {
        let start = block as usize * self.stride;
        // Rows without values are not held.
        self.words.get(start..start + rows as usize * self.stride).unwrap_or_default()
    }

    fn rows_mut(&mut self, block: u32, rows: u32) -> &mut [u64] {
        let start = block as usize * self.stride;
        &mut self.words[start..start + rows as usize * self.stride]
    }

    /// Puts a row behind the `rows` that a block has; where there is none or no room, in another block. The hash
    /// stays open.
    ///
    /// # Errors
    /// [`Code::Internal`] for more rows than can be numbered.
    #[inline(always)]
    pub(super) fn push(&mut self, block: u32, rows: u32, values: &[u64]) -> Result<u32> {
        let block =
            if rows == 0 || rows.is_power_of_two() { self.grown(block, rows)? } else { block };
        let start = (block as usize + rows as usize) * self.stride;
        self.words[start + 1..start + self.stride].copy_from_slice(values);
        Ok(block)
    }

    /// A block with room for more rows, with those of this one.
    fn grown(&mut self, block: u32, rows: u32) -> Result<u32> {
        let wanted = size(u64::from(rows) + 1);
        let free = self.free.get_mut(wanted).and_then(Vec::pop);
        let fresh = match free {
            Some(fresh) => fresh,
            None => {
                let fresh = u32::try_from(self.words.len() / self.stride);
                let fresh = fresh
                    .map_err(|_| Error::new(Code::Internal, "more records than can be numbered"))?;
                let room = (1_usize << wanted).min(self.most).max(1);
                self.words.resize(self.words.len() + room * self.stride, 0);
                fresh
            }
        };
        if rows > 0 {
            let (from, to) = (block as usize * self.stride, fresh as usize * self.stride);
            self.words.copy_within(from..from + rows as usize * self.stride, to);
            self.free(block, rows);
        }
        Ok(fresh)
    }

    /// Takes back a block that has so many rows.
    pub(super) fn free(&mut self, block: u32, rows: u32) {
        if rows > 0 && self.stride > 1 {
            let size = size(rows.into());
            if self.free.len() <= size {
                self.free.resize_with(size + 1, Vec::new);
            }
            self.free[size].push(block);
        }
    }

    /// Puts the hashes of a block's rows beside them, and the rows in the order of a heap: the last one first.
    pub(super) fn rank(
        &mut self,
        block: u32,
        rows: u32,
        hash: impl Fn(&[u64]) -> Result<u64>,
    ) -> Result<()> {
        let stride = self.stride;
        let held = self.rows_mut(block, rows);
        for row in held.chunks_exact_mut(stride) {
            if let [place, values @ ..] = row {
                *place = hash(values)?;
            }
        }
        for at in (0..rows as usize / 2).rev() {
            sink(held, stride, at);
        }
        Ok(())
    }

    /// Puts a row in the place of the last one, if it comes before it: by its hash, then by its values. Gives the
    /// hash of the row that is the last one then.
    pub(super) fn replace(&mut self, block: u32, rows: u32, hash: u64, values: &[u64]) -> u64 {
        let stride = self.stride;
        let held = self.rows_mut(block, rows);
        // Of no rows none can be kept.
        let Some(first) = held.first_chunk::<1>().map(|[first]| *first) else { return 0 };
        // Rows with the same hash and the same values are the same to whoever counts them.
        if (hash, values) < (first, &held[1..stride]) {
            held[0] = hash;
            held[1..stride].copy_from_slice(values);
            sink(held, stride, 0);
        }
        held[0]
    }
}

/// Lets a row sink to its place in a heap of rows.
#[expect(clippy::indexing_slicing, reason = "children are looked for within the rows")]
fn sink(held: &mut [u64], stride: usize, mut at: usize) {
    let rows = held.len() / stride;
    let row = |held: &[u64], at: usize| -> std::ops::Range<usize> {
        debug_assert!(at < held.len() / stride, "a row of the block");
        at * stride..(at + 1) * stride
    };
    loop {
        let left = 2 * at + 1;
        if left >= rows {
            return;
        }
        let right = left + 1;
        let is_right = right < rows && held[row(held, right)] > held[row(held, left)];
        let child = if is_right { right } else { left };
        if held[row(held, child)] <= held[row(held, at)] {
            return;
        }
        for word in 0..stride {
            held.swap(at * stride + word, child * stride + word);
        }
        at = child;
    }
}
