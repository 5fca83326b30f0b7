//! `mapping lookup`: the original behind one token, told on this machine after the audit log knows.

use std::io::Write;

use chrono::{DateTime, SecondsFormat};

use super::target::{Target, Which};
use super::{Hand, OriginalsKey, Why, request, sealed};
use crate::audit::Deed;
use crate::error::{Code, Context, Error, Result};
use crate::state::{TokenRecord, is_valid};

#[derive(Debug, clap::Args)]
pub(super) struct Lookup {
    /// The token, as it was sent
    token: String,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    key: OriginalsKey,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

impl Lookup {
    pub(super) fn run(self, hand: &Hand, out: &mut dyn Write) -> Result<()> {
        let target = Target::find(&self.which, &hand.place, &*hand.store)?;
        let (scope, _) = target.tokens()?;
        let deed = Deed {
            reason: self.why.reason.clone(),
            scope: Some(scope),
            pseudonym: Some(self.token.clone()),
            file: None,
        };
        let columns = [self.which.column.clone()];
        let digest = &target.policy.digest;
        let request = request("MappingLookup", &self.which, &columns, digest, deed);
        let record =
            hand.audited(request, || Ok((find(hand, &target, &self.key, &self.token)?, 1)))?;
        let unwritable = || "the answer cannot be written".to_owned();
        let original = record.original.unwrap_or_default();
        let seen = DateTime::from_timestamp(record.first_seen_seconds, 0)
            .map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
            .unwrap_or_default();
        let valid = is_valid(&original);
        if self.json {
            let answer = serde_json::json!({
                "token": self.token, "original": original, "count": record.rows, "valid": valid,
                "first_seen": seen,
            });
            serde_json::to_writer_pretty(&mut *out, &answer).context(Code::Usage, unwritable)?;
            return writeln!(out).context(Code::Usage, unwritable);
        }
        let valid = if valid { "valid" } else { "not valid" };
        let shown = printable(&original);
        writeln!(out, "{:<15} -> {shown}", self.token)
            .and_then(|()| writeln!(out, "{} rows, first seen {seen}, {valid}", record.rows))
            .context(Code::Usage, unwritable)
    }
}

/// The record of a token, with its original.
///
/// # Errors
/// [`Code::Usage`] where it is no token of this column, or none that was given out.
pub(in crate::cli) fn find(
    hand: &Hand,
    target: &Target,
    key: &OriginalsKey,
    token: &str,
) -> Result<TokenRecord> {
    let (scope, style) = target.tokens()?;
    let number =
        style.number(token).map_err(|why| Error::new(Code::Usage, format!("`{token}` {why}")))?;
    if number == 0 {
        let what = format!("`{token}` stands for null: there is no original");
        return Err(Error::new(Code::Usage, what));
    }
    let key = key.load()?;
    let record = hand.store.tokens(&scope, Some(number), key.as_ref())?.pop().ok_or_else(|| {
        let what = format!("`{token}` was never given out in `{scope}`");
        Error::new(Code::Usage, what)
    })?;
    if record.original.is_none() {
        return Err(sealed());
    }
    Ok(record)
}

/// A value as a terminal may show it: control characters could move the cursor or hide the line.
pub(in crate::cli) fn printable(value: &str) -> String {
    value
        .chars()
        .flat_map(|c| {
            let escape = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escape.into_iter().flatten().chain(plain)
        })
        .collect()
}
