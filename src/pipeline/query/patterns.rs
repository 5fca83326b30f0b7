//! Regular expressions in statements. Each is compiled before it is matched, and a compiled one takes
//! megabytes that no memory limit of the engine counts: so a statement has few, and small ones, which it
//! writes itself. Knows nothing of `LIKE`, whose patterns are matched as they stand.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use regex::RegexBuilder;

use super::hint;
use crate::error::{Code, Error, Result};

/// The size of a compiled pattern, in bytes: a text is matched in at most as many steps for each of its letters.
const SIZE_MAX: usize = 2 << 20;

/// The functions whose second argument is a pattern.
const FUNCTIONS: &[&str] =
    &["regexp_count", "regexp_instr", "regexp_like", "regexp_match", "regexp_replace"];

/// Refuses a plan whose patterns are computed from columns, or are too large.
///
/// INVARIANT: no pattern is compiled for each row. Asked of a plan that has its parameters, before the
/// optimizer computes anything.
///
/// # Errors
/// [`Code::SqlRefused`].
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    let mut refused = Ok(());
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            use datafusion::common::tree_node::TreeNode;
            expr.apply(|expr| {
                refused = patterns(expr).into_iter().try_for_each(small);
                Ok(if refused.is_ok() {
                    TreeNodeRecursion::Continue
                } else {
                    TreeNodeRecursion::Stop
                })
            })
        })
    });
    if let Err(error) = walked {
        return Err(Error::new(Code::Internal, "a plan cannot be walked").because(error));
    }
    refused
}

/// What an expression compiles: its pattern, and the flags that change what that means.
fn patterns(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            op:
                Operator::RegexMatch
                | Operator::RegexIMatch
                | Operator::RegexNotMatch
                | Operator::RegexNotIMatch,
            right,
            ..
        }) => vec![right],
        Expr::SimilarTo(like) => vec![&like.pattern],
        Expr::ScalarFunction(call) if FUNCTIONS.contains(&call.func.name()) => {
            call.args.get(1).into_iter().chain(flags(call.func.name(), &call.args)).collect()
        }
        _ => Vec::new(),
    }
}

fn flags<'a>(name: &str, args: &'a [Expr]) -> Option<&'a Expr> {
    args.get(match name {
        "regexp_like" | "regexp_match" => 2,
        "regexp_instr" => 4,
        _ => 3,
    })
}

/// Refuses anything but a text of the statement's own that compiles to little.
fn small(pattern: &Expr) -> Result<()> {
    let refuse = |text: &str| Err(hint::error(Code::SqlRefused, text));
    match pattern {
        Expr::Alias(alias) => small(&alias.expr),
        Expr::Cast(cast) => small(&cast.expr),
        Expr::TryCast(cast) => small(&cast.expr),
        Expr::Placeholder(_) => Ok(()),
        Expr::Literal(value, _) => match text(value) {
            Some(text) => match RegexBuilder::new(text).size_limit(SIZE_MAX).build() {
                Err(regex::Error::CompiledTooBig(_)) => {
                    refuse("a pattern is too large once its repetitions are written out")
                }
                // One that is none is said so where it is used.
                Ok(_) | Err(_) => Ok(()),
            },
            None => Ok(()),
        },
        _ => refuse(
            "the pattern and the flags of a regular expression are texts that the statement writes, \
             or parameters: they cannot be computed",
        ),
    }
}

fn text(value: &ScalarValue) -> Option<&str> {
    match value {
        ScalarValue::Dictionary(_, value) => text(value),
        other => other.try_as_str().flatten(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{jobs, planned, refusal};
    use super::*;

    #[test]
    fn a_pattern_is_not_compiled_for_each_row() {
        let tables = [jobs("access: rows")];
        for pattern in
            ["notes", "concat('(x{1,300}){1,20}', notes)", "p", "(SELECT max(notes) FROM jobs)"]
        {
            for sql in [
                format!("SELECT dept ~ {pattern} FROM (SELECT *, '.' AS p FROM jobs)"),
                format!("SELECT dept !~* {pattern} FROM (SELECT *, '.' AS p FROM jobs)"),
                format!("SELECT dept SIMILAR TO {pattern} FROM (SELECT *, '.' AS p FROM jobs)"),
                format!("SELECT regexp_like(dept, {pattern}) FROM (SELECT *, '.' AS p FROM jobs)"),
                format!(
                    "SELECT regexp_like(dept, 'a', {pattern}) FROM (SELECT *, '.' AS p FROM jobs)"
                ),
                format!("SELECT regexp_match(dept, {pattern}) FROM (SELECT *, '.' AS p FROM jobs)"),
                format!("SELECT regexp_count(dept, {pattern}) FROM (SELECT *, '.' AS p FROM jobs)"),
                format!("SELECT regexp_instr(dept, {pattern}) FROM (SELECT *, '.' AS p FROM jobs)"),
                format!(
                    "SELECT regexp_replace(dept, {pattern}, '') FROM (SELECT *, '.' AS p FROM jobs)"
                ),
                format!("SELECT pk FROM (SELECT *, '.' AS p FROM jobs) WHERE dept ~ {pattern}"),
                format!("SELECT pk FROM (SELECT *, '.' AS p FROM jobs) ORDER BY dept ~ {pattern}"),
            ] {
                let (code, hint) = refusal(&sql, &tables);
                assert_eq!(code, Code::SqlRefused, "{sql}: {hint}");
                assert!(hint.contains("regular expression"), "{sql}: {hint}");
            }
        }
    }

    #[test]
    fn a_pattern_that_repeats_itself_into_megabytes_is_refused() {
        let tables = [jobs("access: rows")];
        for sql in [
            "SELECT dept ~ '(x{1,1000}){1,200}' FROM jobs",
            "SELECT regexp_count(dept, '((a?){1000}){1000}') FROM jobs",
            "SELECT dept SIMILAR TO '(\\w{1,100}){1,100}' FROM jobs",
            "SELECT 'aaaa' ~ '((a{1,100}){1,100}){1,100}'",
        ] {
            let (code, hint) = refusal(sql, &tables);
            assert_eq!(code, Code::SqlRefused, "{sql}: {hint}");
            assert!(hint.contains("too large"), "{sql}: {hint}");
        }
    }

    #[test]
    fn patterns_that_people_write_are_taken() {
        let tables = [jobs("access: rows")];
        for sql in [
            "SELECT regexp_replace(notes, '[0-9]+', '#', 'g'), dept ~ '^p\\w{2,30}$' FROM jobs",
            "SELECT regexp_match(notes, '(\\d{1,3})\\.(\\d{1,3})', 'i') FROM jobs",
            "SELECT pk FROM jobs WHERE dept SIMILAR TO '(physics|law)%' AND regexp_like(notes, NULL)",
            "SELECT regexp_count(dept, 's', 1, 'i') FROM jobs",
        ] {
            planned(sql, &tables).unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        }
    }
}
