//! Authenticated encryption for things that leave and come back: tickets and session tokens. Whoever
//! holds one learns nothing from it but its length, and cannot change it. It does not say who may
//! present an envelope, or until when: that is inside, and the opener's to check.
//!
//! Layout: epoch (4 bytes, big-endian), nonce (16 random bytes), AES-256-SIV output (RFC 5297: tag,
//! then ciphertext). Label, epoch and nonce are associated data. The newest epoch seals; all epochs of
//! the ring open, so that a rotation does not break what is under way.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;

use super::{KeyRing, Secret};
use crate::error::{Code, Error, Result};

/// Seals and opens byte strings for one purpose. Any replica with the same key ring and label can open
/// what another sealed.
#[derive(Debug)]
pub struct Envelope {
    label: &'static str,
    newest: u32,
    /// One key an epoch.
    keys: Vec<(u32, Secret<64>)>,
}

impl Envelope {
    /// An envelope whose keys derive from `ring` under `label`. Two labels never open each other's.
    ///
    /// # Errors
    /// [`Code::Keys`] when a key cannot be derived.
    pub fn new(ring: &KeyRing, label: &'static str) -> Result<Self> {
        let keys = ring
            .epochs()
            .map(|epoch| Ok((epoch, ring.derive(epoch, &["envelope", label])?)))
            .collect::<Result<_>>()?;
        Ok(Self { label, newest: ring.newest(), keys })
    }

    /// Encrypts and authenticates `bytes`. Sealing the same bytes twice gives different results.
    ///
    /// # Errors
    /// [`Code::Internal`] when the system has no random bytes.
    pub fn seal(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)
            .map_err(|cause| Error::new(Code::Internal, "no random bytes").because(cause))?;
        self.seal_with(bytes, &nonce)
    }

    /// The bytes that were sealed.
    ///
    /// # Errors
    /// [`Code::TicketInvalid`] when it was not sealed with this label and ring, or was changed since.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>> {
        let refused =
            |what: &str| Error::new(Code::TicketInvalid, format!("{}: {what}", self.label));
        let (epoch, rest) = sealed.split_first_chunk().ok_or_else(|| refused("too short"))?;
        let (nonce, body) = rest.split_first_chunk().ok_or_else(|| refused("too short"))?;
        let key = self.key(u32::from_be_bytes(*epoch)).ok_or_else(|| refused("unknown epoch"))?;
        Aes256Siv::new(key.expose().into())
            .decrypt(self.headers(epoch, nonce), body)
            .map_err(|_| refused("not authentic"))
    }

    /// [`Self::seal`] with a given nonce.
    fn seal_with(&self, bytes: &[u8], nonce: &[u8; NONCE_LEN]) -> Result<Vec<u8>> {
        let failed = || Error::new(Code::Internal, "an envelope cannot be sealed");
        let key = self.key(self.newest).ok_or_else(failed)?;
        let epoch = self.newest.to_be_bytes();
        let body = Aes256Siv::new(key.expose().into())
            .encrypt(self.headers(&epoch, nonce), bytes)
            .map_err(|_| failed())?;
        Ok([epoch.as_slice(), nonce, &body].concat())
    }

    fn key(&self, epoch: u32) -> Option<&Secret<64>> {
        self.keys.iter().find(|(candidate, _)| *candidate == epoch).map(|(_, key)| key)
    }

    fn headers<'a>(&'a self, epoch: &'a [u8; 4], nonce: &'a [u8; NONCE_LEN]) -> [&'a [u8]; 3] {
        [self.label.as_bytes(), epoch, nonce]
    }
}

/// The length of a nonce, in bytes.
const NONCE_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(epochs: &[(u32, u8)]) -> KeyRing {
        KeyRing::new(
            epochs.iter().map(|(epoch, byte)| (*epoch, Secret::new([*byte; 32]))).collect(),
        )
        .unwrap()
    }

    fn envelope(label: &'static str) -> Envelope {
        Envelope::new(&ring(&[(1, 7)]), label).unwrap()
    }

    #[test]
    fn what_was_sealed_opens() {
        for bytes in [b"".as_slice(), b"x", b"partner=cern", &[0; 1000]] {
            let sealed = envelope("ticket").seal(bytes).unwrap();
            assert_eq!(sealed.len(), 4 + 16 + 16 + bytes.len());
            assert_eq!(envelope("ticket").open(&sealed).unwrap(), bytes);
        }
    }

    #[test]
    fn the_same_bytes_seal_differently_each_time() {
        let envelope = envelope("ticket");
        assert_ne!(envelope.seal(b"same").unwrap(), envelope.seal(b"same").unwrap());
    }

    #[test]
    fn the_plain_bytes_cannot_be_seen() {
        let sealed = envelope("ticket").seal(b"a canary in the mine").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"canary"));
    }

    #[test]
    fn any_changed_bit_is_refused() {
        let envelope = envelope("ticket");
        let sealed = envelope.seal(b"partner=cern").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                envelope.open(&forged).unwrap_err().code(),
                Code::TicketInvalid,
                "bit {bit}"
            );
        }
    }

    #[test]
    fn any_cut_is_refused() {
        let envelope = envelope("ticket");
        let sealed = envelope.seal(b"partner=cern").unwrap();
        for len in 0..sealed.len() {
            assert_eq!(envelope.open(&sealed[..len]).unwrap_err().code(), Code::TicketInvalid);
        }
    }

    #[test]
    fn another_label_or_ring_is_refused() {
        let sealed = envelope("ticket").seal(b"partner=cern").unwrap();
        assert!(envelope("session").open(&sealed).is_err());
        let other = Envelope::new(&ring(&[(1, 8)]), "ticket").unwrap();
        assert!(other.open(&sealed).is_err());
    }

    #[test]
    fn an_older_epoch_still_opens_after_a_rotation_and_not_before_one() {
        let rotated = Envelope::new(&ring(&[(1, 7), (2, 9)]), "ticket").unwrap();
        let before = envelope("ticket").seal(b"old").unwrap();
        assert_eq!(rotated.open(&before).unwrap(), b"old");
        let after = rotated.seal(b"new").unwrap();
        assert_eq!(after[..4], [0, 0, 0, 2]);
        assert_eq!(envelope("ticket").open(&after).unwrap_err().code(), Code::TicketInvalid);
    }
}
