//! `pseudonym: hmac`: a keyed hash of the value, as text. Needs no table and no memory, and cannot be
//! turned back. Which columns share a key is the business of `keys`.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::mac::{Base32, Label, Mac};
use super::normalize::{self, Normalization};
use super::output::TextColumn;
use super::{Bind, Change, Exposure, Kernel, Refusal, Spec, Transform, change, plain};
use crate::error::Result;
use crate::policy::args::{Args, Default, Kind, Param};

/// A keyed hash in place of the value.
///
/// - What it does: HMAC-SHA-256 of the normalized value under the column's key, cut to `length`
///   characters of lower-case Base32. With `keep: email_domain`, `alice@example.org` becomes
///   `<pseudonym>@example.org`; the hash covers the whole address, so the same name at two domains
///   gives two pseudonyms. A value that is no such address is hashed whole.
/// - What it hides: the value, from everyone without the key.
/// - What still leaks: which rows hold equal values, and how often each occurs. Who holds the key can
///   try all likely values.
#[derive(Debug)]
pub(super) struct HmacPseudonym;

static SPEC: Spec = Spec {
    verb: "pseudonym",
    method: Some("hmac"),
    primary: None,
    params: &[
        DOMAIN,
        Param {
            name: "length",
            kind: Kind::Integer { min: 16, max: 52 },
            required: false,
            default: Some(Default::Integer(22)),
            doc: "Characters of the pseudonym, five bits each.",
        },
        Param {
            name: "keep",
            kind: Kind::Choice(&["none", "email_domain"]),
            required: false,
            default: Some(Default::Text("none")),
            doc: "`email_domain` leaves what stands after the @ of an e-mail address readable.",
        },
        normalize::PARAM,
        Param {
            name: "prefix",
            kind: Kind::Text,
            required: false,
            default: Some(Default::Text("")),
            doc: "Text before each pseudonym, such as `user_`.",
        },
    ],
    does: "Replaces the value by a keyed hash (HMAC-SHA-256) in lower-case Base32.",
    hides: "The value, from everyone who does not hold the key.",
    leaks: "Which rows hold equal values and how often each value occurs; with `keep: email_domain`, \
            the domain of each address.",
    takes: plain::TAKES,
    example: "{pseudonym: {method: hmac, domain: person, keep: email_domain}}",
    references: &["RFC 2104 (HMAC)", "FIPS 198-1", "RFC 4648 (Base32)", "RFC 4231 (test vectors)"],
};

/// The parameter that names a shared domain.
pub(super) const DOMAIN: Param = Param {
    name: "domain",
    kind: Kind::Text,
    required: false,
    default: None,
    doc: "Columns that name the same domain share a key, so that equal values get equal pseudonyms; \
          without it the column has a domain of its own.",
};

/// The longest prefix.
const PREFIX_MAX: usize = 64;

/// What a prefix may not be.
pub(super) fn check_prefix(args: &Args) -> Option<Refusal> {
    let prefix = args.text("prefix").unwrap_or_default();
    let problem = if prefix.chars().any(|character| character.is_control() || character == '@') {
        "a prefix has no control characters and no `@`".to_owned()
    } else if prefix.len() > PREFIX_MAX {
        format!("a prefix has at most {PREFIX_MAX} bytes")
    } else {
        return None;
    };
    Some(Refusal { param: Some("prefix"), message: problem, help: None })
}

impl Transform for HmacPseudonym {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        check_prefix(args).into_iter().collect()
    }

    fn output(&self, args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        if !plain::reads(input) {
            return Err(format!("a pseudonym is made of {}", plain::TAKES));
        }
        if *input != DataType::Utf8 {
            if !Normalization::new(args).is_none() {
                return Err("`normalize` fits text only".to_owned());
            }
            if args.text("keep") == Some("email_domain") {
                return Err("`keep: email_domain` fits text only".to_owned());
            }
        }
        Ok(Some(DataType::Utf8))
    }

    fn is_pseudonym(&self) -> bool {
        true
    }

    fn exposure(&self, args: &Args) -> Exposure {
        match args.text("keep") {
            Some("email_domain") => Exposure::StructuredPseudonym,
            _ => Exposure::Pseudonym,
        }
    }

    fn explain(&self, args: &Args) -> String {
        let length = length(args);
        let bits = bits(args);
        let mut text = format!(
            "Replaced by a pseudonym of {length} characters: {bits} bits of a keyed hash \
             (HMAC-SHA-256){}. Equal values get equal pseudonyms {}.",
            Normalization::new(args).explain(),
            change::scope(args),
        );
        if args.text("keep") == Some("email_domain") {
            text.push_str(
                " Of an e-mail address the domain stays readable; a value that is no e-mail address \
                 is replaced whole.",
            );
        }
        if let Some(prefix) = args.text("prefix").filter(|prefix| !prefix.is_empty()) {
            text.push_str(&format!(" Each starts with `{prefix}`."));
        }
        text
    }

    fn explain_leaks(&self, args: &Args) -> String {
        let mut text =
            "Which rows hold equal values, and how often each value occurs, so that a very \
                        frequent value may be guessed."
                .to_owned();
        if args.text("keep") == Some("email_domain") {
            text.push_str(" The domain of each e-mail address; a domain of one person names them.");
        }
        text.push_str(&format!(
            " Two values share a pseudonym by accident: among a million distinct values {} such pairs \
             are expected.",
            collisions(args)
        ));
        text.push_str(" Who holds the key can test any value they think of.");
        text
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        change::sum([
            change::domain(old, new),
            change::word_weakens("keep", "email_domain", old, new),
        ])
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        Ok(Box::new(HmacKernel {
            mac: Mac::new(&bind.keys.derive("hmac")?)?,
            normalization: Normalization::new(args),
            keep_domain: args.text("keep") == Some("email_domain"),
            prefix: args.text("prefix").unwrap_or_default().as_bytes().to_vec(),
            characters: usize::try_from(length(args)).unwrap_or(52),
        }))
    }
}

fn length(args: &Args) -> i64 {
    args.integer("length").unwrap_or(22)
}

/// The bits that the characters carry; a tag has no more than 256.
fn bits(args: &Args) -> i64 {
    (length(args) * 5).min(256)
}

/// The pairs of values expected to collide among n = 10^6 of them: n^2 / 2^(bits + 1).
fn collisions(args: &Args) -> String {
    let bits = i32::try_from(bits(args)).unwrap_or(256);
    format!("{:.0e}", 1e12 / 2f64.powi(bits + 1))
}

#[derive(Debug)]
struct HmacKernel {
    mac: Mac,
    normalization: Normalization,
    keep_domain: bool,
    prefix: Vec<u8>,
    characters: usize,
}

impl HmacKernel {
    #[inline]
    fn write(&self, label: Label, message: &[u8], out: &mut Vec<u8>) {
        let tag = self.mac.tag(label, message);
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(Base32::new(&tag, self.characters).first(self.characters));
    }
}

impl Kernel for HmacKernel {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        let mut out = TextColumn::new(values.len(), self.prefix.len() + self.characters);
        let mut scratch = String::new();
        plain::for_each(values, |value| {
            let Some(value) = value else { return out.null() };
            let value = self.normalization.apply(value, &mut scratch);
            self.write(Label::Value, value, out.bytes());
            if self.keep_domain
                && let Some(domain) = at_domain(value)
            {
                out.bytes().extend_from_slice(domain);
            }
            out.end()
        })?;
        out.finish()
    }

    fn null_token(&mut self) -> Result<Option<ArrayRef>> {
        let mut out = TextColumn::new(1, self.prefix.len() + self.characters);
        self.write(Label::Null, b"", out.bytes());
        out.end()?;
        Ok(Some(out.finish()?))
    }
}

/// The `@example.org` of an address that is exactly `local@example.org`.
///
/// PRIVACY: what this returns leaves in clear, so it is strict. One `@`, something before it, and
/// after it a host name of at least two labels of ASCII letters, digits and hyphens, of which the last
/// starts with a letter: a free text, a second person's address or an IP address is none of that.
fn at_domain(value: &[u8]) -> Option<&[u8]> {
    let at = value.iter().position(|&byte| byte == b'@').filter(|&at| at > 0)?;
    let (_, at_domain) = value.split_at_checked(at)?;
    let (_, domain) = at_domain.split_at_checked(1)?;
    if domain.len() > 253 {
        return None;
    }
    let mut labels = 0;
    let mut last_starts_with_letter = false;
    for label in domain.split(|&byte| byte == b'.') {
        let plain = label.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let (Some(first), Some(last)) = (label.first(), label.last()) else { return None };
        if !plain || label.len() > 63 || *first == b'-' || *last == b'-' {
            return None;
        }
        labels += 1;
        last_starts_with_letter = first.is_ascii_alphabetic();
    }
    (labels >= 2 && last_starts_with_letter).then_some(at_domain)
}

#[cfg(test)]
mod tests;
