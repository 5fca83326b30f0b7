"""A policy file applied to raw rows, column by column."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import yaml

from . import values
from .keys import ColumnKeys, Ring, mac
from .pseudonyms import (
    CryptoPan,
    Tokens,
    address_of,
    base32,
    hmac_pseudonym,
    message,
    normalized,
    token,
)

Values = list[Any]
# The parameter that a bare value stands for.
PRIMARY = {
    "constant": "value",
    "truncate": "to",
    "round": "to",
    "bucket": "width",
    "top_code": "at",
    "bottom_code": "at",
    "rare": "below",
}


@dataclass(frozen=True)
class Rule:
    """One column's transform and its parameters."""

    verb: str
    method: str | None
    args: dict[str, Any]

    @classmethod
    def read(cls, written: Any) -> "Rule":
        """A rule as YAML gives it: a word, or a map of a word to a value or parameters."""
        if written is None:
            return cls("null", None, {})
        if isinstance(written, str):
            return cls(written, None, {})
        verbs = {key: value for key, value in written.items() if key != "class"}
        ((verb, value),) = verbs.items()
        verb = "null" if verb is None else verb
        if value is None:
            return cls(verb, None, {})
        if verb in ("pseudonym", "ip"):
            args = dict(value) if isinstance(value, dict) else {"method": value}
            return cls(verb, args.pop("method"), args)
        return cls(verb, None, value if isinstance(value, dict) else {PRIMARY[verb]: value})


@dataclass
class Column:
    """A raw column with what its transform needs to know."""

    name: str
    kind: pa.DataType
    values: Values
    keys: ColumnKeys
    rule: Rule
    nulls: str


@dataclass
class Reference:
    """A policy with keys and the tokens given out so far."""

    path: Path
    ring: Ring
    tokens: Tokens = field(default_factory=Tokens)

    @property
    def policy(self) -> dict[str, Any]:
        """The policy as YAML says it."""
        return yaml.safe_load(self.path.read_text())

    def apply(self, raw: pa.Table, partner: str) -> dict[str, Values | None]:
        """What the partner gets, by column; nothing is said of a text under `scrub`."""
        policy = self.policy
        if policy.get("release") or policy.get("nulls", "keep") not in ("keep", "token"):
            raise NotImplementedError("no reference for releases and suppressed rows")
        if rows := policy.get("rows"):
            raw = pl.from_arrow(raw).filter(pl.sql_expr(rows)).to_arrow()
        out = {}
        for name, written in policy["columns"].items():
            rule = Rule.read(written)
            if rule.verb == "drop":
                continue
            if rule.verb == "scrub":
                out[name] = None
                continue
            named = rule.args.get("domain")
            keys = ColumnKeys(
                self.ring,
                f"domain:{named}" if named else f"column:{policy['dataset']}/{name}",
                None if policy.get("linkage") == "shared" else partner,
                policy.get("epoch", self.ring.newest),
            )
            kind, plain = raw[name].type, plain_values(raw[name])
            column = Column(name, kind, plain, keys, rule, policy.get("nulls", "keep"))
            out[name] = self._column(column)
        return out

    def _column(self, column: Column) -> Values:
        rule, args = column.rule, column.rule.args
        match rule.verb, rule.method:
            case "pseudonym", "token":
                numbers = self.tokens.learn(column.keys, args, column.values)
                steps = args.get("normalize", [])
                return each(
                    column,
                    lambda value: token(args, numbers[normalized(value, steps).decode()]),
                    lambda: token(args, 0),
                )
            case "pseudonym", "hmac":
                return each(
                    column,
                    lambda value: hmac_pseudonym(column.keys, args, value),
                    lambda: hmac_pseudonym(column.keys, args, None),
                )
            case "ip", "crypto_pan" | "truncate":
                return addresses(column)
            case "constant", _:
                return [args["value"]] * len(column.values)
            case "null", _:
                return [None] * len(column.values)
            case _:
                return each(column, self._keyless(column))

    def _keyless(self, column: Column) -> Callable[[Any], Any]:
        args = column.rule.args
        match column.rule.verb:
            case "keep":
                return lambda value: value
            case "truncate":
                a_day = values.counts_a_day(column.kind)
                return lambda value: values.truncated(value, args["to"], a_day)
            case "age_band":
                a_day = values.counts_a_day(column.kind)
                return lambda value: values.age_band(value, args, a_day)
            case "bucket":
                return lambda value: values.bucket(value, args)
            case "round":
                return lambda value: values.rounded(value, args)
            case "top_code":
                return lambda value: min(value, args["at"])
            case "bottom_code":
                return lambda value: max(value, args["at"])
            case "clamp":
                return lambda value: max(args["bottom"], min(args["top"], value))
            case "mask":
                return lambda value: values.masked(value, args)
            case "rare":
                counts = Counter(value for value in column.values if value is not None)
                if "unit" in args:
                    raise NotImplementedError("no reference for `rare` by persons")
                other = args.get("other", "other")
                return lambda value: str(value) if counts[value] >= args["below"] else other
            case "geo_grid":
                return lambda value: values.grid(value, args)
            case "regex_replace":
                return lambda value: values.replaced(value, args)
            case "hierarchy":
                return values.Hierarchy(self.path.parent, args).of
            case verb:
                raise NotImplementedError(f"no reference for `{verb}`, which `{column.name}` uses")


def each(
    column: Column, change: Callable[[Any], Any], of_null: Callable[[], Any] | None = None
) -> Values:
    """Change each distinct value once; null stays null, unless the policy gives it a stand-in."""
    done: dict[Any, Any] = {None: of_null() if of_null and column.nulls == "token" else None}
    for value in column.values:
        if value not in done:
            done[value] = change(value)
    return [done[value] for value in column.values]


def addresses(column: Column) -> Values:
    """IP addresses as text; what is no address never passes."""
    args, keys = column.rule.args, column.keys
    crypto = CryptoPan(keys.derive("crypto_pan")) if column.rule.method == "crypto_pan" else None
    leave = {
        4: args.get("v4_bits", 32 if crypto else 24),
        6: args.get("v6_bits", 128 if crypto else 48),
    }

    def change(value: str) -> str | None:
        address = address_of(value)
        if address is None:
            tokens = args.get("invalid") == "token"
            return (
                base32(mac(keys.derive("ip-token"), b"v" + message(value)), 22) if tokens else None
            )
        bits = address.max_prefixlen
        number = crypto.encrypt(int(address), bits) if crypto else int(address)
        mask = ((1 << bits) - 1) ^ ((1 << (bits - leave[address.version])) - 1)
        return str(type(address)(number & mask))

    return each(column, change)


def plain_values(column: pa.ChunkedArray) -> Values:
    """Python values; dates and times as their counts."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date64(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_date32(kind):
        column = column.cast(pa.int32())
    return column.to_pylist()
