//! WHO asks. Turns credentials into a [`Partner`]; nothing else in the crate can make one. What a
//! partner may have is not decided here, that is for grants.

use std::sync::Arc;

use data_encoding::{BASE64, BASE64_NOPAD};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::keys::KeyRing;
use crate::keys::envelope::Envelope;
use crate::state::{PartnerRecord, Store};

pub mod certificate;
pub mod enrol;
mod session;
#[cfg(test)]
pub(crate) mod tests;
pub mod token;

/// A partner whose credentials were checked for this very call.
///
/// INVARIANT: made by [`Identity::authenticate`] alone.
#[derive(Debug, Clone)]
pub struct Partner {
    name: String,
    /// When the session ends that they came with, if it was one.
    session_ends_seconds: Option<i64>,
}

impl Partner {
    /// The name that grants and the audit log use.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What a call brought along.
#[derive(Debug, Default)]
pub struct Credentials<'a> {
    /// The `authorization` header: `Bearer ...` or `Basic ...`.
    pub authorization: Option<&'a [u8]>,
    /// The client's certificate chain in DER, the client's own first. TLS has seen proof of its key.
    pub certificates: &'a [Vec<u8>],
    /// Whether TLS verified that chain against the configured authority. Without it a certificate
    /// counts only by its fingerprint.
    pub ca_verified: bool,
    /// The custodian, on their own machine, acting for a partner; nothing that came over a network.
    pub custodian: Option<Custodian>,
}

/// The custodian's word that they act for a partner. Whoever can read keys and state on this machine needs
/// no other proof; whoever calls over a network can never give it.
///
/// INVARIANT: `local` alone makes it, for verbs of the command line; the rooms that face the network do not
/// name it.
#[derive(Debug)]
pub struct Custodian {
    acts_for: String,
}

impl Custodian {
    /// The word, for verbs of the command line.
    pub(crate) fn acting_for(partner: &str) -> Self {
        Self { acts_for: partner.to_owned() }
    }
}

/// Checks credentials against the partners in state. Nothing is cached: a partner who is disabled is
/// refused at the next call.
#[derive(Debug)]
pub struct Identity {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// `None` where the ring gave no key; then there are no sessions, and all else works.
    sessions: Option<Envelope>,
}

impl Identity {
    /// Partners come from `store`; session tokens are sealed with a key from `ring`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, ring: Arc<KeyRing>) -> Self {
        Self { store, clock, sessions: Envelope::new(&ring, "session").ok() }
    }

    /// Who is calling. Token and certificate, where both come, must prove the same partner.
    ///
    /// # Errors
    /// [`Code::CredentialsMissing`] and [`Code::CredentialsRefused`]; only the operator's text says
    /// which part was wrong. [`Code::State`] when the store cannot be read.
    pub fn authenticate(&self, credentials: &Credentials<'_>) -> Result<Partner> {
        if let Some(custodian) = &credentials.custodian {
            return self.by_custodian(custodian, credentials);
        }
        let by_header =
            credentials.authorization.map(|header| self.by_header(header)).transpose()?;
        let (by_token, session_ends_seconds) =
            by_header.map_or((None, None), |(record, ends)| (Some(record), ends));
        let by_certificate = credentials
            .certificates
            .first()
            .map(|der| self.by_certificate(der, credentials.ca_verified));
        let by_certificate = by_certificate.transpose()?;
        let proven_by_certificate = by_certificate.is_some();
        let record = match (by_token, by_certificate) {
            (None, None) => {
                return Err(Error::new(Code::CredentialsMissing, "no credentials came"));
            }
            (Some(token), Some(certificate)) if token.name != certificate.name => {
                return Err(refused(format!(
                    "the token is that of `{}`, the certificate that of `{}`",
                    token.name, certificate.name
                )));
            }
            (Some(record), _) | (None, Some(record)) => record,
        };
        if record.disabled {
            return Err(refused(format!("partner `{}` is disabled", record.name)));
        }
        if record.expires.is_some_and(|last_day| self.clock.today() > last_day) {
            return Err(refused(format!("partner `{}` is expired", record.name)));
        }
        // Without a token of their own, a session came from their certificate and is no way round it.
        let needs_certificate = record.require_certificate || record.token_hash.is_none();
        if needs_certificate && !proven_by_certificate {
            return Err(refused(format!("partner `{}` came without certificate", record.name)));
        }
        Ok(Partner { name: record.name, session_ends_seconds })
    }

    /// The partner that the custodian acts for. They need not be registered: who never pulls has no token,
    /// and may have a grant. One who is disabled or expired gets nothing, by this way either.
    fn by_custodian(
        &self,
        custodian: &Custodian,
        credentials: &Credentials<'_>,
    ) -> Result<Partner> {
        if credentials.authorization.is_some() || !credentials.certificates.is_empty() {
            return Err(refused("the custodian's word came beside other credentials"));
        }
        let name = custodian.acts_for.as_str();
        enrol::check_name(name)?;
        let record = self.store.partner(name)?;
        if record.as_ref().is_some_and(|record| record.disabled) {
            return Err(refused(format!("partner `{name}` is disabled")));
        }
        let expires = record.and_then(|record| record.expires);
        if expires.is_some_and(|last_day| self.clock.today() > last_day) {
            return Err(refused(format!("partner `{name}` is expired")));
        }
        Ok(Partner { name: name.to_owned(), session_ends_seconds: None })
    }

    /// A short-lived bearer token for a partner who came with Basic credentials; any replica with the
    /// same key ring accepts it, as long as the partner is enabled and keeps the same token. Who came
    /// with a session gets one that ends with it, so that a stolen one cannot live for ever.
    ///
    /// # Errors
    /// When the partner is gone, the ring has no key, or no random bytes can be had.
    pub fn session(&self, partner: &Partner) -> Result<String> {
        let record = self
            .store
            .partner(partner.name())?
            .ok_or_else(|| refused(format!("partner `{}` is gone", partner.name())))?;
        let envelope = self
            .sessions
            .as_ref()
            .ok_or_else(|| Error::new(Code::Keys, "there is no key for session tokens"))?;
        let fresh = self.clock.now_seconds().saturating_add(session::LIFE_SECONDS);
        let ends = partner.session_ends_seconds.map_or(fresh, |ends| ends.min(fresh));
        session::seal(envelope, &record, ends)
    }

    /// The partner, and when the session ends if it is one.
    fn by_header(&self, header: &[u8]) -> Result<(PartnerRecord, Option<i64>)> {
        if header.len() > HEADER_LEN_MAX {
            return Err(refused("the authorization header is too long"));
        }
        let text = std::str::from_utf8(header)
            .map_err(|_| refused("the authorization header is not text"))?;
        let (scheme, value) = text
            .trim()
            .split_once(' ')
            .ok_or_else(|| refused("the authorization header has no scheme"))?;
        let value = value.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            if session::is_session(value) {
                self.by_session(value).map(|(record, ends)| (record, Some(ends)))
            } else {
                self.by_token(value).map(|record| (record, None))
            }
        } else if scheme.eq_ignore_ascii_case("basic") {
            self.by_basic(value).map(|record| (record, None))
        } else {
            Err(refused("the authorization header has an unknown scheme"))
        }
    }

    fn by_token(&self, text: &str) -> Result<PartnerRecord> {
        // The index is searched by the hash of what came, so the time it takes tells at most how much
        // of a hash matches, and nobody can choose the hash of 256 unknown bits.
        let hash = token::hash(text);
        let found = self.store.partner_by_token(&hash)?;
        self.compare(found, &hash)
    }

    fn by_basic(&self, value: &str) -> Result<PartnerRecord> {
        let malformed = || refused("the Basic credentials are malformed");
        let decoded = BASE64
            .decode(value.as_bytes())
            .or_else(|_| BASE64_NOPAD.decode(value.as_bytes()))
            .map(Zeroizing::new)
            .map_err(|_| malformed())?;
        let text = std::str::from_utf8(&decoded).map_err(|_| malformed())?;
        let (name, token) = text.split_once(':').ok_or_else(malformed)?;
        let hash = token::hash(token);
        let found = self.store.partner(name)?;
        self.compare(found, &hash)
    }

    /// The record, where its token has this hash. Takes the same time whether there is a record.
    fn compare(&self, found: Option<PartnerRecord>, hash: &[u8; 32]) -> Result<PartnerRecord> {
        let kept = found.as_ref().and_then(|record| record.token_hash);
        let equal = bool::from(kept.unwrap_or_default().ct_eq(hash)) && kept.is_some();
        found.filter(|_| equal).ok_or_else(|| refused("the token is unknown"))
    }

    fn by_session(&self, text: &str) -> Result<(PartnerRecord, i64)> {
        let session = self
            .sessions
            .as_ref()
            .and_then(|envelope| session::open(envelope, text))
            .ok_or_else(|| refused("the session token is not authentic"))?;
        if self.clock.now_seconds() >= session.expires_seconds {
            return Err(refused(format!("the session of `{}` is over", session.partner)));
        }
        let record = self
            .store
            .partner(&session.partner)?
            .ok_or_else(|| refused(format!("partner `{}` is gone", session.partner)))?;
        if bool::from(session::stamp(&record).ct_eq(&session.stamp)) {
            Ok((record, session.expires_seconds))
        } else {
            Err(refused(format!("the session of `{}` is older than its token", record.name)))
        }
    }

    fn by_certificate(&self, der: &[u8], ca_verified: bool) -> Result<PartnerRecord> {
        let certificate =
            certificate::read(der).ok_or_else(|| refused("the certificate cannot be read"))?;
        let now = self.clock.now_seconds();
        if now < certificate.from_seconds || now > certificate.until_seconds {
            return Err(refused("the certificate is not valid at this time"));
        }
        let mut found = self.store.partner_by_certificate(&certificate.fingerprint)?;
        if ca_verified {
            for subject in &certificate.subjects {
                let Some(other) = self.store.partner_by_subject(subject)? else { continue };
                match &found {
                    Some(record) if record.name != other.name => {
                        return Err(refused(format!(
                            "the certificate names both `{}` and `{}`",
                            record.name, other.name
                        )));
                    }
                    _ => found = Some(other),
                }
            }
        }
        found.ok_or_else(|| refused("the certificate is no partner's"))
    }
}

fn refused(text: impl Into<String>) -> Error {
    Error::new(Code::CredentialsRefused, text)
}

/// The longest `authorization` header that is looked at.
const HEADER_LEN_MAX: usize = 4096;
