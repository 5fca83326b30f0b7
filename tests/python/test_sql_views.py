"""View semantics: SQL over the wire answers as DataFusion does over the table that the policy lets out.

A few hundred statements by chance, from a seed. Each is asked through the ADBC driver and by hand, and
of the PyPI package `datafusion` over what a plain pull gave, written to parquet by pyarrow.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sql_tables
from datafusion import SessionConfig, SessionContext
from flightsql import Caller, Refused, schema_of, statement
from sql_grammar import Generated, statements
from support import furnished

STATEMENTS = statements(360, seed=20_260)
# What DataFusion itself plans wrongly or refuses, both in its package and in the server.
UNPLANNED_MAX = len(STATEMENTS) // 20


@dataclass
class Sides:
    """The server's clients and the other engine."""

    caller: Caller
    cursor: adbc.Cursor
    other: SessionContext
    compared: int = 0
    unplanned: int = 0
    with_rows: int = 0


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """A server, and the same tables as it lets them out, exported."""
    custodian = furnished(tmp_path_factory.mktemp("views"), ["cern"])
    sql_tables.write(custodian.home)
    token = custodian.token("cern")
    option = adbc_driver_flightsql.DatabaseOptions.AUTHORIZATION_HEADER.value
    with (
        custodian.serve(tls=False) as server,
        Caller(server.uri, token) as caller,
        adbc.connect(
            server.uri, db_kwargs={option: f"Bearer {token}"}, autocommit=True
        ) as connection,
        connection.cursor() as cursor,
    ):
        other = SessionContext(SessionConfig().with_target_partitions(2))
        for name in ("events", "people"):
            answers = caller.pull(caller.info_of_path(name))
            exported = custodian.home / f"exported-{name}.parquet"
            pq.write_table(pa.concat_tables(answer.table for answer in answers), exported)
            other.register_parquet(name, str(exported))
        yield Sides(caller, cursor, other)


@pytest.mark.parametrize("number", range(len(STATEMENTS)))
def test_an_answer_is_the_same(sides: Sides, number: int) -> None:
    asked = STATEMENTS[number]
    try:
        expected = sides.other.sql(asked.sql).to_arrow_table()
    except Exception as error:  # noqa: BLE001  the package raises nothing narrower
        sides.unplanned += 1
        refused_as_well(sides, asked, error)
        return
    try:
        info = sides.caller.info(statement(asked.sql))
        answers = sides.caller.pull(info)
    except Refused as refused:
        pytest.fail(f"{asked.sql}\n\nexpected\n{shown(expected)}\n\ngot {refused}")
    for answer in answers:
        assert info.schema.equals(answer.schema, check_metadata=True), (
            f"{asked.sql}\n\nannounced\n{info.schema}\n\nsent\n{answer.schema}"
        )
    by_hand = pa.concat_tables([answer.table for answer in answers])
    compare(asked, "by hand", by_hand, expected)
    sides.cursor.execute(asked.sql)
    compare(asked, "by ADBC", sides.cursor.fetch_arrow_table(), expected)
    assert schema_of(sides.caller.schema(statement(asked.sql))).equals(
        info.schema, check_metadata=True
    )
    sides.compared += 1
    sides.with_rows += expected.num_rows > 0


def refused_as_well(sides: Sides, asked: Generated, error: Exception) -> None:
    """What the other engine cannot do, the server refuses in its own words, or does."""
    try:
        sides.caller.pull(sides.caller.info(statement(asked.sql)))
    except Refused as refused:
        assert refused.code, f"{asked.sql}\n\nthe other says {error}\n\ngot {refused.text}"


def test_enough_was_compared(sides: Sides) -> None:
    if sides.compared + sides.unplanned < len(STATEMENTS):
        pytest.skip("only some of the statements were run")
    assert sides.unplanned <= UNPLANNED_MAX
    assert sides.with_rows > len(STATEMENTS) // 2


# ------------------------------------------------------------------------------------------ comparing


def compare(asked: Generated, way: str, found: pa.Table, expected: pa.Table) -> None:
    """Names, types and rows are the same, in order where the order is total."""
    names = [field.name for field in found.schema]
    wrong = None
    if names != [field.name for field in expected.schema]:
        wrong = f"columns {names}"
    kinds = [(plain(a.type), plain(b.type)) for a, b in zip(found.schema, expected.schema)]
    # Of an empty answer the package tells types from before they were made common.
    if expected.num_rows > 0 and any(a != b for a, b in kinds):
        wrong = f"types {[(str(a), str(b)) for a, b in kinds if a != b]}"
    left, right = rows_of(found), rows_of(expected)
    if not asked.ordered:
        left, right = (sorted(rows, key=order) for rows in (left, right))
    for a, b in itertools.zip_longest(left, right):
        if wrong is None and (a is None or b is None or not close(a, b)):
            wrong = f"{len(left)} rows, expected {len(right)}; first other row\n{a}\nexpected\n{b}"
    if wrong is not None:
        pytest.fail(
            f"{way}: {wrong}\n\n{asked.sql}\n\nexpected\n{shown(expected)}\n\ngot\n{shown(found)}"
        )


def plain(kind: pa.DataType) -> pa.DataType:
    """A type without views and large offsets: what a value is, not how it travels."""
    if pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_binary_view(kind) or pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, plain(field.type)) for field in kind])
    return kind


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    """Rows as tuples."""
    return list(zip(*(column.to_pylist() for column in table.columns)))


def order(row: tuple[Any, ...]) -> tuple[str, ...]:
    """Where a row stands among others: floats last and rounded, so that near ones stay together."""
    exact = [repr(value) for value in row if not isinstance(value, float)]
    return (*exact, *(f"{value:.9e}" for value in row if isinstance(value, float)))


def close(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    """Whether two rows are equal; floats may differ by the order of a sum."""

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, float) and isinstance(b, float):
            both_nan = math.isnan(a) and math.isnan(b)
            return both_nan or math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12)
        return a == b

    return len(left) == len(right) and all(map(same, left, right))


def shown(table: pa.Table) -> str:
    """A table in short."""
    return f"{table.num_rows} rows of {table.schema}\n{table.slice(0, 8).to_pylist()}"
