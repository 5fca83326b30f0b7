//! Short ways to declare a parameter and to refuse one. What a parameter may hold is said in
//! `policy::args`; reading YAML is nobody's business here.

use super::Refusal;
use crate::policy::args::{Default, Kind, Param};

/// A parameter that must be written.
pub(super) const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Param {
    Param { name, kind, required: true, default: None, doc }
}

/// A parameter that may be left out and then has no value.
pub(super) const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Param {
    Param { name, kind, required: false, default: None, doc }
}

/// A parameter that has a value when it is left out.
pub(super) const fn defaulted(
    name: &'static str,
    kind: Kind,
    default: Default,
    doc: &'static str,
) -> Param {
    Param { name, kind, required: false, default: Some(default), doc }
}

/// A refused parameter with advice.
pub(super) fn refusal(param: &'static str, message: impl Into<String>, help: &str) -> Refusal {
    Refusal { param: Some(param), message: message.into(), help: Some(help.to_owned()) }
}

/// A refusal of the rule as a whole, with advice.
pub(super) fn refusal_of_rule(message: impl Into<String>, help: &str) -> Refusal {
    Refusal { param: None, message: message.into(), help: Some(help.to_owned()) }
}
