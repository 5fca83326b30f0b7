//! What a grant of differentially private answers says, and the key `privacy`, as they are written. Whether
//! they go together is the business of [`crate::policy::privacy`].

use super::grants::count;
use crate::diagnostic::Span;
use crate::policy::decimal::{Decimal, PLACES};
use crate::policy::privacy::Accounting;
use crate::policy::problem::{Problem, Problems};
use crate::policy::read::{self, Fields, Spanned};
use crate::policy::yaml::{Content, Node};

/// More keys of a grant of differentially private answers.
pub(in crate::policy) const DP_KEYS: &[&str] =
    &["epsilon", "delta", "unit", "groups_max", "rows_max", "bounds", "keys", "query"];
/// Keys of `query`.
pub(in crate::policy) const LOSS_KEYS: &[&str] = &["epsilon", "delta"];
/// Keys of bounds that are a map.
pub(in crate::policy) const BOUNDS_KEYS: &[&str] = &["low", "high", "step", "null_as"];
/// Keys of public values that stand in a file.
pub(in crate::policy) const VALUES_KEYS: &[&str] = &["file"];
/// Keys of `privacy`.
pub(in crate::policy) const PRIVACY_KEYS: &[&str] = &["epsilon", "delta", "accounting"];
/// Keys of `public_numbers`.
pub(in crate::policy) const NUMBERS_KEYS: &[&str] = &["units", "rows", "largest", "smallest_group"];
/// The largest public number that is taken.
pub(in crate::policy) const NUMBERS_MAX: i64 = 1_000_000_000_000_000;
/// The words of `accounting`.
pub(in crate::policy) const ACCOUNTINGS: &[&str] = &["pure", "zcdp"];
/// The largest epsilon that is taken: beyond it nothing is protected.
pub(in crate::policy) const EPSILON_MAX: u8 = 20;
/// The largest delta that is taken.
pub(in crate::policy) const DELTA_MAX: &str = "0.00001";

/// A grant of differentially private answers as written. What is refused is `None` and has been reported.
#[derive(Debug)]
pub(in crate::policy) struct RawDp {
    /// Epsilon in all.
    pub(in crate::policy) epsilon: Option<Spanned<Decimal>>,
    /// Delta in all, where it is written.
    pub(in crate::policy) delta: Option<Spanned<Decimal>>,
    /// The unit's column.
    pub(in crate::policy) unit: Option<Spanned<String>>,
    /// Groups a unit.
    pub(in crate::policy) groups_max: Option<Spanned<i64>>,
    /// Rows a unit and group.
    pub(in crate::policy) rows_max: Option<Spanned<i64>>,
    /// Bounds by column.
    pub(in crate::policy) bounds: Vec<RawBounds>,
    /// Public values by column.
    pub(in crate::policy) keys: Vec<RawKeys>,
    /// What a statement costs.
    pub(in crate::policy) query: RawLoss,
}

/// Epsilon and delta as written, where they are.
#[derive(Debug, Default)]
pub(in crate::policy) struct RawLoss {
    /// Epsilon.
    pub(in crate::policy) epsilon: Option<Spanned<Decimal>>,
    /// Delta.
    pub(in crate::policy) delta: Option<Spanned<Decimal>>,
}

/// Bounds of a column as written; the least is less than the greatest.
#[derive(Debug)]
pub(in crate::policy) struct RawBounds {
    /// The column.
    pub(in crate::policy) column: Spanned<String>,
    /// Where the bounds stand.
    pub(in crate::policy) span: Span,
    /// The least value.
    pub(in crate::policy) low: f64,
    /// The greatest.
    pub(in crate::policy) high: f64,
    /// The step, where it is written.
    pub(in crate::policy) step: Option<f64>,
    /// What a null counts as, where it is written.
    pub(in crate::policy) null_as: Option<Spanned<f64>>,
}

/// Public values of a column as written.
#[derive(Debug)]
pub(in crate::policy) struct RawKeys {
    /// The column.
    pub(in crate::policy) column: Spanned<String>,
    /// Where the values stand.
    pub(in crate::policy) span: Span,
    /// The values, or the file that has them.
    pub(in crate::policy) values: RawValues,
}

/// Values, here or in a file.
#[derive(Debug)]
pub(in crate::policy) enum RawValues {
    /// Here.
    Written(Vec<Spanned<String>>),
    /// One a line, in this file.
    File(Spanned<String>),
}

/// The key `privacy` as written.
#[derive(Debug)]
pub(in crate::policy) struct RawPrivacy {
    /// Where it stands.
    pub(in crate::policy) span: Span,
    /// Epsilon of all partners together.
    pub(in crate::policy) epsilon: Option<Spanned<Decimal>>,
    /// Delta of all partners together.
    pub(in crate::policy) delta: Option<Spanned<Decimal>>,
    /// How losses add up.
    pub(in crate::policy) accounting: Accounting,
}

/// The key `public_numbers` as written.
#[derive(Debug)]
pub(in crate::policy) struct RawNumbers {
    /// Where it stands.
    pub(in crate::policy) span: Span,
    /// How many units.
    pub(in crate::policy) units: Option<Spanned<i64>>,
    /// How many rows.
    pub(in crate::policy) rows: Option<Spanned<i64>>,
    /// Rows of the heaviest unit.
    pub(in crate::policy) largest: Option<Spanned<i64>>,
    /// Rows of the smallest group of a public key.
    pub(in crate::policy) smallest_group: Option<Spanned<i64>>,
}

/// Reads the key `public_numbers`.
pub(super) fn numbers(problems: &mut Problems, node: &Node) -> Option<RawNumbers> {
    let fields = Fields::new(problems, node, "`public_numbers`", NUMBERS_KEYS)?;
    let mut number = |key: &str| {
        read::integer(problems, fields.maybe(key)?, &format!("`{key}`"), 1, NUMBERS_MAX)
    };
    let (units, rows, largest) = (number("units"), number("rows"), number("largest"));
    let smallest_group = number("smallest_group");
    Some(RawNumbers { span: node.span, units, rows, largest, smallest_group })
}

/// Reads what belongs to `access: dp`.
pub(super) fn dp(problems: &mut Problems, fields: &Fields<'_>) -> RawDp {
    let groups_max = count(problems, fields, "groups_max", 1);
    let rows_max = count(problems, fields, "rows_max", 1);
    RawDp {
        epsilon: fields.need(problems, "epsilon").and_then(|node| epsilon(problems, node)),
        delta: fields.maybe("delta").and_then(|node| delta(problems, node)),
        unit: fields.maybe("unit").and_then(|node| read::text(problems, node, "`unit`")),
        groups_max,
        rows_max,
        bounds: fields.maybe("bounds").map(|node| all_bounds(problems, node)).unwrap_or_default(),
        keys: fields.maybe("keys").map(|node| keys(problems, node)).unwrap_or_default(),
        query: fields.maybe("query").map(|node| query(problems, node)).unwrap_or_default(),
    }
}

/// Reads the key `privacy`.
pub(super) fn privacy(problems: &mut Problems, node: &Node) -> Option<RawPrivacy> {
    let fields = Fields::new(problems, node, "`privacy`", PRIVACY_KEYS)?;
    let accounting = fields
        .maybe("accounting")
        .and_then(|node| read::word(problems, node, "`accounting`", ACCOUNTINGS));
    Some(RawPrivacy {
        span: node.span,
        epsilon: fields.need(problems, "epsilon").and_then(|node| epsilon(problems, node)),
        delta: fields.maybe("delta").and_then(|node| delta(problems, node)),
        accounting: match accounting.map(|word| word.value) {
            Some("zcdp") => Accounting::Zcdp,
            _ => Accounting::Pure,
        },
    })
}

fn query(problems: &mut Problems, node: &Node) -> RawLoss {
    let Some(fields) = Fields::new(problems, node, "`query`", LOSS_KEYS) else {
        return RawLoss::default();
    };
    RawLoss {
        epsilon: fields.maybe("epsilon").and_then(|node| epsilon(problems, node)),
        delta: fields.maybe("delta").and_then(|node| delta(problems, node)),
    }
}

fn epsilon(problems: &mut Problems, node: &Node) -> Option<Spanned<Decimal>> {
    let written = read::decimal(problems, node, "`epsilon`")?;
    let value = exact(problems, &written, "`epsilon`", f64::from(EPSILON_MAX))?;
    let most = Decimal::of_units(Decimal::one().saturating_mul(u128::from(EPSILON_MAX)));
    if let Some(value) = value.filter(|value| !value.is_zero() && *value <= most) {
        return Some(Spanned::new(value, written.span));
    }
    problems
        .add(
            Problem::OutOfRange,
            node.span,
            format!("`epsilon` must be over 0 and at most {EPSILON_MAX}, not `{}`", written.value),
        )
        .help("values over 10 protect little; 0.1 to 3 are common");
    None
}

fn delta(problems: &mut Problems, node: &Node) -> Option<Spanned<Decimal>> {
    let written = read::small_decimal(problems, node, "`delta`")?;
    let value = exact(problems, &written, "`delta`", 1.0)?;
    let most = DELTA_MAX.parse::<Decimal>().ok();
    if let Some(value) = value.filter(|value| Some(*value) <= most) {
        return Some(Spanned::new(value, written.span));
    }
    problems
        .add(
            Problem::OutOfRange,
            node.span,
            format!("`delta` must be from 0 to 1e-5, not `{}`", written.value),
        )
        .help("delta is the chance that the promise fails: well under one in the number of people");
    None
}

/// The exact value; nothing inside where it is out of all range, nothing at all where it has more digits than
/// are counted, which has been reported.
///
/// PRIVACY: a budget is what stands there, digit for digit, or an error; never something near it.
fn exact(
    problems: &mut Problems,
    written: &Spanned<String>,
    what: &str,
    max: f64,
) -> Option<Option<Decimal>> {
    if let Ok(value) = written.value.parse::<Decimal>() {
        return Some(Some(value));
    }
    let near = written.value.parse::<f64>().unwrap_or(f64::NAN);
    if written.value.starts_with('-') || !(0.0..=max).contains(&near) {
        return Some(None);
    }
    problems
        .add(
            Problem::OutOfRange,
            written.span,
            format!("{what} has more than {PLACES} digits behind the point"),
        )
        .help("budgets are counted exactly: write fewer digits");
    None
}

fn all_bounds(problems: &mut Problems, node: &Node) -> Vec<RawBounds> {
    let mut all = Vec::new();
    for entry in read::map(problems, node, "`bounds`").unwrap_or_default() {
        let what = format!("the bounds of `{}`", entry.key);
        let column = Spanned::new(entry.key.clone(), entry.key_span);
        let span = entry.value.span;
        let Some((low, high, more)) = bounds(problems, &entry.value, &what) else { continue };
        let More { step, null_as } = more;
        if low >= high {
            problems
                .add(Problem::OutOfRange, span, format!("{what} are not in order"))
                .help("the first must be less than the second");
            continue;
        }
        all.push(RawBounds { column, span, low, high, step, null_as });
    }
    all
}

/// What bounds may say besides.
#[derive(Default)]
struct More {
    step: Option<f64>,
    null_as: Option<Spanned<f64>>,
}

/// `[low, high]`, or a map that may say more.
fn bounds(problems: &mut Problems, node: &Node, what: &str) -> Option<(f64, f64, More)> {
    let number = |problems: &mut Problems, node: &Node, what: &str| {
        read::number(problems, node, what, f64::MIN, f64::MAX).map(|number| number.value)
    };
    if let Content::Map(_) = node.content {
        let fields = Fields::new(problems, node, "a map of bounds", BOUNDS_KEYS)?;
        let low = fields.need(problems, "low").and_then(|node| number(problems, node, "`low`"));
        let high = fields.need(problems, "high").and_then(|node| number(problems, node, "`high`"));
        let step = match fields.maybe("step") {
            None => None,
            Some(node) => {
                let step = number(problems, node, "`step`")?;
                if step <= 0.0 {
                    problems
                        .add(Problem::OutOfRange, node.span, "`step` must be over 0")
                        .help("values are rounded to multiples of it: 1 for whole numbers, 0.01 for shares");
                    return None;
                }
                Some(step)
            }
        };
        let null_as = match fields.maybe("null_as") {
            None => None,
            Some(node) => Some(read::number(problems, node, "`null_as`", f64::MIN, f64::MAX)?),
        };
        return Some((low?, high?, More { step, null_as }));
    }
    if !matches!(node.content, Content::List(_)) {
        let _: Option<()> = read::wrong(
            problems,
            node,
            what,
            "two numbers, as in [0, 864000], or {low: 0, high: 1, step: 0.001}",
        );
        return None;
    }
    match read::list(problems, node, what)? {
        [low, high] => {
            let (low, high) = (number(problems, low, what), number(problems, high, what));
            Some((low?, high?, More::default()))
        }
        _ => {
            problems
                .add(Problem::WrongKind, node.span, format!("{what} must be two numbers"))
                .help("write the least and the greatest: [0, 864000]");
            None
        }
    }
}

fn keys(problems: &mut Problems, node: &Node) -> Vec<RawKeys> {
    let mut all = Vec::new();
    for entry in read::map(problems, node, "`keys`").unwrap_or_default() {
        let what = format!("the public values of `{}`", entry.key);
        let column = Spanned::new(entry.key.clone(), entry.key_span);
        let span = entry.value.span;
        let values = match &entry.value.content {
            Content::Map(_) => {
                let fields =
                    Fields::new(problems, &entry.value, "a map of public values", VALUES_KEYS);
                let file = fields.and_then(|fields| fields.need(problems, "file"));
                let Some(file) = file.and_then(|node| read::text(problems, node, "`file`")) else {
                    continue;
                };
                RawValues::File(file)
            }
            Content::List(items) => {
                let before = problems.count();
                let values: Vec<Spanned<String>> =
                    items.iter().filter_map(|item| read::text(problems, item, &what)).collect();
                if problems.count() > before {
                    continue;
                }
                RawValues::Written(values)
            }
            _ => {
                let _: Option<()> =
                    read::wrong(problems, &entry.value, &what, "a list of values, or {file: name}");
                continue;
            }
        };
        all.push(RawKeys { column, span, values });
    }
    all
}
