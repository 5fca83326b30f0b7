"""The real ADBC driver over TLS: connecting, metadata, statements, parameters of every type, errors."""

import datetime
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sql_tables
from custodian import Custodian, Server
from driver import ask, connected, refused
from support import client_of

from audit import flattened, records, until

LONG = """\
version: 1
dataset: long
source: {parquet: "../long.parquet"}
columns: {id: keep, k: keep, word: keep}
grants: [{partner: cern, access: rows}]
"""
LONG_ROWS = 400_000
# Works for minutes, and holds little: no pair of rows passes.
SLOW = "SELECT count(*) AS n FROM long a CROSS JOIN long b WHERE a.id + b.id = -1"

RELEASED = {
    "events": [
        *("id person ip band small big score ratio price word note day hour stamp fine".split()),
        *("tags", "marks", "place", "Mixed Case"),
    ],
    "long": ["id", "k", "word"],
    "people": ["person", "team", "level", "joined", "pay"],
}


def write_long(home: Path) -> None:
    """A long table with little in it."""
    table = pa.table(
        {
            "id": pa.array(range(LONG_ROWS)),
            "k": pa.array([i % 1_000 for i in range(LONG_ROWS)], pa.int32()),
            "word": pa.array([f"word {i % 5_003} and some more" for i in range(LONG_ROWS)]),
        }
    )
    pq.write_table(table, home / "long.parquet", row_group_size=50_000)
    (home / "policies" / "long.yaml").write_text(LONG)


@pytest.fixture(scope="module")
def server(custodian: Custodian) -> Iterator[Server]:
    """A server with every type of column, and with a long table."""
    sql_tables.write(custodian.home)
    write_long(custodian.home)
    with custodian.serve() as server:
        yield server


@pytest.fixture
def connection(custodian: Custodian, server: Server) -> Iterator[adbc.Connection]:
    """A connection of a partner."""
    with connected(custodian, server) as connection:
        yield connection


# ------------------------------------------------------------------------------------------- metadata


def test_the_driver_is_told_who_answers(connection: adbc.Connection) -> None:
    info = connection.adbc_get_info()
    assert "veilflight" in info["vendor_name"].lower()
    assert info["vendor_version"] and info["vendor_arrow_version"]
    assert info["driver_name"]


@pytest.mark.parametrize("depth", ["catalogs", "db_schemas", "tables", "columns", "all"])
def test_objects_are_listed_to_every_depth(connection: adbc.Connection, depth: str) -> None:
    listed = connection.adbc_get_objects(depth=depth).read_all().to_pylist()
    (catalogue,) = [each for each in listed if each["catalog_name"] == "veilflight"]
    assert listed == [catalogue]
    if depth == "catalogs":
        assert not catalogue["catalog_db_schemas"]
        return
    schemas = {each["db_schema_name"]: each for each in catalogue["catalog_db_schemas"]}
    assert set(schemas) - {"information_schema"} == {"public"}
    if depth == "db_schemas":
        assert not schemas["public"]["db_schema_tables"]
        return
    tables = {each["table_name"]: each for each in schemas["public"]["db_schema_tables"]}
    assert set(tables) == set(RELEASED)
    assert len({each["table_type"] for each in tables.values()}) == 1
    for name, columns in RELEASED.items():
        found = [each["column_name"] for each in tables[name]["table_columns"] or []]
        assert found == (columns if depth in ("columns", "all") else [])
        for place, each in enumerate(tables[name]["table_columns"] or []):
            assert each["ordinal_position"] == place + 1


def test_objects_are_filtered_by_name_and_type(connection: adbc.Connection) -> None:
    def tables(**filters: object) -> list[str]:
        listed = connection.adbc_get_objects(depth="tables", **filters).read_all().to_pylist()
        return [
            table["table_name"]
            for catalogue in listed
            for schema in catalogue["catalog_db_schemas"] or []
            if schema["db_schema_name"] == "public"
            for table in schema["db_schema_tables"] or []
        ]

    assert tables(table_name_filter="e%") == ["events"]
    assert tables(table_name_filter="_eople") == ["people"]
    assert tables(table_name_filter="nothing") == []
    assert tables(catalog_filter="another") == []
    assert tables(db_schema_filter="pub%") == sorted(RELEASED)
    (kind,) = connection.adbc_get_table_types()[:1]
    assert set(tables(table_types_filter=["NO SUCH TYPE"])) == set()
    found = {
        k for each in connection.adbc_get_table_types() for k in tables(table_types_filter=[each])
    }
    assert found == set(RELEASED) and kind


@pytest.mark.parametrize("name", RELEASED)
def test_a_tables_schema_is_that_of_its_stream(
    custodian: Custodian, server: Server, connection: adbc.Connection, name: str
) -> None:
    told = connection.adbc_get_table_schema(name)
    pulled = client_of(custodian, server, "cern").pull(name).table.schema
    assert [(f.name, f.type, f.nullable) for f in told] == [
        (f.name, f.type, f.nullable) for f in pulled
    ]
    assert told.names == RELEASED[name]
    by_sql = ask(connection, f"SELECT * FROM {name} LIMIT 0").schema
    assert by_sql.names == told.names and by_sql.types == told.types
    deep = connection.adbc_get_table_schema(
        name, catalog_filter="veilflight", db_schema_filter="public"
    )
    assert deep.equals(told)


def test_a_table_that_is_not_there_has_no_schema(connection: adbc.Connection) -> None:
    with pytest.raises(adbc.Error):
        connection.adbc_get_table_schema("nothing")


def test_an_answers_schema_is_told_before_it_runs(connection: adbc.Connection) -> None:
    with connection.cursor() as cursor:
        schema = cursor.adbc_execute_schema("SELECT id, upper(word) AS w FROM events")
    assert schema.names == ["id", "w"] and schema.types == [pa.int64(), pa.string()]


# ------------------------------------------------------------------------------------------ statements


def test_everything_is_what_the_plain_pull_gives(
    custodian: Custodian, server: Server, connection: adbc.Connection
) -> None:
    for name in RELEASED:
        expected = client_of(custodian, server, "cern").pull(name).table
        found = ask(connection, f"SELECT * FROM {name}")
        assert found.schema.types == expected.schema.types
        key = "person" if name == "people" else "id"
        order = lambda table, key=key: sorted(table.to_pylist(), key=lambda row: str(row[key]))
        assert order(found) == order(expected)


def test_rows_are_fetched_one_by_one_in_parts_and_as_batches(connection: adbc.Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, k FROM long ORDER BY id LIMIT 1000")
        assert cursor.fetchone() == (0, 0)
        assert [row[0] for row in cursor.fetchmany(3)] == [1, 2, 3]
        assert len(cursor.fetchall()) == 996
        assert [column[0] for column in cursor.description] == ["id", "k"]
        cursor.execute("SELECT id FROM long")
        assert sum(len(batch) for batch in cursor.fetch_record_batch()) == LONG_ROWS


def test_partitions_are_endpoints_and_hold_each_row_once(
    custodian: Custodian, server: Server, connection: adbc.Connection
) -> None:
    with connection.cursor() as cursor:
        partitions, schema = cursor.adbc_execute_partitions("SELECT id FROM long WHERE k < 900")
        assert len(partitions) > 1 and schema.names == ["id"]
    found: list[int] = []
    for partition in partitions:
        # Any connection of the partner may read any of them.
        with connected(custodian, server) as other, other.cursor() as cursor:
            cursor.adbc_read_partition(partition)
            found += cursor.fetch_arrow_table()["id"].to_pylist()
    assert sorted(found) == [i for i in range(LONG_ROWS) if i % 1_000 < 900]
    with connection.cursor() as cursor:
        partitions, _ = cursor.adbc_execute_partitions("SELECT k, count(*) FROM long GROUP BY k")
        assert len(partitions) == 1


def test_an_empty_answer_has_a_schema(connection: adbc.Connection) -> None:
    for sql in ("SELECT * FROM events WHERE false", "SELECT word FROM events LIMIT 0"):
        table = ask(connection, sql)
        assert table.num_rows == 0 and len(table.schema) >= 1


def test_a_statement_is_prepared_once_and_run_often(connection: adbc.Connection) -> None:
    with connection.cursor() as cursor:
        schema = cursor.adbc_prepare("SELECT id FROM events WHERE id = $1 AND word = $2")
        assert schema is not None and len(schema) == 2
        for i in (0, 10, 20):
            cursor.execute("SELECT id FROM events WHERE id = $1 AND word = $2", (i, "alpha"))
            assert cursor.fetchall() == [(i,)]


# ------------------------------------------------------------------------------------------ parameters

ZONE = datetime.UTC
PARAMETERS = {
    "bool": ("fine = $1", pa.array([True])),
    "int8": ("small = $1", pa.array([11], pa.int8())),
    "int16": ("small = $1", pa.array([11], pa.int16())),
    "int32": ("id = $1", pa.array([11], pa.int32())),
    "int64": ("id = $1", pa.array([11], pa.int64())),
    "uint8": ("id = $1", pa.array([11], pa.uint8())),
    "uint64": ("id = $1", pa.array([11], pa.uint64())),
    "float32": ("ratio = $1", pa.array([1.5], pa.float32())),
    "float64": ("score = $1", pa.array([-0.5])),
    "decimal": ("price = $1", pa.array([Decimal("3.11")], pa.decimal128(12, 2))),
    "text": ("word = $1", pa.array(["Ünïcode"])),
    "large text": ("word = $1", pa.array(["alpha"], pa.large_string())),
    "text view": ("word = $1", pa.array(["alpha"], pa.string_view())),
    "date": ("day = $1", pa.array([datetime.date(2024, 1, 2)])),
    "timestamp s": ("hour = $1", pa.array([datetime.datetime(2024, 1, 1, 1)], pa.timestamp("s"))),
    "timestamp us": ("hour = $1", pa.array([datetime.datetime(2024, 1, 1, 1)], pa.timestamp("us"))),
    "timestamp ns": (
        "stamp = $1",
        pa.array([sql_tables.START + datetime.timedelta(seconds=5_003)], pa.timestamp("ns")),
    ),
    "null": ("word = $1", pa.array([None], pa.string())),
    "untyped null": ("word IS NOT DISTINCT FROM $1", pa.array([None], pa.null())),
}


@pytest.mark.parametrize("kind", PARAMETERS)
def test_a_parameter_of_every_type_is_compared_as_its_value(
    connection: adbc.Connection, kind: str
) -> None:
    condition, value = PARAMETERS[kind]
    column = condition.split()[0]
    rows = ask(connection, f"SELECT id, {column} AS c FROM events").to_pylist()
    wanted = value.to_pylist()[0]
    expected = {row["id"] for row in rows if same(row["c"], wanted) and (wanted is not None)}
    if kind == "untyped null":
        expected = {row["id"] for row in rows if row["c"] is None}
    row = pa.RecordBatch.from_arrays([value], ["1"])
    found = ask(connection, f"SELECT id FROM events WHERE {condition}", row)
    assert set(found["id"].to_pylist()) == expected
    assert expected or kind == "null"


def same(left: object, right: object) -> bool:
    """Equal, times in nanoseconds among them."""
    return left is not None and str(left) == str(right) or left == right


def test_parameters_are_given_as_python_values(connection: adbc.Connection) -> None:
    sql = "SELECT id FROM events WHERE id BETWEEN $1 AND $2 AND word <> $3 ORDER BY id"
    expected = [row for row in range(5, 13) if row % 10 != 6]
    found = ask(connection, sql, (5, 12, "no such word"))["id"].to_pylist()
    words = ask(connection, "SELECT id FROM events WHERE id BETWEEN 5 AND 12 AND word IS NOT NULL")
    assert found == sorted(set(expected) & set(words["id"].to_pylist()))
    assert ask(connection, "SELECT $1 AS a, $2 AS b", ("x", 2.5)).to_pylist() == [
        {"a": "x", "b": 2.5}
    ]
    assert ask(connection, "SELECT ? AS a", (3,)).to_pylist() == [{"a": 3}]


def test_what_does_not_fit_is_refused(connection: adbc.Connection) -> None:
    sql = "SELECT id FROM events WHERE id = $1"
    assert refused(lambda: ask(connection, sql)).code == "Q005"
    assert refused(lambda: ask(connection, sql, (1, 2))).code == "Q005"
    assert refused(
        lambda: ask(connection, "SELECT id FROM events WHERE day = $1", (b"x",))
    ).code in (
        "Q005",
        "Q001",
    )


# ---------------------------------------------------------------------------------------------- errors

ERRORS = {
    "SELECT nothing FROM events": "Q001",
    "SELECT * FROM nothing": "D001",
    "SELEC 1": "Q001",
    "SELECT 1 / (id - id) FROM events": "Q003",
    "SELECT CAST(word AS INT) FROM events": "Q003",
    "DROP TABLE events": "Q002",
    "DELETE FROM events": "R002",
    "EXPLAIN SELECT * FROM events": "Q002",
    "SET datafusion.execution.batch_size = 1": "Q002",
}


@pytest.mark.parametrize("sql", ERRORS)
def test_an_error_has_a_code_and_the_number_of_its_request(
    custodian: Custodian, server: Server, connection: adbc.Connection, sql: str
) -> None:
    told = refused(lambda: ask(connection, sql))
    assert told.code == ERRORS[sql]
    # The operator finds the story by that number.
    until(lambda: told.request in server.said())
    again = refused(lambda: ask(connection, sql))
    assert again.request != told.request
    assert ask(connection, "SELECT count(*) AS n FROM events").to_pylist() == [{"n": 1_350}]


def test_writing_is_not_offered(connection: adbc.Connection) -> None:
    table = pa.table({"id": [1]})
    with connection.cursor() as cursor:
        assert refused(lambda: cursor.adbc_ingest("events", table, mode="append")).code == "R002"
        assert refused(lambda: cursor.adbc_ingest("fresh", table)).code == "R002"
        told = refused(lambda: cursor.executemany("INSERT INTO events VALUES ($1)", [(1,), (2,)]))
        assert told.code in ("Q002", "R002")


def test_a_wrong_token_is_refused(custodian: Custodian, server: Server) -> None:
    wrong = custodian.token_file("wrong")
    wrong.write_text("vf_" + "a" * 52)

    def attempt() -> None:
        with connected(custodian, server, "wrong") as connection:
            ask(connection, "SELECT 1")

    assert refused(attempt).code == "I002"


# ---------------------------------------------------------------------------------------------- cancel


def test_a_slow_statement_is_cancelled_from_another_thread(
    custodian: Custodian, server: Server, connection: adbc.Connection
) -> None:
    with connection.cursor() as cursor:
        ended = threading.Event()

        def cancel() -> None:
            # A cancel that comes before the call it is for does nothing.
            while not ended.wait(1.0):
                cursor.adbc_cancel()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        try:
            with pytest.raises(adbc.Error) as caught:
                cursor.execute(SLOW)
                cursor.fetch_arrow_table()
        finally:
            ended.set()
            canceller.join()
        assert "cancel" in str(caught.value).lower()

    def recorded() -> bool:
        return any(flattened(each).get("code") == "R003" for each in records(custodian))

    until(recorded)
    assert ask(connection, "SELECT count(*) AS n FROM events").to_pylist() == [{"n": 1_350}]


def test_a_reader_that_is_dropped_frees_its_place(custodian: Custodian, server: Server) -> None:
    for _ in range(6):
        with connected(custodian, server) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT a.id, b.word FROM long a JOIN long b ON a.k = b.k")
            reader = cursor.fetch_record_batch()
            assert reader.read_next_batch().num_rows > 0
    with connected(custodian, server) as connection:
        assert ask(connection, "SELECT count(*) AS n FROM long").to_pylist() == [{"n": LONG_ROWS}]
