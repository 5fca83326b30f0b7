//! `mapping export`: tokens and originals to a private file, as text, CSV or JSON. What the forms look
//! like is in [`super::forms`].

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use super::super::progress::{Progress, Unit};
use super::file::PrivateFile;
use super::forms::{self, Entry, Format, Section};
use super::target::{Policies, Target, Which};
use super::{Hand, OriginalsKey, Why, request, sealed, shown};
use crate::audit::{Deed, Request};
use crate::error::{Code, Context, Error, Result};
use crate::keys::originals::Private;
use crate::pipeline::transform::TokenStyle;
use crate::policy::args::{Args, Value};
use crate::state::is_valid;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["scope", "dataset"]))]
pub(super) struct Export {
    /// A token map by its name, as `mapping list` tells it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["column", "partner"])]
    scope: Option<String>,
    /// The dataset
    #[arg(long, value_name = "NAME", requires_all = ["column", "partner"])]
    dataset: Option<String>,
    /// The column; for a text several may be named, each gets a section
    #[arg(long, value_name = "NAME")]
    column: Vec<String>,
    /// The partner whose tokens are meant
    #[arg(long, value_name = "NAME")]
    partner: Option<String>,
    #[command(flatten)]
    policies: Policies,
    #[command(flatten)]
    style: Style,
    /// How to write it; where nothing is said, by the ending of the file: .csv, .json, else text
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The file; it gets mode 0600
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file where there is one
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    key: OriginalsKey,
}

/// How tokens are written, where no policy says.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Style {
    /// With `--scope`: text before each number
    #[arg(long, value_name = "TEXT", requires = "scope", default_value = "ID_")]
    prefix: String,
    /// With `--scope`: digits to fill up with zeros
    #[arg(long, value_name = "N", requires = "scope", default_value_t = 1,
          value_parser = clap::value_parser!(i64).range(1..=18))]
    width: i64,
    /// With `--scope`: letters in place of numbers
    #[arg(long, requires = "scope")]
    letters: bool,
}

impl Style {
    fn style(&self) -> TokenStyle {
        let style = if self.letters { "letters" } else { "number" };
        let args = Args::new()
            .with("prefix", Value::Text(self.prefix.clone()))
            .with("style", Value::Text(style.to_owned()))
            .with("width", Value::Integer(self.width));
        TokenStyle::new(&args)
    }
}

/// A map that is to be written.
struct Map {
    scope: String,
    style: TokenStyle,
    name: String,
}

impl Export {
    pub(super) fn run(self, hand: &Hand, out: &mut dyn Write) -> Result<()> {
        let format = self.format.unwrap_or_else(|| {
            match self.out.extension().and_then(|end| end.to_str()) {
                Some("csv") => Format::Csv,
                Some("json") => Format::Json,
                _ => Format::Text,
            }
        });
        let (maps, request) = self.maps(hand)?;
        let progress = Progress::start("exporting tokens", Unit::Tokens);
        let (file, tokens) = hand.audited(request, || {
            let key = self.key.load()?;
            let mut sections = Vec::new();
            let known = hand.store.token_scopes()?;
            let all = known.iter().filter(|known| maps.iter().any(|map| map.scope == known.name));
            progress.expect(all.map(|known| known.tokens).sum());
            for map in maps {
                progress.message(&map.name);
                let section = section(hand, map, key.as_ref())?;
                progress.advance(section.entries.len() as u64);
                sections.push(section);
            }
            progress.message("writing the file");
            let mut file = BufWriter::new(PrivateFile::begin(&self.out, self.overwrite)?);
            forms::write(format, &sections, &mut file)?;
            let failed = || format!("`{}` cannot be written", self.out.display());
            let file = file
                .into_inner()
                .map_err(|cause| Error::new(Code::Usage, failed()).because(cause.into_error()))?;
            let tokens = sections.iter().map(|section| section.entries.len() as u64).sum();
            Ok(((file, tokens), tokens))
        })?;
        progress.finish();
        // Only what is recorded gets its name.
        file.finish()?;
        writeln!(out, "{tokens} tokens are in `{}` (mode 0600)", self.out.display())
            .context(Code::Usage, || "the answer cannot be written".to_owned())
    }

    fn maps(&self, hand: &Hand) -> Result<(Vec<Map>, Request)> {
        let deed = |scope: Option<String>| Deed {
            reason: self.why.reason.clone(),
            scope,
            file: shown(&self.out),
            pseudonym: None,
        };
        if let (Some(dataset), Some(partner)) = (&self.dataset, &self.partner) {
            let (mut maps, mut digest) = (Vec::new(), String::new());
            let mut which = Which {
                dataset: dataset.clone(),
                partner: partner.clone(),
                column: String::new(),
                policies: self.policies.clone(),
            };
            for column in &self.column {
                which.column.clone_from(column);
                let target = Target::find(&which, &hand.place, &*hand.store)?;
                let (scope, style) = target.tokens()?;
                maps.push(Map { scope, name: name_of(style.prefix(), column), style });
                digest.clone_from(&target.policy.digest);
            }
            let scopes: Vec<&str> = maps.iter().map(|map| map.scope.as_str()).collect();
            let deed = deed(Some(scopes.join(" ")));
            return Ok((maps, request("MappingExport", &which, &self.column, &digest, deed)));
        }
        let scope = self.scope.clone().unwrap_or_default();
        let style = self.style.style();
        let request = Request {
            method: "MappingExport".to_owned(),
            deed: Some(deed(Some(scope.clone()))),
            ..Request::default()
        };
        Ok((vec![Map { scope, name: name_of(style.prefix(), "token"), style }], request))
    }
}

/// `USER` for `user_`, as the old script named its sections.
fn name_of(prefix: &str, column: &str) -> String {
    let word = prefix.trim_end_matches(|c: char| !c.is_alphanumeric());
    match word {
        "" => column.to_uppercase(),
        "node" => "HOSTNAME".to_owned(),
        word => word.to_uppercase(),
    }
}

fn section(hand: &Hand, map: Map, key: Option<&Private>) -> Result<Section> {
    let counter = hand
        .store
        .token_scopes()?
        .into_iter()
        .find(|scope| scope.name == map.scope)
        .map(|scope| scope.last)
        .ok_or_else(|| none(&map.scope))?;
    let mut entries = Vec::new();
    let mut start = None;
    for record in hand.store.tokens(&map.scope, None, key)? {
        let original = record.original.ok_or_else(sealed)?;
        start = start.or(Some(record.number));
        entries.push(Entry {
            token: map.style.text(record.number),
            count: record.rows,
            valid: is_valid(&original),
            original,
        });
    }
    let prefix = map.style.prefix().to_owned();
    Ok(Section { name: map.name, prefix, start: start.unwrap_or(1), counter, entries })
}

/// What is said where there is no such map.
pub(super) fn none(scope: &str) -> Error {
    let what = format!(
        "there is no token map `{scope}`: nothing was pulled yet, or not under this key; \
         `veilflight mapping list` tells which there are"
    );
    Error::new(Code::Usage, what)
}
