//! The risk of single rows of a weighted sample: each row stands for so many of the population as its weight
//! says, so that the population's classes are estimated and not known (Benedetti and Franconi 1998; sdcMicro).

use std::collections::BTreeMap;

/// What a missing value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A value of its own: the rule of this program.
    Category,
    /// Any value: what sdcMicro takes it for. Classes overlap then, and seem larger.
    Wildcard,
}

/// By row: rows that look the same, and the sum of their weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Frequencies {
    /// In the sample.
    pub sample: Vec<u64>,
    /// In the population, estimated.
    pub population: Vec<f64>,
}

/// The frequencies of rows; `rows` are codes by row, nothing where a value is missing.
pub fn frequencies(rows: &[Vec<Option<u32>>], weights: &[f64], missing: Missing) -> Frequencies {
    let mut classes: BTreeMap<&[Option<u32>], (u64, f64)> = BTreeMap::new();
    for (row, weight) in rows.iter().zip(weights) {
        let class = classes.entry(row).or_default();
        *class = (class.0 + 1, class.1 + weight);
    }
    let alike = |one: &[Option<u32>], other: &[Option<u32>]| {
        one.iter().zip(other).all(|(one, other)| one.is_none() || other.is_none() || one == other)
    };
    let of = |row: &Vec<Option<u32>>| match missing {
        Missing::Category => classes.get(row.as_slice()).copied().unwrap_or_default(),
        Missing::Wildcard => classes
            .iter()
            .filter(|(class, _)| alike(row, class))
            .fold((0, 0.0), |sum, (_, (rows, weight))| (sum.0 + rows, sum.1 + weight)),
    };
    let (sample, population) = rows.iter().map(of).unzip();
    Frequencies { sample, population }
}

/// The chance to find the right one of the population, for a row whose class has `sample` rows and an estimated
/// `population`: the mean of one by the population's class, which is taken as negative binomial.
pub fn risk(sample: u64, population: f64) -> f64 {
    let f = sample as f64;
    let p = f / population;
    if sample == 0 || p >= 1.0 {
        return if sample == 0 { 0.0 } else { 1.0 / f };
    }
    let q = 1.0 - p;
    match sample {
        1 => p / q * -p.ln(),
        2 => p / q - (p / q).powi(2) * -p.ln(),
        // p / f times the hypergeometric function 2F1(1, 1; f + 1; q).
        _ => {
            let (mut term, mut sum, mut n) = (1.0, 1.0, 0.0);
            while term > 1e-16 * sum && n < 1e7 {
                n += 1.0;
                term *= n * q / (f + n);
                sum += term;
            }
            p / f * sum
        }
    }
}

/// The risk of all rows of a weighted sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Individual {
    /// Rows of the sample.
    pub rows: u64,
    /// The population that they stand for: the sum of weights.
    pub population: f64,
    /// The highest risk of a row.
    pub highest: f64,
    /// How many rows are expected to be matched rightly when all are tried: the sum of their risks.
    pub expected: f64,
    /// Share of rows with a risk above the threshold.
    pub at_risk: f64,
    /// The threshold.
    pub threshold: f64,
}

impl Individual {
    /// Of classes: rows and the sum of their weights.
    pub fn new(classes: &[(u64, f64)], threshold: f64) -> Self {
        let mut all =
            Self { rows: 0, population: 0.0, highest: 0.0, expected: 0.0, at_risk: 0.0, threshold };
        let mut above = 0;
        for (rows, population) in classes.iter().filter(|(rows, _)| *rows > 0) {
            let risk = risk(*rows, *population);
            all.rows += rows;
            all.population += population;
            all.highest = all.highest.max(risk);
            all.expected += risk * *rows as f64;
            above += if risk > threshold { *rows } else { 0 };
        }
        if all.rows > 0 {
            all.at_risk = above as f64 / all.rows as f64;
        }
        all
    }

    /// The mean risk of a row.
    pub fn average(&self) -> f64 {
        if self.rows == 0 { 0.0 } else { self.expected / self.rows as f64 }
    }
}

/// The same by the approximation that sdcMicro uses for three rows and more.
pub fn risk_approximate(sample: u64, population: f64) -> f64 {
    let f = sample as f64;
    let p = f / population;
    if sample <= 2 || p >= 1.0 { risk(sample, population) } else { p / (f - (1.0 - p)) }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::shared::shared;

    fn expected() -> Option<Value> {
        let path = shared("vectors/sdcmicro/sdcmicro_expected.json")?;
        Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    fn floats(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    }

    fn case(case: &Value, missing: Missing) -> Frequencies {
        let cell = |name: &str, row: usize| case[name][row].as_u64().map(|n| n as u32);
        let rows: Vec<_> =
            (0..8).map(|row| ["A", "B", "C"].map(|name| cell(name, row)).to_vec()).collect();
        frequencies(&rows, &floats(&case["weight"]), missing)
    }

    #[test]
    fn frequencies_are_those_of_sdcmicro_and_by_our_rule_where_values_are_missing() {
        let Some(expected) = expected() else { return };
        for (at, vector) in expected["freq_calc"].as_array().unwrap().iter().enumerate() {
            let theirs = case(vector, Missing::Wildcard);
            let fk: Vec<u64> =
                vector["fk"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
            assert_eq!(theirs.sample, fk);
            assert_eq!(theirs.population, floats(&vector["Fk"]));
            let ours = case(vector, Missing::Category);
            if at == 0 {
                assert_eq!(ours, theirs, "nothing is missing");
            } else {
                // Rows 3 and 7 have a null: they are alone, and nobody else's class grows by them.
                assert_eq!(ours.sample, [2, 1, 1, 1, 2, 2, 1, 2]);
                assert_eq!(ours.population, [69.0, 45.5, 39.0, 17.0, 100.0, 100.0, 123.5, 69.0]);
            }
        }
    }

    #[test]
    fn individual_risk_is_that_of_sdcmicro() {
        let Some(expected) = expected() else { return };
        let found = case(&expected["freq_calc"][0], Missing::Category);
        let classes = || found.sample.iter().copied().zip(found.population.iter().copied());
        let exact = floats(&expected["individual_risk_exact"]["rk"]);
        let approximate = floats(&expected["individual_risk_approx"]["rk"]);
        for (at, (sample, population)) in classes().enumerate() {
            let (one, other) = (risk(sample, population), risk_approximate(sample, population));
            assert!((one - exact[at]).abs() < 5e-9, "{at}: {one} {}", exact[at]);
            assert!((other - approximate[at]).abs() < 5e-9, "{at}: {other} {}", approximate[at]);
        }
    }

    #[test]
    fn all_rows_together_are_those_of_sdcmicro() {
        let Some(expected) = expected() else { return };
        let found = case(&expected["freq_calc"][0], Missing::Category);
        // By class: three rows of 108, two of 100, and three that are alone.
        let classes = [(3, 108.0), (1, 45.5), (1, 17.0), (2, 100.0), (1, 123.5), (0, 9.0)];
        for class in &classes[..5] {
            assert!(
                found
                    .sample
                    .iter()
                    .copied()
                    .zip(found.population.iter().copied())
                    .any(|row| row == *class)
            );
        }
        let all = Individual::new(&classes, 0.05);
        let rows = floats(&expected["individual_risk_exact"]["rk"]);
        assert_eq!((all.rows, all.population), (8, 394.0));
        assert!((all.expected - rows.iter().sum::<f64>()).abs() < 5e-8, "{all:?}");
        assert!((all.highest - rows.iter().copied().fold(0.0, f64::max)).abs() < 5e-9);
        assert!((all.average() - all.expected / 8.0).abs() < 1e-15);
        assert_eq!(all.at_risk, 2.0 / 8.0, "0.086 and 0.177 are above");
        assert_eq!(Individual::new(&[], 0.05).average(), 0.0);
    }

    #[test]
    fn who_stands_for_nobody_else_is_as_at_risk_as_in_the_sample() {
        assert_eq!((risk(1, 1.0), risk(4, 4.0), risk(0, 9.0)), (1.0, 0.25, 0.0));
        assert!(risk(3, 1e6) > 0.0 && risk(3, 1e6) < 1e-5);
    }
}
