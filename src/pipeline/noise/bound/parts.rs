//! Records in parts by a hash, such as their unit, in memory and in files. Chooses nothing but what memory has no room for.

use std::sync::atomic::Ordering;

use datafusion::execution::memory_pool::MemoryReservation;

use super::choice::{Choice, Rule};
use super::gather::Shared;
use super::roster::Roster;
use super::spilled::Spilled;
use crate::error::Result;

/// How many bits of the hash the parts of the first level differ in, and those of each further one.
const BITS_FIRST: u32 = 6;
const BITS_NEXT: u32 = 4;

/// The last level: all bits are used, so a part has one hash.
pub(super) const LEVEL_MAX: u32 = (64 - BITS_FIRST).div_ceil(BITS_NEXT);

/// Words that are looked at before somebody asks whether to go on, and that are read of a file at a time.
const CHUNK_WORDS: usize = 1 << 15;

/// What one record costs while it is chosen among, at most: a slot, a unit and a number of its own in tables
/// that are sparse, and its row.
const RECORD_BYTES: usize = 256;

/// Records in parts.
pub(super) struct Parts {
    level: u32,
    parts: Vec<Part>,
}

/// Records of some hashes: those in memory, and those in a file.
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

    /// Takes a record by a hash: parts are in the order of hashes.
    #[inline(always)]
    pub(super) fn push(&mut self, hash: u64, record: &[u64]) {
        if let Some(part) = self.parts.get_mut(part_of(hash, self.level)) {
            part.words.extend_from_slice(record);
        }
    }

    /// Whether nothing was ever put here.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.words.is_empty() && part.file.is_none())
    }

    /// What is held in memory.
    pub(super) fn held(&self) -> usize {
        self.parts.iter().map(|part| part.words.capacity()).sum::<usize>() * size_of::<u64>()
    }

    /// What is held in memory, and what it takes to choose among the records of the largest part: when memory
    /// is refused, that must still be possible.
    pub(super) fn bytes(&self, rule: &Rule) -> usize {
        let largest = self.parts.iter().map(|part| part.words.len()).max().unwrap_or_default();
        self.held() + largest / rule.written * RECORD_BYTES
    }

    /// Leaves out what no unit contributes, part by part.
    pub(super) fn settle(&mut self, rule: Rule, roster: &Roster, shared: &Shared) -> Result<()> {
        for part in &mut self.parts {
            let (mut choice, mut roster) = (Choice::new(rule), roster.fresh());
            let chunk = (CHUNK_WORDS / rule.written).max(1) * rule.written;
            let mut buffer = Vec::with_capacity(chunk);
            for words in part.words.chunks(chunk) {
                buffer.clear();
                buffer.extend_from_slice(words);
                let records = roster.read(&mut buffer, &rule)?;
                choice.offer_records(records, shared.keyed(&roster))?;
            }
            if choice.kept() * rule.written > part.words.len() / 4 * 3 {
                continue;
            }
            let mut words = Vec::with_capacity(choice.kept() * rule.written);
            choice.drain(|unit, group, values| {
                roster.write(unit, group, values, &mut buffer);
                words.extend_from_slice(&buffer);
            });
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

/// The hash of a unit: units are hashes already, but a test's need not be.
#[inline(always)]
pub(super) const fn of_unit(unit: u64) -> u64 {
    let mut hash = unit;
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Which part a hash is in.
#[inline(always)]
const fn part_of(hash: u64, level: u32) -> usize {
    let (used, bits) = match level {
        0 => (0, BITS_FIRST),
        _ => (BITS_FIRST + (level - 1) * BITS_NEXT, BITS_NEXT),
    };
    if used >= u64::BITS { 0 } else { ((hash << used) >> (u64::BITS - bits)) as usize }
}

/// What records come from: what one task gathered for one part.
pub(super) struct Source {
    part: Part,
    _memory: MemoryReservation,
}

impl Source {
    /// A part that was gathered.
    pub(super) const fn new(part: Part, memory: MemoryReservation) -> Self {
        Self { part, _memory: memory }
    }

    /// How many words it has.
    pub(super) fn words(&self) -> usize {
        self.part.words.len() + self.part.file.as_ref().map_or(0, Spilled::words)
    }

    /// Hands over all records of so many words, some at a time. Who changes them does not read them again.
    pub(super) fn read(
        &mut self,
        width: usize,
        mut take: impl FnMut(&mut [u64]) -> Result<()>,
    ) -> Result<()> {
        let chunk = (CHUNK_WORDS / width).max(1) * width;
        if let Some(file) = &self.part.file {
            file.read(chunk, |mut words| take(&mut words))?;
        }
        self.part.words.chunks_mut(chunk).try_for_each(take)
    }
}
