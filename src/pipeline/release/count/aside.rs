//! What counting puts aside when memory does not hold it: numbers in files of a private folder, each written
//! from several threads, read once and removed. Knows neither values nor who a person is.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aes::Aes128;
use aes::cipher::KeyInit;
use zeroize::Zeroizing;

use crate::error::{Code, Context, Error, Result};
use crate::pipeline::query::spill::Spill;
use crate::pipeline::release::scatter;
use crate::pipeline::release::store::private_file;

/// The fewest and the most files that persons, or combinations, are dealt to.
const PARTS: (u64, u64) = (16, 256);

/// About how many bytes a person takes while those of one file are numbered.
const PERSON_BYTES: u64 = 64;

/// How many bytes are gathered for a file before they are written.
const GATHERED_BYTES: usize = 16 << 10;

/// A record of a file.
pub(super) trait Record: Copy {
    /// How many bytes it takes.
    const BYTES: usize;
    fn write(&self, out: &mut Vec<u8>);
    /// Nothing where there are other bytes than a record has.
    fn read(from: &[u8]) -> Option<Self>;
}

/// That somebody is behind a combination of a thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    pub(super) number: u128,
    pub(super) thread: u32,
    pub(super) combination: u32,
}

impl Record for Person {
    const BYTES: usize = 24;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.thread.to_le_bytes());
        out.extend_from_slice(&self.combination.to_le_bytes());
    }

    fn read(from: &[u8]) -> Option<Self> {
        let (number, from) = from.split_first_chunk()?;
        let (thread, from) = from.split_first_chunk()?;
        Some(Self {
            number: u128::from_le_bytes(*number),
            thread: u32::from_le_bytes(*thread),
            combination: u32::from_le_bytes(from.try_into().ok()?),
        })
    }
}

/// How many rows of a combination of a thread have a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    pub(super) thread: u32,
    pub(super) combination: u32,
    pub(super) code: u32,
    pub(super) rows: u64,
}

impl Record for Value {
    const BYTES: usize = 20;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.thread.to_le_bytes());
        out.extend_from_slice(&self.combination.to_le_bytes());
        out.extend_from_slice(&self.code.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
    }

    fn read(from: &[u8]) -> Option<Self> {
        let (thread, from) = from.split_first_chunk()?;
        let (combination, from) = from.split_first_chunk()?;
        let (code, from) = from.split_first_chunk()?;
        Some(Self {
            thread: u32::from_le_bytes(*thread),
            combination: u32::from_le_bytes(*combination),
            code: u32::from_le_bytes(*code),
            rows: u64::from_le_bytes(from.try_into().ok()?),
        })
    }
}

/// Records in a file that nobody else can read; it goes with them.
pub(super) struct Heap<T> {
    path: PathBuf,
    /// Whether the file is there.
    made: Mutex<bool>,
    of: PhantomData<fn() -> T>,
}

impl<T: Record> Heap<T> {
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(name), made: Mutex::new(false), of: PhantomData }
    }

    /// Writes records that lie one after the other. The file is open only while it is written, so that there
    /// may be many.
    fn write(&self, records: &[u8]) -> Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match *made {
            true => OpenOptions::new().append(true).open(&self.path).context(Code::State, lost)?,
            false => private_file(&self.path)?,
        };
        *made = true;
        file.write_all(records).context(Code::State, lost)
    }

    /// Gives each record away; the file is removed.
    pub(super) fn read(&self, mut each: impl FnMut(T) -> Result<()>) -> Result<()> {
        if !*self.made.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(());
        }
        let file = File::open(&self.path).context(Code::State, lost)?;
        let records = file.metadata().context(Code::State, lost)?.len() / T::BYTES as u64;
        let mut file = BufReader::with_capacity(1 << 18, file);
        let mut record = vec![0; T::BYTES];
        for _ in 0..records {
            file.read_exact(&mut record).context(Code::State, lost)?;
            each(T::read(&record).ok_or_else(|| Error::new(Code::State, lost()))?)?;
        }
        std::fs::remove_file(&self.path).context(Code::State, lost)
    }
}

fn lost() -> String {
    "what counting put aside cannot be written or read".to_owned()
}

/// Gathers the records of one thread for several files.
pub(super) struct Gather<'a, T> {
    heaps: &'a [Heap<T>],
    bytes: Vec<Vec<u8>>,
}

impl<'a, T: Record> Gather<'a, T> {
    pub(super) fn new(heaps: &'a [Heap<T>]) -> Self {
        Self { heaps, bytes: vec![Vec::new(); heaps.len()] }
    }

    /// Puts a record into one of the files.
    pub(super) fn add(&mut self, at: usize, record: T) -> Result<()> {
        let none = || Error::new(Code::Internal, "there is no such part");
        let (heap, bytes) = self.heaps.get(at).zip(self.bytes.get_mut(at)).ok_or_else(none)?;
        record.write(bytes);
        if bytes.len() < GATHERED_BYTES {
            return Ok(());
        }
        heap.write(bytes)?;
        bytes.clear();
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(self) -> Result<()> {
        for (heap, bytes) in self.heaps.iter().zip(&self.bytes) {
            if !bytes.is_empty() {
                heap.write(bytes)?;
            }
        }
        Ok(())
    }
}

/// Everything that was put aside.
///
/// PRIVACY: files hold codes, counts and keyed numbers of persons, never a value. The key is drawn for this
/// one count, is never written, and goes with it; so a file that outlives the process tells which of its
/// entries are of one person and not who that is. Folder and files are born with modes 0700 and 0600.
pub(super) struct Aside {
    folder: Spill,
    cipher: Aes128,
    /// By number.
    pub(super) persons: Vec<Heap<Person>>,
    /// By sensitive column.
    pub(super) values: Vec<Heap<Value>>,
}

impl Aside {
    /// In a folder of its own below this one. Made for at most so many rows and about as many bytes of memory.
    pub(super) fn new(
        folder: &Path,
        sensitive: usize,
        rows: u64,
        memory_bytes: usize,
    ) -> Result<Self> {
        let folder = Spill::new(folder)?;
        let mut key = Zeroizing::new([0; 16]);
        getrandom::fill(key.as_mut_slice()).context(Code::Keys, || "no random bytes".to_owned())?;
        let part_bytes = (memory_bytes as u64 / 4).max(1);
        let parts = (rows.saturating_mul(PERSON_BYTES) / part_bytes).clamp(PARTS.0, PARTS.1);
        let heap = |name: &str, at: u64| Heap::new(folder.folder(), &format!("{name}-{at:03}"));
        let heap_of_values = |at: usize| Heap::new(folder.folder(), &format!("values-{at:03}"));
        Ok(Self {
            cipher: Aes128::new((&*key).into()),
            persons: (0..parts).map(|at| heap("persons", at)).collect(),
            values: (0..sensitive).map(heap_of_values).collect(),
            folder,
        })
    }

    /// Where files may be made.
    pub(super) fn folder(&self) -> &Path {
        self.folder.folder()
    }

    /// The number of a person. Two persons have one number once in 2^128 pairs.
    pub(super) fn number(&self, name: &[u8]) -> u128 {
        scatter::mac(&self.cipher, name)
    }

    /// The file of a number.
    pub(super) fn part(&self, number: u128) -> usize {
        let high = u64::try_from(number >> 64).unwrap_or(u64::MAX);
        let part = (u128::from(high) * self.persons.len() as u128) >> 64;
        usize::try_from(part).unwrap_or(usize::MAX)
    }
}
