"""SQL cannot leak: every case of the guard set, over every path, judged on the bytes that leave.

A case is a line of `sql_guard_cases.tsv`. What may be answered must be exactly what Python computes
over the plain pull; what may not is an error whose code stands there. In both, no canary may stand in
any byte that the server sends, in what a client is told, in the log or in the audit entries.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest

import guarded
from flightsql import Caller, Refused, read, statement
from guard_oracles import ORACLES, Found, alike
from guard_scene import (
    ANY,
    ASKED,
    CASES,
    PATHS,
    Case,
    Scene,
    cases,
    rows_of,
    scene,
    shown,
    watched,
)
from guarded import CANARIES, assert_clean, said_by

__all__ = ["scene", "watched"]
OF_ROWS = [case for case in ASKED if case.mode == "mask"]
# What was answered with noise first.
NOISY: dict[tuple[str, int], list[dict[str, object]]] = {}


def test_every_case_of_the_survey_is_a_case_here(shared: Path) -> None:
    ours = {case.id: case for case in CASES}
    for case in cases(shared / "vectors" / "sql_guard_cases.tsv"):
        assert case.id in ours, f"{case.id} is not run"
        assert (ours[case.id].mode, ours[case.id].surface) == (case.mode, case.surface)


def test_the_data_is_full_of_canaries(scene: Scene) -> None:
    folder = scene.custodian.home / guarded.PLACE
    table = pq.read_table(folder / "jobs")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    raw = sink.getvalue().to_pybytes() + (folder / "foreign.parquet").read_bytes()
    for canary in CANARIES:
        assert canary.seen(raw), f"{canary.name} is in no raw file"


@pytest.mark.parametrize("case", ASKED, ids=[case.id for case in ASKED])
def test_the_case(scene: Scene, case: Case) -> None:
    for path in PATHS:
        by_path(scene, case, path)


def by_path(scene: Scene, case: Case, path: str) -> None:
    """One way of asking, and what comes of it."""
    if path in ("pyarrow", "adbc"):
        told = by_client(scene, case, path)
        assert_clean("what a client was told", told, said_by(case.request.encode()))
        return
    try:
        table = PATHS[path](scene.caller(case.mode), case.request)
    except Refused as refused:
        assert refused.code, f"not one of the server's sentences: {refused.text}"
        assert refused.trailers["veilflight-code"] == refused.code
        expected = ANY if case.check == "any" else case.codes
        assert refused.code in expected, (
            f"{case.request} by {path}: {refused}, expected {case.check}"
        )
        return
    judged(scene, case, table)


def judged(scene: Scene, case: Case, table: pa.Table) -> None:
    """An answer is the one that is computed without a query engine, where the case says so; with noise, it is
    the same on every path, and says how far it may be off."""
    assert case.check in ("any", "noisy") or "rows" in case.check, f"answered: {case.request}"
    assert_clean("the answer", str(table.to_pylist()), said_by(case.request.encode()))
    if case.check == "noisy":
        assert table.column_names[-1].endswith("_hw95")
        first = NOISY.setdefault((case.id, id(scene)), table.to_pylist())
        assert str(table.to_pylist()) == str(first), f"asked again: {case.request}"
    elif case.check != "any":
        wrong = alike(rows_of(table), ORACLES[case.id](scene.tables))
        assert wrong is None, f"{case.request}: {wrong}"


def by_client(scene: Scene, case: Case, path: str) -> str:
    """The same through a stock client, whose errors have words of their own around the server's."""
    try:
        table = PATHS[path](scene.caller(case.mode), case.request)
    except (flight.FlightError, pa.ArrowException, OSError, adbc.Error) as error:
        found = re.search(r"\[([A-Z]\d{3}), request [0-9a-f]{16}\]", str(error))
        assert found, f"{case.request}: {error}"
        expected = ANY if case.check == "any" else case.codes
        assert found[1] in expected, f"{case.request}: {error}, expected {case.check}"
        return str(error)
    judged(scene, case, table)
    return ""


# ------------------------------------------------------------------------------------- side channels


@dataclass(frozen=True)
class Told:
    """All that a partner can tell two servers apart by, without tickets and numbers of requests."""

    schema: bytes
    endpoints: int
    messages: tuple[tuple[tuple[bytes, bytes], ...], ...]
    refusal: tuple[str, str] | None


def told(caller: Caller, sql: str, path: str) -> Told:
    """Ask, and keep everything."""
    try:
        if path == "prepared":
            info = caller.info(caller.prepare(sql).command)
        elif path == "poll":
            info = caller.poll(statement(sql))
        else:
            info = caller.info(statement(sql) if path == "statement" else sql.encode())
        answers = caller.pull(info)
    except Refused as refused:
        return Told(b"", 0, (), refused.alike)
    return Told(
        info.schema_bytes,
        len(info.endpoints),
        tuple(tuple(shown(answer)) for answer in answers),
        None,
    )


# What brings rows of several threads together, and gives them an order of its own only if asked.
COMBINED = re.compile(
    r"\b(JOIN|UNION|INTERSECT|EXCEPT|GROUP BY|OVER|DISTINCT|EXISTS|IN \(SELECT)\b"
)


def rows(told: Told) -> Found:
    """The rows that were told."""
    return rows_of(pa.concat_tables([read(messages) for messages in told.messages]))


def size(told: Told) -> list[list[int]]:
    """How large each message was."""
    return [[len(body) for _, body in messages] for messages in told.messages]


@pytest.mark.parametrize("case", OF_ROWS, ids=[case.id for case in OF_ROWS])
def test_no_answer_tells_what_is_hidden(scene: Scene, case: Case) -> None:
    for path in ("statement", "prepared"):
        left, right = (told(caller, case.request, path) for caller in (scene.cern, scene.others[1]))
        assert left.refusal == right.refusal, case.request
        assert left.schema == right.schema and left.endpoints == right.endpoints
        if left.refusal is not None:
            continue
        if COMBINED.search(case.request):
            # Two threads meet here in either order.
            assert alike(rows(left), rows(right)) is None, case.request
            assert size(left) == size(right), f"{case.request}: other sizes of messages"
        else:
            assert left.messages == right.messages, f"{case.request}: other bytes"


@pytest.mark.parametrize("case", OF_ROWS, ids=[case.id for case in OF_ROWS])
def test_no_answer_tells_how_many_rows_are_hidden(scene: Scene, case: Case) -> None:
    left, right = (
        told(caller, case.request, "statement") for caller in (scene.cern, scene.others[2])
    )
    assert left.refusal == right.refusal, case.request
    assert left.schema == right.schema
    if left.refusal is None and case.id != "M25":
        assert alike(rows(left), rows(right)) is None, case.request


def test_the_audit_log_holds_no_canary(scene: Scene) -> None:
    exported = scene.custodian.run("audit", "export", "--state", scene.custodian.state)
    # It may name what partners asked; the statements of this file hold names of cells on purpose.
    asked = " ".join(case.request for case in CASES) + "alice"
    assert_clean("the audit log", exported, said_by(asked.encode()))
    assert '"jobs"' in exported
