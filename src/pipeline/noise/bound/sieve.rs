//! Rows that no unit contributes any more, told as they come: once a unit has rows enough in a group, most of
//! those that follow come after all of them. Forgets what has no room; what it lets pass is chosen among later.

use datafusion::execution::memory_pool::MemoryReservation;

use super::choice::{Choice, Limit, Rule, place};

/// The most slots that are remembered: half a megabyte of them.
const ENTRIES_MAX: usize = 1 << 13;

/// What is known of some units' groups.
pub(super) struct Sieve {
    entries: Vec<Entry>,
    memory: MemoryReservation,
}

#[derive(Clone, Copy)]
struct Entry {
    unit: u64,
    group: u32,
    limit: Limit,
}

impl Sieve {
    /// Knows nothing, and lets everything pass. `memory` is for what it remembers.
    pub(super) const fn new(memory: MemoryReservation) -> Self {
        Self { entries: Vec::new(), memory }
    }

    /// Remembers what a choice found out, as far as there is memory for it.
    pub(super) fn learn(&mut self, choice: &Choice, rule: &Rule) {
        if self.entries.is_empty() {
            if self.memory.try_grow(ENTRIES_MAX * size_of::<Entry>()).is_err() {
                return;
            }
            self.entries.resize(ENTRIES_MAX, Entry { unit: 0, group: 0, limit: Limit::Open });
        }
        for (unit, group, limit) in choice.limits(rule) {
            if let Some(entry) = self.entries.get_mut(place(unit, group) & (ENTRIES_MAX - 1)) {
                *entry = Entry { unit, group, limit };
            }
        }
    }

    /// Whether a row may still be one of those that are kept.
    ///
    /// INVARIANT: a row that does not pass would not be kept either, whatever rows are still to come: as many
    /// of the same unit as are kept at most come before it, and they stay.
    #[inline(always)]
    pub(super) fn passes(&self, record: &[u64]) -> bool {
        let [unit, group, values @ ..] = record else { return true };
        let group = *group as u32;
        match self.entries.get(place(*unit, group) & (ENTRIES_MAX - 1)) {
            Some(entry) if entry.unit == *unit && entry.group == group => match entry.limit {
                Limit::Open => true,
                Limit::Shut => false,
                Limit::Before(last, mut state) => {
                    values.iter().for_each(|value| state.absorb(*value));
                    state.finish(0) <= last
                }
            },
            _ => true,
        }
    }
}
