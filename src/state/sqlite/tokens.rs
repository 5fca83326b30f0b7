//! The token maps: which number stands for which value. Does not say what a number looks like to a
//! partner; styles such as `user_0001` are the transform's.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use super::{Sqlite, signed, unsigned};
use crate::error::{Code, Context, Result};
use crate::state::TokenRecord;

/// The numbers of `values` in `scope`; new values get the next numbers in the order given.
///
/// INVARIANT: new numbers are given under the write lock, from a counter in the same transaction as the
/// rows, so that no thread, process or crash can give one number twice or one value two; two unique
/// indexes say the same.
pub(super) fn numbers(state: &Sqlite, scope: &str, values: &[&str]) -> Result<Vec<u64>> {
    let fingerprints: Vec<[u8; 32]> =
        values.iter().map(|value| Sha256::digest(value.as_bytes()).into()).collect();
    // Almost always all values are known: then nobody waits for the write lock.
    let known = state.read(WHAT, |connection| match scope_id(connection, scope)? {
        Some(scope_id) => look_up(connection, scope_id, &fingerprints),
        None => Ok(vec![None; values.len()]),
    })?;
    if let Some(numbers) = known.into_iter().collect() {
        return Ok(numbers);
    }
    let now_seconds = state.clock.now_seconds();
    state.write(WHAT, |transaction| {
        let scope_id = make_scope(transaction, scope)?;
        let mut known = look_up(transaction, scope_id, &fingerprints)?;
        let mut last = transaction
            .query_row("SELECT last FROM token_scope WHERE id = ?1", [scope_id], |row| {
                unsigned(row, 0)
            })
            .context(Code::State, failed)?;
        let mut insert = transaction
            .prepare_cached("INSERT INTO token VALUES (?1, ?2, ?3, ?4, ?5)")
            .context(Code::State, failed)?;
        let mut fresh = BTreeMap::new();
        for ((value, fingerprint), number) in values.iter().zip(&fingerprints).zip(&mut known) {
            if number.is_some() {
                continue;
            }
            if let Some(given) = fresh.get(fingerprint) {
                *number = Some(*given);
                continue;
            }
            last += 1;
            insert
                .execute((scope_id, fingerprint, signed(last)?, value, now_seconds))
                .context(Code::State, failed)?;
            fresh.insert(fingerprint, last);
            *number = Some(last);
        }
        transaction
            .execute("UPDATE token_scope SET last = ?2 WHERE id = ?1", (scope_id, signed(last)?))
            .context(Code::State, failed)?;
        Ok(known.into_iter().flatten().collect())
    })
}

/// The tokens of a scope, by number.
pub(super) fn list(state: &Sqlite, scope: &str) -> Result<Vec<TokenRecord>> {
    state.read(WHAT, |connection| {
        connection
            .prepare_cached(
                "SELECT number, original, first_seen_seconds FROM token
                 WHERE scope_id = (SELECT id FROM token_scope WHERE name = ?1) ORDER BY number",
            )
            .and_then(|mut statement| {
                statement
                    .query_map([scope], |row| {
                        Ok(TokenRecord {
                            number: unsigned(row, 0)?,
                            original: row.get(1)?,
                            first_seen_seconds: row.get(2)?,
                        })
                    })?
                    .collect()
            })
            .context(Code::State, failed)
    })
}

/// The scopes, by name, with how many tokens each holds.
pub(super) fn scopes(state: &Sqlite) -> Result<Vec<(String, u64)>> {
    state.read(WHAT, |connection| {
        connection
            .prepare_cached("SELECT name, last FROM token_scope ORDER BY name")
            .and_then(|mut statement| {
                statement.query_map([], |row| Ok((row.get(0)?, unsigned(row, 1)?)))?.collect()
            })
            .context(Code::State, failed)
    })
}

fn scope_id(connection: &Connection, scope: &str) -> Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM token_scope WHERE name = ?1")
        .and_then(|mut statement| statement.query_row([scope], |row| row.get(0)).optional())
        .context(Code::State, failed)
}

fn make_scope(connection: &Connection, scope: &str) -> Result<i64> {
    if let Some(found) = scope_id(connection, scope)? {
        return Ok(found);
    }
    connection
        .execute("INSERT INTO token_scope (name, last) VALUES (?1, 0)", [scope])
        .context(Code::State, failed)?;
    Ok(connection.last_insert_rowid())
}

fn look_up(
    connection: &Connection,
    scope_id: i64,
    fingerprints: &[[u8; 32]],
) -> Result<Vec<Option<u64>>> {
    let mut statement = connection
        .prepare_cached("SELECT number FROM token WHERE scope_id = ?1 AND fingerprint = ?2")
        .context(Code::State, failed)?;
    fingerprints
        .iter()
        .map(|fingerprint| {
            statement.query_row((scope_id, fingerprint), |row| unsigned(row, 0)).optional()
        })
        .collect::<rusqlite::Result<_>>()
        .context(Code::State, failed)
}

fn failed() -> String {
    WHAT.to_owned()
}

/// What is being done, for errors.
const WHAT: &str = "the token map cannot be read or written";
