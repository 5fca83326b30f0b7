//! Partner records in SQLite. Does not judge them: whether a record may come in is for `identity/`.

use chrono::NaiveDate;
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::Sqlite;
use crate::error::{Code, Context, Error, Result};
use crate::state::PartnerRecord;

/// What identifies a record.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    Certificate(&'a [u8; 32]),
    Name(&'a str),
    Subject(&'a str),
    Token(&'a [u8; 32]),
}

pub(super) fn add(state: &Sqlite, record: &PartnerRecord) -> Result<bool> {
    state.write(WHAT, |transaction| {
        // A clash must leave nothing of the record behind, and still end the transaction well.
        transaction.execute_batch("SAVEPOINT partner").context(Code::State, failed)?;
        match insert(transaction, record) {
            Ok(()) => Ok(true),
            Err(cause) if is_clash(&cause) => {
                transaction.execute_batch("ROLLBACK TO partner").context(Code::State, failed)?;
                Ok(false)
            }
            Err(cause) => Err(cause).context(Code::State, failed),
        }
    })
}

pub(super) fn update(
    state: &Sqlite,
    name: &str,
    change: &mut dyn FnMut(&mut PartnerRecord),
) -> Result<bool> {
    state.write(WHAT, |transaction| {
        let Some((id, mut record)) =
            load(transaction, By::Name(name)).context(Code::State, failed)?
        else {
            return Ok(false);
        };
        change(&mut record);
        record.name = name.to_owned();
        match rewrite(transaction, id, &record) {
            Ok(()) => Ok(true),
            Err(cause) if is_clash(&cause) => Err(Error::new(
                Code::State,
                "the token, a certificate or a subject name belongs to another partner",
            )),
            Err(cause) => Err(cause).context(Code::State, failed),
        }
    })
}

pub(super) fn find(state: &Sqlite, by: By<'_>) -> Result<Option<PartnerRecord>> {
    state.read(WHAT, |connection| {
        Ok(load(connection, by).context(Code::State, failed)?.map(|(_, record)| record))
    })
}

pub(super) fn all(state: &Sqlite) -> Result<Vec<PartnerRecord>> {
    state.read(WHAT, |connection| {
        let names: Vec<String> = connection
            .prepare_cached("SELECT name FROM partner ORDER BY name")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .context(Code::State, failed)?;
        let mut records = Vec::with_capacity(names.len());
        for name in names {
            records.extend(
                load(connection, By::Name(&name))
                    .context(Code::State, failed)?
                    .map(|(_, record)| record),
            );
        }
        Ok(records)
    })
}

fn load(connection: &Connection, by: By<'_>) -> rusqlite::Result<Option<(i64, PartnerRecord)>> {
    let columns = "SELECT id, name, token_hash, require_certificate, expires, disabled, \
                   created_seconds FROM partner WHERE ";
    let (condition, key): (_, &dyn rusqlite::ToSql) = match &by {
        By::Certificate(fingerprint) => (
            "id = (SELECT partner_id FROM partner_certificate WHERE fingerprint = ?1)",
            fingerprint,
        ),
        By::Name(name) => ("name = ?1", name),
        By::Subject(subject) => {
            ("id = (SELECT partner_id FROM partner_subject WHERE subject = ?1)", subject)
        }
        By::Token(hash) => ("token_hash = ?1", hash),
    };
    let found = connection
        .prepare_cached(&format!("{columns}{condition}"))?
        .query_row([key], |row| {
            let expires: Option<String> = row.get(4)?;
            let expires =
                expires.map(|text| text.parse::<NaiveDate>()).transpose().map_err(|cause| {
                    rusqlite::Error::FromSqlConversionFailure(
                        4,
                        rusqlite::types::Type::Text,
                        Box::new(cause),
                    )
                })?;
            let record = PartnerRecord {
                name: row.get(1)?,
                token_hash: row.get(2)?,
                certificates: Vec::new(),
                subjects: Vec::new(),
                require_certificate: row.get(3)?,
                expires,
                disabled: row.get(5)?,
                created_seconds: row.get(6)?,
            };
            Ok((row.get(0)?, record))
        })
        .optional()?;
    let Some((id, mut record)) = found else { return Ok(None) };
    let id: i64 = id;
    record.certificates = connection
        .prepare_cached(
            "SELECT fingerprint FROM partner_certificate WHERE partner_id = ?1 ORDER BY fingerprint",
        )?
        .query_map([id], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    record.subjects = connection
        .prepare_cached(
            "SELECT subject FROM partner_subject WHERE partner_id = ?1 ORDER BY subject",
        )?
        .query_map([id], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some((id, record)))
}

fn insert(connection: &Connection, record: &PartnerRecord) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO partner
             (name, token_hash, require_certificate, expires, disabled, created_seconds)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            &record.name,
            record.token_hash,
            record.require_certificate,
            record.expires.map(|date| date.to_string()),
            record.disabled,
            record.created_seconds,
        ),
    )?;
    insert_certificates(connection, connection.last_insert_rowid(), record)
}

fn rewrite(connection: &Connection, id: i64, record: &PartnerRecord) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE partner SET token_hash = ?2, require_certificate = ?3, expires = ?4, disabled = ?5,
             created_seconds = ?6 WHERE id = ?1",
        (
            id,
            record.token_hash,
            record.require_certificate,
            record.expires.map(|date| date.to_string()),
            record.disabled,
            record.created_seconds,
        ),
    )?;
    connection.execute("DELETE FROM partner_certificate WHERE partner_id = ?1", [id])?;
    connection.execute("DELETE FROM partner_subject WHERE partner_id = ?1", [id])?;
    insert_certificates(connection, id, record)
}

fn insert_certificates(
    connection: &Connection,
    id: i64,
    record: &PartnerRecord,
) -> rusqlite::Result<()> {
    for fingerprint in &record.certificates {
        connection.execute("INSERT INTO partner_certificate VALUES (?1, ?2)", (fingerprint, id))?;
    }
    for subject in &record.subjects {
        connection.execute("INSERT INTO partner_subject VALUES (?1, ?2)", (subject, id))?;
    }
    Ok(())
}

/// Whether a unique index refused the change.
fn is_clash(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

fn failed() -> String {
    WHAT.to_owned()
}

/// What is being done, for errors.
const WHAT: &str = "the partners cannot be read or written";
