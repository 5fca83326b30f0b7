//! Looks at cells, one after the other, for what a dictionary holds, and counts by column. What counts is in
//! `Rules`; what is counted leaves without values.

use std::collections::{BTreeMap, HashMap};

use regex::Regex;

use super::dictionary::{Compiled, Dictionary, bit, digits, is_number, normal};
use super::sources::{Source, What};
use super::{Finding, Rules, Scanned, Visitor, identifying};
use crate::error::{Code, Context, Result};
use crate::policy::Policy;
use crate::policy::plan::Plan;

/// Columns that are told apart; documents may have any number of names.
const COLUMNS_MAX: usize = 4_096;

/// Where all further columns are counted.
const OTHERS: &str = "(other columns)";

/// How many values of a column are told, where they are asked for.
const VALUES_MAX: usize = 5;

/// How often progress is told, in cells.
const TOLD_EVERY: u64 = 1 << 16;

/// A number or a moment: it has no words in it.
const NUMBER_OR_TIME: &str = r"^(?:[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?)$";

/// What was counted of one column.
#[derive(Default)]
struct Column {
    name: String,
    by_name: bool,
    whole: u64,
    inside: u64,
    distinct: u64,
    of: u64,
    values: Vec<String>,
    /// The sources of the raw column of the same name, one bit each.
    same: u64,
    /// The sources that count here.
    counts: u64,
    /// The source whose rule spares words here.
    spares: Option<usize>,
    /// Entries of the dictionary in use that were found, one bit each.
    found: Vec<u64>,
}

/// A visitor that counts.
pub(super) struct Scanner<'a> {
    sources: &'a [Source],
    /// Names that columns have by the policy.
    known: Vec<&'a str>,
    rules: Rules,
    dictionary: Option<Compiled>,
    columns: Vec<Column>,
    by_name: HashMap<String, usize>,
    number_or_time: Option<Regex>,
    hits: Vec<usize>,
    /// Whether a word was found in the last text that the rule of its column spares.
    is_spared: bool,
    /// Whether the last text was an identifier as a whole.
    is_whole: bool,
    scanned: Scanned,
    /// Distinct identifiers that are whole values of columns.
    values: u64,
    told: u64,
    progress: &'a dyn Fn(u64),
}

impl<'a> Scanner<'a> {
    pub(super) fn new(
        sources: &'a [Source],
        policy: &'a Policy,
        rules: Rules,
        progress: &'a dyn Fn(u64),
    ) -> Self {
        let of = identifying(policy).into_iter().map(str::to_owned).collect();
        Self {
            sources,
            known: policy.columns.iter().map(|column| column.name.as_str()).collect(),
            rules,
            dictionary: None,
            columns: Vec::new(),
            by_name: HashMap::new(),
            number_or_time: None,
            hits: Vec::new(),
            is_spared: false,
            is_whole: false,
            scanned: Scanned { of, ..Scanned::default() },
            values: 0,
            told: 0,
            progress,
        }
    }

    /// Takes the dictionary of a pass.
    pub(super) fn load(&mut self, dictionary: Dictionary) -> Result<()> {
        if self.number_or_time.is_none() {
            let made = Regex::new(NUMBER_OR_TIME);
            self.number_or_time =
                Some(made.context(Code::Internal, || "the pattern of numbers".to_owned())?);
        }
        // It is the same for every share.
        self.scanned.empty = dictionary.empty;
        let compiled = dictionary.compile(self.rules)?;
        self.scanned.identifiers += compiled.len() as u64;
        self.scanned.short += compiled.short;
        self.scanned.numbers += compiled.numbers;
        let sources = self.sources.iter().enumerate();
        let values = sources.filter(|(_, source)| matches!(source.what, What::Values { .. }));
        self.values += compiled.count_of(values.fold(0, |bits, (at, _)| bits | bit(at)));
        self.scanned.cells = 0;
        self.scanned.spared = 0;
        let words = compiled.len().div_ceil(64);
        self.dictionary = Some(compiled);
        // A document may name its columns after persons: each pass looks at the names anew.
        for at in 0..self.columns.len() {
            if let Some(column) = self.columns.get_mut(at) {
                column.found.clear();
                column.found.resize(words, 0);
            }
            self.look_at_name(at);
        }
        Ok(())
    }

    fn look_at_name(&mut self, at: usize) {
        let Some(column) = self.columns.get(at) else { return };
        let name = column.name.clone();
        // A name that the policy gives is no value.
        if self.known.contains(&name.as_str()) {
            return;
        }
        let hits = self.find(at, &name);
        if let (Some(column), false) = (self.columns.get_mut(at), hits.is_empty()) {
            column.by_name = true;
        }
        self.hits = hits;
    }

    /// The entries that a text is or holds.
    fn find(&mut self, column: usize, text: &str) -> Vec<usize> {
        let mut hits = std::mem::take(&mut self.hits);
        hits.clear();
        self.is_whole = false;
        let (Some(dictionary), Some(number_or_time)) = (&self.dictionary, &self.number_or_time)
        else {
            return hits;
        };
        let lower;
        let text = if self.rules.any_case {
            lower = text.to_ascii_lowercase();
            lower.as_str()
        } else {
            text
        };
        let text = text.trim();
        let none = Column::default();
        let here = self.columns.get(column).unwrap_or(&none);
        let mut is_spared = false;
        let mut counts = |at: usize| {
            let Some((value, of)) = dictionary.entry(at) else { return false };
            let long = !is_number(value) || digits(value) >= self.rules.number_digits_min;
            if of & here.counts == 0 || !(long || of & here.same != 0) {
                return false;
            }
            let spares = here.spares.and_then(|at| self.sources.get(at)).is_some_and(
                |source| matches!(&source.what, What::Parts(seek) if seek.borrow().spares(value)),
            );
            is_spared |= spares;
            !spares
        };
        if let Some(at) = dictionary.whole(normal(text)).filter(|at| counts(*at)) {
            hits.push(at);
            self.is_whole = true;
        }
        if !self.is_whole && !number_or_time.is_match(text) {
            dictionary.inside(text, |at| {
                if counts(at) {
                    hits.push(at);
                }
            });
        }
        self.is_spared = is_spared;
        hits
    }

    /// What was counted, when all passes are over.
    pub(super) fn end(mut self, plan: &Plan, passes: u64) -> Scanned {
        (self.progress)(self.scanned.cells.saturating_sub(self.told));
        self.scanned.passes = passes;
        // What was found in texts is no value that a permutation goes over.
        let total = self.values as f64;
        let mut findings: BTreeMap<(bool, usize), Finding> = BTreeMap::new();
        for (at, column) in self.columns.into_iter().enumerate() {
            if column.whole + column.inside == 0 && !column.by_name {
                continue;
            }
            let rule = plan.columns().iter().find(|planned| planned.name == column.name);
            let space = rule.and_then(|planned| permuted(planned.rule.transform.spec().method));
            let expected = space.map_or(0.0, |space| total * total / space);
            let by_chance = column.inside == 0
                && !column.by_name
                && expected >= 0.01
                && (column.distinct as f64) <= (10.0 * expected).ceil();
            let sources = self.sources.iter().enumerate();
            let of = sources.filter(|(at, _)| column.of & bit(*at) != 0);
            let of: Vec<&str> = of.map(|(_, source)| source.column.as_str()).collect();
            // In the order of the policy, each once.
            let of = self.scanned.of.iter().filter(|name| of.contains(&name.as_str()));
            let name = if column.by_name {
                format!("column {} (its name is an identifier)", at + 1)
            } else {
                column.name
            };
            let finding = Finding {
                column: name,
                by_name: column.by_name,
                whole: column.whole,
                inside: column.inside,
                distinct: column.distinct,
                of: of.cloned().collect(),
                by_chance,
                values: column.values,
            };
            findings.insert((by_chance, at), finding);
        }
        self.scanned.findings = findings.into_values().collect();
        self.scanned
    }
}

impl Visitor for Scanner<'_> {
    fn column(&mut self, name: &str) -> usize {
        if let Some(at) = self.by_name.get(name) {
            return *at;
        }
        if self.columns.len() >= COLUMNS_MAX && name != OTHERS {
            return self.column(OTHERS);
        }
        let at = self.columns.len();
        self.by_name.insert(name.to_owned(), at);
        let words = self.dictionary.as_ref().map_or(0, |dictionary| dictionary.len().div_ceil(64));
        let mut column =
            Column { name: name.to_owned(), found: vec![0; words], ..Column::default() };
        for (at, source) in self.sources.iter().enumerate() {
            if source.counts.holds(name) {
                column.counts |= bit(at);
            }
            if source.column.eq_ignore_ascii_case(name) {
                column.same |= bit(at);
                if matches!(source.what, What::Parts(_)) {
                    column.spares = Some(at);
                }
            }
        }
        self.columns.push(column);
        self.look_at_name(at);
        at
    }

    fn cell(&mut self, column: usize, text: &str) {
        self.scanned.cells += 1;
        if self.scanned.cells - self.told >= TOLD_EVERY {
            (self.progress)(self.scanned.cells - self.told);
            self.told = self.scanned.cells;
        }
        let hits = self.find(column, text);
        self.scanned.spared += u64::from(self.is_spared);
        if let (Some(at), false) = (self.columns.get_mut(column), hits.is_empty())
            && let Some(dictionary) = &self.dictionary
        {
            if self.is_whole {
                at.whole += 1;
            } else {
                at.inside += 1;
            }
            for hit in &hits {
                let Some((value, of)) = dictionary.entry(*hit) else { continue };
                at.of |= of;
                let Some(word) = at.found.get_mut(hit / 64) else { continue };
                let bit = 1 << (hit % 64);
                if *word & bit == 0 {
                    *word |= bit;
                    at.distinct += 1;
                    if self.rules.show_values && at.values.len() < VALUES_MAX {
                        at.values.push(value.to_owned());
                    }
                }
            }
        }
        self.hits = hits;
    }
}

/// How many values a permutation goes over, at least, where the method is one.
fn permuted(method: Option<&str>) -> Option<f64> {
    match method? {
        "crypto_pan" | "ipcrypt_pfx" => Some(f64::from(u32::MAX)),
        "ff1" => Some(1_000_000.0),
        _ => None,
    }
}
