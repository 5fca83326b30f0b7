//! `mapping list`: which token maps there are. It tells numbers of tokens and no original, so it asks for
//! no reason.

use std::io::Write;

use super::Hand;
use crate::error::{Code, Context, Result};
use crate::state::ScopeRecord;

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Write JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(&self, hand: &Hand, out: &mut dyn Write) -> Result<()> {
        let scopes = hand.store.token_scopes()?;
        let unwritable = || "the list cannot be written".to_owned();
        if self.json {
            let list: Vec<_> = scopes.iter().map(as_json).collect();
            serde_json::to_writer_pretty(&mut *out, &list).context(Code::Usage, unwritable)?;
            return writeln!(out).context(Code::Usage, unwritable);
        }
        table(&scopes, out).context(Code::Usage, unwritable)
    }
}

fn as_json(scope: &ScopeRecord) -> serde_json::Value {
    serde_json::json!({
        "scope": scope.name,
        "tokens": scope.tokens,
        "highest": scope.last,
        "sealed": scope.sealed,
    })
}

fn table(scopes: &[ScopeRecord], out: &mut dyn Write) -> std::io::Result<()> {
    if scopes.is_empty() {
        return writeln!(out, "there are no token maps yet");
    }
    let width = scopes.iter().map(|scope| scope.name.chars().count()).max().unwrap_or(0).max(5);
    writeln!(out, "{:width$}  {:>10}  {:>10}  {:>10}", "scope", "tokens", "highest", "sealed")?;
    for ScopeRecord { name, last, tokens, sealed } in scopes {
        writeln!(out, "{name:width$}  {tokens:>10}  {last:>10}  {sealed:>10}")?;
    }
    Ok(())
}
