//! Where the dictionary's entries come from: every distinct value of the columns that `learn_from` names,
//! the handles in them, and the words of the policy; and what stands for each: what leaves for the value in
//! its own column. How texts are searched is the business of [`super::dictionary`].

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::super::{Kernel, Learned, Learner, Neighbour, plain};
use super::REMOVED;
use super::dictionary::{self, Dictionary, ENTRY_MAX, Entry, fold, is_entry};
use super::stand_in::StandIn;
use crate::error::{Code, Context, Error, Result};

/// What is learned, and from where.
pub(super) struct Lesson {
    sources: Vec<Source>,
    settings: Settings,
    entries: usize,
    bytes: usize,
}

/// What the policy says of the dictionary.
#[derive(Debug)]
pub(super) struct Settings {
    /// Words besides those that are learned.
    pub(super) words: Vec<String>,
    /// Words that are no entries, folded.
    pub(super) except: HashSet<String>,
    /// Whether capitals matter.
    pub(super) sensitive: bool,
    /// Whether markers stand for entries, and no pseudonyms.
    pub(super) markers: bool,
    /// Makes what stands for words, and for handles of several people.
    pub(super) stand_in: StandIn,
}

/// A column to learn from.
struct Source {
    /// The type of one value.
    input: DataType,
    /// What the column's own rule does to a value; `None` where no stand-in leaves.
    kernel: Option<Box<dyn Kernel>>,
    values: HashSet<Box<str>>,
}

impl Lesson {
    /// Learns from `neighbours`, which are bound to their own rules.
    ///
    /// # Errors
    /// When a neighbour's kernel cannot be made.
    pub(super) fn new(
        neighbours: &[Neighbour],
        tokens: &Arc<dyn super::super::TokenMap>,
        folder: &std::path::Path,
        settings: Settings,
    ) -> Result<Self> {
        let source = |neighbour: &Neighbour| {
            let kernel = if settings.markers { None } else { neighbour.kernel(tokens, folder)? };
            Ok(Source { input: neighbour.item().clone(), kernel, values: HashSet::new() })
        };
        let sources = neighbours.iter().map(source).collect::<Result<_>>()?;
        Ok(Self { sources, settings, entries: 0, bytes: 0 })
    }

    /// The dictionary of what was learned.
    pub(super) fn dictionary(self) -> Result<Dictionary> {
        let Self { sources, settings, .. } = self;
        let mut draft = Draft { settings: &settings, slots: BTreeMap::new(), rank: 0 };
        let mut handles: Vec<Vec<(String, String)>> = Vec::new();
        for source in sources {
            draft.rank += 1;
            let mut of_source = Vec::new();
            source.stand_ins(|value, stands| {
                draft.add(value.trim(), value, stands);
                for handle in handles_of(value.trim()) {
                    of_source.push((handle.to_owned(), local(value, stands).to_owned()));
                }
            })?;
            handles.push(of_source);
        }
        for of_source in handles {
            draft.rank += 1;
            for (handle, stands) in of_source {
                draft.add(&handle, &handle, &stands);
            }
        }
        draft.rank += 1;
        for word in &settings.words {
            let stands = settings.stand_in.of_value(&fold(word, settings.sensitive));
            draft.add(word.trim(), word, if settings.markers { REMOVED } else { &stands });
        }
        draft.finish()
    }
}

impl Source {
    /// Shows each value with what stands for it in its own column.
    fn stand_ins(mut self, mut see: impl FnMut(&str, &str)) -> Result<()> {
        let mut values: Vec<Box<str>> = self.values.into_iter().collect();
        values.sort_unstable();
        for some in values.chunks(4096) {
            let Some(kernel) = &mut self.kernel else {
                some.iter().for_each(|value| see(value, REMOVED));
                continue;
            };
            let texts: ArrayRef = Arc::new(StringArray::from_iter_values(some));
            let raw = cast(&texts, &self.input)
                .context(Code::Internal, || "learned values have another type".to_owned())?;
            let out = kernel.apply(&raw, &[])?;
            let out = cast(&out, &DataType::Utf8)
                .context(Code::Internal, || "a stand-in has no text form".to_owned())?;
            let out = out
                .as_string_opt::<i32>()
                .filter(|out| out.len() == some.len())
                .ok_or_else(|| Error::new(Code::Internal, "a value has no stand-in"))?;
            for (value, stands) in some.iter().zip(out) {
                see(value, stands.filter(|stands| !stands.is_empty()).unwrap_or(REMOVED));
            }
        }
        Ok(())
    }
}

impl Learner for Lesson {
    fn observe(&mut self, _values: &ArrayRef, reads: &[ArrayRef]) -> Result<()> {
        if reads.len() != self.sources.len() {
            return Err(Error::new(Code::Internal, "a column to learn from is missing"));
        }
        for (source, column) in self.sources.iter_mut().zip(reads) {
            let mut take = |values: &ArrayRef| {
                plain::for_each(values, |value| {
                    let Some(value) = value.and_then(|value| std::str::from_utf8(value).ok())
                    else {
                        return Ok(());
                    };
                    if source.values.contains(value) || !is_entry(value) {
                        return Ok(());
                    }
                    if value.trim().len() > ENTRY_MAX {
                        return Err(dictionary::too_long());
                    }
                    self.entries += 1 + handles_of(value).len();
                    self.bytes +=
                        value.len() + handles_of(value).iter().map(|h| h.len()).sum::<usize>();
                    dictionary::check(self.entries, self.bytes)?;
                    source.values.insert(value.into());
                    Ok(())
                })
            };
            match column.as_list_opt::<i32>() {
                Some(lists) => {
                    for row in 0..lists.len() {
                        if lists.is_valid(row) {
                            take(&lists.value(row))?;
                        }
                    }
                }
                None => take(column)?,
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Learned> {
        Ok(Learned::Dictionary(Arc::new(self.dictionary()?)))
    }
}

/// The parts of a value that stand for its person alone: what is before the `@`, before a slash in that,
/// and behind a backslash.
pub(in crate::pipeline) fn handles_of(value: &str) -> Vec<&str> {
    let mut handles = Vec::new();
    let local = value.split_once('@').map(|(local, _)| local);
    if let Some(local) = local.filter(|local| !local.contains(char::is_whitespace)) {
        handles.push(local);
        handles.extend(local.split_once('/').map(|(primary, _)| primary));
    }
    let user = value.rsplit_once('\\').map(|(_, user)| user);
    handles.extend(user.filter(|user| !user.contains(char::is_whitespace)));
    handles.retain(|handle| is_entry(handle));
    handles
}

/// The part of a stand-in that stands for the handle: what is before the `@`, where the rule left the
/// value's own domain behind it, else all.
fn local<'a>(value: &str, stands: &'a str) -> &'a str {
    let of_value = value.trim().split_once('@').map(|(_, domain)| domain);
    match (of_value, stands.split_once('@')) {
        (Some(domain), Some((local, kept))) if domain.eq_ignore_ascii_case(kept) => local,
        _ => stands,
    }
}

/// The dictionary while it is made.
struct Draft<'a> {
    settings: &'a Settings,
    slots: BTreeMap<String, Slot>,
    /// Whose turn it is: what came with an earlier turn is not replaced.
    rank: usize,
}

struct Slot {
    rank: usize,
    stands: String,
    /// Every exact spelling with what stands for it, once there are several that differ.
    spellings: Vec<(String, String)>,
}

impl Draft<'_> {
    /// Adds a word, spelled as it stands in the data.
    ///
    /// PRIVACY: two values that differ in case, or two people with one handle, have stand-ins of their own.
    /// Their common word must get neither: it would join one to the rows of the other.
    fn add(&mut self, word: &str, raw: &str, stands: &str) {
        let settings = self.settings;
        let folded = fold(word, settings.sensitive);
        if !is_entry(word) || settings.except.contains(&folded) {
            return;
        }
        match self.slots.get_mut(&folded) {
            None => {
                let spellings = vec![(raw.to_owned(), stands.to_owned())];
                let slot = Slot { rank: self.rank, stands: stands.to_owned(), spellings };
                self.slots.insert(folded, slot);
            }
            Some(slot) if slot.rank == self.rank => {
                slot.spellings.push((raw.to_owned(), stands.to_owned()));
            }
            Some(_) => {}
        }
    }

    fn finish(self) -> Result<Dictionary> {
        let mut entries = Vec::with_capacity(self.slots.len());
        let mut spellings = Vec::new();
        for (folded, slot) in self.slots {
            let agree = slot.spellings.iter().all(|(_, stands)| *stands == slot.stands);
            let stands = if agree {
                slot.stands
            } else {
                spellings.extend(exact(&slot.spellings));
                self.settings.stand_in.of_several(&folded)
            };
            entries.push(Entry { word: folded, stands });
        }
        Dictionary::new(&entries, &spellings, self.settings.sensitive)
    }
}

/// The spellings that stand for one value each. The same handle of two people is none.
fn exact(spellings: &[(String, String)]) -> Vec<Entry> {
    let mut by_word: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for (word, stands) in spellings {
        by_word
            .entry(word)
            .and_modify(|known| *known = known.filter(|known| known == stands))
            .or_insert(Some(stands));
    }
    let entry = |(word, stands): (&str, Option<&str>)| {
        Some(Entry { word: word.to_owned(), stands: stands?.to_owned() })
    };
    by_word.into_iter().filter_map(entry).collect()
}
