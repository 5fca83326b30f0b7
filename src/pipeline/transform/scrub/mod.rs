//! `scrub`: takes identifiers out of free text, command lines, environments and JSON: what detectors know by
//! its form, and above all what the dataset's own columns say. It does not know names of people and places
//! that no column holds: a text column's rule is `drop` unless somebody looked at it.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use super::hmac::DOMAIN;
use super::output::TextColumn;
use super::params::{defaulted, optional, refusal, refusal_of_rule};
use super::{
    Bind, Change, Exposure, Kernel, Learned, Learner, Refusal, Seek, Spec, Transform, change,
    plain, text as texts,
};
use crate::error::{Code, Error, Result};
use crate::policy::args::{Args, Default, Kind as ParamKind};

mod accounts;
mod addresses;
mod dictionary;
mod engine;
mod find;
mod hosts;
mod json;
mod keys;
mod learn;
mod mail;
mod names;
mod numbers;
mod paths;
mod secrets;
mod seek;
mod stand_in;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod words;

pub use dictionary::Dictionary;
pub(in crate::pipeline) use learn::handles_of;

use engine::{Engine, Format};
use find::{Kind, Kinds};
use keys::Keys;
use learn::{Lesson, Settings};
use stand_in::StandIn;

/// Identifiers taken out of text.
///
/// - What it does: finds what `detect` names by its form, and every value of the columns that `learn_from`
///   names, with the handles in them, as words of their own. A learned value becomes what leaves for it in
///   its own column, so that the texts still join; what a detector finds becomes `<email:...>` with a keyed
///   hash, cards, accounts, social security numbers and secrets a marker. Environments and JSON are taken
///   apart, so that keys can decide.
/// - What it hides: what is found.
/// - What still leaks: everything else. Names of people and places that no column holds, hosts without a
///   domain, words of fewer letters inside others, and what the text is about.
/// - Parameters: `detect`, `learn_from`, `words`, `words_file`, `except`, `domain`, `replace`, `format`,
///   `keep_keys`, `drop_keys`, `only_keys`, `case_sensitive`.
/// - Example: `{scrub: {detect: [email, ip, phone, path_user], learn_from: [User]}}`.
#[derive(Debug)]
pub(super) struct Scrub;

/// What stands for what may have no pseudonym: a learned value whose column sends none.
const REMOVED: &str = "<removed>";
/// What stands for a text that is not of its format.
const UNPARSED: &str = "<unparsed>";

/// The words of `detect`.
const DETECT: &[&str] = &[
    "email",
    "phone",
    "ip",
    "ipv4",
    "ipv6",
    "host",
    "url",
    "path_user",
    "card",
    "iban",
    "ssn",
    "x509_dn",
    "kerberos",
    "secret",
];

/// All of them, as a default; `ip` is both families.
const DETECT_ALL: &[&str] = &[
    "email",
    "phone",
    "ip",
    "host",
    "url",
    "path_user",
    "card",
    "iban",
    "ssn",
    "x509_dn",
    "kerberos",
    "secret",
];

static SPEC: Spec = Spec {
    verb: "scrub",
    method: None,
    primary: None,
    params: &[
        defaulted(
            "detect",
            ParamKind::Choices(DETECT),
            Default::Texts(DETECT_ALL),
            "What is found by its form; `ip` is `ipv4` and `ipv6`, and an empty list is nothing.",
        ),
        defaulted(
            "learn_from",
            ParamKind::Columns,
            Default::Texts(&[]),
            "Columns of identifiers: each of their values, and the handle before an `@`, is found as a word \
             and becomes what leaves for it in its own column.",
        ),
        defaulted(
            "words",
            ParamKind::Texts,
            Default::Texts(&[]),
            "Words to find besides, such as names of experiments; each becomes what `pseudonym: hmac` gives \
             for it, in small letters, in this rule's `domain`.",
        ),
        optional("words_file", ParamKind::Path, "A file of such words, one a line."),
        defaulted(
            "except",
            ParamKind::Texts,
            Default::Texts(&[]),
            "Words that the dictionary leaves alone although a column holds them, such as `test`.",
        ),
        DOMAIN,
        defaulted(
            "replace",
            ParamKind::Choice(&["pseudonym", "marker"]),
            Default::Text("pseudonym"),
            "What a find becomes: a pseudonym, by which equal finds are still equal, or a marker.",
        ),
        defaulted(
            "format",
            ParamKind::Choice(&["auto", "text", "environment", "json"]),
            Default::Text("auto"),
            "What a value is: `KEY=value` pairs, JSON, or text; `auto` looks. A value that is not of the \
             format named becomes `<unparsed>`.",
        ),
        defaulted(
            "keep_keys",
            ParamKind::Texts,
            Default::Texts(&[]),
            "Keys whose values the detectors leave alone; the dictionary does not. A `*` at the end stands \
             for any rest.",
        ),
        defaulted(
            "drop_keys",
            ParamKind::Texts,
            Default::Texts(&[]),
            "Keys that do not leave, nor their values, at any depth.",
        ),
        defaulted(
            "only_keys",
            ParamKind::Texts,
            Default::Texts(&[]),
            "The only keys that leave, on the outermost level; without it all do.",
        ),
        defaulted(
            "case_sensitive",
            ParamKind::Flag,
            Default::Flag(false),
            "Whether the dictionary tells capitals and small letters apart.",
        ),
    ],
    does: "Takes identifiers out of text, environments and JSON, by their form and by the values of other \
           columns.",
    hides: "What is found: learned values as whole words, and what the detectors know by its form.",
    leaks: "Everything that is not found: names of people and places that no column holds, hosts without \
            their domain, project names in paths, words run together, spellings that nobody thought of. What \
            the text is about, which finds are equal, and how long the rest is.",
    takes: "text",
    example: "{scrub: {detect: [email, ip, phone, path_user], learn_from: [User]}}",
    references: &[
        "Aho, Corasick: Efficient string matching (CACM 18, 1975)",
        "ISO/IEC 7812-1 (Luhn), ISO 13616 (IBAN), RFC 4514 (distinguished names)",
    ],
};

impl Transform for Scrub {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn check(&self, args: &Args) -> Vec<Refusal> {
        let mut problems = Vec::new();
        let listless = args.texts("words").is_empty() && args.text("words_file").is_none();
        if kinds(args).is_empty() && args.texts("learn_from").is_empty() && listless {
            problems.push(refusal_of_rule(
                "`scrub` looks for nothing",
                "name columns under `learn_from`, or leave `detect` out for all detectors",
            ));
        }
        if let Some(word) =
            args.texts("words").iter().find(|word| !dictionary::is_entry(word.trim()))
        {
            problems.push(refusal(
                "words",
                format!("`{word}` is no word that can be found"),
                "a word has a letter, or at least four digits",
            ));
        }
        let keyed = ["keep_keys", "drop_keys", "only_keys"];
        if args.text("format") == Some("text") {
            for name in keyed.into_iter().filter(|name| !args.texts(name).is_empty()) {
                problems.push(refusal(
                    name,
                    format!("`{name}` means nothing for `format: text`"),
                    "write `format: environment`, `json` or `auto`",
                ));
            }
        }
        for name in keyed {
            let fault = args.texts(name).iter().find(|key| {
                let key = key.strip_suffix('*').unwrap_or(key);
                key.contains('*') || key.trim().is_empty()
            });
            if let Some(key) = fault {
                problems.push(refusal(
                    name,
                    format!("`{key}` is no key"),
                    "a key as it is written, or its beginning with a `*` behind it",
                ));
            }
        }
        problems
    }

    fn check_files(&self, args: &Args, folder: &Path) -> Vec<Refusal> {
        match words(args, folder) {
            Ok(_) => Vec::new(),
            Err(reason) => {
                vec![refusal("words_file", reason, "UTF-8 text with one word a line")]
            }
        }
    }

    fn check_beside(
        &self,
        args: &Args,
        column: &str,
        _columns: &[crate::policy::Column],
    ) -> Vec<Refusal> {
        let own = args.texts("learn_from").iter().any(|name| name == column);
        own.then(|| {
            refusal(
                "learn_from",
                format!("`{column}` cannot learn from itself"),
                "name the columns that hold users, groups and hosts",
            )
        })
        .into_iter()
        .collect()
    }

    fn output(&self, _args: &Args, input: &DataType) -> Result<Option<DataType>, String> {
        texts::only(input)?;
        Ok(Some(DataType::Utf8))
    }

    fn learns_from(&self, args: &Args) -> Vec<String> {
        args.texts("learn_from").to_vec()
    }

    fn learns_fit(&self, _args: &Args, types: &[DataType]) -> Result<(), String> {
        types.iter().try_for_each(|kind| {
            let item = match kind {
                DataType::List(item) => item.data_type(),
                other => other,
            };
            match item {
                DataType::Utf8 => Ok(()),
                other if other.is_integer() => Ok(()),
                other => Err(format!(
                    "`learn_from` takes columns of text and whole numbers, and lists of these, and one \
                     holds {}",
                    texts::in_words(other)
                )),
            }
        })
    }

    fn exposure(&self, _args: &Args) -> Exposure {
        Exposure::Coarse
    }

    fn is_keyed(&self, _args: &Args) -> bool {
        true
    }

    fn explain(&self, args: &Args) -> String {
        let mut text = String::from("Leaves as text");
        let kinds = kinds(args);
        let found: Vec<&str> =
            Kind::ALL.iter().filter(|kind| kinds.has(**kind)).map(|kind| kind.word()).collect();
        let markers = args.text("replace") == Some("marker");
        match (found.is_empty(), markers) {
            (true, _) => text.push_str(" in which no detector looks for anything."),
            (false, true) => text.push_str(&format!(
                " in which a marker stands for what is found by its form ({}).",
                found.join(", ")
            )),
            (false, false) => text.push_str(&format!(
                " in which a keyed pseudonym with its kind, or for cards, accounts, social security numbers \
                 and secrets a marker, stands for what is found by its form ({}).",
                found.join(", ")
            )),
        }
        let sources = args.texts("learn_from");
        let has_words = !args.texts("words").is_empty() || args.text("words_file").is_some();
        if !sources.is_empty() {
            let what = if markers {
                "a marker"
            } else {
                "what leaves for it in its own column, and where that sends no pseudonym by a marker"
            };
            text.push_str(&format!(
                " Every value of `{}`, and the handle before an `@`, is replaced where it stands as a word \
                 of its own, by {what}.",
                sources.join("`, `"),
            ));
        }
        if has_words {
            let what = if markers { "a marker" } else { "a keyed pseudonym" };
            text.push_str(&format!(" So are the words that the policy lists, by {what}."));
        }
        if !sources.is_empty() || has_words {
            text.push_str(match args.flag("case_sensitive") {
                true => " Capitals matter.",
                false => " Capitals do not matter.",
            });
            text.push_str(
                " Words of one or two characters are replaced only where no `.`, `-` or `_` ties them to \
                 more, numbers of fewer than four digits never.",
            );
        }
        if !args.texts("except").is_empty() {
            text.push_str(&format!(" Left alone: `{}`.", args.texts("except").join("`, `")));
        }
        text.push_str(match args.text("format") {
            Some("text") => "",
            Some("environment") => {
                " The text is read as `KEY=value` pairs; what has none leaves as `<unparsed>`."
            }
            Some("json") => " The text is read as JSON; what is none leaves as `<unparsed>`.",
            _ => " JSON and `KEY=value` pairs are taken apart and scrubbed value by value.",
        });
        for (name, words) in [
            ("keep_keys", "Of these keys only the dictionary is applied to the values"),
            ("drop_keys", "Pairs with these keys do not leave"),
            ("only_keys", "Only pairs with these keys leave"),
        ] {
            if !args.texts(name).is_empty() {
                text.push_str(&format!(" {words}: `{}`.", args.texts(name).join("`, `")));
            }
        }
        if Keys::new(args).take_out() && args.text("format") == Some("auto") {
            text.push_str(" A text without pairs leaves as `<unparsed>`.");
        }
        text
    }

    fn explain_leaks(&self, args: &Args) -> String {
        let mut text = String::from(SPEC.leaks);
        if args.texts("learn_from").is_empty() {
            text.push_str(
                " It learns from no column, so users, groups and hosts of this dataset leave wherever they \
                 stand alone.",
            );
        }
        if !args.texts("except").is_empty() {
            text.push_str(" The words under `except`, whoever they name.");
        }
        text
    }

    fn compare(&self, old: &Args, new: &Args) -> Change {
        use Change::{Strengthens, Weakens};
        let list = |name: &str, more: Change, fewer: Change| {
            let within = |one: &Args, other: &Args| {
                one.texts(name).iter().all(|item| other.texts(name).contains(item))
            };
            match (within(old, new), within(new, old)) {
                (true, true) => None,
                (true, false) => Some(more),
                (false, true) => Some(fewer),
                (false, false) => Some(Weakens),
            }
        };
        let (old_kinds, new_kinds) = (kinds(old), kinds(new));
        let detect = match (old_kinds.within(new_kinds), new_kinds.within(old_kinds)) {
            (true, true) => None,
            (true, false) => Some(Strengthens),
            (false, _) => Some(Weakens),
        };
        let flag = match (old.flag("case_sensitive"), new.flag("case_sensitive")) {
            (false, true) => Some(Weakens),
            (true, false) => Some(Strengthens),
            _ => None,
        };
        // An empty `only_keys` admits all, so the first key in it takes away and the next gives.
        let only = match (old.texts("only_keys"), new.texts("only_keys")) {
            ([], []) => None,
            ([], _) => Some(Strengthens),
            (_, []) => Some(Weakens),
            _ => list("only_keys", Weakens, Strengthens),
        };
        let file = match (old.text("words_file"), new.text("words_file")) {
            (Some(_), None) => Some(Weakens),
            (None, Some(_)) => Some(Strengthens),
            _ => None,
        };
        change::sum([
            detect,
            list("learn_from", Strengthens, Weakens),
            list("words", Strengthens, Weakens),
            file,
            list("except", Weakens, Strengthens),
            list("keep_keys", Weakens, Strengthens),
            list("drop_keys", Strengthens, Weakens),
            only,
            flag,
            change::domain(old, new),
            change::word_weakens("replace", "pseudonym", old, new),
            change::word_weakens("format", "text", old, new),
        ])
    }

    fn learner(&self, args: &Args, bind: &Bind<'_>) -> Result<Option<Box<dyn Learner>>> {
        if args.texts("learn_from").is_empty() {
            return Ok(None);
        }
        let lesson = Lesson::new(bind.neighbours, bind.tokens, bind.folder, settings(args, bind)?)?;
        Ok(Some(Box::new(lesson)))
    }

    fn kernel(&self, args: &Args, bind: &Bind<'_>) -> Result<Box<dyn Kernel>> {
        let dictionary = match (args.texts("learn_from").is_empty(), bind.learned) {
            (false, Some(Learned::Dictionary(dictionary))) => Some(Arc::clone(dictionary)),
            (false, _) => return Err(Error::new(Code::Internal, "the dictionary was not learned")),
            (true, _) => {
                let settings = settings(args, bind)?;
                let none = settings.words.is_empty();
                let lesson = Lesson::new(&[], bind.tokens, bind.folder, settings)?;
                if none { None } else { Some(Arc::new(lesson.dictionary()?)) }
            }
        };
        let pseudonyms = args.text("replace") != Some("marker");
        Ok(Box::new(Scrubbing {
            engine: Engine::new(kinds(args), dictionary, StandIn::new(bind.keys)?, pseudonyms),
            keys: Keys::new(args),
            format: format(args),
        }))
    }

    fn seek(&self, args: &Args, folder: &Path) -> Result<Option<Box<dyn Seek>>> {
        Ok(Some(Box::new(seek::Seeker::new(args, folder)?)))
    }
}

fn format(args: &Args) -> Format {
    match args.text("format") {
        Some("text") => Format::Text,
        Some("environment") => Format::Environment,
        Some("json") => Format::Json,
        _ => Format::Auto,
    }
}

fn kinds(args: &Args) -> Kinds {
    Kinds::new(args.texts("detect"))
}

fn settings(args: &Args, bind: &Bind<'_>) -> Result<Settings> {
    let sensitive = args.flag("case_sensitive");
    let words = words(args, bind.folder).map_err(|reason| Error::new(Code::Policy, reason))?;
    Ok(Settings {
        words,
        except: args.texts("except").iter().map(|word| dictionary::fold(word, sensitive)).collect(),
        sensitive,
        markers: args.text("replace") == Some("marker"),
        stand_in: StandIn::new(bind.keys)?,
    })
}

/// No list of words that people write is larger.
const WORDS_BYTES_MAX: u64 = 16 << 20;

/// The words of the policy and of the file it names, or what is wrong with the file.
fn words(args: &Args, folder: &Path) -> Result<Vec<String>, String> {
    let mut words: Vec<String> =
        args.texts("words").iter().map(|word| word.trim().to_owned()).collect();
    let Some(file) = args.text("words_file") else { return Ok(words) };
    let path = folder.join(file);
    let unreadable = |error: std::io::Error| format!("`{file}` cannot be read: {error}");
    if std::fs::metadata(&path).map_err(unreadable)?.len() > WORDS_BYTES_MAX {
        return Err(format!("`{file}` is larger than {} MiB", WORDS_BYTES_MAX >> 20));
    }
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    for (line, word) in text.lines().enumerate() {
        let word = word.trim();
        if word.is_empty() || word.starts_with('#') {
            continue;
        }
        if !dictionary::is_entry(word) || word.len() > dictionary::ENTRY_MAX {
            return Err(format!("line {} of `{file}` is no word that can be found", line + 1));
        }
        words.push(word.to_owned());
    }
    Ok(words)
}

/// The bound work.
#[derive(Debug)]
struct Scrubbing {
    engine: Engine,
    keys: Keys,
    format: Format,
}

impl Kernel for Scrubbing {
    fn apply(&mut self, values: &ArrayRef, _reads: &[ArrayRef]) -> Result<ArrayRef> {
        let mut out = TextColumn::new(values.len(), 64);
        plain::for_each(values, |value| {
            let Some(value) = value else { return out.null() };
            let text = std::str::from_utf8(value)
                .map_err(|_| Error::new(Code::SourceValue, "a value is not text"))?;
            self.engine.value(self.format, &self.keys, text, out.bytes());
            out.end()
        })?;
        out.finish()
    }
}
