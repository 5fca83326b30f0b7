//! Rows as codes, gathered into classes. Knows numbers only: which value a code stands for, and what a class
//! must satisfy, is told elsewhere.

use std::collections::HashMap;

/// The classes of a table, in the order in which they were first met.
#[derive(Debug, Default)]
pub(super) struct Classes {
    index: HashMap<Box<[u32]>, u32>,
    keys: Vec<Box<[u32]>>,
    rows: Vec<u64>,
    persons: Option<Vec<Persons>>,
    sensitive: Vec<HashMap<u64, u64>>,
    last: Option<usize>,
}

/// The code of a missing unit: a row of nobody's hides nobody.
pub(super) const NOBODY: u32 = u32::MAX;

/// Codes of a batch, column by column, all as long as the batch.
#[derive(Debug, Default)]
pub(super) struct Codes {
    /// The quasi-identifiers.
    pub(super) quasi: Vec<Vec<u32>>,
    /// The unit; [`NOBODY`] where there is none.
    pub(super) unit: Option<Vec<u32>>,
    /// The sensitive columns.
    pub(super) sensitive: Vec<Vec<u32>>,
}

impl Classes {
    /// No row yet.
    pub(super) fn new(sensitive: usize, by_person: bool) -> Self {
        Self {
            persons: by_person.then(Vec::new),
            sensitive: vec![HashMap::new(); sensitive],
            ..Self::default()
        }
    }

    /// Rows join their classes.
    pub(super) fn add(&mut self, rows: usize, codes: &Codes) {
        let mut key = Vec::with_capacity(codes.quasi.len());
        for row in 0..rows {
            key.clear();
            key.extend(codes.quasi.iter().filter_map(|column| column.get(row).copied()));
            let class = self.class(&key);
            if let Some(size) = self.rows.get_mut(class) {
                *size += 1;
            }
            let unit = codes.unit.as_ref().and_then(|units| units.get(row));
            let persons = self.persons.as_mut().and_then(|persons| persons.get_mut(class));
            if let (Some(unit), Some(persons)) = (unit, persons) {
                persons.add(*unit);
            }
            for (counts, column) in self.sensitive.iter_mut().zip(&codes.sensitive) {
                if let Some(value) = column.get(row) {
                    *counts.entry(pair(class, *value)).or_default() += 1;
                }
            }
        }
    }

    /// The class of a key. Tables lie sorted by class, so it is mostly the last one's.
    fn class(&mut self, key: &[u32]) -> usize {
        if let Some(last) = self.last
            && self.keys.get(last).is_some_and(|known| **known == *key)
        {
            return last;
        }
        let class = match self.index.get(key) {
            Some(class) => *class as usize,
            None => {
                let class = self.keys.len();
                self.index.insert(key.into(), u32::try_from(class).unwrap_or(u32::MAX));
                self.keys.push(key.into());
                self.rows.push(0);
                if let Some(persons) = &mut self.persons {
                    persons.push(Persons::default());
                }
                class
            }
        };
        self.last = Some(class);
        class
    }

    /// By class: the codes of its quasi-identifiers.
    pub(super) fn keys(&self) -> &[Box<[u32]>] {
        &self.keys
    }

    /// By class: its rows.
    pub(super) fn rows(&self) -> &[u64] {
        &self.rows
    }

    /// By class: its persons, where they are counted.
    pub(super) fn persons(&mut self) -> Option<Vec<u64>> {
        let persons = self.persons.as_mut()?;
        Some(persons.iter_mut().map(Persons::count).collect())
    }

    /// By class: the values of a sensitive column and their rows, by code.
    pub(super) fn values(&self, column: usize) -> Vec<Vec<(u32, u64)>> {
        let mut values = vec![Vec::new(); self.keys.len()];
        let counts = self.sensitive.get(column).into_iter().flatten();
        let mut ordered: Vec<(u64, u64)> = counts.map(|(key, rows)| (*key, *rows)).collect();
        ordered.sort_unstable();
        for (key, rows) in ordered {
            let class = usize::try_from(key >> 32).unwrap_or(usize::MAX);
            let code = u32::try_from(key & u64::from(u32::MAX)).unwrap_or(u32::MAX);
            if let Some(list) = values.get_mut(class) {
                list.push((code, rows));
            }
        }
        values
    }
}

/// Class and value in one number.
fn pair(class: usize, value: u32) -> u64 {
    (class as u64) << 32 | u64::from(value)
}

/// The distinct persons of a class. Put in order now and then, so that a person of many rows takes no more
/// room than a person of one.
#[derive(Debug, Clone, Default)]
struct Persons {
    codes: Vec<u32>,
    ordered: usize,
}

impl Persons {
    fn add(&mut self, code: u32) {
        if code == NOBODY || self.codes.last() == Some(&code) {
            return;
        }
        self.codes.push(code);
        if self.codes.len() > 64 + 2 * self.ordered {
            self.order();
        }
    }

    fn order(&mut self) {
        self.codes.sort_unstable();
        self.codes.dedup();
        self.ordered = self.codes.len();
    }

    fn count(&mut self) -> u64 {
        self.order();
        self.codes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_same_codes_are_a_class_wherever_they_lie() {
        let mut classes = Classes::new(1, true);
        let codes = Codes {
            quasi: vec![vec![0, 0, 1, 0], vec![5, 5, 5, 6]],
            unit: Some(vec![7, 7, 8, 7]),
            sensitive: vec![vec![1, 2, 1, 1]],
        };
        classes.add(4, &codes);
        classes.add(4, &codes);
        assert_eq!(classes.rows(), [4, 2, 2]);
        assert_eq!(classes.persons(), Some(vec![1, 1, 1]));
        assert_eq!(classes.values(0), [vec![(1, 2), (2, 2)], vec![(1, 2)], vec![(1, 2)]]);
    }

    #[test]
    fn a_person_of_many_rows_counts_once_and_takes_no_room() {
        let mut persons = Persons::default();
        for row in 0..100_000_u32 {
            persons.add(row % 100);
            assert!(persons.codes.len() <= 64 + 2 * 100 + 1);
        }
        assert_eq!(persons.count(), 100);
    }
}
