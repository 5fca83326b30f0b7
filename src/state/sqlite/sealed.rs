//! Originals that are sealed at rest: the key they are sealed with, the marks that values are known by,
//! and the change of a map from plain to sealed. Opening is for whoever holds the private key.

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, Transaction};
use sha2::{Digest, Sha256};
use std::sync::Arc;

use super::tokens::WHAT;
use super::{Sqlite, signed};
use crate::error::{Code, Context, Error, Result};
use crate::keys::KeyRing;
use crate::keys::originals::{Public, Sealer};
use crate::state::SealedOriginals;

/// How the values of one scope are known again.
///
/// PRIVACY: SHA-256 of a user name is found by trying names. Where originals are sealed, a value is
/// known by a keyed hash, and the key is not in the state.
pub(super) enum Marks {
    /// SHA-256 of the value.
    Plain,
    /// A keyed hash of scope and value.
    Keyed {
        /// With the scope already in it.
        mac: Hmac<Sha256>,
        /// What new originals are sealed with.
        public: Public,
    },
}

impl Marks {
    /// As the state says now.
    ///
    /// # Errors
    /// [`Code::Keys`] where originals are sealed and the master key is missing or another one: a value
    /// that is not known again would get a second number.
    pub(super) fn load(
        connection: &Connection,
        ring: Option<&Arc<KeyRing>>,
        scope: &str,
    ) -> Result<Self> {
        let Some(sealing) = Sealing::load(connection)? else { return Ok(Self::Plain) };
        let ring = ring.ok_or_else(|| {
            Error::new(
                Code::Keys,
                "originals of tokens are sealed, and the master key is not at hand",
            )
        })?;
        let key = ring.derive::<32>(sealing.epoch, &FINGERPRINT)?;
        if !bool::from(subtle::ConstantTimeEq::ct_eq(&proof(key.expose())?[..], &sealing.proof[..]))
        {
            return Err(Error::new(
                Code::Keys,
                "originals of tokens were sealed under another master key; with this one their numbers \
                 cannot be found again",
            ));
        }
        let mac = hmac(key.expose())?.chain_update(framed(scope));
        Ok(Self::Keyed { mac, public: sealing.public })
    }

    /// The mark that a value is written with.
    pub(super) fn of(&self, value: &str) -> [u8; 32] {
        match self {
            Self::Plain => plain(value),
            Self::Keyed { mac, .. } => {
                mac.clone().chain_update(value.as_bytes()).finalize().into_bytes().into()
            }
        }
    }

    /// The mark that a value may have been written with before.
    pub(super) fn older(&self, value: &str) -> Option<[u8; 32]> {
        matches!(self, Self::Keyed { .. }).then(|| plain(value))
    }

    /// What new originals are sealed with, where they are.
    pub(super) const fn public(&self) -> Option<&Public> {
        match self {
            Self::Plain => None,
            Self::Keyed { public, .. } => Some(public),
        }
    }
}

fn plain(value: &str) -> [u8; 32] {
    Sha256::digest(value.as_bytes()).into()
}

/// The batch that originals of one transaction are sealed in, once there is one.
#[derive(Default)]
pub(super) struct Seals(Option<(i64, Sealer)>);

impl Seals {
    /// Seals an original; returns batch, place and what to keep.
    pub(super) fn seal(
        &mut self,
        connection: &Connection,
        public: &Public,
        scope: &str,
        number: u64,
        original: &str,
    ) -> Result<(i64, u64, Vec<u8>)> {
        if self.0.is_none() {
            let sealer = Sealer::new(public)?;
            connection
                .execute(
                    "INSERT INTO token_batch (encapsulated) VALUES (?1)",
                    [sealer.encapsulated()],
                )
                .context(Code::State, failed)?;
            self.0 = Some((connection.last_insert_rowid(), sealer));
        }
        let Some((batch, sealer)) = &mut self.0 else {
            return Err(Error::new(Code::Internal, "there is no batch to seal in"));
        };
        let (batch, (place, sealed)) = (*batch, sealer.seal(&label(scope, number), original)?);
        if place + 1 == PLACES_MAX {
            self.0 = None;
        }
        Ok((batch, place, sealed))
    }
}

/// Whose an original is, so that it cannot be put in another's place.
pub(super) fn label(scope: &str, number: u64) -> Vec<u8> {
    let mut label = framed(scope);
    label.extend_from_slice(&number.to_be_bytes());
    label
}

/// A text with its length before it, so that nothing that follows can run into it.
fn framed(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// What the state knows of sealing.
struct Sealing {
    public: Public,
    epoch: u32,
    proof: [u8; 32],
}

impl Sealing {
    fn load(connection: &Connection) -> Result<Option<Self>> {
        connection
            .prepare_cached("SELECT public, epoch, proof FROM originals_key")
            .and_then(|mut statement| {
                statement
                    .query_row([], |row| {
                        Ok(Self {
                            public: Public(row.get(0)?),
                            epoch: row.get(1)?,
                            proof: row.get(2)?,
                        })
                    })
                    .optional()
            })
            .context(Code::State, failed)
    }
}

/// The public key in use.
pub(super) fn public(state: &Sqlite) -> Result<Option<Public>> {
    state.read(WHAT, |connection| Ok(Sealing::load(connection)?.map(|sealing| sealing.public)))
}

/// Seals originals with this key from now on. Returns `false`, and changes nothing, where there is a key.
pub(super) fn set_public(state: &Sqlite, public: &Public, ring: &KeyRing) -> Result<bool> {
    let epoch = ring.newest();
    let key = ring.derive::<32>(epoch, &FINGERPRINT)?;
    // A key that nothing can be sealed with is refused before it is kept.
    Sealer::new(public)?;
    let now_seconds = state.clock.now_seconds();
    state.write(WHAT, |transaction| {
        transaction
            .execute(
                "INSERT INTO originals_key VALUES (1, ?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                (public.0, epoch, proof(key.expose())?, now_seconds),
            )
            .map(|rows| rows == 1)
            .context(Code::State, failed)
    })
}

/// Seals all originals that lie plain, scope by scope, and clears what is left of them in the file.
pub(super) fn seal_all(state: &Sqlite) -> Result<SealedOriginals> {
    if public(state)?.is_none() {
        return Err(Error::new(Code::Usage, "there is no key to seal originals with"));
    }
    let scopes: Vec<(i64, String)> = state.read(WHAT, |connection| {
        connection
            .prepare("SELECT id, name FROM token_scope ORDER BY id")
            .and_then(|mut statement| {
                statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .context(Code::State, failed)
    })?;
    let mut sealed = 0;
    for (scope_id, scope) in scopes {
        // One transaction a scope: after a crash the next run goes on with what is left.
        sealed += state.write(WHAT, |transaction| {
            let marks = Marks::load(transaction, state.ring.get(), &scope)?;
            seal_scope(transaction, scope_id, &scope, &marks)
        })?;
    }
    Ok(SealedOriginals { sealed, cleared: state.clear_free_pages()? })
}

fn seal_scope(
    transaction: &Transaction<'_>,
    scope_id: i64,
    scope: &str,
    marks: &Marks,
) -> Result<u64> {
    let Some(public) = marks.public() else {
        return Err(Error::new(Code::Internal, "the key to seal originals with is gone"));
    };
    let plain: Vec<(i64, String)> = transaction
        .prepare_cached(
            "SELECT number, original FROM token
             WHERE scope_id = ?1 AND original IS NOT NULL ORDER BY number",
        )
        .and_then(|mut statement| {
            statement.query_map([scope_id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
        .context(Code::State, failed)?;
    let mut update = transaction
        .prepare_cached(
            "UPDATE token SET fingerprint = ?3, original = NULL, batch_id = ?4, place = ?5, sealed = ?6
             WHERE scope_id = ?1 AND number = ?2",
        )
        .context(Code::State, failed)?;
    let mut seals = Seals::default();
    for (number, original) in &plain {
        let unsigned = u64::try_from(*number).context(Code::State, failed)?;
        let (batch, place, sealed) = seals.seal(transaction, public, scope, unsigned, original)?;
        update
            .execute((scope_id, number, marks.of(original), batch, signed(place)?, sealed))
            .context(Code::State, failed)?;
    }
    Ok(plain.len() as u64)
}

/// Tells the right master key from another without telling anything of it.
fn proof(key: &[u8; 32]) -> Result<[u8; 32]> {
    Ok(hmac(key)?.chain_update(b"veilflight/originals/proof").finalize().into_bytes().into())
}

fn hmac(key: &[u8; 32]) -> Result<Hmac<Sha256>> {
    Hmac::new_from_slice(key)
        .map_err(|_| Error::new(Code::Internal, "a key of 32 bytes was refused"))
}

fn failed() -> String {
    WHAT.to_owned()
}

/// The scheme that marks derive by.
const FINGERPRINT: [&str; 1] = ["token-fingerprint"];

/// Originals that are sealed together at most: to open one, those before it are opened too.
const PLACES_MAX: u64 = 1 << 16;
