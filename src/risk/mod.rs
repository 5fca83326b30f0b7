//! What it would take to find somebody in a table: re-identification risk from the sizes of classes, which
//! columns make people unique, and what that says of the population. Knows codes and counts, never a value, a
//! file or a policy; of sensitive columns it says whether classes share one value, and their other guarantees
//! `pipeline/release/` measures.

use std::collections::BTreeMap;

pub mod assessment;
pub mod choice;
pub mod columns;
pub mod gamma;
pub mod individual;
pub mod page;
pub mod population;
pub mod uniques;

/// A table as codes: equal codes are equal values, column by column.
#[derive(Debug, Clone, Copy)]
pub struct Coded<'a> {
    /// By column: the code of each combination.
    pub columns: &'a [&'a [u32]],
    /// Rows that have each combination.
    pub rows: &'a [u64],
}

/// What a class is to an attacker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// Its rows.
    pub rows: u64,
    /// Who stands behind them: persons where they are counted, else rows.
    pub members: u64,
    /// Who of the population looks like them; the members where no population is known.
    pub population: u64,
}

impl Class {
    /// Where a row is a person and nothing is known of the population.
    pub const fn of_rows(rows: u64) -> Self {
        Self { rows, members: rows, population: rows }
    }
}

/// How many classes are of each kind.
pub type Shapes = BTreeMap<Class, u64>;

/// What the classes of a table tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// The classes.
    pub shapes: Shapes,
    /// By sensitive column, of those that can be counted.
    pub alike: Vec<Alike>,
    /// By class: its rows, and the sum of their weights, where rows stand for others.
    pub weighted: Option<Vec<(u64, f64)>>,
}

/// Homogeneity of a sensitive column: who knows the class of these rows knows their value, without finding any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike {
    /// The column.
    pub column: String,
    /// Rows of classes in which it has one value only; a missing value is one.
    pub rows: u64,
}

/// Where a class counts as at risk: a chance above this to be the right one (ARX's default).
pub const THRESHOLD: f64 = 0.2;

/// Re-identification risk by three attackers.
#[derive(Debug, Clone, PartialEq)]
pub struct Risk {
    /// Rows.
    pub rows: u64,
    /// Classes.
    pub classes: u64,
    /// Members who are alone in their class.
    pub uniques: u64,
    /// The rows of these.
    pub rows_unique: u64,
    /// Who knows that somebody is in the table: one by the size of the class.
    pub prosecutor: Attacker,
    /// Who knows somebody of the population: one by the size of the class in the population. The same as the
    /// prosecutor where no population is given.
    pub journalist: Attacker,
    /// Who wants as many as possible: the share of rows matched rightly.
    pub marketer: f64,
    /// Above which chance a row is at risk.
    pub threshold: f64,
}

/// What an attacker may expect, row by row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attacker {
    /// The best chance.
    pub highest: f64,
    /// The mean over rows.
    pub average: f64,
    /// The least.
    pub lowest: f64,
    /// Share of rows with a chance above the threshold.
    pub at_risk: f64,
    /// Share of rows with the best chance.
    pub at_highest: f64,
}

impl Risk {
    /// The risk of classes.
    pub fn new(shapes: &Shapes, threshold: f64) -> Self {
        let alone = shapes.iter().filter(|(class, _)| class.members == 1);
        // The table is a part of the population.
        let there = |class: &Class| class.population.max(class.members);
        let journalist = Attacker::new(shapes, threshold, there);
        Self {
            rows: shapes.iter().map(|(class, classes)| class.rows * classes).sum(),
            classes: shapes.values().sum(),
            uniques: alone.clone().map(|(_, classes)| classes).sum(),
            rows_unique: alone.map(|(class, classes)| class.rows * classes).sum(),
            prosecutor: Attacker::new(shapes, threshold, |class| class.members),
            marketer: journalist.average,
            journalist,
            threshold,
        }
    }
}

impl Attacker {
    fn new(shapes: &Shapes, threshold: f64, group: impl Fn(&Class) -> u64) -> Self {
        let chances: Vec<(f64, f64)> = shapes
            .iter()
            .filter(|(class, _)| class.rows > 0)
            .map(|(class, classes)| {
                (1.0 / group(class).max(1) as f64, (class.rows * classes) as f64)
            })
            .collect();
        let all: f64 = chances.iter().map(|(_, rows)| rows).sum();
        let share = |keep: &dyn Fn(f64) -> bool| {
            let kept = chances.iter().filter(|(chance, _)| keep(*chance));
            // A sum of no floating-point numbers is -0, which would be shown.
            let rows = kept.fold(0.0, |sum, (_, rows)| sum + rows);
            if all > 0.0 { rows / all } else { 0.0 }
        };
        let highest = chances.iter().map(|(chance, _)| *chance).fold(0.0, f64::max);
        let lowest = chances.iter().map(|(chance, _)| *chance).reduce(f64::min).unwrap_or(0.0);
        let sum: f64 = chances.iter().map(|(chance, rows)| chance * rows).sum();
        Self {
            highest,
            lowest,
            average: if all > 0.0 { sum / all } else { 0.0 },
            at_risk: share(&|chance| chance > threshold),
            at_highest: share(&|chance| chance >= highest && highest > 0.0),
        }
    }
}

/// A span of class sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From this size.
    pub from: u64,
    /// To this one, included; nothing where there is no end.
    pub to: Option<u64>,
    /// Classes of such a size.
    pub classes: u64,
    /// Rows in them.
    pub rows: u64,
}

/// Classes by members, in spans: each small size by itself, as every one of them matters, larger ones
/// together.
pub fn histogram(shapes: &Shapes) -> Vec<Span> {
    const ENDS: [u64; 11] = [1, 2, 3, 4, 5, 10, 20, 50, 100, 1_000, 10_000];
    let mut spans = Vec::with_capacity(ENDS.len() + 1);
    let mut from = 1;
    for to in ENDS.into_iter().map(Some).chain([None]) {
        let inside = |size: u64| size >= from && to.is_none_or(|to| size <= to);
        let inside = shapes.iter().filter(|(class, _)| inside(class.members));
        let (classes, rows) =
            inside.fold((0, 0), |(classes, rows), (class, n)| (classes + n, rows + class.rows * n));
        spans.push(Span { from, to, classes, rows });
        from = to.map_or(from, |to| to + 1);
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-12, "{one} {other}");
    }

    fn rows(sizes: &[(u64, u64)]) -> Shapes {
        sizes.iter().map(|(rows, classes)| (Class::of_rows(*rows), *classes)).collect()
    }

    #[test]
    fn risk_without_a_population_is_by_the_classes_alone() {
        // Two uniques, a class of three, one of five: ten rows.
        let risk = Risk::new(&rows(&[(1, 2), (3, 1), (5, 1)]), THRESHOLD);
        assert_eq!((risk.rows, risk.classes, risk.uniques), (10, 4, 2));
        near(risk.prosecutor.highest, 1.0);
        near(risk.prosecutor.lowest, 0.2);
        // Every class gives one right match: classes by rows.
        near(risk.prosecutor.average, 0.4);
        near(risk.marketer, 0.4);
        near(risk.prosecutor.at_risk, 0.5);
        near(risk.prosecutor.at_highest, 0.2);
        assert_eq!(risk.journalist, risk.prosecutor);
    }

    #[test]
    fn a_population_hides_who_is_unique_in_the_table() {
        // A unique who is one of four, and a class of two that is all of its kind.
        let class = |rows, population| Class { rows, members: rows, population };
        let risk = Risk::new(&Shapes::from([(class(1, 4), 1), (class(2, 2), 1)]), 0.3);
        near(risk.prosecutor.highest, 1.0);
        near(risk.journalist.highest, 0.5);
        near(risk.journalist.lowest, 0.25);
        near(risk.journalist.average, (0.25 + 2.0 * 0.5) / 3.0);
        near(risk.journalist.at_risk, 2.0 / 3.0);
        near(risk.marketer, risk.journalist.average);
        // A population that lacks rows of the table is not believed.
        near(Risk::new(&Shapes::from([(class(2, 0), 1)]), 0.3).journalist.highest, 0.5);
    }

    #[test]
    fn who_has_many_rows_hides_nobody() {
        // A hundred rows of one person, and six of three.
        let class = |rows, members| Class { rows, members, population: members };
        let risk = Risk::new(&Shapes::from([(class(100, 1), 1), (class(6, 3), 1)]), THRESHOLD);
        assert_eq!((risk.uniques, risk.rows_unique, risk.rows), (1, 100, 106));
        near(risk.prosecutor.highest, 1.0);
        near(risk.prosecutor.average, 102.0 / 106.0);
    }

    /// A sum of no numbers is -0, and a report would print `-0 %` of the rows.
    #[test]
    fn no_share_of_rows_is_less_than_nothing() {
        let tables = [Shapes::new(), rows(&[(5, 1)]), rows(&[(1, 2)]), rows(&[(0, 3)])];
        for (table, threshold) in tables.iter().flat_map(|table| [(table, 1.0), (table, 0.2)]) {
            let risk = Risk::new(table, threshold);
            for attacker in [risk.prosecutor, risk.journalist] {
                let Attacker { highest, average, lowest, at_risk, at_highest } = attacker;
                for figure in [highest, average, lowest, at_risk, at_highest, risk.marketer] {
                    let shown = format!("{:.2}", figure * 100.0);
                    assert!(
                        figure.is_sign_positive() && !shown.starts_with('-'),
                        "{shown} {table:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn an_empty_table_has_no_risk() {
        let risk = Risk::new(&Shapes::new(), THRESHOLD);
        assert_eq!((risk.rows, risk.prosecutor.highest, risk.marketer), (0, 0.0, 0.0));
    }

    #[test]
    fn every_class_stands_in_one_span() {
        let spans = histogram(&rows(&[(1, 7), (2, 1), (6, 2), (10, 1), (11, 1), (20_000, 1)]));
        assert_eq!(spans.iter().map(|span| span.classes).sum::<u64>(), 13);
        assert_eq!(spans.iter().map(|span| span.rows).sum::<u64>(), 7 + 2 + 12 + 10 + 11 + 20_000);
        let five = spans.iter().find(|span| span.from == 6).unwrap();
        assert_eq!((five.to, five.classes, five.rows), (Some(10), 3, 22));
    }
}
