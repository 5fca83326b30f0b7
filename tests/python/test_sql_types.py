"""Every type that parquet holds goes through SQL as it goes through a pull; TPC-H is answered the same."""

import datetime
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tpch
from custodian import Custodian, Server
from datafusion import SessionConfig, SessionContext
from flightsql import Caller, statement
from sql_grammar import Generated
from support import furnished
from test_sql_views import compare, shown

ROWS = 40
DAY = datetime.date(1969, 12, 25)
MOMENT = datetime.datetime(1999, 12, 31, 23, 59, 58)


def of_every_type() -> dict[str, pa.Array]:
    """A column of every type that pyarrow writes to parquet, each with nulls."""
    rows = range(ROWS)

    def made(kind: pa.DataType, value: object) -> pa.Array:
        return pa.array([None if i % 7 == 3 else value(i) for i in rows], kind)

    def times(kind: pa.DataType) -> pa.Array:
        return made(kind, lambda i: MOMENT + datetime.timedelta(hours=7 * (i % 9)))

    one = pa.struct([("a", pa.int32()), ("b", pa.string())])
    found = {
        "bool": made(pa.bool_(), lambda i: i % 3 == 0),
        "float16": made(pa.float16(), lambda i: i / 4),
        "float32": made(pa.float32(), lambda i: i / 8 - 1),
        "float64": made(pa.float64(), lambda i: float("nan") if i % 10 == 5 else -i / 8),
        "string": made(pa.string(), lambda i: "ä" * (i % 4)),
        "large_string": made(pa.large_string(), lambda i: f"large {i % 5}"),
        "string_view": made(
            pa.string_view(), lambda i: f"a text of more than twelve bytes {i % 5}"
        ),
        "binary": made(pa.binary(), lambda i: bytes([i % 4, 0, 255])),
        "large_binary": made(pa.large_binary(), lambda i: bytes([i % 3])),
        "binary_view": made(pa.binary_view(), lambda i: bytes(20) + bytes([i % 3])),
        "fixed_binary": made(pa.binary(5), lambda i: bytes([1, 2, 3, 4, i % 5])),
        "decimal128": made(pa.decimal128(38, 9), lambda i: Decimal(i % 6) / 8 - 10**20),
        "decimal256": made(pa.decimal256(60, 5), lambda i: Decimal(i % 6) * 10**40),
        "date32": made(pa.date32(), lambda i: DAY + datetime.timedelta(days=i % 20)),
        "date64": made(pa.date64(), lambda i: DAY + datetime.timedelta(days=i % 20)),
        "time32": made(pa.time32("ms"), lambda i: datetime.time(i % 24, 1, 2, 3000)),
        "time64": made(pa.time64("us"), lambda i: datetime.time(i % 24, 1, 2, 3)),
        "timestamp_s": times(pa.timestamp("s")),
        "timestamp_ms": times(pa.timestamp("ms")),
        "timestamp_us": times(pa.timestamp("us")),
        "timestamp_ns": times(pa.timestamp("ns")),
        "timestamp_utc": times(pa.timestamp("us", "UTC")),
        "timestamp_zone": times(pa.timestamp("us", "Europe/Zurich")),
        "duration": made(pa.duration("us"), lambda i: datetime.timedelta(seconds=i % 5)),
        "dictionary": made(pa.string(), lambda i: "abc"[i % 3]).dictionary_encode(),
        "list": made(pa.list_(pa.int64()), lambda i: [None, i][: i % 3]),
        "large_list": made(pa.large_list(pa.string()), lambda i: [f"item {i}", None][: i % 3]),
        "fixed_list": made(pa.list_(pa.float32(), 2), lambda i: [i / 2, None]),
        "nested": made(
            pa.list_(pa.list_(pa.string_view())), lambda i: [["a" * 20, None], None, []][: i % 4]
        ),
        "map": made(
            pa.map_(pa.string(), pa.int32()), lambda i: [(f"key {k}", k) for k in range(i % 3)]
        ),
        "struct": made(one, lambda i: {"a": None if i % 4 else i, "b": f"text {i}"}),
        "structs": made(pa.list_(one), lambda i: [{"a": i, "b": None}] * (i % 3)),
    }
    for kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        found[kind] = made(getattr(pa, kind)(), lambda i: i % 100)
    return found


TYPES = of_every_type()
FIELDS = {"struct": "[a, b]", "structs": "[a, b]"}
NESTED = ["list", "large_list", "fixed_list", "nested", "map", "struct", "structs"]


def policy(dataset: str, path: str, rules: dict[str, str]) -> str:
    """A policy of these rules for a partner."""
    columns = "\n".join(f"  {name}: {rule}" for name, rule in rules.items())
    return (
        f'version: 1\ndataset: {dataset}\nsource: {{parquet: "{path}"}}\ncolumns:\n{columns}\n'
        "grants: [{partner: cern, access: rows}]\n"
    )


@pytest.fixture(scope="module")
def custodian(tmp_path_factory: pytest.TempPathFactory) -> Custodian:
    """A custodian with a table of every type, and with TPC-H."""
    custodian = furnished(tmp_path_factory.mktemp("types"), ["cern"])
    table = pa.table({"id": pa.array(range(ROWS)), **TYPES})
    pq.write_table(table, custodian.home / "types.parquet", row_group_size=9)
    rules = {name: "keep" for name in table.schema.names}
    rules |= {name: f"{{keep: {{fields: {fields}}}}}" for name, fields in FIELDS.items()}
    (custodian.policies / "types.yaml").write_text(policy("types", "../types.parquet", rules))
    make = [Path(sys.executable).with_name("tpchgen-cli"), "parquet", "--scale-factor", "0.01"]
    subprocess.run(
        [*make, "--output-dir", custodian.home / "tpch"], check=True, capture_output=True
    )
    for name, special in tpch.TABLES.items():
        path = custodian.home / "tpch" / f"{name}.parquet"
        rules = {column: special.get(column, "keep") for column in pq.read_schema(path).names}
        text = policy(name, f"../tpch/{name}.parquet", rules)
        (custodian.policies / f"{name}.yaml").write_text(text)
    return custodian


@pytest.fixture(scope="module")
def server(custodian: Custodian) -> Iterator[Server]:
    """Their server."""
    with custodian.serve(tls=False) as server:
        yield server


@pytest.fixture(scope="module")
def cern(custodian: Custodian, server: Server) -> Iterator[Caller]:
    """A partner."""
    with Caller(server.uri, custodian.token("cern")) as caller:
        yield caller


def run(caller: Caller, sql: str) -> pa.Table:
    """A statement's answer; its schema is the one announced."""
    info = caller.info(statement(sql))
    answers = caller.pull(info)
    assert all(info.schema.equals(each.schema, check_metadata=True) for each in answers), sql
    return pa.concat_tables([answer.table for answer in answers])


def plain(caller: Caller, dataset: str) -> pa.Table:
    """A dataset by its path."""
    answers = caller.pull(caller.info_of_path(dataset))
    return pa.concat_tables([answer.table for answer in answers])


@pytest.mark.parametrize("name", TYPES)
def test_a_column_of_the_type_comes_as_it_is(cern: Caller, name: str) -> None:
    pulled = plain(cern, "types").sort_by("id")
    # Once by the lane that picks columns, once through the engine.
    for sql in (
        f'SELECT id, "{name}" FROM types',
        f'SELECT id, "{name}" FROM types WHERE id + 0 >= 0 ORDER BY id',
        f'SELECT * FROM (SELECT "{name}", id FROM types WHERE id % 2 < 2) AS t',
    ):
        found = run(cern, sql).sort_by("id")
        assert found.schema.field(name).type == pulled.schema.field(name).type, sql
        assert repr(found[name].to_pylist()) == repr(pulled[name].to_pylist()), sql
    raw = TYPES[name].cast(TYPES[name].type.value_type) if name == "dictionary" else TYPES[name]
    assert repr(pulled[name].to_pylist()) == repr(raw.to_pylist())


@pytest.mark.parametrize("name", [name for name in TYPES if name not in NESTED])
def test_a_column_of_the_type_is_a_key_of_groups(cern: Caller, name: str) -> None:
    found = run(cern, f'SELECT "{name}" AS k, count(*) AS n FROM types GROUP BY 1')
    expected = Counter(map(repr, plain(cern, "types")[name].to_pylist()))
    assert {repr(row["k"]): row["n"] for row in found.to_pylist()} == dict(expected)


@pytest.mark.parametrize("name", NESTED)
def test_what_is_nested_is_found_by_null_and_count(cern: Caller, name: str) -> None:
    values = plain(cern, "types")[name].to_pylist()
    found = run(cern, f'SELECT count("{name}") AS n, count(*) AS m FROM types WHERE id >= 0')
    assert found.to_pylist() == [{"n": sum(v is not None for v in values), "m": ROWS}]


@pytest.fixture(scope="module")
def other(custodian: Custodian, cern: Caller) -> SessionContext:
    """DataFusion over what the policies let out."""
    context = SessionContext(SessionConfig().with_target_partitions(2))
    for name in tpch.TABLES:
        exported = custodian.home / f"exported-{name}.parquet"
        pq.write_table(plain(cern, name), exported)
        context.register_parquet(name, str(exported))
    return context


@pytest.mark.parametrize("name", tpch.QUERIES)
def test_tpch_is_answered_the_same(cern: Caller, other: SessionContext, name: str) -> None:
    sql, ordered = tpch.QUERIES[name]
    expected = other.sql(sql).to_arrow_table()
    found = run(cern, sql)
    assert expected.num_rows > 0, shown(expected)
    compare(Generated(sql, ordered), "by hand", found, expected)


@pytest.mark.parametrize("name", tpch.TABLES)
def test_a_tpch_table_is_the_plain_pull(cern: Caller, name: str) -> None:
    found, pulled = run(cern, f"SELECT * FROM {name}"), plain(cern, name)
    assert found.schema.types == pulled.schema.types and found.schema.names == pulled.schema.names
    assert Counter(map(repr, found.to_pylist())) == Counter(map(repr, pulled.to_pylist()))
