//! Patterns are ready before a row is read: what does not compile, or is large, is refused whether or not a row
//! would get there, and what compiles finds what the engine's own finds.

use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
use datafusion::prelude::SessionContext;

use super::*;
use crate::pipeline::noise::ask::patterns::compiled;

fn hint(condition: &str, table: &Table) -> String {
    let sql = format!("SELECT count(*) FROM jobs WHERE CASE WHEN x = 5 THEN {condition} END");
    let error = match asked(&sql, table) {
        Ok(asked) => panic!("{condition:.80}: {}", asked.question.rows.display_indent()),
        Err(error) => error,
    };
    assert!(matches!(error.code(), Code::NoisyOnly | Code::SqlInvalid | Code::SqlRefused));
    error.hint().map_or(String::new(), |hint| hint.as_str().to_owned())
}

// PRIVACY: each of these failed, or took seconds, where and only where a row with `x = 5` was there.
#[test]
fn what_would_fail_or_take_long_at_the_first_row_is_refused_before() {
    let table = table(&some());
    for (condition, instead) in [
        ("regexp_like(dept, 'a', 'g')", "`i`, `m`, `s` and `x`"),
        ("regexp_like(dept, 'a', 'Q')", "`i`, `m`, `s` and `x`"),
        ("regexp_like(dept, 'a', 'ii')", "flags that stand twice"),
        ("dept LIKE 'a%b' ESCAPE 'b'", "no `ESCAPE`"),
        ("dept ~ '('", ""),
        ("regexp_like(dept, '[a-', 'm')", ""),
        ("dept ~ '(?=a)'", ""),
        ("dept ~* '(kkkkkkkkkkkkkkkkkkkkkkkkkk){1000}'", "`[0-9]` for"),
        ("regexp_like(dept, '(kkkkkkkkkkkkkkkkkkkkkkkkkk){1000}', 'i')", "`[0-9]` for"),
        ("dept ~ '^p\\w{2,30}$'", "`[a-z]` for"),
    ] {
        let hint = hint(condition, &table);
        assert!(hint.contains(instead), "{condition}: {hint}");
    }
    for pattern in ["_".repeat(60_000), "%_".repeat(30_000), "%a".repeat(1_000)] {
        for like in ["LIKE", "ILIKE", "NOT LIKE", "~~", "!~~*"] {
            let hint = hint(&format!("dept {like} '{pattern}x'"), &table);
            assert!(hint.contains("too large"), "{hint}");
        }
    }
    // None is too large alone.
    let all = (0..20).map(|at| format!("dept ~ '^[0-9]+x\\d\\d{at}$'"));
    assert!(hint(&all.collect::<Vec<_>>().join(" OR "), &table).contains("too large"));
}

#[test]
fn patterns_that_people_write_are_taken() {
    let table = table(&some());
    for condition in [
        "dept ~ '^[a-f]+$' AND site !~* 'north|south' AND dept ~ '^(C[0-9]{2}|D[0-4][0-9])([.][0-9]{1,2})?$'",
        "dept ~ '^\\d{4}-\\d{2}-\\d{2}$'",
        "dept ~ '^(\\d{1,3})\\.(\\d{1,3})\\.(\\d{1,3})\\.(\\d{1,3})$'",
        "dept ~* '^[a-z0-9._%+-]+@[a-z0-9.-]+\\.[a-z]{2,}$'",
        "dept ~ '^\\w+$'",
        "regexp_like(dept, 'law', 'i') AND regexp_like(dept, NULL) AND regexp_like(dept, 'a', NULL)",
        "dept LIKE 'a%b_c%' AND dept NOT ILIKE '%law%' AND site LIKE NULL",
    ] {
        let sql = format!("SELECT count(*) FROM jobs WHERE {condition}");
        if let Err(error) = asked(&sql, &table) {
            panic!("{condition}: {}", error.chain());
        }
    }
    // A text between `%` is looked for as it is, however long.
    let long = format!("SELECT count(*) FROM jobs WHERE dept LIKE '%{}%'", "law".repeat(5_000));
    asked(&long, &table).unwrap();
}

#[tokio::test]
async fn compiled_patterns_find_what_the_engine_finds() {
    let texts = [
        Some(""),
        Some("a"),
        Some("A"),
        Some("a%b"),
        Some("a_b"),
        Some("a\\b"),
        Some("a.b"),
        Some("line\nline"),
        Some("K\u{212a}k\u{17f}s"),
        Some("Stra\u{df}e"),
        Some("\u{1f600}"),
        Some("law and economics"),
        None,
    ];
    let column: ArrayRef = Arc::new(StringViewArray::from(texts.to_vec()));
    let batch = RecordBatch::try_from_iter_with_nullable([("s", column, true)]).unwrap();
    let source = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
    let source = provider_as_source(Arc::new(source));
    let mut exprs = Vec::new();
    for pattern in [
        "",
        "%",
        "_",
        "a%",
        "%b",
        "a_b",
        "a\\_b",
        "a\\%b",
        "%\\\\%",
        "a\\",
        "%a_d%",
        "line%line",
        "_ine_line",
        "k%s",
        "%.%",
        "a.b",
        "STRA%",
        "%\u{df}e",
        "__",
        "a\\.b",
        "%l%o%c%",
    ] {
        for expr in [
            col("s").like(lit(pattern)),
            col("s").not_like(lit(pattern)),
            col("s").ilike(lit(pattern)),
            col("s").not_ilike(lit(pattern)),
        ] {
            exprs.push(expr);
        }
    }
    let regex =
        |op, pattern: &str| datafusion::logical_expr::binary_expr(col("s"), op, lit(pattern));
    use datafusion::logical_expr::Operator as O;
    for pattern in ["^a", "k+", "l.*o", "", "[^a]$", "(?i)STRASSE|law", "^.$", "\\w\\s"] {
        for op in [O::RegexMatch, O::RegexIMatch, O::RegexNotMatch, O::RegexNotIMatch] {
            exprs.push(regex(op, pattern));
        }
        for flags in ["i", "s", "m", "x"] {
            let (pattern, flags) = (lit(pattern), Some(lit(flags)));
            exprs.push(datafusion::functions::expr_fn::regexp_like(col("s"), pattern, flags));
        }
    }
    let context = SessionContext::new();
    let mut compared = 0;
    for expr in exprs {
        let ours =
            compiled(expr.clone()).unwrap_or_else(|error| panic!("{expr}: {}", error.chain()));
        compared += usize::from(ours != expr);
        let pair = |expr: Expr, name: &str| expr.alias(name);
        let plan = LogicalPlanBuilder::scan("t", Arc::clone(&source), None).unwrap();
        let plan = plan.project([pair(expr.clone(), "theirs"), pair(ours, "ours")]).unwrap();
        let frame = context.execute_logical_plan(plan.build().unwrap()).await.unwrap();
        let batches = frame.collect().await.unwrap();
        let batch = concat_batches(&batches[0].schema(), &batches).unwrap();
        assert_eq!(batch["theirs"].to_data(), batch["ours"].to_data(), "{expr}");
    }
    assert!(compared > 100, "{compared}");
}
