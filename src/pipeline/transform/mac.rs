//! The keyed hash behind pseudonyms: HMAC-SHA-256 (RFC 2104, FIPS 198-1) with both key blocks hashed
//! once, and lower-case Base32. Chooses no keys and reads no columns.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use sha2::block_api::compress256;
use zeroize::Zeroize;

use crate::error::{Code, Context, Result};
use crate::keys::Secret;

/// What a tag is a tag of. The first byte of every message, so that no value can equal a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Label {
    /// A value of a column.
    Value = b'v',
    /// The stand-in of null; its message is empty.
    Null = b'n',
    /// A place in an order that hides the order of arrival.
    Order = b'o',
}

/// HMAC-SHA-256 under one key.
///
/// A short message costs two compressions and no more: the states after the inner and the outer key
/// block are kept. Long messages go through the `hmac` crate.
pub(super) struct Mac {
    inner: [u32; 8],
    outer: [u32; 8],
    long: Hmac<Sha256>,
}

impl Mac {
    /// A hash under `key`.
    ///
    /// # Errors
    /// Never for a key of 32 bytes; the library's signature says it could.
    pub(super) fn new(key: &Secret<32>) -> Result<Self> {
        let long = Hmac::new_from_slice(key.expose())
            .context(Code::Internal, || "a key of 32 bytes was refused".to_owned())?;
        let state = |pad: u8| {
            let mut block = [pad; BLOCK];
            for (byte, key) in block.iter_mut().zip(key.expose()) {
                *byte ^= key;
            }
            let mut state = INITIAL;
            compress256(&mut state, &[block]);
            block.zeroize();
            state
        };
        Ok(Self { inner: state(0x36), outer: state(0x5c), long })
    }

    /// The tag of a label and a message.
    #[inline]
    pub(super) fn tag(&self, label: Label, message: &[u8]) -> [u8; 32] {
        let mut block = [0; BLOCK];
        let length = 1 + message.len();
        let [first, body @ ..] = &mut block;
        *first = label as u8;
        // One block holds the label, the message, the end mark and the length in eight bytes.
        let Some(place) = body.get_mut(..message.len()).filter(|_| length <= BLOCK - 9) else {
            return self.long_tag(label, message);
        };
        place.copy_from_slice(message);
        if let Some(mark) = body.get_mut(message.len()) {
            *mark = END;
        }
        set_length(&mut block, length);
        let mut inner = self.inner;
        compress256(&mut inner, &[block]);

        let mut block = [0; BLOCK];
        for (place, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(inner) {
            *place = word.to_be_bytes();
        }
        if let Some(mark) = block.get_mut(32) {
            *mark = END;
        }
        set_length(&mut block, 32);
        let mut outer = self.outer;
        compress256(&mut outer, &[block]);

        let mut tag = [0; 32];
        for (place, word) in tag.as_chunks_mut::<4>().0.iter_mut().zip(outer) {
            *place = word.to_be_bytes();
        }
        tag
    }

    #[cold]
    fn long_tag(&self, label: Label, message: &[u8]) -> [u8; 32] {
        let mut mac = self.long.clone();
        mac.update(&[label as u8]);
        mac.update(message);
        mac.finalize().into_bytes().into()
    }
}

impl Drop for Mac {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(..)")
    }
}

/// Writes the bit length of key block and message into the last eight bytes.
#[inline]
fn set_length(block: &mut [u8; BLOCK], message: usize) {
    let bits = ((BLOCK + message) as u64) * 8;
    if let Some(place) = block.last_chunk_mut() {
        *place = bits.to_be_bytes();
    }
}

/// The characters of a whole tag: 256 bits in Base32.
pub(super) const TAG_CHARACTERS: usize = 52;

/// The Base32 text of a tag (RFC 4648, section 6, in lower case, without padding); `characters` of it
/// carry five bits each.
#[derive(Debug)]
pub(super) struct Base32([u8; 56]);

impl Base32 {
    /// Encodes at least the first `characters` of a tag.
    #[inline]
    pub(super) fn new(tag: &[u8; 32], characters: usize) -> Self {
        let mut padded = [0; 35];
        if let Some(place) = padded.first_chunk_mut() {
            *place = *tag;
        }
        let mut text = [0; 56];
        let groups = characters.div_ceil(8);
        let (fives, eights) = (padded.as_chunks::<5>().0, text.as_chunks_mut::<8>().0);
        for (five, eight) in fives.iter().zip(eights).take(groups) {
            let [a, b, c, d, e] = *five;
            let bits = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
            let mut shift = 40;
            for pair in eight.as_chunks_mut::<2>().0 {
                shift -= 10;
                let index = usize::try_from((bits >> shift) & 1023).unwrap_or(0);
                *pair = PAIRS.get(index).copied().unwrap_or_default();
            }
        }
        Self(text)
    }

    /// The first `characters` of the text, at most [`TAG_CHARACTERS`].
    #[inline]
    pub(super) fn first(&self, characters: usize) -> &[u8] {
        self.0.get(..characters.min(TAG_CHARACTERS)).unwrap_or_default()
    }
}

const BLOCK: usize = 64;
const END: u8 = 0x80;

/// FIPS 180-4, section 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The two characters of each ten bits.
static PAIRS: [[u8; 2]; 1024] = pairs();

#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which refuses a bad index")]
const fn pairs() -> [[u8; 2]; 1024] {
    let alphabet = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut pairs = [[0; 2]; 1024];
    let mut index = 0;
    while index < 1024 {
        pairs[index] = [alphabet[index >> 5], alphabet[index & 31]];
        index += 1;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the library says of the same message.
    fn library(key: &[u8], message: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    }

    fn hex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_library_gives_the_tags_of_rfc_4231() {
        // RFC 4231, test cases 1 and 2.
        assert_eq!(
            library(&[0x0b; 20], b"Hi There"),
            hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        );
        assert_eq!(
            library(b"Jefe", b"what do ya want for nothing?"),
            hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        );
    }

    #[test]
    fn a_short_message_gives_the_tag_of_rfc_4231_under_a_zero_filled_key() {
        // HMAC fills a short key with zeros, so test case 2 can be asked with a key of 32 bytes. The
        // label takes the place of the first letter.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let mac = Mac::new(&Secret::new(key)).unwrap();
        let expected = library(b"Jefe", b"vhat do ya want for nothing?");
        assert_eq!(mac.tag(Label::Value, b"hat do ya want for nothing?").to_vec(), expected);
    }

    #[test]
    fn labels_separate_messages() {
        let mac = Mac::new(&Secret::new([1; 32])).unwrap();
        let tags = [Label::Value, Label::Null, Label::Order].map(|label| mac.tag(label, b""));
        assert_ne!(tags[0], tags[1]);
        assert_ne!(tags[0], tags[2]);
        assert_ne!(tags[1], tags[2]);
    }

    #[test]
    fn a_mac_does_not_print_its_key() {
        let mac = Mac::new(&Secret::new([1; 32])).unwrap();
        assert_eq!(format!("{mac:?}"), "Mac(..)");
    }

    #[test]
    fn base32_of_every_length_is_a_prefix_of_the_whole() {
        let tag: [u8; 32] = std::array::from_fn(|index| (index * 37 + 11) as u8);
        let whole = data_encoding::BASE32_NOPAD.encode(&tag).to_lowercase();
        assert_eq!(whole.len(), TAG_CHARACTERS);
        for characters in 0..=TAG_CHARACTERS {
            let text = Base32::new(&tag, characters);
            assert_eq!(text.first(characters), &whole.as_bytes()[..characters]);
        }
    }

    proptest! {
        #[test]
        fn tags_of_any_length_equal_the_librarys(
            key in any::<[u8; 32]>(),
            message in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mac = Mac::new(&Secret::new(key)).unwrap();
            let mut labelled = vec![b'v'];
            labelled.extend_from_slice(&message);
            prop_assert_eq!(mac.tag(Label::Value, &message).to_vec(), library(&key, &labelled));
        }
    }
}
