//! What all methods work on: the distinct combinations of quasi-identifiers with their counts, in codes.
//! Grows with distinct combinations, not with rows. Reads nothing.

/// How the values of one quasi-identifier become coarser.
///
/// INVARIANT: `groups[0]` is the identity over leaves, all groups of a level are below one group of the
/// next, and the last level has one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Hierarchy {
    /// The column.
    pub name: String,
    /// By level: the group that holds each leaf.
    pub groups: Vec<Vec<u32>>,
    /// By level: each group's label; `None` is the null, a value of its own below the last level.
    pub labels: Vec<Vec<Option<String>>>,
    /// How much the column's loss counts.
    pub weight: f64,
}

impl Hierarchy {
    /// The number of leaves, values of the hierarchy that the data lack included.
    pub fn leaves(&self) -> usize {
        self.groups.first().map_or(0, Vec::len)
    }

    /// The number of levels, level 0 included.
    pub fn levels(&self) -> usize {
        self.groups.len()
    }
}

/// For each combination a list, all in one piece.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists<T> {
    /// Where the list of each combination begins, and where the last one ends: one more than combinations.
    pub starts: Vec<usize>,
    /// All lists, one after the other.
    pub items: Vec<T>,
}

impl<T> Lists<T> {
    /// The list of one combination; empty where there is none.
    pub fn of(&self, combination: usize) -> &[T] {
        let bounds = self.starts.get(combination).zip(self.starts.get(combination + 1));
        bounds.and_then(|(start, end)| self.items.get(*start..*end)).unwrap_or_default()
    }
}

/// A sensitive column.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensitive {
    /// The column.
    pub name: String,
    /// Its values in their own order: numbers as numbers, text as text, null last.
    pub values: Vec<Option<String>>,
    /// How often each value stands in a combination: pairs of value and rows, by value.
    pub counts: Lists<(u32, u64)>,
    /// Where a model measures distance by a hierarchy: its leaf i is value i; more leaves may follow.
    pub hierarchy: Option<Hierarchy>,
}

/// The distinct combinations, in ascending order of their leaves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// One for each quasi-identifier.
    pub hierarchies: Vec<Hierarchy>,
    /// By quasi-identifier: the leaf of each combination.
    pub leaves: Vec<Vec<u32>>,
    /// Rows of the dataset that have the combination; 0 where only the population has it.
    pub rows: Vec<u64>,
    /// The persons behind these rows, where the policy names a unit: ascending numbers.
    pub units: Option<Lists<u32>>,
    /// One for each sensitive column that a model names.
    pub sensitive: Vec<Sensitive>,
    /// Rows of the population that have the combination, the dataset's included, where there is one.
    pub population: Option<Vec<u64>>,
}

impl Table {
    /// The number of combinations.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no combination.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
