//! What was put aside, dealt to files by the places of combinations and gathered again as lists, one file after
//! the other, so that only the lists themselves must be in memory. Counts nothing but what it joins.

use super::aside::{Gather, Heap, Record};
use crate::error::{Code, Error, Result};
use crate::pipeline::release::table::Lists;

/// How many files.
const PARTS: usize = 64;

/// How many items are held before equal ones are joined.
const HELD_MIN: usize = 1 << 20;

/// An item of a combination: a person, or a value and its rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) place: u32,
    pub(super) item: u32,
    pub(super) rows: u64,
}

impl Record for Item {
    const BYTES: usize = 16;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.place.to_le_bytes());
        out.extend_from_slice(&self.item.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
    }

    fn read(from: &[u8]) -> Option<Self> {
        let (place, from) = from.split_first_chunk()?;
        let (item, from) = from.split_first_chunk()?;
        Some(Self {
            place: u32::from_le_bytes(*place),
            item: u32::from_le_bytes(*item),
            rows: u64::from_le_bytes(from.try_into().ok()?),
        })
    }
}

/// Files by place.
pub(super) struct Deal {
    heaps: Vec<Heap<Item>>,
    /// The number of places.
    count: usize,
}

impl Deal {
    /// For so many places; `name` begins the names of its files.
    pub(super) fn new(folder: &std::path::Path, name: &str, count: usize) -> Self {
        let heap = |at: usize| Heap::new(folder, &format!("{name}-places-{at:03}"));
        Self { heaps: (0..PARTS).map(heap).collect(), count }
    }

    /// Takes items.
    pub(super) fn gather(&self) -> Gather<'_, Item> {
        Gather::new(&self.heaps)
    }

    /// The file of a place.
    pub(super) fn part(&self, place: u32) -> usize {
        let part = u64::from(place) * PARTS as u64 / (self.count as u64).max(1);
        usize::try_from(part).unwrap_or(usize::MAX)
    }

    /// The items of each place, ascending and each once with the sum of its rows; of each place at most so many.
    ///
    /// # Errors
    /// [`Code::QueryMemory`] when all of them take more than so many bytes.
    pub(super) fn lists<T>(
        &self,
        most: Option<usize>,
        memory_bytes: usize,
        stop: &dyn Fn() -> Result<()>,
        show: impl Fn(&Item) -> T,
    ) -> Result<Lists<T>> {
        let mut starts = Vec::with_capacity(self.count + 1);
        let mut items: Vec<T> = Vec::new();
        let mut held: Vec<Item> = Vec::new();
        for heap in &self.heaps {
            stop()?;
            held.clear();
            let mut full = HELD_MIN;
            heap.read(|item| {
                held.push(item);
                if held.len() >= full {
                    stop()?;
                    join(&mut held, most);
                    full = HELD_MIN.max(held.len() * 2);
                }
                Ok(())
            })?;
            join(&mut held, most);
            if (items.len() + held.len()).saturating_mul(size_of::<T>()) > memory_bytes {
                return Err(too_many(memory_bytes));
            }
            for item in &held {
                while starts.len() <= item.place as usize {
                    starts.push(items.len());
                }
                items.push(show(item));
            }
        }
        starts.resize(self.count + 1, items.len());
        Ok(Lists { starts, items })
    }
}

fn too_many(memory_bytes: usize) -> Error {
    let what = format!(
        "who is behind each distinct combination of quasi-identifiers, or which sensitive values it has, does not \
         fit into {} MiB when each is counted once, and what chooses classes looks at all of it: make values \
         coarser by the columns' own rules (truncate, bucket), or allow more memory",
        memory_bytes >> 20
    );
    Error::new(Code::QueryMemory, what)
}

/// Puts items in order, equal ones as one, and keeps at most so many of each place.
fn join(held: &mut Vec<Item>, most: Option<usize>) {
    held.sort_unstable_by_key(|item| (item.place, item.item));
    held.dedup_by(|next, before| {
        let same = (next.place, next.item) == (before.place, before.item);
        if same {
            before.rows += next.rows;
        }
        same
    });
    if let Some(most) = most {
        let (mut last, mut count) = (None, 0);
        held.retain(|item| {
            let at = Some(item.place);
            count = if at == last { count + 1 } else { 1 };
            last = at;
            count <= most
        });
    }
}
