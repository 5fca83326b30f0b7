//! WHO asks. Turns credentials into a [`Partner`]; nothing else in the crate can make one.

use std::sync::Arc;

use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::keys::KeyRing;
use crate::state::Store;

/// A partner whose credentials were checked for this very call.
///
/// INVARIANT: made by [`Identity::authenticate`] alone.
#[derive(Debug, Clone)]
pub struct Partner {
    name: String,
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
    /// The client's certificate chain in DER, the client's own first, as verified by TLS.
    pub certificates: &'a [Vec<u8>],
}

/// Checks credentials against the partners in state.
#[derive(Debug)]
pub struct Identity {
    _store: Arc<dyn Store>,
    _clock: Arc<dyn Clock>,
    _ring: Arc<KeyRing>,
}

impl Identity {
    /// Partners come from `store`; session tokens are sealed with a key from `ring`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, ring: Arc<KeyRing>) -> Self {
        Self { _store: store, _clock: clock, _ring: ring }
    }

    /// Who is calling.
    ///
    /// # Errors
    /// [`Code::CredentialsMissing`] and [`Code::CredentialsRefused`]; never says which part was wrong.
    pub fn authenticate(&self, _credentials: &Credentials<'_>) -> Result<Partner> {
        Err(Error::new(Code::CredentialsMissing, "no credentials"))
    }

    /// A short-lived bearer token for a partner who came with Basic credentials; any replica with the
    /// same key ring accepts it, as long as the partner is enabled.
    ///
    /// # Errors
    /// When no random bytes can be had.
    pub fn session(&self, _partner: &Partner) -> Result<String> {
        Err(Error::new(Code::Internal, "not built"))
    }
}
