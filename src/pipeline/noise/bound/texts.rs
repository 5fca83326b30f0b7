//! The keys of groups as bytes, in the order in which they came, in memory and in a file; each behind what stands
//! for it. A key may be there several times. Decides nothing.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::gather::Shared;
use super::spilled::Spilled;
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::GroupId;

/// Words before the bytes: what stands for the key, and how many bytes there are.
const HEAD: usize = 3;

/// Keys that somebody may look up.
#[derive(Default)]
pub(super) struct Texts {
    words: Vec<u64>,
    file: Option<Spilled>,
}

impl Texts {
    /// Takes a key.
    pub(super) fn push(&mut self, id: GroupId, text: &[u8]) {
        self.words.extend([id[0], id[1], text.len() as u64]);
        let (words, rest) = text.as_chunks::<8>();
        self.words.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
            self.words.push(u64::from_le_bytes(last));
        }
    }

    /// What is held in memory.
    pub(super) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    /// Writes what is held to a file.
    ///
    /// # Errors
    /// [`Code::QueryMemory`] where the folder has no room.
    pub(super) fn spill(&mut self, shared: &Shared) -> Result<()> {
        let words = std::mem::take(&mut self.words);
        if words.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(Spilled::new(&shared.disk)?),
        };
        shared.spilled.fetch_add((words.len() * size_of::<u64>()) as u64, Ordering::Relaxed);
        file.write(words)
    }

    /// Puts the keys that are looked for where they are wanted. Where two keys have one id, which has the chance
    /// that [`super::keyed::Order::group_id`] says, it is the lesser.
    ///
    /// # Errors
    /// [`Code::QueryMemory`] where the file cannot be read.
    pub(super) fn find(mut self, wanted: &mut HashMap<GroupId, Option<Vec<u8>>>) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.finish()?;
            let mut left = file.words();
            let mut reader = file.reader()?;
            while left > 0 {
                let head = reader.words(HEAD)?;
                let &[first, second, bytes] = head.as_slice() else { return Err(torn()) };
                let words = usize::try_from(bytes).map_err(|_| torn())?.div_ceil(8);
                left = left.checked_sub(HEAD + words).ok_or_else(torn)?;
                match wanted.get_mut(&[first, second]) {
                    Some(place) => keep(place, &reader.words(words)?, bytes)?,
                    None => reader.skip(words)?,
                }
            }
        }
        let mut rest = self.words.as_slice();
        while let Some((&[first, second, bytes], texts)) = rest.split_first_chunk::<HEAD>() {
            let words = usize::try_from(bytes).map_err(|_| torn())?.div_ceil(8);
            let (text, behind) = texts.split_at_checked(words).ok_or_else(torn)?;
            if let Some(place) = wanted.get_mut(&[first, second]) {
                keep(place, text, bytes)?;
            }
            rest = behind;
        }
        Ok(())
    }
}

fn keep(place: &mut Option<Vec<u8>>, words: &[u64], bytes: u64) -> Result<()> {
    let mut text: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    text.truncate(usize::try_from(bytes).map_err(|_| torn())?);
    if place.as_ref().is_none_or(|other| text < *other) {
        *place = Some(text);
    }
    Ok(())
}

fn torn() -> Error {
    Error::new(Code::Internal, "keys of groups are not as they were written")
}
