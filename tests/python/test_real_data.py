"""Real tables through the shipped policies, pulled by pyarrow and by Polars.

Each value is compared with an independent computation of the same policy.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from custodian import PROJECT, Custodian, Server
from partner import descriptor
from reference.compare import different
from reference.keys import Ring
from reference.policy import Reference, plain_values
from support import PARTNERS, client_of, furnished

POLICIES = {
    "slurm-accounting.yaml": "slurm/pozidriv.log",
    "adult-rows.yaml": "adult/adult.csv",
    "traffic-stops.yaml": "parquet/carData_MplsStops.parquet",
}
TYPES = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "flag": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}


@dataclass
class Served:
    """The real tables, served."""

    custodian: Custodian
    server: Server
    data: Path


@pytest.fixture(scope="module")
def served(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over the shipped policies, each granted to the test's partners."""
    custodian = furnished(tmp_path_factory.mktemp("real"))
    for hierarchy in (PROJECT / "policies").rglob("*.csv"):
        target = custodian.policies / hierarchy.relative_to(PROJECT / "policies")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(hierarchy.read_bytes())
    for name, data in POLICIES.items():
        custodian.publish(PROJECT / "policies" / name, str(shared / "data" / data), PARTNERS)
    with custodian.serve() as server:
        yield Served(custodian, server, shared / "data")


def raw_table(policy: dict, path: Path) -> pa.Table:
    """The raw rows as the policy types them."""
    source = policy["source"]
    if "parquet" in source:
        return pq.read_table(path)
    source = source["delimited"]
    nulls, quote = source.get("nulls", []), source.get("quote", '"')
    quoting = csv.QUOTE_NONE if quote == "none" else csv.QUOTE_MINIMAL
    delimiter = "\t" if source["delimiter"] == "tab" else source["delimiter"]
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = list(
            csv.reader(
                file,
                delimiter=delimiter,
                quoting=quoting,
                quotechar=None if quote == "none" else quote,
            )
        )
    names = lines.pop(0) if source["header"] else list(source["columns"])
    columns = {}
    for place, name in enumerate(names):
        kind = TYPES[source["columns"][name]]
        texts = [line[place] for line in lines]
        # An empty field is null in every column.
        values = pa.array([None if text in ["", *nulls] else text for text in texts], pa.string())
        columns[name] = values.cast(kind)
    return pa.table(columns)


@pytest.mark.parametrize("name", POLICIES)
def test_every_value_is_what_the_policy_says(served: Served, name: str) -> None:
    path = served.custodian.policies / name
    policy = yaml.safe_load(path.read_text())
    raw = raw_table(policy, served.data / POLICIES[name])
    reference = Reference(path, Ring.read(served.custodian.key))
    for partner in PARTNERS:
        expected = reference.apply(raw, partner)
        client = client_of(served.custodian, served.server, partner)
        received = client.pull(policy["dataset"]).table
        assert received.schema.names == list(expected)
        for column, values in expected.items():
            differences = different(plain_values(received[column]), values)
            assert not differences, f"{partner}, column `{column}`: {differences}"


@pytest.mark.parametrize("name", POLICIES)
def test_polars_reads_the_same_values_as_pyarrow(served: Served, name: str) -> None:
    dataset = yaml.safe_load((served.custodian.policies / name).read_text())["dataset"]
    partner = client_of(served.custodian, served.server, PARTNERS[0])
    expected = partner.pull(dataset).table
    with partner.connect() as client:
        info = client.get_flight_info(descriptor(dataset), partner.options)
        frames = [
            pl.from_arrow(client.do_get(end.ticket, partner.options).read_all())
            for end in info.endpoints
        ]
    frame = pl.concat(frames)
    assert frame.columns == expected.schema.names
    for column in frame.columns:
        got = plain_values(pa.chunked_array([frame[column].to_arrow()]))
        assert not different(got, plain_values(expected[column])), column


@pytest.mark.parametrize("name", POLICIES)
def test_two_partners_cannot_join_their_pseudonyms(served: Served, name: str) -> None:
    policy = yaml.safe_load((served.custodian.policies / name).read_text())
    if policy.get("linkage") == "shared":
        pytest.skip("the policy lets partners join")
    hashed = [
        column
        for column, rule in policy["columns"].items()
        if isinstance(rule, dict) and (rule.get("pseudonym") or {}).get("method") == "hmac"
    ]
    tables = [
        client_of(served.custodian, served.server, partner).pull(policy["dataset"]).table
        for partner in PARTNERS
    ]
    for column in hashed:
        left, right = (set(table[column].to_pylist()) - {None} for table in tables)
        assert left and right and not left & right, column
