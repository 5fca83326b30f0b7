//! The policy language as a JSON Schema (draft 2020-12), made from the grammar's words and from the
//! registry of transforms. Editors use it for completion; the loader stays the judge, since a schema
//! cannot say that a column exists or that grants overlap.

use serde_json::{Map, Value, json};

use super::args::{Default, Kind, Param};
use super::raw;
use super::rule::verbs;
use crate::pipeline::transform::{Spec, suggestions};

/// The whole schema.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Veilflight policy",
        "description": "What may leave a dataset, and to whom.",
        "type": "object",
        "additionalProperties": false,
        "required": ["version", "dataset", "source", "columns"],
        "properties": {
            "version": { "const": 1, "description": "The version of the policy language." },
            "dataset": {
                "type": "string", "pattern": "^[a-z0-9_-]{1,128}$",
                "description": "The name that partners ask for.",
            },
            "description": text("What a row is, for people."),
            "source": { "$ref": "#/$defs/source" },
            "linkage": words(raw::LINKAGES, "Whether two partners can join their pseudonyms."),
            "rows": text("A filter on raw rows, in SQL; rows for which it is not true never leave."),
            "unit": text("The column that names the person, or other unit, that is protected."),
            "nulls": words(raw::NULLS, "What a missing value becomes."),
            "epoch": {
                "type": "integer", "minimum": 0, "maximum": u32::MAX,
                "description": "The key epoch; the newest, where it is not written.",
            },
            "columns": {
                "type": "object", "minProperties": 1,
                "additionalProperties": { "$ref": "#/$defs/rule" },
                "description": "One rule for every column of the data, in the order of the stream.",
            },
            "release": super::release::schema(),
            "views": {
                "type": "array", "maxItems": raw::VIEWS_MAX, "items": { "$ref": "#/$defs/view" },
                "description": "What partners are offered beside the dataset, as tables.",
            },
            "privacy": super::privacy::schema(),
            "public_tables": super::public::schema(),
            "public_numbers": super::privacy::numbers_schema(),
            "grants": {
                "type": "array", "items": { "$ref": "#/$defs/grant" },
                "description": "Who may pull, and how.",
            },
        },
        "$defs": {
            "text": {
                "type": ["string", "number", "boolean"],
                "description": "Text as it is written, quoted or not.",
            },
            "texts": {
                "anyOf": [
                    { "$ref": "#/$defs/text" },
                    { "type": "array", "items": { "$ref": "#/$defs/text" } },
                ],
            },
            "source": source(),
            "quasi_identifiers": super::release::quasi_identifiers(),
            "rule": rule(),
            "view": view(),
            "grant": grant(),
        },
    })
}

fn text(description: &str) -> Value {
    json!({ "$ref": "#/$defs/text", "description": description })
}

fn words(words: &[&str], description: &str) -> Value {
    json!({ "enum": words, "description": description })
}

fn source() -> Value {
    json!({
        "description": "Where the raw rows are; paths start from the policy's folder.",
        "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
        "properties": {
            "parquet": {
                "$ref": "#/$defs/texts", "description": "Files, folders or globs of parquet.",
            },
            "delimited": {
                "type": "object", "additionalProperties": false,
                "required": ["paths", "delimiter", "header", "columns"],
                "properties": {
                    "paths": { "$ref": "#/$defs/texts", "description": "Files, folders or globs." },
                    "delimiter": {
                        "type": "string", "description": "One ASCII character, or `tab`.",
                    },
                    "header": {
                        "type": "boolean", "description": "Whether the first line names the columns.",
                    },
                    "quote": {
                        "type": "string", "default": "\"",
                        "description": "One ASCII character, or `none`.",
                    },
                    "nulls": {
                        "$ref": "#/$defs/texts",
                        "description": "Texts that mean a missing value, besides nothing at all.",
                    },
                    "columns": {
                        "type": "object", "minProperties": 1,
                        "additionalProperties": { "enum": raw::FIELD_TYPES },
                        "description": "Each column's type, in the order of the file.",
                    },
                },
            },
        },
    })
}

fn view() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["name", "sql"],
        "properties": {
            "name": {
                "type": "string", "pattern": "^[a-z0-9_-]{1,128}$",
                "description": "The name that partners ask for; no other table of the server has it.",
            },
            "description": text("What it shows, for people."),
            "sql": {
                "type": "string",
                "description": "One SELECT over the dataset's released columns and the views before it.",
            },
        },
    })
}

fn grant() -> Value {
    let count = |min: u64| json!({ "type": "integer", "minimum": min });
    let any = |keys: &[&str]| -> Map<String, Value> {
        keys.iter().map(|key| ((*key).to_owned(), json!(true))).collect()
    };
    let kind = |access: &str, keys: &[&str], required: &[&str]| {
        let mut properties = any(raw::GRANT_KEYS);
        properties.extend(any(keys));
        properties.insert("access".to_owned(), json!({ "const": access }));
        json!({ "properties": properties, "required": required, "additionalProperties": false })
    };
    let described = |mut value: Value, description: &str| {
        put(&mut value, "description", json!(description));
        value
    };
    let aggregates = [raw::AGGREGATES_KEYS, raw::LIMITED_KEYS].concat();
    json!({
        "type": "object",
        "required": ["partner", "access"],
        "properties": {
            "partner": {
                "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$",
                "description": "The partner's name.",
            },
            "access": words(raw::ACCESSES, "What they may have."),
            "until": {
                "type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
                "description": "The last day, in UTC.",
            },
            "dangerous_rows_and_dp": {
                "type": "boolean",
                "description": "Allows rows beside differentially private answers, which protects nobody.",
            },
            "dangerous_aggregates_and_dp": {
                "type": "boolean",
                "description":
                    "Allows exact aggregates beside differentially private answers, which protects nobody.",
            },
            "limits": {
                "description": "How much of it; the server's settings may say less.",
                "type": "object", "additionalProperties": false,
                "properties": {
                    "rows_day": described(count(1), "Rows of the dataset a day (UTC)."),
                    "bytes_day": described(count(1), "Bytes of the dataset a day (UTC)."),
                    "queries": described(count(1), "Statements at a time."),
                    "seconds": described(count(1), "How long a statement may be worked at."),
                },
            },
            "group_min": count(2),
            "unit": text("The column that tells people apart."),
            "groups_max": described(count(1), "The most groups that one unit counts in."),
            "rows_max": described(count(1), "The most rows of a group that one unit counts with."),
            "epsilon": super::privacy::epsilon("What the partner may spend in all."),
            "delta": super::privacy::delta("The chance that the promise fails, in all."),
            "bounds": super::privacy::bounds(),
            "keys": super::privacy::keys(),
            "query": super::privacy::query(),
        },
        "oneOf": [
            kind("rows", raw::LIMITED_KEYS, &[]),
            kind("aggregates", &aggregates, &["group_min"]),
            kind("dp", raw::DP_KEYS, &["epsilon", "groups_max", "rows_max"]),
        ],
    })
}

/// A column's rule: a bare word, or a map with one transform and perhaps a class.
fn rule() -> Value {
    let mut properties = Map::new();
    properties.insert("class".to_owned(), words(raw::CLASSES, "What the column is."));
    let mut bare = Vec::new();
    let mut one_of = Vec::new();
    for verb in verbs() {
        let specs = suggestions(verb);
        if specs.iter().any(|spec| spec.method.is_none() && nothing_required(spec)) {
            bare.push(verb);
        }
        properties.insert(verb.to_owned(), body(&specs));
        one_of.push(json!({ "required": [verb] }));
    }
    json!({
        "anyOf": [
            { "enum": bare, "description": "A transform without parameters." },
            {
                "type": "object", "additionalProperties": false, "properties": properties,
                "oneOf": one_of,
            },
            // What editors make of the word `null`, which is a transform here.
            { "type": "null", "description": "Sends null in every row." },
        ],
    })
}

fn nothing_required(spec: &Spec) -> bool {
    !spec.params.iter().any(|param| param.required)
}

/// What may stand behind a verb.
fn body(specs: &[&'static Spec]) -> Value {
    let mut forms = Vec::new();
    let methods: Vec<&str> =
        specs.iter().filter(|spec| nothing_required(spec)).filter_map(|spec| spec.method).collect();
    if !methods.is_empty() {
        forms.push(json!({ "enum": methods }));
    }
    for spec in specs {
        if spec.method.is_none() && nothing_required(spec) {
            forms.push(json!({ "type": "null" }));
        }
        if let Some(primary) = spec.params.iter().find(|param| Some(param.name) == spec.primary)
            && spec.params.iter().all(|param| !param.required || param.name == primary.name)
        {
            forms.push(value(primary));
        }
        forms.push(parameters(spec));
    }
    let description = match specs {
        [only] => format!("{} Still leaks: {}", only.does, only.leaks),
        _ => specs
            .iter()
            .map(|spec| format!("{}: {}", spec.method.unwrap_or(spec.verb), spec.does))
            .collect::<Vec<_>>()
            .join(" "),
    };
    json!({ "description": description, "anyOf": forms })
}

/// The map of parameters of one transform.
fn parameters(spec: &Spec) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    if let Some(method) = spec.method {
        properties.insert("method".to_owned(), json!({ "const": method }));
        required.push("method");
    }
    for param in spec.params {
        properties.insert(param.name.to_owned(), value(param));
        if param.required {
            required.push(param.name);
        }
    }
    json!({
        "type": "object", "additionalProperties": false, "required": required,
        "properties": properties,
        "description": format!("{} Still leaks: {} For example {}", spec.does, spec.leaks, spec.example),
    })
}

/// One parameter.
fn value(param: &Param) -> Value {
    let mut value = match param.kind {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer { min, max } => {
            let mut value = json!({ "type": "integer" });
            if min > i64::MIN {
                put(&mut value, "minimum", json!(min));
            }
            if max < i64::MAX {
                put(&mut value, "maximum", json!(max));
            }
            value
        }
        Kind::Number { min, max } => {
            let mut value = json!({ "type": "number" });
            if min > f64::MIN {
                put(&mut value, "minimum", json!(min));
            }
            if max < f64::MAX {
                put(&mut value, "maximum", json!(max));
            }
            value
        }
        Kind::Text | Kind::Column | Kind::Path => json!({ "$ref": "#/$defs/text" }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Choices(words) => json!({
            "anyOf": [
                { "enum": words },
                { "type": "array", "items": { "enum": words }, "uniqueItems": true },
            ],
        }),
        Kind::Date => json!({ "type": "string", "format": "date" }),
        Kind::Numbers => json!({ "type": "array", "items": { "type": "number" } }),
        Kind::Texts | Kind::Columns => json!({ "$ref": "#/$defs/texts" }),
        Kind::Scalar => json!({ "type": ["string", "number", "boolean"] }),
    };
    put(&mut value, "description", json!(param.doc));
    if let Some(default) = param.default {
        let default = match default {
            Default::Flag(value) => json!(value),
            Default::Integer(value) => json!(value),
            Default::Number(value) => json!(value),
            Default::Text(value) => json!(value),
            Default::Texts(values) => json!(values),
        };
        put(&mut value, "default", default);
    }
    value
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = object {
        map.insert(key.to_owned(), value);
    }
}
