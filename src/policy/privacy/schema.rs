//! The keys of differential privacy in the JSON Schema of the policy language. The loader stays the judge.

use serde_json::{Value, json};

use crate::policy::raw::{
    ACCOUNTINGS, BOUNDS_KEYS, DELTA_MAX, EPSILON_MAX, LOSS_KEYS, NUMBERS_KEYS, NUMBERS_MAX,
    PRIVACY_KEYS, VALUES_KEYS,
};

/// An epsilon.
pub(in crate::policy) fn epsilon(description: &str) -> Value {
    json!({
        "type": "number", "exclusiveMinimum": 0, "maximum": EPSILON_MAX,
        "description": description,
    })
}

/// A delta.
pub(in crate::policy) fn delta(description: &str) -> Value {
    let most: f64 = DELTA_MAX.parse().unwrap_or_default();
    json!({ "type": "number", "minimum": 0, "maximum": most, "description": description })
}

/// The key `privacy`.
pub(in crate::policy) fn schema() -> Value {
    let [own_epsilon, own_delta, accounting] = [
        epsilon("What all partners together may spend."),
        delta("The chance that the promise fails, over all partners together."),
        json!({
            "enum": ACCOUNTINGS, "default": "pure",
            "description": "How losses add up: `pure` sums epsilon and delta, `zcdp` sums rho.",
        }),
    ];
    json!({
        "type": "object", "additionalProperties": false, "required": ["epsilon"],
        "properties": properties(PRIVACY_KEYS, [own_epsilon, own_delta, accounting]),
        "description": "What all partners together may spend on differentially private answers.",
    })
}

/// The key `public_numbers`.
pub(in crate::policy) fn numbers_schema() -> Value {
    let number = |description: &str| {
        json!({
            "type": "integer", "minimum": 1, "maximum": NUMBERS_MAX, "description": description,
        })
    };
    let own = [
        number("How many units have rows."),
        number("How many rows there are."),
        number("How many rows the unit has that has the most."),
        number("How many rows the smallest group by one column with `keys` has."),
    ];
    json!({
        "type": "object", "additionalProperties": false,
        "properties": properties(NUMBERS_KEYS, own),
        "description": "What anybody may know of the dataset's size; noise and clipping are estimated from it.",
    })
}

/// The key `query` of a grant.
pub(in crate::policy) fn query() -> Value {
    let loss = [epsilon("Epsilon; a tenth of all."), delta("Delta; a tenth of all.")];
    json!({
        "type": "object", "additionalProperties": false,
        "properties": properties(LOSS_KEYS, loss),
        "description": "What a statement costs that does not say; at most what there is in all.",
    })
}

/// The key `bounds` of a grant.
pub(in crate::policy) fn bounds() -> Value {
    let number = |description: &str| json!({ "type": "number", "description": description });
    let step = json!({
        "type": "number", "exclusiveMinimum": 0,
        "description": "Values are rounded to multiples of it.",
    });
    let null_as = number("What a null or NaN of the column counts as where it is measured.");
    let own = [number("The least value."), number("The greatest value."), step, null_as];
    json!({
        "type": "object",
        "additionalProperties": {
            "anyOf": [
                { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 },
                {
                    "type": "object", "additionalProperties": false, "required": ["low", "high"],
                    "properties": properties(BOUNDS_KEYS, own),
                },
            ],
        },
        "description": "Between which values a column is taken; others count as the nearest of them.",
    })
}

/// The key `keys` of a grant.
pub(in crate::policy) fn keys() -> Value {
    let file = json!({
        "$ref": "#/$defs/text", "description": "A file with one value a line.",
    });
    json!({
        "type": "object",
        "additionalProperties": {
            "anyOf": [
                { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/text" } },
                {
                    "type": "object", "additionalProperties": false, "required": VALUES_KEYS,
                    "properties": properties(VALUES_KEYS, [file]),
                },
            ],
        },
        "description": "Values of a column that anybody may know: each is answered, also where no row has it.",
    })
}

fn properties<const N: usize>(keys: &[&str], values: [Value; N]) -> Value {
    keys.iter().map(|key| (*key).to_owned()).zip(values).collect::<serde_json::Map<_, _>>().into()
}
