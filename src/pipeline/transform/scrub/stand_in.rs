//! What stands in a text for what was found: pseudonyms under the keys of the rule's domain, and markers.
//! Pseudonyms of learned values are made by the rules of their own columns, not here.

use super::super::mac::{Base32, Label, Mac};
use super::find::Kind;
use crate::error::Result;
use crate::keys::ColumnKeys;

/// Characters of a pseudonym: those that `pseudonym: hmac` gives unless told otherwise.
const CHARACTERS: usize = 22;

/// Makes pseudonyms.
#[derive(Debug)]
pub(super) struct StandIn {
    /// The key of `pseudonym: hmac` in the rule's domain, so that what is found joins with a column under it.
    values: Mac,
    /// For what joins with nothing but itself.
    others: Mac,
}

impl StandIn {
    /// Under the keys of a rule.
    ///
    /// # Errors
    /// When a key cannot be derived.
    pub(super) fn new(keys: &ColumnKeys) -> Result<Self> {
        Ok(Self {
            values: Mac::new(&keys.derive("hmac")?)?,
            others: Mac::new(&keys.derive("scrub")?)?,
        })
    }

    /// What `{pseudonym: hmac}` gives for a value in this domain.
    pub(super) fn of_value(&self, value: &str) -> String {
        text(&self.values, value.as_bytes())
    }

    /// For a word that means several values, and so none of them.
    pub(super) fn of_several(&self, word: &str) -> String {
        text(&self.others, word.as_bytes())
    }

    /// Writes what stands for a find: `<email:4sx...>`, or `<card>`.
    pub(super) fn write(&self, kind: Kind, found: &str, pseudonym: bool, out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(kind.name().as_bytes());
        if pseudonym && kind.has_pseudonym() {
            out.push(b':');
            // Case means nothing in hosts and addresses, and little elsewhere.
            let tag = self.values.tag(Label::Value, found.to_lowercase().as_bytes());
            out.extend_from_slice(Base32::new(&tag, CHARACTERS).first(CHARACTERS));
        }
        out.push(b'>');
    }
}

fn text(mac: &Mac, value: &[u8]) -> String {
    let tag = mac.tag(Label::Value, value);
    String::from_utf8_lossy(Base32::new(&tag, CHARACTERS).first(CHARACTERS)).into_owned()
}
