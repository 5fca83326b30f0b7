//! Warnings about differentially private grants: what a policy may promise and its author should look at
//! again. Estimates come from the policy's own numbers, never from data.

use arrow::array::{Array as _, StringArray};
use arrow::datatypes::{DataType, Schema};

use super::outlook::{Outlook, number, percent, rows_off};
use super::spread::real;
use super::{DpGrant, DpPlaces, Loss, accounting, fails_on_values, is_learned};
use crate::diagnostic::Span;
use crate::pipeline::transform::column::canonical;
use crate::pipeline::transform::elements;
use crate::policy::decimal::Decimal;
use crate::policy::load::{Loaded, leaves};
use crate::policy::problem::{Problem, Problems, listed};
use crate::policy::{Access, Column, Policy};

/// An epsilon above which little is promised.
const EPSILON_WEAK: u8 = 5;
/// A delta above which somebody among a hundred thousand people is likely to be without the promise.
const DELTA_WEAK: &str = "0.000001";
/// How far a count may be off before nothing but noise is told of most tables.
const ROWS_OFF_MAX: f64 = 100_000.0;
/// The share of rows that may be left out before a warning, and the one that is good.
const CLIPPED_MAX: f64 = 0.2;
const CLIPPED_GOOD: f64 = 0.05;
/// The part of an average group that a count may be off by before a warning.
const OFF_MAX: f64 = 0.1;
/// Bounds of this size are those of a type, not of something measured.
const ABSURD: f64 = 1e15;

/// Warnings that depend on the policy alone.
pub(in crate::policy) fn lint(problems: &mut Problems, loaded: &Loaded) {
    let policy = &loaded.policy;
    for (grant, dp, places) in granted(loaded) {
        weak(problems, policy, dp, places);
        noisy(problems, policy, dp, places);
        expected(problems, policy, dp, places);
        means(problems, policy, dp, places);
        bounds(problems, policy, dp, places);
        if let Some(privacy) = policy.privacy
            && (privacy.cap.epsilon < dp.total.epsilon || privacy.cap.delta < dp.total.delta)
        {
            problems
                .add(
                    Problem::PrivacyCap,
                    places.epsilon,
                    format!("the grant of `{grant}` is more than all partners together may spend"),
                )
                .other(loaded.places.privacy.unwrap_or(places.epsilon), "the cap")
                .help("the cap ends it earlier; lower the grant, or raise the cap");
        }
    }
    together(problems, loaded);
    learned(problems, loaded);
}

/// The differentially private grants: the partner, the grant, its places.
fn granted(loaded: &Loaded) -> impl Iterator<Item = (&str, &DpGrant, &DpPlaces)> {
    loaded.policy.grants.iter().zip(&loaded.places.dp).filter_map(|(grant, places)| {
        match (&grant.access, places) {
            (Access::Dp(dp), Some(places)) => Some((grant.partner.as_str(), dp, places)),
            _ => None,
        }
    })
}

fn weak(problems: &mut Problems, policy: &Policy, dp: &DpGrant, places: &DpPlaces) {
    let unit = &dp.unit;
    if dp.total.epsilon > whole(EPSILON_WEAK) {
        let factor = dp.total.epsilon.approximate().exp().floor();
        problems
            .add(
                Problem::PrivacyWeak,
                places.epsilon,
                format!(
                    "epsilon {}: one `{unit}` may change the chance of an answer by a factor of {factor}",
                    dp.total.epsilon
                ),
            )
            .help("the promise is worth something up to about 5; 1 is common");
    }
    // How many units there are is known without data where the policy says how many, or which.
    let units = policy.public_numbers.and_then(|numbers| numbers.units);
    let units = units.or_else(|| dp.keys.get(unit).map(|keys| keys.len() as u64));
    let delta = dp.total.delta.approximate();
    let over = units.is_some_and(|units| delta * real(units) > 0.01);
    if over || Some(dp.total.delta) > DELTA_WEAK.parse().ok() {
        let people = (1.0 / delta).round();
        let message = match units.filter(|_| over) {
            Some(units) => format!(
                "delta {}: with {units} of `{unit}` a chance of {} that one of them is not protected",
                dp.total.delta,
                percent((delta * real(units)).min(1.0))
            ),
            None => format!(
                "delta {}: with {people} of `{unit}` or more, that is as good as one who is not protected",
                dp.total.delta
            ),
        };
        problems
            .add(Problem::PrivacyWeak, places.delta, message)
            .help("write well under one in the number of units: 1e-8 for a hundred thousand");
    }
}

fn noisy(problems: &mut Problems, policy: &Policy, dp: &DpGrant, places: &DpPlaces) {
    // Where the size of the data is known, noise is held against that.
    let most = policy.public_numbers.and_then(|numbers| numbers.rows).map_or(ROWS_OFF_MAX, real);
    let off = rows_off(accounting(policy), dp);
    if off > most {
        problems
            .add(
                Problem::PrivacyNoise,
                places.groups_max,
                format!(
                    "a count of rows is off by up to {off:.0} either way, 95 times of 100: noise hides {} \
                     groups of {} rows each at epsilon {} a query",
                    dp.groups_max, dp.rows_max, dp.query.epsilon
                ),
            )
            .help(
                "lower `groups_max` and `rows_max` to what most units have (the rest is left out), or raise \
                 `query: {epsilon: ...}`",
            );
    }
}

/// What the policy's public numbers say of a grant: rows that are left out, and counts that are mostly noise.
fn expected(problems: &mut Problems, policy: &Policy, dp: &DpGrant, places: &DpPlaces) {
    let seen = Outlook::new(policy, dp);
    let Some(spread) = seen.spread else { return };
    let unit = &dp.unit;
    let (groups_max, rows_max) = (real(dp.groups_max), real(dp.rows_max));
    if let Some(largest) = policy.public_numbers.and_then(|numbers| numbers.largest)
        && largest < dp.rows_max
    {
        problems
            .add(
                Problem::PrivacyNoise,
                places.rows_max,
                format!("`rows_max` clips nothing: by the public numbers no `{unit}` has more than {largest} rows"),
            )
            .help("noise grows with it; write what most units have in a group");
    }
    // The groups that counts are looked at by: those of the column with the most noise in each.
    let share = |groups: f64| {
        seen.average(groups).map_or(0.0, |rows| seen.count_off(groups, rows_max) / rows)
    };
    let (column, groups) = seen
        .keys()
        .map(|(column, groups)| (Some(column), groups))
        .max_by(|(_, one), (_, other)| share(*one).total_cmp(&share(*other)))
        .unwrap_or((None, 1.0));
    let count = column.map_or("a count".to_owned(), |column| format!("a count by `{column}`"));
    let group = if column.is_some() { "an average group" } else { "all rows" };
    let clipped = spread.clipped(groups_max * rows_max);
    if clipped > CLIPPED_MAX {
        let keeping = (spread.keeping(CLIPPED_GOOD) / groups_max).ceil();
        let off = seen.count_off(groups, keeping);
        problems
            .add(
                Problem::PrivacyClipped,
                places.rows_max,
                format!(
                    "at least {} of the rows are left out: by the public numbers they are past the {} rows that one \
                     `{unit}` counts with",
                    percent(clipped),
                    number(groups_max * rows_max)
                ),
            )
            .help(format!(
                "`rows_max: {keeping}` keeps {}; then {count} is off by up to {}{}",
                percent(1.0 - CLIPPED_GOOD),
                number(off),
                seen.average(groups)
                    .map_or(String::new(), |rows| format!(", {} of {group}", percent(off / rows))),
            ));
    }
    let share = share(groups);
    if share > OFF_MAX {
        let rows = seen.average(groups).unwrap_or_default();
        // Noise falls as epsilon grows, and as rows are left out.
        let epsilon = dp.query.epsilon.approximate() * share / OFF_MAX;
        let fewer = (rows_max * OFF_MAX / share).floor();
        let mut ways = Vec::new();
        if epsilon <= dp.total.epsilon.approximate() {
            // A little more, so that it is enough as it is written.
            ways.push(format!("`query: {{epsilon: {:.2}}}`", (epsilon * 100.0).ceil() / 100.0));
        }
        if fewer >= 1.0 {
            let clipped = percent(spread.clipped(fewer * groups_max));
            ways.push(format!(
                "`rows_max: {fewer}`, which leaves out at least {clipped} of the rows"
            ));
        }
        let help = if ways.is_empty() {
            "ask for fewer groups, or protect less: no `rows_max` and no epsilon within the budget brings it to 10 %"
                .to_owned()
        } else {
            format!("for 10 %: {}", ways.join(", or "))
        };
        problems
            .add(
                Problem::PrivacyOff,
                places.epsilon,
                format!(
                    "{count} is off by up to {} either way, 95 times of 100: {} of {group} ({})",
                    number(seen.count_off(groups, rows_max)),
                    percent(share),
                    number(rows)
                ),
            )
            .help(help);
    }
}

/// Means that are mostly noise in the smallest group that the policy's public numbers know of.
fn means(problems: &mut Problems, policy: &Policy, dp: &DpGrant, places: &DpPlaces) {
    let seen = Outlook::new(policy, dp);
    let Some(smallest) = seen.smallest_group() else { return };
    let Some((column, groups)) = seen.keys().max_by(|(_, one), (_, other)| one.total_cmp(other))
    else {
        return;
    };
    let each = dp.bounds.keys().map(|value| (value, seen.means_from(groups, value)));
    let Some((value, from)) = each.max_by(|(_, one), (_, other)| one.total_cmp(other)) else {
        return;
    };
    if from <= smallest {
        return;
    }
    // Noise falls as epsilon grows.
    let epsilon = dp.query.epsilon.approximate() * from / smallest;
    let mut ways = Vec::new();
    if epsilon <= dp.total.epsilon.approximate() {
        ways.push(format!("`query: {{epsilon: {:.2}}}` or more", (epsilon * 100.0).ceil() / 100.0));
    }
    if !dp.null_as.contains_key(value) {
        ways.push(format!(
            "`null_as` in the bounds of `{value}`, where a null has a meaning: one measure less"
        ));
    }
    ways.push("a smaller `rows_max`, or keys without that group".to_owned());
    problems
        .add(
            Problem::PrivacyOff,
            places.epsilon,
            format!(
                "a mean of `{value}` by `{column}` is mostly noise in the smallest group ({} rows): beside a count \
                 it is divided by a count that is off by up to {}, and is null where that comes out at zero or less",
                number(smallest),
                number(from.ceil())
            ),
        )
        .help(ways.join("; "));
}

fn bounds(problems: &mut Problems, policy: &Policy, dp: &DpGrant, places: &DpPlaces) {
    for (column, bounds) in &dp.bounds {
        let Some(span) = places.bounds.get(column).copied() else { continue };
        let (low, high) = (bounds.low, bounds.high);
        if low.abs().max(high.abs()) >= ABSURD {
            problems
                .add(
                    Problem::PrivacyNoise,
                    span,
                    format!(
                        "the bounds of `{column}` are wider than what is measured: sums are noise"
                    ),
                )
                .help("noise grows with the bounds; write what nearly all values keep");
            continue;
        }
        let rule = policy.columns.iter().find(|other| other.name == *column).map(|c| &c.rule);
        let Some(rule) = rule else { continue };
        let (bottom, top) = match rule.transform.spec().verb {
            "clamp" => (rule.args.number("bottom"), rule.args.number("top")),
            "top_code" => (None, rule.args.number("at")),
            "bottom_code" => (rule.args.number("at"), None),
            _ => continue,
        };
        if bottom.is_some_and(|bottom| high <= bottom) || top.is_some_and(|top| low >= top) {
            problems
                .add(
                    Problem::PrivacyNoise,
                    span,
                    format!("the bounds of `{column}` keep nothing: all that its rule lets out lies beyond them"),
                )
                .help("every value would count as the nearest bound; write what nearly all values keep");
        } else if bottom.is_some_and(|bottom| low < bottom) || top.is_some_and(|top| high > top) {
            problems
                .add(
                    Problem::PrivacyNoise,
                    span,
                    format!("the bounds of `{column}` are wider than what its rule lets out"),
                )
                .help("values beyond never leave, so the bounds add noise for nothing");
        }
    }
}

/// Partners may share what they hear: without a cap their budgets add up.
fn together(problems: &mut Problems, loaded: &Loaded) {
    let all: Vec<_> = granted(loaded).collect();
    let sum = all.iter().try_fold(Decimal::ZERO, |sum, (_, dp, _)| sum.plus(dp.total.epsilon));
    let single = all.iter().any(|(_, dp, _)| dp.total.epsilon > whole(EPSILON_WEAK));
    match (loaded.policy.privacy, sum, all.first()) {
        (Some(privacy), _, _) if privacy.cap.epsilon > whole(EPSILON_WEAK) => {
            let Loss { epsilon, .. } = privacy.cap;
            problems
                .add(
                    Problem::PrivacyWeak,
                    loaded.places.privacy,
                    format!(
                        "partners who share their answers may spend epsilon {epsilon} together"
                    ),
                )
                .help("the promise is worth something up to about 5");
        }
        (None, Some(sum), Some((_, _, places))) if !single && sum > whole(EPSILON_WEAK) => {
            problems
                .add(
                    Problem::PrivacyWeak,
                    places.epsilon,
                    format!(
                        "{} partners who share their answers may spend epsilon {sum} together",
                        all.len()
                    ),
                )
                .help("cap what they spend together: `privacy: {epsilon: ..., delta: ...}` at the top");
        }
        _ => {}
    }
}

/// Columns of which a statement under `access: dp` may not speak.
fn learned(problems: &mut Problems, loaded: &Loaded) {
    if granted(loaded).next().is_none() {
        return;
    }
    for fails in [false, true] {
        let holds = |column: &Column| match fails {
            false => is_learned(column),
            true => fails_on_values(column),
        };
        let (reason, help) = match fails {
            false => (
                "what leaves depends on other people's rows",
                "the unit may be such a column; others need a rule that looks at the value alone, or a policy of their own",
            ),
            true => (
                "an error tells that a value is there",
                "the unit may be such a column; of others write `null` for `error`, or drop them",
            ),
        };
        let columns = loaded.policy.columns.iter().zip(&loaded.places.names);
        let found: Vec<(&str, Span)> = columns
            .filter(|(column, _)| leaves(&column.rule) && holds(column))
            .map(|(column, span)| (column.name.as_str(), *span))
            .collect();
        let Some((_, first)) = found.first() else { continue };
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        let what =
            format!("differentially private answers cannot speak of {}: {reason}", listed(&names));
        problems.add(Problem::PrivacyColumn, *first, what).help(help);
    }
}

/// What does not fit between grants and the columns of the data.
pub(in crate::policy) fn fit(problems: &mut Problems, loaded: &Loaded, raw: &Schema) {
    for (_, dp, places) in granted(loaded) {
        let unit = raw.field_with_name(&dp.unit).ok();
        if let Some(kind) = unit.map(|field| canonical(field.data_type()))
            && !crate::pipeline::transform::unit::fits(&kind)
        {
            let kind = super::super::check::type_name(&kind);
            problems
                .add(
                    Problem::TypeMisfit,
                    places.groups_max,
                    format!(
                        "persons cannot be told apart by the unit `{}`: it holds {kind}",
                        dp.unit
                    ),
                )
                .help("units are texts, bytes or whole numbers");
        }
        for (name, bounds) in &dp.bounds {
            let column = loaded.policy.columns.iter().find(|column| column.name == *name);
            let (Some(column), Some(span)) = (column, places.bounds.get(name)) else { continue };
            let Some(output) = output(column, raw) else { continue };
            if !output.is_numeric() {
                problems
                    .add(
                        Problem::TypeMisfit,
                        *span,
                        format!(
                            "`{name}` leaves as {}, which has no bounds",
                            super::super::check::type_name(&output)
                        ),
                    )
                    .help("bounds are for numbers; remove them");
            } else if range(&output)
                .is_some_and(|(least, most)| bounds.high <= least || bounds.low >= most)
            {
                problems
                    .add(
                        Problem::PrivacyNoise,
                        *span,
                        format!("the bounds of `{name}` keep nothing: all that its type can hold lies beyond them"),
                    )
                    .help("every value would count as the nearest bound; write what nearly all values keep");
            } else if range(&output)
                .is_some_and(|(least, most)| bounds.low <= least && bounds.high >= most)
            {
                problems
                    .add(
                        Problem::PrivacyNoise,
                        *span,
                        format!(
                            "the bounds of `{name}` clip nothing: they hold all that its type can"
                        ),
                    )
                    .help("noise grows with the bounds; write what nearly all values keep");
            }
        }
        for (name, values) in &dp.keys {
            let column = loaded.policy.columns.iter().find(|column| column.name == *name);
            let (Some(column), Some(span)) = (column, places.keys.get(name)) else { continue };
            let Some(output) = output(column, raw) else { continue };
            let Some(value) = misfit(values, &output) else { continue };
            problems
                .add(
                    Problem::TypeMisfit,
                    *span,
                    format!(
                        "`{value}` is no value of `{name}`, which leaves as {}",
                        super::super::check::type_name(&output)
                    ),
                )
                .help("write the public values as they stand in the data that leave");
        }
    }
}

/// The first of these texts that is no value of a type.
fn misfit<'a>(values: &'a [String], data_type: &DataType) -> Option<&'a str> {
    let texts = StringArray::from_iter_values(values);
    let Ok(cast) = arrow::compute::cast(&texts, data_type) else {
        return values.first().map(String::as_str);
    };
    values.iter().enumerate().find(|(at, _)| cast.is_null(*at)).map(|(_, value)| value.as_str())
}

fn output(column: &Column, raw: &Schema) -> Option<DataType> {
    let field = raw.field_with_name(&column.name).ok()?;
    let rule = &column.rule;
    elements::fit(rule.transform, &rule.args, &canonical(field.data_type())).ok()?.output
}

/// The least and the greatest value of a narrow type.
fn range(data_type: &DataType) -> Option<(f64, f64)> {
    Some(match data_type {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::UInt8 => (0.0, u8::MAX.into()),
        DataType::UInt16 => (0.0, u16::MAX.into()),
        DataType::UInt32 => (0.0, u32::MAX.into()),
        _ => return None,
    })
}

fn whole(epsilon: u8) -> Decimal {
    Decimal::of_units(Decimal::one().saturating_mul(u128::from(epsilon)))
}
