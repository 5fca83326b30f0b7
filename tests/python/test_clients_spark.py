"""The data source for Spark: endpoints are partitions, batches are Arrow, filters go to the server.

One session serves all tests, since a Java machine takes seconds to start.
"""

import datetime as dt
import os
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal

import pyarrow as pa
import pytest
import spark_source
from certificates import client_certificate, fingerprint
from custodian import PROJECT, Custodian, Server
from jre import java_home
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from support import PARTNERS, client_of
from things import DAY, FILES, NOON, ROWS, access_of, publish, statements

Row = dict[str, object]


@pytest.fixture(scope="module")
def server(custodian: Custodian) -> Iterator[Server]:
    """A server with rows that are hard to filter."""
    publish(custodian, "things", PARTNERS)
    with custodian.serve() as server:
        yield server


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session on this machine that has the data source and no network beyond it."""
    folder = tmp_path_factory.mktemp("spark")
    before = dict(os.environ)
    os.environ["JAVA_HOME"] = str(java_home(folder / "java"))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.local.dir", str(folder / "local"))
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.python.filterPushdown.enabled", "true")
        .getOrCreate()
    )
    session.sparkContext.addPyFile(str(PROJECT / "examples" / "spark_source.py"))
    session.dataSource.register(spark_source.VeilflightSource)
    yield session
    session.stop()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def read(spark: SparkSession, custodian: Custodian, server: Server) -> Callable[..., DataFrame]:
    """Reads with a partner's token and these further options."""
    access = access_of(custodian, server, PARTNERS[0])

    def frame(**more: str) -> DataFrame:
        options = {"uri": access.uri, "token": access.token, "ca": access.ca.read_text(), **more}
        return spark.read.format("veilflight").options(**options).load()

    return frame


@pytest.fixture(scope="module")
def plain(custodian: Custodian, server: Server) -> list[Row]:
    """What a pull by path gives, in the order of its key."""
    table = client_of(custodian, server, PARTNERS[0]).pull("things").table
    # Spark's times are of microseconds.
    times = table.schema.get_field_index("fine")
    table = table.set_column(times, "fine", table["fine"].cast(pa.timestamp("us"), safe=False))
    return table.sort_by("id").to_pylist()


def rows(frame: DataFrame) -> list[Row]:
    """A frame's rows in the order of their key."""
    return sorted((row.asDict() for row in frame.collect()), key=lambda row: row["id"])


def test_every_row_arrives_once_and_each_endpoint_is_a_task(
    read: Callable[..., DataFrame], plain: list[Row]
) -> None:
    frame = read(dataset="things")
    assert dict(frame.dtypes) == {
        "id": "bigint",
        "small": "int",
        "unsigned": "decimal(20,0)",
        "real": "double",
        "text": "string",
        "flag": "boolean",
        "day": "date",
        "moment": "timestamp_ntz",
        "fine": "timestamp_ntz",
        "price": "decimal(10,2)",
        "who": "string",
    }
    assert frame.rdd.getNumPartitions() >= FILES
    assert repr(rows(frame)) == repr(plain_as_spark(plain))


def plain_as_spark(plain: list[Row]) -> list[Row]:
    """The rows with unsigned numbers as Spark has them."""

    def converted(row: Row) -> Row:
        unsigned = row["unsigned"]
        return {**row, "unsigned": None if unsigned is None else Decimal(unsigned)}

    return [converted(row) for row in plain]


def known(value: object) -> bool:
    """Whether there is a value."""
    return value is not None


FILTERS: list[tuple[str, str, Callable[[Row], bool]]] = [
    ("id > 5000", '("id" > 5000)', lambda r: r["id"] > 5_000),
    ("small <=> 3", "", lambda r: r["small"] == 3),
    ("small <> 3", '(NOT ("small" = 3))', lambda r: known(r["small"]) and r["small"] != 3),
    ("small in (1, 2)", '("small" IN (1, 2))', lambda r: r["small"] in (1, 2)),
    ("text = 'O\\'Hara'", "(\"text\" = 'O''Hara')", lambda r: r["text"] == "O'Hara"),
    ("text like '50%'", "starts_with(\"text\", '50')", lambda r: (r["text"] or "")[:2] == "50"),
    ("text like '%off'", "ends_with(\"text\", 'off')", lambda r: (r["text"] or "")[-3:] == "off"),
    ("text like '%no%'", "contains(\"text\", 'no')", lambda r: "no" in (r["text"] or "")),
    ("text >= 'b'", "(\"text\" >= 'b')", lambda r: known(r["text"]) and r["text"].encode() >= b"b"),
    ("flag", '("flag" = TRUE)', lambda r: r["flag"] is True),
    ("not flag", '("flag" = ', lambda r: r["flag"] is False),
    ("flag is null", '("flag" IS NULL)', lambda r: r["flag"] is None),
    (
        "day = date'2024-02-29'",
        "(\"day\" = DATE '2024-02-29')",
        lambda r: r["day"] == DAY,
    ),
    (
        "moment > timestamp_ntz'2024-02-29 12:00:00'",
        "(\"moment\" > TIMESTAMP '2024-02-29 12:00:00.000000')",
        lambda r: known(r["moment"]) and r["moment"] > NOON,
    ),
    ("real > 0", "", lambda r: known(r["real"]) and (r["real"] > 0 or r["real"] != r["real"])),
    ("real = 0", "", lambda r: r["real"] == 0),
    ("price > 50", "", lambda r: known(r["price"]) and r["price"] > 50),
    ("fine = timestamp_ntz'2024-02-29 12:00:00'", "", lambda r: r["fine"] == NOON),
    ("small > 3 or text = 'a'", "", lambda r: (r["small"] or 0) > 3 or r["text"] == "a"),
]


@pytest.mark.parametrize(("predicate", "pushed", "holds"), FILTERS, ids=[p for p, _, _ in FILTERS])
def test_a_filter_gives_the_right_rows_and_goes_along_where_sql_means_the_same(
    custodian: Custodian,
    read: Callable[..., DataFrame],
    plain: list[Row],
    predicate: str,
    pushed: str,
    holds: Callable[[Row], bool],
) -> None:
    got = rows(
        read(dataset="things", columns="id,small,real,text,flag,day,moment,fine,price").where(
            predicate
        )
    )
    assert [row["id"] for row in got] == [row["id"] for row in plain if holds(row)]
    assert 0 < len(got) < ROWS
    said = statements(custodian)[-1]
    assert pushed in said
    if not pushed:
        conditions = said.partition(" WHERE ")[2].split(" AND ")
        assert all(not text or text.endswith("IS NOT NULL)") for text in conditions), said


def test_filters_that_do_not_go_along_are_applied_beside_those_that_do(
    custodian: Custodian, read: Callable[..., DataFrame], plain: list[Row]
) -> None:
    got = rows(read(dataset="things").where("id < 500 and real > 0 and length(text) = 1"))
    expected = [
        row["id"]
        for row in plain
        if row["id"] < 500 and row["real"] is not None and not row["real"] <= 0
        if row["text"] is not None and len(row["text"]) == 1
    ]
    assert [row["id"] for row in got] == expected != []
    assert '("id" < 500)' in statements(custodian)[-1]


def test_only_the_columns_that_are_named_are_asked(
    custodian: Custodian, read: Callable[..., DataFrame]
) -> None:
    frame = read(dataset="things", columns="id, text")
    assert frame.columns == ["id", "text"]
    assert frame.count() == ROWS
    assert statements(custodian)[-1] == 'SELECT "id", "text" FROM "things"'


def test_a_query_of_ones_own_is_a_frame_too(
    read: Callable[..., DataFrame], plain: list[Row]
) -> None:
    frame = read(query='SELECT "small", count(*) AS n FROM "things" GROUP BY "small"')
    got = {row["small"]: row["n"] for row in frame.where("small > 0").collect()}
    small = [row["small"] for row in plain]
    assert got == {number: small.count(number) for number in range(1, 6)}


def test_spark_computes_over_what_it_reads(
    read: Callable[..., DataFrame], plain: list[Row]
) -> None:
    days = read(dataset="things").groupBy("day").agg(f.sum("id").alias("total"))
    got = {row["day"]: row["total"] for row in days.collect()}
    assert got[DAY + dt.timedelta(days=1)] == sum(
        row["id"] for row in plain if row["day"] == DAY + dt.timedelta(days=1)
    )


def test_a_client_certificate_opens_the_source_without_a_token(
    spark: SparkSession, custodian: Custodian, server: Server
) -> None:
    certificate, key = (pem.decode() for pem in client_certificate("spark-lab"))
    known_by = fingerprint(certificate.encode())
    custodian.run(
        "partner",
        "add",
        "spark-lab",
        "--fingerprint",
        known_by,
        "--no-token",
        "--state",
        custodian.state,
    )
    options = {"uri": server.uri, "ca": custodian.authority.read_text(), "cert": certificate}
    frame = spark.read.format("veilflight").options(**options, key=key, query="SELECT 1 AS one")
    assert [row["one"] for row in frame.load().collect()] == [1]


def test_a_wrong_token_and_an_unknown_dataset_are_errors(read: Callable[..., DataFrame]) -> None:
    with pytest.raises(Exception, match="I002"):
        read(dataset="things", token="wrong").count()
    with pytest.raises(Exception, match=r"\[[A-Z]\d{3}, request"):
        read(dataset="nothing").count()
