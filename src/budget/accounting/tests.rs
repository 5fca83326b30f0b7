//! Against published values, and every rounding against the spender.

use proptest::prelude::*;

use super::*;

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn loss(epsilon: &str, delta: &str) -> Loss {
    Loss { epsilon: d(epsilon), delta: d(delta) }
}

fn near(one: Decimal, other: f64, within: f64) {
    assert!((one.approximate() - other).abs() <= within, "{one} is not {other}");
}

#[test]
fn logarithms_are_between_their_bounds() {
    let known = [
        // ln 2, ln 10 and ln(1/3), 48 digits (OEIS A002162, A002392, A002391).
        (2_u8, 1_u8, "693147180559945309417232121458176568075500134360"),
        (10, 1, "2302585092994045684017991454684364207601101488628"),
        (1, 3, "-1098612288668109691395245236922525704647490557822"),
        (1, 1, "0"),
    ];
    for (of, by, expected) in known {
        let expected: IBig = expected.parse().unwrap();
        let (low, high) = logarithm(&of.into(), &by.into());
        assert!(low <= expected && expected <= high, "ln({of}/{by})");
        assert!(high - low < IBig::from(10_000), "ln({of}/{by})");
    }
}

/// Google's dp-accounting 0.4 (rdp_privacy_accountant_test.py): a Gaussian with this multiplier has epsilon 1
/// at delta 1e-6 when the order is free; rho = 1 / (2 multiplier^2).
#[test]
fn the_conversion_is_as_tight_as_published() {
    let rho = 1.0 / (2.0 * 4.530_877_117_f64.powi(2));
    let rho = d(&format!("{rho:.20}"));
    near(epsilon_max(rho, d("1e-6")).unwrap(), 1.0, 1e-7);
    near(rho_max(d("1"), d("1e-6")), rho.approximate(), 1e-8);
    // Never more than the simpler bound of Bun and Steinke: rho + 2 sqrt(rho ln(1/delta)).
    for (rho, delta) in [("2.56", "1e-10"), ("0.07", "1e-10"), ("0.005", "5e-7"), ("11.5", "1e-8")]
    {
        let (r, l) = (d(rho).approximate(), -d(delta).approximate().ln());
        let epsilon = epsilon_max(d(rho), d(delta)).unwrap().approximate();
        let simple = r + 2.0 * (r * l).sqrt();
        assert!(epsilon < simple && epsilon > 0.8 * simple, "{rho} {delta}: {epsilon} {simple}");
    }
}

#[test]
fn rounding_is_against_the_spender() {
    assert_eq!(rho_of(d("1")), Some(d("0.5")));
    assert_eq!(rho_of(d("0.1")), Some(d("0.005")));
    // The square of the last place is nothing that is counted; it costs the last place.
    assert_eq!(rho_of(Decimal::of_units(1)), Some(Decimal::of_units(1)));
    assert_eq!(rho_of(Decimal::ZERO), Some(Decimal::ZERO));
    assert_eq!(rho_of(d("30000")), None, "too large to be counted");
    assert_eq!(epsilon_of(d("0.5")), d("1"));
    assert_eq!(epsilon_of(d("0.005")), d("0.1"));
    assert_eq!(epsilon_of(Decimal::ZERO), Decimal::ZERO);
    assert_eq!(rho_max(d("1"), Decimal::ZERO), Decimal::ZERO);
    assert_eq!(epsilon_max(d("1"), Decimal::ZERO), None);
    assert_eq!(epsilon_max(Decimal::ZERO, Decimal::ZERO), Some(Decimal::ZERO));
}

#[test]
fn ten_tenths_are_one_and_the_eleventh_is_too_much() {
    let limit = Limit::new(Accounting::Pure, loss("1", "1e-8"));
    let mut sum = Sum::default();
    for _ in 0..10 {
        sum = sum.plus(loss("0.1", "1e-9")).unwrap();
        assert!(limit.covers(&sum));
    }
    assert_eq!((sum.epsilon, sum.delta), (d("1"), d("1e-8")));
    assert_eq!(limit.largest(&sum), Loss::default());
    assert!(!limit.covers(&sum.plus(loss("0.000000000000000000000000000001", "0")).unwrap()));
    assert!(!limit.covers(&sum.plus(loss("0", "1e-30")).unwrap()));
    // 0.005 is the rho of each.
    assert_eq!(sum.rho, d("0.05"));
}

#[test]
fn half_of_delta_converts_and_half_pays_for_thresholds() {
    let total = loss("3", "1e-8");
    let limit = Limit::new(Accounting::Zcdp, total);
    let rho = rho_max(d("3"), d("5e-9"));
    assert_eq!(limit.rho, Some(rho));
    let all = Sum { rho, delta: d("5e-9"), ..Sum::default() };
    assert!(limit.covers(&all));
    assert!(!limit.covers(&Sum { delta: d("5.1e-9"), ..all }));
    assert!(!limit.covers(&Sum { rho: rho.plus(Decimal::of_units(1)).unwrap(), ..all }));
    let spent = limit.spent(&all);
    assert_eq!(spent.delta, total.delta);
    near(spent.epsilon, 3.0, 1e-9);
    assert_eq!(limit.spent(&Sum::default()), Loss::default());
    let largest = limit.largest(&Sum::default());
    assert_eq!(largest.delta, d("5e-9"));
    assert!(limit.covers(&Sum::default().plus(largest).unwrap()));
    // A hundred statements of 0.05 cost epsilon 5 under pure accounting, and far less here.
    let mut sum = Sum::default();
    for _ in 0..100 {
        sum = sum.plus(loss("0.05", "0")).unwrap();
    }
    assert_eq!(sum.rho, d("0.125"));
    near(limit.spent(&sum).epsilon, 2.8, 0.2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn there_and_back_never_gains(
        epsilon in 1_u128..20_000_000, delta in 1_u128..10_000_000
    ) {
        let epsilon = Decimal::of_units(epsilon * 10_u128.pow(24));
        let delta = Decimal::of_units(delta * 10_u128.pow(18));
        let rho = rho_of(epsilon).unwrap();
        prop_assert!(epsilon_of(rho) >= epsilon && rho_of(epsilon_of(rho)).unwrap() <= rho);
        // What the limit takes comes to no more than the total, but for the choice of the order.
        let most = rho_max(epsilon, delta);
        let back = epsilon_max(most, delta).unwrap().approximate();
        prop_assert!(back <= epsilon.approximate() * (1.0 + 1e-9) + 1e-12, "{back} of {epsilon}");
        prop_assert!(most.is_zero() || back >= epsilon.approximate() * (1.0 - 1e-6), "{back} of {epsilon}");
    }
}
