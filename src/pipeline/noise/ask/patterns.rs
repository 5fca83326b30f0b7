//! Patterns below an aggregation, made ready before a row is read. The engine compiles a pattern when it meets
//! the first row that gets there: one that does not compile fails by then, and one that is large takes its time
//! by then, and both tell that the row is there. Decides how much pattern a statement has; matches nothing itself
//! but texts.

use std::any::Any;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::{Like, ScalarFunction};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use regex::{Regex, RegexBuilder};

use super::below::broken;
use crate::error::Result;
use crate::pipeline::query::refused;

/// The size of all compiled patterns of a statement, in KiB. A letter is matched in at most about as many steps.
const SIZE_MAX: usize = 64;

const TOO_LARGE: &str = "the patterns of a statement are too large once they are written out: write `[0-9]` for `\\d`, \
     `[a-z]` for `\\w`, and fewer repetitions and wildcards";
const WRITTEN: &str =
    "a pattern and its flags are texts that the statement writes: they are not computed";
const FLAGS: &str = "the flags of a pattern are of the letters `i`, `m`, `s` and `x`";
const BROKEN: &str = "a pattern is none, or has flags that stand twice";

/// An expression whose patterns are compiled, but for those that are plain texts between `%`.
///
/// PRIVACY: no pattern is compiled, and none fails, because a row is there.
///
/// # Errors
/// [`Code::NoisyOnly`](crate::error::Code::NoisyOnly) for patterns that do not compile, or not to little.
pub(super) fn compiled(expr: Expr) -> Result<Expr> {
    let mut refusal = None;
    let done = expr.transform_up(|part| {
        Ok(match pattern(&part) {
            Ok(None) => Transformed::no(part),
            Ok(Some((text, matches, negated))) => {
                let function = Arc::new(ScalarUDF::new_from_impl(matches));
                let call = Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![text]));
                Transformed::yes(if negated { Expr::Not(Box::new(call)) } else { call })
            }
            Err(error) => {
                refusal = Some(error);
                Transformed::no(part)
            }
        })
    });
    let done = done.map_err(broken)?.data;
    refusal.map_or(Ok(done), Err)
}

/// Refuses a plan whose patterns are large together.
///
/// # Errors
/// [`Code::NoisyOnly`](crate::error::Code::NoisyOnly).
pub(super) fn few(plan: &LogicalPlan) -> Result<()> {
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::ScalarFunction(call) = part
                    && let inner = call.func.inner().as_ref() as &dyn Any
                    && let Some(matches) = inner.downcast_ref::<Matches>()
                {
                    sizes.insert(matches.name.clone(), matches.size);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map_err(broken)?;
    if sizes.values().sum::<usize>() > SIZE_MAX { Err(refused(TOO_LARGE)) } else { Ok(()) }
}

/// What matches a pattern: the text, the pattern, and whether the answer is turned around. None where there is
/// nothing to compile, or not yet.
fn pattern(expr: &Expr) -> Result<Option<(Expr, Matches, bool)>> {
    use Operator::{
        ILikeMatch, LikeMatch, NotILikeMatch, NotLikeMatch, RegexIMatch, RegexMatch,
        RegexNotIMatch, RegexNotMatch,
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (flags, negated) = match op {
                RegexMatch => ("", false),
                RegexIMatch => ("i", false),
                RegexNotMatch => ("", true),
                RegexNotIMatch => ("i", true),
                LikeMatch => return like(left, right, false, false),
                ILikeMatch => return like(left, right, true, false),
                NotLikeMatch => return like(left, right, false, true),
                NotILikeMatch => return like(left, right, true, true),
                _ => return Ok(None),
            };
            let Some(pattern) = text(right)? else { return Ok(None) };
            Ok(Some((left.as_ref().clone(), Matches::new(pattern, flags)?, negated)))
        }
        Expr::Like(Like { negated, expr, pattern, escape_char, case_insensitive }) => {
            if escape_char.is_some_and(|escape| escape != '\\') {
                return Err(refused(
                    "`LIKE` has the backslash before `%` and `_`, and no `ESCAPE`",
                ));
            }
            like(expr, pattern, *case_insensitive, *negated)
        }
        Expr::ScalarFunction(call) if call.func.name() == "regexp_like" => {
            let [value, pattern, flags @ ..] = call.args.as_slice() else { return Ok(None) };
            let flags = match flags.first() {
                Some(Expr::Placeholder(_)) => return Ok(None),
                Some(flags) => text(flags)?.unwrap_or_default(),
                None => "",
            };
            if !flags.chars().all(|flag| "imsx".contains(flag)) {
                return Err(refused(FLAGS));
            }
            let Some(pattern) = text(pattern)? else { return Ok(None) };
            Ok(Some((value.clone(), Matches::new(pattern, flags)?, false)))
        }
        _ => Ok(None),
    }
}

/// The text that a statement writes; none where it is null, or a parameter without its value.
fn text(expr: &Expr) -> Result<Option<&str>> {
    match expr {
        Expr::Literal(ScalarValue::Null, _) | Expr::Placeholder(_) => Ok(None),
        Expr::Literal(value, _) => value.try_as_str().ok_or_else(|| refused(WRITTEN)),
        _ => Err(refused(WRITTEN)),
    }
}

fn like(
    value: &Expr,
    pattern: &Expr,
    any_case: bool,
    negated: bool,
) -> Result<Option<(Expr, Matches, bool)>> {
    let Some(pattern) = text(pattern)? else { return Ok(None) };
    let inner = pattern.strip_prefix('%').unwrap_or(pattern);
    let inner = inner.strip_suffix('%').unwrap_or(inner);
    // The engine looks for a plain text as it is.
    if !any_case && !inner.contains(['%', '_', '\\']) {
        return Ok(None);
    }
    let flags = if any_case { "si" } else { "s" };
    Ok(Some((value.clone(), Matches::new(&regex_of(pattern), flags)?, negated)))
}

/// The regular expression of a `LIKE`.
fn regex_of(pattern: &str) -> String {
    let mut letters = pattern.chars();
    let mut regex = String::from("^");
    while let Some(letter) = letters.next() {
        match letter {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            letter => {
                // A backslash at the end stands for itself.
                let meant = if letter == '\\' { letters.next().unwrap_or(letter) } else { letter };
                regex.push_str(&regex::escape(meant.encode_utf8(&mut [0; 4])));
            }
        }
    }
    regex.push('$');
    regex
}

/// Whether a text matches a pattern; null of null.
#[derive(Debug)]
struct Matches {
    /// Tells it apart: the pattern is in it.
    name: String,
    regex: Regex,
    /// In KiB, rounded up by a quarter at most.
    size: usize,
    signature: Signature,
}

impl Matches {
    fn new(pattern: &str, flags: &str) -> Result<Self> {
        let source =
            if flags.is_empty() { pattern.to_owned() } else { format!("(?{flags}){pattern}") };
        let mut size = 1;
        let regex = loop {
            match RegexBuilder::new(&source).size_limit(size << 10).build() {
                Ok(regex) => break regex,
                Err(regex::Error::CompiledTooBig(_)) if size < SIZE_MAX => {
                    size = (size + size.div_ceil(4)).min(SIZE_MAX);
                }
                Err(regex::Error::CompiledTooBig(_)) => return Err(refused(TOO_LARGE)),
                Err(_) => return Err(refused(BROKEN)),
            }
        };
        let name = format!("matches {source}");
        Ok(Self { name, regex, size, signature: Signature::string(1, Volatility::Immutable) })
    }
}

impl PartialEq for Matches {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Matches {}

impl Hash for Matches {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Matches {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _kinds: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, given: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&given.args)?;
        let texts: Vec<ArrayRef> = arrays
            .iter()
            .map(|texts| cast(texts, &DataType::Utf8View))
            .collect::<Result<_, _>>()?;
        let is = |text: Option<&str>| text.map(|text| self.regex.is_match(text));
        let all = texts.first().map(|texts| texts.as_string_view().iter().map(is));
        Ok(ColumnarValue::Array(Arc::new(all.into_iter().flatten().collect::<BooleanArray>())))
    }
}
