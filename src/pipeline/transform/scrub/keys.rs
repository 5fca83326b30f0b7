//! Rules by key, for environments and JSON: which pairs leave, and which values the detectors leave alone.
//! What a pair is, is the business of the formats.

use crate::policy::args::Args;

/// What becomes of the value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Dictionary and detectors.
    Scrub,
    /// The dictionary alone.
    Keep,
    /// All of it is a secret.
    Secret,
}

/// The lists of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Keys {
    keep: Vec<String>,
    drop: Vec<String>,
    only: Vec<String>,
}

impl Keys {
    /// As the policy says.
    pub(super) fn new(args: &Args) -> Self {
        let small = |name| args.texts(name).iter().map(|key| key.to_lowercase()).collect();
        Self { keep: small("keep_keys"), drop: small("drop_keys"), only: small("only_keys") }
    }

    /// Whether pairs are taken out, so that a text without recognizable pairs cannot leave.
    pub(super) fn take_out(&self) -> bool {
        !self.drop.is_empty() || !self.only.is_empty()
    }

    /// Whether a pair with this key stays behind wherever it is.
    pub(super) fn drops(&self, key: &str) -> bool {
        lists(&self.drop, key)
    }

    /// Whether a pair with this key may leave on the outermost level.
    pub(super) fn admits(&self, key: &str) -> bool {
        self.only.is_empty() || lists(&self.only, key)
    }

    /// Whether detectors leave the value of this key alone.
    pub(super) fn keeps(&self, key: &str) -> bool {
        lists(&self.keep, key)
    }
}

/// Whether a list has the key, in any case; a `*` at the end of an item stands for any rest.
fn lists(list: &[String], key: &str) -> bool {
    if list.is_empty() {
        return false;
    }
    let key = key.to_lowercase();
    list.iter().any(|item| match item.strip_suffix('*') {
        Some(head) => key.starts_with(head),
        None => *item == key,
    })
}
