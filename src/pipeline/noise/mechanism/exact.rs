//! Bounds of roots and of the exponential function in whole numbers, and fractions that floating point
//! holds. Each rounds in the one direction that its name says. Knows nothing of privacy.

use dashu::base::{BitTest, SquareRootRem};
use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;

use crate::error::{Code, Error, Result};

/// Bits behind the point of [`exp_over`] and [`exp_under`]: `2^-320` is under `10^-96`.
const BITS: usize = 320;
/// Bits that roots are precise to.
const ROOT_BITS: usize = 64;

/// The root, or the least fraction above it that is at hand: over by less than one part in `2^30`. Exact for
/// squares of fractions.
pub(super) fn root_over(square: &RBig) -> RBig {
    let (numerator, denominator) =
        (square.numerator().clone().into_parts().1, square.denominator());
    let ((top, top_rest), (bottom, bottom_rest)) = (numerator.sqrt_rem(), denominator.sqrt_rem());
    if top_rest == UBig::ZERO && bottom_rest == UBig::ZERO {
        return RBig::from_parts(IBig::from(top), bottom);
    }
    // ceil(square * 4^places) has a root that is precise enough and divided by 2^places.
    let short = denominator.bit_len().saturating_sub(numerator.bit_len());
    let places = ROOT_BITS + short / 2;
    let scaled = over(&(numerator << (2 * places)), denominator);
    let (root, rest) = scaled.sqrt_rem();
    let root = if rest == UBig::ZERO { root } else { root + UBig::ONE };
    RBig::from_parts(IBig::from(root), UBig::ONE << places)
}

/// The least floating-point number that is not less, as a fraction.
pub(super) fn float_over(number: &RBig) -> Result<RBig> {
    let near = number.to_f64().value();
    let exact = |float: f64| RBig::try_from(float).ok();
    let fits = |float: &f64| exact(*float).is_some_and(|float| float >= *number);
    let float = [near, near.next_up()].into_iter().find(fits).and_then(exact);
    float.ok_or_else(|| Error::new(Code::NoisyOnly, "so little epsilon has no answer"))
}

/// At least `exp(-x)`, for an `x` that is not negative.
pub(super) fn exp_over(x: &RBig) -> RBig {
    exp(x, true)
}

/// At most `exp(-x)`, for an `x` that is not negative.
pub(super) fn exp_under(x: &RBig) -> RBig {
    exp(x, false)
}

/// A quotient, rounded up.
fn over(dividend: &UBig, divisor: &UBig) -> UBig {
    (dividend + divisor - UBig::ONE) / divisor
}

/// `exp(-x)` by way of `exp(-y)^(2^h)` with `y = x / 2^h` under one half, and `1 / exp(y)` from the power series
/// of `exp(y)`, whose terms are positive. In units of `2^-BITS`, every step rounded in the same direction.
fn exp(x: &RBig, up: bool) -> RBig {
    let one = UBig::ONE << BITS;
    // Far below a unit of the last place.
    if *x > RBig::from(4096) {
        let least = if up { UBig::ONE } else { UBig::ZERO };
        return RBig::from_parts(IBig::from(least), one);
    }
    let round = |dividend: UBig, divisor: &UBig| {
        if up { over(&dividend, divisor) } else { dividend / divisor }
    };
    let halvings = x.ceil().into_parts().1.bit_len() + 1;
    let numerator = x.numerator().clone().into_parts().1;
    let divisor = x.denominator() << halvings;
    // For exp(-x) to be over, y and each term of the series are under.
    let scaled = numerator << BITS;
    let y = if up { scaled / &divisor } else { over(&scaled, &divisor) };
    let (mut sum, mut term) = (one.clone(), one.clone());
    // y < 1/2, so the terms after the n-th sum to less than twice the next: 2^-80 / 80! is under 2^-460.
    for n in 1_u32..=80 {
        let divisor = &one * UBig::from(n);
        let product = &term * &y;
        term = if up { product / &divisor } else { over(&product, &divisor) };
        sum += &term;
    }
    if !up {
        sum += UBig::from(2_u8);
    }
    let mut power = round(&one * &one, &sum);
    for _ in 0..halvings {
        power = round(&power * &power, &one);
    }
    RBig::from_parts(IBig::from(power), one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fraction(top: i64, bottom: u64) -> RBig {
        RBig::from_parts(IBig::from(top), UBig::from(bottom))
    }

    #[test]
    fn roots_are_over_by_little_and_exact_for_squares() {
        assert_eq!(root_over(&fraction(25, 4)), fraction(5, 2));
        assert_eq!(root_over(&fraction(0, 1)), fraction(0, 1));
        for (top, bottom) in [(2, 1), (1, 3), (7, 1_000_003), (1, u64::MAX), (i64::MAX, 3)] {
            let square = fraction(top, bottom);
            let root = root_over(&square);
            assert!(root.clone() * &root >= square);
            let less = root * fraction((1 << 30) - 1, 1 << 30);
            assert!(less.clone() * less < square, "{top}/{bottom}");
        }
    }

    #[test]
    fn exponentials_are_between_their_bounds_which_are_close() {
        for (top, bottom) in [(0, 1), (1, 1), (1, 2), (1, 1_000_000_007), (50, 7), (60, 1)] {
            let x = fraction(top, bottom);
            let (under, over) = (exp_under(&x), exp_over(&x));
            assert!(under <= over);
            let apart = (over.clone() - &under).to_f64().value();
            assert!(apart < 1e-85, "{apart}");
            let expected = (-x.to_f64().value()).exp();
            assert!((over.to_f64().value() / expected - 1.0).abs() < 1e-13, "{top}/{bottom}");
        }
        // 41 digits of 1/e, from a table.
        let digits: RBig =
            "36787944117144232159552377016146086744581/100000000000000000000000000000000000000000"
                .parse()
                .unwrap();
        assert!(exp_under(&fraction(1, 1)) > digits);
        let next = digits + RBig::from_parts(IBig::ONE, UBig::from(10_u8).pow(41));
        assert!(exp_over(&fraction(1, 1)) < next);
        assert_eq!(exp_under(&fraction(5000, 1)), fraction(0, 1));
        assert!(exp_over(&fraction(5000, 1)) > fraction(0, 1));
    }

    #[test]
    fn floats_are_not_less_than_what_they_stand_for() {
        for (top, bottom) in [(1, 3), (2, 3), (1, 10), (i64::MAX, 7), (3, 2)] {
            let number = fraction(top, bottom);
            let over = float_over(&number).unwrap();
            assert!(over >= number && over <= number * fraction((1 << 50) + 1, 1 << 50));
        }
        assert_eq!(float_over(&fraction(3, 2)).unwrap(), fraction(3, 2));
        let huge = RBig::from(UBig::ONE << 2000);
        assert_eq!(float_over(&huge).unwrap_err().code(), Code::NoisyOnly);
    }
}
