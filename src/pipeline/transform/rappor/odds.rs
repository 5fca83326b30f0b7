//! The chances of RAPPOR in whole numbers, what they cost, and the two responses made with them. Where coins come
//! from is said by who asks.

use super::bloom::Filter;

/// Chances are given in millionths.
pub(super) const PARTS: i128 = 1_000_000;

/// All numbers of 64 bits.
const ALL: u128 = 1 << 64;

/// With which chances bits lie.
///
/// PRIVACY: each chance is one of 2^64 parts. What is rounded is rounded to more noise, so that no odds are above
/// those stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Odds {
    /// Below how many of 2^64 numbers a permanent bit is the opposite: half of `f`, rounded up.
    lie: u128,
    /// The same for a report's bit to be one where the permanent bit is not: `p`, rounded up.
    zero: u128,
    /// And where it is: `q`, rounded down.
    one: u128,
}

impl Odds {
    /// From millionths; nothing where these are no chances, where all bits are true, or where reports tell nothing.
    pub(super) fn new(f: i128, p: i128, q: i128) -> Option<Self> {
        if f <= 0 || f >= PARTS || p < 0 || p >= q || q > PARTS {
            return None;
        }
        let parts = |number: i128| u128::try_from(number).ok();
        let (f, p, q, all) = (parts(f)?, parts(p)?, parts(q)?, parts(PARTS)?);
        Some(Self {
            lie: (f * ALL).div_ceil(2 * all),
            zero: (p * ALL).div_ceil(all),
            one: q * ALL / all,
        })
    }

    /// The permanent response to a filter: each bit is the opposite with half the chance `f`.
    ///
    /// `draw` gives four numbers for a kind of number and a place, always the same ones.
    pub(super) fn permanent(
        &self,
        filter: &Filter,
        bits: usize,
        draw: impl Fn(u8, u8) -> [u64; 4],
    ) -> Filter {
        let lies = coins(bits, |_| self.lie, draw);
        of(bits, |bit| filter.has(bit) != lies.has(bit))
    }

    /// A report of a permanent response: each bit is one with the chance `q` where it is, `p` where it is not.
    pub(super) fn report(
        &self,
        permanent: &Filter,
        bits: usize,
        draw: impl Fn(u8, u8) -> [u64; 4],
    ) -> Filter {
        coins(bits, |bit| if permanent.has(bit) { self.one } else { self.zero }, draw)
    }

    /// Whether a report is the permanent response itself.
    pub(super) fn is_one_time(&self) -> bool {
        self.zero == 0 && self.one == ALL
    }

    /// The privacy loss of a value over all its reports: two filters differ in at most twice as many bits as there
    /// are hashes.
    pub(super) fn epsilon(&self, hashes: usize) -> f64 {
        let lie = self.lie as f64 / ALL as f64;
        2.0 * hashes as f64 * ((1.0 - lie) / lie).ln()
    }

    /// The privacy loss of one report alone: `q*` and `p*` of the paper are the chances that a bit which the value
    /// sets, and one which it does not, is one in the report.
    pub(super) fn epsilon_of_report(&self, hashes: usize) -> f64 {
        let (one, zero) = (self.chance(true), self.chance(false));
        hashes as f64 * (one * (1.0 - zero) / (zero * (1.0 - one))).ln()
    }

    /// The chance that a bit of a report is one, by whether the value sets it.
    pub(super) fn chance(&self, set: bool) -> f64 {
        let part = |number: u128| number as f64 / ALL as f64;
        let lie = part(self.lie);
        let true_one = if set { 1.0 - lie } else { lie };
        true_one * part(self.one) + (1.0 - true_one) * part(self.zero)
    }
}

/// A filter by its bits.
fn of(bits: usize, is_one: impl Fn(usize) -> bool) -> Filter {
    let mut filter = Filter::default();
    (0..bits).filter(|bit| is_one(*bit)).for_each(|bit| filter.set(bit));
    filter
}

/// A coin a bit, one where a number of 64 bits is below the bar. Its first byte decides but for one case in 256, so
/// that one draw serves 32 bits; only then the other seven bytes are drawn.
fn coins(bits: usize, bar: impl Fn(usize) -> u128, draw: impl Fn(u8, u8) -> [u64; 4]) -> Filter {
    let mut filter = Filter::default();
    for (block, start) in (0_u8..).zip((0..bits).step_by(32)) {
        let bytes = draw(FIRST, block).into_iter().flat_map(u64::to_be_bytes);
        for (bit, byte) in (start..bits).zip(bytes) {
            let (bar, byte) = (bar(bit), u128::from(byte));
            let below = byte < bar >> 56
                || byte == bar >> 56 && {
                    let rest = bar & (u128::from(u64::MAX) >> 8);
                    // At most 256 bits, so the number of one is a byte.
                    rest > 0 && u128::from(draw(REST, bit as u8)[0] >> 8) < rest
                };
            if below {
                filter.set(bit);
            }
        }
    }
    filter
}

/// The kinds of numbers that are drawn: the first bytes of 32 bits, and the rest of one.
const FIRST: u8 = 0;
const REST: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn odds(f: f64, p: f64, q: f64) -> Odds {
        let parts = |chance: f64| (chance * PARTS as f64).round() as i128;
        Odds::new(parts(f), parts(p), parts(q)).unwrap()
    }

    /// With different strengths, among them the one-time variant and the defaults.
    fn all() -> Vec<(f64, f64, f64)> {
        vec![
            (0.5, 0.5, 0.75),
            (0.5, 0.0, 1.0),
            (0.25, 0.35, 0.65),
            (0.000_1, 0.000_001, 1.0),
            (0.99, 0.0, 0.000_001),
            (0.333_333, 0.1, 0.9),
        ]
    }

    /// The chance of a response, given what the value sets: a product over bits.
    fn likelihood(of: u8, set: u8, one: f64, zero: f64) -> f64 {
        (0..8).fold(1.0, |product, bit| {
            let chance = if set >> bit & 1 == 1 { one } else { zero };
            product * if of >> bit & 1 == 1 { chance } else { 1.0 - chance }
        })
    }

    /// PRIVACY: every response of eight bits to every two filters of up to two hashes.
    #[test]
    fn no_odds_are_above_e_to_the_epsilon_and_some_reach_it() {
        let filters: Vec<u8> =
            (0..8_u8).flat_map(|a| (0..8).map(move |b| 1 << a | 1 << b)).collect();
        for (f, p, q) in all() {
            let odds = odds(f, p, q);
            let lie = odds.lie as f64 / ALL as f64;
            let chances = [(1.0 - lie, lie), (odds.chance(true), odds.chance(false))];
            for ((one, zero), epsilon) in
                chances.into_iter().zip([odds.epsilon(2), odds.epsilon_of_report(2)])
            {
                let mut greatest = 0.0_f64;
                for response in 0..=u8::MAX {
                    for (first, second) in
                        filters.iter().flat_map(|a| filters.iter().map(move |b| (*a, *b)))
                    {
                        let likely = |set| likelihood(response, set, one, zero);
                        greatest = greatest.max(likely(first) / likely(second));
                    }
                }
                assert!(greatest.ln() <= epsilon + 1e-9, "{f} {p} {q}: {greatest} {epsilon}");
                assert!(greatest.ln() > epsilon - 1e-9, "{f} {p} {q}: {greatest} {epsilon}");
            }
        }
    }

    #[test]
    fn chances_are_those_stated_and_what_is_rounded_is_rounded_to_noise() {
        for (f, p, q) in all() {
            let odds = odds(f, p, q);
            let exact = |parts: u128, chance: f64| {
                let stated = (chance * PARTS as f64).round() as u128;
                parts * PARTS as u128 - stated * ALL
            };
            assert!(exact(2 * odds.lie, f) < 2 * PARTS as u128, "{f}");
            assert!(exact(odds.zero, p) < PARTS as u128, "{p}");
            let stated = (q * PARTS as f64).round() as u128;
            assert!(stated * ALL - odds.one * (PARTS as u128) < PARTS as u128, "{q}");
        }
    }

    #[test]
    fn what_the_paper_says_of_its_own_settings() {
        let odds = odds(0.5, 0.5, 0.75);
        assert!((odds.epsilon(2) - 4.0 * 3_f64.ln()).abs() < 1e-12);
        assert!((odds.epsilon_of_report(2) - 1.074).abs() < 1e-3);
        assert!((odds.chance(true) - 0.6875).abs() < 1e-12);
        assert!((odds.chance(false) - 0.5625).abs() < 1e-12);
        let once = self::odds(0.5, 0.0, 1.0);
        assert!(once.is_one_time() && !odds.is_one_time());
        assert!((once.epsilon_of_report(2) - once.epsilon(2)).abs() < 1e-12);
    }

    #[test]
    fn chances_that_are_none_are_refused() {
        for (f, p, q) in [
            (0, 1, 2),
            (PARTS, 1, 2),
            (-1, 1, 2),
            (1, 2, 2),
            (1, 3, 2),
            (1, -1, 2),
            (1, 0, PARTS + 1),
        ] {
            assert_eq!(Odds::new(f, p, q), None, "{f} {p} {q}");
        }
    }

    /// The bit at the bar itself, which first bytes alone do not decide.
    #[test]
    fn a_coin_is_one_for_exactly_the_numbers_below_its_bar() {
        let bar = 0x1234_5678_9abc_def0_u64;
        for (number, below) in
            [(0, true), (bar - 1, true), (bar, false), (bar + 1, false), (u64::MAX, false)]
        {
            let draw = |kind, _| match kind {
                FIRST => [u64::from(number.to_be_bytes()[0]) * 0x0101_0101_0101_0101; 4],
                _ => [number << 8, 0, 0, 0],
            };
            let drawn = coins(40, |_| bar.into(), draw);
            assert!((0..40).all(|bit| drawn.has(bit) == below), "{number:x}");
            assert_eq!(coins(40, |_| 0, draw), Filter::default());
            assert_eq!(coins(40, |_| ALL, draw), of(40, |_| true));
        }
    }

    #[test]
    fn every_bit_has_a_coin_of_its_own() {
        let asked = std::cell::RefCell::new(Vec::new());
        coins(
            72,
            |_| (7 << 56) + 1,
            |kind, place| {
                asked.borrow_mut().push((kind, place));
                [u64::from_be_bytes([7; 8]); 4]
            },
        );
        let asked = asked.into_inner();
        let mut rest: Vec<u8> = asked.iter().filter(|ask| ask.0 == REST).map(|ask| ask.1).collect();
        rest.dedup();
        assert_eq!(rest, (0..72).collect::<Vec<_>>());
        let first = asked.iter().filter(|ask| ask.0 == FIRST).map(|ask| ask.1);
        assert_eq!(first.collect::<Vec<_>>(), [0, 1, 2]);
    }
}
