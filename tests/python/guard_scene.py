"""The stage of the guard tests: servers with canaries, a recorder, and every path a statement can take.

Answers for asking and for watching; what should come out is the tests' business.
"""

import csv
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pyarrow.flight as flight
import pytest
from custodian import Custodian, Server

import guarded
from flightsql import Answer, Caller, Info, Refused, schema_of, statement
from guard_oracles import Found, Tables
from guarded import OF_CELLS, assert_clean, said_by
from proxy import Recorder, recording
from support import furnished


# Everything but the planner, which tells each rule of each plan at length; see the test of the whole log.
LOGGED = "debug,datafusion=info,datafusion_optimizer=info,datafusion_expr=info"

# What tests of their own ask with beside what their line says.
BOUND = {"W2b": "alice"}


@dataclass(frozen=True)
class Case:
    """A line of the set."""

    id: str
    mode: str
    surface: str
    request: str
    check: str

    @property
    def asked(self) -> bool:
        """Whether it is a statement that is run as it stands; else it has a test of its own."""
        return self.check != "test"

    @property
    def said(self) -> str:
        """What the partner says in it, which may stand in a log."""
        return self.request if self.asked else BOUND.get(self.id, "")

    @property
    def codes(self) -> set[str]:
        """The codes with which it may be refused."""
        return set(re.findall(r"[A-Z]\d{3}", self.check))


def cases(path: Path) -> list[Case]:
    """The cases of a file."""
    with path.open() as file:
        lines = [line for line in file if not line.startswith("#")]
    names = ["id", "mode", "surface", "request", "expected", "leak_class", "precedent", "check"]
    lines = [line for line in lines if not line.startswith("id\t")]
    found = csv.DictReader(lines, names, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [
        Case(row["id"], row["mode"], row["surface"], row["request"], row["check"]) for row in found
    ]


CASES = cases(Path(__file__).with_name("sql_guard_cases.tsv"))
ASKED = [case for case in CASES if case.asked]
# Refusals that any statement may meet when it does not matter whether it is answered.
ANY = {"Q001", "Q002", "Q003", "R002", "L006", "L007"}


@dataclass
class Scene:
    """A server with canaries behind a recorder, its neighbours in other worlds, and what is plain."""

    custodian: Custodian
    server: Server
    recorder: Recorder
    cern: Caller
    nersc: Caller
    dashboard: Caller
    others: dict[int, Caller]
    tables: Tables

    def caller(self, mode: str) -> Caller:
        """Who asks in a mode."""
        return self.dashboard if mode == "dp" else self.cern


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Three servers with the same keys and partners; the first is recorded, and logs all it can."""
    home = tmp_path_factory.mktemp("guard")
    custodian = furnished(home, guarded.PARTNERS)
    worlds = {}
    for world in (1, 2):
        folder = home.with_name(f"{home.name}-{world}")
        shutil.copytree(home, folder)
        guarded.write(folder, world)
        worlds[world] = Custodian(folder)
    guarded.write(home)
    token = custodian.token
    with (
        custodian.serve("--log", LOGGED, "--query-seconds", "5", tls=False) as server,
        worlds[1].serve(tls=False) as second,
        worlds[2].serve(tls=False) as third,
        recording(server.uri) as recorder,
        Caller(recorder.uri, token("cern")) as cern,
        Caller(recorder.uri, token("nersc")) as nersc,
        Caller(recorder.uri, token("dashboard")) as dashboard,
        Caller(second.uri, token("cern")) as another,
        Caller(third.uri, token("cern")) as yet_another,
    ):
        jobs, people = (plain(cern, name).to_pylist() for name in ("jobs", "people"))
        others = {1: another, 2: yet_another}
        yield Scene(
            custodian,
            server,
            recorder,
            cern,
            nersc,
            dashboard,
            others,
            Tables(jobs, people),
        )
        while CONNECTIONS:
            CONNECTIONS.popitem()[1].close()


def plain(caller: Caller, dataset: str) -> pa.Table:
    """A dataset by its path, every shard."""
    return pa.concat_tables(answer.table for answer in caller.pull(caller.info_of_path(dataset)))


# -------------------------------------------------------------------------------- paths and watching


def pulled(caller: Caller, info: Info) -> pa.Table:
    """Every endpoint's rows; the schema is the one announced, to the byte."""
    answers = caller.pull(info)
    for answer in answers:
        same_schema(info.schema, answer.schema)
    assert info.totals == (-1, -1)
    return pa.concat_tables([answer.table for answer in answers])


def same_schema(announced: pa.Schema, sent: pa.Schema) -> None:
    """Types, names, nullability and metadata are the same."""
    assert announced.equals(sent, check_metadata=True), f"{announced}\n\nis not\n\n{sent}"


def by_statement(caller: Caller, sql: str) -> pa.Table:
    """As a command."""
    return pulled(caller, caller.info(statement(sql)))


def by_bytes(caller: Caller, sql: str) -> pa.Table:
    """As the bytes of the text itself."""
    return pulled(caller, caller.info(sql.encode()))


def by_poll(caller: Caller, sql: str) -> pa.Table:
    """By PollFlightInfo."""
    return pulled(caller, caller.poll(statement(sql)))


def by_prepared(caller: Caller, sql: str) -> pa.Table:
    """As a prepared statement."""
    prepared = caller.prepare(sql)
    try:
        info = caller.info(prepared.command)
        same_schema(prepared.schema, info.schema)
        return pulled(caller, info)
    finally:
        prepared.close()


def by_schema(caller: Caller, sql: str) -> pa.Table:
    """The schema alone, three ways, and the rows by statement."""
    info = caller.info(statement(sql))
    for command in (statement(sql), sql.encode(), caller.prepare(sql).command):
        same_schema(schema_of(caller.schema(command)), info.schema)
    return pulled(caller, info)


def by_pyarrow(caller: Caller, sql: str) -> pa.Table:
    """By the stock client of pyarrow."""
    header = (b"authorization", b"Bearer " + caller.token.encode())
    options = flight.FlightCallOptions(headers=[header], timeout=300.0)
    with flight.connect(caller.address) as client:
        asked = flight.FlightDescriptor.for_command(statement(sql))
        info = client.get_flight_info(asked, options)
        return pa.concat_tables(
            [client.do_get(end.ticket, options).read_all() for end in info.endpoints]
        )


# Connections of the driver by address and token: it takes long to make one.
CONNECTIONS: dict[tuple[str, str], adbc.Connection] = {}


def by_adbc(caller: Caller, sql: str) -> pa.Table:
    """By the stock driver of ADBC."""
    place = (caller.address, caller.token)
    if place not in CONNECTIONS:
        option = adbc_driver_flightsql.DatabaseOptions.AUTHORIZATION_HEADER.value
        options = {option: f"Bearer {caller.token}"}
        CONNECTIONS[place] = adbc.connect(caller.address, db_kwargs=options, autocommit=True)
    with CONNECTIONS[place].cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetch_arrow_table()


PATHS: dict[str, Callable[[Caller, str], pa.Table]] = {
    "statement": by_statement,
    "bytes": by_bytes,
    "poll": by_poll,
    "prepared": by_prepared,
    "schema": by_schema,
    "pyarrow": by_pyarrow,
    "adbc": by_adbc,
}
BY_HAND = ["statement", "bytes", "poll", "prepared"]


def rows_of(table: pa.Table) -> Found:
    """Rows as tuples; columns may have the same name."""
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns)) if columns else [()] * table.num_rows


def shown(answer: Answer) -> list[tuple[bytes, bytes]]:
    """The messages but for those that hold no row: how many of them come is a matter of time."""
    return answer.messages[:1] + [each for each in answer.messages[1:] if each[1]]


def code_of(scene: Scene, sql: str) -> str:
    """With which code a statement is refused; nothing when it is answered."""
    try:
        by_statement(scene.cern, sql)
    except Refused as told:
        return told.code
    return ""


@pytest.fixture(autouse=True)
def watched(scene: Scene, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test does, nothing raw is seen afterwards but what its case itself asked with."""
    sent, said = scene.recorder.count(), scene.server.log.stat().st_size
    callers = (scene.cern, scene.nersc, scene.dashboard)
    for caller in callers:
        caller.heard.clear()
    yield
    asked = b""
    if case := getattr(request.node, "callspec", None):
        case = case.params.get("case")
        asked = case.said.encode() if isinstance(case, Case) else b""
    assert_clean("what was sent", scene.recorder.bytes(sent), said_by(asked))
    for caller in callers:
        assert_clean("headers, trailers or status", "\n".join(caller.heard), said_by(asked))
    with scene.server.log.open("rb") as log:
        log.seek(said)
        assert_clean("the log", log.read(), said_by(asked, OF_CELLS))
