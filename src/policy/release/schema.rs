//! The key `release` in the JSON Schema of policies.

use serde_json::{Map, Value, json};

use crate::policy::raw;

/// The schema of a release; `source` is that of the key `source`.
pub(in crate::policy) fn schema() -> Value {
    let column = json!({ "$ref": "#/$defs/text", "description": "The sensitive column." });
    let count = |min: u64| json!({ "type": "integer", "minimum": min });
    let share =
        |what: &str| json!({ "type": "number", "minimum": 0, "maximum": 1, "description": what });
    let above =
        |what: &str| json!({ "type": "number", "exclusiveMinimum": 0, "description": what });
    let quasi = json!({ "$ref": "#/$defs/quasi_identifiers" });
    let method = method();
    let suppress = share("The share of rows that may be left out.");
    json!({
        "description": "A whole-table release: where there is one, rows leave only through it.",
        "type": "object", "additionalProperties": false,
        "properties": {
            "quasi_identifiers": quasi,
            "unit": {
                "$ref": "#/$defs/text",
                "description": "The column that tells persons apart; then k counts persons. The policy's \
                                `unit`, where it is not written.",
            },
            "method": method,
            "suppress_max": suppress,
            "population": {
                "$ref": "#/$defs/source",
                "description": "The table of the population, for `k_map` and `delta_presence`.",
            },
            "k_anonymity": object("At least k rows, or persons, look alike.", &["k"], json!({
                "k": count(2), "quasi_identifiers": quasi, "method": method,
                "suppress_max": suppress,
            })),
            "k_map": object("At least k rows of the population look alike.", &["k"], json!({
                "k": count(2),
            })),
            "l_diversity": one_or_more(&object(
                "At least l values of a sensitive column, by kind.", &["column", "l"], json!({
                    "column": column, "l": { "type": "number", "exclusiveMinimum": 1 },
                    "kind": { "enum": raw::L_KINDS, "default": "distinct" },
                    "c": above("Of `recursive`."),
                    "estimator": { "enum": raw::ESTIMATORS, "default": "shannon" },
                }),
            )),
            "t_closeness": one_or_more(&object(
                "The column's distribution is at most t from the table's.", &["column", "t"], json!({
                    "column": column,
                    "t": { "type": "number", "exclusiveMinimum": 0, "maximum": 1 },
                    "distance": { "anyOf": [
                        { "enum": raw::DISTANCES },
                        rule_of(&["hierarchy", "delimiter", "intervals", "time", "mask"], Map::new()),
                    ] },
                }),
            )),
            "delta_presence": object(
                "The chance that somebody of the population is in the table.", &["max"], json!({
                    "min": share("At least."), "max": share("At most."),
                }),
            ),
            "beta_likeness": one_or_more(&object(
                "No value's share grows by more than beta times itself.", &["column", "beta"], json!({
                    "column": column, "beta": above("Beta."), "enhanced": { "type": "boolean" },
                }),
            )),
            "dangerous_rerelease": {
                "type": "boolean",
                "description": "Lets the same data be released again in another form, which can undo both.",
            },
        },
    })
}

/// The schema of the list of quasi-identifiers.
pub(in crate::policy) fn quasi_identifiers() -> Value {
    let mut own = Map::new();
    own.insert("column".to_owned(), json!({ "$ref": "#/$defs/text" }));
    let weight = json!({ "type": "number", "minimum": 0, "default": 1 });
    own.insert("weight".to_owned(), weight);
    let mut one = rule_of(&["hierarchy", "delimiter", "intervals", "time", "mask", "top"], own);
    if let Value::Object(map) = &mut one {
        map.insert("required".to_owned(), json!(["column"]));
    }
    let one = json!({ "anyOf": [{ "$ref": "#/$defs/text" }, one] });
    json!({
        "description": "The columns that could identify somebody together, each with its hierarchy.",
        "anyOf": [one, { "type": "array", "minItems": 1, "items": one }],
    })
}

fn object(description: &str, required: &[&str], properties: Value) -> Value {
    json!({
        "description": description, "type": "object", "additionalProperties": false,
        "required": required, "properties": properties,
    })
}

fn one_or_more(value: &Value) -> Value {
    json!({ "anyOf": [value, { "type": "array", "minItems": 1, "items": value }] })
}

/// A map with the rule of a hierarchy, and `own` keys beside it.
fn rule_of(keys: &[&str], mut own: Map<String, Value>) -> Value {
    for key in keys {
        let value = match *key {
            "hierarchy" => json!({
                "$ref": "#/$defs/text",
                "description": "A file: a line a value, then its groups from fine to coarse.",
            }),
            "delimiter" => json!({ "enum": [";", ",", "tab"], "default": ";" }),
            "intervals" => json!({
                "type": "object", "additionalProperties": false, "required": ["widths"],
                "description": "Numbers in half-open intervals.",
                "properties": {
                    "from": { "type": "number", "default": 0 },
                    "widths": {
                        "anyOf": [
                            { "type": "number", "exclusiveMinimum": 0 },
                            {
                                "type": "array", "minItems": 1,
                                "items": { "type": "number", "exclusiveMinimum": 0 },
                            },
                        ],
                    },
                },
            }),
            "time" => json!({
                "description": "Times cut to these units.",
                "anyOf": [
                    { "enum": raw::TIME_UNITS },
                    { "type": "array", "minItems": 1, "items": { "enum": raw::TIME_UNITS } },
                ],
            }),
            "mask" => json!({
                "description": "How many characters at the end are masked, level by level.",
                "anyOf": [
                    { "type": "integer", "minimum": 1 },
                    { "type": "array", "minItems": 1, "items": { "type": "integer", "minimum": 1 } },
                ],
            }),
            _ => json!({ "enum": [null, true], "description": "No level below `*`." }),
        };
        own.insert((*key).to_owned(), value);
    }
    json!({ "type": "object", "additionalProperties": false, "properties": own })
}

fn method() -> Value {
    json!({
        "description": "How the table is made.",
        "anyOf": [
            { "enum": ["lattice", "mondrian", "microaggregation", "local_suppression", "full_domain"] },
            {
                "type": "object", "additionalProperties": false,
                "minProperties": 1, "maxProperties": 1,
                "properties": {
                    "lattice": object("Whole columns, optimal.", &[], json!({
                        "objective": { "enum": raw::OBJECTIVES, "default": "loss" },
                        "aggregate": { "enum": raw::AGGREGATES, "default": "rank" },
                        "gs_factor": { "type": "number", "minimum": 0, "maximum": 1, "default": 0.5 },
                        "monotonic": { "type": "boolean", "default": false },
                    })),
                    "fixed": {
                        "description": "These levels, checked and suppressed only.",
                        "type": "object",
                        "additionalProperties": { "type": "integer", "minimum": 0 },
                    },
                    "mondrian": object("Groups of similar rows.", &[], json!({
                        "strict": { "type": "boolean", "default": true },
                    })),
                },
            },
        ],
    })
}
