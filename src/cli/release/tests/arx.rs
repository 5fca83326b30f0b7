//! Rows of ARX's expected optima on Adult, asked as a custodian asks: by a policy over ARX's own files. All rows
//! are compared where the search stands (`pipeline/release/lattice/tests`); here one of each kind, through
//! files, hierarchies, counting and the measure of what was written.

use super::*;
use crate::shared::shared;

/// Where a row stands, the columns that its models take, its release, and whether columns have weights.
struct Row {
    name: &'static str,
    /// Occupation is sensitive, and no quasi-identifier.
    sensitive: bool,
    /// The dataset is ARX's subset, and the whole file the population.
    subset: bool,
    weighted: bool,
    release: &'static str,
}

const fn row(name: &'static str, release: &'static str) -> Row {
    Row { name, sensitive: true, subset: false, weighted: false, release }
}

const ROWS: [Row; 8] = [
    Row {
        sensitive: false,
        ..row(
            "KAnonymity.java\t49",
            "method: {lattice: {objective: entropy, monotonic: true}}\n  k_anonymity: {k: 5}",
        )
    },
    row(
        "Combinations.java\t101",
        "method: {lattice: {objective: entropy}}\n  suppress_max: 0.05\n  k_anonymity: {k: 5}",
    ),
    row(
        "Combinations.java\t59",
        "method: {lattice: {objective: entropy, monotonic: true}}\n  k_anonymity: {k: 5}\n  t_closeness: {column: \
         occupation, t: 0.2, distance: {hierarchy: FOLDER/adult_hierarchy_occupation.csv}}",
    ),
    Row {
        subset: true,
        ..row(
            "DPresence.java\t57",
            "method: {lattice: {objective: entropy, monotonic: true}}\n  suppress_max: 0.05\n  delta_presence: \
             {min: 0, max: 0.2}",
        )
    },
    Row {
        subset: true,
        ..row(
            "KMap.java\t66",
            "method: {lattice: {objective: class_size}}\n  suppress_max: 0.05\n  k_map: {k: 10}",
        )
    },
    row(
        "OrderedDistanceTCloseness.java\t49",
        "method: {lattice: {objective: discernibility, monotonic: true}}\n  k_anonymity: {k: 5}\n  t_closeness: \
         {column: occupation, t: 0.1, distance: ordered}",
    ),
    row(
        "Loss.java\t57",
        "method: {lattice: {objective: loss, aggregate: rank}}\n  suppress_max: 1\n  k_anonymity: {k: 5}",
    ),
    Row {
        weighted: true,
        ..row(
            "Loss.java\t129",
            "method: {lattice: {objective: loss, aggregate: rank, gs_factor: 0.33}}\n  suppress_max: 1\n  l_diversity: \
             {column: occupation, kind: recursive, c: 4, l: 5}",
        )
    },
];

const COLUMNS: [&str; 9] = [
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

fn policy_of(row: &Row, folder: &str) -> String {
    let types = COLUMNS.map(|name| format!("{name}: text")).join(", ");
    let source = |name: &str| {
        format!(
            "{{delimited: {{paths: '{folder}/{name}', delimiter: ';', header: true, columns: {{{types}}}}}}}"
        )
    };
    let (data, population) = match row.subset {
        true => ("adult_subset.csv", format!("  population: {}\n", source("adult.csv"))),
        false => ("adult.csv", String::new()),
    };
    let rules = COLUMNS.map(|name| format!("{name}: keep")).join(", ");
    let quasi =
        COLUMNS.iter().enumerate().filter(|(_, name)| !row.sensitive || **name != "occupation");
    let quasi = quasi.map(|(place, name)| {
        let weight = if row.weighted { (place + 1) as f64 / 9.0 } else { 1.0 };
        format!(
            "    - {{column: {name}, hierarchy: {folder}/adult_hierarchy_{name}.csv, weight: {weight}}}\n"
        )
    });
    let (source, quasi) = (source(data), quasi.collect::<String>());
    let release = row.release.replace("FOLDER", folder);
    format!(
        "version: 1\ndataset: people\nsource: {source}\ncolumns: {{{rules}}}\nrelease:\n  quasi_identifiers:\n{quasi}{population}  \
         {release}\ngrants: [{{partner: cern, access: rows}}]\n"
    )
}

/// The figures and levels of a row.
fn expected(text: &str, name: &str) -> (Vec<f64>, Vec<u32>) {
    let line = text.lines().find(|line| line.contains(&format!("{name}\t"))).unwrap();
    let (_, levels) = line.rsplit_once('{').unwrap();
    let (levels, _) = levels.split_once('}').unwrap();
    let levels = levels.split(',').map(|level| level.trim().parse().unwrap());
    let fields: Vec<&str> = line.split('\t').collect();
    let loss = match line.split_once("\"./data/adult.csv\", ") {
        Some((_, tail)) => tail.split(',').next().unwrap(),
        None => fields[fields.len() - 3],
    };
    let loss = loss.trim_matches(['[', ']']).split(", ").map(|one| one.parse().unwrap());
    (loss.collect(), levels.collect())
}

#[test]
fn policies_over_arx_files_give_arx_optima() {
    let data = shared("data/adult").zip(shared("vectors/arx/adult_expected.tsv"));
    let Some((folder, vectors)) = data else { return };
    let folder = fs::canonicalize(folder).unwrap();
    let vectors = fs::read_to_string(vectors).unwrap();
    for row in &ROWS {
        let custody = Custody::empty();
        custody.write_policy("people.yaml", &policy_of(row, folder.to_str().unwrap()));
        let manifest = built(&custody);
        let (loss, levels) = expected(&vectors, row.name);
        let found: Vec<u32> = manifest.levels.iter().map(|level| level.level).collect();
        assert_eq!(found, levels, "{}", row.name);
        let near = |ours: &f64, arx: &f64| (ours - arx).abs() <= 1.01e-10 * arx.abs().max(1.0);
        let ours: Vec<f64> = manifest.loss.values().copied().collect();
        assert!(
            ours.len() == loss.len() && ours.iter().zip(&loss).all(|(ours, arx)| near(ours, arx)),
            "{}: {ours:?} {loss:?}",
            row.name
        );
        let rows = pulled(&custody.open().unwrap(), "cern").unwrap();
        assert_eq!(rows.len() as u64, manifest.rows.released, "{}", row.name);
    }
}
