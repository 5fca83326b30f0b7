//! `pseudonym: aes_siv`: encryption that who holds the key can turn back, without a table. The turning
//! back itself is [`reverse`]; who may ask for it is the business of the command line.

use std::fmt;

use aes_siv::siv::Aes256Siv;
use aes_siv::{KeyInit, KeySizeUser};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use data_encoding::BASE32_NOPAD;

use super::hmac::DOMAIN;
use super::output::TextColumn;
use super::{Bind, Change, Exposure, Kernel, Spec, Transform, change, plain};
use crate::error::{Code, Context, Error, Result};
use crate::keys::ColumnKeys;
use crate::policy::args::Args;

/// Deterministic authenticated encryption with AES-256-SIV.
///
/// - What it does: encrypts the value, with the domain as associated data, and writes the result in
///   lower-case Base32: 26 characters and 8 more for every 5 bytes of the value. A changed or foreign
///   token is recognised when it is turned back.
/// - What it hides: the value, from everyone without the key.
/// - What still leaks: which rows hold equal values, how often, and how long each value is.
#[derive(Debug)]
pub(super) struct AesSivPseudonym;

static SPEC: Spec = Spec {
    verb: "pseudonym",
    method: Some("aes_siv"),
    primary: None,
    params: &[DOMAIN],
    does: "Encrypts the value so that who holds the key can turn it back (AES-256-SIV, Base32).",
    hides: "The value, from everyone who does not hold the key.",
    leaks: "Which rows hold equal values and how often, and the length of each value. Whoever gets the \
            key reads every value ever sent.",
    takes: plain::TAKES,
    example: "{pseudonym: {method: aes_siv, domain: person}}",
    references: &["RFC 5297 (AES-SIV)", "RFC 4648 (Base32)"],
};

impl Transform for AesSivPseudonym {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        if !plain::reads(input) {
            return Err(format!("a pseudonym is made of {}", plain::TAKES));
        }
        Ok(Some(DataType::Utf8))
    }

    fn is_pseudonym(&self) -> bool {
        true
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::StructuredPseudonym
    }

    fn explain(&self, args: &Args) -> String {
        format!(
            "Replaced by its encryption (AES-256-SIV), which the custodian can turn back with the key. \
             Equal values get equal pseudonyms {}.",
            change::scope(args)
        )
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        change::sum([change::domain(old, new)])
    }

    fn kernel(&self, _args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        Ok(Box::new(AesSivKernel { siv: Siv::new(bind.keys)? }))
    }
}

/// The value behind a token, for the custodian.
///
/// # Errors
/// [`Code::Usage`] when the text is no token, was changed, or belongs to another domain, partner or
/// epoch; [`Code::Keys`] without a key.
pub fn reverse(keys: &ColumnKeys, token: &str) -> Result<Vec<u8>> {
    let refused = || {
        Error::new(
            Code::Usage,
            "the token was not made with the key of this domain, partner and epoch",
        )
    };
    // Tokens are written in lower case; another spelling of the same bytes is not one of ours.
    if token.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(refused());
    }
    let sealed =
        BASE32_NOPAD.decode(token.to_ascii_uppercase().as_bytes()).map_err(|_| refused())?;
    Siv::new(keys)?.open(&sealed).ok_or_else(refused)
}

/// The cipher with the associated data of one column: one for values, one for the stand-in of null, so
/// that no value can equal it.
struct Siv {
    cipher: Aes256Siv,
    value: Vec<u8>,
    null: Vec<u8>,
}

impl Siv {
    fn new(keys: &ColumnKeys) -> Result<Self> {
        let key = keys.derive::<64>("aes_siv")?;
        debug_assert_eq!(Aes256Siv::key_size(), 64);
        let cipher = Aes256Siv::new_from_slice(key.expose())
            .context(Code::Internal, || "a key of 64 bytes was refused".to_owned())?;
        let data = |kind| format!("veilflight/aes_siv|{kind}|{}", keys.token_scope()).into_bytes();
        Ok(Self { cipher, value: data("value"), null: data("null") })
    }

    fn seal(&mut self, value: &[u8], out: &mut Vec<u8>) -> Result<()> {
        write(self.cipher.encrypt([&self.value], value), out)
    }

    fn seal_null(&mut self, out: &mut Vec<u8>) -> Result<()> {
        write(self.cipher.encrypt([&self.null], b""), out)
    }

    fn open(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.cipher.decrypt([&self.value], sealed).ok()
    }
}

/// The library's error has no text and cannot occur: there is one piece of associated data.
fn write<E>(sealed: Result<Vec<u8>, E>, out: &mut Vec<u8>) -> Result<()> {
    let sealed = sealed.map_err(|_| Error::new(Code::Internal, "a value was not encrypted"))?;
    let mut text = BASE32_NOPAD.encode(&sealed);
    text.make_ascii_lowercase();
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

struct AesSivKernel {
    siv: Siv,
}

impl Kernel for AesSivKernel {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        let mut out = TextColumn::new(values.len(), 64);
        plain::for_each(values, |value| {
            let Some(value) = value else { return out.null() };
            self.siv.seal(value, out.bytes())?;
            out.end()
        })?;
        out.finish()
    }

    fn null_token(&mut self) -> Result<Option<ArrayRef>> {
        let mut out = TextColumn::new(1, 32);
        self.siv.seal_null(out.bytes())?;
        out.end()?;
        Ok(Some(out.finish()?))
    }
}

impl fmt::Debug for AesSivKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesSivKernel(..)")
    }
}

#[cfg(test)]
mod tests;
