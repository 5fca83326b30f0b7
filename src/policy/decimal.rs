//! Exact non-negative decimals: what privacy budgets are written, counted and compared in. Knows no
//! budgets, and no floating point.

use std::fmt;
use std::str::FromStr;

/// Digits behind the point.
pub const PLACES: usize = 30;
/// One, in units of the last place.
const ONE: u128 = 10_u128.pow(PLACES as u32);

/// A decimal from 0 to about 340 million with 30 digits behind the point, added and compared exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(u128);

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many units of the last place, 10^-30.
    pub const fn of_units(units: u128) -> Self {
        Self(units)
    }

    /// In units of the last place, 10^-30.
    pub const fn units(self) -> u128 {
        self.0
    }

    /// How many units of the last place make one.
    pub const fn one() -> u128 {
        ONE
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Both together; `None` where it is too large.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// What is left; `None` where `other` is more.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// A part of it, rounded down. Nothing of nothing parts.
    #[must_use]
    pub fn over(self, parts: u64) -> Self {
        Self(self.0.checked_div(u128::from(parts)).unwrap_or(0))
    }

    /// The nearest floating-point number, for what needs no exactness: words, plots, estimates.
    pub fn approximate(self) -> f64 {
        // The text of a decimal is always a number.
        self.to_string().parse().unwrap_or(f64::NAN)
    }
}

/// Why a text is no [`Decimal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoDecimal;

impl fmt::Display for NoDecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no decimal of at most {PLACES} digits behind the point")
    }
}

impl std::error::Error for NoDecimal {}

impl FromStr for Decimal {
    type Err = NoDecimal;

    /// Reads `0.1`, `3` and `1e-8`; no sign, no blanks, no infinity.
    fn from_str(text: &str) -> Result<Self, NoDecimal> {
        let (mantissa, exponent) = match text.split_once('e') {
            None => (text, 0),
            Some((mantissa, exponent)) => {
                let zeros = exponent.strip_prefix('-').ok_or(NoDecimal)?;
                (mantissa, digits(zeros)?.parse::<usize>().map_err(|_| NoDecimal)?)
            }
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let (whole, fraction) = (digits(whole)?, digits(fraction)?.trim_end_matches('0'));
        let places = fraction.len().checked_add(exponent).ok_or(NoDecimal)?;
        let number: u128 = format!("{whole}{fraction}").parse().map_err(|_| NoDecimal)?;
        if number == 0 {
            return Ok(Self::ZERO);
        }
        let scale = PLACES.checked_sub(places).and_then(|scale| u32::try_from(scale).ok());
        let scale = 10_u128.checked_pow(scale.ok_or(NoDecimal)?).ok_or(NoDecimal)?;
        number.checked_mul(scale).map(Self).ok_or(NoDecimal)
    }
}

/// The text, where it is digits and nothing else.
fn digits(text: &str) -> Result<&str, NoDecimal> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { Ok(text) } else { Err(NoDecimal) }
}

impl fmt::Display for Decimal {
    /// Written out, without needless zeros: `3`, `0.1`, `0.00000001`. Read again it is the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:030}", self.0 % ONE);
        let text = format!("{}.{}", self.0 / ONE, fraction.trim_end_matches('0'));
        f.pad(text.strip_suffix('.').unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for (text, shown) in [
            ("3.0", "3"),
            ("0.1", "0.1"),
            ("1e-8", "0.00000001"),
            ("2.50e-3", "0.0025"),
            ("0", "0"),
            ("20", "20"),
            ("0.000000000000000000000000000001", "0.000000000000000000000000000001"),
        ] {
            let read: Decimal = text.parse().unwrap();
            assert_eq!(read.to_string(), shown);
            assert_eq!(read.to_string().parse::<Decimal>().unwrap(), read);
        }
        let tenth: Decimal = "0.1".parse().unwrap();
        assert_eq!(tenth.plus(tenth).and_then(|sum| sum.plus(tenth)), "0.3".parse().ok());
        assert_eq!(tenth.minus("0.2".parse().unwrap()), None);
    }

    #[test]
    fn what_is_no_plain_number_is_refused() {
        let long = format!("0.{}1", "0".repeat(30));
        for text in [
            "", " 1", "-1", "+1", "NaN", "inf", "1e8", "1e", "1e-", "1.", ".5", "1,5", "0x1",
            "1e-31", &long,
        ] {
            assert_eq!(text.parse::<Decimal>(), Err(NoDecimal), "`{text}`");
        }
        assert_eq!("340282367".parse::<Decimal>(), Err(NoDecimal));
        assert_eq!("0e-99".parse::<Decimal>(), Ok(Decimal::ZERO));
    }
}
