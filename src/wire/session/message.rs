//! The messages of the session's actions, written from Flight's specification, since the crate that has
//! all others lacks these. Does not say what options there are.

use std::collections::BTreeMap;

/// The value of an option; without a kind it takes the option back.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Value {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5")]
    pub(super) kind: Option<Kind>,
}

impl Value {
    /// A text.
    pub(super) fn text(text: &str) -> Self {
        Self { kind: Some(Kind::Text(text.to_owned())) }
    }
}

/// What an option's value may be.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Kind {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Real(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

/// A list of texts.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

/// `SetSessionOptionsRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetRequest {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) session_options: BTreeMap<String, Value>,
}

/// `SetSessionOptionsResult`: what was not set, and why.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetResult {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) errors: BTreeMap<String, Refusal>,
}

/// Why an option was not set.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Refusal {
    #[prost(int32, tag = "1")]
    pub(super) value: i32,
}

/// There is no such option.
pub(super) const INVALID_NAME: i32 = 1;
/// The option does not take this.
pub(super) const INVALID_VALUE: i32 = 2;

/// `GetSessionOptionsRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetRequest {}

/// `GetSessionOptionsResult`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetResult {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) session_options: BTreeMap<String, Value>,
}

/// `CloseSessionRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CloseRequest {}

/// `CloseSessionResult`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CloseResult {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

/// The session is closed.
pub(super) const CLOSED: i32 = 1;
