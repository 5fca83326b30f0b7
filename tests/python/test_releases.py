"""A release from the custodian's commands to what stock clients get of it."""

import json
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from custodian import Custodian
from driver import ask, connected
from support import client_of, refused

ROWS = 30_000
ALONE = "c4n4ry"

POLICY = """\
version: 1
dataset: persons
source: {parquet: "../persons"}
unit: name
columns:
  name: {pseudonym: {method: hmac}}
  age: keep
  town: keep
  trade: keep
  day: keep
  note: drop
release:
  quasi_identifiers:
    - {column: age, intervals: {from: 0, widths: [10, 20]}}
    - town
  method: METHOD
  suppress_max: 0.05
  k_anonymity: {k: 5}
  l_diversity: {column: trade, l: 2}
grants:
  - {partner: cern, access: rows}
  - {partner: nersc, access: rows}
"""

# Suppression of single cells knows no coarser values.
AGE = "{column: age, intervals: {from: 0, widths: [10, 20]}}"

METHODS = ["lattice", "{fixed: {age: 1, town: 0}}", "mondrian", "local_suppression"]


def write_persons(home: Path) -> None:
    """Persons who are alike in age and town; every hundredth row is alone."""
    rows = range(ROWS)
    table = pa.table(
        {
            "name": [f"{ALONE}-{row % 4_000}" for row in rows],
            "age": [20 + row * 7 % 40 for row in rows],
            "town": [f"{ALONE}-{row}" if row % 100 == 7 else f"town-{row % 7}" for row in rows],
            "trade": [("nurse", "cook", "clerk")[row % 3] for row in rows],
            "day": list(rows),
            "note": [f"{ALONE}-{row}" for row in rows],
        }
    )
    path = home / "persons" / "a.parquet"
    path.parent.mkdir()
    pq.write_table(table, path, row_group_size=5_000)


@pytest.mark.parametrize("method", METHODS)
def test_a_release_is_built_served_and_pulled(alone: Custodian, method: str) -> None:
    write_persons(alone.home)
    policy = POLICY.replace("METHOD", method)
    if method == "local_suppression":
        policy = policy.replace(AGE, "age")
    alone.policies.joinpath("persons.yaml").write_text(policy)
    with alone.serve() as server:
        cern = client_of(alone, server, "cern")
        assert refused(lambda: cern.info("persons")).code == "D002"
        told = alone.run("release", "build", "persons", "--json", "--state", alone.state)
        manifest = json.loads(told)
        again = alone.run("release", "build", "persons", "--state", alone.state)
        assert again.startswith("there already")
        assert alone.attempt("release", "verify", "persons", "--state", alone.state).returncode == 0
    with alone.serve() as server:
        cern = client_of(alone, server, "cern")
        table = cern.pull("persons", 4).table
        assert table.num_rows == manifest["rows"]["released"]
        assert table.num_rows + manifest["rows"]["suppressed"] == ROWS
        assert table.schema.field("age").type == pa.string()
        assert table.schema.field("age").metadata[b"veilflight.release"] == manifest["id"].encode()
        persons: dict[tuple[str, str], set[str]] = defaultdict(set)
        trades: dict[tuple[str, str], set[str]] = defaultdict(set)
        for row in table.to_pylist():
            persons[row["age"], row["town"]].add(row["name"])
            trades[row["age"], row["town"]].add(row["trade"])
        assert len(persons) == manifest["rows"]["classes"]
        assert min(map(len, persons.values())) >= 5
        assert min(map(len, trades.values())) >= 2
        assert ALONE not in str(table.to_pydict())
        with connected(alone, server) as connection:
            asked = ask(connection, "SELECT age, count(*) AS n FROM persons GROUP BY age")
            assert sum(asked["n"].to_pylist()) == table.num_rows
        nersc = client_of(alone, server, "nersc").pull("persons", 1).table
        # Shards of a pull come in any order; a day is in one row.
        ours = sorted(table.to_pylist(), key=lambda row: row["day"])
        theirs = sorted(nersc.to_pylist(), key=lambda row: row["day"])
        for one, other in zip(ours, theirs, strict=True):
            assert one.pop("name") != other.pop("name")
            assert one == other


def test_files_of_a_release_are_verified_against_it(alone: Custodian) -> None:
    write_persons(alone.home)
    alone.policies.joinpath("persons.yaml").write_text(POLICY.replace("METHOD", "lattice"))
    alone.run("release", "build", "persons", "--state", alone.state)
    out = alone.home / "persons.parquet"
    where = ("--partner", "cern", "--state", alone.state)
    alone.run("export", "persons", *where, "--to", "parquet", "--out", out)
    assert alone.attempt("verify", out, "--state", alone.state).returncode == 0
    assert "D002" not in out.with_name(out.name + ".manifest.json").read_text()
    alone.run("release", "withdraw", "persons", "--reason", "review", "--state", alone.state)
    done = alone.attempt("verify", out, "--state", alone.state)
    assert done.returncode == 1
    assert "withdrawn" in done.stderr
