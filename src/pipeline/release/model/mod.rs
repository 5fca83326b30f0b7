//! What a release guarantees about every class of rows that look alike, checked on counts. One
//! [`Guarantees`] is made of the policy's models and the table as it is before anything is
//! generalized; it then says of the counts of any class whether all models hold. Decides nothing about
//! classes that do not hold, and reads neither rows nor files. A released file is measured again by
//! `measure`, which shares no code with this.
//!
//! The models have the meaning that ARX gives them: shares are of the class's released rows, the
//! table's distribution is that of all released rows before suppression, and comparisons are exact,
//! without a tolerance. Null is a value like any other.

mod closeness;
mod counts;
mod diversity;
mod likeness;

pub use counts::ClassCounts;

use crate::error::{Code, Error, Result};
use crate::policy::release::{Distance, Estimator, Model, ReleaseRules};

use super::table::{Sensitive, Table};

/// How often each value of a sensitive column stands in a class: pairs of value and rows, ascending by
/// value and without zeros.
pub type Histogram = [(u32, u64)];

/// The models of a release, ready to be checked.
#[derive(Debug)]
pub struct Guarantees {
    checks: Vec<Check>,
    k: u64,
    presence_min: f64,
    /// Whether a model asks for a least number of rows.
    sized: bool,
    suppressible: u64,
}

/// One model over the counts of a class.
#[derive(Debug)]
enum Check {
    /// At least so many rows, or persons where the table counts them: k-anonymity.
    Members(u64),
    /// At least so many rows of the population: k-map.
    Population(u64),
    /// The share of the population's rows that are released lies between: delta-presence.
    Presence { min: f64, max: f64 },
    /// A bound on the values of a sensitive column, by its place in the table.
    Values { sensitive: usize, check: ValueCheck },
}

/// One model over the values of a sensitive column.
#[derive(Debug)]
enum ValueCheck {
    Distinct(diversity::Distinct),
    Entropy(diversity::Entropy),
    Recursive(diversity::Recursive),
    Equal(closeness::Equal),
    Ordered(closeness::Ordered),
    Hierarchical(closeness::Hierarchical),
    Likeness(likeness::Likeness),
}

/// What is counted of a class, however it is stored.
#[derive(Debug, Clone, Copy)]
pub struct Profile<'a> {
    /// Rows of the dataset.
    pub rows: u64,
    /// Persons behind them, where the table counts persons; may be cut off at k.
    pub persons: Option<u64>,
    /// Rows of the population, where there is one.
    pub population: Option<u64>,
    /// One histogram for each sensitive column of the table.
    pub sensitive: &'a [&'a Histogram],
}

impl Guarantees {
    /// The models of these rules over this table.
    pub fn new(rules: &ReleaseRules, table: &Table) -> Result<Self> {
        let rows: u64 = table.rows.iter().sum();
        let mut checks = rules
            .models
            .iter()
            .map(|model| check(model, table, rows))
            .collect::<Result<Vec<_>>>()?;
        // The cheap ones first: most classes that fail are too small.
        checks.sort_by_key(Check::cost);
        let k = checks.iter().map(|check| if let Check::Members(k) = check { *k } else { 0 });
        let k = k.max().unwrap_or(0);
        let presence_min = checks
            .iter()
            .map(|check| if let Check::Presence { min, .. } = check { *min } else { 0.0 })
            .fold(0.0, f64::max);
        if !(0.0..=1.0).contains(&rules.suppress_max) {
            return Err(policy("the share of rows that may be suppressed lies between 0 and 1"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a count of rows times a share between 0 and 1, cut as ARX cuts it"
        )]
        let suppressible = (rows as f64 * rules.suppress_max) as u64;
        let sized = checks.iter().any(Check::sizes);
        Ok(Self { checks, k, presence_min, sized, suppressible })
    }

    /// Whether every model holds for the class. A class without rows of the dataset holds when nothing
    /// that is only in the population breaks a model.
    pub fn hold(&self, class: &ClassCounts) -> bool {
        let sensitive: Vec<&Histogram> = class.sensitive.iter().map(Vec::as_slice).collect();
        self.hold_for(&Profile {
            rows: class.rows,
            persons: class.units.as_ref().map(|units| units.len() as u64),
            population: class.population,
            sensitive: &sensitive,
        })
    }

    /// Whether every model holds for a class of which this much is known.
    pub fn hold_for(&self, class: &Profile<'_>) -> bool {
        if class.rows == 0 {
            return self.absent(class);
        }
        self.checks.iter().all(|check| check.holds(class))
    }

    /// At least this share of the class's rows fails however the class is divided; what a coarse class
    /// tells about all finer ones.
    pub fn failing_below(&self, class: &Profile<'_>) -> f64 {
        self.checks.iter().map(|check| check.failing_below(class)).fold(0.0, f64::max)
    }

    /// A class that only the population has cannot be suppressed, for nothing of it is released: where
    /// delta-presence asks for a least share, the whole generalization fails by it. Not so beside
    /// k-anonymity or l-diversity: such a class is then too small, as those are that are suppressed, and
    /// of suppressed classes nobody is present either. So does ARX judge it.
    fn absent(&self, class: &Profile<'_>) -> bool {
        class.population.unwrap_or(0) == 0 || self.presence_min <= 0.0 || self.sized
    }

    /// How many rows may be suppressed.
    pub const fn suppressible(&self) -> u64 {
        self.suppressible
    }

    /// The k of k-anonymity, 0 where it is not asked for.
    pub const fn k(&self) -> u64 {
        self.k
    }

    /// Whether a class that holds still holds after any other class has joined it. Then generalizing
    /// further never suppresses more rows.
    pub fn last(&self) -> bool {
        self.checks.iter().all(Check::lasts)
    }

    /// Whether two classes that both hold also hold when they are joined. Then, as long as nothing may
    /// be suppressed, whatever is coarser than a generalization that holds also holds.
    pub fn join(&self) -> bool {
        self.checks.iter().all(Check::joins)
    }

    /// k, where nothing is asked for but k rows.
    pub fn rows_alone(&self) -> Option<u64> {
        let alone = self.checks.iter().all(|check| matches!(check, Check::Members(_)));
        alone.then_some(self.k)
    }

    /// Whether any model looks at the values of sensitive columns.
    pub fn look_at_values(&self) -> bool {
        self.checks.iter().any(|check| matches!(check, Check::Values { .. }))
    }
}

impl Check {
    fn holds(&self, class: &Profile<'_>) -> bool {
        match self {
            Self::Members(k) => class.persons.unwrap_or(class.rows) >= *k,
            Self::Population(k) => class.population.unwrap_or(0) >= *k,
            Self::Presence { min, max } => {
                #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
                let share = class.rows as f64 / class.population.unwrap_or(0) as f64;
                share >= *min && share <= *max
            }
            Self::Values { sensitive, check } => {
                let histogram = class.sensitive.get(*sensitive).copied().unwrap_or_default();
                match check {
                    ValueCheck::Distinct(check) => check.holds(histogram),
                    ValueCheck::Entropy(check) => check.holds(class.rows, histogram),
                    ValueCheck::Recursive(check) => check.holds(histogram),
                    ValueCheck::Equal(check) => check.holds(class.rows, histogram),
                    ValueCheck::Ordered(check) => check.holds(class.rows, histogram),
                    ValueCheck::Hierarchical(check) => check.holds(histogram),
                    ValueCheck::Likeness(check) => check.holds(class.rows, histogram),
                }
            }
        }
    }

    fn failing_below(&self, class: &Profile<'_>) -> f64 {
        if self.lasts() {
            return f64::from(u8::from(!self.holds(class)));
        }
        let Self::Values { sensitive, check } = self else { return 0.0 };
        let histogram = class.sensitive.get(*sensitive).copied().unwrap_or_default();
        match check {
            ValueCheck::Distinct(_) | ValueCheck::Recursive(_) => 0.0,
            ValueCheck::Entropy(check) => check.failing(class.rows, histogram),
            ValueCheck::Equal(check) => check.failing(class.rows, histogram),
            ValueCheck::Ordered(check) => check.failing(class.rows, histogram),
            ValueCheck::Hierarchical(check) => check.failing(histogram),
            ValueCheck::Likeness(check) => check.failing(class.rows, histogram),
        }
    }

    const fn cost(&self) -> u8 {
        match self {
            Self::Members(_) | Self::Population(_) | Self::Presence { .. } => 0,
            Self::Values { check: ValueCheck::Distinct(_), .. } => 1,
            Self::Values { .. } => 2,
        }
    }

    /// It asks for a least number of rows, if only because it asks for as many values.
    const fn sizes(&self) -> bool {
        matches!(
            self,
            Self::Members(_)
                | Self::Values {
                    check: ValueCheck::Distinct(_)
                        | ValueCheck::Entropy(_)
                        | ValueCheck::Recursive(_),
                    ..
                }
        )
    }

    /// Counting more rows, persons or values never breaks it.
    const fn lasts(&self) -> bool {
        matches!(
            self,
            Self::Members(_)
                | Self::Population(_)
                | Self::Values { check: ValueCheck::Distinct(_), .. }
        )
    }

    /// The join of two classes has a share, a distance or an entropy between theirs. Grassberger's
    /// estimate is not concave, so it promises nothing.
    fn joins(&self) -> bool {
        match self {
            Self::Values { check: ValueCheck::Entropy(check), .. } => {
                check.estimator() == Estimator::Shannon
            }
            _ => true,
        }
    }
}

fn check(model: &Model, table: &Table, rows: u64) -> Result<Check> {
    let values = |column: &str, make: &dyn Fn(&Sensitive) -> Result<ValueCheck>| {
        let found = table.sensitive.iter().enumerate().find(|(_, known)| known.name == column);
        let (sensitive, known) = found.ok_or_else(|| {
            policy(format!("nothing is counted of the sensitive column `{column}`"))
        })?;
        Ok(Check::Values { sensitive, check: make(known)? })
    };
    let counted = || {
        let counted = table.population.is_some();
        counted.then_some(()).ok_or_else(|| policy("k_map and delta_presence need a `population`"))
    };
    match model {
        Model::KAnonymity { k } => Ok(Check::Members(*k)),
        Model::KMap { k } => counted().map(|()| Check::Population(*k)),
        Model::DeltaPresence { min, max } => {
            counted().map(|()| Check::Presence { min: *min, max: *max })
        }
        Model::DistinctL { column, l } => {
            values(column, &|_| Ok(ValueCheck::Distinct(diversity::Distinct::new(*l))))
        }
        Model::EntropyL { column, l, estimator } => {
            values(column, &|_| Ok(ValueCheck::Entropy(diversity::Entropy::new(*l, *estimator))))
        }
        Model::RecursiveCl { column, c, l } => {
            values(column, &|_| Ok(ValueCheck::Recursive(diversity::Recursive::new(*c, *l))))
        }
        Model::TCloseness { column, t, distance } => values(column, &|known| {
            let shares = shares(known, rows);
            Ok(match distance {
                Distance::Equal => ValueCheck::Equal(closeness::Equal::new(*t, shares)),
                Distance::Ordered => ValueCheck::Ordered(closeness::Ordered::new(*t, shares)),
                Distance::Hierarchical(_) => ValueCheck::Hierarchical(
                    closeness::Hierarchical::new(*t, known, &totals(known))?,
                ),
            })
        }),
        Model::BetaLikeness { column, beta, enhanced } => values(column, &|known| {
            Ok(ValueCheck::Likeness(likeness::Likeness::new(
                *beta,
                *enhanced,
                &shares(known, rows),
            )))
        }),
    }
}

/// Rows of the table by value.
fn totals(sensitive: &Sensitive) -> Vec<u64> {
    let mut totals = vec![0; sensitive.values.len()];
    for (value, rows) in &sensitive.counts.items {
        if let Some(total) = totals.get_mut(*value as usize) {
            *total += rows;
        }
    }
    totals
}

/// The table's distribution.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
fn shares(sensitive: &Sensitive, rows: u64) -> Vec<f64> {
    totals(sensitive).iter().map(|total| *total as f64 / rows as f64).collect()
}

/// What is wrong with the rules, for who wrote them.
fn policy(context: impl Into<String>) -> Error {
    Error::new(Code::Policy, context)
}

#[cfg(test)]
mod tests;
