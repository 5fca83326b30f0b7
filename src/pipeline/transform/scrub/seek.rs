//! What the texts of a column hold that its rule takes out, told to whoever proves that it did not leave: the
//! same detectors over the same values as the kernel's, and those in pairs that stay behind as a whole. Replaces
//! nothing, needs no key, and leaves the values of other columns to whoever reads these.

use std::collections::HashSet;
use std::path::Path;

use super::super::Seek;
use super::dictionary::fold;
use super::engine::{Engine, Format};
use super::keys::Keys;
use super::{format, kinds, words};
use crate::error::{Code, Error, Result};
use crate::policy::args::Args;

/// Bound to one rule.
#[derive(Debug)]
pub(super) struct Seeker {
    engine: Engine,
    keys: Keys,
    format: Format,
    words: Vec<String>,
    except: HashSet<String>,
    sensitive: bool,
    room: Vec<u8>,
}

impl Seeker {
    /// For a rule of a policy in `folder`.
    ///
    /// # Errors
    /// [`Code::Policy`] when the file of words cannot be read.
    pub(super) fn new(args: &Args, folder: &Path) -> Result<Self> {
        let sensitive = args.flag("case_sensitive");
        let except = args.texts("except").iter().map(|word| fold(word, sensitive)).collect();
        Ok(Self {
            engine: Engine::telling(kinds(args)),
            keys: Keys::new(args),
            format: format(args),
            words: words(args, folder).map_err(|reason| Error::new(Code::Policy, reason))?,
            except,
            sensitive,
            room: Vec::new(),
        })
    }
}

impl Seek for Seeker {
    fn seek(&mut self, text: &str, found: &mut dyn FnMut(&str)) {
        self.room.clear();
        self.engine.value(self.format, &self.keys, text, &mut self.room);
        self.engine.told().iter().for_each(|told| found(told));
    }

    fn words(&self) -> &[String] {
        &self.words
    }

    fn spares(&self, word: &str) -> bool {
        !self.except.is_empty() && self.except.contains(&fold(word, self.sensitive))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{args, word, words as list};
    use super::super::Scrub;
    use super::*;
    use crate::policy::args::Value;

    /// What is told of a text under a rule with these parameters besides its defaults.
    fn told(set: &[(&'static str, Value)], text: &str) -> Vec<String> {
        let mut seeker = Seeker::new(&args(&Scrub, set), Path::new(".")).unwrap();
        let mut told = Vec::new();
        seeker.seek(text, &mut |found| told.push(found.to_owned()));
        told
    }

    #[test]
    fn what_detectors_replace_is_told_and_nothing_else() {
        let text = "mail ada@fnal.gov from /home/bob/x on wn1.example.org PASSWORD=hunter2";
        assert_eq!(told(&[], text), ["ada@fnal.gov", "bob", "wn1.example.org", "hunter2"]);
        assert_eq!(told(&[("detect", list(&["email"]))], text), ["ada@fnal.gov"]);
        assert_eq!(told(&[], "nothing to see, 42"), [""; 0]);
    }

    #[test]
    fn what_stays_behind_is_told_and_what_may_leave_is_not() {
        let environment = "A=ada@fnal.gov B=bob@fnal.gov C=cyd@fnal.gov";
        let set = [("drop_keys", list(&["A"])), ("keep_keys", list(&["A", "B"]))];
        assert_eq!(told(&set, environment), ["ada@fnal.gov", "cyd@fnal.gov"]);
        assert_eq!(told(&[("only_keys", list(&["Z"]))], environment).len(), 3);
        let json = r#"{"A": "ada@fnal.gov", "B": {"x": "bob@fnal.gov"}, "C": ["cyd@fnal.gov"]}"#;
        assert_eq!(told(&set, json), ["ada@fnal.gov", "cyd@fnal.gov"]);
        // What is no environment leaves as a marker; what stands in it does not leave.
        let set = [("format", word("environment"))];
        assert_eq!(told(&set, "write to ada@fnal.gov"), ["ada@fnal.gov"]);
    }
}
