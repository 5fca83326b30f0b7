//! The functions that cannot fail on any data, with the arguments that they must be given for that. Calls
//! nothing; each is run over hostile data in `tests/functions.rs`.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;

use super::total::{is_literal, is_plain, is_text, kind};
use crate::error::Result;
use crate::pipeline::query::{refused, short};

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// A number with a fraction; whole ones overflow in some functions.
    Float,
    /// A text.
    Text,
    /// A date or a time stamp.
    Time,
    /// Any single value.
    Plain,
    /// A whole number that the statement writes, from 0 to a million.
    Count,
    /// A whole number that the statement writes, from 1 to a million.
    Place,
    /// A text that the statement writes.
    Word,
    /// The name of a part of a time.
    Part,
}

use Takes::{Count, Float, Part, Place, Plain, Text, Time, Word};

/// A function, its arguments, how many of them must be there, and whether the last may come again.
struct Known(&'static str, &'static [Takes], usize, bool);

const KNOWN: &[Known] = &[
    Known("abs", &[Float], 1, false),
    Known("cbrt", &[Float], 1, false),
    Known("ceil", &[Float], 1, false),
    Known("exp", &[Float], 1, false),
    Known("floor", &[Float], 1, false),
    Known("isnan", &[Float], 1, false),
    Known("ln", &[Float], 1, false),
    Known("log10", &[Float], 1, false),
    Known("log2", &[Float], 1, false),
    Known("nanvl", &[Float, Float], 2, false),
    Known("signum", &[Float], 1, false),
    Known("sqrt", &[Float], 1, false),
    Known("coalesce", &[Plain], 1, true),
    Known("greatest", &[Plain], 1, true),
    Known("least", &[Plain], 1, true),
    Known("nullif", &[Plain, Plain], 2, false),
    Known("nvl", &[Plain, Plain], 2, false),
    Known("nvl2", &[Plain, Plain, Plain], 3, false),
    Known("btrim", &[Text, Word], 1, false),
    Known("character_length", &[Text], 1, false),
    Known("contains", &[Text, Word], 2, false),
    Known("ends_with", &[Text, Word], 2, false),
    Known("left", &[Text, Count], 2, false),
    Known("lower", &[Text], 1, false),
    Known("ltrim", &[Text, Word], 1, false),
    Known("octet_length", &[Text], 1, false),
    Known("regexp_like", &[Text, Word, Word], 2, false),
    Known("right", &[Text, Count], 2, false),
    Known("rtrim", &[Text, Word], 1, false),
    Known("split_part", &[Text, Word, Place], 3, false),
    Known("starts_with", &[Text, Word], 2, false),
    Known("strpos", &[Text, Word], 2, false),
    Known("substr", &[Text, Place, Count], 2, false),
    Known("upper", &[Text], 1, false),
    Known("date_part", &[Part, Time], 2, false),
    Known("date_trunc", &[Part, Time], 2, false),
];

/// Parts that times are cut at.
const CUT: &[&str] = &[
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
];
/// Parts that times have besides.
const OTHER: &[&str] = &["dow", "doy", "epoch", "isodow", "isoyear", "nanosecond"];

/// Refuses a call that may fail on some data. Its arguments were checked.
///
/// # Errors
/// [`Code::NoisyOnly`](crate::error::Code::NoisyOnly).
pub(super) fn check(call: &ScalarFunction, schema: &DFSchema) -> Result<()> {
    let name = call.func.name();
    let Some(Known(_, takes, least, again)) = KNOWN.iter().find(|known| known.0 == name) else {
        let text = format!(
            "`{}` may fail on a value, or is not known not to: below an aggregation there are {}",
            short(name),
            KNOWN.iter().map(|known| known.0).collect::<Vec<_>>().join(", ")
        );
        return Err(refused(&text));
    };
    let count = call.args.len();
    if count < *least || (count > takes.len() && !again) {
        return Err(unfit(name));
    }
    let last = takes.last().copied().unwrap_or(Plain);
    for (at, arg) in call.args.iter().enumerate() {
        let takes = takes.get(at).copied().unwrap_or(last);
        if takes == Part && !is_part(name, arg) {
            return Err(part(name));
        }
        if !fits(takes, arg, schema) {
            return Err(if takes == Float { float(name) } else { unfit(name) });
        }
    }
    Ok(())
}

fn fits(takes: Takes, arg: &Expr, schema: &DFSchema) -> bool {
    let kind = kind(arg, schema);
    match takes {
        Float => kind.is_floating(),
        Text => is_text(&kind),
        Time => matches!(kind, DataType::Date32 | DataType::Timestamp(..)),
        Plain => is_plain(&kind),
        Count => whole(arg).is_some_and(|number| (0..=1_000_000).contains(&number)),
        Place => whole(arg).is_some_and(|number| (1..=1_000_000).contains(&number)),
        Part | Word => is_literal(arg) && (is_text(&kind) || kind.is_null()),
    }
}

fn whole(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(number), _) => *number,
        Expr::Placeholder(_) => Some(1),
        _ => None,
    }
}

/// Whether a text names a part that a function knows; of another it would fail on the first row.
fn is_part(name: &str, arg: &Expr) -> bool {
    match arg {
        Expr::Literal(value, _) => value.try_as_str().flatten().is_some_and(|part| {
            let part = part.to_lowercase();
            let part = part.as_str();
            CUT.contains(&part) || (name == "date_part" && OTHER.contains(&part))
        }),
        _ => false,
    }
}

fn part(name: &str) -> crate::error::Error {
    let parts = if name == "date_part" { [CUT, OTHER].concat() } else { CUT.to_vec() };
    refused(&format!("`{}` is by {}, written in the statement", short(name), parts.join(", ")))
}

fn float(name: &str) -> crate::error::Error {
    let name = short(name);
    refused(&format!(
        "`{name}` of a whole number may overflow: write `{name}(CAST(... AS DOUBLE))`"
    ))
}

fn unfit(name: &str) -> crate::error::Error {
    let name = short(name);
    refused(&format!(
        "`{name}` cannot fail only where its texts, lengths and places are written in the statement, and are no less than zero or one"
    ))
}

/// All functions that are let through, and how many arguments each takes at most.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, usize)> {
    KNOWN.iter().map(|known| (known.0, if known.3 { 3 } else { known.1.len() }))
}
