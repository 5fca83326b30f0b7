//! Privacy losses in SQLite: entries, their sums, and answers. What may be spent is not known here: that is
//! for `budget/`.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::{Sqlite, audit, signed, unsigned};
use crate::error::{Code, Context, Error, Result};
use crate::policy::decimal::Decimal;
use crate::policy::privacy::{Accounting, Loss};
use crate::state::{
    Decide, Kept, Link, NO_LINK, NewPrivacyEntry, PrivacyAccount, PrivacyEntry, PrivacyState,
    PrivacySums, Tell,
};

/// INVARIANT: the sums are read, the entry decided and written, its record added to the audit log, and the sums
/// written again under the write lock in one transaction, so that no thread or process spends what another one
/// spent, and there is no entry without its record.
pub(super) fn append(
    state: &Sqlite,
    account: PrivacyAccount<'_>,
    (question, at_seconds): (Option<&str>, i64),
    decide: &mut Decide<'_>,
    tell: &mut Tell<'_>,
) -> Result<u64> {
    state.write(WHAT, |transaction| {
        let answered = match question {
            Some(question) => find(transaction, account, question)?.is_some(),
            None => false,
        };
        let before = PrivacyState { answered, ..both(transaction, account)? };
        let what = decide(&before)?;
        let more = PrivacySums::of(&what);
        let (last, previous) = last(transaction)?;
        let entry = PrivacyEntry {
            number: last + 1,
            at_seconds,
            partner: account.partner.to_owned(),
            dataset: account.dataset.to_owned(),
            question: question.map(str::to_owned),
            answered: false,
            what,
        };
        let link = entry.link(&previous);
        insert(transaction, &entry, &link)?;
        put(transaction, account, &before.own.and(more).ok_or_else(too_large)?)?;
        // Sums that cannot be made any more would stop every later entry of other partners as well.
        before.all.and(more).ok_or_else(too_large)?;
        audit::add(transaction, &mut |head| tell(&entry, &link, head))?;
        Ok(entry.number)
    })
}

/// The last entry's number and link. Entries of before there were links are walked through, once.
fn last(connection: &Connection) -> Result<(u64, Link)> {
    let found: Option<(u64, Option<Link>)> = connection
        .prepare_cached("SELECT number, link FROM privacy_entry ORDER BY number DESC LIMIT 1")
        .and_then(|mut statement| {
            statement.query_row([], |row| Ok((unsigned(row, 0)?, row.get(1)?))).optional()
        })
        .context(Code::State, failed)?;
    match found {
        None => Ok((0, NO_LINK)),
        Some((number, Some(link))) => Ok((number, link)),
        Some((number, None)) => {
            let mut link = NO_LINK;
            each(connection, None, None, &mut |entry| {
                link = entry.link(&link);
                Ok(())
            })?;
            Ok((number, link))
        }
    }
}

pub(super) fn keep(state: &Sqlite, entry: u64, answer: &[u8]) -> Result<()> {
    let number = signed(entry)?;
    state.write(WHAT, |transaction| {
        let kept = transaction
            .execute(
                "INSERT INTO privacy_answer (entry, dataset, partner, question, answer)
                 SELECT number, dataset, partner, question, ?2 FROM privacy_entry
                 WHERE number = ?1 AND kind = 'spend'",
                (number, answer),
            )
            .context(Code::State, failed)?;
        if kept == 1 {
            Ok(())
        } else {
            Err(Error::new(Code::State, "nothing was spent for this answer"))
        }
    })
}

pub(super) fn answer(
    state: &Sqlite,
    account: PrivacyAccount<'_>,
    question: &str,
) -> Result<Option<Vec<u8>>> {
    state.read(WHAT, |connection| {
        let Some(id) = find(connection, account, question)? else { return Ok(None) };
        connection
            .query_row("SELECT answer FROM privacy_answer WHERE id = ?1", [id], |row| row.get(0))
            .map(Some)
            .context(Code::State, failed)
    })
}

pub(super) fn sums(state: &Sqlite, account: PrivacyAccount<'_>) -> Result<PrivacyState> {
    state.read(WHAT, |connection| both(connection, account))
}

pub(super) fn entries(
    state: &Sqlite,
    partner: Option<&str>,
    dataset: Option<&str>,
    visit: &mut dyn FnMut(PrivacyEntry) -> Result<()>,
) -> Result<()> {
    state.read(WHAT, |connection| each(connection, partner, dataset, visit))
}

pub(super) fn each(
    connection: &Connection,
    partner: Option<&str>,
    dataset: Option<&str>,
    visit: &mut dyn FnMut(PrivacyEntry) -> Result<()>,
) -> Result<()> {
    let mut statement = connection
            .prepare_cached(
                "SELECT number, at_seconds, e.partner, e.dataset, kind, accounting, epsilon, rho, delta,
                        e.question, canonical, reason, a.id IS NOT NULL
                 FROM privacy_entry e LEFT JOIN privacy_answer a ON a.entry = e.number
                 WHERE (?1 IS NULL OR e.partner = ?1) AND (?2 IS NULL OR e.dataset = ?2)
                 ORDER BY number",
            )
            .context(Code::State, failed)?;
    let mut rows = statement.query((partner, dataset)).context(Code::State, failed)?;
    while let Some(row) = rows.next().context(Code::State, failed)? {
        visit(entry(row).context(Code::State, failed)?)?;
    }
    Ok(())
}

pub(super) fn each_sums(
    connection: &Connection,
    visit: &mut dyn FnMut(Kept) -> Result<()>,
) -> Result<()> {
    let mut statement = connection
        .prepare_cached(
            "SELECT partner, epsilon, rho, delta, zcdp, granted_epsilon, granted_delta, dataset
             FROM privacy_sum ORDER BY dataset, partner",
        )
        .context(Code::State, failed)?;
    let mut rows = statement.query([]).context(Code::State, failed)?;
    while let Some(row) = rows.next().context(Code::State, failed)? {
        let read = |row: &Row<'_>| -> rusqlite::Result<Kept> {
            Ok(Kept::Sums { dataset: row.get(7)?, partner: row.get(0)?, sums: read_sums(row)? })
        };
        visit(read(row).context(Code::State, failed)?)?;
    }
    Ok(())
}

/// The number of the first answer to a question.
fn find(
    connection: &Connection,
    account: PrivacyAccount<'_>,
    question: &str,
) -> Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT id FROM privacy_answer
             WHERE dataset = ?1 AND partner = ?2 AND question = ?3 ORDER BY id LIMIT 1",
        )
        .and_then(|mut statement| {
            statement
                .query_row((account.dataset, account.partner, question), |row| row.get(0))
                .optional()
        })
        .context(Code::State, failed)
}

/// The sums of a partner and of all partners.
fn both(connection: &Connection, account: PrivacyAccount<'_>) -> Result<PrivacyState> {
    let mut found =
        PrivacyState { own: PrivacySums::default(), all: PrivacySums::default(), answered: false };
    let mut statement = connection
        .prepare_cached(
            "SELECT partner, epsilon, rho, delta, zcdp, granted_epsilon, granted_delta
             FROM privacy_sum WHERE dataset = ?1",
        )
        .context(Code::State, failed)?;
    let mut rows = statement.query([account.dataset]).context(Code::State, failed)?;
    while let Some(row) = rows.next().context(Code::State, failed)? {
        let (partner, sums) = row
            .get::<_, String>(0)
            .and_then(|partner| Ok((partner, read_sums(row)?)))
            .context(Code::State, failed)?;
        found.all = found.all.and(sums).ok_or_else(too_large)?;
        if partner == account.partner {
            found.own = sums;
        }
    }
    Ok(found)
}

fn insert(transaction: &Transaction<'_>, entry: &PrivacyEntry, link: &Link) -> Result<()> {
    let (loss, accounting, rho, canonical, reason) = match &entry.what {
        NewPrivacyEntry::Spend { accounting, loss, rho, canonical } => {
            (loss, Some(accounting), Some(rho.to_string()), Some(canonical), None)
        }
        NewPrivacyEntry::Grant { loss, reason } => (loss, None, None, None, Some(reason)),
    };
    let kind = if reason.is_some() { "grant" } else { "spend" };
    let number = signed(entry.number)?;
    transaction
        .prepare_cached(
            "INSERT INTO privacy_entry (number, at_seconds, partner, dataset, kind, accounting, epsilon,
                 rho, delta, question, canonical, reason, link)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )
        .and_then(|mut statement| {
            statement.execute(rusqlite::params![
                number,
                entry.at_seconds,
                entry.partner,
                entry.dataset,
                kind,
                accounting.map(|accounting| accounting.as_str()),
                loss.epsilon.to_string(),
                rho,
                loss.delta.to_string(),
                entry.question,
                canonical,
                reason,
                link,
            ])
        })
        .context(Code::State, failed)
        .map(drop)
}

fn put(
    transaction: &Transaction<'_>,
    account: PrivacyAccount<'_>,
    sums: &PrivacySums,
) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO privacy_sum VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .context(Code::State, failed)?
        .execute((
            account.dataset,
            account.partner,
            sums.spent.epsilon.to_string(),
            sums.rho.to_string(),
            sums.spent.delta.to_string(),
            signed(sums.zcdp)?,
            sums.granted.epsilon.to_string(),
            sums.granted.delta.to_string(),
        ))
        .context(Code::State, failed)
        .map(drop)
}

fn read_sums(row: &Row<'_>) -> rusqlite::Result<PrivacySums> {
    Ok(PrivacySums {
        spent: Loss { epsilon: decimal(row, 1)?, delta: decimal(row, 3)? },
        rho: decimal(row, 2)?,
        zcdp: unsigned(row, 4)?,
        granted: Loss { epsilon: decimal(row, 5)?, delta: decimal(row, 6)? },
    })
}

fn entry(row: &Row<'_>) -> rusqlite::Result<PrivacyEntry> {
    let loss = Loss { epsilon: decimal(row, 6)?, delta: decimal(row, 8)? };
    let what = match row.get::<_, Option<String>>(11)? {
        Some(reason) => NewPrivacyEntry::Grant { loss, reason },
        None => NewPrivacyEntry::Spend {
            accounting: match row.get::<_, String>(5)?.as_str() {
                "zcdp" => Accounting::Zcdp,
                _ => Accounting::Pure,
            },
            loss,
            rho: decimal(row, 7)?,
            canonical: row.get(10)?,
        },
    };
    Ok(PrivacyEntry {
        number: unsigned(row, 0)?,
        at_seconds: row.get(1)?,
        partner: row.get(2)?,
        dataset: row.get(3)?,
        question: row.get(9)?,
        answered: row.get(12)?,
        what,
    })
}

/// A decimal as it is stored. What is none stops everything: a sum that cannot be read is not nothing.
fn decimal(row: &Row<'_>, column: usize) -> rusqlite::Result<Decimal> {
    row.get::<_, String>(column)?.parse().map_err(|cause| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(cause),
        )
    })
}

fn too_large() -> Error {
    Error::new(Code::State, "the sum of privacy losses is larger than is counted")
}

fn failed() -> String {
    WHAT.to_owned()
}

/// What is being done, for errors.
const WHAT: &str = "the account book of privacy losses cannot be read or written";
