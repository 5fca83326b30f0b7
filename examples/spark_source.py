"""A data source for Spark, in Python: endpoints are partitions, batches are Arrow, filters go along.

    spark.sparkContext.addPyFile("spark_source.py")
    spark.dataSource.register(VeilflightSource)
    spark.read.format("veilflight").options(uri=..., dataset="htcondor_jobs", token=...).load()

Options: `uri`; `dataset`, or a `query` in SQL; `token`; `ca`, `cert` and `key` as PEM text; `columns`,
separated by commas, since Spark does not tell a Python source which columns it needs. This file needs
PySpark and pyarrow, and nothing else of this folder, so that it can be sent to Spark's workers. Spark
asks for filters when `spark.sql.python.filterPushdown.enabled` is true.
"""

import argparse
import datetime as dt
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
from pyspark.sql import SparkSession, datasource, functions
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

COMPARISONS = {
    datasource.EqualTo: "=",
    datasource.GreaterThan: ">",
    datasource.GreaterThanOrEqual: ">=",
    datasource.LessThan: "<",
    datasource.LessThanOrEqual: "<=",
}
MATCHES = {
    datasource.StringStartsWith: "starts_with",
    datasource.StringEndsWith: "ends_with",
    datasource.StringContains: "contains",
}
# Types that Spark does not have, and those that hold all their values.
WIDER = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64()}
WIDER |= {pa.uint64(): pa.decimal128(20, 0), pa.float16(): pa.float32(), pa.date64(): pa.date32()}


class VeilflightSource(datasource.DataSource):
    """What `spark.read.format("veilflight")` makes."""

    @classmethod
    def name(cls) -> str:
        return "veilflight"

    def schema(self) -> StructType:
        return from_arrow_schema(known_to_spark(schema_of(self.options)))

    def reader(self, schema: StructType) -> "VeilflightReader":
        return VeilflightReader(dict(self.options))


class VeilflightReader(datasource.DataSourceReader):
    """One scan: asks once, and reads an endpoint a task."""

    def __init__(self, options: dict[str, str]) -> None:
        self.options = options
        self.conditions: list[str] = []

    def pushFilters(self, filters: list[datasource.Filter]) -> Iterable[datasource.Filter]:
        """Takes the filters by which SQL means the same; Spark applies the others."""
        schema = schema_of(self.options)
        for filter in filters:
            if text := condition(filter, schema):
                self.conditions.append(text)
            else:
                yield filter

    def partitions(self) -> list[datasource.InputPartition]:
        with connect(self.options) as client:
            asked = statement(self.options, self.conditions)
            endpoints = client.get_flight_info(asked, calls(self.options)).endpoints
        return [datasource.InputPartition(end.ticket.ticket) for end in endpoints]

    def read(self, partition: datasource.InputPartition) -> Iterator[pa.RecordBatch]:
        with connect(self.options) as client:
            ticket = flight.Ticket(partition.value)
            reader = client.do_get(ticket, calls(self.options)).to_reader()
            target = known_to_spark(reader.schema)
            for batch in reader:
                yield batch if target == batch.schema else batch.cast(target, safe=False)


def connect(options: dict[str, str]) -> flight.FlightClient:
    """A connection, in whichever process this is."""
    names = {"tls_root_certs": "ca", "cert_chain": "cert", "private_key": "key"}
    given = {name: options[option] for name, option in names.items() if options.get(option)}
    return flight.connect(options["uri"], **given)


def calls(options: dict[str, str]) -> flight.FlightCallOptions:
    """What every call carries."""
    token = options.get("token")
    return flight.FlightCallOptions(
        headers=[(b"authorization", b"Bearer " + token.encode())] if token else []
    )


def statement(options: dict[str, str], conditions: Iterable[str] = ()) -> flight.FlightDescriptor:
    """What the server is asked: the statement itself is the descriptor's command."""
    query, columns = options.get("query"), options.get("columns")
    names = ", ".join(quoted(name.strip()) for name in columns.split(",")) if columns else "*"
    sql = f"SELECT {names} FROM " + (f"({query}) AS q" if query else quoted(options["dataset"]))
    sql += " WHERE " + " AND ".join(conditions) if conditions else ""
    return flight.FlightDescriptor.for_command(sql.encode())


def schema_of(options: dict[str, str]) -> pa.Schema:
    """The schema of the answer, as the server sends it."""
    with connect(options) as client:
        return client.get_schema(statement(options), calls(options)).schema


def known_to_spark(schema: pa.Schema) -> pa.Schema:
    """The schema in types that Spark has: times in microseconds, no unsigned numbers."""

    def known(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_timestamp(kind):
            return pa.timestamp("us", kind.tz)
        return WIDER.get(kind, kind)

    return pa.schema([field.with_type(known(field.type)) for field in schema])


def quoted(name: str) -> str:
    """A name as SQL quotes it."""
    return '"' + name.replace('"', '""') + '"'


def condition(filter: datasource.Filter, schema: pa.Schema) -> str | None:
    """A filter in SQL, where it means exactly the same; else nothing."""
    if isinstance(filter, datasource.Not):
        inner = condition(filter.child, schema)
        return inner and f"(NOT {inner})"
    if len(filter.attribute) != 1 or filter.attribute[0] not in schema.names:
        return None
    name, kind = quoted(filter.attribute[0]), schema.field(filter.attribute[0]).type
    match filter:
        case datasource.IsNull():
            return f"({name} IS NULL)"
        case datasource.IsNotNull():
            return f"({name} IS NOT NULL)"
        case datasource.In(value=values):
            texts = [literal(value, kind) for value in values]
            return f"({name} IN ({', '.join(texts)}))" if texts and all(texts) else None
    if type(filter) in MATCHES:
        text = literal(filter.value, kind)
        return f"{MATCHES[type(filter)]}({name}, {text})" if text else None
    operator, text = COMPARISONS.get(type(filter)), literal(getattr(filter, "value", None), kind)
    return f"({name} {operator} {text})" if operator and text else None


def literal(value: object, kind: pa.DataType) -> str | None:
    """A value beside a column of this type, or nothing: floating-point numbers compare otherwise."""
    match value:
        case bool():
            return str(value).upper() if pa.types.is_boolean(kind) else None
        case int() if pa.types.is_integer(kind):
            return str(value)
        case str() if pa.types.is_string(kind) and value.isprintable() and "\\" not in value:
            return "'" + value.replace("'", "''") + "'"
        case dt.datetime() if kind == pa.timestamp("us") and 1677 < value.year < 2262:
            return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S.%f}'" if not value.tzinfo else None
        case dt.date() if kind == pa.date32() and not isinstance(value, dt.datetime):
            return f"DATE '{value:%Y-%m-%d}'"
    return None


def main() -> None:
    """Count the large jobs of each site, with a task for each endpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uri", required=True)
    for name in ("token-file", "ca", "cert", "key"):
        parser.add_argument(f"--{name}", type=Path)
    arguments = parser.parse_args()
    options = {"uri": arguments.uri, "dataset": "htcondor_jobs", "columns": "Site,RequestMemory"}
    files = {"token": arguments.token_file, "ca": arguments.ca}
    files |= {"cert": arguments.cert, "key": arguments.key}
    options |= {name: file.read_text().strip() for name, file in files.items() if file}
    if "token" not in options and "VEILFLIGHT_TOKEN" in os.environ:
        options["token"] = os.environ["VEILFLIGHT_TOKEN"]

    # Workers run in this environment, unless somebody says otherwise.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.python.filterPushdown.enabled", "true")
        .getOrCreate()
    )
    spark.dataSource.register(VeilflightSource)
    jobs = spark.read.format("veilflight").options(**options).load()
    large = jobs.where("RequestMemory >= 8000")
    print(f"{large.count():,} large jobs, read by {large.rdd.getNumPartitions()} tasks")
    large.groupBy("Site").count().orderBy(functions.desc("count"), "Site").show(5)
    spark.stop()


if __name__ == "__main__":
    main()
