"""ADBC's driver for Flight SQL through Python's DB-API, with pandas, Polars and DuckDB on top of it."""

import datetime as dt
import decimal
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import adbc_driver_manager
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from access import Access
from adbc_sql import in_parallel
from custodian import Custodian, Server
from duckdb_join import store
from pandas_frame import frame as pandas_frame
from polars_frame import frame as polars_frame
from support import PARTNERS, client_of
from things import FILES, NOON, ROWS, access_of, publish, statements

ALL = 'SELECT * FROM "things"'


@pytest.fixture(scope="module")
def server(custodian: Custodian) -> Iterator[Server]:
    """A server with the same rows under two names, the second for one partner alone."""
    publish(custodian, "things", PARTNERS)
    publish(custodian, "others", PARTNERS[1:])
    with custodian.serve() as server:
        yield server


@pytest.fixture(scope="module")
def access(custodian: Custodian, server: Server) -> Access:
    """A partner's way in."""
    return access_of(custodian, server, PARTNERS[0])


@pytest.fixture(scope="module")
def plain(custodian: Custodian, server: Server) -> pa.Table:
    """What a pull by path gives, in the order of its key."""
    return client_of(custodian, server, PARTNERS[0]).pull("things").table.sort_by("id")


def same(left: pa.Table, right: pa.Table) -> bool:
    """Whether two tables hold the same, NaN and the order of rows aside."""
    left, right = left.sort_by("id"), right.sort_by("id")
    return left.schema.equals(right.schema) and repr(left.to_pydict()) == repr(right.to_pydict())


def answer(access: Access, sql: str, parameters: object = None) -> pa.Table:
    """A statement's answer."""
    with access.adbc() as connection, connection.cursor() as cursor:
        cursor.execute(sql, parameters=parameters)
        return cursor.fetch_arrow_table()


def test_a_whole_answer_is_what_a_pull_by_path_gives(access: Access, plain: pa.Table) -> None:
    assert plain.num_rows == ROWS
    assert same(answer(access, ALL), plain)


def test_an_answer_comes_as_a_stream_of_batches(access: Access, plain: pa.Table) -> None:
    with access.adbc() as connection, connection.cursor() as cursor:
        cursor.execute(ALL)
        with cursor.fetch_record_batch() as stream:
            assert stream.schema.names == plain.schema.names
            batches = list(stream)
    assert len(batches) > 1
    assert same(pa.Table.from_batches(batches), plain)


def test_rows_come_as_tuples_of_python(access: Access) -> None:
    with access.adbc() as connection, connection.cursor() as cursor:
        cursor.execute('SELECT "id", "text", "price" FROM "things" ORDER BY "id" LIMIT 3')
        assert [column[0] for column in cursor.description] == ["id", "text", "price"]
        assert cursor.fetchone() == (0, "a", decimal.Decimal("0.00"))
        assert cursor.fetchall() == [
            (1, "b", decimal.Decimal("1.00")),
            (2, "O'Hara", decimal.Decimal("2.00")),
        ]


def test_partitions_hold_each_row_once_and_can_be_read_elsewhere(
    access: Access, plain: pa.Table
) -> None:
    with access.adbc() as connection, connection.cursor() as cursor:
        partitions, schema = cursor.adbc_execute_partitions(ALL)
    assert len(partitions) >= FILES
    assert schema.equals(plain.schema)
    assert same(in_parallel(access, ALL), plain)


def test_the_catalogue_shows_what_the_partner_may_read(
    custodian: Custodian, server: Server, access: Access
) -> None:
    def tables(who: Access, **filters: str) -> dict[str, list[str]]:
        with who.adbc() as connection:
            objects = connection.adbc_get_objects(depth="all", **filters).read_all().to_pylist()
        return {
            table["table_name"]: [column["column_name"] for column in table["table_columns"]]
            for catalog in objects
            for schema in catalog["catalog_db_schemas"]
            if schema["db_schema_name"] == "public"
            for table in schema["db_schema_tables"]
        }

    seen = tables(access)
    assert list(seen) == ["things"]
    assert "who" in seen["things"] and "secret" not in seen["things"]
    both = access_of(custodian, server, PARTNERS[1])
    assert set(tables(both)) == {"others", "things"}
    assert set(tables(both, table_name_filter="oth%")) == {"others"}


def test_a_tables_schema_can_be_asked(access: Access, plain: pa.Table) -> None:
    with access.adbc() as connection, connection.cursor() as cursor:
        assert connection.adbc_get_table_schema("things").equals(plain.schema)
        assert cursor.adbc_execute_schema('SELECT "id" FROM "things"').names == ["id"]
        assert "TABLE" in " ".join(connection.adbc_get_table_types()).upper()
        assert connection.adbc_get_info()["vendor_name"].lower().startswith("veilflight")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", 4_321),
        ("small", -5),
        ("text", "O'Hara"),
        ("text", "' OR 1=1 --"),
        ("flag", True),
        ("real", 1.5),
        ("day", dt.date(2024, 2, 29)),
        ("moment", NOON),
        ("id", None),
    ],
)
def test_parameters_are_bound_as_values(
    access: Access, plain: pa.Table, column: str, value: object
) -> None:
    got = answer(access, f'SELECT "id" FROM "things" WHERE "{column}" = ?', (value,))
    rows = zip(plain["id"].to_pylist(), plain[column].to_pylist())
    expected = [key for key, found in rows if value is not None and found == value]
    assert sorted(got["id"].to_pylist()) == expected


def test_a_statement_is_asked_again_with_other_parameters(access: Access) -> None:
    with access.adbc() as connection, connection.cursor() as cursor:
        for low, high in ((0, 10), (100, 250), (7, 7)):
            cursor.execute(
                'SELECT count(*) FROM "things" WHERE "id" >= $1 AND "id" < $2',
                parameters=(low, high),
            )
            assert cursor.fetchall() == [(high - low,)]


def test_a_parameter_does_not_stand_in_the_audit_log(custodian: Custodian, access: Access) -> None:
    answer(access, 'SELECT "id" FROM "things" WHERE "text" = ?', ("a private search",))
    said = statements(custodian)
    assert any('"text" = ?' in statement for statement in said)
    assert not any("private" in statement for statement in said)


def test_an_answer_without_rows_still_has_its_schema(access: Access, plain: pa.Table) -> None:
    empty = answer(access, f'{ALL} WHERE "id" < 0')
    assert empty.num_rows == 0 and empty.schema.equals(plain.schema)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ('SELECT "secret" FROM "things"', "Q001"),
        ("SELECT (1", "Q001"),
        ('SELECT * FROM "others"', "D001"),
        ('SELECT * FROM "nothing"', "D001"),
        ('DROP TABLE "things"', "Q002"),
    ],
)
def test_a_refused_statement_is_told_a_code_and_a_number(
    access: Access, sql: str, code: str
) -> None:
    with pytest.raises(adbc_driver_manager.Error) as caught:
        answer(access, sql)
    assert re.search(rf"[.?] \[{code}, request [0-9a-f]{{16}}\]", str(caught.value)), caught.value


def test_a_connection_outlives_a_refused_statement(access: Access) -> None:
    with access.adbc() as connection, connection.cursor() as cursor:
        with pytest.raises(adbc_driver_manager.Error):
            cursor.execute("SELECT nonsense")
        cursor.execute('SELECT count(*) FROM "things"')
        assert cursor.fetchall() == [(ROWS,)]


def test_an_answer_left_unread_leaves_the_connection_usable(access: Access) -> None:
    with access.adbc() as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"{ALL} AS a CROSS JOIN (SELECT 1 FROM things LIMIT 50) AS b")
            with cursor.fetch_record_batch() as stream:
                assert stream.read_next_batch().num_rows > 0
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]


def test_many_connections_ask_at_once(access: Access) -> None:
    def count(number: int) -> int:
        sql = f'SELECT count(*) AS n FROM "things" WHERE "id" >= {number}'
        return answer(access, sql)["n"][0].as_py()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(count, range(16))) == [ROWS - number for number in range(16)]


def test_session_options_are_set_through_the_driver(access: Access) -> None:
    with access.adbc(**{"adbc.flight.sql.rpc.with_cookie_middleware": "true"}) as connection:
        option = "adbc.flight.sql.session.option."
        connection.adbc_connection.set_options(**{f"{option}time_zone": "Europe/Zurich"})
        assert connection.adbc_connection.get_option(f"{option}time_zone") == "Europe/Zurich"
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]


def test_a_header_chooses_how_texts_travel(access: Access, plain: pa.Table) -> None:
    with access.adbc(
        **{"adbc.flight.sql.rpc.call_header.veilflight-strings": "utf8_view"}
    ) as views:
        with views.cursor() as cursor:
            cursor.execute('SELECT "text" FROM "things" ORDER BY "id"')
            table = cursor.fetch_arrow_table()
    assert table.schema.field("text").type == pa.string_view()
    assert table["text"].to_pylist() == plain["text"].to_pylist()


def test_pandas_reads_an_answer_over_arrow(access: Access, plain: pa.Table) -> None:
    got = pandas_frame(access, f'{ALL} ORDER BY "id"')
    assert got["text"].tolist() == plain["text"].to_pandas(types_mapper=pd.ArrowDtype).tolist()
    assert got["unsigned"].dtype == pd.ArrowDtype(pa.uint64())
    assert got["small"].isna().sum() == plain["small"].null_count > 0
    assert len(got) == ROWS


def test_polars_reads_an_answer_and_binds_parameters(access: Access, plain: pa.Table) -> None:
    got = polars_frame(access, f'{ALL} WHERE "text" = $1 ORDER BY "id"', ["O'Hara"])
    expected = pl.from_arrow(plain).filter(pl.col("text") == "O'Hara")
    assert got.equals(expected) and len(got) > 100


def test_duckdb_queries_a_stream_while_it_arrives(access: Access, plain: pa.Table) -> None:
    with access.adbc() as connection, connection.cursor() as cursor, duckdb.connect() as database:
        cursor.execute(ALL)
        with cursor.fetch_record_batch() as stream:
            database.register("stream", stream)
            got = database.execute(
                'SELECT "flag", count(*), sum("id") FROM stream GROUP BY "flag" ORDER BY "flag"'
            ).fetchall()
    expected = (
        pl.from_arrow(plain)
        .group_by("flag")
        .agg(pl.len(), pl.col("id").sum())
        .sort("flag", nulls_last=True)
    )
    assert got == expected.rows()


def test_duckdb_keeps_an_answer_in_a_file_and_joins_it(
    access: Access, plain: pa.Table, tmp_path: object
) -> None:
    names = pa.table({"small": pa.array([-5, 0, 5], pa.int32()), "name": ["low", "zero", "high"]})
    with duckdb.connect(f"{tmp_path}/things.duckdb") as database:
        assert store(access, ALL, database, "things") == ROWS
    with duckdb.connect(f"{tmp_path}/things.duckdb", read_only=True) as database:
        database.register("names", names)
        got = database.execute(
            'SELECT "name", count(*) FROM things JOIN names USING ("small") GROUP BY 1 ORDER BY 1'
        ).fetchall()
    small = plain["small"].to_pylist()
    assert got == [("high", small.count(5)), ("low", small.count(-5)), ("zero", small.count(0))]
