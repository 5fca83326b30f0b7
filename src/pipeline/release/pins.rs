//! Which release of a dataset is served, and which generalizations of it there were: the file
//! `current.json`, authentic by a key of the ring. Decides whether another release may be built.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::store::write_private;
use crate::error::{Code, Context, Error, Result};
use crate::keys::KeyRing;
use crate::policy::release::{Method, ReleaseRules};

/// The file's name in the folder of its dataset.
pub(super) const FILE: &str = "current.json";

/// The version of its form.
const VERSION: u32 = 1;

/// The releases of one dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    /// The version of its form.
    pub version: u32,
    /// The dataset.
    pub dataset: String,
    /// The release that is served.
    pub current: Option<String>,
    /// All that were ever pinned, in their order.
    ///
    /// INVARIANT: none is ever taken out, so that a withdrawn generalization still stands against a second.
    pub history: Vec<Note>,
}

/// One release that was pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Its name.
    pub id: String,
    /// When it was pinned, in UTC (RFC 3339).
    pub date: String,
    /// The state of the data.
    pub data_version: String,
    /// The digest of what of the policy decides the release.
    pub release_digest: String,
    /// How it was made.
    pub method: String,
    /// The levels by column, where whole columns were generalized.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<String, u32>,
    /// The SHA-256 of its manifest.
    pub manifest_sha256: String,
    /// Whether the policy said `dangerous_rerelease` when it was built.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dangerous: bool,
    /// Whether its files are there.
    pub stored: bool,
    /// When and why it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Withdrawn>,
}

/// Why a release is not served any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawn {
    /// When, in UTC (RFC 3339).
    pub date: String,
    /// Why, in the custodian's words.
    pub reason: String,
}

/// What is on the disk: pins and what proves them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    pins: Pins,
    epoch: u32,
    tag: String,
}

/// What a build is to do, as what was built before allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is there already, and served.
    Exists(String),
    /// By the method of the policy.
    Build,
    /// At the levels of this release, so that the two versions cannot be held against each other.
    AtLevels {
        /// The release.
        of: String,
        /// Level by column.
        levels: BTreeMap<String, u32>,
    },
}

impl Pins {
    /// The pins of a dataset; none where nothing was pinned.
    ///
    /// PRIVACY: who could edit the file could have a second generalization built, or another release
    /// served; so it is believed only if a key of the ring made it.
    ///
    /// # Errors
    /// [`Code::State`] when it cannot be read or is not authentic.
    pub(super) fn read(folder: &Path, dataset: &str, ring: &KeyRing) -> Result<Self> {
        let path = folder.join(FILE);
        let failed = || format!("`{}` cannot be read", path.display());
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self {
                    version: VERSION,
                    dataset: dataset.to_owned(),
                    ..Self::default()
                });
            }
            Err(cause) => return Err(Error::new(Code::State, failed()).because(cause)),
        };
        let written: Written = serde_json::from_slice(&text).context(Code::State, failed)?;
        let forged = |what: &str| {
            let what = format!(
                "`{}` {what}: it was changed by hand, or the master key is another",
                path.display()
            );
            Error::new(Code::State, what)
        };
        let tag = HEXLOWER.decode(written.tag.as_bytes()).unwrap_or_default();
        let known = written.pins.mac(ring, written.epoch)?;
        if known.verify_slice(&tag).is_err() {
            return Err(forged("is not authentic"));
        }
        if written.pins.dataset != dataset || written.pins.version != VERSION {
            return Err(forged("is of another dataset or version"));
        }
        Ok(written.pins)
    }

    /// Puts them in the place of those before, all at once.
    pub(super) fn write(&self, folder: &Path, ring: &KeyRing) -> Result<()> {
        let epoch = ring.newest();
        let tag = HEXLOWER.encode(&self.mac(ring, epoch)?.finalize().into_bytes());
        let written = Written { pins: self.clone(), epoch, tag };
        let failed = || "pins have no text".to_owned();
        let text = serde_json::to_vec_pretty(&written).context(Code::Internal, failed)?;
        write_private(folder, FILE, &text)
    }

    fn mac(&self, ring: &KeyRing, epoch: u32) -> Result<Hmac<Sha256>> {
        let key = ring.derive::<32>(epoch, &["release", "pins", &self.dataset])?;
        let failed = || Error::new(Code::Internal, "the key of pins has a wrong length");
        let mac = Hmac::<Sha256>::new_from_slice(key.expose()).map_err(|_| failed())?;
        let failed = || "pins have no text".to_owned();
        Ok(mac.chain_update(serde_json::to_vec(self).context(Code::Internal, failed)?))
    }

    /// The release that is served.
    pub fn current(&self) -> Option<&Note> {
        let current = self.current.as_deref()?;
        self.note(current)
    }

    /// The release of this name; of several builds of one the last.
    pub fn note(&self, id: &str) -> Option<&Note> {
        self.history.iter().rev().find(|note| note.id == id)
    }

    /// Whether and how a release of these data may be built.
    ///
    /// PRIVACY: two generalizations of the same rows tell together what neither tells alone: a person's
    /// classes in both are known, and so is what they have in common (Ganta et al. 2008). So the same
    /// data have one, and new data of the same dataset, which share rows with the old, are generalized as
    /// these were: columns at levels that the old data decided. What divides rows by their values
    /// (mondrian and its kin) has no such levels.
    ///
    /// # Errors
    /// [`Code::Policy`] when another generalization was released before, and the policy does not say
    /// `dangerous_rerelease`.
    pub fn verdict(&self, rules: &ReleaseRules, data: &str, release: &str) -> Result<Verdict> {
        if let Some(note) = self.current()
            && note.data_version == data
            && note.release_digest == release
        {
            return Ok(Verdict::Exists(note.id.clone()));
        }
        let same = |note: &&Note| note.data_version == data && note.release_digest == release;
        let last = self.history.iter().rev();
        if let Some(note) = last.clone().find(same) {
            // It was withdrawn or replaced: building it again gives the same rows, at the same levels.
            return Ok(match &rules.method {
                Method::Lattice { .. } if !note.levels.is_empty() => {
                    Verdict::AtLevels { of: note.id.clone(), levels: note.levels.clone() }
                }
                _ => Verdict::Build,
            });
        }
        if rules.dangerous_rerelease {
            return Ok(Verdict::Build);
        }
        let dataset = &self.dataset;
        if let Some(other) = last.clone().find(|note| note.release_digest != release) {
            let of = if other.data_version == data { "these data" } else { "this dataset" };
            return Err(refused(format!(
                "release `{}` of {of} was made by other rules, and two generalizations of the same \
                 rows tell together what neither tells alone; go back to the rules of `{dataset}` as \
                 they were, or say `dangerous_rerelease: true` in its release",
                other.id
            )));
        }
        let Some(before) = last.clone().next() else { return Ok(Verdict::Build) };
        match &rules.method {
            Method::Fixed { .. } => Ok(Verdict::Build),
            Method::Lattice { .. } if !before.levels.is_empty() => {
                Ok(Verdict::AtLevels { of: before.id.clone(), levels: before.levels.clone() })
            }
            _ => Err(refused(format!(
                "the data of `{dataset}` changed since release `{}`, and `{}` would divide the rows \
                 that both have in another way; use `lattice` or `fixed`, whose levels stay, or say \
                 `dangerous_rerelease: true` in its release",
                before.id, before.method
            ))),
        }
    }
}

fn refused(what: String) -> Error {
    Error::new(Code::Policy, format!("error: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Secret;
    use crate::policy::release::{Aggregate, HierarchyRule, Model, Objective, Quasi};

    fn rules(method: Method) -> ReleaseRules {
        ReleaseRules {
            quasi_identifiers: vec![Quasi {
                column: "age".to_owned(),
                hierarchy: HierarchyRule::Top,
                weight: 1.0,
            }],
            models: vec![Model::KAnonymity { k: 2 }],
            method,
            suppress_max: 0.0,
            unit: None,
            population: None,
            dangerous_rerelease: false,
        }
    }

    fn lattice() -> Method {
        let objective = Objective::Loss { aggregate: Aggregate::Rank, gs_factor: 0.5 };
        Method::Lattice { objective }
    }

    fn note(data: &str, release: &str, levels: &[(&str, u32)]) -> Note {
        Note {
            id: format!("{data}-{release}"),
            date: "2027-01-15T08:00:00Z".to_owned(),
            data_version: data.to_owned(),
            release_digest: release.to_owned(),
            method: "lattice".to_owned(),
            levels: levels.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect(),
            manifest_sha256: String::new(),
            dangerous: false,
            stored: true,
            withdrawn: None,
        }
    }

    fn pins(history: Vec<Note>) -> Pins {
        let current = history.last().map(|note| note.id.clone());
        Pins { version: VERSION, dataset: "jobs".to_owned(), current, history }
    }

    fn verdict(pins: &Pins, rules: &ReleaseRules, data: &str, release: &str) -> Result<Verdict> {
        pins.verdict(rules, data, release)
    }

    fn code(verdict: Result<Verdict>) -> Code {
        verdict.unwrap_err().code()
    }

    #[test]
    fn the_first_release_is_built_and_asking_again_says_that_it_is_there() {
        let rules = rules(lattice());
        assert_eq!(verdict(&pins(vec![]), &rules, "one", "a").unwrap(), Verdict::Build);
        let built = pins(vec![note("one", "a", &[("age", 1)])]);
        let there = Verdict::Exists("one-a".to_owned());
        assert_eq!(verdict(&built, &rules, "one", "a").unwrap(), there);
    }

    #[test]
    fn a_second_generalization_is_refused_unless_the_policy_calls_it_dangerous() {
        let built = pins(vec![note("one", "a", &[("age", 1)])]);
        let mut other = rules(lattice());
        assert_eq!(code(verdict(&built, &other, "one", "b")), Code::Policy);
        // A row more does not make it another thing: all others are the same.
        assert_eq!(code(verdict(&built, &other, "two", "b")), Code::Policy);
        other.dangerous_rerelease = true;
        assert_eq!(verdict(&built, &other, "one", "b").unwrap(), Verdict::Build);
    }

    #[test]
    fn a_withdrawn_generalization_stands_against_a_second_and_can_be_built_again_as_it_was() {
        let mut gone = pins(vec![note("one", "a", &[("age", 1)])]);
        gone.current = None;
        gone.history[0].withdrawn =
            Some(Withdrawn { date: String::new(), reason: "why".to_owned() });
        assert_eq!(code(verdict(&gone, &rules(lattice()), "one", "b")), Code::Policy);
        let same =
            Verdict::AtLevels { of: "one-a".to_owned(), levels: [("age".to_owned(), 1)].into() };
        assert_eq!(verdict(&gone, &rules(lattice()), "one", "a").unwrap(), same);
    }

    #[test]
    fn new_data_are_built_at_the_levels_of_the_old() {
        let built = pins(vec![note("one", "a", &[("age", 1)])]);
        let levels = [("age".to_owned(), 1)];
        let same = Verdict::AtLevels { of: "one-a".to_owned(), levels: levels.clone().into() };
        assert_eq!(verdict(&built, &rules(lattice()), "two", "a").unwrap(), same);
        let fixed = Method::Fixed { levels: levels.into() };
        assert_eq!(verdict(&built, &rules(fixed), "two", "a").unwrap(), Verdict::Build);
    }

    #[test]
    fn methods_without_levels_refuse_new_data_unless_the_policy_calls_it_dangerous() {
        let built = pins(vec![note("one", "a", &[])]);
        for method in
            [Method::Mondrian { strict: true }, Method::Microaggregation, Method::LocalSuppression]
        {
            let mut rules = rules(method);
            assert_eq!(code(verdict(&built, &rules, "two", "a")), Code::Policy);
            rules.dangerous_rerelease = true;
            assert_eq!(verdict(&built, &rules, "two", "a").unwrap(), Verdict::Build);
        }
    }

    #[test]
    fn pins_that_were_changed_or_made_with_another_key_are_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let ring = |byte| KeyRing::new(vec![(1, Secret::new([byte; 32]))]).unwrap();
        let there = pins(vec![note("one", "a", &[("age", 1)])]);
        there.write(folder.path(), &ring(7)).unwrap();
        assert_eq!(Pins::read(folder.path(), "jobs", &ring(7)).unwrap(), there);
        let refused = |dataset: &str, key: u8| {
            Pins::read(folder.path(), dataset, &ring(key)).unwrap_err().code()
        };
        assert_eq!(refused("jobs", 8), Code::State);
        assert_eq!(refused("people", 7), Code::State);
        let path = folder.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        for (old, new) in [("one-a", "two-a"), ("\"age\": 1", "\"age\": 0"), ("\"a\"", "\"b\"")] {
            assert!(text.contains(old), "{text}");
            fs::write(&path, text.replace(old, new)).unwrap();
            assert_eq!(refused("jobs", 7), Code::State, "{old}");
        }
        // A generalization that is taken out of the history would not stand against a second.
        let (before, rest) = text.split_once("\"history\"").unwrap();
        let (_, after) = rest.split_once("\"epoch\"").unwrap();
        let forged = format!("{before}\"history\": []}}, \"epoch\"{after}");
        fs::write(&path, forged).unwrap();
        assert_eq!(refused("jobs", 7), Code::State);
    }
}
