//! Each model on classes counted by hand, and what joining classes keeps.

use super::*;
use crate::pipeline::release::table::{Hierarchy, Lists};
use crate::policy::release::Method;

/// A table of one quasi-identifier whose combinations have these counts by value of `disease`.
fn table(combinations: &[&[u64]], population: Option<Vec<u64>>) -> Table {
    let values = combinations.iter().map(|counts| counts.len()).max().unwrap_or(0);
    let mut counts = Lists { starts: vec![0], items: Vec::new() };
    for combination in combinations {
        let pairs = (0..).zip(combination.iter().copied()).filter(|(_, rows)| *rows > 0);
        counts.items.extend(pairs);
        counts.starts.push(counts.items.len());
    }
    let leaves: Vec<u32> = (0..combinations.len() as u32).collect();
    Table {
        hierarchies: vec![Hierarchy {
            name: "place".to_owned(),
            groups: vec![leaves.clone(), vec![0; combinations.len()]],
            labels: vec![],
            weight: 1.0,
        }],
        leaves: vec![leaves],
        rows: combinations.iter().map(|counts| counts.iter().sum()).collect(),
        units: None,
        sensitive: vec![Sensitive {
            name: "disease".to_owned(),
            values: (0..values).map(|value| Some(value.to_string())).collect(),
            counts,
            hierarchy: Some(Hierarchy {
                name: "disease".to_owned(),
                groups: vec![
                    (0..values as u32).collect(),
                    (0..values as u32).map(|value| value / 2).collect(),
                    vec![0; values],
                ],
                labels: vec![],
                weight: 1.0,
            }),
        }],
        population,
    }
}

fn rules(models: Vec<Model>) -> ReleaseRules {
    ReleaseRules {
        quasi_identifiers: vec![],
        models,
        method: Method::Microaggregation,
        suppress_max: 0.0,
        unit: None,
        population: None,
        dangerous_rerelease: false,
    }
}

/// Whether the first combination holds.
fn first_holds(table: &Table, model: Model) -> bool {
    let guarantees = Guarantees::new(&rules(vec![model]), table).unwrap();
    guarantees.hold(&ClassCounts::of(table, &[0]))
}

fn disease() -> String {
    "disease".to_owned()
}

#[test]
fn rows_and_persons_are_different_things() {
    let mut table = table(&[&[3], &[2]], None);
    let model = || Model::KAnonymity { k: 3 };
    assert!(first_holds(&table, model()));
    // Three rows of two persons, and one of them again in the second combination.
    table.units = Some(Lists { starts: vec![0, 2, 4], items: vec![1, 4, 4, 9] });
    assert!(!first_holds(&table, model()));
    let guarantees = Guarantees::new(&rules(vec![model()]), &table).unwrap();
    let both = ClassCounts::of(&table, &[0, 1]);
    assert_eq!(both.units, Some(vec![1, 4, 9]));
    assert!(guarantees.hold(&both));
    let mut merged = ClassCounts::of(&table, &[1]);
    merged.merge(&ClassCounts::of(&table, &[0]));
    assert_eq!(merged, both);
}

#[test]
fn distinct_entropy_and_recursive_diversity_at_their_borders() {
    let table = table(&[&[5, 5, 0, 0], &[1, 1, 1, 1]], None);
    let distinct = |l| Model::DistinctL { column: disease(), l };
    assert!(first_holds(&table, distinct(2)) && !first_holds(&table, distinct(3)));
    let entropy = |l, estimator| Model::EntropyL { column: disease(), l, estimator };
    assert!(first_holds(&table, entropy(1.99, Estimator::Shannon)));
    assert!(!first_holds(&table, entropy(2.01, Estimator::Shannon)));
    // 5 < c * 5
    let recursive = |c| Model::RecursiveCl { column: disease(), c, l: 2 };
    assert!(!first_holds(&table, recursive(1.0)) && first_holds(&table, recursive(1.01)));
}

#[test]
fn grassbergers_g_is_the_papers_and_runs_smoothly_into_its_expansion() {
    let entropy = diversity::Entropy::new(1.9, Estimator::Grassberger);
    // G_1 = -gamma - ln 2, G_2 = G_3 = G_1 + 2, G_4 = G_2 + 2/3.
    for (count, expected) in
        [(1, -1.2703628454614782), (3, 0.7296371545385218), (4, 1.396303821205188)]
    {
        assert!((entropy.psi(count) - expected).abs() < 1e-14, "{count}");
    }
    // Each even number adds 2 over the odd one before it, from the sum as from the expansion.
    for count in (90..400_u64).step_by(2) {
        let step = entropy.psi(count + 2) - entropy.psi(count);
        assert!((step - 2.0 / (count + 1) as f64).abs() < 1e-11, "{count}: {step}");
    }
    for half in 1..200_u64 {
        assert!(entropy.holds(2 * half, &[(0, half), (1, half)]), "{half}");
        assert!(!entropy.holds(31 * half, &[(0, half), (1, 30 * half)]), "{half}");
    }
}

/// The three distances of (1, 0, 0, 0) from (1/2, 1/6, 1/6, 1/6): equal 1/2; ordered (1/2 + 1/3 + 1/6)/3;
/// by hierarchy 1/6 at level 1 of 2 and 1/3 at level 2.
#[test]
fn closeness_by_all_three_distances() {
    let table = table(&[&[2, 0, 0, 0], &[1, 1, 1, 1]], None);
    let close = |t, distance| Model::TCloseness { column: disease(), t, distance };
    let rule = crate::policy::release::HierarchyRule::Top;
    let hierarchical = || Distance::Hierarchical(rule.clone());
    let expected = [
        (Distance::Equal, 0.5),
        (Distance::Ordered, 1.0 / 3.0),
        (hierarchical(), 1.0 / 12.0 + 1.0 / 3.0),
    ];
    for (distance, exact) in expected {
        assert!(first_holds(&table, close(exact + 1e-9, distance.clone())), "{distance:?}");
        assert!(!first_holds(&table, close(exact - 1e-9, distance.clone())), "{distance:?}");
    }
}

#[test]
fn presence_and_map_look_at_the_population() {
    let table = table(&[&[2], &[0]], Some(vec![8, 5]));
    assert!(
        first_holds(&table, Model::KMap { k: 8 }) && !first_holds(&table, Model::KMap { k: 9 })
    );
    let presence = |min, max| Model::DeltaPresence { min, max };
    assert!(first_holds(&table, presence(0.25, 0.25)));
    assert!(!first_holds(&table, presence(0.26, 1.0)) && !first_holds(&table, presence(0.0, 0.24)));
    // Nobody of the second combination is released: a least share is broken and cannot be mended.
    let nobody = ClassCounts::of(&table, &[1]);
    let least = Guarantees::new(&rules(vec![presence(0.1, 1.0)]), &table).unwrap();
    let none = Guarantees::new(&rules(vec![presence(0.0, 0.1)]), &table).unwrap();
    assert!(!least.hold(&nobody) && none.hold(&nobody));
    // Beside k-anonymity it is a class that is too small, like those that are suppressed.
    let models = vec![presence(0.1, 1.0), Model::KAnonymity { k: 2 }];
    assert!(Guarantees::new(&rules(models), &table).unwrap().hold(&nobody));
}

#[test]
fn likeness_bounds_growth_and_the_enhanced_one_also_of_frequent_values() {
    // The table: 6 of 10 and 4 of 10; the class: all 4 the first value, (1 - 0.6) / 0.6 = 2/3.
    let table = table(&[&[4, 0], &[2, 4]], None);
    let like = |beta, enhanced| Model::BetaLikeness { column: disease(), beta, enhanced };
    assert!(first_holds(&table, like(0.67, false)) && !first_holds(&table, like(0.66, false)));
    // -ln 0.6 = 0.51
    assert!(!first_holds(&table, like(0.67, true)));
}

#[test]
fn a_model_without_what_it_needs_is_refused() {
    let mut table = table(&[&[4, 0]], None);
    let refused = |table: &Table, model| {
        let error = Guarantees::new(&rules(vec![model]), table).unwrap_err();
        (error.code(), error.to_string())
    };
    let (code, text) = refused(&table, Model::KMap { k: 2 });
    assert_eq!((code, text.contains("population")), (Code::Policy, true));
    let unknown = Model::DistinctL { column: "salary".to_owned(), l: 2 };
    assert!(refused(&table, unknown).1.contains("`salary`"));
    table.sensitive[0].hierarchy = None;
    let rule = crate::policy::release::HierarchyRule::Top;
    let distance = Distance::Hierarchical(rule);
    let far = Model::TCloseness { column: disease(), t: 0.1, distance };
    assert!(refused(&table, far).1.contains("hierarchy"));
}
