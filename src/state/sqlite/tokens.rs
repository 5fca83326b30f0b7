//! The token maps: which number stands for which value, and in how many rows it stood. Does not say what
//! a number looks like to a partner; styles such as `user_0001` are the transform's. How originals are
//! sealed is in [`super::sealed`].

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::sealed::{Marks, Seals, label};
use super::{Sqlite, signed, unsigned};
use crate::error::{Code, Context, Error, Result};
use crate::keys::originals::{Opener, Private};
use crate::pipeline::transform::Counted;
use crate::state::{Clash, Imported, NewToken, ScopeRecord, TokenRecord};

/// The numbers of `values` in `scope`; new values get the next numbers in the order given.
///
/// INVARIANT: new numbers are given under the write lock, from a counter in the same transaction as the
/// rows, so that no thread, process or crash can give one number twice or one value two; two unique
/// indexes say the same.
pub(super) fn numbers(state: &Sqlite, scope: &str, values: &[&str]) -> Result<Vec<u64>> {
    // Almost always all values are known: then nobody waits for the write lock.
    let known = state.read(WHAT, |connection| match scope_id(connection, scope)? {
        Some(scope_id) => {
            let marks = Marks::load(connection, state.ring.get(), scope)?;
            look_up(connection, scope_id, &marks, values)
        }
        None => Ok(vec![None; values.len()]),
    })?;
    if let Some(numbers) = known.into_iter().collect() {
        return Ok(numbers);
    }
    let now_seconds = state.clock.now_seconds();
    state.write(WHAT, |transaction| {
        // Looked at again: another process may have sealed the map meanwhile.
        let marks = Marks::load(transaction, state.ring.get(), scope)?;
        let scope_id = make_scope(transaction, scope)?;
        let mut known = look_up(transaction, scope_id, &marks, values)?;
        let mut last = last(transaction, scope_id)?;
        let mut rows = Rows::new(transaction, scope_id, scope, &marks, now_seconds);
        let mut fresh = BTreeMap::new();
        for (value, number) in values.iter().zip(&mut known) {
            if number.is_none() {
                *number = Some(match fresh.get(value) {
                    Some(given) => *given,
                    None => {
                        last += 1;
                        rows.insert(last, value)?;
                        fresh.insert(value, last);
                        last
                    }
                });
            }
        }
        set_last(transaction, scope_id, last)?;
        Ok(known.into_iter().flatten().collect())
    })
}

/// Notes in how many rows each number stood, in place of what was noted of this column before.
pub(super) fn count(
    state: &Sqlite,
    scope: &str,
    of: Counted<'_>,
    rows: &[(u64, u64)],
) -> Result<()> {
    let known = state.read(WHAT, |connection| {
        connection
            .prepare_cached(
                "SELECT version FROM token_source
                 WHERE scope_id = (SELECT id FROM token_scope WHERE name = ?1)
                   AND dataset = ?2 AND column_name = ?3",
            )
            .and_then(|mut statement| {
                statement
                    .query_row((scope, of.dataset, of.column), |row| row.get::<_, String>(0))
                    .optional()
            })
            .context(Code::State, failed)
    })?;
    if known.as_deref() == Some(of.version) {
        return Ok(());
    }
    let now_seconds = state.clock.now_seconds();
    state.write(WHAT, |transaction| {
        let scope_id = make_scope(transaction, scope)?;
        let source = make_source(transaction, scope_id, of, now_seconds)?;
        transaction
            .execute("DELETE FROM token_count WHERE source_id = ?1", [source])
            .context(Code::State, failed)?;
        put_counts(transaction, source, rows)
    })
}

/// The tokens of a scope, by number: all of them, or only one. Originals that are sealed are opened with
/// `key`; without it they are not told.
pub(super) fn list(
    state: &Sqlite,
    scope: &str,
    only: Option<u64>,
    key: Option<&Private>,
) -> Result<Vec<TokenRecord>> {
    let only = only.map(signed).transpose()?;
    state.read(WHAT, |connection| {
        let Some(scope_id) = scope_id(connection, scope)? else { return Ok(Vec::new()) };
        let mut statement = connection
            .prepare_cached(
                "SELECT number, original, first_seen_seconds, batch_id, place, sealed,
                        coalesce((SELECT sum(token_count.rows) FROM token_source
                                  JOIN token_count ON token_count.source_id = token_source.id
                                  WHERE token_source.scope_id = ?1
                                    AND token_count.number = token.number), 0)
                 FROM token
                 WHERE scope_id = ?1
                   AND (?2 IS NULL OR number = ?2
                        OR batch_id = (SELECT batch_id FROM token
                                       WHERE scope_id = ?1 AND number = ?2))
                 ORDER BY number",
            )
            .context(Code::State, failed)?;
        let mut batches: BTreeMap<i64, Vec<Shut>> = BTreeMap::new();
        let mut records = Vec::new();
        let mut rows = statement.query((scope_id, only)).context(Code::State, failed)?;
        while let Some(row) = rows.next().context(Code::State, failed)? {
            let (record, shut) = read_row(row, records.len()).context(Code::State, failed)?;
            if let Some((batch, shut)) = shut {
                batches.entry(batch).or_default().push(shut);
            }
            records.push(record);
        }
        if let Some(key) = key {
            for (batch, shut) in batches {
                open_batch(connection, scope, key, batch, shut, &mut records)?;
            }
        }
        records.retain(|record| only.is_none_or(|only| signed(record.number).ok() == Some(only)));
        Ok(records)
    })
}

/// A sealed original, and which record it belongs to.
struct Shut {
    place: u64,
    at: usize,
    bytes: Vec<u8>,
}

fn read_row(
    row: &rusqlite::Row<'_>,
    at: usize,
) -> rusqlite::Result<(TokenRecord, Option<(i64, Shut)>)> {
    let record = TokenRecord {
        number: unsigned(row, 0)?,
        original: row.get(1)?,
        first_seen_seconds: row.get(2)?,
        rows: unsigned(row, 6)?,
    };
    let shut = match row.get_ref(5)? {
        ValueRef::Null => None,
        sealed => Some((
            row.get(3)?,
            Shut { place: unsigned(row, 4)?, at, bytes: sealed.as_blob()?.to_vec() },
        )),
    };
    Ok((record, shut))
}

/// Opens what was sealed together, in the order in which it was.
fn open_batch(
    connection: &Connection,
    scope: &str,
    key: &Private,
    batch: i64,
    mut shut: Vec<Shut>,
    records: &mut [TokenRecord],
) -> Result<()> {
    let encapsulated: [u8; 32] = connection
        .query_row("SELECT encapsulated FROM token_batch WHERE id = ?1", [batch], |row| row.get(0))
        .context(Code::State, failed)?;
    let mut opener = Opener::new(key, &encapsulated)?;
    shut.sort_by_key(|shut| shut.place);
    for (place, Shut { at, bytes, place: kept }) in (0..).zip(shut) {
        if kept != place {
            return Err(Error::new(Code::State, "a sealed original of the token map is missing"));
        }
        if let Some(record) = records.get_mut(at) {
            record.original = Some(opener.open(&label(scope, record.number), &bytes)?);
        }
    }
    Ok(())
}

/// The scopes, by name.
pub(super) fn scopes(state: &Sqlite) -> Result<Vec<ScopeRecord>> {
    state.read(WHAT, |connection| {
        connection
            .prepare_cached(
                "SELECT name, last, count(token.number), count(token.sealed)
                 FROM token_scope LEFT JOIN token ON token.scope_id = token_scope.id
                 GROUP BY token_scope.id ORDER BY name",
            )
            .and_then(|mut statement| {
                statement
                    .query_map([], |row| {
                        Ok(ScopeRecord {
                            name: row.get(0)?,
                            last: unsigned(row, 1)?,
                            tokens: unsigned(row, 2)?,
                            sealed: unsigned(row, 3)?,
                        })
                    })?
                    .collect()
            })
            .context(Code::State, failed)
    })
}

/// Takes in tokens with the numbers that they have elsewhere; all of them, or none where one clashes.
pub(super) fn import(
    state: &Sqlite,
    scope: &str,
    tokens: &[NewToken],
    last_elsewhere: u64,
) -> Result<Result<Imported, Vec<Clash>>> {
    let now_seconds = state.clock.now_seconds();
    state.write(WHAT, |transaction| {
        let marks = Marks::load(transaction, state.ring.get(), scope)?;
        let (mut clashes, mut fresh) = (Vec::new(), Vec::new());
        {
            let known = scope_id(transaction, scope)?;
            let mut numbers: BTreeMap<u64, &str> = BTreeMap::new();
            let mut values: BTreeMap<&str, u64> = BTreeMap::new();
            for (at, token) in tokens.iter().enumerate() {
                let value = token.original.as_str();
                // What the list itself said first counts.
                let own = numbers.get(&token.number).copied();
                let same = values.get(value).copied();
                numbers.entry(token.number).or_insert(value);
                values.entry(value).or_insert(token.number);
                if own == Some(value) && same == Some(token.number) {
                    continue;
                }
                let here = match known {
                    Some(scope_id) => look_up_one(transaction, scope_id, &marks, value)?,
                    None => None,
                };
                let taken = match known {
                    Some(scope_id) => has_number(transaction, scope_id, token.number)?,
                    None => false,
                };
                match same.or(here) {
                    Some(number) if number != token.number => {
                        clashes.push(Clash::Value { at, number })
                    }
                    Some(_) => {}
                    None if own.is_some() || taken => clashes.push(Clash::Number { at }),
                    None => fresh.push(token),
                }
            }
        }
        if !clashes.is_empty() {
            // Nothing was written yet.
            return Ok(Err(clashes));
        }
        let scope_id = make_scope(transaction, scope)?;
        let mut rows = Rows::new(transaction, scope_id, scope, &marks, now_seconds);
        fresh.iter().try_for_each(|token| rows.insert(token.number, &token.original))?;
        let highest = tokens.iter().map(|token| token.number).max().unwrap_or(0);
        let before = last(transaction, scope_id)?;
        let last = before.max(highest).max(last_elsewhere);
        set_last(transaction, scope_id, last)?;
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for token in tokens {
            if let Some(rows) = token.rows {
                let sum = counts.entry(token.number).or_default();
                *sum = sum.saturating_add(rows);
            }
        }
        if !counts.is_empty() {
            let of = Counted { dataset: "", column: "", version: "" };
            let source = make_source(transaction, scope_id, of, now_seconds)?;
            put_counts(transaction, source, &counts.into_iter().collect::<Vec<_>>())?;
        }
        let added = fresh.len() as u64;
        Ok(Ok(Imported { added, known: tokens.len() as u64 - added, last }))
    })
}

/// Writes new tokens of one scope, sealed where the state says so.
struct Rows<'a> {
    transaction: &'a Transaction<'a>,
    scope_id: i64,
    scope: &'a str,
    marks: &'a Marks,
    now_seconds: i64,
    seals: Seals,
}

impl<'a> Rows<'a> {
    fn new(
        transaction: &'a Transaction<'_>,
        scope_id: i64,
        scope: &'a str,
        marks: &'a Marks,
        now_seconds: i64,
    ) -> Self {
        Self { transaction, scope_id, scope, marks, now_seconds, seals: Seals::default() }
    }

    fn insert(&mut self, number: u64, value: &str) -> Result<()> {
        let sealed = match self.marks.public() {
            None => None,
            Some(public) => {
                Some(self.seals.seal(self.transaction, public, self.scope, number, value)?)
            }
        };
        let original = sealed.is_none().then_some(value);
        let (batch, place, sealed) = match sealed {
            Some((batch, place, sealed)) => (Some(batch), Some(signed(place)?), Some(sealed)),
            None => (None, None, None),
        };
        self.transaction
            .prepare_cached("INSERT INTO token VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")
            .and_then(|mut statement| {
                let mark = self.marks.of(value);
                statement.execute((
                    self.scope_id,
                    mark,
                    i64::try_from(number).unwrap_or(i64::MAX),
                    original,
                    self.now_seconds,
                    batch,
                    place,
                    sealed,
                ))
            })
            .map(drop)
            .context(Code::State, failed)
    }
}

pub(super) fn scope_id(connection: &Connection, scope: &str) -> Result<Option<i64>> {
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

fn last(connection: &Connection, scope_id: i64) -> Result<u64> {
    connection
        .query_row("SELECT last FROM token_scope WHERE id = ?1", [scope_id], |row| unsigned(row, 0))
        .context(Code::State, failed)
}

fn set_last(connection: &Connection, scope_id: i64, last: u64) -> Result<()> {
    connection
        .execute("UPDATE token_scope SET last = ?2 WHERE id = ?1", (scope_id, signed(last)?))
        .map(drop)
        .context(Code::State, failed)
}

fn make_source(
    connection: &Connection,
    scope_id: i64,
    of: Counted<'_>,
    now_seconds: i64,
) -> Result<i64> {
    connection
        .query_row(
            "INSERT INTO token_source (scope_id, dataset, column_name, version, counted_seconds)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (scope_id, dataset, column_name)
             DO UPDATE SET version = excluded.version, counted_seconds = excluded.counted_seconds
             RETURNING id",
            (scope_id, of.dataset, of.column, of.version, now_seconds),
            |row| row.get(0),
        )
        .context(Code::State, failed)
}

fn put_counts(connection: &Connection, source: i64, rows: &[(u64, u64)]) -> Result<()> {
    let mut statement = connection
        .prepare_cached("INSERT OR REPLACE INTO token_count VALUES (?1, ?2, ?3)")
        .context(Code::State, failed)?;
    rows.iter().try_for_each(|(number, rows)| {
        statement
            .execute((source, signed(*number)?, signed(*rows)?))
            .map(drop)
            .context(Code::State, failed)
    })
}

fn has_number(connection: &Connection, scope_id: i64, number: u64) -> Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM token WHERE scope_id = ?1 AND number = ?2")
        .and_then(|mut statement| statement.exists((scope_id, i64::try_from(number).unwrap_or(-1))))
        .context(Code::State, failed)
}

fn look_up(
    connection: &Connection,
    scope_id: i64,
    marks: &Marks,
    values: &[&str],
) -> Result<Vec<Option<u64>>> {
    values.iter().map(|value| look_up_one(connection, scope_id, marks, value)).collect()
}

/// Sealed values are known by a keyed mark, others by a plain one; while both are there, both are tried.
fn look_up_one(
    connection: &Connection,
    scope_id: i64,
    marks: &Marks,
    value: &str,
) -> Result<Option<u64>> {
    let mut statement = connection
        .prepare_cached("SELECT number FROM token WHERE scope_id = ?1 AND fingerprint = ?2")
        .context(Code::State, failed)?;
    let mut number = |mark: [u8; 32]| {
        statement
            .query_row((scope_id, mark), |row| unsigned(row, 0))
            .optional()
            .context(Code::State, failed)
    };
    match number(marks.of(value))? {
        Some(found) => Ok(Some(found)),
        None => marks.older(value).map_or(Ok(None), number),
    }
}

fn failed() -> String {
    WHAT.to_owned()
}

/// What is being done, for errors.
pub(super) const WHAT: &str = "the token map cannot be read or written";
