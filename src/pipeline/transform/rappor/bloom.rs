//! The Bloom filters of RAPPOR, bit for bit those of the published clients: which bits a value sets in a cohort, and
//! how bits lie in bytes. Draws no noise.
//!
//! MD5 spreads values over bits here; nothing depends on its being hard to invert.

/// The most bits: a byte of the digest names one.
pub(super) const BITS_MAX: i64 = 256;

/// The most hashes: a digest has so many bytes.
pub(super) const HASHES_MAX: i64 = 16;

/// Up to [`BITS_MAX`] bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Filter([u64; 4]);

impl Filter {
    /// The filter of one value: of the MD5 digest of the cohort (four bytes, the most significant first) and the
    /// value, each of the first `hashes` bytes sets a bit.
    pub(super) fn of(value: &[u8], cohort: u16, hashes: usize, bits: usize) -> Self {
        let text = [&u32::from(cohort).to_be_bytes(), value].concat();
        let mut filter = Self::default();
        for byte in md5(&text).into_iter().take(hashes) {
            if let Some(bit) = usize::from(byte).checked_rem(bits) {
                filter.set(bit);
            }
        }
        filter
    }

    /// Whether a bit is one.
    pub(super) fn has(&self, bit: usize) -> bool {
        self.0.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// Makes a bit one.
    pub(super) fn set(&mut self, bit: usize) {
        if let Some(word) = self.0.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    /// The first `bits` bits as bytes: the number of which bit 0 is the least, with its most significant byte first.
    pub(super) fn bytes(&self, bits: usize) -> impl Iterator<Item = u8> {
        let all = self.0.into_iter().rev().flat_map(u64::to_be_bytes);
        all.skip(32_usize.saturating_sub(bits / 8))
    }
}

/// The MD5 digest (RFC 1321).
fn md5(text: &[u8]) -> [u8; 16] {
    let mut padded = text.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend((text.len() as u64).wrapping_mul(8).to_le_bytes());
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let (blocks, _) = padded.as_chunks::<64>();
    for block in blocks {
        let [mut a, mut b, mut c, mut d] = state;
        let (words, _) = block.as_chunks::<4>();
        for (step, (sine, turn)) in SINES.into_iter().zip(turns()).enumerate() {
            let (mixed, place) = match step / 16 {
                0 => (b & c | !b & d, step),
                1 => (d & b | !d & c, 5 * step + 1),
                2 => (b ^ c ^ d, 3 * step + 5),
                _ => (c ^ (b | !d), 7 * step),
            };
            let word = words.get(place % 16).map_or(0, |word| u32::from_le_bytes(*word));
            let sum = a.wrapping_add(mixed).wrapping_add(sine).wrapping_add(word);
            (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(turn)));
        }
        state = [
            state[0].wrapping_add(a),
            state[1].wrapping_add(b),
            state[2].wrapping_add(c),
            state[3].wrapping_add(d),
        ];
    }
    let mut digest = state.into_iter().flat_map(u32::to_le_bytes);
    std::array::from_fn(|_| digest.next().unwrap_or(0))
}

/// By how many bits each of the 64 steps turns.
fn turns() -> impl Iterator<Item = u32> {
    let rounds = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    rounds.into_iter().flat_map(|round| round.into_iter().cycle().take(16))
}

/// The whole part of 2^32 times the sine of 1 to 64, without its sign.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn digest(text: &[u8]) -> String {
        HEXLOWER.encode(&md5(text))
    }

    #[test]
    fn digests_are_those_of_rfc_1321() {
        for (text, expected) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            (
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                "d174ab98d277d9f5a5611c2c9f419d9f",
            ),
            (&"1234567890".repeat(8), "57edf4a22be3c955ac49da2e2107b67a"),
        ] {
            assert_eq!(digest(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn digests_around_the_length_of_a_block_are_those_of_another_program() {
        // Python: hashlib.md5(b"".join(hashlib.md5(bytes(range(n))).digest() for n in range(200)))
        let all: Vec<u8> =
            (0..200_u8).flat_map(|length| md5(&(0..length).collect::<Vec<_>>())).collect();
        assert_eq!(digest(&all), "eefa41f088d589fcf4e0f2c1cfdb7a3f");
        let sines: Vec<u32> =
            (1..=64).map(|n| (f64::from(n).sin().abs() * 2_f64.powi(32)) as u32).collect();
        assert_eq!(sines, SINES);
    }

    /// Of google/rappor, analysis/tools/hash_candidates_test.py: two hashes into 16 bits, cohorts 0 to 3; a bit's
    /// number is 16 for each cohort before, and one more.
    #[test]
    fn bits_are_those_of_the_published_vectors() {
        for (value, expected) in [
            ("apple", [5, 1, 26, 26, 38, 34, 63, 62]),
            ("banana", [12, 14, 28, 24, 37, 34, 62, 49]),
            ("carrot", [4, 12, 25, 21, 48, 38, 61, 54]),
        ] {
            for (cohort, numbers) in (0_u16..).zip(expected.chunks(2)) {
                let mut filter = Filter::default();
                for number in numbers {
                    filter.set(number - 1 - 16 * usize::from(cohort));
                }
                assert_eq!(Filter::of(value.as_bytes(), cohort, 2, 16), filter, "{value} {cohort}");
            }
        }
    }

    /// Python: hashlib.md5(struct.pack(">L", cohort) + value).digest(), byte i modulo k.
    #[test]
    fn bits_are_those_of_an_independent_computation() {
        for (value, cohort, hashes, bits, expected) in [
            ("foo", 3, 2, 32, vec![4, 12]),
            ("", 0, 2, 128, vec![83, 113]),
            ("FermiGrid", 31, 2, 128, vec![43, 82]),
            (
                "größer",
                63,
                16,
                256,
                vec![3, 26, 51, 68, 89, 91, 127, 132, 137, 151, 154, 175, 209, 227, 231, 241],
            ),
            ("42", 1023, 5, 24, vec![7, 8, 10, 17, 19]),
            (
                "a value of more than one block, since a block has sixty-four bytes",
                7,
                1,
                8,
                vec![2],
            ),
        ] {
            let filter = Filter::of(value.as_bytes(), cohort, hashes, bits);
            let found: Vec<usize> = (0..BITS_MAX as usize).filter(|bit| filter.has(*bit)).collect();
            assert_eq!(found, expected, "{value} {cohort}");
        }
    }

    #[test]
    fn bit_0_is_the_last_of_the_last_byte() {
        let mut filter = Filter::default();
        for bit in [0, 9, 15, 70] {
            filter.set(bit);
        }
        assert_eq!(filter.bytes(16).collect::<Vec<_>>(), [0b1000_0010, 0b0000_0001]);
        assert_eq!(filter.bytes(72).collect::<Vec<_>>(), [64, 0, 0, 0, 0, 0, 0, 130, 1]);
        assert_eq!(filter.bytes(256).count(), 32);
    }
}
