//! Parameters of a transform: how they are declared, and their values once checked.
//!
//! A transform lists its [`Param`]s; the policy loader checks what is written against that list
//! (unknown name, missing value, wrong kind, out of range) and hands over [`Args`], in which every
//! parameter with a default has a value. Nothing here reads YAML.

use std::collections::BTreeMap;

use chrono::NaiveDate;

/// What a parameter may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `true` or `false`, nothing else.
    Flag,
    /// A whole number within bounds, both included.
    Integer {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// A finite number within bounds, both included.
    Number {
        /// The least value.
        min: f64,
        /// The greatest value.
        max: f64,
    },
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words, in the order given, without repeats.
    Choices(&'static [&'static str]),
    /// A calendar date, `2026-01-01`.
    Date,
    /// The name of another column of the same data.
    Column,
    /// Names of other columns of the same data, without repeats.
    Columns,
    /// A list of finite numbers.
    Numbers,
    /// A list of texts.
    Texts,
    /// A file, relative to the policy's folder.
    Path,
    /// A number, a text, a flag: whatever fits the column (for `constant`).
    Scalar,
}

/// One parameter.
#[derive(Debug)]
pub struct Param {
    /// Its name in the policy.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Whether it must be written.
    pub required: bool,
    /// The value when it is not written.
    pub default: Option<Default>,
    /// What it means, in one sentence.
    pub doc: &'static str,
}

/// A default value that a `static` can hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Default {
    /// A flag.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A text or a word.
    Text(&'static str),
    /// Words or texts.
    Texts(&'static [&'static str]),
}

/// A checked value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A flag.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// Text, a word of a choice, a column name or a path.
    Text(String),
    /// A date.
    Date(NaiveDate),
    /// Numbers.
    Numbers(Vec<f64>),
    /// Texts or words.
    Texts(Vec<String>),
}

/// The parameters of one rule, checked, with defaults filled in.
#[derive(Debug, Clone, PartialEq, std::default::Default)]
pub struct Args(BTreeMap<String, Value>);

impl Args {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// The defaults of `params`: what an empty rule means.
    pub fn defaults(params: &[Param]) -> Self {
        let mut args = Self::new();
        for param in params {
            if let Some(default) = param.default {
                args.set(param.name, default.value());
            }
        }
        args
    }

    /// Sets a value; for the policy loader and for tests.
    pub fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// The same with one more value; for tests.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.set(name, value);
        self
    }

    /// All values by name, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value, whatever its kind.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A flag; false when not set.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Value::Flag(true)))
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(Value::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    /// A number, whether written whole or not.
    #[expect(clippy::cast_precision_loss, reason = "policy numbers are small")]
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.0.get(name) {
            Some(Value::Integer(value)) => Some(*value as f64),
            Some(Value::Number(value)) => Some(*value),
            _ => None,
        }
    }

    /// Text, a word, a column name or a path.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Value::Text(value)) => Some(value),
            _ => None,
        }
    }

    /// A date.
    pub fn date(&self, name: &str) -> Option<NaiveDate> {
        match self.0.get(name) {
            Some(Value::Date(value)) => Some(*value),
            _ => None,
        }
    }

    /// Numbers; empty when not set.
    pub fn numbers(&self, name: &str) -> &[f64] {
        match self.0.get(name) {
            Some(Value::Numbers(values)) => values,
            _ => &[],
        }
    }

    /// Texts or words; empty when not set.
    pub fn texts(&self, name: &str) -> &[String] {
        match self.0.get(name) {
            Some(Value::Texts(values)) => values,
            _ => &[],
        }
    }
}

impl Default {
    /// The default as a value.
    pub fn value(self) -> Value {
        match self {
            Self::Flag(value) => Value::Flag(value),
            Self::Integer(value) => Value::Integer(value),
            Self::Number(value) => Value::Number(value),
            Self::Text(value) => Value::Text(value.to_owned()),
            Self::Texts(values) => Value::Texts(values.iter().map(|&v| v.to_owned()).collect()),
        }
    }
}
