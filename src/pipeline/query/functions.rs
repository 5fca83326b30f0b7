//! Which functions partners may call: the engine's functions that compute from their arguments alone, by
//! name, and one of ours ([`environments`]). A function that is in neither list here does not exist for a statement. Calls nothing itself.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::sql::sqlparser::ast::{self, Query, Visit, Visitor};

use super::{environments, gathered, hint};
use crate::diagnostic::did_you_mean;
use crate::error::{Code, Error, Result};

/// Functions of the values of one row.
const SCALAR: &[&str] = &[
    // Any type.
    "arrow_typeof",
    "coalesce",
    "get_field",
    "greatest",
    "least",
    "named_struct",
    "nullif",
    "nvl",
    "nvl2",
    "struct",
    // Numbers.
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "cos",
    "cosh",
    "cot",
    "degrees",
    "exp",
    "factorial",
    "floor",
    "gcd",
    "isnan",
    "iszero",
    "lcm",
    "ln",
    "log",
    "log10",
    "log2",
    "nanvl",
    "pi",
    "power",
    "radians",
    "round",
    "signum",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
    // Texts and bytes.
    "ascii",
    "bit_length",
    "btrim",
    "character_length",
    "chr",
    "concat",
    "concat_ws",
    "contains",
    "decode",
    "encode",
    "ends_with",
    environments::NAME,
    "find_in_set",
    "initcap",
    "left",
    "levenshtein",
    "lower",
    "ltrim",
    "octet_length",
    "overlay",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "replace",
    "reverse",
    "right",
    "rtrim",
    "split_part",
    "starts_with",
    "strpos",
    "substr",
    "substr_index",
    "to_hex",
    "translate",
    "upper",
    // Dates and times. The first three tell the time at which the statement was asked, and nothing else.
    "now",
    "current_date",
    "current_time",
    "date_bin",
    "date_part",
    "date_trunc",
    "from_unixtime",
    "make_date",
    "make_time",
    "to_char",
    "to_date",
    "to_local_time",
    "to_time",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_nanos",
    "to_timestamp_seconds",
    "to_unixtime",
    // Lists, structs and maps.
    "array_add",
    "array_any_value",
    "array_append",
    "array_avg",
    "array_compact",
    "array_concat",
    "array_dims",
    "array_distance",
    "array_distinct",
    "array_element",
    "array_except",
    "array_has",
    "array_has_all",
    "array_has_any",
    "array_intersect",
    "array_length",
    "array_max",
    "array_min",
    "array_ndims",
    "array_normalize",
    "array_pop_back",
    "array_pop_front",
    "array_position",
    "array_positions",
    "array_prepend",
    "array_product",
    "array_remove",
    "array_remove_all",
    "array_remove_n",
    "array_replace",
    "array_replace_all",
    "array_replace_n",
    "array_reverse",
    "array_scale",
    "array_slice",
    "array_sort",
    "array_subtract",
    "array_sum",
    "array_to_string",
    "array_union",
    "arrays_zip",
    "cardinality",
    "cosine_distance",
    "empty",
    "flatten",
    "inner_product",
    "make_array",
    "map",
    "map_entries",
    "map_extract",
    "map_keys",
    "map_values",
    "string_to_array",
];

/// Functions of the rows of a group. Each may stand over a window too.
const AGGREGATE: &[&str] = &[
    "any_value",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "first_value",
    "grouping",
    "last_value",
    "max",
    "median",
    "min",
    "nth_value",
    "percentile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "string_agg",
    "sum",
    "var",
    "var_pop",
];

/// Functions of a row and its neighbours.
const WINDOW: &[&str] = &[
    "cume_dist",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
];

/// What the parser and the planner make of other functions by themselves.
const SPELLINGS: &[&str] = &["make_map", "unnest", "unnest_outer"];

/// Functions that the engine has and that are not offered, each with the reason.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("array_repeat", GROWS),
    ("array_resize", GROWS),
    ("generate_series", GROWS),
    ("gen_series", GROWS),
    ("lpad", GROWS),
    ("range", GROWS),
    ("repeat", GROWS),
    ("rpad", GROWS),
    ("random", CHANGES),
    ("uuid", CHANGES),
    ("file_row_index", ORIGIN),
    ("input_file_name", ORIGIN),
    ("version", ORIGIN),
    ("arrow_field", METADATA),
    ("arrow_metadata", METADATA),
    ("with_metadata", METADATA),
    ("arrow_cast", CAST),
    ("arrow_try_cast", CAST),
    ("cast_to_type", CAST),
    ("try_cast_to_type", CAST),
    ("array_any_match", LAMBDA),
    ("array_filter", LAMBDA),
    ("array_first", LAMBDA),
    ("array_transform", LAMBDA),
    ("union_extract", UNION),
    ("union_tag", UNION),
];

/// Names under which other databases have an aggregate function of ours.
const SPELLED: &[(&str, &str)] = &[("variance", "var"), ("variance_pop", "var_pop")];

/// Functions of other databases that the engine has not, each with what to write instead.
const INSTEAD: &[(&str, &str)] = &[
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

const GROWS: &str = "it makes values of any size";
const CHANGES: &str = "it gives another answer each time";
const ORIGIN: &str = "it tells of files or of the server";
const METADATA: &str = "a column's metadata are those of the schema";
const CAST: &str = "write `CAST(... AS ...)`";
const LAMBDA: &str = "it takes a function, and none can be written here";
const UNION: &str = "there are no unions";

/// The functions that may be called, under all their names.
#[derive(Debug)]
pub(super) struct Functions {
    scalar: BTreeMap<String, Arc<ScalarUDF>>,
    aggregate: BTreeMap<String, Arc<AggregateUDF>>,
    window: BTreeMap<String, Arc<WindowUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

/// The allowed functions.
pub(super) fn allowed() -> &'static Functions {
    static ALLOWED: LazyLock<Functions> = LazyLock::new(Functions::new);
    &ALLOWED
}

impl Functions {
    fn new() -> Self {
        let mut all = Self {
            scalar: BTreeMap::new(),
            aggregate: BTreeMap::new(),
            window: BTreeMap::new(),
            planners: SessionStateDefaults::default_expr_planners(),
        };
        for function in SessionStateDefaults::default_scalar_functions() {
            keep(&mut all.scalar, SCALAR, function.name(), function.aliases(), &function);
        }
        let own = environments::function();
        keep(&mut all.scalar, SCALAR, own.name(), own.aliases(), &own);
        for function in SessionStateDefaults::default_aggregate_functions() {
            let function = match function.name() {
                gathered::NAME => gathered::counted(&function),
                _ => function,
            };
            keep(&mut all.aggregate, AGGREGATE, function.name(), function.aliases(), &function);
        }
        for (name, known) in SPELLED {
            if let Some(function) = all.aggregate.get(*known).cloned() {
                all.aggregate.insert((*name).to_owned(), function);
            }
        }
        for function in SessionStateDefaults::default_window_functions() {
            keep(&mut all.window, WINDOW, function.name(), function.aliases(), &function);
        }
        all
    }

    /// The scalar function of this name.
    pub(super) fn scalar(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scalar.get(name).cloned()
    }

    /// The aggregate function of this name.
    pub(super) fn aggregate(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.aggregate.get(name).cloned()
    }

    /// The window function of this name.
    pub(super) fn window(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.window.get(name).cloned()
    }

    /// What makes functions of operators and special forms (`EXTRACT`, `[1, 2]`, `a.b`).
    pub(super) fn planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    /// All names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.scalar.keys().chain(self.aggregate.keys()).chain(self.window.keys());
        names.map(String::as_str).chain(SPELLINGS.iter().copied())
    }

    /// All scalar functions, each once, for a session.
    pub(super) fn all_scalar(&self) -> Vec<Arc<ScalarUDF>> {
        self.scalar
            .iter()
            .filter(|(name, function)| name.as_str() == function.name())
            .map(|(_, function)| Arc::clone(function))
            .collect()
    }

    /// All aggregate functions, each once, for a session.
    pub(super) fn all_aggregate(&self) -> Vec<Arc<AggregateUDF>> {
        self.aggregate
            .iter()
            .filter(|(name, function)| name.as_str() == function.name())
            .map(|(_, function)| Arc::clone(function))
            .collect()
    }

    /// All window functions, each once, for a session.
    pub(super) fn all_window(&self) -> Vec<Arc<WindowUDF>> {
        self.window
            .iter()
            .filter(|(name, function)| name.as_str() == function.name())
            .map(|(_, function)| Arc::clone(function))
            .collect()
    }
}

fn keep<T>(
    all: &mut BTreeMap<String, Arc<T>>,
    allowed: &[&str],
    name: &str,
    aliases: &[String],
    function: &Arc<T>,
) {
    if !allowed.contains(&name) {
        return;
    }
    for name in std::iter::once(name).chain(aliases.iter().map(String::as_str)) {
        all.insert(name.to_owned(), Arc::clone(function));
    }
}

/// All functions that a statement may call, under all their names; a name may come twice.
pub fn names() -> impl Iterator<Item = &'static str> {
    allowed().names()
}

/// Refuses a query that calls anything else.
///
/// # Errors
/// [`Code::SqlRefused`] for what the engine has and partners have not, [`Code::SqlInvalid`] for what does
/// not exist.
pub(super) fn check(query: &Query) -> Result<()> {
    match query.visit(&mut Calls) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Calls;

impl Visitor for Calls {
    type Break = Box<Error>;

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Self::Break> {
        let ast::Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let name = match function.name.0.as_slice() {
            [ast::ObjectNamePart::Identifier(name)] if name.quote_style.is_some() => {
                name.value.clone()
            }
            [ast::ObjectNamePart::Identifier(name)] => name.value.to_lowercase(),
            _ => function.name.to_string(),
        };
        match refusal(&name) {
            None => ControlFlow::Continue(()),
            Some(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

/// Why a function cannot be called, or `None` when it can.
fn refusal(name: &str) -> Option<Error> {
    if allowed().names().any(|known| known == name) {
        return None;
    }
    let refused = REFUSED.iter().find(|(refused, _)| *refused == name);
    if let Some((_, reason)) = refused {
        let text = format!("the function `{name}` is not offered: {reason}");
        return Some(hint::error(Code::SqlRefused, &text));
    }
    let mut text = format!("there is no function `{}`", hint::short(name));
    if let Some((_, instead)) = INSTEAD.iter().find(|(other, _)| *other == name) {
        text.push_str(&format!("; write {instead}"));
    } else if let Some(near) = did_you_mean(name, allowed().names()) {
        text.push_str(&format!("; did you mean `{near}`?"));
    }
    Some(hint::error(Code::SqlInvalid, &text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::query::Statement;

    fn asked(sql: &str) -> Result<()> {
        check(Statement::parse(sql)?.query())
    }

    #[test]
    fn every_function_of_the_engine_is_allowed_or_refused_with_a_reason() {
        let scalar = SessionStateDefaults::default_scalar_functions();
        const NONE: &[&str] = &[];
        let higher = SessionStateDefaults::default_higher_order_functions();
        let aggregate = SessionStateDefaults::default_aggregate_functions();
        let window = SessionStateDefaults::default_window_functions();
        let offered: Vec<(&str, &[&str])> = scalar
            .iter()
            .map(|function| (function.name(), SCALAR))
            .chain([(environments::NAME, SCALAR)])
            .chain(higher.iter().map(|function| (function.name(), NONE)))
            .chain(aggregate.iter().map(|function| (function.name(), AGGREGATE)))
            .chain(window.iter().map(|function| (function.name(), WINDOW)))
            .collect();
        assert!(offered.len() > 200, "{}", offered.len());
        let refused = |name: &str| REFUSED.iter().any(|(refused, _)| *refused == name);
        let neither: Vec<_> = offered
            .iter()
            .filter(|(name, allowed)| !allowed.contains(name) && !refused(name))
            .map(|(name, _)| *name)
            .collect();
        assert!(neither.is_empty(), "decide about {neither:?}");
        let both: Vec<_> = REFUSED
            .iter()
            .filter(|(name, _)| allowed().names().any(|allowed| allowed == *name))
            .collect();
        assert!(both.is_empty(), "{both:?}");
        let all = [SCALAR, AGGREGATE, WINDOW].concat();
        let gone: Vec<_> =
            all.iter().filter(|name| !offered.iter().any(|(known, _)| known == *name)).collect();
        assert!(gone.is_empty(), "the engine has no {gone:?}");
    }

    #[test]
    fn no_allowed_function_answers_differently_for_equal_arguments() {
        use datafusion::logical_expr::Volatility;
        for function in allowed().all_scalar() {
            let volatility = function.signature().volatility;
            assert_ne!(volatility, Volatility::Volatile, "{}", function.name());
            if volatility == Volatility::Stable {
                let stable = [
                    "now",
                    "current_date",
                    "current_time",
                    "to_timestamp",
                    "to_timestamp_micros",
                    "to_timestamp_millis",
                    "to_timestamp_nanos",
                    "to_timestamp_seconds",
                ];
                assert!(stable.contains(&function.name()), "{}", function.name());
            }
        }
    }

    #[test]
    fn what_is_refused_is_refused_under_every_name_and_spelling() {
        for name in ["random", "RANDOM", "\"random\"", "input_file_name", "rpad", "version", "uuid"]
        {
            let error = asked(&format!("SELECT {name}() FROM jobs")).unwrap_err();
            assert_eq!(error.code(), Code::SqlRefused, "{name}");
        }
        for (name, _) in REFUSED {
            for over in ["", " OVER ()"] {
                let error = asked(&format!("SELECT {name}(1){over} FROM jobs")).unwrap_err();
                assert_eq!(error.code(), Code::SqlRefused, "{name}");
            }
        }
        let nested = "WITH a AS (SELECT 1 WHERE EXISTS (SELECT repeat('a', 9))) SELECT * FROM a";
        assert_eq!(asked(nested).unwrap_err().code(), Code::SqlRefused);
    }

    #[test]
    fn an_unknown_function_gets_the_nearest_one() {
        let error = asked("SELECT cuont(*) FROM jobs").unwrap_err();
        assert_eq!(error.code(), Code::SqlInvalid);
        assert_eq!(
            error.hint().unwrap().as_str(),
            "there is no function `cuont`; did you mean `count`?"
        );
        let error = asked("SELECT pg_catalog.version() FROM jobs").unwrap_err();
        assert_eq!(error.hint().unwrap().as_str(), "there is no function `pg_catalog.version`");
    }

    #[test]
    fn functions_of_other_databases_are_known_or_get_what_to_write_instead() {
        asked("SELECT variance(a), VARIANCE_POP(b) FROM jobs").unwrap();
        let error = asked("SELECT quantile(a, 0.9) FROM jobs").unwrap_err();
        assert_eq!(
            error.hint().unwrap().as_str(),
            "there is no function `quantile`; write `approx_percentile_cont(x, 0.9)`"
        );
        for (name, instead) in INSTEAD {
            assert!(refusal(name).is_some(), "`{name}` is a function: no hint is needed");
            // What is to be written instead can be written.
            for code in instead.split('`').skip(1).step_by(2) {
                let sql = match code.split_once(' ') {
                    Some(("GROUP", _)) => format!("SELECT count(*) FROM jobs {code}"),
                    _ if code == "WHERE" => "SELECT count(*) FROM jobs WHERE x".to_owned(),
                    _ if code == "CASE" || code == "sum" => continue,
                    _ => format!("SELECT {code} FROM jobs"),
                };
                asked(&sql).unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
            }
        }
    }

    #[test]
    fn aliases_are_allowed_with_their_function() {
        asked("SELECT mean(a), length(b), ifnull(a, b), date_format(c, '%Y'), COUNT(*) FROM jobs")
            .unwrap();
    }
}
