//! The audit log's rows and head in SQLite. Does not compute or check a hash: that is for `audit/`.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::{Sqlite, signed, unsigned};
use crate::error::{Code, Context, Error, Result};
use crate::state::{AuditHead, AuditRow, Compose};

pub(super) fn append(state: &Sqlite, compose: &mut Compose<'_>) -> Result<()> {
    state.write(WHAT, |transaction| add(transaction, compose))
}

/// Appends in a transaction that writes something else as well.
pub(super) fn add(transaction: &Transaction<'_>, compose: &mut Compose<'_>) -> Result<()> {
    let head = head(transaction)?;
    let (row, next) = compose(head.as_ref())?;
    if row.seq != head.map_or(0, |head| head.seq) + 1 || next.seq != row.seq {
        return Err(Error::new(Code::Internal, "an audit row does not follow the head"));
    }
    let seq = signed(row.seq)?;
    let closes = row.closes.map(signed).transpose()?;
    transaction
        .prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .and_then(|mut statement| {
            statement.execute((seq, row.opens, closes, &row.body, row.hash, row.mac))
        })
        .context(Code::State, failed)?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO audit_head VALUES (1, ?1, ?2, ?3, ?4)")
        .and_then(|mut statement| statement.execute((seq, next.hash, next.epoch, next.mac)))
        .context(Code::State, failed)?;
    Ok(())
}

pub(super) fn read(
    state: &Sqlite,
    visit: &mut dyn FnMut(AuditRow) -> Result<()>,
) -> Result<Option<AuditHead>> {
    state.read(WHAT, |connection| each(connection, visit))
}

pub(super) fn each(
    connection: &Connection,
    visit: &mut dyn FnMut(AuditRow) -> Result<()>,
) -> Result<Option<AuditHead>> {
    let mut statement = connection
        .prepare_cached("SELECT seq, opens, closes, body, hash, mac FROM audit ORDER BY seq")
        .context(Code::State, failed)?;
    for row in statement.query_map([], row).context(Code::State, failed)? {
        visit(row.context(Code::State, failed)?)?;
    }
    head(connection)
}

pub(super) fn unclosed(state: &Sqlite) -> Result<Vec<AuditRow>> {
    state.read(WHAT, |connection| {
        connection
            .prepare_cached(
                "SELECT seq, opens, closes, body, hash, mac FROM audit AS open
                 WHERE opens = 1
                   AND NOT EXISTS (SELECT 1 FROM audit AS later WHERE later.closes = open.seq)
                 ORDER BY seq",
            )
            .and_then(|mut statement| statement.query_map([], row)?.collect())
            .context(Code::State, failed)
    })
}

fn head(connection: &Connection) -> Result<Option<AuditHead>> {
    connection
        .prepare_cached("SELECT seq, hash, epoch, mac FROM audit_head")
        .and_then(|mut statement| {
            statement
                .query_row([], |row| {
                    Ok(AuditHead {
                        seq: unsigned(row, 0)?,
                        hash: row.get(1)?,
                        epoch: row.get(2)?,
                        mac: row.get(3)?,
                    })
                })
                .optional()
        })
        .context(Code::State, failed)
}

fn row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let closes: Option<i64> = row.get(2)?;
    Ok(AuditRow {
        seq: unsigned(row, 0)?,
        opens: row.get(1)?,
        closes: closes.and_then(|seq| u64::try_from(seq).ok()),
        body: row.get(3)?,
        hash: row.get(4)?,
        mac: row.get(5)?,
    })
}

fn failed() -> String {
    WHAT.to_owned()
}

/// What is being done, for errors.
const WHAT: &str = "the audit log cannot be read or written";
