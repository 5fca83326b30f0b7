//! beta-likeness: no value's share of a class grows by more than beta relative to its share of the
//! table, `(p - q) / q <= beta`; enhanced, by no more than -ln of that share either, `min(beta, -ln q)`,
//! so that frequent values are bounded too. After Cao and Karras, "Publishing Microdata with a Robust
//! Privacy Guarantee", PVLDB 5(11), 2012. Bounds no shrinking: a value may vanish from a class.

use super::Histogram;

#[derive(Debug)]
pub(super) struct Likeness {
    /// By value: its share of the table and how much it may grow.
    bounds: Vec<(f64, f64)>,
}

impl Likeness {
    pub(super) fn new(beta: f64, enhanced: bool, table: &[f64]) -> Self {
        let bound = |share: &f64| (*share, if enhanced { beta.min(-share.ln()) } else { beta });
        Self { bounds: table.iter().map(bound).collect() }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    pub(super) fn holds(&self, rows: u64, class: &Histogram) -> bool {
        class.iter().all(|(value, count)| {
            let bound = self.bounds.get(*value as usize);
            bound.is_some_and(|(share, growth)| {
                (*count as f64 / rows as f64 - share) / share <= *growth
            })
        })
    }

    /// At least this share of the rows fails however the class is divided: in parts that hold, a value
    /// has at most the share that it may grow to.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    pub(super) fn failing(&self, rows: u64, class: &Histogram) -> f64 {
        let shares = class.iter().filter_map(|(value, count)| {
            let (share, growth) = self.bounds.get(*value as usize)?;
            let most = share * (1.0 + growth);
            (most < 1.0).then(|| (*count as f64 / rows as f64 - most) / (1.0 - most))
        });
        shares.fold(0.0, f64::max)
    }
}
