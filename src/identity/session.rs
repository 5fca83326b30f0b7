//! Session tokens: `vs_` and a sealed envelope with partner, expiry and a stamp of the credentials they
//! were issued for. Nothing is stored, any replica with the key ring accepts them, and a rotation of
//! the partner's token ends them at once.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::keys::envelope::Envelope;
use crate::state::PartnerRecord;

/// What a session token says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// The first second at which it no longer counts.
    pub(super) expires_seconds: i64,
    /// What the credentials were.
    pub(super) stamp: [u8; 8],
    /// The partner's name.
    pub(super) partner: String,
}

/// Seals a session for a partner, until a second.
pub(super) fn seal(
    envelope: &Envelope,
    record: &PartnerRecord,
    expires_seconds: i64,
) -> Result<String> {
    let plain =
        [expires_seconds.to_be_bytes().as_slice(), &stamp(record), record.name.as_bytes()].concat();
    let sealed = envelope.seal(&plain)?;
    Ok(format!("{PREFIX}{}", BASE32_NOPAD.encode(&sealed).to_ascii_lowercase()))
}

/// Opens a session token; `None` where it is not one of ours. Says nothing of its expiry.
pub(super) fn open(envelope: &Envelope, text: &str) -> Option<Session> {
    let body = text.strip_prefix(PREFIX)?;
    let sealed = BASE32_NOPAD.decode(body.to_ascii_uppercase().as_bytes()).ok()?;
    let plain = envelope.open(&sealed).ok()?;
    let (expires, rest) = plain.split_first_chunk()?;
    let (stamp, name) = rest.split_first_chunk()?;
    Some(Session {
        expires_seconds: i64::from_be_bytes(*expires),
        stamp: *stamp,
        partner: String::from_utf8(name.to_vec()).ok()?,
    })
}

/// Changes when the partner's token does, and when the partner is made anew under the same name.
pub(super) fn stamp(record: &PartnerRecord) -> [u8; 8] {
    let digest = Sha256::new()
        .chain_update(record.token_hash.unwrap_or_default())
        .chain_update(record.created_seconds.to_be_bytes())
        .finalize();
    digest.first_chunk().copied().unwrap_or_default()
}

/// Whether a text claims to be a session token.
pub(super) fn is_session(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// How session tokens begin.
const PREFIX: &str = "vs_";

/// How long a session token counts.
pub(super) const LIFE_SECONDS: i64 = 3600;
