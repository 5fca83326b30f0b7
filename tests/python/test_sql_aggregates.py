"""`access: aggregates`: groups over enough persons, and nothing about anybody alone.

Attacks that single one person out must be refused, or must not tell more than silence does.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from custodian import Custodian, Server
from driver import ask, connected
from driver import refused as refused_by_driver
from flightsql import Caller, Refused, packed, schema_of, statement
from support import furnished

MIN = 5
POLICY = """\
version: 1
dataset: stays
source: {parquet: "../stays.parquet"}
unit: person
columns:
  id:     keep
  person: {pseudonym: {method: hmac, domain: person}}
  ward:   keep
  sex:    keep
  cost:   keep
  day:    {truncate: month}
grants:
  - {partner: cern, access: aggregates, group_min: 5}
  - {partner: nersc, access: rows}
"""
OPEN = """\
version: 1
dataset: wards
source: {parquet: "../wards.parquet"}
columns: {ward: keep, beds: keep}
grants: [{partner: cern, access: rows}]
"""

# How many persons and how many stays of each a ward has.
WARDS = {
    "north": (40, 3),
    "south": (12, 2),
    "five": (5, 1),
    "four": (4, 6),
    "one": (1, 50),
    "nobody": (0, 0),
}
UNNAMED = 20


def stays() -> pa.Table:
    """Stays: wards of many, few and one person, and one where no stay has a person."""
    rows = []
    for ward, (persons, each) in WARDS.items():
        for person in range(persons):
            for stay in range(each):
                rows.append(
                    {
                        "person": f"{ward} {person}",
                        "ward": ward,
                        "sex": "fm"[person % 2],
                        "cost": 100 + 7 * person + stay,
                    }
                )
    # Rows without a person count for no group.
    rows += [{"person": None, "ward": "unnamed", "sex": "f", "cost": 5} for _ in range(UNNAMED)]
    rows += [{"person": None, "ward": "four", "sex": "f", "cost": 5} for _ in range(UNNAMED)]
    for number, row in enumerate(rows):
        row["id"] = number
        row["day"] = 1_700_000_000_000_000 + number * 3_600_000_000 * 9
    table = pa.Table.from_pylist(rows)
    place = table.schema.get_field_index("day")
    return table.set_column(place, "day", table["day"].cast(pa.timestamp("us")))


@pytest.fixture(scope="module")
def custodian(tmp_path_factory: pytest.TempPathFactory) -> Custodian:
    """A custodian with stays."""
    custodian = furnished(tmp_path_factory.mktemp("aggregates"))
    pq.write_table(stays(), custodian.home / "stays.parquet", row_group_size=40)
    beds = pa.table({"ward": list(WARDS), "beds": list(range(len(WARDS)))})
    pq.write_table(beds, custodian.home / "wards.parquet")
    (custodian.policies / "stays.yaml").write_text(POLICY)
    (custodian.policies / "wards.yaml").write_text(OPEN)
    return custodian


@pytest.fixture(scope="module")
def server(custodian: Custodian) -> Iterator[Server]:
    """Their server."""
    with custodian.serve(tls=False) as server:
        yield server


@pytest.fixture(scope="module")
def cern(custodian: Custodian, server: Server) -> Iterator[Caller]:
    """A partner who may have aggregates."""
    with Caller(server.uri, custodian.token("cern")) as caller:
        yield caller


@pytest.fixture(scope="module")
def rows(custodian: Custodian, server: Server) -> list[dict[str, object]]:
    """The rows as another partner sees them."""
    with Caller(server.uri, custodian.token("nersc")) as caller:
        answers = caller.pull(caller.info_of_path("stays"))
    return [row for answer in answers for row in answer.table.to_pylist()]


def run(caller: Caller, sql: str) -> list[tuple[object, ...]]:
    """A statement's rows, in some order."""
    info = caller.info(statement(sql))
    answers = caller.pull(info)
    assert all(info.schema.equals(each.schema, check_metadata=True) for each in answers)
    table = pa.concat_tables([answer.table for answer in answers])
    return sorted(zip(*(column.to_pylist() for column in table.columns)), key=str)


def code(call: Callable[[], object]) -> str:
    """With which code something is refused; nothing when it is answered."""
    try:
        call()
    except Refused as refused:
        return refused.code
    return ""


def enough(rows: list[dict[str, object]]) -> bool:
    """Whether rows stand for enough persons."""
    return len({row["person"] for row in rows if row["person"] is not None}) >= MIN


def grouped(
    rows: list[dict[str, object]], key: Callable[[dict[str, object]], object]
) -> dict[object, list[dict[str, object]]]:
    """The groups that may be told."""
    found: dict[object, list[dict[str, object]]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return {name: members for name, members in found.items() if enough(members)}


# ------------------------------------------------------------------------------------ what is answered


def test_groups_of_enough_persons_are_told_and_the_others_are_not(
    cern: Caller, rows: list[dict[str, object]]
) -> None:
    groups = grouped(rows, lambda row: row["ward"])
    expected = [
        (ward, len(members), sum(row["cost"] for row in members))
        for ward, members in groups.items()
    ]
    assert set(groups) == {"north", "south", "five"}
    sql = "SELECT ward, count(*) AS n, sum(cost) AS s FROM stays GROUP BY ward"
    assert run(cern, sql) == sorted(expected, key=str)


def test_finer_groups_are_told_each_on_its_own(cern: Caller, rows: list[dict[str, object]]) -> None:
    groups = grouped(rows, lambda row: (row["ward"], row["sex"]))
    expected = sorted([(*key, len(members)) for key, members in groups.items()], key=str)
    assert expected and len(expected) < 10
    assert run(cern, "SELECT ward, sex, count(*) AS n FROM stays GROUP BY ward, sex") == expected


def test_parts_of_times_and_steps_of_numbers_may_be_keys(cern: Caller, rows: list[dict[str, object]]) -> None:
    groups = grouped(rows, lambda row: row["day"].month)
    expected = sorted([(key, len(members)) for key, members in groups.items()], key=str)
    sql = "SELECT date_part('month', day) AS m, count(*) AS n FROM stays GROUP BY 1"
    assert expected and run(cern, sql) == expected
    # Other expressions could be made to hold one person.
    for key in ("cost * 3", "cost % id", "CASE WHEN cost > 3 THEN 1 END"):
        sql = f"SELECT {key} AS k, count(*) AS n FROM stays GROUP BY 1"
        assert code(lambda sql=sql: run(cern, sql)) == "Q004", key
    groups = grouped(rows, lambda row: row["cost"] // 100)
    expected = sorted([(key, len(members)) for key, members in groups.items()], key=str)
    sql = "SELECT cost / 100 AS k, count(*) AS n FROM stays GROUP BY 1"
    assert expected and run(cern, sql) == expected


def test_the_whole_table_is_one_group(cern: Caller, rows: list[dict[str, object]]) -> None:
    costs = [row["cost"] for row in rows]
    ((count, total, mean),) = run(cern, "SELECT count(*), sum(cost), avg(cost) FROM stays")
    assert (count, total) == (len(rows), sum(costs))
    assert abs(mean - sum(costs) / len(costs)) < 1e-9


def test_conditions_are_on_rows_and_on_groups(cern: Caller, rows: list[dict[str, object]]) -> None:
    women = [row for row in rows if row["sex"] == "f"]
    expected = [
        (ward, len(members))
        for ward, members in grouped(women, lambda row: row["ward"]).items()
        if len(members) > 10
    ]
    sql = (
        "SELECT ward, count(*) AS n FROM stays WHERE sex = 'f' GROUP BY ward "
        "HAVING count(*) > 10 ORDER BY n DESC LIMIT 10"
    )
    assert run(cern, sql) == sorted(expected, key=str)


def test_the_stock_driver_is_answered_alike(custodian: Custodian, server: Server) -> None:
    with connected(custodian, server) as connection:
        sql = "SELECT ward, count(*) AS n FROM stays GROUP BY ward ORDER BY ward"
        assert ask(connection, sql)["ward"].to_pylist() == ["five", "north", "south"]
        told = refused_by_driver(lambda: ask(connection, "SELECT * FROM stays"))
        assert told.code == "Q004"
        assert "stays" in str(connection.adbc_get_objects(depth="tables").read_all().to_pylist())
        assert connection.adbc_get_table_schema("stays").names[0] == "id"


# ------------------------------------------------------------------------------------ what is refused

REFUSED = {
    "rows": "SELECT * FROM stays",
    "one column": "SELECT ward FROM stays",
    "one row": "SELECT cost FROM stays WHERE id = 3",
    "rows in order": "SELECT cost FROM stays ORDER BY cost DESC LIMIT 1",
    "a window": "SELECT ward, count(*) OVER (PARTITION BY ward) FROM stays",
    "a row number": "SELECT row_number() OVER (ORDER BY cost) FROM stays",
    "rows in a union": "SELECT count(*) FROM stays UNION ALL SELECT cost FROM stays",
    "rows in a table of its own": "WITH t AS (SELECT cost FROM stays) SELECT * FROM t",
    "rows beside a count": "SELECT s.cost, c.n FROM stays s, (SELECT count(*) AS n FROM stays) c",
    "rows in a condition": "SELECT ward FROM wards WHERE ward IN (SELECT ward FROM stays)",
    "one row as a value": "SELECT (SELECT cost FROM stays WHERE id = 3) AS c FROM wards",
    "whether a row exists": "SELECT 1 FROM wards WHERE EXISTS (SELECT 1 FROM stays WHERE cost = 149)",
    "a list": "SELECT ward, array_agg(cost) FROM stays GROUP BY ward",
    "a text of all": "SELECT ward, string_agg(sex, ',') FROM stays GROUP BY ward",
    "somebody's value": "SELECT ward, first_value(cost ORDER BY id) FROM stays GROUP BY ward",
    "another's value": "SELECT ward, last_value(cost) FROM stays GROUP BY ward",
    "a chosen one's value": "SELECT ward, nth_value(cost, 2 ORDER BY id) FROM stays GROUP BY ward",
    "one person in a filter": "SELECT ward, sum(cost) FILTER (WHERE id = 3) FROM stays GROUP BY ward",
    "grouping sets": "SELECT ward, count(*) FROM stays GROUP BY ROLLUP (ward)",
}
# A group of enough persons in which the argument is nothing for all but one of them.
SINGLED = {
    "one person in a case": "SELECT ward, sum(CASE WHEN id = 3 THEN cost ELSE 0 END) FROM stays GROUP BY ward",
    "one person in a product": "SELECT sum(cost * CAST(id = 3 AS INT)) FROM stays",
    "one person in a count": "SELECT count(CASE WHEN id = 3 AND cost > 100 THEN 1 END) FROM stays",
    "one person in a maximum": "SELECT max(CASE WHEN id = 3 THEN cost END) FROM stays",
    "one person in nullif": "SELECT count(nullif(id, 3)) FROM stays",
    "bits of many": "SELECT sum(cost * power(1000, id)) FROM stays WHERE id < 6",
    "the greatest": "SELECT ward, max(cost) FROM stays GROUP BY ward",
    "the least": "SELECT ward, min(id) FROM stays GROUP BY ward",
    "who it is": "SELECT max(person) FROM stays",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_aggregate_over_groups_is_refused(cern: Caller, name: str) -> None:
    for command in (statement(REFUSED[name]), REFUSED[name].encode()):
        assert code(lambda command=command: cern.info(command)) == "Q004"
        assert code(lambda command=command: cern.schema(command)) == "Q004"
        assert code(lambda command=command: cern.poll(command)) == "Q004"
    assert code(lambda: cern.prepare(REFUSED[name])) == "Q004"


@pytest.mark.parametrize("name", SINGLED)
def test_an_aggregate_that_is_about_one_person_is_refused(cern: Caller, name: str) -> None:
    assert code(lambda: run(cern, SINGLED[name])) == "Q004"


def test_the_dataset_cannot_be_pulled(cern: Caller) -> None:
    assert code(lambda: cern.info_of_path("stays")) == "Q004"


def test_the_schema_may_be_known(cern: Caller) -> None:
    info = cern.info(packed("CommandGetTables", (3, "stays"), (5, True)))
    (row,) = cern.ticket(info.tickets[0]).table.to_pylist()
    names = schema_of(row["table_schema"]).names
    assert names == ["id", "person", "ward", "sex", "cost", "day"]


# ---------------------------------------------------------------------------------- what silence tells

PAIRS = {
    "a small group and none": (
        "SELECT count(*) AS n FROM stays WHERE ward = 'four'",
        "SELECT count(*) AS n FROM stays WHERE ward = 'no such'",
    ),
    "one person and none": (
        "SELECT sum(cost) AS s FROM stays WHERE ward = 'one'",
        "SELECT sum(cost) AS s FROM stays WHERE ward = 'no such'",
    ),
    "rows without persons and none": (
        "SELECT ward, count(*) AS n FROM stays WHERE ward = 'unnamed' GROUP BY ward",
        "SELECT ward, count(*) AS n FROM stays WHERE ward = 'no such' GROUP BY ward",
    ),
    "a row and none": (
        "SELECT count(*) AS n FROM stays WHERE id = 3",
        "SELECT count(*) AS n FROM stays WHERE id = 3000000",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_small_group_looks_like_none(cern: Caller, name: str) -> None:
    small, none = (run(cern, sql) for sql in PAIRS[name])
    assert small == none and len(small) <= 1
    assert all(value is None for row in small for value in row), "a number was told"


def test_groups_of_groups_do_not_count_small_ones(
    cern: Caller, rows: list[dict[str, object]]
) -> None:
    told = len(grouped(rows, lambda row: row["ward"]))
    inner = "SELECT ward, count(*) AS n FROM stays GROUP BY ward"
    for sql in (
        f"SELECT count(*) AS k FROM ({inner}) AS q",
        f"WITH q AS ({inner}) SELECT count(*) AS k FROM q",
    ):
        try:
            assert run(cern, sql) == [(told,)]
        except Refused as refused:
            assert refused.code == "Q004"


def test_having_does_not_see_small_groups(cern: Caller) -> None:
    for having in ("count(*) < 1000", "count(*) = 50", "sum(cost) > 0", "ward = 'one'"):
        found = run(cern, f"SELECT ward FROM stays GROUP BY ward HAVING {having}")
        assert {ward for (ward,) in found} <= {"north", "south", "five"}, having


def test_order_and_limit_do_not_see_small_groups(cern: Caller) -> None:
    sql = "SELECT ward, count(*) AS n FROM stays GROUP BY ward ORDER BY {} LIMIT 1"
    for order in ("n", "n DESC", "ward", "ward DESC"):
        found = run(cern, sql.format(order))
        assert len(found) == 1 and found[0][0] in {"north", "south", "five"}, order


def test_distinct_rows_are_groups_too(cern: Caller) -> None:
    for sql in ("SELECT DISTINCT ward FROM stays", "SELECT ward FROM stays GROUP BY ward"):
        try:
            assert run(cern, sql) == [("five",), ("north",), ("south",)]
        except Refused as refused:
            assert refused.code == "Q004"


def test_joins_do_not_make_groups_larger(cern: Caller, rows: list[dict[str, object]]) -> None:
    # Each stay of the one person meets every ward; they stay one person.
    joins = [
        "SELECT s.ward, count(*) AS n FROM stays s CROSS JOIN wards w GROUP BY s.ward",
        "SELECT s.ward, count(*) AS n FROM stays s JOIN wards w ON s.ward = w.ward GROUP BY s.ward",
        "SELECT a.ward, count(*) AS n FROM stays a JOIN stays b ON a.sex = b.sex GROUP BY a.ward",
    ]
    for sql in joins:
        try:
            found = {row[0] for row in run(cern, sql)}
            assert found <= {"north", "south", "five"}, sql
        except Refused as refused:
            assert refused.code == "Q004"


@pytest.mark.parametrize(
    "name",
    ["unit", "_unit", "__unit", "veilflight_unit", "__veilflight_unit", "$unit", "veilflight.unit"],
)
def test_what_counts_persons_has_no_name(cern: Caller, name: str) -> None:
    for sql in (
        f'SELECT count(DISTINCT "{name}") FROM stays',
        f'SELECT "{name}", count(*) FROM stays GROUP BY 1',
        f'SELECT count(*) FROM stays WHERE "{name}" IS NOT NULL',
    ):
        assert code(lambda sql=sql: run(cern, sql)) == "Q001"


def test_no_trace_of_persons_lies_on_the_disk(custodian: Custodian, tmp_path: Path) -> None:
    state = [path for path in custodian.state.rglob("*") if path.is_file()]
    assert state
    for path in state:
        data = path.read_bytes()
        assert b"north 1" not in data and b"four 2" not in data, path
