//! Bearer tokens: `vf_` and 256 random bits in Base32. A token is shown once, when it is made; only its
//! SHA-256 is kept. A plain hash is enough here because nobody can guess 256 random bits; passwords
//! that people choose would need more, and are not offered.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Code, Error, Result};

/// A token that was just made. Wiped when dropped, never printed by `{:?}`.
pub struct Token(Zeroizing<String>);

impl Token {
    /// A new token from the system's random bytes.
    ///
    /// # Errors
    /// [`Code::Internal`] when there are none.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice())
            .map_err(|cause| Error::new(Code::Internal, "no random bytes").because(cause))?;
        let mut text = BASE32_NOPAD.encode(bytes.as_slice());
        let token = Zeroizing::new(format!("{PREFIX}{}", text.to_ascii_lowercase()));
        text.zeroize();
        Ok(Self(token))
    }

    /// The token, to be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What is kept of a token.
pub(super) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// How tokens of partners begin, so that a scanner for leaked secrets can find them.
const PREFIX: &str = "vf_";
