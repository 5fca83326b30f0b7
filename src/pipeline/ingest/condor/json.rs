//! Ads as JSON: an array of objects, or objects one behind the other. Lists and objects inside an ad stay
//! the JSON text that they are; expressions are strings here and stay those.

use super::super::attributes::{Layout, Piece, Record, Value};
use super::classad;

/// Ads as JSON.
#[derive(Debug)]
pub(super) struct Objects;

/// Where the next object ends, and where it begins: what stands before it must be separators.
struct Scan {
    begin: Option<usize>,
    end: Option<usize>,
    /// Where something else stands.
    stray: Option<usize>,
}

fn scan(text: &[u8]) -> Scan {
    let (mut depth, mut inside, mut escaped) = (0_u32, false, false);
    let mut scan = Scan { begin: None, end: None, stray: None };
    for (at, byte) in text.iter().enumerate() {
        if inside {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => inside = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' if depth > 0 => inside = true,
            b'{' | b'[' if depth > 0 => depth += 1,
            b'{' => {
                depth = 1;
                scan.begin = Some(at);
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    scan.end = Some(at + 1);
                    return scan;
                }
            }
            b'[' | b']' | b',' => {}
            byte if depth > 0 || byte.is_ascii_whitespace() => {}
            _ => {
                scan.stray = Some(at);
                return scan;
            }
        }
    }
    scan
}

/// Where the line ends that `at` is in.
fn line_end(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    rest.iter().position(|byte| *byte == b'\n').map(|end| at + end + 1)
}

impl Layout for Objects {
    fn whole(&self, text: &[u8]) -> usize {
        let mut whole = 0;
        while let Some(rest) = text.get(whole..).filter(|rest| !rest.is_empty()) {
            match scan(rest) {
                Scan { end: Some(end), .. } => whole += end,
                Scan { stray: Some(stray), .. } => match line_end(rest, stray) {
                    Some(end) => whole += end,
                    None => break,
                },
                _ => break,
            }
        }
        whole
    }

    fn piece<'t>(&self, text: &'t [u8]) -> (usize, Piece<'t>) {
        let found = scan(text);
        match (found.begin, found.end) {
            (Some(begin), Some(end)) => {
                let object = text.get(begin..end).unwrap_or_default();
                match serde_json::from_slice(object) {
                    Ok(serde_json::Value::Object(object)) => {
                        let record: Record<'t> = object
                            .into_iter()
                            .map(|(name, json)| (name.into(), value(json)))
                            .collect();
                        (end, Piece::Record(record))
                    }
                    Ok(_) | Err(_) => (end, Piece::Reject("an object that is no JSON".into())),
                }
            }
            (Some(_), None) => (text.len(), Piece::Reject("an object that does not end".into())),
            (None, _) if found.stray.is_some() => {
                let end = found.stray.and_then(|stray| line_end(text, stray));
                (end.unwrap_or(text.len()), Piece::Reject("text between objects".into()))
            }
            (None, _) => (text.len(), Piece::Skip),
        }
    }
}

fn value(json: serde_json::Value) -> Value<'static> {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Undefined,
        Json::Bool(flag) => Value::Flag(flag.to_string().into()),
        Json::Number(number) if number.is_i64() => Value::Integer(number.to_string().into()),
        Json::Number(number) => Value::Number(number.to_string().into()),
        // `/Expr(...)/` is how an expression is told from a string; `undefined` is no value.
        Json::String(text) => match expression(&text).map(classad::literal) {
            Some(Ok(Value::Undefined)) => Value::Undefined,
            Some(_) => Value::of(expression(&text).unwrap_or_default().to_owned()),
            None => Value::of(text),
        },
        nested @ (Json::Array(_) | Json::Object(_)) => Value::of(nested.to_string()),
    }
}

/// What `/Expr(...)/` holds.
fn expression(text: &str) -> Option<&str> {
    text.strip_prefix("/Expr(").and_then(|rest| rest.strip_suffix(")/"))
}
