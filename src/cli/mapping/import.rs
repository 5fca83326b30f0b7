//! `mapping import`: a map that was made elsewhere keeps its numbers here. All of it is taken in, or,
//! where anything clashes, nothing. What a file may look like is in [`super::forms`].

use std::io::Write;
use std::path::PathBuf;

use super::super::progress::{Progress, Unit};
use super::forms::{self, Format, Found, FoundEntry};
use super::target::{Target, Which};
use super::{Hand, Why, request, shown};
use crate::audit::Deed;
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::transform::TokenStyle;
use crate::state::{Clash, NewToken};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads what `mapping export` writes, the mapping files of anonymize_cluster_data.sh, and JSON with \
`entries` of token, count, valid and original. The policy's `prefix`, `width` and `style` say how tokens \
are written. New values go on after the highest number. Counts of the file are left out, because rows are \
counted when they are served: `--with-counts` is for rows that never will be. Where a number or a value is taken already, \
nothing is changed, and every clash is told by its line.")]
pub(super) struct Import {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    which: Which,
    /// How it is written, where that cannot be seen
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Take the counts of the file: the rows that they are of will never be served here
    #[arg(long)]
    with_counts: bool,
    #[command(flatten)]
    why: Why,
}

impl Import {
    pub(super) fn run(self, hand: &Hand, out: &mut dyn Write) -> Result<()> {
        let target = Target::find(&self.which, &hand.place, &*hand.store)?;
        let (scope, style) = target.tokens()?;
        let deed = Deed {
            reason: self.why.reason.clone(),
            scope: Some(scope.clone()),
            file: shown(&self.file),
            pseudonym: None,
        };
        let columns = [self.which.column.clone()];
        let digest = &target.policy.digest;
        let request = request("MappingImport", &self.which, &columns, digest, deed);
        let progress = Progress::start("taking tokens in", Unit::Tokens);
        progress.message("reading the file");
        let (done, passed_over, counts) = hand.audited(request, || {
            let found = self.read(&style)?;
            let tokens = self.tokens(&found, &style)?;
            progress.expect(tokens.len() as u64);
            progress.message("comparing them with the map");
            hand.store.give_keys(&target.ring);
            let done = hand.store.import_tokens(&scope, &tokens, found.counter.unwrap_or(0))?;
            let done = done.map_err(|clashes| self.refused(clashed(&clashes, &found, &style)))?;
            progress.position(done.added + done.known);
            let counts = found.entries.iter().filter_map(|entry| entry.count).collect::<Vec<_>>();
            Ok(((done, found.passed_over, counts), done.added))
        })?;
        progress.finish();
        let mut say = |text: String| {
            writeln!(out, "{text}")
                .context(Code::Usage, || "the answer cannot be written".to_owned())
        };
        if !passed_over.is_empty() {
            say(format!(
                "passed over, because they are of other columns: {}",
                passed_over.join(", ")
            ))?;
        }
        let next = style.text(done.last + 1);
        let known = match done.known {
            0 => String::new(),
            known => format!(", {known} were here already"),
        };
        say(format!("{} tokens were taken in{known}; the next new value is `{next}`", done.added))?;
        let (tokens, rows) =
            (counts.len(), counts.iter().fold(0, |sum: u64, rows| sum.saturating_add(*rows)));
        match (tokens, self.with_counts) {
            (0, _) => Ok(()),
            (_, true) => say(format!(
                "counts of {tokens} tokens were taken in, {rows} rows; rows that are served here are counted \
                 beside them"
            )),
            (_, false) => say(format!(
                "counts of {tokens} tokens, {rows} rows, were left out: rows are counted when they are served \
                 here; `--with-counts` takes them"
            )),
        }
    }

    fn read(&self, style: &TokenStyle) -> Result<Found> {
        let name = self.file.display();
        let bytes = std::fs::read(&self.file)
            .context(Code::Usage, || format!("`{name}` cannot be read"))?;
        let found = forms::read(&bytes, self.format, style.prefix())
            .map_err(|why| Error::new(Code::Usage, format!("`{name}`: {why}")))?;
        if found.entries.is_empty() {
            return Err(Error::new(Code::Usage, format!("`{name}` holds no token")));
        }
        match &found.prefix {
            Some(prefix) if prefix != style.prefix() => {
                let what = format!(
                    "`{name}` has tokens that begin with `{prefix}`, and the policy writes `{}`; write \
                     `prefix: {prefix}` into the rule of column `{}`",
                    style.prefix(),
                    self.which.column
                );
                Err(Error::new(Code::Usage, what))
            }
            _ => Ok(found),
        }
    }

    /// The tokens with their numbers, or all that are none.
    fn tokens(&self, found: &Found, style: &TokenStyle) -> Result<Vec<NewToken>> {
        let (mut tokens, mut wrong) = (Vec::new(), Vec::new());
        for FoundEntry { place, token, original, count } in &found.entries {
            match style.number(token) {
                Ok(0) => {
                    wrong.push(format!("{place}: `{token}` stands for null, and for no value"))
                }
                Ok(number) => tokens.push(NewToken {
                    number,
                    // As the serving path asks for it, or it would never be found.
                    original: style.normalized(original),
                    rows: count.filter(|_| self.with_counts),
                }),
                Err(why) => wrong.push(format!("{place}: `{token}` {why}")),
            }
        }
        if wrong.is_empty() { Ok(tokens) } else { Err(self.refused(wrong)) }
    }

    fn refused(&self, wrong: Vec<String>) -> Error {
        let head = format!("`{}` was not taken in, and nothing was changed", self.file.display());
        Error::new(Code::Usage, format!("{head}:\n  {}", wrong.join("\n  ")))
    }
}

/// PRIVACY: tokens and places, and no value: the terminal's memory is no place for them.
fn clashed(clashes: &[Clash], found: &Found, style: &TokenStyle) -> Vec<String> {
    let entry = |at: usize| found.entries.get(at).map(|entry| (&entry.place, &entry.token));
    clashes
        .iter()
        .filter_map(|clash| match *clash {
            Clash::Number { at } => entry(at).map(|(place, token)| {
                format!("{place}: `{token}` stands for another value already")
            }),
            Clash::Value { at, number } => entry(at).map(|(place, token)| {
                format!("{place}: the value of `{token}` is `{}` already", style.text(number))
            }),
        })
        .collect()
}
