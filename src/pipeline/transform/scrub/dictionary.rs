//! The dictionary: words that do not leave, with what stands in their place, in an Aho-Corasick automaton.
//! It is asked where words begin and walks from there as long as some entry goes on, so that its time is at
//! most the length of the text times that of the longest entry, and usually a few steps a word. Where the
//! entries come from is the business of [`super::learn`].

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use aho_corasick::Anchored;
use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use unicode_normalization::UnicodeNormalization;

use super::find::Finds;
use super::words::{Text, byte, byte_before, joins_after, joins_before, spend};
use crate::error::{Code, Context, Error, Result};

/// How many entries there may be; a handle counts as one of its own.
pub(super) const ENTRIES_MAX: usize = 4_000_000;
/// How many bytes all entries may have together.
pub(super) const BYTES_MAX: usize = 64 << 20;
/// How many bytes one entry may have: no identifier is longer.
pub(super) const ENTRY_MAX: usize = 1024;
/// Entries of fewer characters are found only where nothing is glued to them.
pub(super) const SHORT: usize = 3;
/// Numbers of fewer digits are no entries: they are counts and codes in every text.
pub(super) const DIGITS_MIN: usize = 4;

/// The first three bytes of all entries, as a set that may say yes too often and never no.
struct Heads {
    bits: Box<[u64]>,
    sensitive: bool,
}

/// So many bits, a power of two: 8 KiB stay in the processor's cache.
const HEAD_BITS: usize = 1 << 16;

impl Heads {
    fn new(patterns: &[String], sensitive: bool) -> Self {
        let mut this = Self { bits: vec![0; HEAD_BITS / 64].into(), sensitive };
        let all = 0..=u8::MAX;
        for pattern in patterns {
            match *pattern.as_bytes() {
                [] => {}
                // Anything may follow.
                [one] => all.clone().for_each(|two| {
                    all.clone().for_each(|three| this.add([one, two, three]));
                }),
                [one, two] => all.clone().for_each(|three| this.add([one, two, three])),
                [one, two, three, ..] => this.add([one, two, three]),
            }
        }
        this
    }

    fn add(&mut self, head: [u8; 3]) {
        let place = self.place(head);
        if let Some(bits) = self.bits.get_mut(place / 64) {
            *bits |= 1 << (place % 64);
        }
    }

    /// Whether an entry may begin at a place; what is missing at the end of the text is zero.
    #[inline]
    fn may_begin(&self, bytes: &[u8], at: usize) -> bool {
        let place = self.place([byte(bytes, at), byte(bytes, at + 1), byte(bytes, at + 2)]);
        self.bits.get(place / 64).is_some_and(|bits| bits >> (place % 64) & 1 != 0)
    }

    #[inline]
    fn place(&self, head: [u8; 3]) -> usize {
        let head = if self.sensitive { head } else { head.map(|byte| byte.to_ascii_lowercase()) };
        let [one, two, three] = head.map(u32::from);
        let mixed = (one << 16 | two << 8 | three).wrapping_mul(0x9e37_79b1);
        (mixed >> 16) as usize % HEAD_BITS
    }
}

/// Whether a value can be an entry at all: it has a letter or a digit, and is no small number.
pub(super) fn is_entry(value: &str) -> bool {
    value.chars().any(char::is_alphanumeric)
        && !(value.len() < DIGITS_MIN && value.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The form under which entries are equal that differ in case alone.
pub(super) fn fold(value: &str, sensitive: bool) -> String {
    if sensitive { value.to_owned() } else { value.to_lowercase() }
}

/// An entry before it is in the dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// What is looked for.
    pub(super) word: String,
    /// What stands in its place.
    pub(super) stands: String,
}

/// Finds entries in texts.
pub struct Dictionary {
    automaton: NFA,
    start: aho_corasick::automaton::StateID,
    /// For each pattern the place of what stands for it.
    places: Vec<u32>,
    /// What stands for the entries, one text, and where each ends.
    stands: String,
    ends: Vec<u32>,
    /// How entries begin: what is not in it begins none.
    heads: Heads,
    /// Bytes that are no part of words and begin an entry.
    leads: [bool; 256],
    any_lead: bool,
    /// Entries of which several spellings have pseudonyms of their own: each exact spelling's place.
    spellings: HashMap<Box<str>, u32>,
    sensitive: bool,
}

impl Dictionary {
    /// Made of entries whose words are distinct when folded. `spellings` are exact ones that have a
    /// stand-in of their own.
    ///
    /// # Errors
    /// [`Code::SourceValue`] when there are too many, or one is too long.
    pub(super) fn new(entries: &[Entry], spellings: &[Entry], sensitive: bool) -> Result<Self> {
        let bytes: usize = entries.iter().map(|entry| entry.word.len()).sum();
        check(entries.len(), bytes)?;
        let mut patterns: Vec<String> = Vec::with_capacity(entries.len());
        let mut places = Vec::with_capacity(entries.len());
        let mut stands = String::new();
        let mut ends = Vec::with_capacity(entries.len() + spellings.len());
        let mut stand = |text: &str| -> Result<u32> {
            let place = place(ends.len())?;
            stands.push_str(text);
            ends.push(self::place(stands.len())?);
            Ok(place)
        };
        for entry in entries {
            let place = stand(&entry.stands)?;
            for form in forms(&entry.word, sensitive) {
                if form.len() > ENTRY_MAX {
                    return Err(too_long());
                }
                patterns.push(form);
                places.push(place);
            }
        }
        let mut exact = HashMap::with_capacity(spellings.len());
        for entry in spellings {
            exact.insert(entry.word.as_str().into(), stand(&entry.stands)?);
        }
        let mut leads = [false; 256];
        for pattern in patterns.iter().filter(|pattern| !joins_after(pattern, 0)) {
            let first = pattern.bytes().next().map_or(0, usize::from);
            // Letters beyond ASCII are words of their own, and asked anyway.
            if first < 128
                && let Some(lead) = leads.get_mut(first)
            {
                *lead = true;
            }
        }
        let heads = Heads::new(&patterns, sensitive);
        let automaton = NFA::builder()
            .prefilter(false)
            .build(&patterns)
            .context(Code::SourceValue, || "the dictionary is too large".to_owned())?;
        let start = automaton
            .start_state(Anchored::Yes)
            .context(Code::Internal, || "the dictionary has no beginning".to_owned())?;
        let any_lead = leads.contains(&true);
        Ok(Self {
            automaton,
            start,
            places,
            stands,
            ends,
            heads,
            leads,
            any_lead,
            spellings: exact,
            sensitive,
        })
    }

    /// Adds every entry that stands in the text as a word of its own.
    pub(super) fn find(&self, text: &Text<'_>, finds: &mut Finds) {
        let mut end = 0;
        for word in text.words {
            if self.any_lead {
                self.between(text, end, word.start, finds);
                end = word.end;
            }
            self.at(text, word.start, finds);
        }
        if self.any_lead {
            self.between(text, end, text.bytes.len(), finds);
        }
    }

    /// Looks for entries that begin between words.
    fn between(&self, text: &Text<'_>, from: usize, to: usize, finds: &mut Finds) {
        for at in from..to {
            if self.leads.get(usize::from(byte(text.bytes, at))) == Some(&true) {
                self.at(text, at, finds);
            }
        }
    }

    /// Adds the longest entry that begins at `at`.
    #[inline]
    fn at(&self, text: &Text<'_>, at: usize, finds: &mut Finds) {
        if !self.heads.may_begin(text.bytes, at) {
            return;
        }
        let mut state = self.start;
        let mut end = at;
        let mut found = None;
        for byte in text.bytes.get(at..).unwrap_or_default() {
            let byte = if self.sensitive { *byte } else { byte.to_ascii_lowercase() };
            state = self.automaton.next_state(Anchored::Yes, state, byte);
            end += 1;
            if self.automaton.is_special(state) {
                if self.automaton.is_dead(state) {
                    break;
                }
                if self.automaton.is_match(state) && self.stands_alone(text, at, end) {
                    found = self.pattern(state, end - at).map(|place| (end, place)).or(found);
                }
            }
        }
        spend(end - at);
        if let Some((end, place)) = found {
            let exact = || self.spellings.get(text.text.get(at..end)?).copied();
            let place = if self.spellings.is_empty() { None } else { exact() }.unwrap_or(place);
            finds.add_entry(place, at, end);
        }
    }

    /// The entry of exactly this length that ends in a state; others there begin later.
    fn pattern(&self, state: aho_corasick::automaton::StateID, length: usize) -> Option<u32> {
        (0..self.automaton.match_len(state)).find_map(|index| {
            let pattern = self.automaton.match_pattern(state, index);
            let whole = self.automaton.pattern_len(pattern) == length;
            whole.then(|| self.places.get(pattern.as_usize()).copied()).flatten()
        })
    }

    /// Whether what was found is a word of its own, and not a part of one.
    fn stands_alone(&self, text: &Text<'_>, start: usize, end: usize) -> bool {
        let inside = joins_before(text.text, end) && joins_after(text.text, end);
        let continues = joins_after(text.text, start) && joins_before(text.text, start);
        if inside || continues {
            return false;
        }
        if end - start >= SHORT * 4 {
            return true;
        }
        let characters = text.text.get(start..end).map_or(0, |word| word.chars().count());
        characters >= SHORT || !glued(text, start, end)
    }

    /// What stands for the entry at a place.
    pub(super) fn stands_for(&self, place: u32) -> &str {
        let at = usize::try_from(place).unwrap_or(usize::MAX);
        let end = |at: usize| self.ends.get(at).and_then(|end| usize::try_from(*end).ok());
        let start = at.checked_sub(1).map_or(Some(0), end);
        match (start, end(at)) {
            (Some(start), Some(end)) => self.stands.get(start..end).unwrap_or(super::REMOVED),
            _ => super::REMOVED,
        }
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        let spellings: usize = self.spellings.keys().map(|word| word.len() + 40).sum();
        self.automaton.memory_usage()
            + (self.places.len() + self.ends.len()) * 4
            + self.stands.len()
            + spellings
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // PRIVACY: no entry is printed.
        f.debug_struct("Dictionary").field("entries", &self.ends.len()).finish_non_exhaustive()
    }
}

/// Whether the program or the file goes on beside a short entry: `a` in `a.sh`, `-a`, `x_a`.
fn glued(text: &Text<'_>, start: usize, end: usize) -> bool {
    let glue = |byte: u8| matches!(byte, b'.' | b'_' | b'-');
    let after = glue(byte(text.bytes, end)) && joins_after(text.text, end + 1);
    glue(byte_before(text.bytes, start)) || after
}

/// The spellings that are looked for: as it is in small letters, and beyond ASCII also in capitals and with
/// accents composed and decomposed.
fn forms(word: &str, sensitive: bool) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    if word.is_ascii() {
        forms.insert(if sensitive { word.to_owned() } else { word.to_ascii_lowercase() });
        return forms;
    }
    let mut cased = vec![word.to_owned()];
    if !sensitive {
        // The text's ASCII letters are made small before they are compared.
        cased.extend([word.to_lowercase(), word.to_uppercase().to_ascii_lowercase()]);
        cased.push(word.to_ascii_lowercase());
        cased.remove(0);
    }
    for form in cased {
        let small = |text: String| if sensitive { text } else { text.to_ascii_lowercase() };
        forms.insert(small(form.nfc().collect()));
        forms.insert(small(form.nfd().collect()));
        forms.insert(form);
    }
    forms
}

/// Refuses more than a dictionary holds.
///
/// # Errors
/// [`Code::SourceValue`].
pub(super) fn check(entries: usize, bytes: usize) -> Result<()> {
    if entries > ENTRIES_MAX || bytes > BYTES_MAX {
        return Err(Error::new(
            Code::SourceValue,
            format!(
                "a dictionary holds up to {ENTRIES_MAX} entries of {} MiB together, and `learn_from` \
                 names columns with more; name those that hold people",
                BYTES_MAX >> 20
            ),
        ));
    }
    Ok(())
}

/// The error for an entry that is no identifier.
pub(super) fn too_long() -> Error {
    Error::new(
        Code::SourceValue,
        format!(
            "`learn_from` names a column with a value of more than {ENTRY_MAX} bytes, which is no \
             identifier"
        ),
    )
}

fn place(at: usize) -> Result<u32> {
    u32::try_from(at).map_err(|_| Error::new(Code::SourceValue, "the dictionary is too large"))
}
