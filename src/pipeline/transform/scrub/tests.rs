//! The whole of `scrub`: dictionary, detectors, formats and keys together, as a column goes through them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray};
use arrow::datatypes::{DataType, Int32Type};

use super::super::testing::{Fixture, args, text, texts, word, words};
use super::super::{Change, Kernel, Transform, find};
use super::*;
use crate::policy::args::{Args, Value};

mod formats;
mod hostile;
mod leaks;
mod learned;
mod recall;

/// A scrub rule with what it learned.
struct Scene {
    fixture: Fixture,
    args: Args,
}

/// A column to learn from: name, values, and its own rule.
type Source<'a> = (&'a str, ArrayRef, &'a str, Option<&'a str>, &'a [(&'a str, Value)]);

impl Scene {
    fn new(set: &[(&str, Value)], sources: &[Source<'_>]) -> Self {
        Self::try_new(set, sources).unwrap()
    }

    fn try_new(set: &[(&str, Value)], sources: &[Source<'_>]) -> Result<Self> {
        let names: Vec<&str> = sources.iter().map(|(name, ..)| *name).collect();
        let mut args = args(&Scrub, set);
        args.set("learn_from", words(&names));
        let mut fixture = Fixture::new("Cmd", &DataType::Utf8);
        for (name, values, verb, method, set) in sources {
            let transform = find(verb, *method).unwrap();
            fixture = fixture.with_neighbour(name, values.data_type(), transform, set);
        }
        let columns: Vec<ArrayRef> =
            sources.iter().map(|(_, values, ..)| Arc::clone(values)).collect();
        if let Some(mut learner) = Scrub.learner(&args, &fixture.bind())? {
            learner.observe(&columns[0], &columns)?;
            fixture.learned = Some(learner.finish()?);
        }
        Ok(Self { fixture, args })
    }

    /// One user column under `pseudonym: hmac` with the e-mail domain kept.
    fn users(users: &[&str], set: &[(&str, Value)]) -> Self {
        Self::new(set, &[("User", text(users), "pseudonym", Some("hmac"), &KEEP())])
    }

    fn kernel(&self) -> Box<dyn Kernel> {
        Scrub.kernel(&self.args, &self.fixture.bind()).unwrap()
    }

    fn scrub(&self, value: &str) -> String {
        let out = self.kernel().apply(&text(&[value]), &[]).unwrap();
        texts(&out).remove(0).unwrap()
    }

    /// What leaves for a value in a column that was learned from.
    fn own(&self, column: usize, value: &str) -> String {
        let neighbour = &self.fixture.neighbours[column];
        let mut kernel =
            neighbour.kernel(&self.fixture.tokens, self.fixture.folder()).unwrap().unwrap();
        texts(&kernel.apply(&text(&[value]), &[]).unwrap()).remove(0).unwrap()
    }
}

#[expect(non_snake_case, reason = "reads as the constant that it would be if it could")]
fn KEEP() -> [(&'static str, Value); 1] {
    [("keep", word("email_domain"))]
}

/// Without anything learned.
fn plain(set: &[(&str, Value)], value: &str) -> String {
    let args = args(&Scrub, set);
    let fixture = Fixture::new("Cmd", &DataType::Utf8);
    let mut kernel = Scrub.kernel(&args, &fixture.bind()).unwrap();
    texts(&kernel.apply(&text(&[value]), &[]).unwrap()).remove(0).unwrap()
}

#[test]
fn what_is_found_becomes_its_kind_with_a_pseudonym_or_a_marker() {
    let out = plain(&[], "mail ada@x.org from 10.1.2.3, card 4111111111111111");
    let (mail, rest) = out.split_once("mail <email:").unwrap().1.split_once('>').unwrap();
    assert_eq!(mail.len(), 22);
    assert!(rest.starts_with(" from <ip:") && rest.ends_with(">, card <card>"), "{out}");
    let markers = plain(&[("replace", word("marker"))], "ada@x.org 10.1.2.3 /home/ada/x");
    assert_eq!(markers, "<email> <ip> /home/<user>/x");
    // Equal finds are equal, whatever their case; others are not.
    assert_eq!(plain(&[], "Ada@X.org"), plain(&[], "ada@x.org"));
    assert_ne!(plain(&[], "bob@x.org"), plain(&[], "ada@x.org"));
    let none = [("detect", words(&[])), ("words", words(&["dune"]))];
    assert_eq!(plain(&none, "ada@x.org 10.1.2.3"), "ada@x.org 10.1.2.3");
}

#[test]
fn words_of_the_policy_are_found_in_any_case_and_become_what_a_column_would() {
    let set = [("words", words(&["uboone", "DUNE"])), ("domain", word("experiment"))];
    let args = args(&Scrub, &set);
    let fixture = Fixture::new("Cmd", &DataType::Utf8);
    let mut kernel = Scrub.kernel(&args, &fixture.bind()).unwrap();
    let out = kernel.apply(&text(&["UBOONE uboone_v1 dunes dune-x uBoone"]), &[]).unwrap();
    let out = texts(&out).remove(0).unwrap();
    // The fixture's domain is the column's own.
    let hmac = find("pseudonym", Some("hmac")).unwrap();
    let mut own = hmac.kernel(&Args::defaults(hmac.spec().params), &fixture.bind()).unwrap();
    let own = texts(&own.apply(&text(&["uboone", "dune"]), &[]).unwrap());
    let (uboone, dune) = (own[0].clone().unwrap(), own[1].clone().unwrap());
    assert_eq!(out, format!("{uboone} {uboone}_v1 dunes {dune}-x {uboone}"));
}

#[test]
fn a_file_of_words_is_read_and_what_is_wrong_in_it_is_said_with_the_line() {
    let fixture = Fixture::new("Cmd", &DataType::Utf8);
    let set = args(&Scrub, &[("words_file", word("words.txt"))]);
    let write = |text: &str| std::fs::write(fixture.folder().join("words.txt"), text).unwrap();
    write("\u{feff}# experiments\nnova\n\n icarus \n");
    assert_eq!(Scrub.check_files(&set, fixture.folder()), []);
    let mut kernel = Scrub.kernel(&set, &fixture.bind()).unwrap();
    let out = texts(&kernel.apply(&text(&["run nova ICARUS experiments"]), &[]).unwrap());
    let out = out[0].as_ref().unwrap();
    assert!(
        !out.contains("nova") && !out.contains("ICARUS") && out.contains("experiments"),
        "{out}"
    );
    write("nova\n--\n");
    let refusals = Scrub.check_files(&set, fixture.folder());
    assert_eq!(refusals[0].message, "line 2 of `words.txt` is no word that can be found");
}

#[test]
fn a_rule_that_looks_for_nothing_or_means_nothing_is_refused() {
    let refused = |set: &[(&str, Value)]| -> Vec<String> {
        Scrub.check(&args(&Scrub, set)).into_iter().map(|refusal| refusal.message).collect()
    };
    assert_eq!(refused(&[]), [""; 0]);
    assert_eq!(refused(&[("detect", words(&[]))]), ["`scrub` looks for nothing"]);
    assert_eq!(refused(&[("words", words(&["17"]))]), ["`17` is no word that can be found"]);
    let text = ("format", word("text"));
    assert_eq!(
        refused(&[text, ("drop_keys", words(&["A"]))]),
        ["`drop_keys` means nothing for `format: text`"]
    );
    assert_eq!(refused(&[("only_keys", words(&["*A"]))]), ["`*A` is no key"]);
    let own = args(&Scrub, &[("learn_from", words(&["Cmd"]))]);
    assert_eq!(Scrub.check_beside(&own, "Cmd", &[]).len(), 1);
}

#[test]
fn less_that_is_found_weakens() {
    let of = |set: &[(&str, Value)]| args(&Scrub, set);
    let compare = |old: &Args, new: &Args| Scrub.compare(old, new);
    let (all, mail) = (of(&[]), of(&[("detect", words(&["email"]))]));
    for (less, more) in [
        (&mail, &all),
        (&all, &of(&[("learn_from", words(&["User"]))])),
        (&all, &of(&[("words", words(&["nova"]))])),
        (&of(&[("except", words(&["run"]))]), &all),
        (&of(&[("keep_keys", words(&["A"]))]), &all),
        (&all, &of(&[("drop_keys", words(&["A"]))])),
        (&all, &of(&[("only_keys", words(&["A"]))])),
        (&of(&[("only_keys", words(&["A", "B"]))]), &of(&[("only_keys", words(&["A"]))])),
        (&of(&[("case_sensitive", Value::Flag(true))]), &all),
        (&all, &of(&[("replace", word("marker"))])),
        (&of(&[("format", word("text"))]), &all),
        (&of(&[("domain", word("a"))]), &all),
    ] {
        assert_eq!(compare(less, more), Change::Strengthens, "{less:?} {more:?}");
        assert_eq!(compare(more, less), Change::Weakens, "{more:?} {less:?}");
    }
}

#[test]
fn explain_says_what_stays() {
    let all = Scrub.explain_leaks(&args(&Scrub, &[]));
    assert!(all.contains("names of people and places") && all.contains("learns from no column"));
    let some = args(&Scrub, &[("learn_from", words(&["User"])), ("except", words(&["run"]))]);
    assert!(Scrub.explain(&some).contains("Every value of `User`"));
    assert!(Scrub.explain(&some).contains("Left alone: `run`."));
    assert!(!Scrub.explain_leaks(&some).contains("learns from no column"));
}
