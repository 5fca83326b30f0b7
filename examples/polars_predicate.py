"""A Polars filter as a SQL condition, as far as both mean exactly the same by it.

Answers for what `polars_scan` pushes down; asks no server. Works on the JSON that Polars writes of an
expression, whose form it does not promise: what is not known here is not translated.
"""

import datetime as dt
import io
import json
from typing import Any

import polars as pl

COMPARISONS = {"Eq": "=", "NotEq": "<>", "Lt": "<", "LtEq": "<=", "Gt": ">", "GtEq": ">="}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
BETWEEN = {"Both": (">=", "<="), "Left": (">=", "<"), "Right": (">", "<="), "None": (">", "<")}
EPOCH = dt.datetime(1970, 1, 1)
# What a timestamp in nanoseconds can hold, since an engine may compare in these.
YEARS = range(1678, 2262)


class Untranslatable(Exception):
    """What SQL does not say in the same way, or nobody looked into."""


def identifier(name: str) -> str:
    """A name as SQL quotes it."""
    return '"' + name.replace('"', '""') + '"'


def where(predicate: pl.Expr, schema: pl.Schema) -> str | None:
    """A condition that every row of the filter meets; none where nothing can be translated."""
    tree = json.loads(predicate.meta.serialize(format="json"))
    parts = []
    for part in conjuncts(tree):
        try:
            parts.append(condition(part, schema))
        except Untranslatable:
            continue
    return " AND ".join(parts) or None


def conjuncts(tree: Any) -> list[Any]:
    """The parts of which all must hold."""
    match tree:
        case {"BinaryExpr": {"op": "And" | "LogicalAnd", "left": left, "right": right}}:
            return conjuncts(left) + conjuncts(right)
    return [tree]


def condition(tree: Any, schema: pl.Schema) -> str:
    """One expression, null where Polars' is null, or `Untranslatable`."""
    match tree:
        case {"Column": name} if schema.get(name) == pl.Boolean:
            return identifier(name)
        case {"BinaryExpr": {"op": "And" | "LogicalAnd" as op, "left": left, "right": right}} | {
            "BinaryExpr": {"op": "Or" | "LogicalOr" as op, "left": left, "right": right}
        }:
            word = "AND" if "And" in op else "OR"
            return f"({condition(left, schema)} {word} {condition(right, schema)})"
        case {"BinaryExpr": {"op": op, "left": {"Column": name}, "right": value}}:
            return compared(name, COMPARISONS.get(op), value, schema)
        case {"BinaryExpr": {"op": op, "left": value, "right": {"Column": name}}}:
            operator = COMPARISONS.get(op)
            return compared(name, MIRRORED.get(operator, operator), value, schema)
        case {"Function": {"input": inputs, "function": {"Boolean": function}}}:
            return called(function, inputs, schema)
        case {
            "Function": {
                "input": [{"Column": name}, value],
                "function": {"StringExpr": "StartsWith"},
            }
        }:
            return begun(name, value, schema)
    raise Untranslatable


def called(function: Any, inputs: list[Any], schema: pl.Schema) -> str:
    """A function that gives a boolean."""
    match function, inputs:
        case "Not", [operand]:
            return f"(NOT {condition(operand, schema)})"
        case "IsNull", [{"Column": name}]:
            return f"({identifier(name)} IS NULL)"
        case "IsNotNull", [{"Column": name}]:
            return f"({identifier(name)} IS NOT NULL)"
        case {"IsBetween": {"closed": closed}}, [{"Column": name}, low, high] if closed in BETWEEN:
            lower, upper = BETWEEN[closed]
            both = compared(name, lower, low, schema), compared(name, upper, high, schema)
            return f"({both[0]} AND {both[1]})"
        case {"IsIn": {"nulls_equal": False}}, [{"Column": name}, values]:
            texts = [literal(value, schema[name]) for value in listed(values, schema[name])]
            return f"({identifier(name)} IN ({', '.join(texts)}))"
    raise Untranslatable


def compared(name: str, operator: str | None, value: Any, schema: pl.Schema) -> str:
    """A column beside a literal."""
    match value:
        case {"Literal": {"Scalar": scalar}} if operator:
            return f"({identifier(name)} {operator} {literal(plain(scalar), schema[name])})"
    raise Untranslatable


def begun(name: str, value: Any, schema: pl.Schema) -> str:
    """A column that starts with a literal."""
    match value:
        case {"Literal": {"Scalar": {"String": str(text)}}}:
            return f"starts_with({identifier(name)}, {literal(text, schema[name])})"
    raise Untranslatable


def plain(scalar: Any) -> Any:
    """A literal's value; times as whole numbers since 1970 become what Python has for them."""
    match scalar:
        case {"Date": days}:
            return EPOCH.date() + dt.timedelta(days=days)
        case {"Datetime": [microseconds, "Microseconds", None]}:
            return EPOCH + dt.timedelta(microseconds=microseconds)
        case {"Boolean": value} | {"String": value}:
            return value
        case dict() if len(scalar) == 1:
            ((kind, value),) = scalar.items()
            if kind.startswith(("Int", "UInt")):
                return value
    raise Untranslatable


def listed(tree: Any, dtype: pl.DataType) -> list[Any]:
    """The values of a list, which Polars writes as an Arrow stream of one cell."""
    match tree:
        case {"Alias": [inner, _]}:
            return listed(inner, dtype)
        case {"Literal": {"Scalar": {"List": encoded}}}:
            values = pl.read_ipc_stream(io.BytesIO(bytes(encoded))).to_series()
            if values.dtype == pl.List:
                values = values.explode()
            if values.dtype == dtype and 0 < len(values) <= 1_000 and not values.null_count():
                return values.to_list()
    raise Untranslatable


def literal(value: Any, dtype: pl.DataType) -> str:
    """A value beside a column of this type, in SQL."""
    match value:
        case bool() if dtype == pl.Boolean:
            return "TRUE" if value else "FALSE"
        case int() if not isinstance(value, bool) and dtype.is_integer():
            return str(value)
        # A backslash or a control character is read differently by some dialects.
        case str() if dtype == pl.String and value.isprintable() and "\\" not in value:
            return "'" + value.replace("'", "''") + "'"
        case dt.datetime() if dtype == pl.Datetime("us") and value.year in YEARS:
            return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S.%f}'"
        case dt.date() if dtype == pl.Date and not isinstance(value, dt.datetime):
            return f"DATE '{value:%Y-%m-%d}'"
    raise Untranslatable
