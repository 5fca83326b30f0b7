//! Raw identifiers, share by share: as many at a time as memory may hold. A share is made of the values
//! whose hash falls into it, so that a value is in one share only, whatever the files' order.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field};

use super::super::cells::leaves;
use super::super::scan::Scan;
use super::super::source::Snapshot;
use super::super::transform::handles_of;
use super::Rules;
use super::dictionary::{Dictionary, needle, normal};
use super::sources::{Source, What};
use crate::error::{Code, Error, Result};

/// Which values are looked for now: those whose hash, divided by `of`, leaves `index`.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) index: u64,
    pub(super) of: u64,
}

impl Default for Share {
    fn default() -> Self {
        Self { index: 0, of: 1 }
    }
}

impl Share {
    fn has(&self, text: &str) -> bool {
        if self.of == 1 {
            return true;
        }
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        hasher.finish() % self.of == self.index
    }
}

/// Reads identifiers.
pub(super) struct Gather<'a> {
    pub(super) scan: Arc<Scan>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) sources: &'a [Source],
    pub(super) rules: Rules,
}

impl Gather<'_> {
    /// The values of a share. The first is made smaller, by having more of them, until it fits.
    pub(super) fn share(&self, share: &mut Share) -> Result<Dictionary> {
        let mut dictionary = Dictionary::default();
        for (at, source) in self.sources.iter().enumerate() {
            if let What::Words(words) = &source.what {
                let mut adding =
                    Adding { rules: self.rules, at, share, dictionary: &mut dictionary };
                words.iter().for_each(|word| adding.add(word.trim()));
            }
        }
        if self.sources.is_empty() {
            return Ok(dictionary);
        }
        for piece in self.snapshot.pieces() {
            for batch in self.scan.read(piece)? {
                let batch = batch?;
                for (at, source) in self.sources.iter().enumerate() {
                    if matches!(source.what, What::Words(_)) {
                        continue;
                    }
                    let column = batch.column(&source.column)?;
                    let rules = self.rules;
                    let mut adding = Adding { rules, at, share, dictionary: &mut dictionary };
                    values(source, &column, &mut adding)?;
                    while share.index == 0 && dictionary.bytes() > self.rules.dictionary_bytes {
                        share.of *= 2;
                        dictionary.retain(|text| share.has(text));
                    }
                }
            }
        }
        Ok(dictionary)
    }
}

/// Where the values of one source go.
struct Adding<'a> {
    rules: Rules,
    at: usize,
    share: &'a Share,
    dictionary: &'a mut Dictionary,
}

impl Adding<'_> {
    fn add(&mut self, text: &str) {
        let lower;
        let text = if self.rules.any_case {
            lower = text.to_ascii_lowercase();
            lower.as_str()
        } else {
            text
        };
        let text = needle(normal(text));
        if is_nothing(text) {
            self.dictionary.empty += 1;
        } else if self.share.has(text) {
            self.dictionary.add(text, self.at);
        }
    }
}

/// Adds what a source has in one column of a batch.
fn values(source: &Source, column: &ArrayRef, adding: &mut Adding<'_>) -> Result<()> {
    let is_number = column.data_type().is_integer();
    let is_binary = matches!(
        column.data_type(),
        DataType::FixedSizeBinary(16) | DataType::Binary | DataType::BinaryView
    );
    let field = Arc::new(Field::new(&source.column, column.data_type().clone(), true));
    let shown = leaves(&field, column, &mut |_, text| {
        let Some(text) = text else { return };
        match &source.what {
            What::Values { address, learned } => {
                let text = text.trim();
                adding.add(text);
                if let Some((handle, _)) = text.split_once('@') {
                    adding.add(handle);
                }
                if *learned {
                    handles_of(text).into_iter().for_each(|handle| adding.add(handle));
                }
                if *address {
                    other_forms(text, is_number, is_binary).iter().for_each(|it| adding.add(it));
                }
            }
            What::Parts(seek) => {
                seek.borrow_mut().seek(text, &mut |found| adding.add(found.trim()));
            }
            What::Words(_) => {}
        }
    });
    // PRIVACY: the library's words may quote a value.
    shown.map_err(|_| Error::new(Code::SourceUnreadable, "raw values have no text"))
}

/// An address as others write it: a number as four octets, four octets as a number, sixteen bytes as text.
fn other_forms(text: &str, is_number: bool, is_binary: bool) -> Vec<String> {
    if is_number {
        let number = text.parse::<i64>().ok().and_then(|number| u32::try_from(number).ok());
        return number.map(|number| Ipv4Addr::from(number).to_string()).into_iter().collect();
    }
    if is_binary {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap_or_default();
        let bytes = <[u8; 16]>::try_from(bytes).ok();
        return bytes
            .map(|bytes| Ipv6Addr::from(bytes).to_canonical().to_string())
            .into_iter()
            .collect();
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => vec![u32::from(address).to_string()],
        Ok(address @ IpAddr::V6(_)) => vec![address.to_canonical().to_string()],
        Err(_) => Vec::new(),
    }
}

/// Whether a raw value says nothing about anybody.
fn is_nothing(text: &str) -> bool {
    const WORDS: [&str; 14] = [
        "", "-", "--", "(null)", "<null>", "false", "invalid", "n/a", "na", "nan", "none", "null",
        "true", "unknown",
    ];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}
