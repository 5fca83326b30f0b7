//! One text in, one text out: finds by dictionary and detectors, settled and replaced, or told. Reads no
//! policy and no columns.

use std::sync::Arc;

use super::dictionary::Dictionary;
use super::find::{Detector, Finds, Kind, Kinds, What};
use super::keys::{Keys, Treatment};
use super::stand_in::StandIn;
use super::words::{Text, Word, cut};
use super::{
    REMOVED, UNPARSED, accounts, addresses, hosts, json, mail, names, numbers, paths, secrets,
};
use crate::pairs::{self, Environment};

/// All families of detectors.
const DETECTORS: [Detector; 8] = [
    mail::find,
    hosts::find,
    addresses::find,
    paths::find,
    names::find,
    numbers::find,
    accounts::find,
    secrets::find,
];

/// How texts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON or an environment where a text is one, else a text.
    Auto,
    /// A text.
    Text,
    /// `KEY=value` pairs.
    Environment,
    /// JSON.
    Json,
}

/// What becomes of what detectors find.
#[derive(Debug)]
enum Finding {
    /// A pseudonym, where its kind may have one and these are wanted, or a marker.
    Replaced(Box<StandIn>, bool),
    /// It is told, also where it stands in a pair that stays behind as a whole.
    Told(Vec<String>),
}

impl Finding {
    fn take(&mut self, kind: Kind, found: &str, pseudonyms: bool, out: &mut Vec<u8>) {
        match self {
            Self::Replaced(stand_in, wanted) => {
                stand_in.write(kind, found, *wanted && pseudonyms, out);
            }
            Self::Told(told) => told.push(found.to_owned()),
        }
    }
}

/// Scrubs texts.
#[derive(Debug)]
pub(super) struct Engine {
    kinds: Kinds,
    dictionary: Option<Arc<Dictionary>>,
    finding: Finding,
    /// Memory that is used again.
    words: Vec<Word>,
    finds: Finds,
}

impl Engine {
    /// Bound to what is looked for.
    pub(super) fn new(
        kinds: Kinds,
        dictionary: Option<Arc<Dictionary>>,
        stand_in: StandIn,
        pseudonyms: bool,
    ) -> Self {
        let (words, finds) = (Vec::new(), Finds::default());
        let finding = Finding::Replaced(Box::new(stand_in), pseudonyms);
        Self { kinds, dictionary, finding, words, finds }
    }

    /// Bound to nothing but detectors, and to tell what they find. What it writes means nothing.
    pub(super) fn telling(kinds: Kinds) -> Self {
        let (words, finds) = (Vec::new(), Finds::default());
        Self { kinds, dictionary: None, finding: Finding::Told(Vec::new()), words, finds }
    }

    /// What was found since it was last asked, by one that tells.
    pub(super) fn told(&mut self) -> Vec<String> {
        match &mut self.finding {
            Finding::Told(told) => std::mem::take(told),
            Finding::Replaced(..) => Vec::new(),
        }
    }

    /// Whether it tells what it finds.
    pub(super) const fn tells(&self) -> bool {
        matches!(self.finding, Finding::Told(_))
    }

    /// Writes a value as the format says. One that is not of its format, or that has no pairs where some
    /// must stay behind, leaves as a marker.
    pub(super) fn value(&mut self, format: Format, keys: &Keys, text: &str, out: &mut Vec<u8>) {
        let begin = out.len();
        let json = match format {
            Format::Json => true,
            Format::Auto => text.trim_start().starts_with(['{', '[']),
            Format::Environment | Format::Text => false,
        };
        if json {
            if json::rewrite(self, keys, text, out).is_some() {
                return;
            }
            out.truncate(begin);
        }
        if matches!(format, Format::Auto | Format::Environment)
            && text.contains('=')
            && let Some(environment) = pairs::pairs(text, format == Format::Auto)
        {
            return self.environment(keys, text, &environment, out);
        }
        let decided = match format {
            Format::Text => true,
            Format::Auto => !keys.take_out(),
            // Nothing in it is nothing of any format.
            Format::Environment | Format::Json => text.trim().is_empty(),
        };
        if decided || self.tells() {
            self.scrub(text, Treatment::Scrub, out);
        } else {
            out.extend_from_slice(UNPARSED.as_bytes());
        }
    }

    fn environment(
        &mut self,
        keys: &Keys,
        text: &str,
        environment: &Environment,
        out: &mut Vec<u8>,
    ) {
        let Environment { pairs, end, .. } = environment;
        let plain = |from: usize, to: usize| text.get(from..to).unwrap_or_default().as_bytes();
        out.extend_from_slice(plain(0, pairs.first().map_or(0, |pair| pair.whole.start)));
        for (at, pair) in pairs.iter().enumerate() {
            let key = text.get(pair.key.clone()).unwrap_or_default();
            let stays = keys.drops(key) || !keys.admits(key);
            if stays && !self.tells() {
                continue;
            }
            let treatment = if keys.keeps(key) && !stays {
                Treatment::Keep
            } else if secrets::is_secret_key(key.as_bytes()) {
                Treatment::Secret
            } else {
                Treatment::Scrub
            };
            out.extend_from_slice(plain(pair.whole.start, pair.key.start));
            self.scrub(key, Treatment::Scrub, out);
            out.extend_from_slice(plain(pair.key.end, pair.value.start));
            self.scrub(text.get(pair.value.clone()).unwrap_or_default(), treatment, out);
            // A pair that stays behind takes its quotes and the separator behind it along.
            let next = pairs.get(at + 1).map_or(*end, |next| next.whole.start);
            out.extend_from_slice(plain(pair.value.end, next));
        }
        out.extend_from_slice(plain(*end, text.len()));
    }

    /// Writes a text without what is found in it.
    pub(super) fn scrub(&mut self, text: &str, treatment: Treatment, out: &mut Vec<u8>) {
        let kinds = match treatment {
            Treatment::Secret if self.kinds.has(Kind::Secret) && !text.is_empty() => {
                return self.finding.take(Kind::Secret, text, false, out);
            }
            Treatment::Keep => Kinds::default(),
            Treatment::Scrub | Treatment::Secret => self.kinds,
        };
        let marks = cut(text, &mut self.words);
        self.finds.begin(kinds);
        let seen = Text { text, bytes: text.as_bytes(), words: &self.words, marks };
        if let Some(dictionary) = &self.dictionary {
            dictionary.find(&seen, &mut self.finds);
        }
        if !kinds.is_empty() {
            for detector in DETECTORS {
                detector(&seen, &mut self.finds);
            }
        }
        self.finds.widen(&seen);
        let mut at = 0;
        for find in self.finds.settle() {
            let between = seen.bytes.get(at..find.start).unwrap_or_default();
            out.extend_from_slice(between);
            match (find.what, &self.dictionary) {
                (What::Entry(place), Some(dictionary)) => {
                    out.extend_from_slice(dictionary.stands_for(place).as_bytes());
                }
                (What::Entry(_), None) => out.extend_from_slice(REMOVED.as_bytes()),
                (What::Kind(kind), _) => {
                    // Detectors see bytes; what they find begins and ends with characters.
                    let found = text.get(find.start..find.end).unwrap_or_default();
                    self.finding.take(kind, found, true, out);
                }
            }
            at = find.end;
        }
        out.extend_from_slice(seen.bytes.get(at..).unwrap_or_default());
    }
}

/// What the detectors find in a text, settled; for measuring them.
#[cfg(test)]
pub(super) fn found_in(text: &str) -> Vec<super::find::Find> {
    let all: Vec<String> = Kind::ALL.iter().map(|kind| kind.word().to_owned()).collect();
    let (mut words, mut finds) = (Vec::new(), Finds::default());
    let marks = cut(text, &mut words);
    finds.begin(Kinds::new(&all));
    for detector in DETECTORS {
        detector(&Text { text, bytes: text.as_bytes(), words: &words, marks }, &mut finds);
    }
    finds.settle().to_vec()
}
