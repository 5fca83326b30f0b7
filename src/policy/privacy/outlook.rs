//! What to expect of a grant's answers before one is asked: how far counts and sums will be off, and how much
//! `groups_max` and `rows_max` will leave out. Estimates for people, from the policy alone: never from data.

use super::spread::{Spread, real};
use super::{Accounting, DpGrant, PublicNumbers, accounting};
use crate::policy::Policy;

/// By how much a sum over groups is off in 95 of 100 answers, at most, where one unit changes each of so many
/// groups by so much. The continuous distribution: within one of what a whole-number noise has.
pub fn off(accounting: Accounting, epsilon: f64, groups: f64, change: f64) -> f64 {
    match accounting {
        // The 95 % point of the Laplace distribution is ln 20 times its scale.
        Accounting::Pure => 20_f64.ln() * groups * change / epsilon,
        Accounting::Zcdp => 1.96 * change * groups.sqrt() / epsilon,
    }
}

/// By how much a count of rows is off in 95 of 100 answers, at most: the noise of one measure at the epsilon
/// of a query.
pub fn rows_off(accounting: Accounting, dp: &DpGrant) -> f64 {
    let epsilon = dp.query.epsilon.approximate();
    off(accounting, epsilon, real(dp.groups_max), real(dp.rows_max))
}

/// The model behind an estimate, in words.
pub fn model(numbers: &PublicNumbers, unit: &str, spread: &Spread) -> String {
    let (units, rows) = (numbers.units.unwrap_or_default(), numbers.rows.unwrap_or_default());
    let steep = match numbers.largest {
        Some(_) => format!("a power law of exponent {:.2}", spread.exponent),
        None => "Zipf's law (exponent 1), since `largest` is not declared".to_owned(),
    };
    format!(
        "from the policy's public numbers ({units} of `{unit}`, {rows} rows), as if rows by rank followed \
         {steep}, from {:.0} rows down",
        spread.largest
    )
}

/// Answers of one grant.
pub(super) struct Outlook<'a> {
    accounting: Accounting,
    dp: &'a DpGrant,
    numbers: Option<PublicNumbers>,
    /// What the public numbers say, where they say enough.
    pub(super) spread: Option<Spread>,
}

impl<'a> Outlook<'a> {
    pub(super) fn new(policy: &Policy, dp: &'a DpGrant) -> Self {
        let numbers = policy.public_numbers;
        let spread = numbers.as_ref().and_then(Spread::of);
        Self { accounting: accounting(policy), dp, numbers, spread }
    }

    /// Columns whose values are public, and how many values each has.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&'a str, f64)> {
        self.dp.keys.iter().map(|(column, values)| (column.as_str(), real(values.len() as u64)))
    }

    /// How many of so many groups one unit counts in.
    pub(super) fn groups(&self, of: f64) -> f64 {
        real(self.dp.groups_max).min(of)
    }

    /// By how much a count is off, by so many groups, with so many rows a group of a unit.
    pub(super) fn count_off(&self, groups: f64, rows_max: f64) -> f64 {
        let epsilon = self.dp.query.epsilon.approximate();
        off(self.accounting, epsilon, self.groups(groups), rows_max)
    }

    /// Under how many rows a mean of a column is mostly noise, by so many groups, where a statement asks for a count of
    /// rows and that mean: there the count that it is divided by is off by as much as it is.
    pub(super) fn means_from(&self, groups: f64, column: &str) -> f64 {
        // Rows and a sum; and the rows with a value, where a null has no meaning.
        let measures: f64 = if self.dp.null_as.contains_key(column) { 2.0 } else { 3.0 };
        let parts = match self.accounting {
            Accounting::Pure => measures,
            Accounting::Zcdp => measures.sqrt(),
        };
        parts * self.count_off(groups, real(self.dp.rows_max))
    }

    /// How many rows the smallest group by one public key has, where that is known.
    pub(super) fn smallest_group(&self) -> Option<f64> {
        self.numbers?.smallest_group.map(real)
    }

    /// How many rows one of so many groups has on average, where that is known.
    pub(super) fn average(&self, groups: f64) -> Option<f64> {
        self.spread.as_ref()?;
        Some(real(self.numbers?.rows?) / groups)
    }

    /// The share that is left out where a unit counts in so many groups.
    pub(super) fn clipped(&self, groups: f64) -> Option<f64> {
        Some(self.spread?.clipped(groups * real(self.dp.rows_max)))
    }
}

/// What to expect of a grant, a line each; beside each number its share, where the policy's public numbers tell.
pub fn outlook(policy: &Policy, dp: &DpGrant) -> Vec<String> {
    let seen = Outlook::new(policy, dp);
    let (groups_max, rows_max) = (real(dp.groups_max), real(dp.rows_max));
    let epsilon = dp.query.epsilon;
    let mut lines = Vec::new();
    match (seen.numbers, &seen.spread) {
        (Some(numbers), Some(spread)) => {
            lines.push(format!("estimated {}", model(&numbers, &dp.unit, spread)));
            let share = |groups: f64| percent(seen.clipped(groups).unwrap_or_default());
            lines.push(format!(
                "left out: {} of all rows without groups ({rows_max} rows of one `{}`), {} with \
                 groups ({} of {rows_max} rows each)",
                share(1.0),
                dp.unit,
                at_least(share(groups_max)),
                dp.groups_max
            ));
        }
        _ => lines.push(
            "left out: not estimated, since `public_numbers` does not say `units` and `rows`"
                .to_owned(),
        ),
    }
    let told = |what: &str, off: f64, whole: Option<(f64, String)>| {
        let share = whole.filter(|(whole, _)| *whole > 0.0);
        let share = share.map(|(whole, of)| format!(", {} of {of}", percent(off / whole)));
        format!("{what}: off by up to {}{}", number(off), share.unwrap_or_default())
    };
    let rows = seen.average(1.0).map(|rows| (rows, "all rows".to_owned()));
    lines.push(told("COUNT(*)", seen.count_off(1.0, rows_max), rows));
    for (column, groups) in seen.keys() {
        let average = seen.average(groups);
        let by = format!("by `{column}` ({groups} groups)");
        let whole = average.map(|rows| (rows, format!("an average group ({} rows)", number(rows))));
        lines.push(told(&format!("COUNT(*) {by}"), seen.count_off(groups, rows_max), whole));
        for (value, bounds) in &dp.bounds {
            let farthest = bounds.low.abs().max(bounds.high.abs());
            let off = seen.count_off(groups, rows_max * farthest);
            let middle = f64::midpoint(bounds.low, bounds.high).abs();
            let whole = average.map(|rows| {
                (
                    rows * middle,
                    "an average group with values in the middle of their bounds".to_owned(),
                )
            });
            lines.push(told(&format!("SUM of `{value}` {by}"), off, whole));
            lines.push(format!(
                "AVG of `{value}` beside COUNT(*) {by}: mostly noise in groups under {} rows",
                number(seen.means_from(groups, value).ceil())
            ));
        }
    }
    lines.push(format!(
        "each 95 times of 100, where a statement asks for that (but AVG) alone and costs epsilon {epsilon}"
    ));
    lines
}

/// A share that is a lower bound, for people.
fn at_least(share: String) -> String {
    if share.starts_with(|first: char| first.is_ascii_digit()) {
        format!("at least {share}")
    } else {
        share
    }
}

/// A share for people.
pub(super) fn percent(share: f64) -> String {
    let hundredths = share * 100.0;
    if hundredths <= 0.0 {
        "nothing".to_owned()
    } else if hundredths < 0.1 {
        "under 0.1 %".to_owned()
    } else if hundredths < 10.0 {
        format!("{hundredths:.1} %")
    } else if hundredths < 1_000.0 {
        format!("{hundredths:.0} %")
    } else {
        format!("{:.0} times", share)
    }
}

/// A number for people.
pub(super) fn number(number: f64) -> String {
    match number.abs() {
        size if size < 10.0 && number.fract() != 0.0 => format!("{number:.2}"),
        size if size < 1e9 => format!("{number:.0}"),
        _ => format!("{number:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_numbers_are_short() {
        let shares = [0.0, 1e-5, 0.0123, 0.095, 0.314, 1.02, 12.3];
        assert_eq!(
            shares.map(percent),
            ["nothing", "under 0.1 %", "1.2 %", "9.5 %", "31 %", "102 %", "12 times"]
        );
        assert_eq!([0.123, 2995.7, 2.6e10].map(number), ["0.12", "2996", "2.6e10"]);
    }

    #[test]
    fn widths_are_those_of_the_two_distributions() {
        assert!((off(Accounting::Pure, 0.5, 2.0, 4.0) - 16.0 * 20_f64.ln()).abs() < 1e-9);
        // Sigma is 4 sqrt(2) / 0.5 for rho = 0.5^2 / 2.
        let sigma = 4.0 * 2_f64.sqrt() / 0.5;
        assert!((off(Accounting::Zcdp, 0.5, 2.0, 4.0) - 1.96 * sigma).abs() < 1e-9);
    }
}
