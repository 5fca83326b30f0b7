//! What other databases call functions that the engine has, and functions that it has not: partners come with the
//! words of theirs. Says what to write; whether that may be called is for [`super`].

/// Names under which other databases have an aggregate function of ours.
pub(super) const SPELLED: &[(&str, &str)] = &[("variance", "var"), ("variance_pop", "var_pop")];

/// Functions of other databases that there are not, each with what to write instead.
pub(super) const INSTEAD: &[(&str, &str)] = &[
    ("approx_count_distinct", "`approx_distinct(x)`"),
    ("approx_quantile", PERCENTILE),
    ("count_if", COUNT_IF),
    ("countif", COUNT_IF),
    ("day", DATE_PART),
    ("dayofweek", DATE_PART),
    ("hist", BINS),
    ("histogram", BINS),
    ("hour", DATE_PART),
    ("if", CASE),
    ("iif", CASE),
    ("isnull", "`x IS NULL`"),
    ("len", "`length(x)`"),
    ("minute", DATE_PART),
    ("mode", "`count(*)` with `GROUP BY x`, in the order of the counts"),
    ("month", DATE_PART),
    ("percentile", PERCENTILE),
    ("percentile_approx", PERCENTILE),
    ("percentile_disc", PERCENTILE),
    ("quantile", PERCENTILE),
    ("quantile_disc", PERCENTILE),
    ("std", "`stddev(x)`"),
    ("stdev", "`stddev(x)`"),
    ("strftime", "`to_char(t, '%Y-%m')`, or `date_trunc('month', t)`"),
    ("width_bucket", BINS),
    ("year", DATE_PART),
];

const PERCENTILE: &str = "`approx_percentile_cont(x, 0.9)`";
const COUNT_IF: &str = "`count(*)` with `WHERE`, or a `sum` of `CASE`";
const DATE_PART: &str = "`date_part('hour', t)`";
const BINS: &str = "`GROUP BY floor(x / 10) * 10` with `count(*)`";
const CASE: &str = "`CASE WHEN x THEN y ELSE z END`";
