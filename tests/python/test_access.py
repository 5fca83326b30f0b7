"""Who gets in, with what, and for how long: every method, every kind of credential."""

import datetime
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from custodian import Custodian, Failed, Server
from partner import Partner, descriptor
from reference.keys import Ring
from reference.policy import Reference
from support import client_of, refused
from tables import jobs, write_jobs, write_policy

from audit import flattened, records, until

ROWS = 2_000
Call = Callable[[flight.FlightClient, flight.FlightCallOptions], object]


@pytest.fixture(scope="module")
def server(custodian: Custodian) -> Iterator[Server]:
    """A server with one dataset."""
    write_jobs(custodian.home / "jobs" / "a.parquet", ROWS)
    write_policy(custodian.policies, "jobs", "../jobs")
    with custodian.serve() as server:
        yield server


def put(client: flight.FlightClient, options: flight.FlightCallOptions) -> None:
    """Try to write."""
    writer, _ = client.do_put(descriptor("jobs"), pa.schema([("Job", pa.int64())]), options)
    writer.done_writing()
    writer.close()


def exchange(client: flight.FlightClient, options: flight.FlightCallOptions) -> None:
    """Try to exchange."""
    writer, reader = client.do_exchange(descriptor("jobs"), options)
    writer.done_writing()
    reader.read_all()


CALLS: dict[str, Call] = {
    "ListFlights": lambda client, options: list(client.list_flights(options=options)),
    "GetFlightInfo": lambda client, options: client.get_flight_info(descriptor("jobs"), options),
    "GetSchema": lambda client, options: client.get_schema(descriptor("jobs"), options),
    "DoGet": lambda client, options: client.do_get(flight.Ticket(b"x"), options).read_all(),
    "ListActions": lambda client, options: client.list_actions(options),
    "DoAction": lambda client, options: list(
        client.do_action(flight.Action("veilflight.server_info", b""), options)
    ),
    "DoPut": put,
    "DoExchange": exchange,
}


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("token", [None, "vf_" + "a" * 52], ids=["nothing", "a wrong token"])
def test_no_method_answers_a_stranger(
    custodian: Custodian, server: Server, method: str, token: str | None
) -> None:
    stranger = Partner(server.uri, token, custodian.roots)
    with stranger.connect() as client:
        told = refused(lambda: CALLS[method](client, stranger.options))
    # For GetSchema pyarrow raises its most general error, and says which it was in the text.
    assert told.kind is flight.FlightUnauthenticatedError or "Unauthenticated" in told.everything
    assert told.code == ("I002" if token else "I001")


@pytest.mark.parametrize("method", ["DoPut", "DoExchange"])
def test_nobody_writes(custodian: Custodian, server: Server, method: str) -> None:
    cern = client_of(custodian, server, "cern")
    with cern.connect() as client:
        assert refused(lambda: CALLS[method](client, cern.options)).code == "R002"


def test_a_disabled_partner_is_out_at_the_next_call(custodian: Custodian, server: Server) -> None:
    custodian.enrol("guest")
    guest = client_of(custodian, server, "guest")
    assert refused(lambda: guest.info("jobs")).code == "D001"  # let in, and granted nothing
    custodian.run("partner", "disable", "guest", "--state", custodian.state)
    assert refused(lambda: guest.info("jobs")).code == "I002"


def test_a_rotated_token_takes_the_place_of_the_old_one(
    custodian: Custodian, server: Server
) -> None:
    custodian.enrol("mover")
    old = client_of(custodian, server, "mover")
    custodian.token_file("mover").unlink()
    file = custodian.token_file("mover")
    custodian.run("partner", "rotate", "mover", "--state", custodian.state, "--token-file", file)
    assert refused(lambda: old.info("jobs")).code == "I002"
    assert refused(lambda: client_of(custodian, server, "mover").info("jobs")).code == "D001"


def test_a_partner_whose_time_is_over_is_refused(custodian: Custodian, server: Server) -> None:
    long_ago = datetime.date.today() - datetime.timedelta(days=2)
    added = custodian.attempt(
        "partner",
        "add",
        "late",
        "--state",
        custodian.state,
        "--expires",
        str(long_ago),
        "--token-file",
        custodian.token_file("late"),
    )
    if added.returncode == 0:
        assert refused(lambda: client_of(custodian, server, "late").info("jobs")).code == "I002"


def test_a_client_that_does_not_know_the_authority_does_not_connect(server: Server) -> None:
    with pytest.raises((flight.FlightError, OSError)):
        Partner(server.uri, "vf_x").info("jobs")
    with pytest.raises((flight.FlightError, OSError)):
        Partner(server.uri.replace("grpc+tls", "grpc+tcp"), "vf_x").info("jobs")


def test_tokens_are_not_kept(custodian: Custodian, server: Server) -> None:
    token = custodian.token("cern").encode()
    files = [path for path in custodian.state.rglob("*") if path.is_file()]
    assert len(files) >= 2
    for file in files:
        assert token not in file.read_bytes() and token[3:] not in file.read_bytes(), file
    assert token not in server.log.read_bytes()


def test_secrets_lie_in_files_that_only_their_owner_reads(
    custodian: Custodian, server: Server
) -> None:
    secrets = [custodian.key, custodian.token_file("cern"), custodian.tls / "server.key"]
    secrets += custodian.state.glob("*.sqlite*")
    assert {oct(path.stat().st_mode & 0o777) for path in secrets} == {"0o600"}


def test_every_request_is_recorded_and_an_edited_log_is_found(alone: Custodian) -> None:
    write_jobs(alone.home / "jobs" / "a.parquet", ROWS, ROWS)
    policy = write_policy(alone.policies, "jobs", "../jobs")
    with alone.serve() as server:
        client_of(alone, server, "cern").pull("jobs")
        refused(lambda: Partner(server.uri, "vf_wrong", alone.roots).info("jobs"))
    found = [flattened(record) for record in records(alone)]
    (opened,) = [record for record in found if record.get("method") == "DoGet"]
    (closed,) = [record for record in found if record.get("opened") == opened["seq"]]
    assert (opened["partner"], opened["dataset"]) == ("cern", "jobs")
    assert opened["columns"] == ["Job", "User", "Group", "Address", "Queued"]
    assert (closed["outcome"], closed["rows"]) == ("done", ROWS) and closed["bytes"] > ROWS
    assert any(record.get("code") == "I002" for record in found)

    assert "whole" in alone.run("audit", "verify", "--state", alone.state)
    edit_one_record(alone, '"rows":2000', '"rows":2001')
    verified = alone.attempt("audit", "verify", "--state", alone.state)
    assert verified.returncode == 1 and str(closed["seq"]) in verified.stdout
    policy.unlink()


def edit_one_record(custodian: Custodian, before: str, after: str) -> None:
    """Change one record where it is stored, as someone with the file could."""
    with sqlite3.connect(custodian.state / "state.sqlite") as state:
        edited = 0
        for (table,) in state.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall():
            for _, column, *_ in state.execute(f"PRAGMA table_info({table})").fetchall():
                change = f"UPDATE {table} SET {column} = replace({column}, ?1, ?2)"
                change += f" WHERE instr({column}, ?1) > 0"
                edited += state.execute(change, (before, after)).rowcount
        assert edited == 1
    state.close()


def test_a_new_key_changes_pseudonyms_unless_the_policy_pins_the_epoch(alone: Custodian) -> None:
    write_jobs(alone.home / "jobs" / "a.parquet", ROWS)
    newest = write_policy(alone.policies, "jobs", "../jobs")
    pinned = write_policy(alone.policies, "pinned", "../jobs")
    pinned.write_text(pinned.read_text() + "epoch: 1\n")
    seen = []
    for _ in range(2):
        with alone.serve() as server:
            cern = client_of(alone, server, "cern")
            seen.append(
                [cern.pull(path.stem).table["User"].to_pylist() for path in (newest, pinned)]
            )
        expected = Reference(newest, Ring.read(alone.key)).apply(jobs(ROWS), "cern")["User"]
        assert seen[-1][0] == expected
        alone.run("key", "rotate", "--state", alone.state)
    assert seen[0][0] != seen[1][0] and seen[0][1] == seen[1][1] == seen[0][0]


def test_a_server_does_not_start_unsafely(alone: Custodian) -> None:
    write_policy(alone.policies, "jobs", "../jobs")
    address = f"0.0.0.0:{free_port()}"
    flags = ["--policies", alone.policies, "--state", alone.state, "--listen", address]
    open_to_all = alone.attempt("serve", *flags)
    assert open_to_all.returncode == 1 and "there is no TLS" in open_to_all.stderr
    os.chmod(alone.key, 0o644)
    with pytest.raises(Failed, match="K001"), alone.serve():
        pass
    os.chmod(alone.key, 0o600)
    alone.key.write_text("00" * 32 + "\n")
    with pytest.raises(Failed, match="K001"), alone.serve():
        pass


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_certificates_are_renewed_without_a_restart(alone: Custodian) -> None:
    write_policy(alone.policies, "jobs", "../jobs")
    write_jobs(alone.home / "jobs" / "a.parquet", ROWS)
    with alone.serve("--reload-seconds", "1") as server:
        assert client_of(alone, server, "cern").pull("jobs").table.num_rows == ROWS
        shutil.rmtree(alone.tls)
        alone.certify()

        def renewed() -> bool:
            try:
                return bool(client_of(alone, server, "cern").info("jobs").endpoints)
            except (flight.FlightError, OSError):
                return False

        until(renewed)
