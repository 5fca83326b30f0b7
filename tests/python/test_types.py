"""Types through the whole way: TPC-H's tables as its generator writes them, and what pyarrow writes.

Answers for values that a stock client reads being those of the file, under plain types and without
what the file says beside them.
"""

import datetime
import decimal
import itertools
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest
from custodian import Custodian, Server
from partner import Partner, descriptor
from support import client_of, furnished

SCALE = "0.01"
TABLES = ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"]


def fields_inside(kind: pa.DataType, path: str = "") -> list[str]:
    """The paths of the fields inside a column, as a rule has to list them."""
    if pa.types.is_struct(kind):
        paths = []
        for field in kind:
            inner = f"{path}.{field.name}" if path else field.name
            paths += fields_inside(field.type, inner) or [inner]
        return paths
    if pa.types.is_map(kind):
        return fields_inside(kind.key_type, path) + fields_inside(kind.item_type, path)
    if hasattr(kind, "value_type") and not pa.types.is_dictionary(kind):
        return fields_inside(kind.value_type, path)
    return []


def keep_all(custodian: Custodian, dataset: str, data: Path) -> None:
    """Write a policy that keeps every column of a file."""
    rules = []
    for field in pq.read_schema(data):
        inside = fields_inside(field.type)
        rule = f"{{keep: {{fields: {json.dumps(inside)}}}}}" if inside else "keep"
        rules.append(f"  {json.dumps(field.name)}: {rule}\n")
    (custodian.policies / f"{dataset}.yaml").write_text(
        f"version: 1\ndataset: {dataset}\nsource: {{parquet: {json.dumps(str(data))}}}\n"
        f"columns:\n{''.join(rules)}grants: [{{partner: cern, access: rows}}]\n"
    )


def write_kinds(path: Path) -> pa.Table:
    """Write one column of every type that pyarrow writes, with nulls, and read them again."""
    texts = ["", "a", None, "more than twelve bytes", "ünïcödé"]
    numbers = [1, None, 3, -4, 5]
    day = datetime.date(2026, 1, 1)
    moments = [datetime.datetime(2026, 1, 1, hour) if hour else None for hour in range(5)]
    structs = [{"n": 1, "text": "a"}, None, {"n": None, "text": None}, {"n": 4, "text": "d"}, None]
    lists = [texts, [], None, ["a"], texts]
    columns = {
        "half": pa.array([1.5, None, -2.0, 0.25, 4.0], pa.float16()),
        "flag": pa.array([True, None, False, True, None]),
        "date": pa.array([day, None, day, day, None]),
        "date64": pa.array([day, None, day, day, None], pa.date64()),
        "uuid": pa.array(
            [uuid.UUID(int=row).bytes if row else None for row in range(5)], pa.uuid()
        ),
        "json": pa.array(['{"a": 1}', None, "[]", "1", "null"], pa.json_(pa.string())),
        "nothing": pa.nulls(5),
        "list": pa.array(lists, pa.list_(pa.string())),
        "large_list": pa.array(lists, pa.large_list(pa.large_string())),
        "views_in_list": pa.array(lists, pa.list_(pa.string_view())),
        "pair": pa.array([[1, 2], None, [3, None], [5, 6], None], pa.list_(pa.int32(), 2)),
        "struct": pa.array(structs, pa.struct({"n": pa.int64(), "text": pa.string_view()})),
        "map": pa.array(
            [[("a", 1)], None, [("b", None), ("c", 3)], [], None], pa.map_(pa.string(), pa.int16())
        ),
        "structs": pa.array(
            [structs, None, [], [None], structs],
            pa.list_(pa.struct({"n": pa.int64(), "text": pa.string()})),
        ),
        "lists": pa.array([[[1], None], None, [], [[2, 3]], [[]]], pa.list_(pa.list_(pa.int8()))),
    }
    for kind in [
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()),
        *(pa.duration(unit) for unit in ("s", "ms", "us", "ns")),
    ]:
        columns[str(kind)] = pa.array(numbers, pa.int64()).cast(kind)
    amounts = [None if number is None else decimal.Decimal(number) for number in numbers]
    for kind in (
        pa.decimal32(7, 2),
        pa.decimal64(15, 2),
        pa.decimal128(30, 4),
        pa.decimal256(60, 4),
    ):
        columns[str(kind)] = pa.array(amounts, kind)
    for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()):
        columns[str(kind)] = pa.array([1, None, 3, 4, 5], kind)
    for unit in ("s", "ms", "us", "ns"):
        # Parquet has no seconds: they come back as milliseconds, and their zone as UTC.
        for zone in (None, "UTC", *(() if unit == "s" else ("Europe/Zurich", "-07:00"))):
            kind = pa.timestamp(unit, zone)
            columns[str(kind)] = pa.array(moments, pa.timestamp("s")).cast(kind)
    for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")):
        columns[str(kind)] = (
            pa.array([1, None, 3, 4, 5], pa.int64())
            .cast(pa.int32() if kind.bit_width == 32 else pa.int64())
            .cast(kind)
        )
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        columns[str(kind)] = pa.array(texts, kind)
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3)):
        columns[str(kind)] = pa.array([b"abc", None, b"\0\0\0", b"def", b"xyz"], kind)
    for key in (pa.int8(), pa.uint16(), pa.int32(), pa.int64()):
        columns[f"dictionary of {key}"] = (
            pa.array(texts).dictionary_encode().cast(pa.dictionary(key, pa.string()))
        )
    notes = {"PARQUET:field_id": "7", "note": "said beside the data"}
    fields = [pa.field(name, column.type, metadata=notes) for name, column in columns.items()]
    table = pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields, metadata=notes))
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(3):
            writer.write_table(table)
    return pq.read_table(path)


def plain(kind: pa.DataType) -> pa.DataType:
    """The type that means the same and that every client reads."""
    if isinstance(kind, pa.BaseExtensionType):
        return plain(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(kind.value_field.with_type(plain(kind.value_type)).remove_metadata())
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(plain(field.type)).remove_metadata() for field in kind])
    return kind


@pytest.fixture(scope="module")
def tpch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of TPC-H, as the generator writes them."""
    folder = tmp_path_factory.mktemp("tpch")
    generator = Path(sys.executable).with_name("tpchgen-cli")
    flags = ["parquet", "--quiet", "-s", SCALE, "--output-dir", str(folder)]
    subprocess.run([generator, *flags], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def served(
    tpch: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Custodian, Server, pa.Table]]:
    """A server over all of them, and over pyarrow's types."""
    custodian = furnished(tmp_path_factory.mktemp("types"))
    for name in TABLES:
        keep_all(custodian, name, tpch / f"{name}.parquet")
    kinds = custodian.home / "kinds.parquet"
    table = write_kinds(kinds)
    keep_all(custodian, "kinds", kinds)
    with custodian.serve() as server:
        yield custodian, server, table


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_tpch_come_as_pyarrow_reads_them(
    served: tuple[Custodian, Server, pa.Table], tpch: Path, name: str
) -> None:
    custodian, server, _ = served
    raw = pq.read_table(tpch / f"{name}.parquet")
    # What makes these files worth a test.
    assert any(pa.types.is_string_view(field.type) for field in raw.schema)
    assert all(b"PARQUET:field_id" in field.metadata for field in raw.schema)
    table = client_of(custodian, server, "cern").pull(name).table
    assert table.num_rows == raw.num_rows > 0
    table.validate(full=True)
    for field, column in zip(table.schema, table.columns, strict=True):
        expected = raw.schema.field(field.name)
        assert field.type == plain(expected.type)
        assert field.nullable == expected.nullable
        assert field.metadata == {b"veilflight.protection": b"keep"}
        assert column.equals(raw.column(field.name).cast(field.type)), field.name
    assert table.column_names == raw.column_names
    assert not table.schema.metadata


def test_values_of_tpch_are_those_of_its_specification(
    served: tuple[Custodian, Server, pa.Table],
) -> None:
    custodian, server, _ = served
    region = client_of(custodian, server, "cern").pull("region").table
    names = ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"]
    assert region.column("r_name").to_pylist() == names
    line = client_of(custodian, server, "cern").pull("lineitem").table
    assert line.schema.field("l_quantity").type == pa.decimal128(15, 2)
    assert line.column("l_quantity")[0].as_py() == decimal.Decimal("17.00")
    assert line.column("l_shipdate")[0].as_py() == datetime.date(1996, 3, 13)


def test_every_type_that_pyarrow_writes_comes_back(
    served: tuple[Custodian, Server, pa.Table],
) -> None:
    custodian, server, raw = served
    table = client_of(custodian, server, "cern").pull("kinds").table
    table.validate(full=True)
    assert table.column_names == raw.column_names
    for field, column in zip(table.schema, table.columns, strict=True):
        assert field.metadata == {b"veilflight.protection": b"keep"}, field.name
        # What the file says in Arrow's words is kept; pyarrow itself reads this one as days.
        days = field.name == "date64"
        kind = pa.date64() if days else plain(raw.schema.field(field.name).type)
        assert field.type.equals(kind), field.name
        expected = [
            chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
            for chunk in raw.column(field.name).chunks
        ]
        assert column.equals(pa.chunked_array(expected).cast(kind)), field.name


def pull_as(partner: Partner, dataset: str, headers: dict[str, str]) -> pa.Table:
    """Pull a dataset with some headers, endpoint after endpoint."""
    own = [(b"authorization", b"Bearer " + (partner.token or "").encode())]
    own += [(name.encode(), value.encode()) for name, value in headers.items()]
    options = flight.FlightCallOptions(headers=own, timeout=300.0)
    with partner.connect() as client:
        info = client.get_flight_info(descriptor(dataset), options)
        tables = [client.do_get(end.ticket, options).read_all() for end in info.endpoints]
    assert all(table.schema.equals(info.schema) for table in tables)
    return pa.concat_tables(tables)


@pytest.mark.parametrize(
    ("strings", "dictionaries", "compression"),
    list(
        itertools.product(
            ["utf8", "large_utf8", "utf8_view"], ["false", "true"], ["none", "lz4", "zstd"]
        )
    ),
)
def test_every_format_holds_the_same_values(
    served: tuple[Custodian, Server, pa.Table], strings: str, dictionaries: str, compression: str
) -> None:
    custodian, server, _ = served
    partner = client_of(custodian, server, "cern")
    headers = {
        "veilflight-strings": strings,
        "veilflight-dictionaries": dictionaries,
        "veilflight-compression": compression,
    }
    text = {"utf8": pa.string(), "large_utf8": pa.large_string(), "utf8_view": pa.string_view()}
    wanted = text[strings]
    if dictionaries == "true":
        # There are no dictionaries of views: pyarrow cannot unpack them.
        wanted = pa.dictionary(pa.int32(), pa.string() if strings == "utf8_view" else wanted)
    for dataset, column in [("kinds", "string"), ("lineitem", "l_shipmode")]:
        plain_table = partner.pull(dataset).table
        table = pull_as(partner, dataset, headers)
        table.validate(full=True)
        assert table.schema.field(column).type == wanted
        for field, expected in zip(plain_table.schema, plain_table.columns, strict=True):
            came = table.column(field.name)
            assert came.cast(field.type).equals(expected), field.name
        texts = pl.from_arrow(table.select([column]))
        assert texts.get_column(column).to_list() == plain_table.column(column).to_pylist()
