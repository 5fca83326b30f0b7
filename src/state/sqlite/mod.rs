//! State in one SQLite file: opening it with the right modes and pragmas, migrations, and connections.
//! Several processes on one machine may share the file; several machines may not (a network file
//! system does not lock well enough), they need the other store.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chrono::NaiveDate;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::{
    Amount, AuditHead, AuditRow, Claim, Clash, Compose, Decide, Imported, Kept, NewToken,
    PartnerRecord, PrivacyAccount, PrivacyEntry, PrivacyState, ScopeRecord, SealedOriginals, Store,
    Tell, TokenRecord, Usage,
};
use crate::clock::Clock;
use crate::error::{Code, Context, Error, Result};
use crate::keys::KeyRing;
use crate::keys::originals::{Private, Public};
use crate::pipeline::transform::{Counted, TokenMap};

mod audit;
mod partners;
mod privacy;
mod rotation;
mod sealed;
mod tokens;
mod usage;

/// The state in a SQLite file.
///
/// One connection writes, so that threads wait for each other here and not in SQLite's polling; reads
/// take a connection from a small pool and never wait for a writer (write-ahead log).
#[derive(Debug)]
pub struct Sqlite {
    /// `None` for a store in memory: then the writer reads too.
    path: Option<PathBuf>,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    clock: Arc<dyn Clock>,
    /// Needed once originals are sealed.
    ring: OnceLock<Arc<KeyRing>>,
}

impl Sqlite {
    /// Opens the state file, and makes it first where there is none: the folder with mode 0700, the
    /// file with mode 0600. Migrates it to this version.
    ///
    /// # Errors
    /// [`Code::State`] when the file cannot be made or read, is readable by others, is not ours, or was
    /// written by a newer version.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        create(path)?;
        let mut writer = connect(path)?;
        prepare_file(&writer).context(Code::State, || describe(path))?;
        migrate(&mut writer, &describe(path), clock.now_seconds())?;
        Ok(Self {
            path: Some(path.to_owned()),
            writer: Mutex::new(writer),
            readers: Mutex::default(),
            clock,
            ring: OnceLock::new(),
        })
    }

    /// State that is gone with the process, for trials and tests.
    ///
    /// # Errors
    /// [`Code::State`] when SQLite cannot start.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self> {
        let what = "the state in memory";
        let mut writer = Connection::open_in_memory().context(Code::State, || what.to_owned())?;
        prepare_connection(&writer).context(Code::State, || what.to_owned())?;
        migrate(&mut writer, what, clock.now_seconds())?;
        let (readers, ring) = (Mutex::default(), OnceLock::new());
        Ok(Self { path: None, writer: Mutex::new(writer), readers, clock, ring })
    }

    /// Runs `work` in a write transaction that starts by taking the write lock, and commits.
    fn write<T>(&self, what: &str, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = writer
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .context(Code::State, || what.to_owned())?;
        let value = work(&transaction)?;
        transaction.commit().context(Code::State, || what.to_owned())?;
        Ok(value)
    }

    /// Runs `work` in a read transaction: all it sees is from one moment.
    fn read<T>(&self, what: &str, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let Some(path) = &self.path else {
            return work(&self.writer.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = match pooled {
            Some(reader) => reader,
            None => connect(path)?,
        };
        let transaction =
            reader.unchecked_transaction().context(Code::State, || what.to_owned())?;
        let value = work(&transaction)?;
        transaction.finish().context(Code::State, || what.to_owned())?;
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_KEPT_MAX {
            readers.push(reader);
        }
        Ok(value)
    }
}

impl TokenMap for Sqlite {
    fn numbers(&self, scope: &str, values: &[&str]) -> Result<Vec<u64>> {
        tokens::numbers(self, scope, values)
    }

    fn count(&self, scope: &str, of: Counted<'_>, rows: &[(u64, u64)]) -> Result<()> {
        tokens::count(self, scope, of, rows)
    }

    fn give_keys(&self, ring: &Arc<KeyRing>) {
        // The first ones stay: a process has one ring.
        let _ = self.ring.set(Arc::clone(ring));
    }
}

impl Store for Sqlite {
    fn add_partner(&self, record: &PartnerRecord) -> Result<bool> {
        partners::add(self, record)
    }

    fn update_partner(
        &self,
        name: &str,
        change: &mut dyn FnMut(&mut PartnerRecord),
    ) -> Result<bool> {
        partners::update(self, name, change)
    }

    fn partner(&self, name: &str) -> Result<Option<PartnerRecord>> {
        partners::find(self, partners::By::Name(name))
    }

    fn partner_by_token(&self, token_hash: &[u8; 32]) -> Result<Option<PartnerRecord>> {
        partners::find(self, partners::By::Token(token_hash))
    }

    fn partner_by_certificate(&self, fingerprint: &[u8; 32]) -> Result<Option<PartnerRecord>> {
        partners::find(self, partners::By::Certificate(fingerprint))
    }

    fn partner_by_subject(&self, subject: &str) -> Result<Option<PartnerRecord>> {
        partners::find(self, partners::By::Subject(subject))
    }

    fn partners(&self) -> Result<Vec<PartnerRecord>> {
        partners::all(self)
    }

    fn tokens(
        &self,
        scope: &str,
        only: Option<u64>,
        key: Option<&Private>,
    ) -> Result<Vec<TokenRecord>> {
        tokens::list(self, scope, only, key)
    }

    fn token_scopes(&self) -> Result<Vec<ScopeRecord>> {
        tokens::scopes(self)
    }

    fn import_tokens(
        &self,
        scope: &str,
        tokens: &[NewToken],
        last: u64,
    ) -> Result<Result<Imported, Vec<Clash>>> {
        tokens::import(self, scope, tokens, last)
    }

    fn originals_key(&self) -> Result<Option<Public>> {
        sealed::public(self)
    }

    fn set_originals_key(&self, public: &Public, ring: &Arc<KeyRing>) -> Result<bool> {
        self.give_keys(ring);
        sealed::set_public(self, public, ring)
    }

    fn seal_originals(&self) -> Result<SealedOriginals> {
        sealed::seal_all(self)
    }

    fn rotate_originals(&self, old: &Private, new: &Public) -> Result<SealedOriginals> {
        rotation::rotate(self, old, new)
    }

    fn clear(&self) -> Result<bool> {
        self.clear_free_pages()
    }

    fn audit_append(&self, compose: &mut Compose<'_>) -> Result<()> {
        audit::append(self, compose)
    }

    fn audit_read(
        &self,
        visit: &mut dyn FnMut(AuditRow) -> Result<()>,
    ) -> Result<Option<AuditHead>> {
        audit::read(self, visit)
    }

    fn audit_all(&self, visit: &mut dyn FnMut(Kept) -> Result<()>) -> Result<Option<AuditHead>> {
        self.read("the audit log and the account book cannot be read", |connection| {
            let head = audit::each(connection, &mut |row| visit(Kept::Record(row)))?;
            privacy::each(connection, None, None, &mut |entry| visit(Kept::Entry(entry)))?;
            privacy::each_sums(connection, visit)?;
            Ok(head)
        })
    }

    fn audit_unclosed(&self) -> Result<Vec<AuditRow>> {
        audit::unclosed(self)
    }

    fn claim_usage(
        &self,
        partner: &str,
        today: NaiveDate,
        counters: &[Option<&str>],
        claim: &mut Claim<'_>,
    ) -> Result<NaiveDate> {
        usage::claim(self, partner, today, counters, claim)
    }

    fn return_usage(
        &self,
        partner: &str,
        day: NaiveDate,
        amounts: &[(Option<String>, Amount)],
    ) -> Result<()> {
        usage::give_back(self, partner, day, amounts)
    }

    fn usage(&self, partner: Option<&str>, since: NaiveDate) -> Result<Vec<Usage>> {
        usage::list(self, partner, since)
    }

    fn forget_usage(&self, partner: &str) -> Result<()> {
        usage::forget(self, partner)
    }

    fn privacy_append(
        &self,
        account: PrivacyAccount<'_>,
        question: Option<&str>,
        at_seconds: i64,
        decide: &mut Decide<'_>,
        tell: &mut Tell<'_>,
    ) -> Result<u64> {
        privacy::append(self, account, (question, at_seconds), decide, tell)
    }

    fn privacy_keep(&self, entry: u64, answer: &[u8]) -> Result<()> {
        privacy::keep(self, entry, answer)
    }

    fn privacy_answer(
        &self,
        account: PrivacyAccount<'_>,
        question: &str,
    ) -> Result<Option<Vec<u8>>> {
        privacy::answer(self, account, question)
    }

    fn privacy_sums(&self, account: PrivacyAccount<'_>) -> Result<PrivacyState> {
        privacy::sums(self, account)
    }

    fn privacy_entries(
        &self,
        partner: Option<&str>,
        dataset: Option<&str>,
        visit: &mut dyn FnMut(PrivacyEntry) -> Result<()>,
    ) -> Result<()> {
        privacy::entries(self, partner, dataset, visit)
    }
}

impl Sqlite {
    /// Writes the file anew without what was deleted, and empties the write-ahead log. Returns `false`
    /// where another process was reading, so that some of it may still be in the log.
    fn clear_free_pages(&self) -> Result<bool> {
        let failed = || "what was deleted cannot be cleared from the state".to_owned();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Readers of this process that are idle would hold old pages.
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        writer.execute_batch("VACUUM").context(Code::State, failed)?;
        if self.path.is_none() {
            return Ok(true);
        }
        writer
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
            .map(|busy| busy == 0)
            .context(Code::State, failed)
    }
}

/// Makes folder and file with tight modes, or checks those that are there.
fn create(path: &Path) -> Result<()> {
    let failed = || format!("{} cannot be made", describe(path));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        if !folder.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .context(Code::State, failed)?;
        }
        let mode = fs::metadata(folder).context(Code::State, failed)?.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(Error::new(
                Code::State,
                format!(
                    "others may write to the folder of the state (mode {mode:04o}); run `chmod 700 {}`",
                    folder.display()
                ),
            ));
        }
        if mode & 0o055 != 0 {
            tracing::warn!(
                folder = %folder.display(),
                "others may list the folder of the state; `chmod 700` closes it"
            );
        }
    }
    // SQLite gives its journal files the mode of the main file, so this decides for all of them.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(()),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(Error::new(Code::State, failed()).because(cause)),
    }
    let about = fs::metadata(path).context(Code::State, || describe(path))?;
    if !about.is_file() {
        return Err(Error::new(Code::State, format!("{} is not a file", describe(path))));
    }
    let mode = about.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Error::new(
            Code::State,
            format!(
                "{} is open to others (mode {mode:04o}); run `chmod 600 {}`",
                describe(path),
                path.display()
            ),
        ));
    }
    Ok(())
}

fn describe(path: &Path) -> String {
    format!("the state file `{}`", path.display())
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection =
        Connection::open_with_flags(path, flags).context(Code::State, || describe(path))?;
    prepare_connection(&connection).context(Code::State, || describe(path))?;
    Ok(connection)
}

/// What each connection needs. Temporary tables stay in memory: originals must not land in `/tmp`.
fn prepare_connection(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // What is deleted or replaced is overwritten: originals that are sealed must not stay beside it.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// What the file needs once. Asking first keeps a second process from needing the lock.
fn prepare_file(connection: &Connection) -> rusqlite::Result<()> {
    let journal = |connection: &Connection| -> rusqlite::Result<String> {
        connection.pragma_query_value(None, "journal_mode", |row| row.get(0))
    };
    if journal(connection)? != "wal" {
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    }
    Ok(())
}

/// Brings the schema to the newest version, in one transaction.
fn migrate(connection: &mut Connection, what: &str, now_seconds: i64) -> Result<()> {
    migrate_to(connection, what, now_seconds, MIGRATIONS)
}

/// [`migrate`], up to the last of these steps.
fn migrate_to(
    connection: &mut Connection,
    what: &str,
    now_seconds: i64,
    steps: &[(i64, &str)],
) -> Result<()> {
    let failed = || format!("{what} cannot be migrated");
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .context(Code::State, failed)?;
    let number = |sql: &str| transaction.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application =
        number("SELECT application_id FROM pragma_application_id").context(Code::State, failed)?;
    if application != APPLICATION_ID {
        let tables = number("SELECT count(*) FROM sqlite_schema").context(Code::State, failed)?;
        if application != 0 || tables != 0 {
            return Err(Error::new(Code::State, format!("{what} is the file of another program")));
        }
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .context(Code::State, failed)?;
        transaction
            .execute_batch(
                "CREATE TABLE schema_migrations (
                     version INTEGER PRIMARY KEY, applied_seconds INTEGER NOT NULL
                 ) STRICT",
            )
            .context(Code::State, failed)?;
    }
    let version = number("SELECT coalesce(max(version), 0) FROM schema_migrations")
        .context(Code::State, failed)?;
    let newest = steps.last().map_or(0, |(version, _)| *version);
    if version > newest {
        return Err(Error::new(
            Code::State,
            format!(
                "{what} has schema version {version}, this program knows {newest}: \
                 it was written by a newer version"
            ),
        ));
    }
    for (number, sql) in steps.iter().filter(|(number, _)| *number > version) {
        transaction.execute_batch(sql).context(Code::State, failed)?;
        transaction
            .execute("INSERT INTO schema_migrations VALUES (?1, ?2)", (number, now_seconds))
            .context(Code::State, failed)?;
    }
    transaction.commit().context(Code::State, failed)
}

/// Reads a count or number that the schema keeps at zero or above.
fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// An unsigned number as SQLite stores it.
fn signed(value: u64) -> Result<i64> {
    i64::try_from(value).context(Code::State, || "a number is too large for the state".to_owned())
}

/// The numbered steps of the schema. Never edited after a release; a change is a new step.
const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("migrations/0001.sql")),
    (2, include_str!("migrations/0002.sql")),
    (3, include_str!("migrations/0003.sql")),
    (4, include_str!("migrations/0004.sql")),
    (5, include_str!("migrations/0005.sql")),
];

/// How long a writer waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// "VEIL": marks the file as ours.
const APPLICATION_ID: i64 = 0x5645_494c;

/// How many idle read connections are kept.
const READERS_KEPT_MAX: usize = 8;

#[cfg(test)]
mod tests;
