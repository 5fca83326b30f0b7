//! Keys that stand in papers, RFCs, test vectors and examples. Whoever uses one as a master key has no
//! secret at all, so the providers refuse them. It cannot know every weak key; a key from `key init`
//! never is one.

use sha2::{Digest, Sha256};

/// Where a key was published, or what is wrong with it; `None` where it may be a secret.
pub fn published(key: &[u8; 32]) -> Option<&'static str> {
    if key.iter().all(|byte| Some(byte) == key.first()) {
        return Some("all bytes are equal");
    }
    let steps: Vec<u8> =
        key.iter().zip(key.iter().skip(1)).map(|(a, b)| b.wrapping_sub(*a)).collect();
    if steps.iter().all(|step| Some(step) == steps.first()) {
        return Some("the bytes count up or down in equal steps");
    }
    if let Some((_, name)) = WORDS.iter().find(|(word, _)| {
        Sha256::digest(word.as_bytes()).as_slice() == key || repeated(word.as_bytes()) == *key
    }) {
        return Some(name);
    }
    KEYS.iter()
        .find(|(bytes, _)| padded(bytes) == *key || repeated(bytes) == *key)
        .map(|(_, name)| *name)
}

/// A shorter key as people stretch it: zeros after it.
fn padded(bytes: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    for (to, from) in key.iter_mut().zip(bytes) {
        *to = *from;
    }
    key
}

/// A shorter key as people stretch it: itself again and again.
fn repeated(bytes: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    for (to, from) in key.iter_mut().zip(bytes.iter().cycle()) {
        *to = *from;
    }
    key
}

/// Words whose SHA-256, or which themselves, are used as keys in examples.
const WORDS: &[(&str, &str)] = &[
    ("", "the hash of nothing"),
    ("32-char-str-for-AES-key-and-pad.", "the sample key of Crypto-PAn libraries"),
    ("changeme", "the word `changeme`"),
    ("key", "the word `key`"),
    ("password", "the word `password`"),
    ("random-demo-key", "the key of a published notebook"),
    ("secret", "the word `secret`"),
    ("test", "the word `test`"),
];

/// Keys from papers, standards and test vectors, of 32 bytes or fewer.
const KEYS: &[(&[u8], &str)] = &[
    (
        &[
            21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16, 216, 152, 143, 131,
            121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2,
        ],
        "the sample key of Crypto-PAn",
    ),
    (b"\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b", "RFC 4231"),
    (
        b"\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b",
        "RFC 5869",
    ),
    (b"\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c", "RFC 4231"),
    (b"\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa", "RFC 4231"),
    (
        b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19",
        "RFC 4231",
    ),
    (b"Jefe", "RFC 4231"),
    (
        b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f",
        "FIPS 197",
    ),
    (
        b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17",
        "FIPS 197",
    ),
    (
        b"\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c",
        "the FF1 samples of NIST (128 bits)",
    ),
    (
        b"\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c\xef\x43\x59\xd8\xd5\x80\xaa\x4f",
        "the FF1 samples of NIST (192 bits)",
    ),
    (
        b"\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c\xef\x43\x59\xd8\xd5\x80\xaa\x4f\
          \x7f\x03\x6d\x6f\x04\xfc\x6a\x94",
        "the FF1 samples of NIST (256 bits)",
    ),
    (
        b"\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c\x3c\x4f\xcf\x09\x88\x15\xf7\xab\
          \xa6\xd2\xae\x28\x16\x15\x7e\x2b",
        "the ipcrypt draft",
    ),
    (
        b"\x60\x3d\xeb\x10\x15\xca\x71\xbe\x2b\x73\xae\xf0\x85\x7d\x77\x81\x1f\x35\x2c\x07\x3b\x61\x08\xd7\
          \x2d\x98\x10\xa3\x09\x14\xdf\xf4",
        "NIST SP 800-38A",
    ),
    (b"\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10", "the ipcrypt draft"),
    (b"\x10\x32\x54\x76\x98\xba\xdc\xfe\xef\xcd\xab\x89\x67\x45\x23\x01", "the ipcrypt draft"),
    (
        b"\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10\x10\x32\x54\x76\x98\xba\xdc\xfe\
          \xef\xcd\xab\x89\x67\x45\x23\x01",
        "the ipcrypt draft",
    ),
    (
        b"\x10\x32\x54\x76\x98\xba\xdc\xfe\xef\xcd\xab\x89\x67\x45\x23\x01\x01\x23\x45\x67\x89\xab\xcd\xef\
          \xfe\xdc\xba\x98\x76\x54\x32\x10",
        "the ipcrypt draft",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hex: &str) -> [u8; 32] {
        data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn equal_and_counting_bytes_are_refused() {
        assert_eq!(published(&[0; 32]), Some("all bytes are equal"));
        assert_eq!(published(&[0x55; 32]), Some("all bytes are equal"));
        let up = std::array::from_fn(|position| u8::try_from(position).unwrap());
        assert_eq!(published(&up), Some("the bytes count up or down in equal steps"));
        let down = std::array::from_fn(|position| 31 - u8::try_from(position).unwrap());
        assert_eq!(published(&down), Some("the bytes count up or down in equal steps"));
    }

    #[test]
    fn keys_of_papers_and_standards_are_refused() {
        let cases = [
            (
                "1522178d33a4cf80130a5b1649907d10d8988f8379796527624c4c2d2a842202",
                None, // One byte differs from the sample key of Crypto-PAn.
            ),
            (
                "1522178d33a4cf80130a5b1649907d10d8988f837979652762574c2d2a842202",
                Some("the sample key of Crypto-PAn"),
            ),
            (
                "2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94",
                Some("the FF1 samples of NIST (256 bits)"),
            ),
            (
                "2b7e151628aed2a6abf7158809cf4f3c00000000000000000000000000000000",
                Some("the FF1 samples of NIST (128 bits)"),
            ),
            (
                "2b7e151628aed2a6abf7158809cf4f3c2b7e151628aed2a6abf7158809cf4f3c",
                Some("the FF1 samples of NIST (128 bits)"),
            ),
            ("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b000000000000000000000000", Some("RFC 4231")),
            ("4a65666500000000000000000000000000000000000000000000000000000000", Some("RFC 4231")),
            (
                "0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301",
                Some("the ipcrypt draft"),
            ),
            (
                "33322d636861722d7374722d666f722d4145532d6b65792d616e642d7061642e",
                Some("the sample key of Crypto-PAn libraries"),
            ),
            // sha256("random-demo-key"), computed with coreutils.
            (
                "8066a551361597cd44eb2fc236ab07c41f5c9dcb585563f24b067d0305d18a91",
                Some("the key of a published notebook"),
            ),
            // sha256(""), FIPS 180-4.
            (
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                Some("the hash of nothing"),
            ),
        ];
        for (hex, expected) in cases {
            assert_eq!(published(&key(hex)), expected, "{hex}");
        }
    }

    #[test]
    fn a_random_key_may_be_a_secret() {
        let mut key = [0; 32];
        getrandom::fill(&mut key).unwrap();
        assert_eq!(published(&key), None);
    }
}
