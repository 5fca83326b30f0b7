//! What is offered, refused and unknown, over the engine's own lists.

use super::*;
use crate::pipeline::query::Statement;

fn asked(sql: &str) -> Result<()> {
    check(Statement::parse(sql)?.query())
}

#[test]
fn every_function_of_the_engine_is_allowed_or_refused_with_a_reason() {
    let scalar = SessionStateDefaults::default_scalar_functions();
    let scalars = SCALAR.concat();
    const NONE: &[&str] = &[];
    let higher = SessionStateDefaults::default_higher_order_functions();
    let aggregate = SessionStateDefaults::default_aggregate_functions();
    let window = SessionStateDefaults::default_window_functions();
    let offered: Vec<(&str, &[&str])> = scalar
        .iter()
        .map(|function| (function.name(), scalars.as_slice()))
        .chain([(environments::NAME, scalars.as_slice())])
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
    let all = [&scalars, AGGREGATE, WINDOW].concat();
    let gone: Vec<_> =
        all.iter().filter(|name| !offered.iter().any(|(known, _)| known == *name)).collect();
    assert!(gone.is_empty(), "the engine has no {gone:?}");
}

#[test]
fn every_name_is_of_one_kind_and_in_order() {
    let kinds = [About::Numbers, About::Texts, About::Times, About::Others].map(names);
    for kind in &kinds {
        assert!(kind.is_sorted_by(|a, b| a < b), "{kind:?}");
    }
    let [numbers, texts, times, others] = &kinds;
    assert!(numbers.contains(&"pow") && numbers.contains(&"abs") && texts.contains(&"trim"));
    assert!(times.contains(&"today") && others.contains(&"count") && others.contains(&"nvl"));
    let mut told = kinds.concat();
    told.sort_unstable();
    let mut offered: Vec<&str> = allowed().names().collect();
    offered.sort_unstable();
    // Aggregates stand over windows too.
    offered.dedup();
    assert_eq!(told, offered);
    assert!(!told.contains(&"random"));
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
    for name in ["random", "RANDOM", "\"random\"", "input_file_name", "rpad", "version", "uuid"] {
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
