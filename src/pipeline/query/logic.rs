//! What a condition is made of: other conditions, or values that it compares. The one place that takes SQL's logical
//! operators apart; what may stand in them is decided by who asks.

use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Like, Operator};

/// A condition, taken apart.
#[derive(Debug, PartialEq)]
pub(in crate::pipeline) enum Logic<'a> {
    /// Of other conditions: AND, OR, NOT, IS TRUE and its kin.
    Of(Vec<&'a Expr>),
    /// Whether there is a value.
    Null(&'a Expr),
    /// A value beside others: =, <, IS DISTINCT FROM and their kin, IN, BETWEEN.
    Compared(&'a Expr, Vec<&'a Expr>),
    /// A text beside its pattern: LIKE.
    Like(&'a Expr, &'a Expr),
}

impl<'a> Logic<'a> {
    /// What an expression is made of, where it is one of these.
    pub(in crate::pipeline) fn of(expr: &'a Expr) -> Option<Self> {
        Some(match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
                Self::Of(vec![left, right])
            }
            Expr::Not(inner)
            | Expr::IsTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsNotUnknown(inner) => Self::Of(vec![inner]),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => Self::Null(inner),
            Expr::BinaryExpr(BinaryExpr {
                left,
                op:
                    Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom,
                right,
            }) => Self::Compared(left, vec![right]),
            Expr::Between(Between { expr, low, high, .. }) => Self::Compared(expr, vec![low, high]),
            Expr::InList(InList { expr, list, .. }) => Self::Compared(expr, list.iter().collect()),
            Expr::Like(Like { expr, pattern, .. }) => Self::Like(expr, pattern),
            _ => return None,
        })
    }

    /// All that it is made of.
    pub(in crate::pipeline) fn parts(&self) -> Vec<&'a Expr> {
        match self {
            Self::Of(parts) => parts.clone(),
            Self::Null(inner) => vec![inner],
            Self::Compared(one, others) => {
                std::iter::once(*one).chain(others.iter().copied()).collect()
            }
            Self::Like(text, pattern) => vec![text, pattern],
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn conditions_come_apart_and_other_expressions_do_not() {
        let (a, b, one) = (col("a"), col("b"), lit(1));
        let parts =
            |expr: &Expr| Logic::of(expr).map(|logic| logic.parts().into_iter().cloned().collect());
        let both = Some(vec![a.clone(), b.clone()]);
        assert_eq!(parts(&a.clone().and(b.clone())), both);
        assert_eq!(parts(&a.clone().or(b.clone())), both);
        assert_eq!(parts(&a.clone().lt(b.clone())), both);
        assert_eq!(parts(&a.clone().like(b.clone())), both);
        assert_eq!(parts(&a.clone().is_not_true()), Some(vec![a.clone()]));
        assert_eq!(parts(&a.clone().is_not_null()), Some(vec![a.clone()]));
        let three = Some(vec![a.clone(), one.clone(), b.clone()]);
        assert_eq!(parts(&a.clone().between(one.clone(), b.clone())), three);
        assert_eq!(parts(&a.clone().in_list(vec![one.clone(), b.clone()], true)), three);
        for other in [a.clone(), one, a.clone() + b.clone(), -a] {
            assert_eq!(Logic::of(&other), None, "{other}");
        }
    }
}
