//! Where the field of each column lies in a class's name, and what becomes of names when columns are
//! made coarser. Makes no class.

use super::super::table::Table;
use super::key::Key;

/// Where the field of each column lies, and what becomes of it.
#[derive(Debug)]
pub(super) struct Layout {
    columns: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    shift: u32,
    mask: u32,
    /// By level, by group: a leaf in it.
    leaf: Vec<Vec<u32>>,
    /// By level, by leaf: its group.
    groups: Vec<Vec<u32>>,
}

impl Layout {
    /// The layout of a table, and how many bits it takes.
    pub(super) fn of(table: &Table) -> (Self, u32) {
        let mut shift = 0;
        let columns = table.hierarchies.iter().map(|hierarchy| {
            let most = hierarchy.groups.iter().flatten().copied().max().unwrap_or(0);
            let bits = 32 - most.leading_zeros();
            let mask = u32::try_from((1_u64 << bits) - 1).unwrap_or(u32::MAX);
            let leaf = hierarchy.groups.iter().map(|groups| {
                let size = groups.iter().max().map_or(0, |most| *most as usize + 1);
                let mut leaf = vec![0; size];
                for (one, group) in (0..).zip(groups) {
                    if let Some(slot) = leaf.get_mut(*group as usize) {
                        *slot = one;
                    }
                }
                leaf
            });
            let field =
                Field { shift, mask, leaf: leaf.collect(), groups: hierarchy.groups.clone() };
            shift += bits;
            field
        });
        let columns = columns.collect();
        (Self { columns }, shift)
    }

    /// What the combinations of the table are called.
    pub(super) fn combinations<K: Key>(&self, table: &Table) -> Vec<K> {
        let mut keys = vec![K::ZERO; table.len()];
        for (field, leaves) in self.columns.iter().zip(&table.leaves) {
            for (key, leaf) in keys.iter_mut().zip(leaves) {
                *key = key.with(field.shift, field.mask, *leaf);
            }
        }
        keys
    }

    /// The groups of a class, by column.
    pub(super) fn groups<K: Key>(&self, key: K) -> impl Iterator<Item = usize> {
        self.columns.iter().map(move |field| key.field(field.shift, field.mask))
    }

    /// What becomes of the parts of a name between two generalizations.
    pub(super) fn pieces<K: Key>(&self, (from, to): (&[u8], &[u8]), classes: usize) -> Pieces<K> {
        let mut pieces: Vec<Piece<K>> = Vec::new();
        let mut cells = 1_u64;
        for (field, (from, to)) in self.columns.iter().zip(from.iter().zip(to)) {
            let leaf = field.leaf.get(usize::from(*from)).map_or(&[][..], Vec::as_slice);
            let groups = field.groups.get(usize::from(*to)).map_or(&[][..], Vec::as_slice);
            let map = leaf.iter().map(|leaf| groups.get(*leaf as usize).copied().unwrap_or(0));
            let step: Vec<Become<K>> = map
                .map(|group| Become {
                    name: K::ZERO.with(field.shift, field.mask, group),
                    cell: u64::from(group).wrapping_mul(cells),
                })
                .collect();
            let size = groups.iter().max().map_or(1, |most| u64::from(*most) + 1);
            cells = cells.saturating_mul(size);
            let bits = field.mask.count_ones();
            // Several small fields are looked up at once, if so large a map pays for itself.
            let joined = pieces.last_mut().filter(|last| {
                let bits = last.mask.count_ones() + bits;
                bits <= PIECE_BITS && classes >> bits >= 2
            });
            if let Some(last) = joined {
                let low = last.mask.count_ones();
                let mut map = vec![Become::default(); last.map.len().max(1 << low) * step.len()];
                for (high, step) in step.iter().enumerate() {
                    for (place, became) in last.map.iter().enumerate() {
                        if let Some(slot) = map.get_mut((high << low) | place) {
                            *slot = became.and(step);
                        }
                    }
                }
                last.map = map;
                last.mask = (last.mask << bits) | field.mask;
            } else {
                pieces.push(Piece { shift: field.shift, mask: field.mask, map: step });
            }
        }
        Pieces { pieces, cells }
    }
}

/// Bits that are looked up at once: the map stays in the nearest memory.
const PIECE_BITS: u32 = 11;

/// Neighbouring fields and what becomes of them together.
#[derive(Debug)]
struct Piece<K> {
    shift: u32,
    mask: u32,
    map: Vec<Become<K>>,
}

/// What becomes of a part of a name: its part of the new name, and of the new name's place among all
/// that could be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Become<K> {
    pub(super) name: K,
    pub(super) cell: u64,
}

impl<K: Key> Default for Become<K> {
    fn default() -> Self {
        Self { name: K::ZERO, cell: 0 }
    }
}

impl<K: Key> Become<K> {
    #[inline]
    fn and(self, other: &Self) -> Self {
        Self { name: self.name.or(other.name), cell: self.cell.wrapping_add(other.cell) }
    }
}

/// All parts of a name.
#[derive(Debug)]
pub(super) struct Pieces<K> {
    pieces: Vec<Piece<K>>,
    /// How many names there could be.
    pub(super) cells: u64,
}

impl<K: Key> Pieces<K> {
    #[inline]
    pub(super) fn become_of(&self, key: K) -> Become<K> {
        let mut all = Become::default();
        for piece in &self.pieces {
            if let Some(part) = piece.map.get(key.field(piece.shift, piece.mask)) {
                all = all.and(part);
            }
        }
        all
    }
}
