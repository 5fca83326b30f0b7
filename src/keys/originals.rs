//! The key pair that originals of tokens are sealed with (HPKE, RFC 9180: X25519, HKDF-SHA-256,
//! AES-256-GCM). Who has the public half can write and cannot read; the private half lies in a file of
//! its own, which the serving process does not need. What is sealed, and where it lies, is the state's.

use std::fmt;
use std::path::Path;

use hpke::aead::{AeadCtxR, AeadCtxS, AesGcm256};
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Secret;
use super::provider::{read_private, write_private};
use crate::error::{Code, Error, Result};

/// The public half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Public(pub [u8; 32]);

impl Public {
    /// Eight bytes of its hash, in hexadecimal, to tell keys apart.
    pub fn id(&self) -> String {
        data_encoding::HEXLOWER.encode(Sha256::digest(self.0).split_at(8).0)
    }
}

/// The private half, wiped when dropped.
#[derive(Debug)]
pub struct Private(Secret<32>);

impl Private {
    /// A new one.
    ///
    /// # Errors
    /// [`Code::Keys`] when the system has no random bytes.
    pub fn generate() -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice())
            .map_err(|cause| Error::new(Code::Keys, "no random bytes").because(cause))?;
        let (private, _) = X25519HkdfSha256::derive_keypair(seed.as_slice());
        Ok(Self(Secret::new(private.to_bytes().into())))
    }

    /// The other half.
    ///
    /// # Errors
    /// [`Code::Keys`] when the bytes are no key.
    pub fn public(&self) -> Result<Public> {
        Ok(Public(X25519HkdfSha256::sk_to_pk(&self.key()?).to_bytes().into()))
    }

    fn key(&self) -> Result<<X25519HkdfSha256 as Kem>::PrivateKey> {
        <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(self.0.expose())
            .map_err(|cause| unusable("the private key for originals").because(cause))
    }

    /// Writes it to a file that is not there yet, with mode 0600 from its first moment.
    ///
    /// # Errors
    /// [`Code::Keys`] when the file exists or cannot be written.
    pub fn create_file(&self, path: &Path) -> Result<()> {
        let mut text = Zeroizing::new(String::with_capacity(128));
        text.push_str(HEADER);
        text.push('\n');
        data_encoding::HEXLOWER.encode_append(self.0.expose(), &mut text);
        text.push('\n');
        write_private(path, text.as_bytes()).map_err(|cause| {
            let why = if cause.kind() == std::io::ErrorKind::AlreadyExists {
                "exists; a key file is never overwritten"
            } else {
                "cannot be written"
            };
            Error::new(Code::Keys, format!("`{}` {why}", path.display())).because(cause)
        })
    }

    /// Reads it from a file with mode 0600 or 0400.
    ///
    /// # Errors
    /// [`Code::Keys`] when the file cannot be read, is readable by others, or holds no such key.
    pub fn load(path: &Path) -> Result<Self> {
        let text = read_private(path)?;
        let malformed = || {
            let what =
                format!("`{}` is no key for originals: `{HEADER}`, then 64 digits", path.display());
            Error::new(Code::Keys, what)
        };
        let digits = text.trim().strip_prefix(HEADER).ok_or_else(malformed)?.trim();
        let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).map_err(|_| malformed())?;
        let bytes = Zeroizing::new(bytes);
        let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| malformed())?;
        Ok(Self(Secret::new(key)))
    }
}

/// Seals originals one after the other; each has its place in the order.
pub struct Sealer {
    context: AeadCtxS<AesGcm256, HkdfSha256, X25519HkdfSha256>,
    encapsulated: [u8; 32],
    places: u64,
}

impl Sealer {
    /// Begins a batch.
    ///
    /// # Errors
    /// [`Code::Keys`] when the public key is none.
    pub fn new(public: &Public) -> Result<Self> {
        let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&public.0)
            .map_err(|cause| unusable("the public key for originals").because(cause))?;
        let (encapsulated, context) = setup_sender(&OpModeS::Base, &key, INFO)
            .map_err(|cause| unusable("the public key for originals").because(cause))?;
        Ok(Self { context, encapsulated: encapsulated.to_bytes().into(), places: 0 })
    }

    /// What the batch is opened with, beside the private key.
    pub const fn encapsulated(&self) -> &[u8; 32] {
        &self.encapsulated
    }

    /// Seals an original; `label` says whose it is and is needed again to open it. Returns its place too.
    ///
    /// # Errors
    /// [`Code::Internal`] when it cannot be sealed.
    pub fn seal(&mut self, label: &[u8], original: &str) -> Result<(u64, Vec<u8>)> {
        let sealed = self.context.seal(original.as_bytes(), label).map_err(|cause| {
            Error::new(Code::Internal, "an original is not sealed").because(cause)
        })?;
        let place = self.places;
        self.places += 1;
        Ok((place, sealed))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("places", &self.places).finish_non_exhaustive()
    }
}

/// Opens the originals of one batch, in the order of their places.
pub struct Opener(AeadCtxR<AesGcm256, HkdfSha256, X25519HkdfSha256>);

impl Opener {
    /// Begins with the first place of a batch.
    ///
    /// # Errors
    /// [`Code::Keys`] when the key does not fit.
    pub fn new(private: &Private, encapsulated: &[u8; 32]) -> Result<Self> {
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated)
            .map_err(|cause| unusable("what originals were sealed with").because(cause))?;
        setup_receiver(&OpModeR::Base, &private.key()?, &encapsulated, INFO)
            .map(Self)
            .map_err(|cause| unusable("the private key for originals").because(cause))
    }

    /// The original at the next place.
    ///
    /// # Errors
    /// [`Code::Keys`] when it was sealed with another key or label, at another place, or was changed.
    pub fn open(&mut self, label: &[u8], sealed: &[u8]) -> Result<String> {
        let refused = || {
            Error::new(
                Code::Keys,
                "an original does not open: it was sealed with another key, or the state was changed",
            )
        };
        let bytes = self.0.open(sealed, label).map_err(|_| refused())?;
        String::from_utf8(bytes).map_err(|_| refused())
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(..)")
    }
}

fn unusable(what: &str) -> Error {
    Error::new(Code::Keys, format!("{what} cannot be used"))
}

/// What all batches are sealed for.
const INFO: &[u8] = b"veilflight/originals/1";

/// The first line of a private key's file.
const HEADER: &str = "veilflight-originals-key 1";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_was_sealed_opens_in_its_order_under_its_label_and_not_otherwise() {
        let private = Private::generate().unwrap();
        let mut sealer = Sealer::new(&private.public().unwrap()).unwrap();
        let sealed: Vec<_> =
            ["a", "", "é\n"].map(|text| sealer.seal(b"label", text).unwrap()).into();
        assert!(sealed.iter().map(|(place, _)| *place).eq(0..3));
        let opener = || Opener::new(&private, sealer.encapsulated()).unwrap();
        let mut one = opener();
        for ((_, sealed), text) in sealed.iter().zip(["a", "", "é\n"]) {
            assert_eq!(one.open(b"label", sealed).unwrap(), text);
        }
        assert_eq!(opener().open(b"other", &sealed[0].1).unwrap_err().code(), Code::Keys);
        assert_eq!(opener().open(b"label", &sealed[1].1).unwrap_err().code(), Code::Keys);
        let other = Private::generate().unwrap();
        let mut other = Opener::new(&other, sealer.encapsulated()).unwrap();
        assert_eq!(other.open(b"label", &sealed[0].1).unwrap_err().code(), Code::Keys);
    }

    #[test]
    fn a_batch_made_from_the_text_of_rfc_9180_opens() {
        // Computed in Python from the RFC's text (base mode, suite 0x0020, 0x0001, 0x0002), with the
        // private keys 1..32 of the receiver and 101..132 of the sender.
        let bytes = |hex: &str| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        let private = Private(Secret::new(std::array::from_fn(|at| u8::try_from(at + 1).unwrap())));
        let public = "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c";
        assert_eq!(private.public().unwrap().0[..], bytes(public));
        let encapsulated = "5714769d116bf76436ae74bc793d2c30ad1903c59ac5273805c7e2698b410c36";
        let mut opener = Opener::new(&private, &bytes(encapsulated).try_into().unwrap()).unwrap();
        for (sealed, text) in [
            ("ac4d26ff7be7d5e61d98d132401f090bb40ec4796e80", "jsmith"),
            ("b7b2fa19fcb9847108178c61ada37e780b3f4cd32367", "mjones"),
        ] {
            assert_eq!(opener.open(b"label", &bytes(sealed)).unwrap(), text);
        }
    }

    #[test]
    fn the_private_half_is_kept_in_a_file_of_mode_0600_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("originals.key");
        let private = Private::generate().unwrap();
        private.create_file(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        assert_eq!(Private::load(&path).unwrap().public().unwrap(), private.public().unwrap());
        let again = Private::generate().unwrap().create_file(&path).unwrap_err();
        assert!(again.to_string().ends_with("exists; a key file is never overwritten"), "{again}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(Private::load(&path).unwrap_err().code(), Code::Keys);
        let other = folder.path().join("other");
        write_private(&other, b"veilflight-keys 1\n").unwrap();
        let error = Private::load(&other).unwrap_err().to_string();
        assert!(error.contains("is no key for originals"), "{error}");
    }

    #[test]
    fn nothing_secret_is_in_the_debug_form() {
        let private = Private::generate().unwrap();
        assert_eq!(format!("{private:?}"), "Private(Secret<32>(..))");
    }
}
