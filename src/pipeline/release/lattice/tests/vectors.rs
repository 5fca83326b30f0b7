//! Every row of ARX's expected optima on Adult whose model and metric are offered: levels and losses.

use super::adult::Adult;
use crate::pipeline::release::lattice::search;
use crate::pipeline::release::model::Guarantees;
use crate::pipeline::release::progress::Unwatched;
use crate::policy::release::{
    Aggregate, Distance, Estimator, HierarchyRule, Method, Model, Objective, ReleaseRules,
};
use crate::shared::{every_case, say, shared};

/// What is not offered, as the configurations name it.
const NOT_OFFERED: [&str; 5] = [
    "DifferentialPrivacy",
    "createDataDependentConfiguration",
    "Profitability",
    "getPopulationUniqueness",
    "TestAnonymizationLocalRecoding",
];

/// Rows that take seconds each without optimization: compared under `CI=true` or `EVERY=1`, named else.
const SLOW: [&str; 26] = [
    "BLikeness.java:47",
    "BLikeness.java:50",
    "Combinations.java:108",
    "Combinations.java:134",
    "Combinations.java:157",
    "Combinations.java:172",
    "EntropyLDiversity.java:48",
    "EntropyLDiversity.java:51",
    "Genetic.java:57",
    "Heuristic.java:56",
    "HeuristicTopDown.java:57",
    "LDiversity.java:49",
    "TCloseness.java:65",
    "Loss.java:60",
    "Loss.java:63",
    "Loss.java:72",
    "Loss.java:75",
    "Loss.java:81",
    "Loss.java:84",
    "Loss.java:90",
    "Loss.java:108",
    "Loss.java:126",
    "Loss.java:132",
    "Loss.java:135",
    "Loss.java:138",
    "Loss.java:144",
];

/// Searches that are not optimal: ours must only not be worse. Nor are those that take a model for
/// monotonic that is not ("practical monotonicity", the last field).
const HEURISTIC: [&str; 3] =
    ["TestAnonymizationGenetic", "TestAnonymizationHeuristic", "TestAnonymizationHeuristicTopDown"];

#[test]
fn every_offered_row_has_arx_levels_and_loss() {
    let expected = shared("vectors/arx/adult_expected.tsv").zip(Adult::open());
    let Some((expected, adult)) = expected else { return };
    let text = std::fs::read_to_string(expected).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let every = every_case();
    let (mut compared, mut not_offered, mut left, mut wrong) = (0, 0, 0, Vec::new());
    for line in &lines {
        if NOT_OFFERED.iter().any(|name| line.contains(name)) {
            not_offered += 1;
            continue;
        }
        let expected = Expected::read(line);
        if !every && SLOW.iter().any(|name| expected.name.ends_with(name)) {
            left += 1;
            continue;
        }
        if let Err(text) = expected.compare(&adult) {
            wrong.push(text);
        }
        compared += 1;
    }
    if left > 0 {
        say(&format!(
            "ARX's optima on Adult: {compared} rows compared; {left} slow ones are not without EVERY=1"
        ));
    }
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((compared + left, not_offered, lines.len()), (71, 15, 86));
    assert!(every && left == 0 || compared >= 44, "{compared} compared");
}

/// One row.
struct Expected {
    name: String,
    heuristic: bool,
    sensitive: bool,
    weighted: bool,
    subset: Option<Subset>,
    rules: ReleaseRules,
    loss: Vec<f64>,
    levels: Option<Vec<u32>>,
}

enum Subset {
    File,
    Random(i32),
}

impl Expected {
    /// The rows of subsets keep their configuration's tail in one piece; the others are in columns.
    fn read(line: &str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        let rest = line.splitn(3, '\t').nth(2).unwrap();
        let braces = line.rfind('{').zip(line.rfind('}'));
        let levels = braces.map(|(open, close)| {
            line.get(open + 1..close)
                .unwrap()
                .split(',')
                .map(|level| level.trim().parse().unwrap())
                .collect()
        });
        let loss = if let Some((_, tail)) = rest.split_once("\"./data/adult.csv\", ") {
            tail.split(',').next().unwrap().to_owned()
        } else {
            fields[fields.len() - 3].to_owned()
        };
        let loss = loss.trim_matches(['[', ']', 'd']).split(", ").map(|one| one.parse().unwrap());
        let subset = if rest.contains("DataSubset.create") {
            Some(Subset::File)
        } else {
            arguments(rest, "getSubset(").map(|size| Subset::Random(size[0].parse().unwrap()))
        };
        Self {
            name: format!("{}:{}", fields[0], fields[1]),
            heuristic: HEURISTIC.iter().any(|name| fields[0] == format!("{name}.java"))
                || fields[fields.len() - 1] == "true",
            sensitive: rest.contains("occupation"),
            weighted: line.ends_with(')'),
            subset,
            rules: rules(fields[0], rest),
            loss: loss.collect(),
            levels,
        }
    }

    fn compare(&self, adult: &Adult) -> Result<(), String> {
        let released = self.subset.as_ref().map(|subset| match subset {
            Subset::File => adult.subset_rows(),
            Subset::Random(size) => java_subset(*size, adult.len()),
        });
        let sensitive = self.sensitive.then_some("occupation");
        let table = adult.table(sensitive, released.as_deref(), self.weighted);
        let guarantees = Guarantees::new(&self.rules, &table).unwrap();
        let found = search(&table, &self.rules, &guarantees, &Unwatched);
        let (Some(levels), Ok(found)) = (&self.levels, &found) else {
            let same = self.levels.is_none() && found.is_err();
            return same.then_some(()).ok_or_else(|| {
                format!("{}: expected {:?}, found {found:?}", self.name, self.levels)
            });
        };
        let (ours, at) = (found.loss.as_ref().unwrap(), found.levels.as_ref().unwrap());
        let close = |ours: &f64, arx: &f64| (ours - arx).abs() <= 1e-10 * arx.abs().max(1.0) * 1.01;
        let same = ours.len() == self.loss.len()
            && ours.iter().zip(&self.loss).all(|(ours, arx)| close(ours, arx));
        let fine = if self.heuristic {
            let first = ours.iter().zip(&self.loss).find(|(ours, arx)| !close(ours, arx));
            first.is_none_or(|(ours, arx)| ours < arx)
                || self.loss.len() == 1 && ours[0] <= self.loss[0]
        } else {
            same && at == levels
        };
        let text = || {
            let (name, arx) = (&self.name, &self.loss);
            format!("{name}:\n  ours {ours:?} {at:?}\n  ARX  {arx:?} {levels:?}")
        };
        if fine { Ok(()) } else { Err(text()) }
    }
}

/// What stands between the parentheses after a name, divided at its commas.
fn arguments<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let start = text.find(name)? + name.len();
    let (mut depth, mut begun, mut found) = (0, start, Vec::new());
    for (place, letter) in text.get(start..)?.char_indices() {
        let place = start + place;
        match letter {
            '(' => depth += 1,
            ')' if depth == 0 => {
                found.push(text.get(begun..place)?.trim());
                found.retain(|one| !one.is_empty());
                return Some(found);
            }
            ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(text.get(begun..place)?.trim());
                begun = place + 1;
            }
            _ => {}
        }
    }
    None
}

fn number(text: &str) -> f64 {
    text.trim_end_matches('d').parse().unwrap()
}

fn rules(file: &str, text: &str) -> ReleaseRules {
    let whole = |text: &str| number(text) as u64;
    let column = || "occupation".to_owned();
    let mut models = Vec::new();
    if let Some(found) = arguments(text, "KAnonymity(") {
        models.push(Model::KAnonymity { k: whole(found[0]) });
    }
    if let Some(found) = arguments(text, "KMap(") {
        models.push(Model::KMap { k: whole(found[0]) });
    }
    if let Some(found) = arguments(text, "DPresence(") {
        models.push(Model::DeltaPresence { min: number(found[0]), max: number(found[1]) });
    }
    if let Some(found) = arguments(text, "DistinctLDiversity(") {
        models.push(Model::DistinctL { column: column(), l: whole(found[1]) });
    }
    if let Some(found) = arguments(text, "EntropyLDiversity(") {
        let grassberger = found.get(2).is_some_and(|name| name.ends_with("GRASSBERGER"));
        let estimator = if grassberger { Estimator::Grassberger } else { Estimator::Shannon };
        models.push(Model::EntropyL { column: column(), l: number(found[1]), estimator });
    }
    if let Some(found) = arguments(text, "RecursiveCLDiversity(") {
        models.push(Model::RecursiveCl {
            column: column(),
            c: number(found[1]),
            l: whole(found[2]),
        });
    }
    for (name, distance) in [
        ("EqualDistanceTCloseness(", Distance::Equal),
        ("OrderedDistanceTCloseness(", Distance::Ordered),
        ("HierarchicalDistanceTCloseness(", Distance::Hierarchical(HierarchyRule::Top)),
    ] {
        if let Some(found) = arguments(text, name) {
            models.push(Model::TCloseness { column: column(), t: number(found[1]), distance });
        }
    }
    for (name, enhanced) in [("BasicBLikeness(", false), ("EnhancedBLikeness(", true)] {
        if let Some(found) = arguments(text, name) {
            models.push(Model::BetaLikeness { column: column(), beta: number(found[1]), enhanced });
        }
    }
    // That test adds a closeness wherever its configuration has none.
    if file == "TestAnonymizationTCloseness.java" && !text.contains("TCloseness(") {
        let distance = Distance::Hierarchical(HierarchyRule::Top);
        models.push(Model::TCloseness { column: column(), t: 0.2, distance });
    }
    assert!(!models.is_empty(), "no model in {text}");
    ReleaseRules {
        quasi_identifiers: vec![],
        models,
        method: Method::Lattice { objective: objective(text) },
        suppress_max: number(arguments(text, "create(").unwrap()[0]),
        unit: None,
        population: None,
        dangerous_rerelease: false,
    }
}

fn objective(text: &str) -> Objective {
    if let Some(found) = arguments(text, "LossMetric(") {
        // A precomputed one names a threshold first.
        let found: Vec<&str> =
            found.into_iter().skip(usize::from(text.contains("PrecomputedLossMetric("))).collect();
        let factor = found.iter().find(|one| !one.contains("Aggregate"));
        let aggregate = found.iter().find_map(|one| one.strip_prefix("AggregateFunction."));
        let aggregate = match aggregate {
            Some("RANK") => Aggregate::Rank,
            None | Some("GEOMETRIC_MEAN") => Aggregate::GeometricMean,
            Some("ARITHMETIC_MEAN") => Aggregate::ArithmeticMean,
            Some("SUM") => Aggregate::Sum,
            Some("MAXIMUM") => Aggregate::Maximum,
            Some(other) => panic!("{other}"),
        };
        Objective::Loss { aggregate, gs_factor: factor.map_or(0.5, |factor| number(factor)) }
    } else if let Some(found) = arguments(text, "PrecomputedEntropyMetric(") {
        Objective::Entropy { monotonic: found.get(1) == Some(&"true"), gs_factor: 0.5 }
    } else if let Some(found) = arguments(text, "EntropyMetric(") {
        Objective::Entropy { monotonic: found.first() == Some(&"true"), gs_factor: 0.5 }
    } else if let Some(found) = arguments(text, "DiscernabilityMetric(") {
        Objective::Discernibility { monotonic: found.first() == Some(&"true") }
    } else if let Some(found) = arguments(text, "PrecisionMetric(") {
        Objective::Precision { monotonic: found.first() == Some(&"true") }
    } else if text.contains("HeightMetric(") {
        Objective::Height
    } else {
        assert!(text.contains("AECSMetric("), "{text}");
        Objective::ClassSize
    }
}

/// The rows that ARX's tests draw, as Java's generator draws them.
fn java_subset(size: i32, rows: usize) -> Vec<bool> {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut seed = (i64::from(0xDEAD_BEEF_u32 as i32) as u64 ^ MULTIPLIER) & MASK;
    let mut next = || {
        seed = (seed.wrapping_mul(MULTIPLIER) + 0xB) & MASK;
        (seed >> 17) as u32 as i32
    };
    let mut chosen = vec![false; rows];
    for _ in 0..size {
        let drawn = loop {
            let bits = next();
            let drawn = bits % size;
            if bits.wrapping_sub(drawn).wrapping_add(size - 1) >= 0 {
                break drawn;
            }
        };
        chosen[drawn as usize] = true;
    }
    chosen
}
