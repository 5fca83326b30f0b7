//! The logarithm of the gamma function and its first two derivatives, for positive numbers, to about 13 digits:
//! the recurrence until the argument is large, then the asymptotic series.

/// Where the series begin.
const LARGE: f64 = 12.0;

/// ln gamma(x), x > 0.
pub fn ln_gamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < LARGE {
        below += x.ln();
        x += 1.0;
    }
    let (inverse, square) = (1.0 / x, 1.0 / (x * x));
    let series = inverse
        * (1.0 / 12.0
            - square
                * (1.0 / 360.0
                    - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square / 1188.0))));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - below
}

/// The derivative of ln gamma, x > 0.
pub fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < LARGE {
        below += 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = square
        * (1.0 / 12.0
            - square
                * (1.0 / 120.0 - square * (1.0 / 252.0 - square * (1.0 / 240.0 - square / 132.0))));
    x.ln() - 0.5 / x - series - below
}

/// The second derivative of ln gamma, x > 0.
pub fn trigamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < LARGE {
        below += 1.0 / (x * x);
        x += 1.0;
    }
    let (inverse, square) = (1.0 / x, 1.0 / (x * x));
    let series = inverse
        * square
        * (1.0 / 6.0
            - square
                * (1.0 / 30.0
                    - square * (1.0 / 42.0 - square * (1.0 / 30.0 - square * 5.0 / 66.0))));
    inverse + 0.5 * square + series + below
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) {
        assert!((one - other).abs() <= 1e-12 * other.abs().max(1.0), "{one} {other}");
    }

    #[test]
    fn known_values() {
        const GAMMA: f64 = 0.577_215_664_901_532_9;
        let pi = std::f64::consts::PI;
        near(ln_gamma(1.0), 0.0);
        near(ln_gamma(5.0), 24.0_f64.ln());
        near(ln_gamma(0.5), pi.sqrt().ln());
        near(ln_gamma(171.0), 706.573_062_245_787_4);
        near(digamma(1.0), -GAMMA);
        near(digamma(0.5), -GAMMA - 2.0 * 2.0_f64.ln());
        near(digamma(100.0), 4.600_161_852_738_087);
        near(trigamma(1.0), pi * pi / 6.0);
        near(trigamma(0.5), pi * pi / 2.0);
        let first: f64 = (1..30).map(|n| 1.0 / f64::from(n * n)).sum();
        near(trigamma(30.0), pi * pi / 6.0 - first);
    }

    #[test]
    fn derivatives_fit_together() {
        for x in [0.1, 0.7, 3.3, 11.9, 12.1, 250.0] {
            let h = 1e-5 * x;
            let slope = (ln_gamma(x + h) - ln_gamma(x - h)) / (2.0 * h);
            assert!((slope - digamma(x)).abs() < 1e-6 * digamma(x).abs().max(1.0), "{x}");
            let slope = (digamma(x + h) - digamma(x - h)) / (2.0 * h);
            assert!((slope - trigamma(x)).abs() < 1e-6 * trigamma(x), "{x}");
        }
    }
}
