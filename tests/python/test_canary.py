"""No raw byte leaves: a marker in every cell, and every byte that the server sends is looked at."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import canaries
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest
import yaml
from custodian import Custodian, Server
from partner import Partner, descriptor
from proxy import Recorder, recording
from reference.policy import Rule
from support import furnished, refused

# Datasets whose every pull fails on a value, a file or a schema that holds markers.
BROKEN = {
    "value": (
        '{parquet: "../PLACEMARK/value.parquet"}',
        "{Cell: {ip: {method: crypto_pan, invalid: error}}}",
    ),
    "cut": ('{parquet: "../PLACEMARK/cut.parquet"}', "{Cell: keep}"),
    "drift": ('{parquet: "../PLACEMARK/value.parquet"}', "{HIDDENCOLUMN: drop, Other: keep}"),
    "text": (
        '{delimited: {paths: "../PLACEMARK/cells.csv", delimiter: ",", header: false, '
        "columns: {Cell: integer}}}",
        "{Cell: keep}",
    ),
    "missing": ('{parquet: "../PLACEMARK/nowhere.parquet"}', "{Cell: keep}"),
}


@dataclass
class Scene:
    """A server with canaries, and what it sent."""

    custodian: Custodian
    server: Server
    recorder: Recorder
    cern: Partner


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A server in plain text on this machine, behind a recorder, logging all that it can."""
    custodian = furnished(tmp_path_factory.mktemp("canary"))
    canaries.write(custodian.home)
    folder = custodian.home / "PLACEMARK"
    cells = pa.table({"Cell": [f"{canaries.MARKER}-{i}" for i in range(100)]})
    pq.write_table(cells, folder / "value.parquet")
    whole = (folder / "value.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "cells.csv").write_text("1\n2\nCANARY-text\n")
    for name, (source, columns) in BROKEN.items():
        (custodian.policies / f"{name}.yaml").write_text(
            f"version: 1\ndataset: {name}\nsource: {source}\ncolumns: {columns}\n"
            "grants: [{partner: cern, access: rows}]\n"
        )
    with custodian.serve("--log", "debug", tls=False) as server, recording(server.uri) as recorder:
        token = custodian.token("cern")
        yield Scene(custodian, server, recorder, Partner(recorder.uri, token))


def assert_clean(where: str, data: bytes, marks: list[bytes]) -> None:
    """No mark stands in the data."""
    for mark in marks:
        at = data.find(mark)
        around = data[max(0, at - 80) : at + 80]
        assert at < 0, f"{mark!r} in {where}: {around!r}"


def everywhere(scene: Scene, told: str = "") -> None:
    """No mark on the wire, in what the client was told, in the log or in the audit entries."""
    on_the_wire(scene, told)
    assert_clean("the log", scene.server.said().encode(), canaries.RAW)


def on_the_wire(scene: Scene, told: str) -> None:
    """No mark on the wire, in what the client was told, or in the audit entries."""
    wire = canaries.RAW + canaries.PLACES
    assert_clean("the bytes sent", scene.recorder.bytes(), wire)
    assert_clean("what the client was told", told.encode(), wire)
    exported = scene.custodian.run("audit", "export", "--state", scene.custodian.state)
    assert_clean("the audit log", exported.encode(), wire)


def test_the_table_is_full_of_markers(scene: Scene) -> None:
    raw = (scene.custodian.home / "PLACEMARK" / "canaries.parquet").read_bytes()
    table = pq.read_table(pa.BufferReader(raw))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    sent_raw = sink.getvalue().to_pybytes()
    assert sent_raw.count(canaries.RAW[0]) > 1_000 and sent_raw.count(canaries.RAW[1]) > 1_000
    assert b"CANARY-unused" in sent_raw and b"CANARY-index" in sent_raw


def test_every_transform_has_a_column_of_markers(scene: Scene) -> None:
    schema = json.loads(scene.custodian.run("policy", "schema"))
    written = schema["$defs"]["rule"]["anyOf"][1]["properties"]
    offered = set()
    for verb in set(written) - {"class"}:
        methods = {
            form["properties"]["method"]["const"]
            for form in written[verb].get("anyOf", [])
            if "method" in form.get("properties", {})
        }
        offered |= {(verb, method) for method in methods} or {(verb, None)}
    rules = [Rule.read(rule) for rule in yaml.safe_load(canaries.POLICY)["columns"].values()]
    assert offered - {(rule.verb, rule.method) for rule in rules} == set()


def test_no_marker_leaves_with_the_rows(scene: Scene) -> None:
    pulled = scene.cern.pull("canaries").table
    visible = [i for i in range(canaries.ROWS) if i % 9 != 4]
    assert sorted(pulled["Row"].to_pylist()) == visible
    assert set(pulled["Site"].to_pylist()) == {"BNL", "RAL"}
    assert len(scene.recorder.bytes()) > 100_000
    everywhere(scene, str(pulled.schema))


def test_no_marker_leaves_with_schemas_listings_and_actions(scene: Scene) -> None:
    told = ""
    with scene.cern.connect() as client:
        options = scene.cern.options
        told += str([info.schema for info in client.list_flights(options=options)])
        told += str(client.get_schema(descriptor("canaries"), options).schema)
        told += str(client.list_actions(options))
        for action in ("veilflight.server_info", "veilflight.policy_info"):
            answers = client.do_action(flight.Action(action, b"canaries"), options)
            told += str([answer.body.to_pybytes() for answer in answers])
    everywhere(scene, told)


@pytest.mark.parametrize("dataset", BROKEN)
def test_no_marker_leaves_with_a_failure(scene: Scene, dataset: str) -> None:
    told = refused(lambda: scene.cern.pull(dataset))
    expected = {"value": "S002", "cut": "S001", "drift": "D003", "text": "S002", "missing": "S001"}
    assert told.code == expected[dataset]
    everywhere(scene, told.everything)


def test_no_marker_comes_back_to_whoever_sends_it(scene: Scene) -> None:
    # Statements apart: a hint may repeat a word of the partner's own statement (test_sql_guard.py).
    mark = canaries.MARKER
    wrong = Partner(scene.recorder.uri, f"{mark}-token")

    def with_client(call: Callable[[flight.FlightClient], object]) -> Callable[[], object]:
        def run() -> object:
            with scene.cern.connect() as client:
                return call(client)

        return run

    options = scene.cern.options
    table = pa.table({"Cell": [mark]})

    def put(client: flight.FlightClient) -> None:
        writer, _ = client.do_put(descriptor(mark), table.schema, options)
        writer.write_table(table)
        writer.close()

    def exchange(client: flight.FlightClient) -> None:
        writer, reader = client.do_exchange(descriptor(mark), options)
        writer.begin(table.schema)
        writer.done_writing()
        reader.read_all()

    calls: list[Callable[[], object]] = [
        lambda: wrong.info("canaries"),
        lambda: scene.cern.info(mark),
        lambda: scene.cern.shard(flight.Ticket(mark.encode() * 20)),
        with_client(lambda client: client.authenticate_basic_token(mark, mark)),
        with_client(
            lambda client: list(client.do_action(flight.Action(mark, mark.encode()), options))
        ),
        with_client(
            lambda client: list(
                client.do_action(flight.Action("veilflight.policy_info", mark.encode()), options)
            )
        ),
        with_client(put),
        with_client(exchange),
    ]
    told = [refused(call).everything for call in calls]
    # The operator's log may say what was asked for; what was asked for is no cell.
    on_the_wire(scene, " ".join(told))
