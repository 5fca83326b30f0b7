//! JSON lines: one object a line. Columns are the keys of all objects, in the order of their first
//! appearance; objects and lists inside are kept as JSON text. Flattens nothing.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::chunk::survey;
use super::column::{Column, Kind};
use super::format::{Format, Opened, Options, Plan, Reader};
use super::infer::{self, Guess};
use super::input::Input;
use super::rows::Rows;
use crate::error::{Code, Error, Result};

/// More columns than this are no table.
const COLUMNS_MAX: usize = 10_000;

/// The format.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonLines;

impl Format for JsonLines {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    fn about(&self) -> &'static str {
        "JSON lines: an object a line; nested values are kept as JSON text"
    }

    fn plan(&self, inputs: &[Input], options: &Options) -> Result<Arc<dyn Plan>> {
        let mut keys = Keys::default();
        let most = options.sample.filter(|most| *most > 0).unwrap_or(u64::MAX);
        let empty = Objects { columns: Vec::new(), keys: Arc::default() };
        for input in inputs {
            let mut left = most;
            survey(input, &empty, |text| {
                for line in text.split(|byte| *byte == b'\n') {
                    if left > 0 && keys.see(line) {
                        left -= 1;
                    }
                }
                left > 0 && keys.guesses.len() <= COLUMNS_MAX
            })?;
        }
        if keys.guesses.len() > COLUMNS_MAX {
            let text = format!("the objects have more than {COLUMNS_MAX} different keys");
            return Err(Error::new(Code::Usage, text));
        }
        if keys.guesses.is_empty() {
            return Err(Error::new(
                Code::Usage,
                "no line of the inputs is a JSON object with keys",
            ));
        }
        let Keys { names, guesses } = keys;
        let mut by_place: Vec<(String, usize)> = names.into_iter().collect();
        by_place.sort_by_key(|(_, at)| *at);
        let named = by_place.into_iter().map(|(name, _)| name).zip(guesses);
        let columns = infer::columns(named, &options.types)?;
        let places = columns.iter().enumerate().map(|(at, column)| (column.name.clone(), at));
        Ok(Arc::new(Objects { keys: Arc::new(places.collect()), columns }))
    }
}

/// Keys that were seen, and the kinds of their values.
#[derive(Debug, Default)]
struct Keys {
    names: HashMap<String, usize>,
    guesses: Vec<Guess>,
}

impl Keys {
    /// Looks at a line; false when it is no object, which is told later.
    fn see(&mut self, line: &[u8]) -> bool {
        let Ok(Pairs(pairs)) = serde_json::from_slice(line) else { return false };
        for (key, value) in pairs {
            let at = *self.names.entry(key).or_insert_with(|| {
                self.guesses.push(Guess::default());
                self.guesses.len() - 1
            });
            let Some(guess) = self.guesses.get_mut(at) else { continue };
            match value {
                Value::Null => {}
                Value::Bool(flag) => guess.see_as(flag.to_string().as_bytes(), &[Kind::Flag]),
                Value::Number(number) => {
                    let kinds = [Kind::Integer, Kind::Number];
                    guess.see_as(number.to_string().as_bytes(), &kinds);
                }
                Value::String(text) => guess.see_as(text.as_bytes(), &[Kind::Date, Kind::Time]),
                Value::Array(_) | Value::Object(_) => guess.see_as(b"", &[]),
            }
        }
        true
    }
}

/// An object's keys and values, in its order; a key that stands twice is there twice.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Inputs with these columns.
#[derive(Debug)]
struct Objects {
    columns: Vec<Column>,
    keys: Arc<HashMap<String, usize>>,
}

impl Plan for Objects {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn open(&self, _: &Input, _: &[u8]) -> Result<Opened> {
        Ok(Opened { reader: Arc::new(Lines { keys: Arc::clone(&self.keys) }), header: 0 })
    }
}

/// Reads lines.
#[derive(Debug)]
struct Lines {
    keys: Arc<HashMap<String, usize>>,
}

impl Lines {
    /// Sets the fields of a line, or says why not.
    fn set(&self, rows: &mut Rows<'_>, line: &[u8]) -> Result<(), &'static str> {
        let Pairs(pairs) = serde_json::from_slice(line).map_err(|_| "no JSON object")?;
        let mut taken = vec![false; self.keys.len()];
        for (key, value) in &pairs {
            let at = *self
                .keys
                .get(key)
                .ok_or("a key that is no column, as no line of the sample had it")?;
            if taken.get_mut(at).is_none_or(|taken| std::mem::replace(taken, true)) {
                return Err("a key stands twice");
            }
            match value {
                Value::Null => {}
                Value::String(text) => {
                    rows.set_made(at, |made| made.extend_from_slice(text.as_bytes()));
                }
                other => {
                    let text = other.to_string();
                    rows.set_made(at, |made| made.extend_from_slice(text.as_bytes()));
                }
            }
        }
        Ok(())
    }
}

impl Reader for Lines {
    fn whole(&self, text: &[u8]) -> usize {
        memchr::memrchr(b'\n', text).map_or(0, |newline| newline + 1)
    }

    fn read(&self, rows: &mut Rows<'_>) {
        loop {
            let text = rows.rest();
            if text.is_empty() {
                return;
            }
            let bytes = memchr::memchr(b'\n', text).map_or(text.len(), |newline| newline + 1);
            let line = text.get(..bytes).unwrap_or_default().trim_ascii();
            if line.is_empty() {
                rows.skip(bytes);
                continue;
            }
            match self.set(rows, line) {
                Ok(()) => rows.row(bytes),
                Err(reason) => rows.reject(bytes, reason),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Outcome, ingest};
    use super::*;

    fn jsonl(text: &str) -> Outcome {
        ingest("jsonl", text, Options::default()).unwrap()
    }

    #[test]
    fn keys_become_columns_and_nested_values_text() {
        let done = jsonl(
            "{\"user\": \"ada\", \"jobs\": 3, \"at\": \"2024-01-01T00:00:00Z\", \"env\": {\"A\": [1, null]}}\n\
             \n\
             {\"jobs\": null, \"load\": 0.5, \"ok\": true, \"user\": \"b\\u00e9\\n\", \"env\": \"plain\"}\r\n",
        );
        assert_eq!(done.rejects, []);
        assert_eq!(done.table.names, ["user", "jobs", "at", "env", "load", "ok"]);
        assert_eq!(
            done.table.types,
            ["Utf8", "Int64", "Timestamp(µs, \"UTC\")", "Utf8", "Float64", "Boolean"]
        );
        assert_eq!(
            done.table.rows,
            [
                ["ada", "3", "2024-01-01T00:00:00Z", "{\"A\":[1,null]}", "-", "-"],
                ["bé\n", "-", "-", "plain", "0.5", "true"],
            ]
        );
    }

    #[test]
    fn large_and_mixed_values_keep_what_they_say() {
        let done = jsonl("{\"a\": 1, \"b\": 18446744073709551615}\n{\"a\": \"x\", \"b\": 1}\n");
        assert_eq!(done.table.rows, [["1", "18446744073709551615"], ["x", "1"]]);
    }

    #[test]
    fn lines_that_are_no_objects_are_rejected() {
        let options = Options { sample: Some(1), ..Options::default() };
        let text =
            "{\"a\": 1}\n[1]\n{\"a\": 1, \"a\": 2}\n{\"a\": 1\n{\"b\": 1}\n{\"a\": \"x\"}\n{}\n";
        let done = ingest("jsonl", text, options).unwrap();
        let found: Vec<(&str, u64)> =
            done.rejects.iter().map(|(reason, line, _)| (reason.as_str(), *line)).collect();
        assert_eq!(
            found,
            [
                ("no JSON object", 2),
                ("a key stands twice", 3),
                ("no JSON object", 4),
                ("a key that is no column, as no line of the sample had it", 5),
                ("column `a`: no integer", 6),
            ]
        );
        assert_eq!(done.table.rows, [["1"], ["-"]]);
    }
}
