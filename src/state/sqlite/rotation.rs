//! Another key pair for sealed originals: all of them are opened with the old private half and sealed with the
//! new public one, in one transaction. Numbers, and the marks that values are known by, stay.

use rusqlite::Transaction;

use super::sealed::{Seals, label, public};
use super::tokens::WHAT;
use super::{Sqlite, signed, unsigned};
use crate::error::{Code, Context, Error, Result};
use crate::keys::originals::{Opener, Private, Public};
use crate::state::SealedOriginals;

/// Changes the key. What lies plain stays plain.
///
/// INVARIANT: all originals are sealed with the key that the state names, at any moment and after any crash.
pub(super) fn rotate(state: &Sqlite, old: &Private, new: &Public) -> Result<SealedOriginals> {
    let used = old.public()?;
    let Some(now) = public(state)? else {
        return Err(Error::new(Code::Usage, "originals are not sealed; there is no key to change"));
    };
    if now != used {
        return Err(other(&now, &used));
    }
    let sealed = state.write(WHAT, |transaction| {
        let changed = transaction
            .execute("UPDATE originals_key SET public = ?1 WHERE public = ?2", (new.0, used.0))
            .context(Code::State, failed)?;
        if changed != 1 {
            return Err(Error::new(Code::State, "the key of the originals was changed meanwhile"));
        }
        // What the last one of these made has a higher number.
        let before: i64 = transaction
            .query_row("SELECT coalesce(max(id), 0) FROM token_batch", [], |row| row.get(0))
            .context(Code::State, failed)?;
        let mut sealed = 0_u64;
        for (scope_id, scope) in scopes(transaction)? {
            let mut seals = Seals::default();
            for batch in batches(transaction, scope_id, before)? {
                sealed += again(transaction, (scope_id, &scope), batch, old, new, &mut seals)?;
            }
        }
        transaction
            .execute("DELETE FROM token_batch WHERE id <= ?1", [before])
            .context(Code::State, failed)?;
        Ok(sealed)
    })?;
    // What was sealed with the old key is cleared too: it may be known to somebody.
    Ok(SealedOriginals { sealed, cleared: state.clear_free_pages()? })
}

fn scopes(transaction: &Transaction<'_>) -> Result<Vec<(i64, String)>> {
    transaction
        .prepare("SELECT id, name FROM token_scope ORDER BY id")
        .and_then(|mut statement| {
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
        .context(Code::State, failed)
}

fn batches(transaction: &Transaction<'_>, scope_id: i64, before: i64) -> Result<Vec<i64>> {
    transaction
        .prepare(
            "SELECT DISTINCT batch_id FROM token
             WHERE scope_id = ?1 AND batch_id IS NOT NULL AND batch_id <= ?2 ORDER BY batch_id",
        )
        .and_then(|mut statement| {
            statement.query_map((scope_id, before), |row| row.get(0))?.collect()
        })
        .context(Code::State, failed)
}

/// Seals the originals of one batch again. One batch is in memory at a time.
fn again(
    transaction: &Transaction<'_>,
    (scope_id, scope): (i64, &str),
    batch: i64,
    old: &Private,
    new: &Public,
    seals: &mut Seals,
) -> Result<u64> {
    let encapsulated: [u8; 32] = transaction
        .query_row("SELECT encapsulated FROM token_batch WHERE id = ?1", [batch], |row| row.get(0))
        .context(Code::State, failed)?;
    let shut: Vec<(u64, u64, Vec<u8>)> = transaction
        .prepare_cached(
            "SELECT number, place, sealed FROM token WHERE scope_id = ?1 AND batch_id = ?2 ORDER BY place",
        )
        .and_then(|mut statement| {
            let row = |row: &rusqlite::Row<'_>| Ok((unsigned(row, 0)?, unsigned(row, 1)?, row.get(2)?));
            statement.query_map((scope_id, batch), row)?.collect()
        })
        .context(Code::State, failed)?;
    let mut update = transaction
        .prepare_cached(
            "UPDATE token SET batch_id = ?3, place = ?4, sealed = ?5
             WHERE scope_id = ?1 AND number = ?2",
        )
        .context(Code::State, failed)?;
    let mut opener = Opener::new(old, &encapsulated)?;
    for (place, (number, kept, bytes)) in (0..).zip(&shut) {
        if *kept != place {
            return Err(Error::new(Code::State, "a sealed original of the token map is missing"));
        }
        let original = zeroize::Zeroizing::new(opener.open(&label(scope, *number), bytes)?);
        let (batch, place, sealed) = seals.seal(transaction, new, scope, *number, &original)?;
        update
            .execute((scope_id, signed(*number)?, batch, signed(place)?, sealed))
            .context(Code::State, failed)?;
    }
    Ok(shut.len() as u64)
}

fn other(now: &Public, used: &Public) -> Error {
    let (now, used) = (now.id(), used.id());
    let what = format!("the originals are sealed with the key {now}, and this is the key {used}");
    Error::new(Code::Keys, what)
}

fn failed() -> String {
    WHAT.to_owned()
}
