//! Rows on their way from the scan to the choice, as records, in parts by their unit. When memory is short,
//! what no unit contributes any more is left out, and then records are written to the engine's folder.
//! Chooses by [`super::choice`]; sums nothing.
//!
//! PRIVACY: what is written are keyed numbers of units, numbers of groups and steps of values; no key and no
//! text.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, UInt64Array};
use arrow::buffer::{Buffer, MutableBuffer};
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::spill_file::{SpillFile, SpillWriter};

use super::choice::{Choice, RECORD_BYTES, Rule};
use super::groups::NOBODYS;
use super::keyed::Order;
use super::sieve::Sieve;
use super::steps::NONE;
use crate::error::{Code, Error, Result};
use crate::pipeline::query::inward;

/// How many bits of a unit's hash the parts of the first level differ in, and those of each further one.
const BITS_FIRST: u32 = 6;
const BITS_NEXT: u32 = 4;

/// The last level: all bits are used, so a part is one unit.
pub(super) const LEVEL_MAX: u32 = (64 - BITS_FIRST).div_ceil(BITS_NEXT);

/// Words that are held before what no unit contributes is looked for: a megabyte.
const SETTLE_WORDS: usize = if cfg!(test) { 1 << 8 } else { 1 << 17 };

/// Words that are read of a file at a time.
const READ_WORDS: usize = 1 << 15;

/// What the whole of a question's work shares.
pub(super) struct Shared {
    pub(super) rule: Rule,
    pub(super) order: Order,
    pub(super) disk: Arc<DiskManager>,
    /// For the unit that contributes more than what is left for those that can be written to files.
    pub(super) alone: Mutex<MemoryReservation>,
    /// Whether nobody waits any more.
    pub(super) over: AtomicBool,
    /// Bytes that were written to files.
    pub(super) spilled: AtomicU64,
}

impl Shared {
    /// # Errors
    /// [`Code::Cancelled`] when nobody waits any more.
    pub(super) fn go_on(&self) -> Result<()> {
        if self.over.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Cancelled, "nobody waits for the answer any more"));
        }
        Ok(())
    }
}

/// Records in parts by their unit.
pub(super) struct Parts {
    level: u32,
    parts: Vec<Part>,
    memory: MemoryReservation,
    sieve: Sieve,
    /// How many words are held when it is time to leave out what no unit contributes.
    next: usize,
}

/// Records of some units: those in memory, and those in a file.
#[derive(Default)]
pub(super) struct Part {
    pub(super) words: Vec<u64>,
    pub(super) file: Option<Spilled>,
}

impl Parts {
    /// No records yet. `memory` is for what is held.
    pub(super) fn new(level: u32, memory: MemoryReservation) -> Self {
        let bits = if level == 0 { BITS_FIRST } else { BITS_NEXT };
        let parts = std::iter::repeat_with(Part::default).take(1 << bits).collect();
        let sieve = Sieve::new(memory.new_empty());
        Self { level, parts, memory, sieve, next: SETTLE_WORDS }
    }

    /// Takes the rows of a batch: those of a unit and a group.
    ///
    /// # Errors
    /// [`Code::QueryMemory`] where neither memory nor the folder has room.
    pub(super) fn push(
        &mut self,
        units: &UInt64Array,
        groups: &[u32],
        values: &[Vec<i64>],
        contents: &[u64],
        shared: &Shared,
    ) -> Result<()> {
        let nulls = units.nulls();
        // PRIVACY: a row of nobody's protects nobody, and counts for nothing.
        let is_somebodys = |(row, (_, group)): &(usize, (&u64, &u32))| {
            **group != NOBODYS && nulls.is_none_or(|nulls| nulls.is_valid(*row))
        };
        let rows = units.values().iter().zip(groups).enumerate().filter(is_somebodys);
        let at = |steps: &Vec<i64>, row: usize| {
            steps.get(row).map_or(NONE, |steps| *steps).cast_unsigned()
        };
        // Most statements speak of no value, of one or of two: records of a length that is known.
        match values {
            [] => self.place(rows.map(|(_, (unit, group))| [*unit, u64::from(*group)])),
            [a] => {
                self.place(rows.map(|(row, (unit, group))| [*unit, u64::from(*group), at(a, row)]))
            }
            [a, b] => self.place(
                rows.map(|(row, (unit, group))| [*unit, u64::from(*group), at(a, row), at(b, row)]),
            ),
            more => {
                for (row, (unit, group)) in rows {
                    let Some(part) = self.parts.get_mut(part_of(*unit, self.level)) else {
                        continue;
                    };
                    part.words.extend([*unit, u64::from(*group)]);
                    part.words.extend(more.iter().map(|steps| at(steps, row)));
                }
            }
        }
        self.make_room(contents, shared)
    }

    #[inline]
    fn place<const WIDTH: usize>(&mut self, records: impl Iterator<Item = [u64; WIDTH]>) {
        for record in records {
            let unit = record.first().copied().unwrap_or_default();
            if self.sieve.passes(&record)
                && let Some(part) = self.parts.get_mut(part_of(unit, self.level))
            {
                part.words.extend(record);
            }
        }
    }

    fn place_one(&mut self, record: &[u64]) {
        let unit = record.first().copied().unwrap_or_default();
        if self.sieve.passes(record)
            && let Some(part) = self.parts.get_mut(part_of(unit, self.level))
        {
            part.words.extend_from_slice(record);
        }
    }

    /// Takes records as they are.
    fn push_records(&mut self, records: &[u64], contents: &[u64], shared: &Shared) -> Result<()> {
        records.chunks_exact(shared.rule.width).for_each(|record| self.place_one(record));
        self.make_room(contents, shared)
    }

    fn held(&self) -> usize {
        self.parts.iter().map(|part| part.words.capacity()).sum()
    }

    /// What is held, and what it takes to choose among the records of the largest part: when memory is
    /// refused, that must still be possible.
    fn bytes(&self, rule: &Rule) -> usize {
        let largest = self.parts.iter().map(|part| part.words.len()).max().unwrap_or_default();
        self.held() * size_of::<u64>() + largest / rule.width * RECORD_BYTES
    }

    fn make_room(&mut self, contents: &[u64], shared: &Shared) -> Result<()> {
        let bytes = |parts: &Self| parts.bytes(&shared.rule);
        let words = |parts: &Self| parts.parts.iter().map(|part| part.words.len()).sum::<usize>();
        let before = words(self);
        let has_room = self.memory.try_resize(bytes(self)).is_ok();
        if has_room && before <= self.next {
            return Ok(());
        }
        shared.go_on()?;
        self.settle(contents, shared)?;
        let after = words(self);
        // Looking costs no more than what it looks at; where it brought little, it waits for much more.
        let times = if after <= before / 4 * 3 { 2 } else { 8 };
        self.next = after.saturating_mul(times).max(SETTLE_WORDS);
        let has_room =
            self.memory.try_resize(bytes(self)).is_ok() && (has_room || after <= before / 2);
        if !has_room {
            self.spill(shared)?;
            self.memory.resize(bytes(self));
        }
        Ok(())
    }

    /// Leaves out what no unit contributes, part by part.
    fn settle(&mut self, contents: &[u64], shared: &Shared) -> Result<()> {
        let rule = &shared.rule;
        let mut choice = Choice::default();
        for part in &mut self.parts {
            choice.choose(&part.words, rule, contents, &shared.order)?;
            self.sieve.learn(&choice, rule);
            let kept = choice.kept();
            if kept.len() * rule.width > part.words.len() / 4 * 3 {
                continue;
            }
            let record = |at: &u32| {
                let start = *at as usize * rule.width;
                part.words.get(start..start + rule.width).unwrap_or_default()
            };
            let mut words = Vec::with_capacity(kept.len() * rule.width);
            kept.iter().for_each(|at| words.extend_from_slice(record(at)));
            part.words = words;
        }
        Ok(())
    }

    fn spill(&mut self, shared: &Shared) -> Result<()> {
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

    /// The parts, each with the memory that it takes.
    pub(super) fn into_parts(mut self) -> Result<Vec<(Part, MemoryReservation)>> {
        let memory = self.memory.take();
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
#[inline]
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
    pub(super) part: Part,
    pub(super) memory: MemoryReservation,
    /// The numbers that the task's groups have in the end, where they have others.
    pub(super) numbers: Option<Arc<Vec<u32>>>,
}

impl Source {
    /// How many words it has.
    pub(super) fn words(&self) -> usize {
        let file = self.part.file.as_ref().map_or(0, |file| file.words);
        self.part.words.len() + file
    }

    /// Puts all records behind `out`. Gives what those in memory take.
    fn append(self, out: &mut Vec<u64>, rule: &Rule) -> Result<MemoryReservation> {
        out.reserve_exact(if out.is_empty() { 0 } else { self.words() });
        self.read(rule, |mut words| {
            if out.is_empty() {
                *out = words;
            } else {
                out.append(&mut words);
            }
            Ok(())
        })
    }

    /// Hands over all records. Gives what those in memory take.
    fn read(
        self,
        rule: &Rule,
        mut take: impl FnMut(Vec<u64>) -> Result<()>,
    ) -> Result<MemoryReservation> {
        let Self { part, memory, numbers } = self;
        let translated = |mut words: Vec<u64>| {
            let Some(numbers) = &numbers else { return Ok(words) };
            for group in words.iter_mut().skip(1).step_by(rule.width) {
                let number = usize::try_from(*group).ok().and_then(|group| numbers.get(group));
                *group =
                    u64::from(*number.ok_or_else(|| {
                        Error::new(Code::Internal, "a group that nobody numbered")
                    })?);
            }
            Ok::<_, Error>(words)
        };
        if let Some(file) = part.file {
            let mut reader = file.open()?;
            let chunk = READ_WORDS / rule.width * rule.width;
            let mut left = file.words;
            while left > 0 {
                let words = left.min(chunk.max(rule.width));
                take(translated(read_words(&mut reader, words)?)?)?;
                left -= words;
            }
        }
        take(translated(part.words)?)?;
        Ok(memory)
    }
}

/// Hands all records of a part to `found` once they are chosen among: at once where memory has room for that,
/// else in parts of parts.
///
/// # Errors
/// [`Code::QueryMemory`] where memory has no room for what one unit contributes.
pub(super) fn resolve(
    sources: Vec<Source>,
    level: u32,
    memory: &MemoryReservation,
    contents: &[u64],
    shared: &Shared,
    choice: &mut Choice,
    found: &mut dyn FnMut(&[u64], &Choice),
) -> Result<()> {
    /// So few records are looked at in any case.
    const RECORDS_MIN: usize = 1 << 8;
    shared.go_on()?;
    let words: usize = sources.iter().map(Source::words).sum();
    if words == 0 {
        return Ok(());
    }
    let records = words / shared.rule.width;
    // Records that are in memory in one place are held already.
    let is_held = matches!(sources.as_slice(), [source] if source.part.file.is_none());
    let copies = if is_held { 0 } else { words * size_of::<u64>() };
    let bytes = copies + records * RECORD_BYTES;
    let room = memory.new_empty();
    let mut look = |sources: Vec<Source>| {
        let (mut words, mut held) = (Vec::new(), Vec::new());
        for source in sources {
            held.push(source.append(&mut words, &shared.rule)?);
        }
        choice.choose(&words, &shared.rule, contents, &shared.order)?;
        found(&words, choice);
        Ok(())
    };
    if room.try_grow(bytes).is_ok() || records <= RECORDS_MIN {
        return look(sources);
    }
    drop(room);
    if level >= LEVEL_MAX {
        // One unit: what it contributes is looked at whole, by one thread at a time.
        let alone = shared.alone.lock().unwrap_or_else(PoisonError::into_inner);
        alone.try_grow(bytes).map_err(|error| inward(&error))?;
        let looked = look(sources);
        alone.free();
        return looked;
    }
    let mut parts = Parts::new(level + 1, memory.new_empty());
    for source in sources {
        source
            .read(&shared.rule, |words| {
                shared.go_on()?;
                parts.push_records(&words, contents, shared)
            })?
            .free();
    }
    for (part, held) in parts.into_parts()? {
        let source = Source { part, memory: held, numbers: None };
        resolve(vec![source], level + 1, memory, contents, shared, choice, found)?;
    }
    Ok(())
}

/// Records in a file of the engine's folder.
pub(super) struct Spilled {
    file: Arc<dyn SpillFile>,
    writer: Option<Box<dyn SpillWriter>>,
    words: usize,
}

impl Spilled {
    fn new(disk: &Arc<DiskManager>) -> Result<Self> {
        let file = disk.create_tmp_file("bounded contributions").map_err(|error| inward(&error))?;
        Ok(Self { file, writer: None, words: 0 })
    }

    fn write(&mut self, words: Vec<u64>) -> Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(self.file.open_writer().map_err(|error| inward(&error))?),
        };
        self.words += words.len();
        writer.write_all(Buffer::from_vec(words).as_slice()).map_err(io)
    }

    fn finish(&mut self) -> Result<()> {
        match self.writer.take() {
            Some(mut writer) => writer.finish().map_err(|error| inward(&error)),
            None => Ok(()),
        }
    }

    fn open(&self) -> Result<File> {
        let path = self.file.path();
        let path = path.ok_or_else(|| Error::new(Code::Internal, "a spilled file has no path"))?;
        File::open(path).map_err(io)
    }
}

fn read_words(file: &mut File, words: usize) -> Result<Vec<u64>> {
    let mut bytes = MutableBuffer::from_len_zeroed(words * size_of::<u64>());
    file.read_exact(bytes.as_slice_mut()).map_err(io)?;
    Ok(Buffer::from(bytes).typed_data::<u64>().to_vec())
}

fn io(error: std::io::Error) -> Error {
    inward(&DataFusionError::IoError(error))
}
