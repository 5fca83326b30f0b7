//! What each k and each limit of suppression would cost: the table is counted once, and the optimal
//! generalization looked for again and again. Builds no release and decides none; counts and levels come out.

use super::lattice;
use super::model::Guarantees;
use super::objective::{Loss, Measure, Tally};
use super::progress::Progress;
use super::recoding::{Cell, Recoding};
use super::table::{Hierarchy, Table};
use crate::error::{Code, Result};
use crate::policy::release::{Method, Model, Objective, ReleaseRules};
use crate::risk::choice::{Outcome, Point, Scale};
use crate::risk::{Class, Risk, Shapes};

/// Every choice, limits of suppression first, each with every k. A choice that nothing satisfies says so.
///
/// # Errors
/// [`Code::Cancelled`], and [`Code::Internal`] for a defect.
pub fn choices(
    table: &Table,
    rules: &ReleaseRules,
    ks: &[u64],
    shares: &[f64],
    threshold: f64,
    progress: &dyn Progress,
) -> Result<Vec<Point>> {
    let of = (ks.len() * shares.len()) as u64;
    let scale = scale(table, objective(rules))?;
    let mut points = Vec::new();
    for share in shares {
        for k in ks {
            progress.at(points.len() as u64, of);
            let rules = asked(rules, *k, *share);
            let found = Guarantees::new(&rules, table)
                .and_then(|guarantees| lattice::search(table, &rules, &guarantees, progress));
            let outcome = match found {
                Ok(recoding) => Ok(outcome(table, &recoding, &scale, threshold)),
                Err(error) if error.code() == Code::Policy => Err(error.to_string()),
                Err(error) => return Err(error),
            };
            points.push(Point { k: *k, suppress_max: *share, outcome });
        }
    }
    progress.at(of, of);
    Ok(points)
}

/// What decides between levels: the policy's objective, or the default where its method has none.
pub fn objective(rules: &ReleaseRules) -> Objective {
    match &rules.method {
        Method::Lattice { objective } => objective.clone(),
        _ => Objective::default(),
    }
}

/// What a table loses when nothing is done, and when every cell becomes `*`. With some objectives, neither is a
/// round figure: a weight counts in both.
fn scale(table: &Table, objective: Objective) -> Result<Scale> {
    let measure = Measure::new(&objective, table)?;
    let (mut least, mut most) = (Tally::default(), Tally::default());
    for rows in table.rows.iter().filter(|rows| **rows > 0) {
        least.count(*rows, false, true);
    }
    most.count(least.rows, false, true);
    let last = |hierarchy: &Hierarchy| {
        u8::try_from(hierarchy.levels().saturating_sub(1)).unwrap_or(u8::MAX)
    };
    let top: Vec<u8> = table.hierarchies.iter().map(last).collect();
    let Loss(nothing) = measure.loss(&vec![0; top.len()], &least);
    let Loss(everything) = measure.loss(&top, &most);
    let first = |figures: &[f64]| figures.first().copied().unwrap_or(0.0);
    Ok(Scale { nothing: first(&nothing), everything: first(&everything) })
}

/// The rules with another k and another limit; whole columns are generalized whatever the method.
fn asked(rules: &ReleaseRules, k: u64, suppress_max: f64) -> ReleaseRules {
    let mut rules = rules.clone();
    rules.models.retain(|model| !matches!(model, Model::KAnonymity { .. }));
    rules.models.insert(0, Model::KAnonymity { k });
    rules.suppress_max = suppress_max;
    rules.method = Method::Lattice { objective: objective(&rules) };
    rules
}

fn outcome(table: &Table, recoding: &Recoding, scale: &Scale, threshold: f64) -> Outcome {
    let rows: u64 = table.rows.iter().sum();
    let gone = recoding.parts.iter().filter(|part| part.class.is_none());
    let levels = recoding.levels.as_deref().unwrap_or_default();
    let named = table.hierarchies.iter().zip(levels).map(|(hierarchy, level)| {
        let last = hierarchy.levels().saturating_sub(1);
        (hierarchy.name.clone(), *level, u32::try_from(last).unwrap_or(u32::MAX))
    });
    Outcome {
        levels: named.collect(),
        share_lost: recoding.loss.as_deref().and_then(|loss| scale.share(loss)),
        loss: recoding.loss.clone().unwrap_or_default(),
        unweighted: unweighted(table, recoding),
        rows,
        suppressed: gone.map(|part| part.rows).sum(),
        risk: Risk::new(&shapes(table, recoding), threshold),
    }
}

/// The classes that a recoding makes.
pub(super) fn shapes(table: &Table, recoding: &Recoding) -> Shapes {
    let count = recoding.classes.len();
    let mut rows = vec![0_u64; count];
    let mut alike = vec![0_u64; count];
    let mut units: Vec<Vec<u32>> = vec![Vec::new(); count];
    for part in &recoding.parts {
        let Some(class) = part.class.map(|class| class as usize) else { continue };
        let combination = part.combination as usize;
        if let Some(sum) = rows.get_mut(class) {
            *sum += part.rows;
        }
        let others = table.population.as_ref().and_then(|all| all.get(combination));
        if let (Some(sum), Some(others)) = (alike.get_mut(class), others) {
            *sum += others;
        }
        if let (Some(own), Some(lists)) = (units.get_mut(class), &table.units) {
            own.extend_from_slice(lists.of(combination));
        }
    }
    let mut shapes = Shapes::new();
    for ((rows, alike), mut units) in rows.into_iter().zip(alike).zip(units) {
        units.sort_unstable();
        units.dedup();
        let members = if table.units.is_some() { units.len() as u64 } else { rows };
        let population = if table.population.is_some() { alike } else { members };
        if rows > 0 {
            *shapes.entry(Class { rows, members, population }).or_default() += 1;
        }
    }
    shapes
}

/// The mean over all cells of the share of a column's domain that the cell covers, 0 for a value as it is, 1
/// for `*` and for what is suppressed: one figure for every objective and method, which decides nothing.
fn unweighted(table: &Table, recoding: &Recoding) -> f64 {
    let covers: Vec<Vec<Vec<f64>>> = table.hierarchies.iter().map(covers).collect();
    let (mut lost, mut cells) = (0.0, 0.0);
    for part in &recoding.parts {
        let rows = part.rows as f64;
        let class = part.class.and_then(|class| recoding.classes.get(class as usize));
        cells += rows * covers.len() as f64;
        match class {
            None => lost += rows * covers.len() as f64,
            Some(shown) => {
                for (cell, covers) in shown.iter().zip(&covers) {
                    if let Cell::Group { level, group } = cell {
                        let share = covers.get(*level as usize);
                        lost += rows
                            * share.and_then(|share| share.get(*group as usize)).unwrap_or(&1.0);
                    }
                }
            }
        }
    }
    if cells > 0.0 { lost / cells } else { 0.0 }
}

/// By level and group: the share of leaves that it covers, from 0 for one leaf to 1 for all.
fn covers(hierarchy: &Hierarchy) -> Vec<Vec<f64>> {
    let all = hierarchy.leaves() as f64;
    let level = |groups: &Vec<u32>| {
        let mut counts: Vec<u32> = Vec::new();
        for group in groups {
            let group = *group as usize;
            if counts.len() <= group {
                counts.resize(group + 1, 0);
            }
            if let Some(count) = counts.get_mut(group) {
                *count += 1;
            }
        }
        let share = |count: &u32| {
            if all > 1.0 { (f64::from(*count) - 1.0) / (all - 1.0) } else { 0.0 }
        };
        counts.iter().map(share).collect()
    };
    hierarchy.groups.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::super::progress::Unwatched;
    use super::super::table::Lists;
    use super::*;
    use crate::pipeline::release::survey;

    /// Ages 0 to 7 by twos and fours, sex; rows as given, in order of combinations.
    fn table(rows: &[u64]) -> Table {
        let text = |text: String| Some(text);
        let label = |name: &str, groups: &Vec<u32>| {
            let most = groups.iter().max().copied().unwrap_or(0);
            (0..=most).map(|group| text(format!("{name}{group}"))).collect::<Vec<_>>()
        };
        let hierarchy = |name: &str, groups: Vec<Vec<u32>>| Hierarchy {
            name: name.to_owned(),
            labels: groups.iter().map(|groups| label(name, groups)).collect(),
            groups,
            weight: 1.0,
        };
        let ages = |by: u32| (0..8).map(|age| age / by).collect::<Vec<u32>>();
        let count = u32::try_from(rows.len()).unwrap();
        Table {
            hierarchies: vec![
                hierarchy("age", vec![ages(1), ages(2), ages(4), ages(8)]),
                hierarchy("sex", vec![vec![0, 1], vec![0, 0]]),
            ],
            leaves: vec![(0..count).map(|n| n / 2).collect(), (0..count).map(|n| n % 2).collect()],
            rows: rows.to_vec(),
            ..Table::default()
        }
    }

    #[test]
    fn a_larger_k_never_loses_less_and_a_larger_limit_never_more() {
        let table = table(&[3, 1, 2, 2, 5, 4, 1, 1, 6, 2, 3, 3, 1, 4, 2, 1]);
        let mut rules = survey::rules(&["age".to_owned(), "sex".to_owned()], None);
        // What is made least is what is told, so that the optima are in order.
        let aggregate = crate::policy::release::Aggregate::ArithmeticMean;
        rules.method = Method::Lattice { objective: Objective::Loss { aggregate, gs_factor: 0.5 } };
        let (ks, shares) = ([1, 2, 4, 8, 100], [0.0, 0.1, 0.5]);
        let points = choices(&table, &rules, &ks, &shares, 0.2, &Unwatched).unwrap();
        assert_eq!(points.len(), 15);
        let first = points[0].outcome.as_ref().unwrap();
        assert_eq!((first.unweighted, first.suppressed, first.rows), (0.0, 0, 41));
        assert_eq!((first.loss.as_slice(), first.share_lost), ([0.0].as_slice(), Some(0.0)));
        for point in &points {
            let Ok(outcome) = &point.outcome else {
                assert_eq!(point.k, 100, "{point:?}");
                continue;
            };
            assert!(outcome.share_suppressed() <= point.suppress_max, "{point:?}");
            assert!(outcome.risk.prosecutor.highest <= 1.0 / point.k as f64, "{point:?}");
            assert_eq!(outcome.risk.rows + outcome.suppressed, 41);
        }
        let highest = |at: usize| points[at].outcome.as_ref().unwrap().loss[0];
        assert!(highest(1) <= highest(3) && highest(8) <= highest(3), "{points:?}");
    }

    /// The loss that decides stands in the answer, and where it lies between nothing and everything.
    #[test]
    fn what_is_told_is_the_loss_that_decides() {
        use crate::policy::release::Aggregate;
        let mut table = table(&[3, 1, 2, 2, 5, 4, 1, 1, 6, 2, 3, 3, 1, 4, 2, 1]);
        table.hierarchies[0].weight = 4.0;
        let mut rules = survey::rules(&["age".to_owned(), "sex".to_owned()], None);
        let loss = |aggregate| Objective::Loss { aggregate, gs_factor: 0.5 };
        for (objective, nothing, everything) in [
            (loss(Aggregate::ArithmeticMean), 0.0, 0.625),
            // (1 * 1/4)^(1/2) - 1, and (2 * 2/4)^(1/2) - 1.
            (loss(Aggregate::GeometricMean), -0.5, 0.0),
            (loss(Aggregate::Sum), 0.0, 1.25),
            (loss(Aggregate::Rank), 0.0, 1.0),
            (Objective::Height, 0.0, 3.25),
            (Objective::ClassSize, 41.0 / 16.0, 41.0),
            (Objective::Discernibility { monotonic: false }, 141.0, 41.0 * 41.0),
        ] {
            rules.method = Method::Lattice { objective: objective.clone() };
            let found = scale(&table, objective.clone()).unwrap();
            assert!((found.nothing - nothing).abs() < 1e-9, "{objective:?} {found:?}");
            assert!((found.everything - everything).abs() < 1e-9, "{objective:?} {found:?}");
            let points = choices(&table, &rules, &[1, 4, 41], &[0.0], 0.2, &Unwatched).unwrap();
            let told = |at: usize| points[at].outcome.as_ref().unwrap();
            let guarantees = Guarantees::new(&asked(&rules, 4, 0.0), &table).unwrap();
            let best =
                lattice::search(&table, &asked(&rules, 4, 0.0), &guarantees, &Unwatched).unwrap();
            assert_eq!(told(1).loss, best.loss.unwrap(), "{objective:?}");
            let shares = [0, 1, 2].map(|at| told(at).share_lost.unwrap());
            assert!(shares[0].abs() < 1e-9 && (shares[2] - 1.0).abs() < 1e-9, "{shares:?}");
            assert!(shares[1] > 0.0 && shares[1] < 1.0, "{objective:?} {shares:?}");
        }
        // The weight decides: sex, which counts a quarter, is given up before age.
        rules.method = Method::Lattice { objective: loss(Aggregate::ArithmeticMean) };
        let points = choices(&table, &rules, &[4], &[0.0], 0.2, &Unwatched).unwrap();
        let heavy = points[0].outcome.as_ref().unwrap().clone();
        table.hierarchies[0].weight = 1.0;
        let points = choices(&table, &rules, &[4], &[0.0], 0.2, &Unwatched).unwrap();
        let even = points[0].outcome.as_ref().unwrap();
        assert!(heavy.loss != even.loss && heavy.share_lost.unwrap() < 1.0);
    }

    #[test]
    fn unweighted_loss_is_the_share_of_the_domain_that_a_cell_covers() {
        let table = table(&[1, 1, 1, 1]);
        let part =
            |combination, class| super::super::recoding::Part { combination, class, rows: 1 };
        let group = |level, group| Cell::Group { level, group };
        let recoding = Recoding {
            parts: vec![part(0, Some(0)), part(1, Some(0)), part(2, None), part(3, Some(1))],
            classes: vec![vec![group(1, 0), group(1, 0)], vec![group(0, 1), group(0, 1)]],
            levels: None,
            loss: None,
        };
        // Two of eight ages are 1/7, both sexes 1; a row suppressed 1 and 1; a row as it is nothing.
        let expected = (2.0 * (1.0 / 7.0 + 1.0) + 2.0) / 8.0;
        assert!((unweighted(&table, &recoding) - expected).abs() < 1e-12);
    }

    #[test]
    fn classes_count_persons_once() {
        let mut table = table(&[2, 1]);
        table.units = Some(Lists { starts: vec![0, 2, 3], items: vec![4, 9, 9] });
        let part =
            |combination, rows| super::super::recoding::Part { combination, class: Some(0), rows };
        let recoding = Recoding {
            parts: vec![part(0, 2), part(1, 1)],
            classes: vec![vec![]],
            levels: None,
            loss: None,
        };
        let class = Class { rows: 3, members: 2, population: 2 };
        assert_eq!(shapes(&table, &recoding), Shapes::from([(class, 1)]));
    }

    /// The nine columns of Adult.
    const NINE: [&str; 9] = [
        "sex",
        "age",
        "race",
        "marital-status",
        "education",
        "native-country",
        "workclass",
        "occupation",
        "salary-class",
    ];

    /// The figures of ARX's own tests of its risk measures (TestRiskMetrics), before and after.
    #[test]
    fn risk_on_adult_is_that_of_arx() {
        let Some(path) = crate::shared::shared("vectors/arx/risk_expected.json") else { return };
        let Some(table) = crate::pipeline::release::testing::adult(&NINE) else { return };
        let expected: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let near = |one: f64, name: &str| {
            let other = expected[name].as_f64().unwrap();
            assert!((one - other).abs() < 1e-12, "{name}: {one} {other}");
        };
        let raw = Risk::new(&survey::shapes(&table), 0.2);
        assert_eq!(Some(raw.rows), expected["rows"].as_u64());
        assert_eq!(Some(raw.classes), expected["classes_raw"].as_u64());
        near(raw.prosecutor.average, "average_risk_raw");
        near(raw.prosecutor.highest, "highest_risk_raw");
        let names: Vec<String> = NINE.iter().map(|name| (*name).to_owned()).collect();
        let mut rules = survey::rules(&names, None);
        let aggregate = crate::policy::release::Aggregate::Rank;
        rules.method = Method::Lattice { objective: Objective::Loss { aggregate, gs_factor: 0.5 } };
        let points = choices(&table, &rules, &[2], &[0.0], 0.2, &Unwatched).unwrap();
        let after = points[0].outcome.as_ref().unwrap();
        near(after.risk.prosecutor.average, "average_risk_after_k2_no_suppression_loss_rank");
        near(after.risk.prosecutor.highest, "highest_risk_after_k2");
    }

    /// ARX asks for at most one unique in ten thousand of 318 million (rows `RiskBased` of its Adult suite, Dankar's
    /// rule, 4 % suppressed). At its optimum our estimate says the same, and not without the suppression.
    #[test]
    fn the_estimate_for_the_population_agrees_with_what_arx_accepts() {
        const POPULATION: f64 = 318_857_056.0;
        let Some(table) = crate::pipeline::release::testing::adult(&NINE) else { return };
        let share = |levels: [u32; 9], suppress_max: f64| {
            let mut classes = std::collections::BTreeMap::<Vec<u32>, u64>::new();
            for (at, rows) in table.rows.iter().enumerate() {
                let key = table.hierarchies.iter().zip(&table.leaves).zip(levels);
                let key = key.map(|((hierarchy, leaves), level)| {
                    hierarchy.groups[level as usize][leaves[at] as usize]
                });
                *classes.entry(key.collect()).or_default() += rows;
            }
            let mut sizes = crate::risk::population::Sizes::new();
            classes.values().for_each(|rows| *sizes.entry(*rows).or_default() += 1);
            // Uniques are what is suppressed first.
            let suppressed = (30_162.0 * suppress_max) as u64;
            sizes.entry(1).and_modify(|uniques| *uniques -= suppressed.min(*uniques));
            let found = crate::risk::population::estimate(&sizes, POPULATION);
            assert_eq!(found.model, crate::risk::population::Model::Pitman);
            found.uniques / POPULATION
        };
        let optimum = [0, 0, 1, 1, 1, 2, 1, 0, 0];
        assert!(share([0; 9], 0.04) > 0.01);
        assert!(share(optimum, 0.0) > 0.0001);
        let accepted = share(optimum, 0.04);
        assert!(accepted <= 0.0001 && accepted > 0.00001, "{accepted}");
    }
}
