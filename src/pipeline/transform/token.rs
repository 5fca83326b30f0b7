//! `pseudonym: token`: sequential, readable stand-ins (`ID_1`, `user_0001`, `group_A`) that stay the
//! same across files, runs and servers. The numbers are kept by `state`; this file asks for them. How
//! they are written is [`TokenStyle`]'s.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::hmac::{DOMAIN, check_prefix};
use super::mac::{Label, Mac};
use super::normalize::{self, Normalization};
use super::output::TextColumn;
use super::{
    Bind, Change, Exposure, Kernel, Learned, Learner, Refusal, Spec, Tally, TokenMap, Transform,
    change, plain,
};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Default, Kind, Param};

mod style;

pub use style::TokenStyle;

/// A number in place of the value, the same one for ever.
///
/// - What it does: gives each distinct value of the domain the next free number, remembers it in
///   state, and writes it with a prefix, padded to a width, or as letters (`A` ... `Z`, `AA` ...).
///   The whole column is read before the first value leaves, so numbers depend neither on threads nor
///   on batches. Under `nulls: token` null is number 0, which no value has.
/// - What it hides: the value; with `order: keyed` also in which order values first appeared.
/// - What still leaks: which rows hold equal values, how often, and about how many distinct values
///   there are. The mapping back lies in state on the custodian's machine.
#[derive(Debug)]
pub(super) struct TokenPseudonym;

static SPEC: Spec = Spec {
    verb: "pseudonym",
    method: Some("token"),
    primary: None,
    params: &[
        DOMAIN,
        Param {
            name: "style",
            kind: Kind::Choice(&["number", "letters"]),
            required: false,
            default: Some(Default::Text("number")),
            doc: "`number` counts 1, 2, 3; `letters` counts A to Z, AA to ZZ, AAA.",
        },
        Param {
            name: "prefix",
            kind: Kind::Text,
            required: false,
            default: Some(Default::Text("ID_")),
            doc: "Text before each number.",
        },
        Param {
            name: "width",
            kind: Kind::Integer { min: 1, max: 18 },
            required: false,
            default: Some(Default::Integer(1)),
            doc: "Digits to fill up with zeros: 4 writes `0001`. A longer number is not cut.",
        },
        normalize::PARAM,
        Param {
            name: "order",
            kind: Kind::Choice(&["keyed", "first_seen"]),
            required: false,
            default: Some(Default::Text("keyed")),
            doc: "How values new to the domain are numbered: `keyed` in a secret order, `first_seen` in \
                  the order of the data.",
        },
    ],
    does: "Replaces the value by a sequential token that stays the same across files and runs.",
    hides: "The value; with `order: keyed` also the order in which values first appeared.",
    leaks: "Which rows hold equal values and how often; the highest number tells about how many \
            distinct values there are, and a number from a later batch of data tells that it is new.",
    takes: "text, whole numbers and dates",
    example: "{pseudonym: {method: token, domain: group, style: letters, prefix: group_}}",
    references: &["EDPB Guidelines 01/2025 on pseudonymisation"],
};

impl Transform for TokenPseudonym {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        let mut refusals: Vec<Refusal> = check_prefix(args).into_iter().collect();
        if is_letters(args) && args.integer("width").is_some_and(|width| width > 1) {
            refusals.push(Refusal {
                param: Some("width"),
                message: "letters are not filled up to a width".to_owned(),
                help: Some("leave `width` out, or write `style: number`".to_owned()),
            });
        }
        refusals
    }

    fn output(&self, args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        if !plain::reads(input) || *input == DataType::Binary {
            return Err(format!("a token is made of {}", SPEC.takes));
        }
        if *input != DataType::Utf8 && !Normalization::new(args).is_none() {
            return Err("`normalize` fits text only".to_owned());
        }
        Ok(Some(DataType::Utf8))
    }

    fn is_pseudonym(&self) -> bool {
        true
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Pseudonym
    }

    fn explain(&self, args: &Args) -> String {
        let style = TokenStyle::new(args);
        format!(
            "Replaced by a sequential token such as `{}`{}. Equal values get equal tokens {}, for good; \
             new values are numbered in {}.",
            style.text(1),
            Normalization::new(args).explain(),
            change::scope(args),
            if is_keyed(args) { "a secret order" } else { "the order of the data" },
        )
    }

    fn explain_leaks(&self, args: &Args) -> String {
        let mut text = "Which rows hold equal values, and how often each value occurs. The highest \
                        number tells about how many distinct values there are; a value that came with \
                        later data has a higher number."
            .to_owned();
        if !is_keyed(args) {
            text.push_str(" Numbers follow the order in which values first appear in the data.");
        }
        text.push_str(" The mapping back is kept on the custodian's machine.");
        text
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        change::sum([
            change::domain(old, new),
            change::word_weakens("order", "first_seen", old, new),
        ])
    }

    fn learner(&self, args: &Args, bind: &Bind<'_>) -> Result<Option<Box<dyn Learner>>> {
        Ok(Some(Box::new(TokenLearner {
            numbering: Numbering::new(args, bind)?,
            normalization: Normalization::new(args),
            seen: HashMap::new(),
        })))
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        Ok(Box::new(TokenKernel {
            numbering: Numbering::new(args, bind)?,
            normalization: Normalization::new(args),
            style: TokenStyle::new(args),
            known: HashMap::new(),
        }))
    }
}

fn is_letters(args: &Args) -> bool {
    args.text("style") == Some("letters")
}

fn is_keyed(args: &Args) -> bool {
    args.text("order") != Some("first_seen")
}

/// Asks state for numbers.
#[derive(Debug)]
struct Numbering {
    tokens: Arc<dyn TokenMap>,
    scope: String,
    /// The secret order of new values; `None` for the order given.
    order: Option<Mac>,
}

impl Numbering {
    fn new(args: &Args, bind: &Bind<'_>) -> Result<Self> {
        let order =
            if is_keyed(args) { Some(Mac::new(&bind.keys.derive("token-order")?)?) } else { None };
        Ok(Self { tokens: Arc::clone(bind.tokens), scope: bind.keys.token_scope(), order })
    }

    /// Values with their numbers, each with what came with it; `values` are distinct and in the order in
    /// which they were seen.
    fn assign<T>(&self, mut values: Vec<(String, T)>) -> Result<Vec<(String, T, u64)>> {
        if let Some(mac) = &self.order {
            values.sort_by_cached_key(|(value, _)| mac.tag(Label::Order, value.as_bytes()));
        }
        let texts: Vec<&str> = values.iter().map(|(value, _)| value.as_str()).collect();
        let numbers = self.tokens.numbers(&self.scope, &texts)?;
        if numbers.len() != values.len() {
            return Err(Error::new(Code::Internal, "the token map lost count"));
        }
        let pairs = values.into_iter().zip(numbers);
        Ok(pairs.map(|((value, with), number)| (value, with, number)).collect())
    }
}

/// The text of a value, normalized.
fn text<'a>(
    normalization: Normalization,
    value: &'a [u8],
    scratch: &'a mut String,
) -> Result<&'a str> {
    std::str::from_utf8(normalization.apply(value, scratch))
        .map_err(|_| Error::new(Code::SourceValue, "a value is not text"))
}

/// Numbers every distinct value of the column before the first one leaves.
struct TokenLearner {
    numbering: Numbering,
    normalization: Normalization,
    /// Each value with its place in the order of arrival, and in how many rows it stood.
    seen: HashMap<String, (usize, u64)>,
}

impl Learner for TokenLearner {
    fn observe(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<()> {
        let mut scratch = String::new();
        plain::for_each(values, |value| {
            let Some(value) = value else { return Ok(()) };
            let value = text(self.normalization, value, &mut scratch)?;
            if let Some((_, rows)) = self.seen.get_mut(value) {
                *rows += 1;
            } else {
                let place = self.seen.len();
                self.seen.insert(value.to_owned(), (place, 1));
            }
            Ok(())
        })
    }

    fn finish(self: Box<Self>) -> Result<Learned> {
        let mut values: Vec<(String, (usize, u64))> = self.seen.into_iter().collect();
        values.sort_by_key(|(_, (place, _))| *place);
        let numbered = self.numbering.assign(values)?;
        let rows = numbered.into_iter().map(|(_, (_, rows), number)| (number, rows)).collect();
        Ok(Learned::Tokens(Tally { scope: self.numbering.scope, rows }))
    }
}

/// Values whose numbers are remembered before the memory is emptied.
const KNOWN_MAX: usize = 1 << 18;

struct TokenKernel {
    numbering: Numbering,
    normalization: Normalization,
    style: TokenStyle,
    known: HashMap<String, u64>,
}

impl TokenKernel {
    /// Makes sure that the number of each value is known. Values that no learner saw are numbered in
    /// the same secret order, batch by batch.
    fn learn(&mut self, values: &ArrayRef) -> Result<()> {
        if self.known.len() > KNOWN_MAX {
            self.known.clear();
        }
        let mut scratch = String::new();
        let mut news = Vec::new();
        plain::for_each(values, |value| {
            let Some(value) = value else { return Ok(()) };
            let value = text(self.normalization, value, &mut scratch)?;
            if !self.known.contains_key(value) {
                self.known.insert(value.to_owned(), 0);
                news.push((value.to_owned(), ()));
            }
            Ok(())
        })?;
        if !news.is_empty() {
            let numbered = self.numbering.assign(news)?;
            self.known.extend(numbered.into_iter().map(|(value, (), number)| (value, number)));
        }
        Ok(())
    }
}

impl Kernel for TokenKernel {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        if let Err(error) = self.learn(values) {
            // What was noted without a number must not outlive the failure.
            self.known.clear();
            return Err(error);
        }
        let mut out = TextColumn::new(values.len(), self.style.prefix().len() + 8);
        let mut scratch = String::new();
        plain::for_each(values, |value| {
            let Some(value) = value else { return out.null() };
            let number = self
                .known
                .get(text(self.normalization, value, &mut scratch)?)
                .copied()
                .filter(|number| *number > 0)
                .ok_or_else(|| Error::new(Code::Internal, "a value has no token"))?;
            self.style.write(number, out.bytes());
            out.end()
        })?;
        out.finish()
    }

    fn null_token(&mut self) -> Result<Option<ArrayRef>> {
        let mut out = TextColumn::new(1, self.style.prefix().len() + 8);
        self.style.write(0, out.bytes());
        out.end()?;
        Ok(Some(out.finish()?))
    }
}

impl fmt::Debug for TokenKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKernel").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
