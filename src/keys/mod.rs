//! WITH WHICH SECRET. The key ring, and the keys derived from it; secrets are zeroized when dropped
//! and have no printable form. Where the master key comes from is the business of the providers.

pub mod envelope;
#[cfg(feature = "server")]
pub mod originals;
pub mod provider;
pub mod published;

use std::fmt;
use std::sync::Arc;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize;

use crate::error::{Code, Error, Result};

/// Bytes that are wiped when dropped and never printed.
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes ownership of secret bytes.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one kernel that uses them.
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>(..)")
    }
}

/// The master keys, one an epoch.
#[derive(Debug)]
pub struct KeyRing {
    /// Ascending; empty for [`KeyRing::none`] alone.
    epochs: Vec<(u32, Secret<32>)>,
}

impl KeyRing {
    /// A ring from epochs and master keys, in any order.
    ///
    /// # Errors
    /// [`Code::Keys`] when there is none, or an epoch stands twice.
    pub fn new(mut epochs: Vec<(u32, Secret<32>)>) -> Result<Self> {
        epochs.sort_by_key(|(epoch, _)| *epoch);
        if epochs.is_empty() {
            return Err(Error::new(Code::Keys, "the key ring is empty"));
        }
        if epochs.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0)) {
            return Err(Error::new(Code::Keys, "an epoch stands twice in the key ring"));
        }
        Ok(Self { epochs })
    }

    /// A ring without a key: whatever asks it for one fails. For work that must not depend on keys.
    pub const fn none() -> Self {
        Self { epochs: Vec::new() }
    }

    /// The newest epoch.
    pub fn newest(&self) -> u32 {
        self.epochs.last().map_or(0, |(epoch, _)| *epoch)
    }

    /// All epochs, ascending.
    pub fn epochs(&self) -> impl Iterator<Item = u32> + '_ {
        self.epochs.iter().map(|(epoch, _)| *epoch)
    }

    /// Derives a key of `N` bytes: HKDF-SHA-256 (RFC 5869), no salt, the epoch's master key as input
    /// keying material, and the labels as info, each with its length before it so that no two lists
    /// of labels give the same info.
    ///
    /// # Errors
    /// [`Code::Keys`] when the ring has no such epoch.
    pub fn derive<const N: usize>(&self, epoch: u32, labels: &[&str]) -> Result<Secret<N>> {
        let master =
            self.epochs.iter().find(|(candidate, _)| *candidate == epoch).ok_or_else(|| {
                Error::new(Code::Keys, format!("the key ring has no epoch {epoch}"))
            })?;
        let mut info = b"veilflight/1".to_vec();
        for label in labels {
            info.extend_from_slice(&(label.len() as u64).to_be_bytes());
            info.extend_from_slice(label.as_bytes());
        }
        let mut key = [0; N];
        Hkdf::<Sha256>::new(None, master.1.expose())
            .expand(&info, &mut key)
            .map_err(|_| Error::new(Code::Internal, "a derived key is too long"))?;
        Ok(Secret::new(key))
    }
}

/// The keys of one column for one audience: domain, audience and epoch are fixed, the scheme is not.
#[derive(Debug, Clone)]
pub struct ColumnKeys {
    ring: Arc<KeyRing>,
    domain: String,
    audience: Option<String>,
    epoch: u32,
}

impl ColumnKeys {
    /// Keys for `domain`; `audience` is the partner, or `None` where linkage is shared.
    pub fn new(ring: Arc<KeyRing>, domain: &str, audience: Option<&str>, epoch: u32) -> Self {
        Self { ring, domain: domain.to_owned(), audience: audience.map(str::to_owned), epoch }
    }

    /// The key for a scheme (`hmac`, `crypto_pan`, ...). Two schemes never share a key.
    ///
    /// # Errors
    /// [`Code::Keys`] when the ring has no such epoch.
    pub fn derive<const N: usize>(&self, scheme: &str) -> Result<Secret<N>> {
        let (kind, audience) = match &self.audience {
            Some(partner) => ("partner", partner.as_str()),
            None => ("shared", ""),
        };
        self.ring.derive(self.epoch, &["column", scheme, &self.domain, kind, audience])
    }

    /// The name of the token map: domain, audience and epoch, unambiguous. Holds no secret.
    pub fn token_scope(&self) -> String {
        let audience = match &self.audience {
            Some(partner) => format!("partner:{partner}"),
            None => "shared".to_owned(),
        };
        format!("{}|{audience}|{}", self.domain, self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Arc<KeyRing> {
        let bytes = std::array::from_fn(|step| u8::try_from((step * 7 + 3) % 256).unwrap());
        Arc::new(KeyRing::new(vec![(1, Secret::new(bytes))]).unwrap())
    }

    fn hex(bytes: &[u8]) -> String {
        data_encoding::HEXLOWER.encode(bytes)
    }

    #[test]
    fn the_primitive_is_rfc_5869() {
        // Appendix A.3: no salt, as here.
        let mut key = [0; 42];
        Hkdf::<Sha256>::new(None, &[0x0b; 22]).expand(&[], &mut key).unwrap();
        assert_eq!(
            hex(&key),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
    }

    #[test]
    fn derived_keys_are_those_of_an_independent_computation() {
        // Computed with Python's hmac and hashlib from the description of `derive`.
        assert_eq!(hex(ring().derive::<8>(1, &["id"]).unwrap().expose()), "b61c4279a3bb6562");
        let own = ColumnKeys::new(ring(), "domain:person", Some("cern"), 1);
        assert_eq!(
            hex(own.derive::<32>("hmac").unwrap().expose()),
            "dbf367569576e85d47d9359917fc8272c2bac78371e5ca0bed65f3e0a16b10ad"
        );
        let shared = ColumnKeys::new(ring(), "domain:person", None, 1);
        assert_eq!(
            hex(shared.derive::<64>("hmac").unwrap().expose()),
            "f3123cfb0426101c8aafc16c2eccd4f209fac778d89306d990cc3e46f0a646ea\
             ea6098e8e19b2e8c81440bf9c998d5de83973b2ba070ff9b52033a0af1fca3a7"
        );
    }

    #[test]
    fn labels_cannot_run_into_each_other() {
        let key = |labels: &[&str]| hex(ring().derive::<32>(1, labels).unwrap().expose());
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["ab"]), key(&["ab", ""]));
    }

    #[test]
    fn an_unknown_epoch_has_no_key() {
        assert_eq!(ring().derive::<32>(2, &["id"]).unwrap_err().code(), Code::Keys);
    }

    #[test]
    fn a_ring_without_keys_or_with_an_epoch_twice_is_refused() {
        assert_eq!(KeyRing::new(Vec::new()).unwrap_err().code(), Code::Keys);
        let twice = vec![(1, Secret::new([1; 32])), (1, Secret::new([2; 32]))];
        assert_eq!(KeyRing::new(twice).unwrap_err().code(), Code::Keys);
    }
}
