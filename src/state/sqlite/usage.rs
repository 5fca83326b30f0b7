//! What partners took a day, in SQLite. How much they may take is not known here: that is for
//! `budget/`.

use chrono::NaiveDate;
use rusqlite::{OptionalExtension, Row, Transaction};

use super::{Sqlite, signed, unsigned};
use crate::error::{Code, Context, Result};
use crate::state::{Amount, Claim, Usage};

/// INVARIANT: amounts are read, changed and written under the write lock in one transaction, so that no
/// thread or process claims what another one has.
pub(super) fn claim(
    state: &Sqlite,
    partner: &str,
    today: NaiveDate,
    counters: &[Option<&str>],
    claim: &mut Claim<'_>,
) -> Result<NaiveDate> {
    state.write(WHAT, |transaction| {
        let latest = transaction
            .prepare_cached("SELECT max(day) FROM usage WHERE partner = ?1")
            .and_then(|mut statement| {
                statement.query_row([partner], |row| row.get::<_, Option<String>>(0))
            })
            .context(Code::State, failed)?;
        let latest = latest.map(|day| day.parse::<NaiveDate>()).transpose();
        let day = latest.context(Code::State, failed)?.map_or(today, |latest| latest.max(today));
        let mut amounts = counters
            .iter()
            .map(|counter| find(transaction, partner, day, counter.unwrap_or_default()))
            .collect::<Result<Vec<_>>>()?;
        claim(day, &mut amounts)?;
        for (counter, amount) in counters.iter().zip(amounts) {
            put(transaction, partner, day, counter.unwrap_or_default(), amount)?;
        }
        Ok(day)
    })
}

pub(super) fn give_back(
    state: &Sqlite,
    partner: &str,
    day: NaiveDate,
    amounts: &[(Option<String>, Amount)],
) -> Result<()> {
    state.write(WHAT, |transaction| {
        let mut less = transaction
            .prepare_cached(
                "UPDATE usage SET rows = max(rows - ?4, 0), bytes = max(bytes - ?5, 0)
                 WHERE partner = ?1 AND day = ?2 AND dataset = ?3",
            )
            .context(Code::State, failed)?;
        amounts.iter().try_for_each(|(counter, amount)| {
            let counter = counter.as_deref().unwrap_or_default();
            let (rows, bytes) = (signed(amount.rows)?, signed(amount.bytes)?);
            less.execute((partner, text(day), counter, rows, bytes))
                .context(Code::State, failed)
                .map(drop)
        })
    })
}

pub(super) fn list(state: &Sqlite, partner: Option<&str>, since: NaiveDate) -> Result<Vec<Usage>> {
    state.read(WHAT, |connection| {
        connection
            .prepare_cached(
                "SELECT partner, day, dataset, rows, bytes FROM usage
                 WHERE (?1 IS NULL OR partner = ?1) AND day >= ?2
                 ORDER BY day, partner, dataset",
            )
            .and_then(|mut statement| statement.query_map((partner, text(since)), usage)?.collect())
            .context(Code::State, failed)
    })
}

pub(super) fn forget(state: &Sqlite, partner: &str) -> Result<()> {
    state.write(WHAT, |transaction| {
        transaction
            .execute("DELETE FROM usage WHERE partner = ?1", [partner])
            .context(Code::State, failed)
            .map(drop)
    })
}

fn find(
    transaction: &Transaction<'_>,
    partner: &str,
    day: NaiveDate,
    counter: &str,
) -> Result<Amount> {
    transaction
        .prepare_cached(
            "SELECT rows, bytes FROM usage WHERE partner = ?1 AND day = ?2 AND dataset = ?3",
        )
        .and_then(|mut statement| {
            statement
                .query_row((partner, text(day), counter), |row| {
                    Ok(Amount { rows: unsigned(row, 0)?, bytes: unsigned(row, 1)? })
                })
                .optional()
        })
        .context(Code::State, failed)
        .map(Option::unwrap_or_default)
}

fn put(
    transaction: &Transaction<'_>,
    partner: &str,
    day: NaiveDate,
    counter: &str,
    amount: Amount,
) -> Result<()> {
    let (rows, bytes) = (signed(amount.rows)?, signed(amount.bytes)?);
    transaction
        .prepare_cached("INSERT OR REPLACE INTO usage VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut statement| statement.execute((partner, text(day), counter, rows, bytes)))
        .context(Code::State, failed)
        .map(drop)
}

fn usage(row: &Row<'_>) -> rusqlite::Result<Usage> {
    let (day, dataset): (String, String) = (row.get(1)?, row.get(2)?);
    let day = day.parse().map_err(|cause| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(cause))
    })?;
    Ok(Usage {
        partner: row.get(0)?,
        day,
        dataset: Some(dataset).filter(|dataset| !dataset.is_empty()),
        amount: Amount { rows: unsigned(row, 3)?, bytes: unsigned(row, 4)? },
    })
}

/// A day as it is stored, so that days sort as texts.
fn text(day: NaiveDate) -> String {
    day.format("%Y-%m-%d").to_string()
}

fn failed() -> String {
    WHAT.to_owned()
}

/// What is being done, for errors.
const WHAT: &str = "what was taken today cannot be read or written";
