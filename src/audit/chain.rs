//! The chain: how a record is tied to the one before, and how both are sealed with a key. It does not
//! write and does not judge; see [`super::verify`] for that.
//!
//! The hash of a record is SHA-256 over the hash before it and the record's text, so that a change
//! anywhere breaks every later link. The mac is HMAC-SHA-256 over the hash, with a key that the state
//! file does not hold, so that someone who can edit the file cannot recompute the chain. The head holds
//! the number and hash of the last record under a second key, so that a log cut at its end does not
//! pass for a shorter one.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::record::{Event, Record, time_text};
use crate::error::{Code, Error, Result};
use crate::keys::KeyRing;
use crate::state::{AuditHead, AuditRow};

/// The hash before the first record.
pub(super) const GENESIS: [u8; 32] = [0; 32];

/// The row and head that follow `head`.
///
/// # Errors
/// [`Code::State`] when the head is not authentic: nothing is added to a log that was tampered with,
/// because the new head would cover the traces.
pub(super) fn follow(
    ring: &KeyRing,
    head: Option<&AuditHead>,
    now_micros: i64,
    event: Event,
) -> Result<(AuditRow, AuditHead)> {
    if let Some(head) = head
        && !head_is_authentic(ring, head)?
    {
        return Err(Error::new(
            Code::State,
            "the head of the audit log is not authentic; run `veilflight audit verify`",
        ));
    }
    let (seq, previous) = head.map_or((1, GENESIS), |head| (head.seq + 1, head.hash));
    let epoch = ring.newest();
    let (opens, closes) = links(&event);
    let (version, time) = (event.version(), time_text(now_micros));
    let record = Record { seq, previous: hex(&previous), epoch, version, time, event };
    let body = record.to_body()?;
    let hash = link(&previous, &body);
    let mac = record_mac(ring, epoch, &hash)?.finalize().into_bytes().into();
    let head_mac = head_mac(ring, epoch, seq, &hash)?.finalize().into_bytes().into();
    Ok((
        AuditRow { seq, opens, closes, body, hash, mac },
        AuditHead { seq, hash, epoch, mac: head_mac },
    ))
}

/// The hash of a record.
pub(super) fn link(previous: &[u8; 32], body: &str) -> [u8; 32] {
    Sha256::new().chain_update(previous).chain_update(body).finalize().into()
}

/// Whether the state's columns beside the body may be closed, and what they close.
pub(super) fn links(event: &Event) -> (bool, Option<u64>) {
    match event {
        Event::Close(close) => (false, Some(close.opened)),
        Event::Open(_) => (true, None),
        Event::Book(_) | Event::Refuse(_) => (false, None),
    }
}

/// Whether the mac of a row was made with the key of `epoch` for this hash.
///
/// # Errors
/// [`Code::Keys`] when the ring has no such epoch.
pub(super) fn row_is_authentic(ring: &KeyRing, epoch: u32, row: &AuditRow) -> Result<bool> {
    Ok(record_mac(ring, epoch, &row.hash)?.verify_slice(&row.mac).is_ok())
}

/// Whether the head was made with a key of the ring.
///
/// # Errors
/// [`Code::Keys`] when the ring has no such epoch.
pub(super) fn head_is_authentic(ring: &KeyRing, head: &AuditHead) -> Result<bool> {
    Ok(head_mac(ring, head.epoch, head.seq, &head.hash)?.verify_slice(&head.mac).is_ok())
}

fn record_mac(ring: &KeyRing, epoch: u32, hash: &[u8; 32]) -> Result<Hmac<Sha256>> {
    Ok(keyed(ring, epoch, "record")?.chain_update(hash))
}

fn head_mac(ring: &KeyRing, epoch: u32, seq: u64, hash: &[u8; 32]) -> Result<Hmac<Sha256>> {
    Ok(keyed(ring, epoch, "head")?.chain_update(seq.to_be_bytes()).chain_update(hash))
}

fn keyed(ring: &KeyRing, epoch: u32, what: &str) -> Result<Hmac<Sha256>> {
    let key = ring.derive::<32>(epoch, &["audit", what])?;
    Hmac::new_from_slice(key.expose())
        .map_err(|_| Error::new(Code::Internal, "the audit key has a wrong length"))
}

/// Bytes as text in the log.
pub(super) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
