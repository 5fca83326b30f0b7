//! Lists of public groups, and where they are kept: beside the public table that they were made of, a few at a
//! time, so that a statement that is looked at again, or another one with the same groups, has its list at once.
//! Makes none.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::array::{Array, ArrayRef};

use super::joined::Numbers;
use super::public::Public;
use crate::error::Result;

/// How many lists are kept beside a table.
const LISTS_MAX: usize = 16;
/// How much memory they take at most.
const MEMORY_MAX: usize = 32 << 20;

/// All groups by expressions over public tables, numbered.
///
/// PRIVACY: made of public tables, the policy and the statement alone.
#[derive(Debug)]
pub(in crate::pipeline) struct Listing {
    /// The number of a row's group.
    pub(in crate::pipeline) numbers: Arc<Numbers>,
    /// All numbers, from zero on.
    pub(in crate::pipeline) all: ArrayRef,
    /// By expression: the value of each group.
    pub(in crate::pipeline) values: Vec<ArrayRef>,
}

impl Listing {
    /// What it takes.
    fn memory(&self) -> usize {
        let parts = self.numbers.parts.iter().map(|part| part.rows.capacity() * size_of::<u32>());
        let values = self.values.iter().map(|values| values.get_array_memory_size());
        let numbers = self.numbers.numbers.get_array_memory_size();
        parts.chain(values).sum::<usize>() + numbers + self.all.get_array_memory_size()
    }
}

/// The lists that are kept beside one table, the newest last.
#[derive(Debug, Default)]
pub(super) struct Lists(Mutex<VecDeque<Kept>>);

#[derive(Debug)]
struct Kept {
    /// What it is a list of, without the contents of tables.
    text: String,
    /// The other tables that it was made of, as they were. They may have lists of this one: none holds another.
    others: Vec<Weak<Public>>,
    list: Arc<Listing>,
    memory: usize,
}

impl Lists {
    /// The list of this text over these other tables. Makes it where it is not kept, and keeps it where it is no
    /// more than all lists together may take.
    ///
    /// # Errors
    /// What `make` says.
    pub(super) fn list(
        &self,
        text: &str,
        others: &[Arc<Public>],
        make: impl FnOnce() -> Result<Arc<Listing>>,
    ) -> Result<Arc<Listing>> {
        let same = |kept: &Kept| {
            let pairs = kept.others.iter().zip(others);
            kept.text == text
                && kept.others.len() == others.len()
                && pairs.into_iter().all(|(one, other)| one.as_ptr() == Arc::as_ptr(other))
        };
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut all = lock();
            if let Some(found) = all.iter().position(same).and_then(|at| all.remove(at)) {
                let list = Arc::clone(&found.list);
                all.push_back(found);
                return Ok(list);
            }
        }
        // Not under the lock: others need not wait for it. Two that make the same one at a time are rare.
        let list = make()?;
        let memory = list.memory() + text.len();
        let mut all = lock();
        if memory <= MEMORY_MAX && !all.iter().any(same) {
            let others = others.iter().map(Arc::downgrade).collect();
            all.push_back(Kept { text: text.to_owned(), others, list: Arc::clone(&list), memory });
            let taken = |all: &VecDeque<Kept>| all.iter().map(|kept| kept.memory).sum::<usize>();
            while all.len() > LISTS_MAX || taken(&all) > MEMORY_MAX {
                all.pop_front();
            }
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};

    use super::*;
    use crate::pipeline::query::joined::Part;

    fn list(numbers: usize) -> Arc<Listing> {
        let numbers = Int64Array::from(vec![0; numbers]);
        let part = Part { rows: vec![0], none: 0 };
        let all: ArrayRef = Arc::new(Int64Array::from(vec![0]));
        let numbers = Arc::new(Numbers { parts: vec![part], numbers });
        Arc::new(Listing { numbers, all, values: Vec::new() })
    }

    fn table() -> Arc<Public> {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let rows = RecordBatch::try_from_iter([("a", column)]).unwrap();
        Arc::new(Public::of("t", &rows).unwrap())
    }

    #[test]
    fn a_list_is_made_once_for_the_same_tables_and_anew_for_others() {
        let lists = Lists::default();
        let (one, other) = (table(), table());
        let mut made = 0;
        let mut ask = |text: &str, others: &[Arc<Public>]| {
            lists
                .list(text, others, || {
                    made += 1;
                    Ok(list(10))
                })
                .unwrap()
        };
        let first = ask("a", std::slice::from_ref(&one));
        assert!(Arc::ptr_eq(&first, &ask("a", std::slice::from_ref(&one))));
        // The same words over a table that was read anew are another list.
        assert!(!Arc::ptr_eq(&first, &ask("a", std::slice::from_ref(&other))));
        assert!(!Arc::ptr_eq(&first, &ask("b", std::slice::from_ref(&one))));
        assert!(!Arc::ptr_eq(&first, &ask("a", &[])));
        assert_eq!(made, 4);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let lists = Lists::default();
        let many = |lists: &Lists| lists.0.lock().unwrap().len();
        for at in 0..50 {
            lists.list(&at.to_string(), &[], || Ok(list(10))).unwrap();
        }
        assert_eq!(many(&lists), LISTS_MAX);
        // Larger ones put older ones out, and one that is too large is not kept.
        for at in 50..60 {
            lists.list(&at.to_string(), &[], || Ok(list(MEMORY_MAX / 8 / 4))).unwrap();
            let taken: usize = lists.0.lock().unwrap().iter().map(|kept| kept.memory).sum();
            assert!(taken <= MEMORY_MAX, "{taken}");
        }
        assert!((1..4).contains(&many(&lists)));
        let before = many(&lists);
        lists.list("large", &[], || Ok(list(MEMORY_MAX / 8 + 1))).unwrap();
        assert_eq!(many(&lists), before);
    }
}
