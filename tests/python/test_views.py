"""Views of policies as stock clients meet them: listed, pulled by path, asked in SQL.

What the shipped views of HTCondor and Slurm jobs tell is computed again here, from the raw rows and
from what a plain pull gave.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest
import sample_jobs
from custodian import PROJECT, Custodian, Server
from driver import ask, connected, refused
from partner import Partner
from support import client_of, furnished

from audit import until

HTCONDOR = PROJECT / "policies" / "htcondor-jobs.yaml"
ROWS = 12_000
VIEWS = [
    *("users ips user_ips failed_users sites jobs_by_site commands records".split()),
    *("codebook features".split()),
]
NAMES = [f"htcondor_{name}" for name in VIEWS]
GROUP_MIN = 20


@dataclass
class World:
    """A server of sample jobs, the raw rows, and partners: rows, aggregates, nothing."""

    custodian: Custodian
    server: Server
    raw: pa.Table

    def partner(self, name: str = "cern") -> Partner:
        """A partner's client."""
        return client_of(self.custodian, self.server, name)

    def released(self) -> pa.Table:
        """What a plain pull gives."""
        return self.partner().pull("htcondor_jobs").table


def untidied(folder: Path) -> None:
    """Spell some sites in other ways, count completions as text, and lose some users."""
    for path in folder.glob("*.parquet"):
        rows = pq.read_table(path).to_pylist()
        for number, row in enumerate(rows):
            if number % 97 == 0 and row["Site"]:
                row["Site"] = f" {row['Site'].upper()} "
            if number % 501 == 0:
                row["User"] = None
            row["NumJobCompletions"] = str(row["NumJobCompletions"])
            if number % 1_009 == 0:
                row["NumJobCompletions"] = "unknown"
        schema = pq.read_schema(path)
        at = schema.get_field_index("NumJobCompletions")
        schema = schema.set(at, pa.field("NumJobCompletions", pa.string()))
        pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=5_000)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The shipped policy over sample jobs that are as untidy as real ones."""
    custodian = furnished(tmp_path_factory.mktemp("views"), ["cern", "desy", "fnal"])
    folder = custodian.home / "htcondor"
    sample_jobs.make(folder, ROWS, 11)
    untidied(folder)
    policy = custodian.publish(HTCONDOR, "../htcondor", ["cern"])
    grant = f"  - {{partner: desy, access: aggregates, group_min: {GROUP_MIN}}}\n"
    policy.write_text(policy.read_text() + grant)
    custodian.run("policy", "check", policy, "--data")
    raw = ds.dataset(folder, format="parquet").to_table()
    with custodian.serve() as server:
        yield World(custodian, server, raw)


@pytest.fixture
def cern(world: World) -> Iterator[adbc.Connection]:
    """A partner with rows."""
    with connected(world.custodian, world.server) as connection:
        yield connection


def paths(client: flight.FlightClient, options: flight.FlightCallOptions) -> list[str]:
    """The names of all flights."""
    return [info.descriptor.path[0].decode() for info in client.list_flights(b"", options)]


def commonest(seen: "Counter[str]") -> tuple[str, int]:
    """What was seen most often, the first of several, and how often."""
    return min(seen.items(), key=lambda pair: (-pair[1], pair[0]))


def shortest(seen: "Counter[str]") -> tuple[str, int]:
    """The same, of several the shortest."""
    return min(seen.items(), key=lambda pair: (-pair[1], len(pair[0]), pair[0]))


def listed(connection: adbc.Connection, **filters: object) -> dict[str, str]:
    """Tables of the schema of datasets, with what they are."""
    objects = connection.adbc_get_objects(depth="tables", **filters).read_all().to_pylist()
    schemas = [schema for each in objects for schema in each["catalog_db_schemas"] or []]
    public = [schema for schema in schemas if schema["db_schema_name"] == "public"]
    tables = [table for schema in public for table in schema["db_schema_tables"] or []]
    return {table["table_name"]: table["table_type"] for table in tables}


# ----------------------------------------------------------------------------- listed and found


def test_views_are_listed_as_flights_and_as_tables(world: World, cern: adbc.Connection) -> None:
    partner = world.partner()
    assert paths(partner.connect(), partner.options) == ["htcondor_jobs", *NAMES]
    assert listed(cern) == {"htcondor_jobs": "TABLE", **dict.fromkeys(NAMES, "VIEW")}
    assert "VIEW" in cern.adbc_get_table_types()
    assert set(listed(cern, table_types_filter=["VIEW"])) == set(NAMES)
    found = ask(cern, "SELECT table_name FROM information_schema.tables WHERE table_type = 'VIEW'")
    assert set(NAMES) <= set(found["table_name"].to_pylist())


@pytest.mark.parametrize("name", NAMES)
def test_a_view_is_the_same_by_its_path_and_in_a_statement(
    world: World, cern: adbc.Connection, name: str
) -> None:
    by_path = world.partner().pull(name).table
    asked = ask(cern, f"SELECT * FROM {name}")
    assert by_path.schema == asked.schema == cern.adbc_get_table_schema(name).remove_metadata()
    rows = [sorted(map(repr, table.to_pylist())) for table in (by_path, asked)]
    assert by_path.num_rows > 0 and rows[0] == rows[1]


def test_who_has_no_grant_sees_no_view(world: World) -> None:
    partner = world.partner("fnal")
    assert paths(partner.connect(), partner.options) == []
    with connected(world.custodian, world.server, "fnal") as connection:
        assert listed(connection) == {}
        there = refused(lambda: ask(connection, "SELECT * FROM htcondor_users"))
        nowhere = refused(lambda: ask(connection, "SELECT * FROM htcondor_userz"))
        assert there.code == nowhere.code == "D001"


# ------------------------------------------------------------------------------- what they tell


def test_users_and_addresses_are_counted(world: World) -> None:
    released = world.released()
    for view, column in (("htcondor_users", "User"), ("htcondor_ips", "JobsubClientIpAddress")):
        found = {
            row["token"]: (row["count"], row["valid"])
            for row in world.partner().pull(view).table.to_pylist()
        }
        counts = Counter(released[column].to_pylist())
        assert None in counts
        assert found == {token: (n, token is not None) for token, n in counts.items()}


def test_each_user_has_the_address_of_most_jobs(world: World) -> None:
    released = world.released().select(["User", "JobsubClientIpAddress"]).to_pylist()
    pairs: dict[str | None, Counter[str]] = defaultdict(Counter)
    for row in released:
        if row["JobsubClientIpAddress"] is not None:
            pairs[row["User"]][row["JobsubClientIpAddress"]] += 1
    expected = {user: shortest(seen) for user, seen in pairs.items()}
    rows = world.partner().pull("htcondor_user_ips").table.to_pylist()
    assert {row["token"]: (row["ip_token"], row["ip_count"]) for row in rows} == expected


def test_failed_users_are_those_whose_jobs_started_and_never_completed(world: World) -> None:
    pseudonyms = world.released()["User"].to_pylist()
    order = ["ClusterId", "ProcId"]
    assert world.raw.select(order).equals(world.released().select(order))
    fails, totals = Counter[str | None](), Counter[str | None]()
    for row, user in zip(world.raw.to_pylist(), pseudonyms):
        totals[user] += 1
        completions = row["NumJobCompletions"]
        started = (row["NumJobStarts"] or 0) > 0
        fails[user] += started and completions.isdigit() and int(completions) == 0
    expected = {
        user: (n, totals[user], n / totals[user], n / ROWS, user is not None)
        for user, n in fails.items()
        if n
    }
    rows = world.partner().pull("htcondor_failed_users").table.to_pylist()
    found = {row["token"]: tuple(row[key] for key in row if key != "token") for row in rows}
    assert found == expected and 0 < len(found) < len(totals)


def test_sites_have_one_spelling_each_and_their_jobs(world: World, cern: adbc.Connection) -> None:
    raw = [site for site in world.raw["Site"].to_pylist() if site]
    keys: dict[str, Counter[str]] = defaultdict(Counter)
    for site in raw:
        keys[site.strip().lower()][site.strip()] += 1
    expected = {
        key: (commonest(seen)[0], sum(seen.values()), len(seen))
        for key, seen in keys.items()
    }
    rows = world.partner().pull("htcondor_sites").table.to_pylist()
    assert {r["site_key"]: (r["site"], r["jobs"], r["spellings"]) for r in rows} == expected
    assert any(spellings > 1 for _, _, spellings in expected.values())
    name, jobs, _ = expected["fermigrid"]
    sql = "SELECT * FROM htcondor_jobs_by_site WHERE lower(canonical_site) = lower('FERMIgrid')"
    found = ask(cern, sql)
    assert found.num_rows == jobs and set(found["canonical_site"].to_pylist()) == {name}
    assert len(set(found["Site"].to_pylist())) > 1


def test_records_hold_what_is_known_and_no_more(world: World) -> None:
    released = world.released().to_pylist()
    table = world.partner().pull("htcondor_records").table
    kind = table.schema.field("record").type
    assert pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)
    records = {(row["ClusterId"], row["ProcId"]): row["record"] for row in table.to_pylist()}
    assert len(records) == ROWS
    for row in released:
        record = records[row["ClusterId"], row["ProcId"]]
        assert [pair["k"] for pair in record] == [key for key in row if row[key] is not None]
        texts = {pair["k"]: pair["v"] for pair in record}
        assert texts["RequestMemory"] == str(row["RequestMemory"])
        assert texts.get("User") == row["User"]


def test_features_are_vectors_of_one_length_that_the_codebook_explains(world: World) -> None:
    table = world.partner().pull("htcondor_features").table
    assert table.schema.field("features").type == pa.list_(pa.float32(), 10)
    book = world.partner().pull("htcondor_codebook").table.to_pylist()
    places = {row["feature"]: row["position"] for row in book}
    assert sorted(places.values()) == list(range(10))
    sites = {row["value"]: row["code"] for row in book if row["feature"] == "Site"}
    assert sorted(sites.values()) == list(range(len(sites)))
    vectors = {(row["ClusterId"], row["ProcId"]): row["features"] for row in table.to_pylist()}
    assert len(vectors) == ROWS
    for row in world.released().to_pylist():
        vector = vectors[row["ClusterId"], row["ProcId"]]
        assert vector[places["RequestMemory"]] == row["RequestMemory"]
        assert vector[places["hour"]] == row["QDate"].hour
        site = vector[places["Site"]]
        assert math.isnan(site) if row["Site"] is None else site == sites[row["Site"]]


def test_vectors_are_read_as_lists_of_one_length_with_their_codebook(world: World) -> None:
    """The report `vectors`, as a data scientist reads it, and the view beside it."""
    columns = ["QDate", "RequestMemory", "RequestCpus", "CumulativeSlotTime", "NumJobStarts"]
    columns += ["Experiment", "Site"]
    out, custodian = world.custodian.home / "vectors", world.custodian
    said = ["--dataset", "htcondor_jobs", "--partner", "cern", "--columns", ",".join(columns)]
    places = ["--policies", custodian.policies, "--state", custodian.state, "--out", out]
    custodian.run("report", "vectors", *said, *places)
    table = pq.read_table(out / "vectors.parquet")
    kind = table.schema.field("vector").type
    assert pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float32()
    assert (kind.list_size, table.num_rows) == (len(columns), ROWS)
    book = json.loads((out / "vectors.codebook.json").read_text())
    assert [column["column"] for column in book["columns"]] == columns
    assert (book["width"], book["rows"]) == (len(columns), ROWS)
    flat = table["vector"].combine_chunks().flatten().to_numpy()
    matrix = flat.reshape(ROWS, len(columns))
    released = world.released()
    assert matrix[:, 1].tolist() == released["RequestMemory"].to_pylist()
    codes = {value["value"]: value["code"] for value in book["columns"][6]["values"]}
    for code, site in zip(matrix[:, 6].tolist(), released["Site"].to_pylist(), strict=True):
        assert math.isnan(code) if site is None else codes[site] == code
    view = world.partner().pull("htcondor_features").table
    seen = view["features"].combine_chunks().flatten().to_numpy().reshape(ROWS, 10)[:, :7]
    told = sorted(map(repr, matrix.tolist()))
    assert sorted(map(repr, seen.tolist())) == told


def test_environments_are_pairs_in_the_order_of_their_keys(world: World) -> None:
    table = world.partner().pull("htcondor_commands").table
    jobs = {(row["ClusterId"], row["ProcId"]): row["environment"] for row in table.to_pylist()}
    pairs = 0
    for row in world.released().select(["ClusterId", "ProcId", "Environment"]).to_pylist():
        found = jobs[row["ClusterId"], row["ProcId"]]
        assert (found is None) == (row["Environment"] is None)
        keys = [pair["key"].lower() for pair in found or []]
        assert keys == sorted(keys)
        assert all(f"{pair['key']}=" in row["Environment"] for pair in found or [] if pair["key"])
        pairs += len(keys)
    assert pairs > ROWS // 2


def test_no_original_is_in_any_view(world: World) -> None:
    originals = {
        text
        for column in ("User", "AccountingGroup", "JobsubClientIpAddress", "Cmd")
        for text in world.raw[column].unique().to_pylist()
        if text
    }
    handles = {text.split("@")[0] for text in world.raw["User"].unique().to_pylist() if text}
    for name in NAMES:
        told = repr(world.partner().pull(name).table.to_pydict())
        words = set(told.replace("@", "'").split("'"))
        assert not (originals | handles) & words, name


# -------------------------------------------------------------------------------- in statements


def test_views_join_with_the_dataset_and_with_each_other(cern: adbc.Connection) -> None:
    sql = """
        WITH few AS (SELECT * FROM htcondor_failed_users WHERE fails >= 3)
        SELECT count(*) AS jobs, count(DISTINCT j."User") AS users,
          (SELECT count(*) FROM few) AS expected, (SELECT sum(total) FROM few) AS rows
        FROM htcondor_jobs j JOIN few ON few.token = j."User"
        WHERE EXISTS (SELECT 1 FROM htcondor_users u WHERE u.token = few.token)"""
    (row,) = ask(cern, sql).to_pylist()
    nulls = ask(cern, "SELECT total FROM htcondor_failed_users WHERE token IS NULL AND fails >= 3")
    gone = sum(nulls["total"].to_pylist())
    assert row["jobs"] == row["rows"] - gone > 0
    assert row["users"] == row["expected"] - nulls.num_rows
    with cern.cursor() as cursor:
        cursor.execute("SELECT jobs FROM htcondor_sites WHERE site_key = ?", ("fermigrid",))
        assert cursor.fetch_arrow_table().num_rows == 1


def test_a_grant_of_aggregates_holds_through_views(world: World) -> None:
    with connected(world.custodian, world.server, "desy") as connection:
        assert set(NAMES) <= set(listed(connection))
        for name in NAMES:
            refused(lambda name=name: ask(connection, f"SELECT * FROM {name}"))
        sql = "SELECT count(*) AS n FROM htcondor_jobs"
        assert ask(connection, sql)["n"].to_pylist() == [ROWS]
    partner = world.partner("desy")
    assert paths(partner.connect(), partner.options) == []
    with pytest.raises(flight.FlightUnauthorizedError):
        partner.pull("htcondor_users")


def test_a_view_of_aggregates_is_pulled_under_such_a_grant(world: World) -> None:
    policy = world.custodian.policies / HTCONDOR.name
    before = policy.read_text()
    view = (
        "  - name: by_experiment\n"
        '    sql: SELECT "Experiment", count(*) AS jobs, avg("RequestMemory") AS memory '
        'FROM htcondor_jobs GROUP BY "Experiment"\n'
    )
    other = world.custodian.policies.parent / "other" / policy.name
    other.parent.mkdir()
    other.write_text(before.replace("grants:\n", f"{view}\ngrants:\n"))
    world.custodian.run("policy", "check", other)
    policy.write_text(other.read_text())
    partner = world.partner("desy")
    client = partner.connect()
    until(lambda: bool(paths(client, partner.options)))
    table = partner.pull("by_experiment").table
    policy.write_text(before)
    persons: dict[str, set[str]] = defaultdict(set)
    for row in world.raw.select(["Experiment", "User"]).to_pylist():
        if row["User"] is not None:
            persons[row["Experiment"]].add(row["User"])
    large = {name for name, users in persons.items() if len(users) >= GROUP_MIN}
    assert set(table["Experiment"].to_pylist()) == large
    assert 0 < len(large) < len(persons)


# -------------------------------------------------------------------------- on a real Slurm log

SLURM = [
    *("users user_accounts failed_users partitions jobs_by_partition records".split()),
    *("codebook features".split()),
]


@pytest.fixture(scope="module")
def slurm(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partner]:
    """A partner of a server of the shipped Slurm policy over a real log."""
    custodian = furnished(tmp_path_factory.mktemp("slurm"), ["cern"])
    log = shared / "data" / "slurm" / "pozidriv.log"
    policy = custodian.publish(PROJECT / "policies" / "slurm-accounting.yaml", str(log), ["cern"])
    custodian.run("policy", "check", policy, "--data")
    with custodian.serve() as server:
        yield client_of(custodian, server, "cern")


def test_every_view_of_a_real_log_can_be_pulled(slurm: Partner) -> None:
    expected = ["slurm_accounting", *(f"slurm_{name}" for name in SLURM)]
    assert paths(slurm.connect(), slurm.options) == expected
    jobs = slurm.pull("slurm_accounting").table
    sizes = {name: slurm.pull(f"slurm_{name}").table.num_rows for name in SLURM}
    users = len(jobs["user"].unique())
    assert sizes["users"] == sizes["user_accounts"] == users
    assert sizes["partitions"] == len(jobs["partition"].unique())
    assert sizes["jobs_by_partition"] == sizes["records"] == sizes["features"] == jobs.num_rows


def test_failed_users_of_a_real_log_are_those_of_its_rows(slurm: Partner) -> None:
    jobs = slurm.pull("slurm_accounting").table.select(["user", "start", "end", "state"])
    totals = Counter(jobs["user"].to_pylist())
    fails = Counter(
        row["user"]
        for row in jobs.to_pylist()
        if row["start"] and row["end"] and row["state"] not in ("COMPLETED", None)
    )
    rows = slurm.pull("slurm_failed_users").table.to_pylist()
    assert {row["token"]: (row["fails"], row["total"]) for row in rows} == {
        user: (n, totals[user]) for user, n in fails.items()
    }
    for row in rows:
        assert row["share_of_user"] == row["fails"] / row["total"]
        assert row["share_of_all"] == row["fails"] / jobs.num_rows
    assert 0 < len(rows) < len(totals)


def test_a_records_texts_and_a_vectors_numbers_are_the_rows(slurm: Partner) -> None:
    rows = slurm.pull("slurm_accounting").table.to_pylist()
    jobs = Counter(row["jobid"] for row in rows)
    rows = [row for row in rows if jobs[row["jobid"]] == 1][:500]
    pulled = [slurm.pull(f"slurm_{name}").table.to_pylist() for name in ("records", "features")]
    records, vectors = ({row["jobid"]: row for row in table} for table in pulled)
    for row in rows:
        texts = {pair["k"]: pair["v"] for pair in records[row["jobid"]]["record"]}
        keys = [key for key in row if key not in ("jobid", "jobidraw") and row[key] is not None]
        assert list(texts) == keys and texts["state"] == row["state"]
        vector = vectors[row["jobid"]]["features"]
        assert vector[1:3] == [row["nnodes"], row["ncpus"]]
        assert vector[6:8] == [row["submit"].hour, row["submit"].isoweekday() % 7]
