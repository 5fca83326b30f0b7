//! Records in parts by their unit, in memory and in files. Chooses nothing but what memory has no room for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::execution::memory_pool::MemoryReservation;

use super::choice::{Choice, Keyed, Rule};
use super::gather::Shared;
use super::spilled::Spilled;
use crate::error::{Code, Error, Result};

/// How many bits of a unit's hash the parts of the first level differ in, and those of each further one.
const BITS_FIRST: u32 = 6;
const BITS_NEXT: u32 = 4;

/// The last level: all bits are used, so a part is one unit.
pub(super) const LEVEL_MAX: u32 = (64 - BITS_FIRST).div_ceil(BITS_NEXT);

/// Words that are looked at before somebody asks whether to go on, and that are read of a file at a time.
const CHUNK_WORDS: usize = 1 << 15;

/// What one record costs while it is chosen among, at most: a slot and a unit of its own in tables that are
/// sparse, and its row.
const RECORD_BYTES: usize = 256;

/// Records in parts by their unit.
pub(super) struct Parts {
    level: u32,
    parts: Vec<Part>,
}

/// Records of some units: those in memory, and those in a file.
#[derive(Default)]
pub(super) struct Part {
    words: Vec<u64>,
    file: Option<Spilled>,
}

impl Parts {
    /// No records yet.
    pub(super) fn new(level: u32) -> Self {
        let bits = if level == 0 { BITS_FIRST } else { BITS_NEXT };
        Self { level, parts: std::iter::repeat_with(Part::default).take(1 << bits).collect() }
    }

    /// Takes a record.
    #[inline(always)]
    pub(super) fn push(&mut self, record: &[u64]) {
        let unit = record.first().copied().unwrap_or_default();
        if let Some(part) = self.parts.get_mut(part_of(unit, self.level)) {
            part.words.extend_from_slice(record);
        }
    }

    /// Whether nothing was ever put here.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.words.is_empty() && part.file.is_none())
    }

    /// What is held in memory, and what it takes to choose among the records of the largest part: when memory
    /// is refused, that must still be possible.
    pub(super) fn bytes(&self, rule: &Rule) -> usize {
        let held: usize = self.parts.iter().map(|part| part.words.capacity()).sum();
        let largest = self.parts.iter().map(|part| part.words.len()).max().unwrap_or_default();
        held * size_of::<u64>() + largest / rule.width * RECORD_BYTES
    }

    /// Leaves out what no unit contributes, part by part.
    pub(super) fn settle(&mut self, rule: Rule, keyed: Keyed<'_>) -> Result<()> {
        for part in &mut self.parts {
            let mut choice = Choice::new(rule);
            choice.offer_records(&part.words, keyed)?;
            if choice.kept() * rule.width > part.words.len() / 4 * 3 {
                continue;
            }
            let mut words = Vec::with_capacity(choice.kept() * rule.width);
            choice.drain(|record| words.extend_from_slice(record));
            part.words = words;
        }
        Ok(())
    }

    /// Writes what is held to files.
    pub(super) fn spill(&mut self, shared: &Shared) -> Result<()> {
        for part in &mut self.parts {
            let words = std::mem::take(&mut part.words);
            if words.is_empty() {
                continue;
            }
            let file = match &mut part.file {
                Some(file) => file,
                none => none.insert(Spilled::new(&shared.disk)?),
            };
            shared.spilled.fetch_add((words.len() * size_of::<u64>()) as u64, Ordering::Relaxed);
            file.write(words)?;
        }
        Ok(())
    }

    /// The parts, each with the memory that it takes, out of `memory`.
    pub(super) fn into_parts(
        self,
        memory: &MemoryReservation,
    ) -> Result<Vec<(Part, MemoryReservation)>> {
        let each = |mut part: Part| {
            if let Some(file) = &mut part.file {
                file.finish()?;
            }
            let held = memory.new_empty();
            let bytes = part.words.capacity() * size_of::<u64>();
            memory.shrink(bytes.min(memory.size()));
            held.grow(bytes);
            Ok((part, held))
        };
        self.parts.into_iter().map(each).collect()
    }
}

/// Which part a unit's rows are in: units are hashes already, but a test's need not be.
#[inline(always)]
const fn part_of(unit: u64, level: u32) -> usize {
    let mut hash = unit;
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    let (used, bits) = match level {
        0 => (0, BITS_FIRST),
        _ => (BITS_FIRST + (level - 1) * BITS_NEXT, BITS_NEXT),
    };
    if used >= u64::BITS { 0 } else { ((hash << used) >> (u64::BITS - bits)) as usize }
}

/// What records come from: what one task gathered for one part.
pub(super) struct Source {
    part: Part,
    memory: MemoryReservation,
    /// The numbers that the task's groups have in the end, where they have others.
    numbers: Option<Arc<Vec<u32>>>,
}

impl Source {
    /// A part that was gathered.
    pub(super) const fn new(
        part: Part,
        memory: MemoryReservation,
        numbers: Option<Arc<Vec<u32>>>,
    ) -> Self {
        Self { part, memory, numbers }
    }

    /// How many words it has.
    pub(super) fn words(&self) -> usize {
        self.part.words.len() + self.part.file.as_ref().map_or(0, Spilled::words)
    }

    /// Hands over all records, some at a time.
    pub(super) fn read(
        self,
        rule: &Rule,
        mut take: impl FnMut(&[u64]) -> Result<()>,
    ) -> Result<()> {
        let Self { part, memory, numbers } = self;
        let chunk = (CHUNK_WORDS / rule.width).max(1) * rule.width;
        let mut translated = |words: &mut [u64]| {
            if let Some(numbers) = &numbers {
                for group in words.iter_mut().skip(1).step_by(rule.width) {
                    let number = usize::try_from(*group).ok().and_then(|group| numbers.get(group));
                    let number = number.ok_or_else(|| {
                        Error::new(Code::Internal, "a group that nobody numbered")
                    })?;
                    *group = u64::from(*number);
                }
            }
            take(words)
        };
        if let Some(file) = part.file {
            file.read(chunk, |mut words| translated(&mut words))?;
        }
        let mut words = part.words;
        words.chunks_mut(chunk).try_for_each(translated)?;
        drop((words, memory));
        Ok(())
    }
}
