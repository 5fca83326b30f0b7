//! The classes of a generalization, made from the classes of a finer one. What a class is called is one
//! number, a field of bits for each column, so that coarsening a column rewrites a field. Judges no
//! class.

use super::super::model::Profile;
use super::super::table::{Lists, Table};

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

    /// The groups of a class, by column.
    pub(super) fn groups<K: Key>(&self, key: K) -> impl Iterator<Item = usize> {
        self.columns.iter().map(move |field| key.field(field.shift, field.mask))
    }

    /// What becomes of the parts of a name between two generalizations.
    fn pieces<K: Key>(&self, (from, to): (&[u8], &[u8]), classes: usize) -> Pieces<K> {
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
struct Become<K> {
    name: K,
    cell: u64,
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
struct Pieces<K> {
    pieces: Vec<Piece<K>>,
    /// How many names there could be.
    cells: u64,
}

impl<K: Key> Pieces<K> {
    #[inline]
    fn become_of(&self, key: K) -> Become<K> {
        let mut all = Become::default();
        for piece in &self.pieces {
            if let Some(part) = piece.map.get(key.field(piece.shift, piece.mask)) {
                all = all.and(part);
            }
        }
        all
    }
}

/// The classes of one generalization. Lists that the guarantees do not ask for are empty.
#[derive(Debug, Default)]
pub(super) struct Classes<K> {
    pub(super) keys: Vec<K>,
    /// Rows of the dataset.
    pub(super) rows: Vec<u64>,
    /// Rows of the population.
    population: Option<Vec<u64>>,
    /// Persons, no more than k a class.
    persons: Option<Lists<u32>>,
    /// By sensitive column: values and rows.
    values: Vec<Lists<(u32, u64)>>,
}

/// What is carried from class to class beside rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carry {
    /// Persons a class that are remembered: to know whether k are there takes no more.
    pub(super) persons: usize,
    /// Whether values are.
    pub(super) values: bool,
    /// Whether it is remembered which class became which.
    pub(super) follow: bool,
}

/// Space that a thread uses again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    slots: Vec<u32>,
    class_of: Vec<u32>,
    counts: Vec<u64>,
    touched: Vec<u32>,
}

impl Scratch {
    /// By class of the finer generalization: the coarser one's class, after a roll-up that carries.
    pub(super) fn class_of(&self) -> &[u32] {
        &self.class_of
    }
}

const FREE: u32 = u32::MAX;
/// Places for names that are always given.
const CELLS_MIN: u64 = 1 << 12;

impl<K: Key> Classes<K> {
    /// The combinations of the table, each a class.
    pub(super) fn of(table: &Table, layout: &Layout, carry: Carry) -> Self {
        let mut keys = vec![K::ZERO; table.len()];
        for (field, leaves) in layout.columns.iter().zip(&table.leaves) {
            for (key, leaf) in keys.iter_mut().zip(leaves) {
                *key = key.with(field.shift, field.mask, *leaf);
            }
        }
        let persons = table.units.as_ref().map(|units| {
            let mut cut = Lists { starts: vec![0], items: Vec::new() };
            for combination in 0..table.len() {
                cut.items.extend(units.of(combination).iter().take(carry.persons));
                cut.starts.push(cut.items.len());
            }
            cut
        });
        let values = table.sensitive.iter().filter(|_| carry.values);
        Self {
            keys,
            rows: table.rows.clone(),
            population: table.population.clone(),
            persons,
            values: values.map(|column| column.counts.clone()).collect(),
        }
    }

    /// The number of classes.
    pub(super) const fn len(&self) -> usize {
        self.keys.len()
    }

    /// What the guarantees look at, class by class, until the call has seen enough.
    pub(super) fn each(&self, mut call: impl FnMut(usize, &Profile<'_>) -> bool) {
        for (class, rows) in self.rows.iter().enumerate() {
            let sensitive: Vec<&[(u32, u64)]> =
                self.values.iter().map(|column| column.of(class)).collect();
            let profile = Profile {
                rows: *rows,
                persons: self.persons.as_ref().map(|persons| persons.of(class).len() as u64),
                population: self.population.as_ref().and_then(|all| all.get(class)).copied(),
                sensitive: &sensitive,
            };
            if !call(class, &profile) {
                return;
            }
        }
    }

    /// Whether nothing but rows is counted.
    pub(super) const fn rows_alone(&self) -> bool {
        self.population.is_none() && self.persons.is_none() && self.values.is_empty()
    }

    /// The classes of a coarser generalization.
    pub(super) fn roll_up(
        &self,
        layout: &Layout,
        (from, to): (&[u8], &[u8]),
        carry: Carry,
        scratch: &mut Scratch,
    ) -> Self {
        let pieces = layout.pieces::<K>((from, to), self.len());
        let remember =
            carry.follow || carry.values || self.population.is_some() || self.persons.is_some();
        let Scratch { slots, class_of, .. } = scratch;
        class_of.clear();
        slots.clear();
        let mut keys: Vec<K> = Vec::new();
        let mut rows: Vec<u64> = Vec::new();
        let fresh = |key: K, count: u64, keys: &mut Vec<K>, rows: &mut Vec<u64>| {
            let class = u32::try_from(keys.len()).unwrap_or(FREE);
            keys.push(key);
            rows.push(count);
            class
        };
        let room = (self.len() as u64 * 4).max(CELLS_MIN);
        if pieces.cells <= room {
            // So few names could be that each has a place of its own.
            slots.resize(usize::try_from(pieces.cells).unwrap_or(usize::MAX), FREE);
            for (key, count) in self.keys.iter().zip(&self.rows) {
                let Become { name, cell } = pieces.become_of(*key);
                let slot = usize::try_from(cell).ok().and_then(|cell| slots.get_mut(cell));
                let Some(slot) = slot else { continue };
                if let Some(sum) = rows.get_mut(*slot as usize) {
                    *sum += count;
                } else {
                    *slot = fresh(name, *count, &mut keys, &mut rows);
                }
                if remember {
                    class_of.push(*slot);
                }
            }
        } else {
            let capacity = (self.len() * 2).next_power_of_two().max(16);
            slots.resize(capacity, FREE);
            let down = 64 - capacity.trailing_zeros();
            for (key, count) in self.keys.iter().zip(&self.rows) {
                let key = pieces.become_of(*key).name;
                let mut place = (key.spread() >> down) as usize;
                let class = loop {
                    let Some(slot) = slots.get_mut(place & (capacity - 1)) else { break FREE };
                    if *slot == FREE {
                        *slot = fresh(key, *count, &mut keys, &mut rows);
                        break *slot;
                    }
                    if keys.get(*slot as usize) == Some(&key) {
                        if let Some(sum) = rows.get_mut(*slot as usize) {
                            *sum += count;
                        }
                        break *slot;
                    }
                    place += 1;
                };
                if remember {
                    class_of.push(class);
                }
            }
        }
        let mut above = Self { keys, rows, population: None, persons: None, values: Vec::new() };
        if remember {
            self.carry_up(&mut above, carry, scratch);
        }
        above
    }

    /// Population, persons and values of the classes that these have become.
    fn carry_up(&self, above: &mut Self, carry: Carry, scratch: &mut Scratch) {
        above.population = self.population.as_ref().map(|population| {
            let mut sums = vec![0; above.len()];
            for (class, rows) in scratch.class_of.iter().zip(population) {
                if let Some(sum) = sums.get_mut(*class as usize) {
                    *sum += rows;
                }
            }
            sums
        });
        if self.persons.is_none() && self.values.is_empty() {
            return;
        }
        let members = members(&scratch.class_of, above.len());
        above.persons = self.persons.as_ref().map(|persons| {
            let mut joined = Lists { starts: vec![0], items: Vec::new() };
            let mut all: Vec<u32> = Vec::new();
            for class in 0..above.len() {
                all.clear();
                let lists = members.of(class).iter().map(|member| persons.of(*member as usize));
                lists.for_each(|list| all.extend_from_slice(list));
                all.sort_unstable();
                all.dedup();
                joined.items.extend(all.iter().take(carry.persons));
                joined.starts.push(joined.items.len());
            }
            joined
        });
        above.values = self
            .values
            .iter()
            .map(|column| add_up(column, &members, above.len(), scratch))
            .collect();
    }
}

/// By class: the members, ascending.
fn members(class_of: &[u32], classes: usize) -> Lists<u32> {
    let mut starts = vec![0_usize; classes + 1];
    for class in class_of {
        if let Some(count) = starts.get_mut(*class as usize + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    let mut next = starts.clone();
    let mut items = vec![0; class_of.len()];
    for (member, class) in (0..).zip(class_of) {
        if let Some(place) = next.get_mut(*class as usize) {
            if let Some(slot) = items.get_mut(*place) {
                *slot = member;
            }
            *place += 1;
        }
    }
    Lists { starts, items }
}

/// The histograms of classes from those of their members.
fn add_up(
    column: &Lists<(u32, u64)>,
    members: &Lists<u32>,
    classes: usize,
    scratch: &mut Scratch,
) -> Lists<(u32, u64)> {
    let Scratch { counts, touched, .. } = scratch;
    let mut joined = Lists { starts: Vec::with_capacity(classes + 1), items: Vec::new() };
    joined.starts.push(0);
    for class in 0..classes {
        match members.of(class) {
            [one] => joined.items.extend_from_slice(column.of(*one as usize)),
            many => {
                touched.clear();
                for (value, rows) in many.iter().flat_map(|one| column.of(*one as usize)) {
                    if counts.len() <= *value as usize {
                        counts.resize(*value as usize + 1, 0);
                    }
                    if let Some(count) = counts.get_mut(*value as usize) {
                        if *count == 0 {
                            touched.push(*value);
                        }
                        *count += rows;
                    }
                }
                touched.sort_unstable();
                for value in touched.iter() {
                    if let Some(count) = counts.get_mut(*value as usize) {
                        joined.items.push((*value, std::mem::take(count)));
                    }
                }
            }
        }
        joined.starts.push(joined.items.len());
    }
    joined
}
