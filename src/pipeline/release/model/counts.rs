//! What is counted of a class: sums that can be added up in any order. Judges nothing.

use super::super::table::Table;

/// The counts of a class. The counts of two classes that join are the sum of theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassCounts {
    /// Rows of the dataset.
    pub rows: u64,
    /// The distinct persons behind them, where the table counts persons: ascending numbers.
    pub units: Option<Vec<u32>>,
    /// Rows of the population, where there is one.
    pub population: Option<u64>,
    /// By sensitive column: pairs of value and rows, ascending by value.
    pub sensitive: Vec<Vec<(u32, u64)>>,
}

impl ClassCounts {
    /// The counts of these combinations together, each of them with all its rows.
    pub fn of(table: &Table, combinations: &[u32]) -> Self {
        let places = || combinations.iter().map(|combination| *combination as usize);
        let sum = |counts: &[u64]| places().filter_map(|place| counts.get(place)).sum::<u64>();
        let units = table.units.as_ref().map(|units| {
            let mut all: Vec<u32> = places().flat_map(|place| units.of(place)).copied().collect();
            all.sort_unstable();
            all.dedup();
            all
        });
        let sensitive = table.sensitive.iter().map(|column| {
            let all = places().flat_map(|place| column.counts.of(place)).copied();
            summed(all.collect())
        });
        Self {
            rows: sum(&table.rows),
            units,
            population: table.population.as_deref().map(sum),
            sensitive: sensitive.collect(),
        }
    }

    /// Takes in the counts of another class.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        if let (Some(units), Some(more)) = (&mut self.units, &other.units) {
            units.extend_from_slice(more);
            units.sort_unstable();
            units.dedup();
        }
        if let (Some(population), Some(more)) = (&mut self.population, other.population) {
            *population += more;
        }
        for (column, more) in self.sensitive.iter_mut().zip(&other.sensitive) {
            let mut all = std::mem::take(column);
            all.extend_from_slice(more);
            *column = summed(all);
        }
    }
}

/// One pair a value, ascending.
fn summed(mut pairs: Vec<(u32, u64)>) -> Vec<(u32, u64)> {
    pairs.sort_unstable_by_key(|(value, _)| *value);
    pairs.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    pairs.retain(|(_, rows)| *rows > 0);
    pairs
}
