//! The keyed order by which a unit's rows and groups are chosen: SipHash-2-4 (Aumasson and Bernstein, 2012)
//! under keys of the key ring. Chooses nothing.

use zeroize::Zeroize;

use crate::error::{Code, Error, Result};
use crate::keys::ColumnKeys;
use crate::pipeline::noise::question::GroupId;

/// The scheme that the keys of samples are derived for.
const SCHEME: &str = "sample";

/// In which order a unit's rows and groups are kept.
///
/// PRIVACY: the order depends on the key, the unit, and what the row or the group itself holds; on nothing
/// of other units, and not on where in the files a row lies. So a unit that joins or leaves moves nobody
/// else's rows.
pub(super) struct Order {
    contents: Sip,
    others: Sip,
    groups: Sip,
    rows: Sip,
}

impl Order {
    /// The order under the keys of a dataset.
    ///
    /// # Errors
    /// [`Code::Keys`] when the ring has no such epoch.
    pub(super) fn new(keys: &ColumnKeys) -> Result<Self> {
        let key = keys.derive::<64>(SCHEME)?;
        let mut parts = key.expose().as_chunks::<16>().0.iter().map(Sip::new);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(contents), Some(groups), Some(rows), Some(others)) => {
                Ok(Self { contents, others, groups, rows })
            }
            _ => Err(Error::new(Code::Internal, "a key of 64 bytes has four parts")),
        }
    }

    /// What stands for a group's key, given as bytes: hashes under two keys. The first alone is what orders.
    ///
    /// INVARIANT: two keys have the same with a chance of 2^-128; any two of 2^40 with one under 2^-48.
    pub(super) fn group_id(&self, key: &[u8]) -> GroupId {
        [self.contents.bytes(key), self.others.bytes(key)]
    }

    /// The place of a group among a unit's.
    #[inline]
    pub(super) fn group(&self, unit: u64, content: u64) -> u64 {
        let mut state = self.groups.state();
        state.absorb(unit);
        state.absorb(content);
        state.finish(0)
    }

    /// What the places of a unit's rows in a group begin with.
    #[inline]
    pub(super) fn rows(&self, unit: u64, content: u64) -> State {
        let mut state = self.rows.state();
        state.absorb(unit);
        state.absorb(content);
        state
    }
}

/// SipHash-2-4 under one key.
struct Sip([u64; 4]);

impl Sip {
    fn new(key: &[u8; 16]) -> Self {
        let [low, high] = [0, 8].map(|at| {
            let half = key.get(at..).and_then(<[u8]>::first_chunk).copied();
            u64::from_le_bytes(half.unwrap_or_default())
        });
        // The constants of the paper, section 2.1.
        Self([
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        ])
    }

    const fn state(&self) -> State {
        State { v: self.0, bytes: 0 }
    }

    fn bytes(&self, message: &[u8]) -> u64 {
        let mut state = self.state();
        let (words, rest) = message.as_chunks::<8>();
        for word in words {
            state.absorb(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (place, byte) in last.iter_mut().zip(rest) {
            *place = *byte;
        }
        state.bytes = state.bytes.wrapping_add(rest.len() as u64);
        state.finish(u64::from_le_bytes(last))
    }
}

impl Drop for Sip {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A hash that is not finished.
#[derive(Clone, Copy)]
pub(super) struct State {
    v: [u64; 4],
    bytes: u64,
}

impl State {
    /// Takes eight bytes more.
    #[inline]
    pub(super) fn absorb(&mut self, word: u64) {
        self.compress(word);
        self.bytes = self.bytes.wrapping_add(8);
    }

    #[inline]
    fn compress(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.round();
        self.v[0] ^= word;
    }

    /// The hash; `rest` is what no word was full of.
    #[inline]
    pub(super) fn finish(mut self, rest: u64) -> u64 {
        let length = self.bytes << 56;
        self.compress(length | rest);
        self.v[2] ^= 0xff;
        for _ in 0..4 {
            self.round();
        }
        let [a, b, c, d] = self.v;
        a ^ b ^ c ^ d
    }

    #[inline]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.v;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.v = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::keys::{KeyRing, Secret};

    #[test]
    fn the_hash_is_that_of_the_paper() {
        // Appendix A: the key 00 01 .. 0f and the message 00 01 .. 0e.
        let key: [u8; 16] = std::array::from_fn(|at| at as u8);
        let message: Vec<u8> = (0..15).collect();
        assert_eq!(Sip::new(&key).bytes(&message), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn datasets_partners_and_uses_have_orders_of_their_own() {
        let ring = Arc::new(KeyRing::new(vec![(1, Secret::new([7; 32]))]).unwrap());
        let order = |domain: &str, audience: Option<&str>| {
            Order::new(&ColumnKeys::new(Arc::clone(&ring), domain, audience, 1)).unwrap()
        };
        let jobs = order("sample:jobs", Some("cern"));
        assert_eq!(jobs.group(1, 2), order("sample:jobs", Some("cern")).group(1, 2));
        assert_ne!(jobs.group(1, 2), order("sample:runs", Some("cern")).group(1, 2));
        assert_ne!(jobs.group(1, 2), order("sample:jobs", Some("desy")).group(1, 2));
        assert_ne!(jobs.group(1, 2), jobs.rows(1, 2).finish(0));
        assert_ne!(jobs.group(1, 2), jobs.group(2, 1));
    }

    proptest! {
        #[test]
        fn messages_of_any_length_hash_as_in_the_standard_library(
            key in any::<[u8; 16]>(),
            message in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            #[expect(deprecated, reason = "nothing else in the library has the algorithm by name")]
            let theirs = {
                use std::hash::{Hasher, SipHasher};
                let half = |at: usize| u64::from_le_bytes(key[at..at + 8].try_into().unwrap());
                let mut hasher = SipHasher::new_with_keys(half(0), half(8));
                hasher.write(&message);
                hasher.finish()
            };
            prop_assert_eq!(Sip::new(&key).bytes(&message), theirs);
        }
    }
}
