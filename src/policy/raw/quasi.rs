//! Quasi-identifiers as they are written, each with the rule of its hierarchy. Looks at no column and opens
//! no file.

use crate::diagnostic::Span;
use crate::policy::problem::{Problem, Problems, suggestion};
use crate::policy::read::{self, Fields, Spanned};
use crate::policy::release::HierarchyRule;
use crate::policy::yaml::{Content, Node};

/// The keys of a quasi-identifier.
pub(in crate::policy) const QUASI_KEYS: &[&str] =
    &["column", "hierarchy", "intervals", "time", "mask", "top", "weight", "delimiter"];
/// The units that times are cut to, from fine to coarse.
pub(in crate::policy) const TIME_UNITS: &[&str] =
    &["hour", "day", "week", "month", "quarter", "year", "decade"];

/// A quasi-identifier as written.
#[derive(Debug)]
pub(in crate::policy) struct RawQuasi {
    /// Where it stands.
    pub(in crate::policy) span: Span,
    /// The column.
    pub(in crate::policy) column: Spanned<String>,
    /// How its values become coarser.
    pub(in crate::policy) hierarchy: HierarchyRule,
    /// How much its loss counts.
    pub(in crate::policy) weight: f64,
}

/// Reads the list.
pub(super) fn quasi_identifiers(problems: &mut Problems, node: &Node) -> Option<Vec<RawQuasi>> {
    let items = match &node.content {
        Content::Map(_) => std::slice::from_ref(node),
        _ => read::one_or_more(problems, node, "`quasi_identifiers`")?,
    };
    if items.is_empty() {
        problems.add(Problem::WrongKind, node.span, "`quasi_identifiers` names no column");
    }
    Some(items.iter().filter_map(|item| quasi(problems, item)).collect())
}

fn quasi(problems: &mut Problems, node: &Node) -> Option<RawQuasi> {
    const WHAT: &str = "a quasi-identifier";
    if !matches!(node.content, Content::Map(_)) {
        let column = read::text(problems, node, WHAT)?;
        let hierarchy = HierarchyRule::Top;
        return Some(RawQuasi { span: node.span, column, hierarchy, weight: 1.0 });
    }
    let fields = Fields::new(problems, node, WHAT, QUASI_KEYS)?;
    let column = fields.need(problems, "column");
    let column = column.and_then(|node| read::text(problems, node, "`column`"));
    let hierarchy = rule_of(problems, &fields, WHAT);
    let weight = match fields.maybe("weight") {
        Some(node) => read::number(problems, node, "`weight`", 0.0, f64::MAX)?.value,
        None => 1.0,
    };
    Some(RawQuasi { span: node.span, column: column?, hierarchy: hierarchy?, weight })
}

/// The rule of a hierarchy that stands in a map; `Top` where there is none.
pub(super) fn rule_of(
    problems: &mut Problems,
    fields: &Fields<'_>,
    what: &str,
) -> Option<HierarchyRule> {
    let kinds = ["hierarchy", "intervals", "time", "mask", "top"];
    let mut written = kinds.iter().filter_map(|key| fields.entry(key));
    let first = written.next();
    if let (Some(first), Some(second)) = (first, written.next()) {
        problems
            .add(
                Problem::Release,
                second.key_span,
                format!("{what} has one hierarchy, and here are two"),
            )
            .other(first.key_span, "the first is here")
            .help("keep one of them");
        return None;
    }
    if let Some(entry) = fields.entry("delimiter")
        && first.is_none_or(|first| first.key != "hierarchy")
    {
        let message = "`delimiter` is of the file that `hierarchy` names";
        problems.add(Problem::Release, entry.key_span, message).help("leave it out");
    }
    let Some(entry) = first else { return Some(HierarchyRule::Top) };
    match entry.key.as_str() {
        "hierarchy" => {
            let path = read::text(problems, &entry.value, "`hierarchy`")?.value;
            let separator = match fields.maybe("delimiter") {
                Some(node) => {
                    let word = read::text(problems, node, "`delimiter`")?;
                    match word.value.as_str() {
                        ";" => ';',
                        "," => ',',
                        "tab" => '\t',
                        other => {
                            let message = format!("`delimiter` cannot be `{other}`");
                            let problem = problems.add(Problem::WrongWord, word.span, message);
                            problem.help("write \";\", \",\" or tab");
                            return None;
                        }
                    }
                }
                None => ';',
            };
            Some(HierarchyRule::File { path, separator })
        }
        "intervals" => intervals(problems, &entry.value),
        "time" => time(problems, &entry.value),
        "mask" => mask(problems, &entry.value),
        _ => {
            let empty = matches!(&entry.value.content,
                Content::Scalar { text, plain: true } if text.is_empty() || text == "true");
            if !empty {
                problems
                    .add(Problem::WrongKind, entry.value.span, "`top` takes no value")
                    .help("write `top` alone, or leave it out: it is what a name alone means");
                return None;
            }
            Some(HierarchyRule::Top)
        }
    }
}

fn intervals(problems: &mut Problems, node: &Node) -> Option<HierarchyRule> {
    let fields = Fields::new(problems, node, "`intervals`", &["from", "widths"])?;
    let from = match fields.maybe("from") {
        Some(node) => read::number(problems, node, "`from`", f64::MIN, f64::MAX)?.value,
        None => 0.0,
    };
    let node = fields.need(problems, "widths")?;
    let items = read::one_or_more(problems, node, "`widths`")?;
    let mut widths: Vec<f64> = Vec::new();
    for item in items {
        let width = read::number(problems, item, "a width", f64::MIN, f64::MAX)?.value;
        if width <= 0.0 {
            let message = format!("a width must be above 0, not `{width}`");
            problems.add(Problem::OutOfRange, item.span, message);
            return None;
        }
        if let Some(last) = widths.last() {
            let ratio = width / last;
            let whole = ratio.round();
            if whole < 2.0 || (ratio - whole).abs() > 1e-9 * whole {
                problems
                    .add(
                        Problem::Release,
                        item.span,
                        format!("the width {width} is no multiple of {last}, the one before"),
                    )
                    .help("each interval must lie inside one of the next level: 5, 10, 20");
                return None;
            }
        }
        widths.push(width);
    }
    if widths.is_empty() {
        problems.add(Problem::WrongKind, node.span, "`widths` has no width");
        return None;
    }
    Some(HierarchyRule::Intervals { from, widths })
}

fn time(problems: &mut Problems, node: &Node) -> Option<HierarchyRule> {
    let items = read::one_or_more(problems, node, "`time`")?;
    let mut units: Vec<String> = Vec::new();
    for item in items {
        let unit = read::word(problems, item, "a unit of time", TIME_UNITS)?;
        let place = |unit: &str| TIME_UNITS.iter().position(|known| *known == unit);
        if let Some(last) = units.last() {
            if place(unit.value) <= place(last) {
                problems
                    .add(
                        Problem::Release,
                        item.span,
                        format!("`{}` is not coarser than `{last}`, the one before", unit.value),
                    )
                    .help("write units from fine to coarse: [hour, day, month, year]");
                return None;
            }
            if last == "week" {
                problems
                    .add(
                        Problem::Release,
                        item.span,
                        format!("weeks do not lie inside one {}", unit.value),
                    )
                    .help("let `week` be the last unit, or leave it out");
                return None;
            }
        }
        units.push(unit.value.to_owned());
    }
    if units.is_empty() {
        problems
            .add(Problem::WrongKind, node.span, "`time` has no unit")
            .help(suggestion("", TIME_UNITS.iter().copied()));
        return None;
    }
    Some(HierarchyRule::Time(units))
}

fn mask(problems: &mut Problems, node: &Node) -> Option<HierarchyRule> {
    let items = read::one_or_more(problems, node, "`mask`")?;
    let mut counts: Vec<usize> = Vec::new();
    for item in items {
        let count = read::integer(problems, item, "a number of characters", 1, 1024)?;
        let count = usize::try_from(count.value).ok()?;
        if let Some(last) = counts.last()
            && count <= *last
        {
            problems
                .add(
                    Problem::Release,
                    item.span,
                    format!("{count} characters are not more than {last}, the ones before"),
                )
                .help("each level masks more: [1, 2, 3]");
            return None;
        }
        counts.push(count);
    }
    if counts.is_empty() {
        problems.add(Problem::WrongKind, node.span, "`mask` has no number");
        return None;
    }
    Some(HierarchyRule::Mask(counts))
}
