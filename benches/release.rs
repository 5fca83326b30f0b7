//! How long the optimal generalization of a table takes, beside the figures of ARX that
//! `../shared/BASELINES.md` quotes: Adult with nine quasi-identifiers, and a million made rows with some
//! 426,000 distinct combinations (ARX had another million, with 292,000). Measures the search on
//! distinct combinations alone; counting them is the engine's work. Quoted figures are from a machine
//! of the same kind, not from this run.
//!
//! Run it with `cargo bench --bench release`.

#![expect(clippy::expect_used, reason = "a measurement that cannot start has nothing to say")]
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use veilflight::pipeline::release::lattice;
use veilflight::pipeline::release::model::Guarantees;
use veilflight::pipeline::release::progress::Unwatched;
use veilflight::pipeline::release::table::{Hierarchy, Table};
use veilflight::policy::release::{Aggregate, Method, Model, Objective, ReleaseRules};

/// Each figure is the median of so many.
const RUNS: usize = 3;

fn main() {
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>7}  levels",
        "optimal generalization, k=5, Loss", "suppress", "ours, ms", "ARX, ms", "ratio"
    );
    let rank = Aggregate::Rank;
    let mean = Aggregate::GeometricMean;
    if let Some(adult) = adult() {
        for (suppress_max, arx) in [(0.0, 28.0), (0.04, 880.0), (1.0, 2834.0)] {
            line("Adult, 9 columns, rank", &adult, rank, suppress_max, arx);
            line("Adult, 9 columns, geometric mean", &adult, mean, suppress_max, arx);
        }
    } else {
        println!("skipped: there is no ../shared");
    }
    let million = million();
    println!(
        "a million rows: {} distinct combinations, {} generalizations",
        million.len(),
        million.hierarchies.iter().map(Hierarchy::levels).product::<usize>()
    );
    for (suppress_max, arx) in [(0.0, 1_700.0), (0.04, 30_000.0), (1.0, 44_000.0)] {
        line("a million rows, rank", &million, rank, suppress_max, arx);
        line("a million rows, geometric mean", &million, mean, suppress_max, arx);
    }
}

fn line(name: &str, table: &Table, aggregate: Aggregate, suppress_max: f64, arx: f64) {
    let objective = Objective::Loss { aggregate, gs_factor: 0.5 };
    let rules = ReleaseRules {
        quasi_identifiers: vec![],
        models: vec![Model::KAnonymity { k: 5 }],
        method: Method::Lattice { objective },
        suppress_max,
        unit: None,
        population: None,
        dangerous_rerelease: false,
    };
    let guarantees = Guarantees::new(&rules, table).expect("the models fit the table");
    let mut times = Vec::new();
    let mut levels = None;
    for _ in 0..RUNS {
        let begun = Instant::now();
        let found = lattice::search(table, &rules, &guarantees, &Unwatched).expect("an optimum");
        times.push(begun.elapsed());
        levels = found.levels;
    }
    times.sort_unstable();
    let median = times.get(RUNS / 2).map_or(0.0, |time: &Duration| time.as_secs_f64() * 1e3);
    println!(
        "{name:<34} {:>8}% {median:>9.1} {arx:>9.0} {:>6.0}x  {:?}",
        suppress_max * 100.0,
        arx / median,
        levels.unwrap_or_default()
    );
}

/// A table of distinct combinations.
fn table(hierarchies: Vec<Hierarchy>, rows: impl Iterator<Item = Vec<u32>>) -> Table {
    let mut combinations: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
    for row in rows {
        *combinations.entry(row).or_default() += 1;
    }
    let mut leaves = vec![Vec::new(); hierarchies.len()];
    for combination in combinations.keys() {
        for (column, leaf) in leaves.iter_mut().zip(combination) {
            column.push(*leaf);
        }
    }
    Table { hierarchies, leaves, rows: combinations.into_values().collect(), ..Table::default() }
}

/// ARX's Adult.
fn adult() -> Option<Table> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/adult");
    let read = |name: &str| -> Option<Vec<Vec<String>>> {
        let text = std::fs::read_to_string(folder.join(name)).ok()?;
        let lines = text.lines().filter(|line| !line.is_empty());
        Some(lines.map(|line| line.split(';').map(str::to_owned).collect()).collect())
    };
    let mut rows = read("adult.csv")?.into_iter();
    let header = rows.next()?;
    let mut hierarchies = Vec::new();
    let mut codes: Vec<HashMap<String, u32>> = Vec::new();
    for name in header {
        let lines = read(&format!("adult_hierarchy_{name}.csv"))?;
        let levels = lines.first()?.len();
        let mut groups = vec![Vec::new(); levels];
        for (level, groups) in groups.iter_mut().enumerate() {
            let mut known: HashMap<String, u32> = HashMap::new();
            for line in &lines {
                let next = u32::try_from(known.len()).ok()?;
                groups.push(*known.entry(line.get(level)?.clone()).or_insert(next));
            }
            if level == 0 {
                codes.push(known);
            }
        }
        hierarchies.push(Hierarchy { name, groups, labels: vec![], weight: 1.0 });
    }
    let code = |(cell, codes): (&String, &HashMap<String, u32>)| codes.get(cell).copied();
    let rows = rows.map(|row| row.iter().zip(&codes).filter_map(code).collect());
    Some(table(hierarchies, rows))
}

/// A million rows over eight columns, skewed and in part dependent on each other.
fn million() -> Table {
    /// Columns: leaves, and how many leaves a group holds, level by level.
    const COLUMNS: [(u32, &[u32]); 8] = [
        (2, &[]),
        (100, &[5, 10, 20]),
        (5, &[]),
        (7, &[3]),
        (16, &[4, 8]),
        (41, &[10]),
        (300, &[10, 100]),
        (14, &[5]),
    ];
    let hierarchy = |(name, (leaves, widths)): (usize, &(u32, &[u32]))| {
        let mut groups: Vec<Vec<u32>> = vec![(0..*leaves).collect()];
        groups.extend(widths.iter().map(|width| (0..*leaves).map(|leaf| leaf / width).collect()));
        groups.push((0..*leaves).map(|_| 0).collect());
        Hierarchy { name: name.to_string(), groups, labels: vec![], weight: 1.0 }
    };
    let hierarchies = COLUMNS.iter().enumerate().map(hierarchy).collect();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut draw = move |below: u32, power: i32| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let share = (state >> 11) as f64 / (1_u64 << 53) as f64;
        ((share.powi(power) * f64::from(below)) as u32).min(below - 1)
    };
    let rows = (0..1_000_000).map(move |_| {
        let age = (draw(60, 1) + draw(40, 1)).min(99);
        let study = if age < 20 { draw(4, 2) } else { draw(16, 2) };
        let job = (study / 2 + draw(8, 3)).min(13);
        let country = draw(41, 20);
        vec![draw(2, 1), age, draw(5, 9), draw(7, 7), study, country, draw(300, 26), job]
    });
    table(hierarchies, rows)
}
