"""Answers with noise as stock clients meet them: pyarrow, ADBC, pandas' way of asking.

What the answers are worth is compared with the exact numbers of the same rows, within what the
columns of half-widths say. The false alarms of each comparison are told where it stands.
"""

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest
from custodian import Custodian, Server
from driver import Session, ask, connected, refused
from support import client_of, furnished

POLICY = """\
version: 1
dataset: visits
description: Visits of persons
source: {parquet: visits.parquet}
unit: User
columns:
  User: drop
  Site: keep
  Queue: keep
  Hours: keep
public_tables: {sites: {parquet: public/sites.parquet}}
grants:
  - {partner: cern, access: dp, epsilon: 20, delta: 1e-5, groups_max: 3, rows_max: 10,
     bounds: {Hours: [0, 50]}, keys: {Site: [A, B, C, D]}, query: {epsilon: 1, delta: 1e-9}}
  - {partner: nersc, access: dp, epsilon: 1, delta: 1e-5, groups_max: 3, rows_max: 10,
     bounds: {Hours: [0, 50]}, keys: {Site: [A, B, C, D]}, query: {epsilon: 0.5, delta: 1e-6}}
"""
SECRET = "canary-7b1e"
# So many half-widths at 95 % of one Laplace noise are passed with a chance of 20^-7 = 7.8e-10. Of a sum of
# two, whose width is no less than that of the wider: with (1 + t / 2) exp(-t) at most, 9.0e-9 for t = 7 ln 20.
HALF_WIDTHS = 7
PER_SITE = (
    'SELECT "Site", count(*) AS n, sum("Hours") AS h, avg("Hours") AS m FROM visits GROUP BY "Site"'
)


@dataclass
class World:
    """A server of visits that no bound cuts, and the rows themselves."""

    custodian: Custodian
    server: Server
    rows: list[dict[str, object]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two thousand persons with at most ten visits each, of at most three sites."""
    custodian = furnished(tmp_path_factory.mktemp("noise"))
    choose = random.Random(17)
    rows: list[dict[str, object]] = []
    for person in range(2_000):
        for _ in range(choose.randint(1, 10)):
            site, queue = choose.choice("ABC"), f"queue-{choose.randint(0, 2)}"
            user, hours = f"{SECRET}-{person}", choose.randint(0, 50)
            rows.append({"User": user, "Site": site, "Queue": queue, "Hours": hours})
    rows.append({"User": f"{SECRET}-rare", "Site": "A", "Queue": SECRET, "Hours": 1})
    (custodian.policies / "visits.yaml").write_text(POLICY)
    pq.write_table(
        pa.Table.from_pylist(rows), custodian.policies / "visits.parquet", row_group_size=3_000
    )
    (custodian.policies / "public").mkdir()
    sites = {"site": ["A", "B", "C", "D"], "region": ["eu", "eu", "us", "sky"]}
    pq.write_table(pa.table(sites), custodian.policies / "public" / "sites.parquet")
    custodian.run("policy", "check", custodian.policies / "visits.yaml", "--data")
    with custodian.serve("--noise-tick-ms", "5") as server:
        yield World(custodian, server, rows)


@pytest.fixture
def cern(world: World) -> Iterator[adbc.Connection]:
    """A partner with a large budget."""
    with connected(world.custodian, world.server) as connection:
        yield connection


def acted(world: World, partner: str, action: str, body: str = "") -> dict[str, object]:
    """What an action tells."""
    client = client_of(world.custodian, world.server, partner)
    with client.connect() as connection:
        results = connection.do_action(flight.Action(action, body.encode()), client.options)
        return json.loads(next(results).body.to_pybytes())


def spent(world: World, partner: str) -> float:
    """The epsilon that a partner has spent."""
    [dataset] = acted(world, partner, "veilflight.privacy_budget")["datasets"]
    assert dataset["dataset"] == "visits"
    return float(dataset["spent"]["epsilon"])


def test_answers_are_near_the_exact_numbers_and_say_how_near(
    world: World, cern: adbc.Connection
) -> None:
    answer = ask(cern, PER_SITE)
    assert answer.schema.names == ["Site", "n", "h", "m", "n_hw95", "h_hw95", "m_hw95"]
    field = answer.schema.field("h")
    assert field.metadata[b"veilflight.protection"] == b"dp"
    assert field.metadata[b"veilflight.dp.mechanism"] == b"discrete_laplace"
    assert b"50" in field.metadata[b"veilflight.dp.bounds"]
    counts = Counter(row["Site"] for row in world.rows)
    hours: dict[object, int] = defaultdict(int)
    for row in world.rows:
        hours[row["Site"]] += row["Hours"]
    told = {row["Site"]: row for row in answer.to_pylist()}
    assert sorted(told) == ["A", "B", "C", "D"], "a public value without rows is answered as well"
    for site, row in told.items():
        # False alarms: four counts of one noise, four sums and three means of two, 6.6e-8 together. The noise of
        # counts has a scale of 90: that of a site with 3,600 visits comes out at zero with e^-40.
        assert abs(row["n"] - counts[site]) <= HALF_WIDTHS * row["n_hw95"], row
        assert abs(row["h"] - hours[site]) <= HALF_WIDTHS * row["h_hw95"], row
        if site != "D":
            away = abs(row["m"] - hours[site] / counts[site])
            assert away <= HALF_WIDTHS * row["m_hw95"], row


def test_the_same_question_is_the_same_answer_by_any_client(
    world: World, cern: adbc.Connection
) -> None:
    first, before = ask(cern, PER_SITE), spent(world, "cern")
    client = client_of(world.custodian, world.server, "cern")
    with client.connect() as connection:
        info = connection.get_flight_info(
            flight.FlightDescriptor.for_command(PER_SITE), client.options
        )
        cost = json.loads(info.app_metadata)["privacy"]
        assert (cost["stored"], cost["epsilon"], cost["delta"]) == (True, "1", "0")
        [endpoint] = info.endpoints
        again = connection.do_get(endpoint.ticket, client.options).read_all()
    assert again.equals(first)
    assert again.schema.equals(info.schema, check_metadata=True)
    renamed = ask(
        cern, PER_SITE.replace("AS n", "AS jobs") + ' HAVING count(*) > -100000 ORDER BY "Site"'
    )
    assert sorted(renamed["jobs"].to_pylist()) == sorted(first["n"].to_pylist())
    assert spent(world, "cern") == before


def test_a_cost_is_told_before_and_nothing_is_spent(world: World) -> None:
    before = spent(world, "cern")
    sql = 'SELECT "Queue", median("Hours") AS m FROM visits WHERE "Site" <> \'B\' GROUP BY "Queue"'
    told = acted(world, "cern", "veilflight.privacy_cost", sql)["privacy"]
    assert (told["epsilon"], told["delta"], told["stored"]) == ("1", "0.000000001", False)
    mechanisms = {one["mechanism"] for one in told["mechanisms"]}
    assert mechanisms == {"discrete_laplace", "permute_and_flip"}
    assert spent(world, "cern") == before
    about = acted(world, "cern", "veilflight.policy_info", "visits")
    assert (about["access"], about["privacy"]["unit"]) == ("dp", "User")
    bounds = {"low": 0.0, "high": 50.0, "step": 0.0001, "null_as": None}
    assert about["privacy"]["bounds"] == {"Hours": bounds}
    assert about["privacy"]["public_keys"] == ["Site"]


def test_a_schema_tells_how_large_noise_will_be_and_nothing_is_spent(
    world: World, cern: adbc.Connection
) -> None:
    before = spent(world, "cern")
    with cern.cursor() as cursor:
        schema = cursor.adbc_execute_schema(
            'SELECT "Queue", count(*) AS n, median("Hours") AS m FROM visits GROUP BY "Queue"'
        )
    told = {name: schema.field(name).metadata for name in ("n", "m")}
    assert float(told["n"][b"veilflight.dp.half_width_95"]) > 1
    assert float(told["m"][b"veilflight.dp.rows_off_95"]) > 1
    assert int(told["m"][b"veilflight.dp.threshold"]) > 1
    assert spent(world, "cern") == before
    answer = ask(cern, PER_SITE)
    for name in ("n", "h"):
        width = float(answer.schema.field(name).metadata[b"veilflight.dp.half_width_95"])
        assert answer[f"{name}_hw95"].to_pylist() == [pytest.approx(width)] * 4, name


def test_half_widths_follow_into_other_units(world: World, cern: adbc.Connection) -> None:
    first, before = ask(cern, PER_SITE), spent(world, "cern")
    scaled = ask(
        cern,
        'SELECT "Site", count(*) * 100 AS n, sum("Hours") / 24 AS h, round(avg("Hours") * 60) AS m '
        'FROM visits GROUP BY "Site"',
    )
    assert scaled.schema.names == first.schema.names
    assert spent(world, "cern") == before, "the same question"
    for old, new in zip(first.to_pylist(), scaled.to_pylist(), strict=True):
        assert new["n_hw95"] == pytest.approx(100 * old["n_hw95"])
        assert new["h_hw95"] == pytest.approx(old["h_hw95"] / 24 + 1), "whole numbers are cut"
        assert (new["m_hw95"] is None) == (old["m_hw95"] is None)
        if old["m_hw95"] is not None:
            assert new["m_hw95"] == pytest.approx(60 * old["m_hw95"] + 1)


def test_epsilon_is_an_option_of_the_session_and_of_a_call(world: World) -> None:
    sql = 'SELECT count(*) AS n FROM visits WHERE "Hours" > 7'
    with connected(world.custodian, world.server, **{"veilflight-epsilon": "0.25"}) as connection:
        before = spent(world, "cern")
        ask(connection, sql)
        assert spent(world, "cern") == pytest.approx(before + 0.25)
    with connected(world.custodian, world.server) as connection:
        option = f"{Session.OPTION_SESSION_OPTION_PREFIX.value}epsilon"
        connection.adbc_connection.set_options(**{option: "0.125"})
        ask(connection, sql)
        assert spent(world, "cern") == pytest.approx(before + 0.375)
        with pytest.raises(adbc.Error):
            connection.adbc_connection.set_options(**{option: "-1"})
    for wrong in ["-0.1", "nan", "1e9", "0"]:
        with connected(
            world.custodian, world.server, **{"veilflight-epsilon": wrong}
        ) as connection:
            assert refused(lambda: ask(connection, sql)).code == "R001"


def test_prepared_statements_take_parameters(world: World, cern: adbc.Connection) -> None:
    with cern.cursor() as cursor:
        sql = 'SELECT count(*) AS n FROM visits WHERE "Hours" >= ? AND "Site" = ?'
        cursor.adbc_prepare(sql)
        cursor.execute(sql, (40, "A"))
        bound = cursor.fetch_arrow_table()
    before = spent(world, "cern")
    written = ask(cern, 'SELECT count(*) AS n FROM visits WHERE "Hours" >= 40 AND "Site" = \'A\'')
    assert written.equals(bound)
    assert spent(world, "cern") == before


def test_a_spent_budget_answers_what_it_answered(world: World) -> None:
    with connected(world.custodian, world.server, "nersc") as connection:
        first = ask(connection, "SELECT count(*) AS n FROM visits")
        ask(connection, 'SELECT count(*) AS n FROM visits WHERE "Hours" > 1')
        told = refused(
            lambda: ask(connection, 'SELECT count(*) AS n FROM visits WHERE "Hours" > 2')
        )
        assert told.code == "L012" and "Hint: nothing is left" in told.text
        assert ask(connection, "SELECT count(*) AS n FROM visits").equals(first)
    assert spent(world, "nersc") == 1.0


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM visits",
        'SELECT "Site" FROM visits LIMIT 1',
        'SELECT DISTINCT "Queue" FROM visits',
        'SELECT count(*) FROM visits a JOIN visits b ON a."Hours" = b."Hours"',
        'SELECT array_agg("Queue") FROM visits',
        'SELECT count(*) FROM visits WHERE 1 / ("Hours" - 7) > 0',
    ],
)
def test_what_is_no_aggregate_is_refused_with_what_to_write(
    cern: adbc.Connection, sql: str
) -> None:
    told = refused(lambda: ask(cern, sql))
    assert told.code == "Q006" and "Hint:" in told.text, told.text
    assert SECRET not in told.text


def test_rows_are_not_pulled_and_rare_groups_do_not_show(
    world: World, cern: adbc.Connection
) -> None:
    client = client_of(world.custodian, world.server, "cern")
    with client.connect() as connection:
        listed = {
            info.descriptor.path[0]: info for info in connection.list_flights(b"", client.options)
        }
        assert listed[b"visits"].endpoints == []
    with pytest.raises((flight.FlightError, pa.ArrowException, OSError), match="Q006"):
        client.pull("visits")
    # The one person in the queue shows with a chance of 10^-9, others stay away with e^-300.
    queues = ask(cern, 'SELECT "Queue", count(*) AS n FROM visits GROUP BY "Queue"')[
        "Queue"
    ].to_pylist()
    assert sorted(queues) == ["queue-0", "queue-1", "queue-2"]


def test_a_public_table_is_joined_and_read_alone_for_nothing(
    world: World, cern: adbc.Connection
) -> None:
    tables = {
        (schema["db_schema_name"], table["table_name"])
        for catalog in cern.adbc_get_objects(depth="tables").read_all().to_pylist()
        for schema in catalog["catalog_db_schemas"]
        for table in schema["db_schema_tables"]
    }
    assert ("visits", "sites") in tables, tables
    before = spent(world, "cern")
    rows = ask(cern, "SELECT site, region FROM visits.sites ORDER BY site").to_pylist()
    assert [row["region"] for row in rows] == ["eu", "eu", "us", "sky"]
    assert spent(world, "cern") == before
    told = ask(
        cern,
        "SELECT region, count(*) AS n FROM visits v JOIN visits.sites s ON v.\"Site\" = s.site "
        "GROUP BY region ORDER BY region",
    ).to_pylist()
    region = {row["site"]: row["region"] for row in rows}
    counts = Counter(region[str(row["Site"])] for row in world.rows)
    assert [row["region"] for row in told] == ["eu", "sky", "us"]
    for row in told:
        # Three groups at most, ten rows each: who has more than ten in `eu` has some left out, and nobody has.
        # False alarms: 2.4e-9 of all three.
        assert abs(row["n"] - counts[row["region"]]) <= HALF_WIDTHS * row["n_hw95"], row
    # What is computed of public values is public, and what they exclude is not answered.
    upper = ask(
        cern,
        "SELECT upper(region) AS r, count(*) AS n FROM visits v "
        "JOIN visits.sites s ON v.\"Site\" = s.site "
        "WHERE region <> 'sky' GROUP BY upper(region) ORDER BY r",
    ).to_pylist()
    assert [row["r"] for row in upper] == ["EU", "US"]
    for row in upper:
        # False alarms: 1.6e-9 of both.
        assert abs(row["n"] - counts[row["r"].lower()]) <= HALF_WIDTHS * row["n_hw95"], row


def test_quantiles_lie_in_their_bounds_and_near_the_middle(cern: adbc.Connection) -> None:
    [row] = ask(
        cern, 'SELECT median("Hours") AS m, min("Hours") AS low, max("Hours") AS high FROM visits'
    ).to_pylist()
    # 11,000 values, evenly from 0 to 50, and ten of a person: the scores of 15 and 35 are 4,400 below the best, their
    # scale is 60. So each of 400 points out there is chosen with e^-73 at most; and so for `low` and `high`.
    assert 15 <= row["m"] <= 35, row
    assert 0 <= row["low"] <= row["m"] <= row["high"] <= 50, row


def test_no_person_stands_in_any_answer_log_or_refusal(world: World, cern: adbc.Connection) -> None:
    for sql in [PER_SITE, 'SELECT count(DISTINCT "User") AS users FROM visits']:
        answer = ask(cern, sql)
        assert SECRET not in str(answer.to_pylist())
    [row] = ask(cern, 'SELECT count(DISTINCT "User") AS users FROM visits').to_pylist()
    # False alarms: 7.8e-10.
    assert abs(row["users"] - 2_001) <= HALF_WIDTHS * row["users_hw95"], row
    assert not math.isnan(row["users_hw95"])
    assert SECRET not in world.server.log.read_text()
