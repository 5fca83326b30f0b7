//! What can be done to a column. One file a transform; [`ALL`] is the registry from which `policy
//! check`, `explain`, the JSON Schema and the reference manual are made.
//!
//! A [`Transform`] is a description: name, parameters, types, words. Bound to keys and parameters it
//! becomes a [`Kernel`], which works batch by batch on canonical arrays and builds new buffers.
//! Dictionaries, views, large types and nulls are the business of [`mod@column`], not of kernels.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use crate::error::Result;
use crate::keys::{ColumnKeys, KeyRing};
use crate::policy::Column;
use crate::policy::args::{Args, Param};

mod address;
pub mod aes_siv;
mod age_band;
mod bucket;
mod change;
mod clamp;
pub mod column;
#[cfg(test)]
mod conformance;
mod constant;
mod crypto_pan;
mod drop;
pub mod elements;
mod email_domain;
mod ff1;
mod geo;
mod geo_grid;
mod geo_laplace;
pub mod hierarchy;
mod hmac;
mod ip_truncate;
mod ipcrypt_pfx;
mod keep;
mod laplace;
mod mac;
mod mask;
mod neighbour;
mod normalize;
mod null;
mod numbers;
mod output;
mod params;
mod persons;
mod plain;
mod prefix;
mod randomized_response;
mod rappor;
mod rare;
mod regex_replace;
mod registry;
mod round;
mod scrub;
mod shift_time;
#[cfg(test)]
pub(crate) mod testing;
mod text;
mod times;
mod token;
mod truncate;
pub mod unit;

pub use neighbour::Neighbour;
pub use numbers::rounded_up;
pub use registry::{ALL, find, suggestions};
pub use scrub::Dictionary;
pub(super) use scrub::handles_of;
pub use token::TokenStyle;

/// What a transform says of itself.
#[derive(Debug)]
pub struct Spec {
    /// The word in the policy: `pseudonym` in `{pseudonym: {method: hmac}}`.
    pub verb: &'static str,
    /// The value of `method` where one verb has several: `hmac`.
    pub method: Option<&'static str>,
    /// The parameter that a bare value sets: `to` in `{truncate: hour}`. For a verb with methods this
    /// is `None`: a bare word is the method.
    pub primary: Option<&'static str>,
    /// The parameters, without `method`.
    pub params: &'static [Param],
    /// What it does, in one sentence for the manual.
    pub does: &'static str,
    /// What it hides.
    pub hides: &'static str,
    /// What still leaks.
    pub leaks: &'static str,
    /// Types it takes, in words: `text`, `dates and timestamps`.
    pub takes: &'static str,
    /// One rule as it stands in a policy: `{truncate: hour}`.
    pub example: &'static str,
    /// Papers, RFCs, drafts.
    pub references: &'static [&'static str],
}

impl Spec {
    /// `pseudonym.hmac`, `truncate`: the name used in field metadata, messages and documents.
    pub fn name(&self) -> String {
        match self.method {
            Some(method) => format!("{}.{method}", self.verb),
            None => self.verb.to_owned(),
        }
    }
}

/// How much of a value a partner can still see; the order is from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exposure {
    /// Nothing that depends on the value.
    Nothing,
    /// Part or a coarser form of the value.
    Coarse,
    /// A stable stand-in: equality remains, the value does not.
    Pseudonym,
    /// A stable stand-in that keeps structure too (prefixes, length, alphabet).
    StructuredPseudonym,
    /// The value itself.
    Clear,
}

/// How a change of a rule moves protection; used by `policy diff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Less leaves than before.
    Strengthens,
    /// Different values leave, neither more nor less.
    Moves,
    /// More leaves than before.
    Weakens,
}

/// A value in a policy that a transform refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The parameter at fault, or `None` for the rule as a whole.
    pub param: Option<&'static str>,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// One way to protect a column.
pub trait Transform: Send + Sync + Debug {
    /// Name, parameters and words.
    fn spec(&self) -> &'static Spec;

    /// Rules between parameters that [`Param`] cannot say. Every problem is returned.
    fn check(&self, _args: &Args) -> Vec<Refusal> {
        Vec::new()
    }

    /// What is wrong with the files that parameters name, relative to `folder`. Asked after [`check`]
    /// found nothing and every file is there.
    ///
    /// [`check`]: Transform::check
    fn check_files(&self, _args: &Args, _folder: &std::path::Path) -> Vec<Refusal> {
        Vec::new()
    }

    /// What is wrong beside the rules of the other columns, all of which are right on their own.
    fn check_beside(&self, _args: &Args, _column: &str, _columns: &[Column]) -> Vec<Refusal> {
        Vec::new()
    }

    /// The canonical type that leaves when `input` (canonical, see [`column::canonical`]) enters, or
    /// why this type does not fit (lower case, no full stop). `None` means the column does not leave.
    fn output(&self, args: &Args, input: &DataType) -> Result<Option<DataType>, String>;

    /// Whether what leaves of a value is drawn, under a key, for the person whom the column in `person` names.
    /// Such a rule reads that column, and gives null where it is null.
    fn draws_for_person(&self) -> bool {
        false
    }

    /// Whether the output can be null when the input is not.
    fn adds_nulls(&self, _args: &Args) -> bool {
        self.draws_for_person()
    }

    /// Why it is not applied to each element of a list though it takes their type (lower case, no full
    /// stop); nothing where it is. A transform that [`reads`] other columns never is.
    ///
    /// [`reads`]: Transform::reads
    fn refuses_elements(&self) -> Option<&'static str> {
        None
    }

    /// Other raw columns that the kernel reads, in the order in which it gets them.
    fn reads(&self, args: &Args) -> Vec<String> {
        let person = if self.draws_for_person() { args.text("person") } else { None };
        person.map(str::to_owned).into_iter().collect()
    }

    /// Why the columns that [`reads`] names do not fit, given their canonical types in that order (lower
    /// case, no full stop).
    ///
    /// [`reads`]: Transform::reads
    fn reads_fit(&self, _args: &Args, types: &[DataType]) -> Result<(), String> {
        if self.draws_for_person() { types.iter().try_for_each(persons::fit) } else { Ok(()) }
    }

    /// Other raw columns whose values the learner gets, in this order, instead of its own column's.
    fn learns_from(&self, _args: &Args) -> Vec<String> {
        Vec::new()
    }

    /// Why the columns that [`learns_from`] names do not fit, given their canonical types in that order
    /// (lower case, no full stop).
    ///
    /// [`learns_from`]: Transform::learns_from
    fn learns_fit(&self, _args: &Args, _types: &[DataType]) -> Result<(), String> {
        Ok(())
    }

    /// Whether the values `Nulls::Token` asks for a stand-in of null too.
    fn is_pseudonym(&self) -> bool {
        false
    }

    /// How much is still seen.
    fn exposure(&self, args: &Args) -> Exposure;

    /// Whether what leaves of a value depends on the other values of its column.
    fn learns_column(&self) -> bool {
        false
    }

    /// Whether what leaves depends on a key, or on numbers given out in state, and so on the partner.
    fn is_keyed(&self, args: &Args) -> bool {
        self.draws_for_person()
            || matches!(self.exposure(args), Exposure::Pseudonym | Exposure::StructuredPseudonym)
    }

    /// The privacy loss of one value, for a rule that is locally differentially private.
    fn epsilon(&self, _args: &Args) -> Option<f64> {
        None
    }

    /// What a partner must know besides to read what leaves: further metadata of the field, from these
    /// parameters alone.
    fn told(&self, _args: &Args) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What it does with these parameters, as a full sentence for `explain`.
    fn explain(&self, args: &Args) -> String;

    /// What still leaks with these parameters, as full sentences.
    fn explain_leaks(&self, _args: &Args) -> String {
        self.spec().leaks.to_owned()
    }

    /// How protection moves from `old` to `new` parameters of this same transform.
    fn compare(&self, _old: &Args, _new: &Args) -> Change {
        Change::Moves
    }

    /// What has to be learned from the whole column before the first value can leave.
    ///
    /// # Errors
    /// When a key cannot be derived or a file cannot be read.
    fn learner(&self, _args: &Args, _bind: &Bind<'_>) -> Result<Option<Box<dyn Learner>>> {
        Ok(None)
    }

    /// What tells the parts of a text that this rule takes out, for a rule that looks into texts. `folder` is
    /// where its relative paths start.
    ///
    /// # Errors
    /// When a file cannot be read.
    fn seek(&self, _args: &Args, _folder: &std::path::Path) -> Result<Option<Box<dyn Seek>>> {
        Ok(None)
    }

    /// The work itself, bound to keys and to what was learned.
    ///
    /// # Errors
    /// When a key cannot be derived or a file cannot be read.
    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>>;
}

/// Tells what a rule takes out of the texts of its column by itself. What it learns from other columns stands
/// in these.
pub trait Seek {
    /// Shows everything in a text that does not leave.
    fn seek(&mut self, text: &str, found: &mut dyn FnMut(&str));

    /// Words that it takes out besides.
    fn words(&self) -> &[String];

    /// Whether it leaves a word alone though another column holds it.
    fn spares(&self, word: &str) -> bool;
}

/// What a kernel is bound to.
#[derive(Debug)]
pub struct Bind<'a> {
    /// The column's name in the data.
    pub column: &'a str,
    /// The canonical type of the column, or of the elements of its lists where the rule is applied to
    /// each of them.
    pub input: &'a DataType,
    /// The canonical types of the columns that [`Transform::reads`] names.
    pub reads: &'a [DataType],
    /// Keys for this column's domain, audience and epoch.
    pub keys: &'a ColumnKeys,
    /// Tokens of this column's domain, audience and epoch.
    pub tokens: &'a Arc<dyn TokenMap>,
    /// What the learner of this column found, where there is one.
    pub learned: Option<&'a Learned>,
    /// The columns that [`Transform::learns_from`] names, in that order.
    pub neighbours: &'a [Neighbour],
    /// The folder that relative paths in the policy start from.
    pub folder: &'a std::path::Path,
}

/// Sequential numbers for values, kept in state: one map a scope (domain, audience, epoch).
///
/// INVARIANT: a number is durable before it is returned, and never given to a second value.
pub trait TokenMap: Send + Sync + Debug {
    /// The number of each value, from 1; new values get the next numbers in the order given.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    fn numbers(&self, scope: &str, values: &[&str]) -> Result<Vec<u64>>;

    /// Notes in how many rows each number stood, in place of what was noted of this column of this
    /// dataset before. The same version again changes nothing, so that no row is counted twice.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    fn count(&self, scope: &str, of: Counted<'_>, rows: &[(u64, u64)]) -> Result<()>;

    /// Gives the map the keys by which it knows values whose originals are sealed. A map that seals
    /// nothing needs none.
    fn give_keys(&self, _ring: &Arc<KeyRing>) {}
}

/// Whose rows were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted<'a> {
    /// The dataset.
    pub dataset: &'a str,
    /// The column.
    pub column: &'a str,
    /// The state of data and policy.
    pub version: &'a str,
}

/// Reads a whole column once, before any value leaves.
pub trait Learner: Send {
    /// Sees one canonical batch. Filtered rows never arrive here. A learner of other columns gets these as
    /// `reads`, and the first of them as `values` too.
    ///
    /// # Errors
    /// When a value cannot be taken.
    fn observe(&mut self, values: &ArrayRef, reads: &[ArrayRef]) -> Result<()>;

    /// What was learned.
    ///
    /// # Errors
    /// When the result cannot be stored.
    fn finish(self: Box<Self>) -> Result<Learned>;
}

/// What a [`Learner`] found; shared by all streams over the same data and policy.
#[derive(Debug, Clone)]
pub enum Learned {
    /// The tokens are in state.
    Tokens(Tally),
    /// The values (as text) frequent enough to be told.
    Frequent(Arc<std::collections::HashSet<String>>),
    /// Words to find in texts, with what stands for each.
    Dictionary(Arc<Dictionary>),
}

impl Learned {
    /// About how many bytes of memory it holds.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Tokens(tally) => tally.rows.len() * 16,
            Self::Frequent(values) => values.iter().map(|value| value.len() + 48).sum(),
            Self::Dictionary(dictionary) => dictionary.bytes(),
        }
    }
}

/// In how many rows each number of a token map stood. The pipeline puts it into state and keeps none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// The map.
    pub scope: String,
    /// Number and rows.
    pub rows: Vec<(u64, u64)>,
}

/// The bound work: same input, same output, no state that a batch boundary could show.
pub trait Kernel: Send {
    /// Transforms a canonical array into a new one of the promised type and of the same length.
    ///
    /// Nulls in the input stay null unless the kernel's purpose is to replace them. `reads` has the
    /// length of `values`; for a kernel without `reads`, `values` may hold each distinct value once.
    ///
    /// # Errors
    /// When a value may not pass. The text must not hold the value.
    fn apply(&mut self, values: &ArrayRef, reads: &[ArrayRef]) -> Result<ArrayRef>;

    /// The stand-in for null (a one-element array) where the policy says `nulls: token`.
    ///
    /// # Errors
    /// When the stand-in cannot be made.
    fn null_token(&mut self) -> Result<Option<ArrayRef>> {
        Ok(None)
    }

    /// Whether null gets a value like any other row. Such a kernel must see every row, so it is never
    /// given the values of a dictionary alone.
    fn replaces_nulls(&self) -> bool {
        false
    }
}
