//! Makes the budget and the bounds of a grant, and the cap of a policy, from what is written; says what does
//! not fit together. Looks at columns of the policy and at files that it names, not at data.

use std::collections::BTreeMap;
use std::path::Path;

use super::file::values;
use super::{Accounting, Bounds, DpGrant, Loss, Privacy};
use crate::diagnostic::Span;
use crate::policy::decimal::Decimal;
use crate::policy::load::leaves;
use crate::policy::problem::{Problem, Problems};
use crate::policy::raw::{RawBounds, RawDp, RawKeys, RawPrivacy, RawValues};
use crate::policy::read::Spanned;
use crate::policy::rule::unknown_column;
use crate::policy::{Column, Policy, Rule};

/// The most public values of a column, and the most groups that an answer has.
pub const KEYS_MAX: usize = 100_000;

/// What stands beside a grant in the policy.
pub(in crate::policy) struct Beside<'a> {
    /// The columns that have a rule written.
    pub(in crate::policy) names: &'a [&'a str],
    /// Those whose rule was taken.
    pub(in crate::policy) columns: &'a [Column],
    /// The policy's unit.
    pub(in crate::policy) unit: Option<&'a Spanned<String>>,
    /// Whether the policy has a release.
    pub(in crate::policy) release: bool,
    /// How losses add up.
    pub(in crate::policy) accounting: Accounting,
    /// Where paths start.
    pub(in crate::policy) folder: &'a Path,
}

/// Where things stand in a grant.
#[derive(Debug, Clone)]
pub struct DpPlaces {
    /// Epsilon.
    pub epsilon: Span,
    /// Delta, or the whole grant where it is not written.
    pub delta: Span,
    /// The most groups of a unit.
    pub groups_max: Span,
    /// The most rows of a unit in a group.
    pub rows_max: Span,
    /// Each column's bounds.
    pub bounds: BTreeMap<String, Span>,
    /// Each column's public values.
    pub keys: BTreeMap<String, Span>,
}

/// The cap of a policy.
pub(in crate::policy) fn privacy(problems: &mut Problems, raw: &RawPrivacy) -> Option<Privacy> {
    let epsilon = raw.epsilon.as_ref()?.value;
    let delta = raw.delta.as_ref().map_or(Decimal::ZERO, |delta| delta.value);
    if raw.accounting == Accounting::Zcdp && delta.is_zero() {
        let span = raw.delta.as_ref().map_or(raw.span, |delta| delta.span);
        no_delta(problems, span, "the cap");
        return None;
    }
    Some(Privacy { accounting: raw.accounting, cap: Loss { epsilon, delta } })
}

/// A grant of differentially private answers, with the files that it names.
pub(in crate::policy) fn grant(
    problems: &mut Problems,
    raw: &RawDp,
    span: Span,
    beside: &Beside<'_>,
) -> Option<(DpGrant, DpPlaces, Vec<String>)> {
    if beside.release {
        problems
            .add(
                Problem::Release,
                span,
                "a release decides about rows by other people's rows, so noise over it promises nothing",
            )
            .help("grant `access: dp` in a policy of its own over the same source");
    }
    let unit = unit(problems, raw, span, beside);
    let bounds = all_bounds(problems, &raw.bounds, beside);
    let null_as = null_as(problems, &raw.bounds, &bounds);
    let mut files = Vec::new();
    let keys = all_keys(problems, &raw.keys, beside, &mut files);
    let (loss, query) = losses(problems, raw, span, beside.accounting)?;
    let number = |written: &Option<Spanned<i64>>| u64::try_from(written.as_ref()?.value).ok();
    let places = DpPlaces {
        epsilon: raw.epsilon.as_ref()?.span,
        delta: raw.delta.as_ref().map_or(span, |delta| delta.span),
        groups_max: raw.groups_max.as_ref()?.span,
        rows_max: raw.rows_max.as_ref()?.span,
        bounds: raw.bounds.iter().map(|b| (b.column.value.clone(), b.span)).collect(),
        keys: raw.keys.iter().map(|k| (k.column.value.clone(), k.span)).collect(),
    };
    let grant = DpGrant {
        total: loss,
        query,
        unit: unit?,
        groups_max: number(&raw.groups_max)?,
        rows_max: number(&raw.rows_max)?,
        bounds,
        null_as,
        keys,
    };
    Some((grant, places, files))
}

fn unit(problems: &mut Problems, raw: &RawDp, span: Span, beside: &Beside<'_>) -> Option<String> {
    match (&raw.unit, beside.unit) {
        (Some(unit), _) => {
            known(problems, unit, beside);
            Some(unit.value.clone())
        }
        (None, Some(unit)) => Some(unit.value.clone()),
        (None, None) => {
            problems
                .add(Problem::MissingKey, span, "a grant with `access: dp` needs the key `unit`")
                .help("name the column that tells people apart, here or as the policy's `unit`");
            None
        }
    }
}

fn known(problems: &mut Problems, column: &Spanned<String>, beside: &Beside<'_>) -> bool {
    let known = beside.names.contains(&column.value.as_str());
    if !known {
        unknown_column(problems, column, beside.names);
    }
    known
}

/// Statements name columns that leave, so bounds and public values of others would never be of use.
fn leaving(
    problems: &mut Problems,
    column: &Spanned<String>,
    what: &str,
    beside: &Beside<'_>,
) -> bool {
    if !known(problems, column, beside) {
        return false;
    }
    let dropped =
        beside.columns.iter().any(|other| other.name == column.value && !leaves(&other.rule));
    if dropped {
        problems
            .add(
                Problem::Refused,
                column.span,
                format!("`{}` does not leave, so nobody can ask for its {what}", column.value),
            )
            .help("give the column a rule that lets it out: only noisy answers about it leave");
    }
    !dropped
}

/// The budget in all and of a statement.
fn losses(
    problems: &mut Problems,
    raw: &RawDp,
    span: Span,
    accounting: Accounting,
) -> Option<(Loss, Loss)> {
    let epsilon = raw.epsilon.as_ref()?;
    let delta = raw.delta.as_ref().map_or(Decimal::ZERO, |delta| delta.value);
    let total = Loss { epsilon: epsilon.value, delta };
    if accounting == Accounting::Zcdp && delta.is_zero() {
        no_delta(problems, raw.delta.as_ref().map_or(span, |delta| delta.span), "the grant");
        return None;
    }
    let mut query = Loss { epsilon: total.epsilon.over(10), delta: total.delta.over(10) };
    for (name, written, total, query) in [
        ("epsilon", &raw.query.epsilon, total.epsilon, &mut query.epsilon),
        ("delta", &raw.query.delta, total.delta, &mut query.delta),
    ] {
        let Some(written) = written else { continue };
        if written.value > total {
            problems
                .add(
                    Problem::OutOfRange,
                    written.span,
                    format!("`{name}` of a query is {}, and the grant has {total} in all", written.value),
                )
                .help("a query costs at most the grant's total; a tenth or less leaves room for others");
            return None;
        }
        *query = written.value;
    }
    if query.epsilon.is_zero() {
        problems
            .add(
                Problem::OutOfRange,
                epsilon.span,
                "a tenth of `epsilon` is nothing that is counted",
            )
            .help("write `query: {epsilon: ...}`, or a larger `epsilon`");
        return None;
    }
    Some((total, query))
}

fn no_delta(problems: &mut Problems, span: Span, whose: &str) {
    problems
        .add(
            Problem::OutOfRange,
            span,
            format!("`accounting: zcdp` needs a `delta` over 0, and {whose} has none"),
        )
        .help(
            "half of it turns epsilon into rho, the other half pays for thresholds: 1e-8 is common",
        );
}

fn all_bounds(
    problems: &mut Problems,
    raw: &[RawBounds],
    beside: &Beside<'_>,
) -> BTreeMap<String, Bounds> {
    let mut all = BTreeMap::new();
    for written in raw {
        if leaving(problems, &written.column, "sum", beside)
            && let Some(bounds) = bounds(problems, written)
        {
            all.insert(written.column.value.clone(), bounds);
        }
    }
    all
}

/// Bounds that keep the invariants of [`Bounds`].
fn bounds(problems: &mut Problems, raw: &RawBounds) -> Option<Bounds> {
    let RawBounds { low, high, .. } = *raw;
    let what = &raw.column.value;
    let step = raw.step.unwrap_or_else(|| Bounds::step_of(low, high));
    if raw.step.is_some() && step > high - low {
        problems
            .add(
                Problem::OutOfRange,
                raw.span,
                format!("the step of `{what}` is wider than its bounds"),
            )
            .help(
                "values are rounded to multiples of the step: 1 for whole numbers, 0.01 for shares",
            );
        return None;
    }
    let counted = |value: f64| value.is_finite() && value.abs() < STEPS_MAX;
    let fits = counted((low / step).floor()) && counted((high / step).ceil());
    if !(fits && (high - low).is_finite() && step > 0.0) {
        problems
            .add(
                Problem::OutOfRange,
                raw.span,
                format!("the bounds of `{what}` are more than 2^53 steps from nought"),
            )
            .help(format!("write a larger step: {{low: {low}, high: {high}, step: ...}}"));
        return None;
    }
    Some(Bounds { low, high, step })
}

/// The values that nulls count as: such that could stand in their column.
fn null_as(
    problems: &mut Problems,
    raw: &[RawBounds],
    all: &BTreeMap<String, Bounds>,
) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for RawBounds { column, null_as, .. } in raw {
        let (Some(written), Some(bounds)) = (null_as, all.get(&column.value)) else { continue };
        let (what, value, Bounds { low, high, step }) = (&column.value, written.value, *bounds);
        if !(low..=high).contains(&value) {
            problems
                .add(
                    Problem::OutOfRange,
                    written.span,
                    format!("`null_as` of `{what}` is {value}, which is not from {low} to {high}"),
                )
                .help("a null counts as a value that the column may have");
            continue;
        }
        let steps = value / step;
        if (steps - steps.round()).abs() > 1e-6 {
            problems
                .add(
                    Problem::OutOfRange,
                    written.span,
                    format!(
                        "`null_as` of `{what}` is {value}, which is no multiple of the step {step}"
                    ),
                )
                .help("values are rounded to multiples of the step, and this one would be too");
            continue;
        }
        found.insert(what.clone(), value);
    }
    found
}

/// 2^53: up to it floating-point numbers hold all whole numbers.
const STEPS_MAX: f64 = 9_007_199_254_740_992.0;

fn all_keys(
    problems: &mut Problems,
    raw: &[RawKeys],
    beside: &Beside<'_>,
    files: &mut Vec<String>,
) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for written in raw {
        if !leaving(problems, &written.column, "groups", beside) {
            continue;
        }
        let column = &written.column.value;
        let texts = match &written.values {
            RawValues::Written(texts) => {
                if repeated(problems, column, texts) {
                    continue;
                }
                texts.iter().map(|text| text.value.clone()).collect()
            }
            RawValues::File(file) => {
                files.push(file.value.clone());
                match values(&beside.folder.join(&file.value)) {
                    Ok(texts) => texts,
                    Err(reason) => {
                        problems
                            .add(
                                Problem::FileUnreadable,
                                file.span,
                                format!("the file `{}` {reason}", file.value),
                            )
                            .help("public values stand one a line; paths start from the folder of the policy");
                        continue;
                    }
                }
            }
        };
        if texts.is_empty() {
            problems
                .add(
                    Problem::OutOfRange,
                    written.span,
                    format!("`{column}` has no public values: no group would ever be answered"),
                )
                .help("list the values that anybody may know, or remove the column from `keys`");
        }
        if texts.len() > KEYS_MAX {
            problems.add(
                Problem::OutOfRange,
                written.span,
                format!("`{column}` has more than {KEYS_MAX} public values"),
            );
        }
        all.insert(column.clone(), texts);
    }
    all
}

/// Says which values stand twice.
fn repeated(problems: &mut Problems, column: &str, texts: &[Spanned<String>]) -> bool {
    let mut first: BTreeMap<&str, Span> = BTreeMap::new();
    let before = problems.count();
    for text in texts {
        if let Some(earlier) = first.insert(&text.value, text.span) {
            problems
                .add(
                    Problem::DuplicateKey,
                    text.span,
                    format!("`{column}` has the public value `{}` twice", text.value),
                )
                .label("again here")
                .other(earlier, "first here");
        }
    }
    problems.count() > before
}

/// Whether what leaves of a column's value depends on rows of other people: then noise about it promises
/// nothing, and statements under `access: dp` cannot use it.
pub fn is_learned(column: &Column) -> bool {
    let Rule { transform, args } = &column.rule;
    // Tokens are numbered as values come: one by all before it.
    transform.learns_column()
        || !transform.learns_from(args).is_empty()
        || transform.spec().name() == "pseudonym.token"
}

/// Whether a value that a column's rule does not take ends what reads it, with an error: then noise promises
/// nothing, since the error is there or is not.
pub fn fails_on_values(column: &Column) -> bool {
    let Rule { transform, args } = &column.rule;
    transform.spec().params.iter().any(|param| args.text(param.name) == Some("error"))
}

/// How losses of a dataset add up.
pub fn accounting(policy: &Policy) -> Accounting {
    policy.privacy.map_or_else(Accounting::default, |privacy| privacy.accounting)
}
