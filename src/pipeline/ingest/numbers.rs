//! Which texts are numbers where a format does not say it. Computes with none of them.

use super::attributes::Value;

/// A number as it is written, if it is one: whole, or with a fraction or an exponent. Words such as `inf`
/// are none.
pub(super) fn number(written: &str) -> Option<Value<'_>> {
    let digits = written.strip_prefix('-').unwrap_or(written);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let fits = written.parse::<i64>().is_ok();
        let written = written.into();
        return Some(if fits { Value::Integer(written) } else { Value::Number(written) });
    }
    written.parse::<f64>().ok().map(|_| Value::Number(written.into()))
}
