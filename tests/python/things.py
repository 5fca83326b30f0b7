"""Rows that are hard to filter: for the clients' tests, in clear, so that every answer is known.

Answers for nulls in every column, numbers at the ends of their ranges, NaN and both zeros, texts with
quotes, blanks and signs of patterns, and times of several units; and for serving them.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from access import Access
from custodian import Custodian, Server

from audit import records

ROWS = 6_000
FILES = 3
TEXTS = ["a", "b", "O'Hara", 'say "no"', "50%_off", "ab\\c", "", " a ", "Ünï", "A", "ab", "abc"]
FLOATS = [0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1.5, -2.5, 1e300]
DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12)

POLICY = """\
version: 1
dataset: {dataset}
source: {{parquet: "../{dataset}"}}
columns:
  id: {{class: measure, keep}}
  small: {{class: measure, keep}}
  unsigned: {{class: measure, keep}}
  real: {{class: measure, keep}}
  text: {{class: measure, keep}}
  flag: {{class: measure, keep}}
  day: {{class: measure, keep}}
  moment: {{class: measure, keep}}
  fine: {{class: measure, keep}}
  price: {{class: measure, keep}}
  who: {{class: identifier, pseudonym: {{method: hmac, domain: person}}}}
  secret: drop
grants:
{grants}
"""


def things(rows: int = ROWS, first: int = 0) -> pa.Table:
    """The raw rows `first` and following."""

    def column(modulus: int, values: Any, kind: pa.DataType) -> pa.Array:
        """Nulls in one of `modulus` rows, else what `values` gives for the row."""
        number = range(first, first + rows)
        return pa.array([None if i % modulus == 4 else values(i) for i in number], kind)

    return pa.table(
        {
            "id": pa.array(range(first, first + rows), pa.int64()),
            "small": column(23, lambda i: i % 11 - 5, pa.int32()),
            "unsigned": column(29, lambda i: 2**64 - 1 - i if i % 2 else i, pa.uint64()),
            "real": column(19, lambda i: FLOATS[i % len(FLOATS)], pa.float64()),
            "text": column(17, lambda i: TEXTS[i % len(TEXTS)], pa.string()),
            "flag": column(7, lambda i: i % 3 == 0, pa.bool_()),
            "day": column(13, lambda i: DAY + dt.timedelta(days=i % 9 - 4), pa.date32()),
            "moment": column(
                11, lambda i: NOON + dt.timedelta(microseconds=i % 5 - 2), pa.timestamp("us")
            ),
            "fine": column(11, lambda i: 1_709_208_000_000_000_000 + i % 5, pa.timestamp("ns")),
            "price": column(31, lambda i: i % 100, pa.decimal128(10, 2)),
            "who": column(37, lambda i: f"person-{i % 41}", pa.string()),
            "secret": column(41, lambda i: f"secret {i}", pa.string()),
        }
    )


def publish(custodian: Custodian, dataset: str, partners: list[str]) -> pa.Table:
    """Write the rows as files, each a shard or more, and a policy that gives most in clear."""
    folder = custodian.home / dataset
    folder.mkdir()
    each = ROWS // FILES
    tables = [things(each, number * each) for number in range(FILES)]
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=each // 2)
    grants = "\n".join(f"  - {{partner: {name}, access: rows}}" for name in partners)
    policy = custodian.policies / f"{dataset}.yaml"
    policy.write_text(POLICY.format(dataset=dataset, grants=grants))
    return pa.concat_tables(tables)


def access_of(custodian: Custodian, server: Server, name: str) -> Access:
    """A partner's way in by token, over TLS where the server has it."""
    ca = custodian.authority if "tls" in server.uri else None
    return Access(server.uri, custodian.token(name), ca)


def arguments_of(custodian: Custodian, server: Server, name: str) -> list[str | Path]:
    """The same, as an example's arguments."""
    given = ["--uri", server.uri, "--token-file", custodian.token_file(name)]
    return [*given, "--ca", custodian.authority] if "tls" in server.uri else given


def statements(custodian: Custodian) -> list[str]:
    """Every statement that a request of the audit log names, oldest first."""
    opened = [record["event"].get("open", {}) for record in records(custodian)]
    return [entry["statement"]["text"] for entry in opened if entry.get("statement")]
