"""Limits of statements, each met for real: many clients, time, memory, the queue, amounts a day, restarts."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from custodian import Custodian, Server
from driver import ask, connected
from flightsql import Caller, Refused, statement
from support import furnished

from audit import flattened, records, until

ROWS = 120_000
POLICY = """\
version: 1
dataset: long
source: {parquet: "../long.parquet"}
columns: {id: keep, k: keep, word: keep}
grants:
  - {partner: cern, access: rows}
  - {partner: nersc, access: rows%s}
"""
SLOW = "SELECT count(*) AS n FROM long a CROSS JOIN long b WHERE a.id + b.id = -1"
ENDLESS = (
    "SELECT count(*) AS n FROM long a CROSS JOIN long b CROSS JOIN long c "
    "WHERE a.id + b.id + c.id = -1"
)
BIG = "SELECT a.id, b.word FROM long a JOIN long b ON a.k = b.k"
COUNT = "SELECT count(*) AS n FROM long"


def write(home: Path, limits: str = "") -> None:
    """A long table and its policy, with limits for one of two partners."""
    table = pa.table(
        {
            "id": pa.array(range(ROWS)),
            "k": pa.array([i % 500 for i in range(ROWS)], pa.int32()),
            "word": pa.array([f"word {i * 7_919 % 50_021} and some more" for i in range(ROWS)]),
        }
    )
    pq.write_table(table, home / "long.parquet", row_group_size=20_000)
    (home / "policies" / "long.yaml").write_text(POLICY % limits)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Custodian:
    """A custodian with the table."""
    custodian = furnished(tmp_path_factory.mktemp("limits"))
    write(custodian.home)
    return custodian


@contextmanager
def served(custodian: Custodian, *flags: str) -> Iterator[tuple[Server, Caller, Caller]]:
    """A server with flags, and both partners."""
    with (
        custodian.serve(*flags, tls=False) as server,
        Caller(server.uri, custodian.token("cern")) as cern,
        Caller(server.uri, custodian.token("nersc")) as nersc,
    ):
        yield server, cern, nersc


def run(caller: Caller, sql: str) -> pa.Table:
    """A statement's answer."""
    answers = caller.pull(caller.info(statement(sql)))
    return pa.concat_tables([answer.table for answer in answers])


def code(call: Callable[[], object]) -> str:
    """With which code something is refused; nothing when it is answered."""
    try:
        call()
    except Refused as refused:
        assert refused.code, refused.text
        return refused.code
    return ""


def number(table: pa.Table) -> int:
    """The one number of an answer."""
    ((value,),) = (column.to_pylist() for column in table.columns)
    return value


# ---------------------------------------------------------------------------------------- many clients

MANY = {
    COUNT: lambda table: number(table) == ROWS,
    "SELECT k, count(*) AS n FROM long GROUP BY k": lambda table: (
        table.num_rows == 500 and sum(table["n"].to_pylist()) == ROWS
    ),
    "SELECT max(id) AS m FROM long WHERE k = 3": lambda table: number(table) == ROWS - 497,
    "SELECT id FROM long WHERE id < 1000": lambda table: (
        sorted(table["id"].to_pylist()) == list(range(1000))
    ),
    "SELECT id, word FROM long ORDER BY word DESC, id LIMIT 5": lambda table: table.num_rows == 5,
}


def test_fifty_clients_at_once_are_all_answered(home: Custodian) -> None:
    with home.serve() as server:

        def client(which: int) -> list[str]:
            wrong = []
            with connected(home, server, ("cern", "nersc")[which % 2]) as connection:
                asked = list(MANY)[which % 3 :] + list(MANY)[: which % 3]
                for sql in asked:
                    if not MANY[sql](ask(connection, sql)):
                        wrong.append(sql)
            return wrong

        with ThreadPoolExecutor(50) as pool:
            found = list(pool.map(client, range(50)))
    assert [wrong for wrong in found if wrong] == []


def test_fifty_clients_of_one_partner_are_all_answered(home: Custodian) -> None:
    with home.serve(tls=False) as server:

        def client(which: int) -> int:
            with connected(home, server, "cern") as connection:
                return sum(number(ask(connection, COUNT)) for _ in range(3))

        with ThreadPoolExecutor(50) as pool:
            assert set(pool.map(client, range(50))) == {3 * ROWS}


def test_a_busy_partner_does_not_starve_another(home: Custodian) -> None:
    # Whoever is starved waits in vain and is refused (L009). In which order turns come: `tests/wire/turns.rs`.
    with served(home, "--query-seconds", "300") as (server, cern, nersc):
        answered, enough = threading.Semaphore(0), threading.Event()

        def busy(_: int) -> None:
            with Caller(server.uri, cern.token) as own:
                while not enough.is_set():
                    run(
                        own, "SELECT count(DISTINCT a.word) AS n FROM long a JOIN long b USING (id)"
                    )
                    answered.release()

        with ThreadPoolExecutor(10) as pool:
            working = [pool.submit(busy, i) for i in range(10)]
            try:
                assert answered.acquire(timeout=300), "the busy one is not answered"
                for _ in range(5):
                    assert number(run(nersc, COUNT)) == ROWS
            finally:
                enough.set()
            for each in working:
                each.result()


# ------------------------------------------------------------------------------------ time and queue


def test_a_statement_that_takes_too_long_is_ended(home: Custodian) -> None:
    with served(home, "--query-seconds", "3", "--queries-partner-max", "1") as (_, cern, _n):
        begun = time.monotonic()
        assert code(lambda: run(cern, SLOW)) == "L006"
        assert time.monotonic() - begun >= 3, "not before its time is over"
        # A join without pairs ends at its next batch, and not when it is done: the next one waits for its place.
        assert number(run(cern, COUNT)) == ROWS
        closes = [flattened(each).get("code") for each in records(home)]
        assert "L006" in closes


def test_endless_recursion_ends(home: Custodian) -> None:
    with served(home, "--query-seconds", "3") as (_, cern, _n):
        sql = "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t"
        assert code(lambda: run(cern, sql)) in ("Q001", "Q002", "L006", "L007")
        assert number(run(cern, COUNT)) == ROWS


def test_a_slow_statement_says_that_it_lives(home: Custodian) -> None:
    # A message a second where there is no row to send.
    flags = ["--query-seconds", "600", "--keep-alive-seconds", "1"]
    with served(home, *flags) as (server, cern, _n):
        asking = another(server, cern)
        call = running(asking, ENDLESS)
        for _ in range(3):
            next(call)
        asking.close()


def varint(size: int) -> bytes:
    """A length in seven-bit groups."""
    out = bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size])


def test_a_partner_may_have_so_many_statements_and_no_more(home: Custodian) -> None:
    flags = ["--queries-partner-max", "1", "--queries-waiting-partner-max", "1"]
    with (
        served(home, *flags, "--query-seconds", "600", "--queue-seconds", "300") as (
            server,
            cern,
            nersc,
        ),
        ThreadPoolExecutor(2) as pool,
    ):
        first = running(another(server, cern), ENDLESS)
        # Of two more one waits and the other is told, whichever comes first.
        more = [pool.submit(code, lambda: run(another(server, cern), COUNT)) for _ in range(2)]
        told, waiting = wait(more, return_when=FIRST_COMPLETED)
        assert ([each.result() for each in told], len(waiting)) == (["L008"], 1)
        assert number(run(nersc, COUNT)) == ROWS, "another partner is not held up"
        assert not any(each.done() for each in waiting)
        first.cancel()
        assert [each.result() for each in waiting] == [""]
        assert number(run(cern, COUNT)) == ROWS


def test_a_statement_does_not_wait_for_ever(home: Custodian) -> None:
    flags = ["--queries-max", "1", "--queue-seconds", "1", "--query-seconds", "600"]
    with served(home, *flags) as (server, cern, nersc):
        first = running(another(server, cern), ENDLESS)
        assert code(lambda: run(nersc, COUNT)) == "L009"
        first.cancel()


def another(server: Server, caller: Caller) -> Caller:
    """The same partner on a connection of its own."""
    return Caller(server.uri, caller.token)


def running(caller: Caller, sql: str) -> grpc.Call:
    """A statement that is worked at, as long as somebody holds it: its schema came, its rows are to be read."""
    (ticket,) = caller.info(statement(sql)).tickets
    call = caller.channel.unary_stream("/arrow.flight.protocol.FlightService/DoGet")(
        b"\x0a" + varint(len(ticket)) + ticket, metadata=caller._metadata
    )
    next(call)
    return call


# ---------------------------------------------------------------------------------------------- memory


def test_a_statement_that_needs_too_much_memory_is_refused_and_the_server_lives(
    home: Custodian,
) -> None:
    flags = ["--query-memory-bytes", str(16 << 20), "--query-spill-bytes", "0"]
    with served(home, *flags) as (_, cern, _n):
        hungry = "SELECT array_agg(a.word || b.word) AS x FROM long a JOIN long b ON a.k = b.k"
        assert code(lambda: run(cern, hungry)) in ("L007", "Q001", "Q002")
        sorting = "SELECT word, id FROM long ORDER BY word || word || CAST(id AS VARCHAR), id"
        assert code(lambda: run(cern, sorting)) == "L007"
        assert number(run(cern, COUNT)) == ROWS


def test_what_memory_does_not_hold_is_spilled_and_cleaned_up(home: Custodian) -> None:
    sql = "SELECT id FROM long ORDER BY word || word || CAST(id AS VARCHAR), id"
    with served(home) as (_, cern, _n):
        expected = run(cern, sql)["id"].to_pylist()
    with served(home, "--query-memory-bytes", str(16 << 20), "--query-threads", "1") as (
        s,
        cern,
        _n,
    ):
        assert run(cern, sql)["id"].to_pylist() == expected
        spill = home.state / "spill"
        assert {path.name for path in spill.rglob("*") if path.is_file()} <= {"lock"}
        mode = spill.stat().st_mode & 0o777
        assert mode == 0o700, f"others may look into the spill folder: {mode:o}"
        assert s.memory_peak() < 600e6


# ------------------------------------------------------------------------------------------- a partner


def test_a_client_that_disconnects_midway_frees_its_place(home: Custodian) -> None:
    flags = ["--queries-partner-max", "1", "--queries-waiting-partner-max", "0"]
    with served(home, *flags) as (server, cern, _n):
        before = len(records(home))
        leaver = another(server, cern)
        call = running(leaver, BIG)
        for _ in range(2):
            next(call)
        leaver.close()
        until(lambda: code(lambda: run(cern, COUNT)) == "")

        def said() -> bool:
            found = [flattened(each) for each in records(home)[before:]]
            return any(each.get("code") == "R003" and each["rows"] > 0 for each in found)

        until(said)
        (asked,) = [
            each
            for each in records(home)[before:]
            if "JOIN long b" in str(each) and "ROWS" not in str(each)
        ][:1]
        assert asked


def test_a_slow_statement_of_a_client_that_left_is_ended(home: Custodian) -> None:
    # Were it not ended, the next one would wait in vain (L009).
    flags = ["--queries-max", "1", "--queue-seconds", "120", "--query-seconds", "3600"]
    with served(home, *flags) as (server, cern, nersc):
        leaver = another(server, cern)
        call = running(leaver, ENDLESS)
        leaver.close()
        assert number(run(nersc, COUNT)) == ROWS
        with pytest.raises((grpc.RpcError, ValueError)):
            list(call)


def test_a_ticket_outlives_the_server_that_gave_it(home: Custodian) -> None:
    sql = "SELECT k, sum(id) AS s FROM long GROUP BY k"
    with served(home) as (_, cern, _n):
        tickets = cern.info(statement(sql)).tickets
        several = cern.info(statement("SELECT id FROM long WHERE k = 1")).tickets
        prepared = cern.prepare("SELECT count(*) AS n FROM long WHERE k < $1")
        prepared.bind(pa.table({"1": [10]}))
        expected = sorted(row["s"] for row in run(cern, sql).to_pylist())
    with served(home) as (_, cern, _n):
        (ticket,) = tickets
        found = cern.ticket(ticket).table.to_pylist()
        assert sorted(row["s"] for row in found) == expected
        ids = [i for ticket in several for i in cern.ticket(ticket).table["id"].to_pylist()]
        assert sorted(ids) == list(range(1, ROWS, 500))
        # So does the handle of a prepared statement, with what was bound to it.
        info = cern.info(prepared.command)
        assert number(cern.ticket(info.tickets[0]).table) == 10 * ROWS // 500
        prepared.caller = cern
        prepared.close()


def test_a_ticket_does_not_outlive_its_policy_or_its_data(tmp_path: Path) -> None:
    custodian = furnished(tmp_path)
    write(custodian.home)
    sql = statement("SELECT count(*) AS n FROM long")
    with served(custodian) as (_, cern, _n):
        (ticket,) = cern.info(sql).tickets
    policy = custodian.policies / "long.yaml"
    policy.write_text(policy.read_text().replace("word: keep", "word: drop"))
    with served(custodian) as (_, cern, _n):
        assert code(lambda: cern.ticket(ticket)) == "T004"
        (ticket,) = cern.info(sql).tickets
    path = custodian.home / "long.parquet"
    pq.write_table(pq.read_table(path).slice(0, ROWS - 1), path, row_group_size=20_000)
    with served(custodian) as (_, cern, _n):
        assert code(lambda: cern.ticket(ticket)) == "T004"
        assert number(run(cern, COUNT)) == ROWS - 1


# ------------------------------------------------------------------------------------------ rows a day


def test_rows_a_day_are_counted_over_sql_and_pulls_and_kept_over_restarts(tmp_path: Path) -> None:
    custodian = furnished(tmp_path)
    write(custodian.home, ", limits: {rows_day: 5000}")
    with served(custodian) as (_, cern, nersc):
        assert run(nersc, "SELECT id FROM long WHERE id < 3000").num_rows == 3000
        assert code(lambda: run(nersc, "SELECT id FROM long WHERE id < 3000")) == "L010"
        assert run(cern, "SELECT id FROM long WHERE id < 9000").num_rows == 9000
    with served(custodian) as (_, _c, nersc):
        assert code(lambda: run(nersc, "SELECT id FROM long WHERE id < 2500")) == "L010"
        assert code(lambda: nersc.pull(nersc.info_of_path("long"))) == "L010"


def test_what_a_statement_reads_is_not_counted_but_what_it_gives(tmp_path: Path) -> None:
    custodian = furnished(tmp_path)
    write(custodian.home, ", limits: {rows_day: 40}")
    with served(custodian) as (_, _c, nersc):
        for _ in range(20):
            assert number(run(nersc, COUNT)) == ROWS


def test_bytes_a_day_are_counted(tmp_path: Path) -> None:
    custodian = furnished(tmp_path)
    write(custodian.home, ", limits: {bytes_day: 200000}")
    with served(custodian) as (_, _c, nersc):
        assert run(nersc, "SELECT id FROM long WHERE id < 1000").num_rows == 1000
        assert code(lambda: run(nersc, "SELECT id, word FROM long")) == "L011"
        assert code(lambda: nersc.pull(nersc.info_of_path("long"))) == "L011"


def test_a_partners_own_limits_of_time_and_number_hold(tmp_path: Path) -> None:
    custodian = furnished(tmp_path)
    write(custodian.home, ", limits: {seconds: 5, queries: 1}")
    with served(custodian, "--queries-waiting-partner-max", "0") as (server, _c, nersc):
        first = running(another(server, nersc), ENDLESS)
        # Five seconds are there for one refusal, which takes hundredths of one.
        assert code(lambda: run(nersc, COUNT)) == "L008"
        with pytest.raises(grpc.RpcError) as ended:
            list(first)
        assert Refused(ended.value).code == "L006"
        # Its place is free at the next pause of its work.
        until(lambda: code(lambda: run(nersc, COUNT)) == "")


def test_limits_of_the_settings_hold_for_everybody(home: Custodian) -> None:
    with served(home, "--rows-day", "100") as (_, cern, nersc):
        for caller in (cern, nersc):
            assert code(lambda caller=caller: run(caller, "SELECT id FROM long WHERE id < 90")) in (
                "",
                "L010",
            )
            assert (
                code(lambda caller=caller: run(caller, "SELECT id FROM long WHERE id < 90"))
                == "L010"
            )
