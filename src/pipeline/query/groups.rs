//! How many sets of groups a `GROUP BY` stands for. Each row is grouped once for each set, and all of that
//! is in memory at once where no limit of the engine counts it: `CUBE` of twelve columns takes gigabytes.
//! Looks at statements; plans nothing.

use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr};

/// The most sets of one `GROUP BY`: `CUBE` of six columns.
pub(super) const SETS_MAX: u64 = 64;

/// The number of sets, with those of `CUBE`, `ROLLUP` and `GROUPING SETS` beside each other multiplied.
pub(super) fn sets(group_by: &GroupByExpr) -> u64 {
    match group_by {
        GroupByExpr::All(_) => 1,
        GroupByExpr::Expressions(exprs, _) => product(exprs),
    }
}

fn product(exprs: &[Expr]) -> u64 {
    exprs.iter().map(of).fold(1, u64::saturating_mul)
}

fn of(expr: &Expr) -> u64 {
    match expr {
        Expr::Nested(inner) => of(inner),
        Expr::Tuple(inner) => product(inner),
        Expr::Cube(parts) => {
            let each = u32::try_from(parts.len()).unwrap_or(u32::MAX);
            2_u64.checked_pow(each).unwrap_or(u64::MAX).saturating_mul(inside(parts))
        }
        Expr::Rollup(parts) => {
            let each = u64::try_from(parts.len()).unwrap_or(u64::MAX);
            each.saturating_add(1).saturating_mul(inside(parts))
        }
        Expr::GroupingSets(parts) => {
            parts.iter().map(|part| product(part)).fold(0, u64::saturating_add)
        }
        _ => 1,
    }
}

/// Of sets within sets, which the planner may take or not.
fn inside(parts: &[Vec<Expr>]) -> u64 {
    parts.iter().map(|part| product(part)).fold(1, u64::saturating_mul)
}

#[cfg(test)]
mod tests {
    use crate::error::Code;
    use crate::pipeline::query::Statement;

    fn cube(columns: usize) -> String {
        let columns: Vec<String> = (0..columns).map(|at| format!("Id + {at}")).collect();
        format!("CUBE ({})", columns.join(", "))
    }

    #[test]
    fn more_sets_than_memory_holds_are_refused_before_they_are_written_out() {
        let many = vec!["(Id)"; 65].join(", ");
        for group_by in [
            cube(7),
            cube(12),
            cube(40),
            format!("{}, {}", cube(4), cube(3)),
            format!("{}, ROLLUP (Id, User, Id + 1, Id + 2)", cube(4)),
            format!("GROUPING SETS ({many})"),
            format!("ROLLUP ({})", vec!["Id"; 64].join(", ")),
        ] {
            for sql in [
                format!("SELECT count(*) FROM jobs GROUP BY {group_by}"),
                format!("SELECT 1 WHERE EXISTS (SELECT count(*) FROM jobs GROUP BY {group_by})"),
            ] {
                let error = Statement::parse(&sql).unwrap_err();
                assert_eq!(error.code(), Code::SqlRefused, "{sql}");
                let hint = error.hint().unwrap().as_str().to_owned();
                assert!(hint.contains("GROUP BY"), "{sql}: {hint}");
            }
        }
    }

    #[test]
    fn usual_sets_are_taken() {
        for group_by in [
            "Id, User".to_owned(),
            cube(6),
            format!("User, {}", cube(3)),
            "ROLLUP (Id, User)".to_owned(),
            "GROUPING SETS ((Id, User), (Id), ())".to_owned(),
            "ALL".to_owned(),
        ] {
            let sql = format!("SELECT count(*) FROM jobs GROUP BY {group_by}");
            Statement::parse(&sql).unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        }
    }
}
