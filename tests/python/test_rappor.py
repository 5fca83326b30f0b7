"""RAPPOR as a partner meets it: bits as an independent computation has them, and frequencies.

Keys and data are fixed, so that what passes once passes always. What other keys or data would make
of a test by chance stands where it is.
"""

import hashlib
import os
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from access import Access
from custodian import PROJECT, Custodian, Server
from partner import Partner
from pyarrow_sql import query
from rappor_decode import Reports, Settings, decode
from reference.keys import ColumnKeys, Ring, mac
from support import client_of, furnished

POLICY = """\
version: 1
dataset: {name}
source: {{parquet: {name}.parquet}}
columns:
  User: {{class: identifier, pseudonym: {{method: hmac}}}}
  Id:   drop
  Site: {{class: sensitive, rappor: {{person: User{more}}}}}
grants: [{{partner: cern, access: rows}}, {{partner: nersc, access: rows}}]
"""
PERSONS = 50_000
SITES = {
    "FermiGrid": 0.28,
    "BNL": 0.2,
    "Caltech": 0.14,
    "RAL": 0.12,
    "Größer": 0.09,
    "Nebraska": 0.07,
    "PIC": 0.05,
    "JINR": 0.03,
    "MIT": 0.02,
}
ABSENT = [f"nowhere-{at}" for at in range(40)]


@dataclass
class World:
    """A server with two datasets: one job a person, and twenty a person."""

    custodian: Custodian
    server: Server
    jobs: pa.Table
    runs: pa.Table

    def pull(self, dataset: str, partner: str = "cern", threads: int = 8) -> pa.Table:
        """A pull without SQL."""
        client: Partner = client_of(self.custodian, self.server, partner)
        return client.pull(dataset, threads).table

    def sql(self, sql: str) -> pa.Table:
        """An answer."""
        return query(
            Access(self.server.uri, self.custodian.token("cern"), self.custodian.authority), sql
        )


def sites(rng: np.random.Generator, rows: int) -> list[str]:
    """Where jobs ran."""
    shares = np.array(list(SITES.values()))
    return [list(SITES)[at] for at in rng.choice(len(SITES), rows, p=shares)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The server, under a key of its own that is always the same."""
    custodian = furnished(tmp_path_factory.mktemp("rappor"))
    [(_, master)] = Ring.read(custodian.key).masters.items()
    fixed = hashlib.sha256(b"the key of test_rappor").hexdigest()
    custodian.key.write_text(custodian.key.read_text().replace(master.hex(), fixed))
    rng = np.random.default_rng(20)
    where: list[str | None] = [*sites(rng, PERSONS)]
    where[::1_000] = [None] * (PERSONS // 1_000)
    users: list[str | None] = [f"person {at}" for at in range(PERSONS)]
    users[7] = None
    jobs = pa.table({"User": users, "Id": np.arange(PERSONS), "Site": where})
    # Twenty jobs of one person run where the person mostly is.
    homes = sites(rng, 2_500)
    owners = np.repeat(np.arange(2_500), 20)
    away = rng.random(len(owners)) < 0.2
    elsewhere = sites(rng, len(owners))
    ran = [elsewhere[at] if away[at] else homes[owner] for at, owner in enumerate(owners)]
    runs = pa.table(
        {
            "User": [f"person {owner}" for owner in owners],
            "Id": np.arange(len(owners)),
            "Site": pa.array(ran).dictionary_encode(),
        }
    )
    for name, table, more in [("jobs", jobs, ""), ("runs", runs, ", report: Id, f: 0.25")]:
        path = custodian.policies / f"{name}.parquet"
        pq.write_table(table, path, row_group_size=7_000)
        (custodian.policies / f"{name}.yaml").write_text(POLICY.format(name=name, more=more))
        custodian.run("policy", "check", custodian.policies / f"{name}.yaml", "--data")
    with custodian.serve() as server:
        yield World(custodian, server, jobs, runs)


class Computed:
    """RAPPOR by its definition, from `hashlib` and the key ring."""

    def __init__(self, custodian: Custodian, dataset: str, settings: Settings) -> None:
        ring = Ring.read(custodian.key)
        column = ColumnKeys(ring, f"column:{dataset}/Site", "cern", ring.newest)
        self.key, self.settings = column.derive("rappor"), settings

    def draw(self, *parts: bytes) -> bytes:
        """The keyed function: each part stands behind its length."""
        return mac(self.key, b"".join(struct.pack(">Q", len(part)) + part for part in parts))

    def coins(self, bars: list[int], *of: bytes) -> list[bool]:
        """A coin a bit: whether 64 bits, of which the first byte is drawn apart, are below the bar."""
        drawn = []
        for bit, bar in enumerate(bars):
            first = self.draw(*of, bytes([0, bit // 32]))[bit % 32]
            rest = self.draw(*of, bytes([1, bit]))[:7]
            drawn.append(int.from_bytes(bytes([first]) + rest, "big") < bar)
        return drawn

    def report(self, person: str, value: str, report: bytes | None) -> tuple[int, bytes]:
        """What leaves for a row."""
        s, parts = self.settings, [person.encode(), value.encode()]
        number = int.from_bytes(self.draw(b"cohort", parts[0])[:8], "big")
        cohort = number * s.cohorts >> 64
        digest = hashlib.md5(struct.pack(">I", cohort) + parts[1]).digest()
        is_set = {byte % s.bits for byte in digest[: s.hashes]}
        lies = self.coins([int(s.f / 2 * 2**64)] * s.bits, b"permanent", *parts)
        permanent = [(bit in is_set) != lie for bit, lie in enumerate(lies)]
        named = [] if report is None else [report]
        bars = [int((s.q if one else s.p) * 2**64) for one in permanent]
        bits = self.coins(bars, b"report", *parts, *named)
        whole = sum(1 << bit for bit, one in enumerate(bits) if one)
        return cohort, whole.to_bytes(s.bits // 8, "big")


@pytest.mark.parametrize("dataset", ["jobs", "runs"])
def test_what_leaves_is_what_the_definition_says(world: World, dataset: str) -> None:
    raw = (world.jobs if dataset == "jobs" else world.runs).slice(0, 2_500)
    out = world.pull(dataset)
    assert out.schema.field("Site").type == pa.struct(
        [("cohort", pa.uint16()), ("bits", pa.binary(16))]
    )
    settings = Settings.told(out.schema.field("Site"))
    assert settings == Settings(128, 2, 32, 0.5, 0.75, 0.5 if dataset == "jobs" else 0.25)
    computed = Computed(world.custodian, dataset, settings)
    told = out["Site"].slice(0, raw.num_rows).to_pylist()
    for at, (row, report) in enumerate(zip(raw.to_pylist(), told)):
        if row["User"] is None or row["Site"] is None:
            assert report is None
        elif at % 17 == 0:
            identity = str(row["Id"]).encode() if dataset == "runs" else None
            expected = computed.report(row["User"], row["Site"], identity)
            assert (report["cohort"], report["bits"]) == expected, at


def test_pulls_give_the_same_bits_and_partners_others(world: World) -> None:
    whole = world.pull("runs")
    assert whole.equals(world.pull("runs", threads=1))
    reports = {str(row) for row in whole["Site"].to_pylist()}
    assert len(reports) == whole.num_rows, "each report has noise of its own"
    others = {str(row) for row in world.pull("runs", "nersc")["Site"].to_pylist()}
    assert not reports & others
    assert whole.schema.field("Site").metadata[b"veilflight.protection"] == b"rappor"
    assert whole.schema.field("Site").metadata[b"veilflight.local.epsilon"] == b"7.7837"
    assert whole.schema.field("Site").metadata[b"veilflight.local.mechanism"] == b"rappor"


def test_sql_reads_cohorts_and_groups_reports(world: World) -> None:
    answer = world.sql(
        'SELECT "Site"[\'cohort\'] AS cohort, count(*) AS n, count("Site") AS told '
        "FROM jobs GROUP BY \"Site\"['cohort'] ORDER BY cohort NULLS LAST"
    ).to_pylist()
    assert [row["cohort"] for row in answer] == [*range(32), None]
    assert sum(row["n"] for row in answer) == PERSONS and answer[-1]["told"] == 0
    # What the settings are goes along with the column, under any name.
    renamed = world.sql('SELECT "Site" AS place FROM jobs WHERE "Site" IS NOT NULL LIMIT 5')
    assert Settings.told(renamed.schema.field("place")) == Settings(128, 2, 32, 0.5, 0.75, 0.5)
    bits = world.sql("SELECT \"Site\"['bits'] AS bits FROM jobs LIMIT 5")
    assert bits.schema.field("bits").type == pa.binary(16)


def test_clients_read_both_parts(world: World) -> None:
    jobs = world.pull("jobs")
    cohorts = Counter(row["cohort"] for row in jobs["Site"].to_pylist() if row)
    frame = pl.from_arrow(jobs).select(pl.col("Site").struct.unnest()).drop_nulls()
    assert Counter(frame["cohort"].to_list()) == cohorts
    assert frame["bits"].dtype == pl.Binary
    counted = duckdb.sql("SELECT Site.cohort, count(*) FROM jobs WHERE Site IS NOT NULL GROUP BY 1")
    assert dict(counted.fetchall()) == cohorts


def test_frequencies_are_found_again_within_their_intervals(world: World) -> None:
    out = world.pull("jobs")
    settings, reports = Settings.told(out.schema.field("Site")), Reports.of(out, "Site")
    estimates = {one.value: one for one in decode(settings, reports, [*SITES, *ABSENT])}
    rows = [row for row in world.jobs.to_pylist() if row["Site"] and row["User"]]
    truth = Counter(row["Site"] for row in rows)
    # What more than one in twenty-five has is found: it is six deviations, and four are needed.
    for site, share in SITES.items():
        assert estimates[site].found or share < 0.06, site
    # Nothing is found that is not there: one false alarm in twenty, for all 40 together.
    assert not [value for value in ABSENT if estimates[value].found]
    # 95 % intervals; more than one of seven outside happens once in twenty.
    inside = [
        abs(one.share - truth[one.value] / len(rows)) <= one.half_width
        for one in estimates.values()
        if one.found
    ]
    assert len(inside) >= 6 and sum(inside) >= len(inside) - 1, estimates


def test_intervals_know_that_reports_of_a_person_are_not_independent(world: World) -> None:
    out = world.pull("runs")
    settings = Settings.told(out.schema.field("Site"))
    apart = decode(settings, Reports.of(out, "Site"), [*SITES, *ABSENT])
    together = decode(settings, Reports.of(out, "Site", "User"), [*SITES, *ABSENT])
    assert together[0].half_width > 1.2 * apart[0].half_width
    truth = Counter(world.runs["Site"].to_pylist())
    found = [one for one in together if one.found]
    inside = [
        abs(one.share - truth[one.value] / world.runs.num_rows) <= one.half_width for one in found
    ]
    assert len(found) >= 5 and sum(inside) >= len(inside) - 1, together
    assert not {one.value for one in found} & set(ABSENT)


def decoded(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The example as its reader runs it."""
    command = [sys.executable, PROJECT / "examples" / "rappor_decode.py", *arguments]
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_example_prints_a_table_from_the_server_and_from_a_file(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "sites.txt").write_text("\n".join([*SITES, *ABSENT]))
    candidates = ["--candidates", tmp_path / "sites.txt"]
    custodian = world.custodian
    server = ["--uri", world.server.uri, "--token-file", custodian.token_file("cern")]
    asked = ["--ca", custodian.authority, "--sql", 'SELECT "Site" FROM jobs']
    done = decoded(*server, *asked, *candidates, "--export", tmp_path / "tools")
    assert done.returncode == 0, done.stderr
    printed = done.stdout
    assert "reports of Site, 49 candidates" in printed
    lines = [line.split() for line in printed.splitlines() if "+-" in line]
    assert [line[0] for line in lines][:2] == ["FermiGrid", "BNL"]
    assert "not found: " in printed and "nowhere-0" in printed.splitlines()[-1]
    # The same from a file, whose schema pyarrow kept.
    pq.write_table(world.sql('SELECT "Site" FROM jobs'), tmp_path / "told.parquet")
    again = decoded("--parquet", tmp_path / "told.parquet", *candidates)
    assert again.stdout == printed, again.stderr
    # What the tools of google/rappor read.
    params, counts, places = (
        (tmp_path / "tools" / f"{name}.csv").read_text().splitlines()
        for name in ["params", "counts", "map"]
    )
    assert params == ["k,h,m,p,q,f", "128,2,32,0.5,0.75,0.5"]
    totals = [[int(word) for word in line.split(",")] for line in counts]
    reports = [row for row in world.pull("jobs")["Site"].to_pylist() if row]
    assert len(totals) == 32 and sum(total[0] for total in totals) == len(reports)
    first = [row["bits"] for row in reports if row["cohort"] == 3]
    ones = sum(bits[-1] & 1 for bits in first)
    assert totals[3][:2] == [len(first), ones]
    assert len(places) == 49 and places[0].startswith("FermiGrid,")


def test_places_of_values_are_those_of_the_published_vectors() -> None:
    # google/rappor, analysis/tools/hash_candidates_test.py
    settings = Settings(16, 2, 4, 0.5, 0.75, 0.5)
    for value, expected in {
        "apple": [5, 1, 26, 26, 38, 34, 63, 62],
        "banana": [12, 14, 28, 24, 37, 34, 62, 49],
        "carrot": [4, 12, 25, 21, 48, 38, 61, 54],
    }.items():
        places = [at * 16 + bit + 1 for at in range(4) for bit in settings.places(value, at)]
        assert places == expected


def test_a_picture_is_drawn_of_what_was_found(world: World, tmp_path: Path) -> None:
    pq.write_table(world.pull("runs"), tmp_path / "told.parquet")
    picture = tmp_path / "bnl.png"
    arguments = ["--parquet", tmp_path / "told.parquet", "--candidate", "BNL"]
    done = decoded(*arguments, "--plot", picture)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_picture_wants_matplotlib_and_says_so(world: World, tmp_path: Path) -> None:
    # Whatever is installed here: a package of this name that cannot be loaded.
    (tmp_path / "matplotlib.py").write_text("raise ImportError")
    pq.write_table(world.pull("runs").slice(0, 2_000), tmp_path / "told.parquet")
    arguments = ["--parquet", tmp_path / "told.parquet", "--candidate", "BNL"]
    done = decoded(*arguments, "--plot", tmp_path / "bnl.png", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and "--plot needs matplotlib" in done.stderr
    assert "2,000 reports of Site" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "say where reports are"),
        (["--parquet", "plain.parquet"], "by RAPPOR left none"),
        (["--parquet", "plain.parquet", "--column", "b"], "there is no column `b`; there are a"),
        (["--parquet", "plain.parquet", "--column", "a"], "does not say how `a` was made"),
    ],
)
def test_what_cannot_be_decoded_is_said(tmp_path: Path, arguments: list[str], told: str) -> None:
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "plain.parquet")
    files = [str(tmp_path / word) if word.endswith(".parquet") else word for word in arguments]
    done = decoded(*files, "--candidate", "x")
    assert done.returncode == 1 and told in done.stderr
