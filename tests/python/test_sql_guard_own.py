"""The cases of the guard set that are more than one statement, each with a test of its own."""

import json
import re
import signal
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import guarded
from audit import until
from flightsql import Caller, Prepared, Refused, message, packed, schema_of, statement
from guard_oracles import ORACLES, Found, alike, whole
from guard_scene import (
    ANY,
    BY_HAND,
    CASES,
    PATHS,
    Case,
    Scene,
    by_statement,
    code_of,
    pulled,
    rows_of,
    same_schema,
    scene,
    shown,
    watched,
)
from guarded import CANARIES, assert_clean

__all__ = ["scene", "watched"]

SPECIAL: dict[str, Callable[[Scene], None]] = {}


def special(*ids: str) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """The test of some cases."""

    def register(test: Callable[[Scene], None]) -> Callable[[Scene], None]:
        SPECIAL.update(dict.fromkeys(ids, test))
        return test

    return register


OWN = [case for case in CASES if not case.asked]


@pytest.mark.parametrize("case", OWN, ids=[case.id for case in OWN])
def test_the_case_on_its_own(scene: Scene, case: Case) -> None:
    SPECIAL[case.id](scene)


def refused(call: Callable[[], object], *codes: str) -> Refused:
    """Run what the server must refuse with one of these codes."""
    with pytest.raises(Refused) as caught:
        call()
    assert caught.value.code in codes, f"{caught.value}, expected {codes}"
    return caught.value


@special("M03")
def _(scene: Scene) -> None:
    prepared = scene.cern.prepare("SELECT user_id FROM jobs")
    (field,) = prepared.schema
    assert (field.name, field.type) == ("user_id", pa.string())
    assert field.metadata == {b"veilflight.protection": b"pseudonym.hmac"}
    assert prepared.parameters is None or len(prepared.parameters) == 0
    same_schema(prepared.schema, schema_of(scene.cern.schema(prepared.command)))
    same_schema(prepared.schema, scene.cern.info(prepared.command).schema)


@special("M05")
def _(scene: Scene) -> None:
    info = scene.nersc.info(statement("SELECT user_id FROM jobs"))
    for ticket in info.tickets:
        refused(lambda ticket=ticket: scene.cern.ticket(ticket), "T003")
    metadata = scene.nersc.info(packed("CommandGetTables", (5, True)))
    refused(lambda: scene.cern.ticket(metadata.tickets[0]), "T003")


@special("M19")
def _(scene: Scene) -> None:
    table = pulled(scene.cern, scene.cern.info(packed("CommandGetTables", (5, True))))
    found = {row["table_name"]: row for row in table.to_pylist()}
    assert {"jobs", "people"} <= set(found) and "foreign" not in found
    schema = schema_of(found["jobs"]["table_schema"])
    assert schema.names == ["pk", "user_id", "ip", "age", "notes", "dept", "wait_s"]
    assert schema.field("age").type == pa.string()
    assert_clean("the schema", str(schema) + str(table.to_pylist()), CANARIES)


@special("M21")
def _(scene: Scene) -> None:
    found: dict[str, list[str]] = {}
    sql = "SELECT * FROM information_schema.columns"
    for path in BY_HAND:
        table = PATHS[path](scene.cern, sql)
        found.clear()
        for row in table.to_pylist():
            if row["table_schema"] == "public":
                found.setdefault(row["table_name"], []).append(row["column_name"])
        assert found["jobs"] == ["pk", "user_id", "ip", "age", "notes", "dept", "wait_s"]
        assert found["people"] == ["user_id", "team"]
        assert set(found) <= {"jobs", "people", "released"}
        assert_clean("the columns", str(table.to_pylist()), CANARIES)


@special("M25")
def _(scene: Scene) -> None:
    allowed = [row for row in whole(scene.tables.jobs) if row[1] and "a" in row[1]]
    assert len(allowed) > 100
    for path in BY_HAND:
        rows = rows_of(
            PATHS[path](scene.cern, "SELECT * FROM jobs WHERE user_id LIKE '%a%' LIMIT 10")
        )
        assert len(rows) == len(set(rows)) == 10 and set(rows) <= set(allowed)


@special("M39")
def _(scene: Scene) -> None:
    # A plan with one relation that reads local files: Plan{relations{root{input{read{local_files}}}}}.
    item = message((1, f"file:///{guarded.PLACE}/jobs.parquet"))
    read_rel = message((8, message((1, item))))
    plan = message((3, message((2, message((1, message((1, read_rel))))))))
    command = packed("CommandStatementSubstraitPlan", (1, message((1, plan), (2, "0.50.0"))))
    refused(lambda: scene.cern.info(command), "R002")
    refused(lambda: scene.cern.schema(command), "R002")
    refused(lambda: scene.cern.poll(command), "R002")
    body = packed("ActionCreatePreparedSubstraitPlanRequest", (1, message((1, plan))))
    refused(lambda: scene.cern.action("CreatePreparedSubstraitPlan", body), "R002")
    refused(lambda: scene.cern.put(command, pa.table({"x": [1]})), "R002")


@special("M41")
def _(scene: Scene) -> None:
    table = pa.table({"pk": [1]})
    ingest = packed("CommandStatementIngest", (1, message((1, 1), (2, 3))), (2, "jobs"))
    update = packed("CommandStatementUpdate", (1, "DELETE FROM jobs"))
    prepared = packed("CommandPreparedStatementUpdate", (1, scene.cern.prepare("SELECT 1").handle))
    for command in (ingest, update, prepared, b"jobs", b"INSERT INTO jobs VALUES (1)"):
        refused(lambda command=command: scene.cern.put(command, table), "R002", "R001", "Q002")
        refused(lambda command=command: scene.cern.exchange(command, table), "R002")
    for name in ("BeginTransaction", "BeginSavepoint", "EndTransaction", "EndSavepoint"):
        body = packed(f"Action{name}Request")
        refused(lambda name=name, body=body: scene.cern.action(name, body), "R002")
    assert pulled(scene.cern, scene.cern.info(statement("SELECT count(*) FROM jobs"))).num_rows == 1


FILTERED = "SELECT dept, user_id FROM jobs WHERE dept LIKE '%biology%'"
SHAPES = [
    FILTERED,
    "SELECT left(dept, 14), dept FROM jobs WHERE dept LIKE '%biology%' LIMIT 3",
    "SELECT dept, max(user_id) FROM jobs WHERE dept LIKE '%biology%' GROUP BY dept",
    "SELECT d FROM (SELECT dept AS d, pk FROM jobs) WHERE d LIKE '%biology%' ORDER BY pk LIMIT 4",
    "SELECT CASE WHEN dept LIKE '%biology%' THEN dept END FROM jobs",
    "SELECT nullif(dept, 'department of physics research') AS d FROM jobs "
    "WHERE dept LIKE '%biology%'",
]


def formatted(scene: Scene, *headers: tuple[str, str]) -> Caller:
    """The same partner with headers of their own."""
    return Caller(scene.recorder.uri, scene.cern.token, list(headers))


def without_the_filtered(scene: Scene, *headers: tuple[str, str]) -> None:
    """Only what is shown stands in any buffer."""
    with formatted(scene, *headers) as caller:
        for sql in SHAPES:
            info = caller.info(statement(sql))
            for ticket in info.tickets:
                answer = caller.ticket(ticket)
                whole_stream = b"".join(header + body for header, body in answer.messages)
                for name in ("physics", "history", " law"):
                    assert name.encode() not in whole_stream, f"{name}: {sql} with {headers}"
            assert b"biology" in b"".join(
                body for ticket in info.tickets for _, body in caller.ticket(ticket).messages
            )


@special("M43", "B1a")
def _(scene: Scene) -> None:
    without_the_filtered(scene)
    without_the_filtered(scene, ("veilflight-strings", "utf8_view"))
    without_the_filtered(scene, ("veilflight-strings", "large_utf8"))


@special("B2a")
def _(scene: Scene) -> None:
    without_the_filtered(scene, ("veilflight-dictionaries", "true"))
    both = (("veilflight-strings", "utf8_view"), ("veilflight-dictionaries", "true"))
    without_the_filtered(scene, *both)


NULLS = [
    "SELECT wait_s, user_id FROM jobs",
    "SELECT nullif(wait_s, 4) AS wait_s, nullif(dept, 'x') AS dept FROM jobs",
    "SELECT CASE WHEN pk % 2 = 0 THEN wait_s END AS wait_s, pk FROM jobs",
    "SELECT max(wait_s) AS wait_s FROM jobs WHERE pk < 0",
    "SELECT p.team, j.wait_s FROM people p LEFT JOIN jobs j ON j.user_id = p.user_id AND j.pk < 40",
]


@special("M45")
def _(scene: Scene) -> None:
    for sql in NULLS:
        for headers in (
            (),
            (("veilflight-strings", "utf8_view"),),
            (("veilflight-strings", "large_utf8"),),
        ):
            with formatted(scene, *headers) as caller:
                info = caller.info(statement(sql))
                for ticket in info.tickets:
                    for batch in caller.ticket(ticket).table.to_batches():
                        for name, column in zip(batch.schema.names, batch.columns):
                            nothing_under_nulls(f"{name} in {sql}", column)


def nothing_under_nulls(where: str, column: pa.Array) -> None:
    """Defaults stand under nulls: zeros, or an empty text."""
    empty = [i for i, value in enumerate(column) if not value.is_valid]
    width = getattr(column.type, "bit_width", 0) if pa.types.is_primitive(column.type) else 0
    buffers = column.buffers()
    for i in empty:
        at = column.offset + i
        if width >= 8:
            size = width // 8
            assert buffers[1][at * size : (at + 1) * size].to_pybytes() == bytes(size), where
        elif pa.types.is_string_view(column.type):
            assert buffers[1][at * 16 : (at + 1) * 16].to_pybytes() == bytes(16), where
        elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            size = 4 if pa.types.is_string(column.type) else 8
            left, right = (
                int.from_bytes(
                    buffers[1][(at + k) * size : (at + k + 1) * size].to_pybytes(), "little"
                )
                for k in (0, 1)
            )
            assert left == right, where


@special("M47")
def _(scene: Scene) -> None:
    for sql in (*SHAPES, *NULLS, "SELECT * FROM jobs", "SELECT 1 AS one"):
        schema = scene.cern.info(statement(sql)).schema
        assert not schema.metadata, sql
        for field in schema:
            assert set(field.metadata or {}) <= {b"veilflight.protection"}, f"{field}: {sql}"
    for name in ("CommandGetTables", "CommandGetCatalogs", "CommandGetSqlInfo"):
        info = scene.cern.info(packed(name))
        assert not info.schema.metadata


@special("M49")
def _(scene: Scene) -> None:
    custodian = scene.custodian
    path = custodian.home / guarded.PLACE / "people.parquet"
    before = path.read_bytes()
    ticket = scene.cern.info(statement("SELECT user_id FROM people")).tickets[0]
    table = pq.read_table(path)
    try:
        time.sleep(1.1)
        pq.write_table(table.append_column("newcomer", table["ssn"]), path)
        until(lambda: code_of(scene, "SELECT user_id FROM people") == "D003")
        for sql in ("SELECT newcomer FROM people", "SELECT * FROM people"):
            for path_name in BY_HAND:
                refused(
                    lambda sql=sql, name=path_name: PATHS[name](scene.cern, sql), "D003", "Q001"
                )
        refused(lambda: scene.cern.ticket(ticket), "T004", "D003")
        assert code_of(scene, "SELECT count(*) FROM jobs") == ""
        check = custodian.attempt("policy", "check", "--data", custodian.policies / "people.yaml")
        assert check.returncode == 3 and "P050" in check.stdout + check.stderr
    finally:
        path.write_bytes(before)
        until(lambda: code_of(scene, "SELECT user_id FROM people") == "")


@special("K03")
def _(scene: Scene) -> None:
    for sql in (
        "SELECT age, dept FROM released",
        "SELECT count(*) FROM released WHERE age IS NULL",
    ):
        refused(lambda sql=sql: by_statement(scene.cern, sql), "D001", "D002", "Q001")


@special("D14", "D16")
def _(scene: Scene) -> None:
    # What was drawn was paid before, whatever becomes of the answer; and the same is asked for nothing. The
    # server that is killed at work: `a_process_that_is_killed_before_it_answers_has_spent`.
    def spent() -> float:
        [told] = scene.dashboard.action("veilflight.privacy_budget")
        datasets = json.loads(told)["datasets"]
        return sum(float(dataset["spent"]["epsilon"]) for dataset in datasets)

    before = spent()
    # Another question each time.
    sql = f"SELECT sum(wait_s) FROM jobs WHERE wait_s <> {int(before * 1000)}"
    info = scene.dashboard.info(statement(sql))
    assert spent() == before, "a look costs nothing"
    first = scene.dashboard.pull(info)
    paid = spent()
    assert paid > before
    cancel = packed("ActionCancelQueryRequest", (1, b"x"))
    refused(lambda: scene.dashboard.action("CancelQuery", cancel), "R001", "T001")
    tables = [PATHS[path](scene.dashboard, sql) for path in BY_HAND]
    assert first and all(table == tables[0] for table in tables)
    assert spent() == paid


@special("D18")
def _(scene: Scene) -> None:
    custodian = scene.custodian
    for epsilon in ("0", "-1", "NaN", "1e308", ".inf"):
        text = guarded.JOBS.replace("epsilon: 3.0", f"epsilon: {epsilon}")
        assert text != guarded.JOBS
        file = custodian.home / "odd.yaml"
        file.write_text(text)
        assert custodian.attempt("policy", "check", file).returncode == 3


@special("A2h")
def _(scene: Scene) -> None:
    for where in ("tables", "columns"):
        sql = f"SELECT * FROM information_schema.{where} WHERE table_name LIKE '%foreign%'"
        for path in BY_HAND:
            assert PATHS[path](scene.cern, sql).num_rows == 0
    nothing = refused(lambda: by_statement(scene.cern, "SELECT * FROM nothing"), "D001")
    hidden = refused(lambda: by_statement(scene.cern, "SELECT * FROM foreign"), "D001")
    assert [text.replace("foreign", "nothing") for text in hidden.alike] == list(nothing.alike)


@special("A10a")
def _(scene: Scene) -> None:
    (sealed, *_) = scene.cern.info(statement(FILTERED)).tickets
    forgeries = [b"", b"jobs", FILTERED.encode(), statement(FILTERED), sealed[:-1], sealed + b"x"]
    forgeries += [
        sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(0, len(sealed), 5)
    ]
    forgeries.append(packed("TicketStatementQuery", (1, sealed)))
    for forgery in forgeries:
        refused(lambda forgery=forgery: scene.cern.ticket(forgery), "T001")


@special("A10b")
def _(scene: Scene) -> None:
    custodian = scene.custodian
    path = custodian.policies / "people.yaml"
    before = path.read_text()
    sql = "SELECT team, count(*) FROM people GROUP BY team"
    prepared = scene.cern.prepare(sql)
    ticket = scene.cern.info(statement(sql)).tickets[0]
    try:
        path.write_text(before.replace("team:    keep", "team:    mask"))
        custodian_reload(scene)
        until(lambda: masked(scene))
        refused(lambda: scene.cern.ticket(ticket), "T004")
        # A prepared statement is planned anew, under the policy of now.
        assert rows_of(pulled(scene.cern, scene.cern.info(prepared.command))) == [("********", 49)]
    finally:
        path.write_text(before)
        custodian_reload(scene)
        until(lambda: not masked(scene))


def custodian_reload(scene: Scene) -> None:
    """Have the server look at its policies now."""
    scene.server.process.send_signal(signal.SIGHUP)


def masked(scene: Scene) -> bool:
    """Whether the policy with the mask is in force."""
    try:
        teams = rows_of(by_statement(scene.cern, "SELECT DISTINCT team FROM people"))
    except Refused as told:
        # The policy changed between the info and the pull.
        assert told.code == "T004"
        return False
    return teams == [("********",)]


@special("A10c")
def _(scene: Scene) -> None:
    prepared = scene.cern.prepare("SELECT pk FROM jobs WHERE pk = 1")
    theirs = Prepared(scene.nersc, prepared.raw)
    refused(lambda: scene.nersc.info(theirs.command), "T003", "T001")
    handle = prepared.handle
    for at in range(0, len(handle), 5):
        prepared.handle = handle[:at] + bytes([handle[at] ^ 1]) + handle[at + 1 :]
        refused(lambda: scene.cern.info(prepared.command), "T001")
    for forged in (b"", b"SELECT salary FROM jobs", statement("SELECT 1")):
        prepared.handle = forged
        refused(lambda: scene.cern.info(prepared.command), "T001")
        refused(lambda: prepared.bind(pa.table({"1": [1]})), "T001")


@special("A10d")
def _(scene: Scene) -> None:
    # One HTTP/2 connection, two partners in turns: each is answered as who they are by this call.
    mixed = Caller(scene.recorder.uri, scene.cern.token)
    with mixed:
        by_token = {}
        for turn in range(6):
            mixed.token = (scene.cern, scene.nersc)[turn % 2].token
            rows = rows_of(by_statement(mixed, "SELECT user_id FROM jobs WHERE pk = 1"))
            by_token.setdefault(mixed.token, set()).add(rows[0])
        assert [len(found) for found in by_token.values()] == [1, 1]
        assert len(set.union(*by_token.values())) == 2
        mixed.token = scene.nersc.token
        refused(lambda: by_statement(mixed, "SELECT * FROM people"), "D001")


@special("A10e")
def _(scene: Scene) -> None:
    handle = scene.cern.prepare(FILTERED).handle
    refused(lambda: scene.cern.ticket(handle), "T001")
    (ticket, *_) = scene.cern.info(statement(FILTERED)).tickets
    prepared = Prepared(scene.cern, scene.cern.prepare(FILTERED).raw)
    prepared.handle = ticket
    refused(lambda: scene.cern.info(prepared.command), "T001")


@special("B5a")
def _(scene: Scene) -> None:
    for sql in (*SHAPES, *NULLS, "SELECT count(*) FROM jobs"):
        here, there = (caller.info(statement(sql)) for caller in (scene.cern, scene.others[1]))
        assert here.totals == there.totals == (-1, -1)
        assert len(here.endpoints) == len(there.endpoints)
        for left, right in zip(scene.cern.pull(here), scene.others[1].pull(there)):
            assert [len(body) for _, body in shown(left)] == [len(body) for _, body in shown(right)]


METADATA = {
    "CommandGetCatalogs": (),
    "CommandGetDbSchemas": ((1, "veilflight"), (2, "%")),
    "CommandGetTables": ((3, "%"), (5, True)),
    "CommandGetTableTypes": (),
    "CommandGetSqlInfo": (),
    "CommandGetXdbcTypeInfo": (),
    "CommandGetPrimaryKeys": ((3, "jobs"),),
    "CommandGetExportedKeys": ((3, "jobs"),),
    "CommandGetImportedKeys": ((3, "jobs"),),
    "CommandGetCrossReference": ((3, "jobs"), (6, "people")),
}


@special("W2a")
def _(scene: Scene) -> None:
    for name, fields in METADATA.items():
        command = packed(name, *fields)
        info = scene.cern.info(command)
        same_schema(schema_of(scene.cern.schema(command)), info.schema)
        same_schema(scene.cern.poll(command).schema, info.schema)
        table = pulled(scene.cern, info)
        assert_clean(name, str(table.to_pylist()), CANARIES)
        if name.endswith(("Keys", "CrossReference")):
            assert table.num_rows == 0
    # Names that are not granted and names that do not exist are the same.
    for pattern in (
        "foreign",
        "%oreig%",
        "nothing",
        "salary",
        "../%",
        "%'; --",
        "[a-z]*",
        "jobs.parquet",
    ):
        command = packed("CommandGetTables", (3, pattern), (5, True))
        assert pulled(scene.cern, scene.cern.info(command)).num_rows == 0, pattern
    for table in ("foreign", "nothing", "jobs"):
        command = packed("CommandGetPrimaryKeys", (3, table))
        try:
            assert pulled(scene.cern, scene.cern.info(command)).num_rows == 0
        except Refused as told:
            assert told.code in ("D001", "Q001")
    seen = pulled(scene.dashboard, scene.dashboard.info(packed("CommandGetTables", (5, True))))
    assert_clean("the tables of another", str(seen.to_pylist()), CANARIES)
    catalogues = pulled(scene.cern, scene.cern.info(packed("CommandGetCatalogs")))
    assert rows_of(catalogues) == [("veilflight",)]


@special("W2b")
def _(scene: Scene) -> None:
    def asked(sql: str, *values: object) -> Found:
        prepared = scene.cern.prepare(sql)
        prepared.bind(pa.table({f"${n + 1}": [value] for n, value in enumerate(values)}))
        return rows_of(pulled(scene.cern, scene.cern.info(prepared.command)))

    sql = "SELECT pk FROM jobs WHERE user_id = $1"
    pseudonym = scene.tables.jobs[0]["user_id"]
    same = [(row["pk"],) for row in scene.tables.jobs if row["user_id"] == pseudonym]
    assert alike(asked(sql, pseudonym), same) is None and same
    # A value is a value: raw names, quotes and statements are compared, never run.
    for odd in ("alice", "x' OR 1=1 --", "'; DROP TABLE jobs; --", "$1", "\0", "", "salary"):
        assert asked(sql, odd) == [], odd
    assert asked(sql, None) == []
    assert asked("SELECT $1 FROM jobs WHERE pk = 1", "salary") == [("salary",)]
    refused(lambda: scene.cern.info(scene.cern.prepare(sql).command), "Q005")
    refused(lambda: asked("SELECT salary FROM jobs WHERE pk = $1", 1), "Q001")
    refused(lambda: asked(sql, "a", "b"), "Q005")
    refused(lambda: asked("SELECT pk FROM jobs WHERE user_id = $1 AND pk = $2", "a"), "Q005")
    refused(lambda: asked("SELECT pk / $1 FROM jobs", 0), "Q003")
    refused(lambda: asked("SELECT * FROM $1", "foreign"), "Q001", "Q002")


@special("W2c")
def _(scene: Scene) -> None:
    deep = "SELECT " + "(" * 5_000 + "1" + ")" * 5_000
    joined = "SELECT pk FROM jobs WHERE " + " OR ".join(f"pk = {i}" for i in range(3_000))
    nested = "SELECT 1 FROM (" * 400 + "SELECT pk FROM jobs" + ") AS x" * 400
    odd = {
        "empty": "",
        "blank": " ;; ",
        "a comment": "-- nothing",
        "a nul": "SELECT pk FROM jobs\0",
        "unclosed": "SELECT 'alic",
        "huge": "SELECT '" + "x" * 2_000_000 + "'",
        "deep": deep,
        "not deep, but long": joined,
        "nested": nested,
        "unions": " UNION ALL ".join(["SELECT pk FROM jobs WHERE pk = 1"] * 500),
    }
    answered = set()
    for name, sql in odd.items():
        for command in (statement(sql), sql.encode()):
            try:
                pulled(scene.cern, scene.cern.info(command))
                answered.add(name)
            except Refused as told:
                assert told.code in ANY | {"R001"}, f"{name}: {told}"
    assert answered <= {"a nul", "not deep, but long", "nested", "unions", "deep"}
    for raw in (b"\xff\xfe", packed("CommandStatementQuery", (1, b"SELECT '\xff'")), b"\0" * 50):
        refused(lambda raw=raw: scene.cern.info(raw), "R001", "Q001", "R002")
    assert code_of(scene, "SELECT count(*) FROM jobs") == ""


@special("W2d")
def _(scene: Scene) -> None:
    shapes = [
        "SELECT {} FROM jobs",
        "SELECT dept FROM jobs WHERE {} > 1",
        "SELECT dept FROM jobs ORDER BY {}",
        "SELECT jobs.{} FROM jobs",
        "SELECT a.pk FROM jobs a JOIN people b USING ({})",
        "SELECT sum({}) FROM jobs",
        "SELECT * EXCLUDE ({}) FROM jobs",
    ]
    for shape in shapes:
        nothing = refused(
            lambda shape=shape: by_statement(scene.cern, shape.format("zqxwvk")), "Q001", "Q002"
        )
        for hidden in ("salary", "ssn", "visible"):
            told = refused(
                lambda shape=shape, hidden=hidden: by_statement(scene.cern, shape.format(hidden)),
                nothing.code,
            )
            words = [text.replace(hidden, "zqxwvk") for text in told.alike]
            # A suggestion may follow what was written; what is hidden is no part of it.
            bare = [re.sub(r"did you mean[^.?\[]*[.?]?", "", text) for text in words]
            known = [re.sub(r"did you mean[^.?\[]*[.?]?", "", text) for text in nothing.alike]
            assert bare == known, f"{shape} {hidden}"


@special("W2e")
def _(scene: Scene) -> None:
    may = {"pk", "user_id", "ip", "age", "notes", "dept", "wait_s", "team", "jobs", "people"}
    hidden = {"salary", "ssn", "visible", "foreign"}
    asked = {
        "SELECT salry FROM jobs": hidden,
        "SELECT sala FROM jobs": hidden,
        "SELECT ss FROM jobs": hidden,
        "SELECT visibel FROM jobs": hidden,
        "SELECT * FROM foreig": hidden,
        "SELECT * FROM jbos": hidden,
        "SELECT usr_id FROM jobs": hidden,
        "SELECT sum(dept) FROM jobs": hidden,
        "SELECT dept FROM jobs WHERE jobs.wait = 1": hidden,
        "SELEC pk FROM jobs": hidden,
        "SELECT nosuch(pk) FROM jobs": hidden,
    }
    hinted = 0
    for sql, never in asked.items():
        told = refused(lambda sql=sql: by_statement(scene.cern, sql), "Q001", "D001")
        hinted += bool(told.hint)
        for word in never:
            assert word not in told.text, f"{sql}: {told.text}"
        for quoted in re.findall(r"`([^`]*)`", told.hint):
            names = set(re.findall(r"\w+", quoted))
            strange = {n for n in names if n not in may and n.lower() not in sql.lower()}
            # What is left may only be words of SQL and names of functions that all may know.
            assert not strange & hidden and "/" not in quoted, f"{sql}: {told.text}"
    assert hinted >= 5, "partners are helped with their own names"


def test_every_case_is_implemented() -> None:
    for case in CASES:
        if not case.asked:
            assert case.id in SPECIAL, f"{case.id} has no test"
        elif "rows" in case.check:
            assert case.id in ORACLES, f"{case.id} has no expected rows"
        else:
            assert case.codes or case.check in ("any", "noisy"), f"{case.id} expects nothing"
    assert len({case.id for case in CASES}) == len(CASES) > 200
    assert set(SPECIAL) | set(ORACLES) <= {case.id for case in CASES}
