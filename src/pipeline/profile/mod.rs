//! What a sample of raw rows looks like, column by column, in counts and words: how many values are
//! null, how many differ, how many look like e-mail addresses, which columns hold the values of
//! others. Proposes nothing; that is the business of `policy/propose`.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;

#[cfg(feature = "server")]
mod column;
#[cfg(feature = "server")]
mod links;
mod look;
#[cfg(feature = "server")]
mod looks;
#[cfg(feature = "server")]
mod sample;
#[cfg(test)]
#[cfg(feature = "server")]
mod tests;
#[cfg(feature = "server")]
mod text;

pub use look::Look;
#[cfg(feature = "server")]
pub use sample::{Sample, Watch};
#[cfg(feature = "server")]
pub use text::delimited;

/// What a sample tells of a dataset.
///
/// PRIVACY: names of columns, types, counts and words of this program; no value of any cell. What is
/// kept of numbers is their order of magnitude. The test
/// `a_profile_holds_no_text_and_no_number_of_any_cell` looks for cells in what it shows.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The rows of the data, where the files say.
    pub rows: Option<u64>,
    /// The rows looked at.
    pub sampled: u64,
    /// How many files there are.
    pub files: usize,
    /// The columns in the order of the data.
    pub columns: Vec<ColumnProfile>,
    /// Which columns hold values of others.
    pub links: Vec<Link>,
}

/// What the sample tells of one column.
#[derive(Debug, Clone)]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// Its type as the source reads it.
    pub data_type: DataType,
    /// Values that are not null. Items of lists count one by one.
    pub values: u64,
    /// Nulls.
    pub nulls: u64,
    /// Values that are empty or a word for nothing, such as `NULL` or `Unknown`.
    pub blanks: u64,
    /// How many values differ, blanks left out.
    pub distinct: u64,
    /// How many values have this look, each value counted once under its most telling look.
    pub looks: BTreeMap<Look, u64>,
    /// How many values have something of this look inside, whole values left out.
    pub inside: BTreeMap<Look, u64>,
    /// The lengths of values, where they are text.
    pub lengths: Option<Lengths>,
    /// Of numbers.
    pub numbers: Option<Numbers>,
}

/// How long values are, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// The shortest.
    pub least: u64,
    /// The mean, rounded.
    pub mean: u64,
    /// The longest.
    pub most: u64,
}

/// What numbers are like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// How many are below zero.
    pub negative: u64,
    /// How many are zero.
    pub zero: u64,
    /// How many are not whole.
    pub fractional: u64,
    /// How many could be degrees of latitude.
    pub latitude: u64,
    /// How many could be degrees of longitude.
    pub longitude: u64,
    /// How many could be seconds since 1970, in this century.
    pub epoch: u64,
    /// How many could be milliseconds since 1970, in this century.
    pub epoch_millis: u64,
    /// How many could be days written as 20260131.
    pub day: u64,
    /// How many could be numbers of payment cards, by their check digit.
    pub card: u64,
    /// Digits before the point of the median of absolute values.
    pub digits_median: u32,
    /// Digits before the point of the greatest absolute value.
    pub digits_most: u32,
}

/// One column holds values of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The column whose values are found, by its place.
    pub of: usize,
    /// The column in which they are found, by its place.
    pub within: usize,
    /// How many values are one of them as a whole.
    pub whole: u64,
    /// How many values have one of them inside, between other characters.
    pub inside: u64,
    /// How many values were looked at.
    pub values: u64,
}

impl ColumnProfile {
    /// Values that say something: neither null nor blank.
    pub const fn telling(&self) -> u64 {
        self.values.saturating_sub(self.blanks)
    }

    /// The share of telling values that have one of these looks as a whole.
    pub fn share(&self, looks: &[Look]) -> f64 {
        let count: u64 = looks.iter().filter_map(|look| self.looks.get(look)).sum();
        ratio(count, self.telling())
    }

    /// The share of telling values for which a count holds.
    pub fn of_numbers(&self, count: impl Fn(&Numbers) -> u64) -> f64 {
        self.numbers.as_ref().map_or(0.0, |numbers| ratio(count(numbers), self.telling()))
    }

    /// The share of values that differ from each other.
    pub fn distinctness(&self) -> f64 {
        ratio(self.distinct, self.telling())
    }
}

/// A part of a whole, 0 where there is no whole.
#[expect(clippy::cast_precision_loss, reason = "counts of a sample, for a share in percent")]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
