//! What a policy asks of a release: which columns could identify somebody together, which guarantees
//! the released table must give, and by which method it is made. Builds nothing.

use std::collections::BTreeMap;

use super::Source;

pub mod diff;
mod explain;
pub mod file;
pub mod fit;
mod lint;
mod resolve;
mod schema;
#[cfg(test)]
mod tests;

pub(super) use explain::sentences;
pub(super) use lint::{is_beside, lint};
pub use resolve::ReleasePlaces;
pub(super) use resolve::{Beside, resolve};
pub(super) use schema::{quasi_identifiers, schema};

/// A whole-table release; where a policy has one, rows leave only through it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseRules {
    /// The columns that could identify somebody together, in the policy's order.
    pub quasi_identifiers: Vec<Quasi>,
    /// What every class of equal rows must satisfy; all of them must hold.
    pub models: Vec<Model>,
    /// How the table is made.
    pub method: Method,
    /// The share of rows that may be suppressed, 0 to 1.
    pub suppress_max: f64,
    /// The column that tells persons apart: where it is named, k counts persons and not rows.
    pub unit: Option<String>,
    /// The table of the population (k-map, delta-presence): a source of files that has the
    /// quasi-identifiers under the same names, raw. The dataset's rows are a part of it.
    pub population: Option<Source>,
    /// Whether the same data may be released again in another generalization.
    pub dangerous_rerelease: bool,
}

impl ReleaseRules {
    /// Whether a column is a quasi-identifier.
    pub fn is_quasi(&self, column: &str) -> bool {
        self.quasi_identifiers.iter().any(|quasi| quasi.column == column)
    }

    /// The sensitive columns that models name, each once, in the order of the models.
    pub fn sensitive(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for column in self.models.iter().filter_map(Model::column) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        columns
    }

    /// The files that hierarchies and distances name, as written.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let quasi = self.quasi_identifiers.iter().map(|quasi| &quasi.hierarchy);
        let distances = self.models.iter().filter_map(|model| match model {
            Model::TCloseness { distance: Distance::Hierarchical(rule), .. } => Some(rule),
            _ => None,
        });
        quasi.chain(distances).filter_map(|rule| match rule {
            HierarchyRule::File { path, .. } => Some(path.as_str()),
            _ => None,
        })
    }

    /// The least class size, where k-anonymity is asked for.
    pub fn k(&self) -> Option<u64> {
        self.models.iter().find_map(|model| match model {
            Model::KAnonymity { k } => Some(*k),
            _ => None,
        })
    }
}

/// One quasi-identifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Quasi {
    /// The column.
    pub column: String,
    /// How its values become coarser, level by level.
    pub hierarchy: HierarchyRule,
    /// How much its loss counts, 1 by default.
    pub weight: f64,
}

/// How values become coarser. Level 0 is the value itself; the last level is `*` for every value.
#[derive(Debug, Clone, PartialEq)]
pub enum HierarchyRule {
    /// A file, a line a value: the value, then its groups, level by level (the shape that ARX reads).
    File {
        /// As written, looked for from the policy's folder.
        path: String,
        /// Between two columns.
        separator: char,
    },
    /// Numbers: half-open intervals `[lower, upper)` of these widths, one level a width, counted from
    /// `from`; each width is a multiple of the one before.
    Intervals {
        /// Where intervals begin.
        from: f64,
        /// Their widths, ascending.
        widths: Vec<f64>,
    },
    /// Dates and times, cut to these units: `hour`, `day`, `week`, `month`, `quarter`, `year`, `decade`.
    Time(Vec<String>),
    /// Text whose last characters are masked, so many a level.
    Mask(Vec<usize>),
    /// No level between the value and `*`.
    Top,
}

/// A guarantee that each class of equal rows gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// At least k rows, or persons (Sweeney 2002).
    KAnonymity {
        /// k.
        k: u64,
    },
    /// At least k rows of the population table (Sweeney 2001).
    KMap {
        /// k.
        k: u64,
    },
    /// At least l values of the column (Machanavajjhala et al. 2007).
    DistinctL {
        /// The sensitive column.
        column: String,
        /// l.
        l: u64,
    },
    /// An entropy of at least log l.
    EntropyL {
        /// The sensitive column.
        column: String,
        /// l.
        l: f64,
        /// How entropy is estimated from counts.
        estimator: Estimator,
    },
    /// The most frequent value less often than c times the l-th most frequent and all after it.
    RecursiveCl {
        /// The sensitive column.
        column: String,
        /// c.
        c: f64,
        /// l.
        l: u64,
    },
    /// Distribution of the column at most t from the table's (Li et al. 2007).
    TCloseness {
        /// The sensitive column.
        column: String,
        /// t.
        t: f64,
        /// Between two distributions.
        distance: Distance,
    },
    /// The chance that somebody of the population is in the table within bounds (Nergiz et al. 2007).
    DeltaPresence {
        /// The lower bound.
        min: f64,
        /// The upper bound.
        max: f64,
    },
    /// No value's share grows by more than beta relative to the table's (Cao and Karras 2012).
    BetaLikeness {
        /// The sensitive column.
        column: String,
        /// beta.
        beta: f64,
        /// Whether growth is also bounded by -ln of the share.
        enhanced: bool,
    },
}

impl Model {
    /// The sensitive column that it is about.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::DistinctL { column, .. }
            | Self::EntropyL { column, .. }
            | Self::RecursiveCl { column, .. }
            | Self::TCloseness { column, .. }
            | Self::BetaLikeness { column, .. } => Some(column),
            Self::KAnonymity { .. } | Self::KMap { .. } | Self::DeltaPresence { .. } => None,
        }
    }

    /// Whether it is measured against the population.
    pub const fn needs_population(&self) -> bool {
        matches!(self, Self::KMap { .. } | Self::DeltaPresence { .. })
    }

    /// The key of the policy that asks for it.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::KAnonymity { .. } => "k_anonymity",
            Self::KMap { .. } => "k_map",
            Self::DistinctL { .. } | Self::EntropyL { .. } | Self::RecursiveCl { .. } => {
                "l_diversity"
            }
            Self::TCloseness { .. } => "t_closeness",
            Self::DeltaPresence { .. } => "delta_presence",
            Self::BetaLikeness { .. } => "beta_likeness",
        }
    }
}

/// How entropy is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimator {
    /// From the shares as they are.
    Shannon,
    /// Corrected for small counts (Grassberger 2003).
    Grassberger,
}

/// The earth mover's distance of t-closeness over a ground distance.
#[derive(Debug, Clone, PartialEq)]
pub enum Distance {
    /// 1 between any two values.
    Equal,
    /// The difference of ranks, in the values' own order (numbers as numbers, else text).
    Ordered,
    /// By the level of the hierarchy where two values meet.
    Hierarchical(HierarchyRule),
}

/// How a release is made.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// Optimal full-domain generalization.
    Lattice {
        /// What is made least.
        objective: Objective,
    },
    /// These levels by column, checked and suppressed only.
    Fixed {
        /// Level by column.
        levels: BTreeMap<String, u32>,
    },
    /// Multidimensional partitioning (LeFevre et al. 2006).
    Mondrian {
        /// Whether equal combinations stay together.
        strict: bool,
    },
    /// Numeric quasi-identifiers become means of groups of at least k (MDAV, Domingo-Ferrer and Mateo-Sanz 2002).
    Microaggregation,
    /// Single cells become `*`, as few as are needed.
    LocalSuppression,
}

impl Method {
    /// The word of the policy language.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lattice { .. } => "lattice",
            Self::Fixed { .. } => "fixed",
            Self::Mondrian { .. } => "mondrian",
            Self::Microaggregation => "microaggregation",
            Self::LocalSuppression => "local_suppression",
        }
    }
}

/// What an optimal generalization makes least.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// Share of the domain that a cell covers (Iyengar 2002).
    Loss {
        /// How losses by column become one.
        aggregate: Aggregate,
        /// 0.5 treats generalization and suppression alike; below, suppression costs more (ARX's gsFactor).
        gs_factor: f64,
    },
    /// Non-uniform entropy (Gionis and Tassa 2009).
    Entropy {
        /// Whether suppression counts so that coarser is never better.
        monotonic: bool,
        /// As for loss.
        gs_factor: f64,
    },
    /// Sum of squares of class sizes (Bayardo and Agrawal 2005).
    Discernibility {
        /// As for entropy.
        monotonic: bool,
    },
    /// Average class size.
    ClassSize,
    /// Levels relative to heights (Sweeney 2002).
    Precision {
        /// As for entropy.
        monotonic: bool,
    },
    /// Sum of levels.
    Height,
}

impl Objective {
    /// The word of the policy language.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Loss { .. } => "loss",
            Self::Entropy { .. } => "entropy",
            Self::Discernibility { .. } => "discernibility",
            Self::ClassSize => "class_size",
            Self::Precision { .. } => "precision",
            Self::Height => "height",
        }
    }
}

impl Default for Objective {
    fn default() -> Self {
        Self::Loss { aggregate: Aggregate::GeometricMean, gs_factor: 0.5 }
    }
}

/// How figures by column become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// Their geometric mean.
    GeometricMean,
    /// Their arithmetic mean.
    ArithmeticMean,
    /// Their sum.
    Sum,
    /// The largest.
    Maximum,
    /// Compared in descending order, the largest first.
    Rank,
}

impl Aggregate {
    /// The word of the policy language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GeometricMean => "geometric_mean",
            Self::ArithmeticMean => "arithmetic_mean",
            Self::Sum => "sum",
            Self::Maximum => "maximum",
            Self::Rank => "rank",
        }
    }
}
