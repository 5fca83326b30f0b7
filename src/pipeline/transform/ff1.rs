//! `pseudonym: ff1`: format-preserving encryption. A phone number becomes a phone number of the same
//! length with the same separators. FF3 and FF3-1 are withdrawn and not offered.

use std::collections::HashMap;
use std::fmt;

use aes::Aes256;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use fpe::ff1::{FF1, FlexibleNumeralString};

use super::hmac::DOMAIN;
use super::output::TextColumn;
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform, change};
use crate::error::{Code, Context, Error, Result};
use crate::policy::args::{Args, Default, Kind, Param};

/// Format-preserving encryption with FF1 and AES-256.
///
/// - What it does: encrypts the characters of the alphabet among themselves and leaves separators
///   where they are, so that length and format stay. A value with too few characters of the alphabet
///   for a million possibilities is refused, as is one that holds other letters or digits.
/// - What it hides: the characters, from everyone without the key.
/// - What still leaks: equal values, lengths, separators. The output looks like a real value and may
///   be one of someone else. A wrong key turns it back into plausible nonsense: there is no check sum.
///   Under `nulls: token` null stays null, for every text of the alphabet stands for some value.
#[derive(Debug)]
pub(super) struct Ff1Pseudonym;

static SPEC: Spec = Spec {
    verb: "pseudonym",
    method: Some("ff1"),
    primary: None,
    params: &[
        DOMAIN,
        Param {
            name: "alphabet",
            kind: Kind::Choice(&["digits", "lower", "upper", "alphanumeric", "own"]),
            required: false,
            default: Some(Default::Text("digits")),
            doc: "The characters that are encrypted among themselves: `digits` 0-9, `lower` a-z, \
                  `upper` A-Z, `alphanumeric` 0-9A-Za-z, or `own`.",
        },
        Param {
            name: "alphabet_text",
            kind: Kind::Text,
            required: false,
            default: None,
            doc: "All characters of an `own` alphabet, each once.",
        },
        Param {
            name: "min_length",
            kind: Kind::Integer { min: 2, max: LENGTH_MAX },
            required: false,
            default: None,
            doc: "The fewest characters of the alphabet that a value has; never so few that there are \
                  less than a million possibilities, which is also the default.",
        },
        Param {
            name: "others",
            kind: Kind::Choice(&["separators", "any"]),
            required: false,
            default: Some(Default::Text("separators")),
            doc: "Which characters outside the alphabet may stay in clear: punctuation and blanks \
                  (`separators`), or `any`.",
        },
        Param {
            name: "short",
            kind: Kind::Choice(&["null", "error"]),
            required: false,
            default: Some(Default::Text("null")),
            doc: "What becomes of a value that is too short or too long, or holds characters that may \
                  not stay: `null`, or an `error` that ends the stream.",
        },
    ],
    does: "Encrypts the characters of a value among themselves and keeps length and separators.",
    hides: "The characters of the alphabet, from everyone who does not hold the key.",
    leaks: "Which rows hold equal values and how often, each value's length, and where separators \
            stand. The pseudonym looks like a real value and may be someone else's.",
    takes: "text",
    example: "{pseudonym: {method: ff1, alphabet: digits, min_length: 9}}",
    references: &[
        "NIST SP 800-38G (FF1)",
        "NIST SP 800-38G Revision 1, second draft (at least a million possibilities)",
        "Durak, Vaudenay: Breaking the FF3 Format-Preserving Encryption Standard (CRYPTO 2017)",
    ],
};

/// The longest value that is encrypted; the cost grows with the square of the length.
const LENGTH_MAX: i64 = 1024;

/// The fewest possibilities a value may have (NIST SP 800-38G Revision 1).
const POSSIBILITIES_MIN: u64 = 1_000_000;

/// The most characters of an alphabet.
const RADIX_MAX: usize = 256;

impl Transform for Ff1Pseudonym {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        let characters = match characters(args) {
            Ok(characters) => characters,
            Err(message) => {
                let help = match args.text("alphabet") {
                    Some("own") => None,
                    _ => Some("write `alphabet: own`, or leave `alphabet_text` out".to_owned()),
                };
                return vec![Refusal { param: Some("alphabet_text"), message, help }];
            }
        };
        let least = least_length(characters.len());
        match args.integer("min_length") {
            Some(length) if length < least => vec![Refusal {
                param: Some("min_length"),
                message: format!(
                    "{length} characters out of {} have fewer than a million possibilities, which can \
                     all be tried",
                    characters.len()
                ),
                help: Some(format!(
                    "write `min_length: {least}` or more, or use `hmac` or `token` for short values"
                )),
            }],
            _ => Vec::new(),
        }
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        match input {
            DataType::Utf8 => Ok(Some(DataType::Utf8)),
            _ => Err("`ff1` takes text".to_owned()),
        }
    }

    fn adds_nulls(&self, args: &Args) -> bool {
        !is_error(args)
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::StructuredPseudonym
    }

    fn explain(&self, args: &Args) -> String {
        let radix = characters(args).map_or(0, |characters| characters.len());
        format!(
            "The {} are encrypted among themselves (FF1, AES-256), the same {}; length and {} stay. A \
             value with fewer than {} of them{} {}.",
            match args.text("alphabet") {
                Some("lower") => "letters a-z".to_owned(),
                Some("upper") => "letters A-Z".to_owned(),
                Some("alphanumeric") => "letters and digits".to_owned(),
                Some("own") => format!("{radix} characters of the policy's alphabet"),
                _ => "digits".to_owned(),
            },
            change::scope(args),
            if others_stay(args) { "all other characters" } else { "separators" },
            min_length(args, radix),
            if others_stay(args) { "" } else { ", or with other letters or digits," },
            if is_error(args) { "ends the stream" } else { "becomes null" },
        )
    }

    fn explain_leaks(&self, args: &Args) -> String {
        let mut text = SPEC.leaks.to_owned();
        if others_stay(args) {
            text.push_str(" All characters outside the alphabet leave in clear.");
        }
        text
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        change::sum([change::domain(old, new), change::word_weakens("others", "any", old, new)])
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let key = bind.keys.derive::<32>("ff1")?;
        let tweak = format!("veilflight/ff1|{}", bind.keys.token_scope());
        Ok(Box::new(Ff1Kernel::new(args, key.expose(), tweak.into_bytes())?))
    }
}

fn is_error(args: &Args) -> bool {
    args.text("short") == Some("error")
}

fn others_stay(args: &Args) -> bool {
    args.text("others") == Some("any")
}

/// The alphabet in its order, or why it is none.
fn characters(args: &Args) -> Result<Vec<char>, String> {
    let own = args.text("alphabet_text");
    let alphabet = args.text("alphabet").unwrap_or("digits");
    let characters: Vec<char> = match (alphabet, own) {
        ("own", Some(own)) => own.chars().collect(),
        ("own", None) => return Err("an `own` alphabet needs its characters".to_owned()),
        (_, Some(_)) => {
            return Err(format!("the alphabet `{alphabet}` has its characters already"));
        }
        ("lower", None) => ('a'..='z').collect(),
        ("upper", None) => ('A'..='Z').collect(),
        ("alphanumeric", None) => ('0'..='9').chain('A'..='Z').chain('a'..='z').collect(),
        (_, None) => ('0'..='9').collect(),
    };
    if !(2..=RADIX_MAX).contains(&characters.len()) {
        return Err(format!("an alphabet has from 2 to {RADIX_MAX} characters"));
    }
    if characters.iter().any(|character| character.is_control()) {
        return Err("an alphabet has no control characters".to_owned());
    }
    let mut sorted = characters.clone();
    sorted.sort_unstable();
    if let Some([twice, _]) = sorted.array_windows().find(|[one, next]| one == next) {
        return Err(format!("`{twice}` stands twice in the alphabet"));
    }
    Ok(characters)
}

/// The least length with a million possibilities, at least two (FF1 halves the value).
fn least_length(radix: usize) -> i64 {
    let mut possibilities: u64 = 1;
    let mut length = 0;
    while length < 2 || possibilities < POSSIBILITIES_MIN {
        possibilities = possibilities.saturating_mul(radix.max(2) as u64);
        length += 1;
    }
    length
}

fn min_length(args: &Args, radix: usize) -> i64 {
    args.integer("min_length").unwrap_or(0).max(least_length(radix))
}

/// No numeral; an alphabet has at most [`RADIX_MAX`] of them.
const NONE: u16 = u16::MAX;

struct Ff1Kernel {
    cipher: FF1<Aes256>,
    tweak: Vec<u8>,
    characters: Vec<char>,
    /// The numerals of ASCII characters; `NONE` for those outside the alphabet.
    ascii: [u16; 128],
    /// The numerals of all other characters.
    others: HashMap<char, u16>,
    lengths: std::ops::RangeInclusive<usize>,
    others_stay: bool,
    short_is_error: bool,
}

impl Ff1Kernel {
    fn new(args: &Args, key: &[u8; 32], tweak: Vec<u8>) -> Result<Self> {
        let characters = characters(args).map_err(|reason| Error::new(Code::Policy, reason))?;
        let radix = u16::try_from(characters.len())
            .context(Code::Policy, || "an alphabet is too large".to_owned())?;
        let cipher = FF1::new(key, u32::from(radix))
            .context(Code::Policy, || "an alphabet was refused".to_owned())?;
        let mut ascii = [NONE; 128];
        let mut others = HashMap::new();
        for (character, numeral) in characters.iter().zip(0..radix) {
            match ascii.get_mut(*character as usize) {
                Some(place) => *place = numeral,
                None => drop(others.insert(*character, numeral)),
            }
        }
        let bound = |length| usize::try_from(length).unwrap_or(0);
        Ok(Self {
            cipher,
            tweak,
            ascii,
            others,
            lengths: bound(min_length(args, characters.len()))..=bound(LENGTH_MAX),
            characters,
            others_stay: others_stay(args),
            short_is_error: is_error(args),
        })
    }

    #[inline]
    fn numeral(&self, character: char) -> Option<u16> {
        match self.ascii.get(character as usize) {
            Some(numeral) => Some(*numeral).filter(|numeral| *numeral != NONE),
            None => self.others.get(&character).copied(),
        }
    }

    /// The numerals of a value, or nothing where it must not be encrypted.
    fn numerals(&self, value: &str) -> Option<Vec<u16>> {
        // PRIVACY: what is no numeral stays in clear, so it has to be a separator.
        let mut numerals = Vec::with_capacity(value.len());
        for character in value.chars() {
            match self.numeral(character) {
                Some(numeral) => numerals.push(numeral),
                None if self.others_stay
                    || character.is_ascii_punctuation()
                    || character.is_whitespace() => {}
                None => return None,
            }
        }
        self.lengths.contains(&numerals.len()).then_some(numerals)
    }

    fn write(&self, value: &str, numerals: Vec<u16>, out: &mut Vec<u8>) -> Result<()> {
        let text = FlexibleNumeralString::from(numerals);
        let text = self
            .cipher
            .encrypt(&self.tweak, &text)
            .context(Code::Internal, || "a value of fitting length was refused".to_owned())?;
        let mut encrypted = Vec::<u16>::from(text).into_iter();
        let mut utf8 = [0; 4];
        for character in value.chars() {
            let character = if self.numeral(character).is_some() {
                encrypted
                    .next()
                    .and_then(|numeral| self.characters.get(usize::from(numeral)).copied())
                    .ok_or_else(|| Error::new(Code::Internal, "a value changed its length"))?
            } else {
                character
            };
            out.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
        }
        Ok(())
    }
}

impl Kernel for Ff1Kernel {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        let values = values
            .as_string_opt::<i32>()
            .ok_or_else(|| Error::new(Code::Internal, "a column of text was expected"))?;
        let mut out = TextColumn::new(values.len(), 16);
        for value in values {
            match value.map(|value| (value, self.numerals(value))) {
                None => out.null()?,
                Some((value, Some(numerals))) => {
                    self.write(value, numerals, out.bytes())?;
                    out.end()?;
                }
                Some((_, None)) if self.short_is_error => {
                    return Err(Error::new(
                        Code::SourceValue,
                        "a value is too short, too long, or holds characters outside the alphabet",
                    ));
                }
                Some((_, None)) => out.null()?,
            }
        }
        out.finish()
    }
}

impl fmt::Debug for Ff1Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ff1Kernel").field("lengths", &self.lengths).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
