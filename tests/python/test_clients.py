"""Stock clients: how they get in, what they are told, and what happens when they misbehave."""

import datetime
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from certificates import client_certificate, fingerprint
from custodian import Custodian, Server
from partner import Partner, descriptor
from support import PARTNERS, client_of, refused
from tables import write_jobs, write_policy

from audit import flattened, records, until

ROWS = 20_000
LONG_ROWS = 1_500_000


@pytest.fixture(scope="module")
def server(custodian: Custodian) -> Iterator[Server]:
    """A server with a dataset of many shards, and one of a single long shard."""
    write_jobs(custodian.home / "jobs" / "a.parquet", ROWS)
    write_policy(custodian.policies, "jobs", "../jobs")
    write_jobs(custodian.home / "long" / "a.parquet", LONG_ROWS, LONG_ROWS)
    write_policy(custodian.policies, "long", "../long")
    with custodian.serve() as server:
        yield server


@pytest.fixture
def cern(custodian: Custodian, server: Server) -> Partner:
    """A partner with a token."""
    return client_of(custodian, server, "cern")


def test_a_bearer_token_opens_every_call(cern: Partner) -> None:
    assert cern.pull("jobs").table.num_rows == ROWS
    with cern.connect() as client:
        listed = [info.descriptor.path for info in client.list_flights(options=cern.options)]
        assert listed == [[b"jobs"], [b"long"]]
        actions = {action.type for action in client.list_actions(cern.options)}
        assert {"CancelFlightInfo", "RenewFlightEndpoint"} <= actions


def test_a_basic_handshake_gives_a_bearer_token_for_the_session(
    custodian: Custodian, server: Server, cern: Partner
) -> None:
    with cern.connect() as client:
        header = client.authenticate_basic_token("cern", cern.token)
        options = flight.FlightCallOptions(headers=[header])
        info = client.get_flight_info(descriptor("jobs"), options)
        assert client.do_get(info.endpoints[0].ticket, options).read_all().num_rows > 0


def test_a_handshake_with_a_wrong_password_is_refused(cern: Partner) -> None:
    with cern.connect() as client:
        told = refused(lambda: client.authenticate_basic_token("cern", "wrong"))
    assert (told.kind, told.code) == (flight.FlightUnauthenticatedError, "I002")


def test_a_registered_client_certificate_needs_no_token(
    custodian: Custodian, server: Server
) -> None:
    certificate, key = client_certificate("lab")
    known = fingerprint(certificate)
    custodian.run(
        "partner", "add", "lab", "--fingerprint", known, "--no-token", "--state", custodian.state
    )
    lab = Partner(
        server.uri, None, custodian.roots, {"cert_chain": certificate, "private_key": key}
    )
    with lab.connect() as client:
        assert list(client.list_flights()) == []  # known, and granted nothing
    stranger = dict(zip(("cert_chain", "private_key"), client_certificate("lab")))
    with Partner(server.uri, None, custodian.roots, stranger).connect() as client:
        with pytest.raises((flight.FlightError, pa.ArrowException, OSError)):
            list(client.list_flights())


@pytest.mark.parametrize("token", ["wrong", "", "x" * 4_000])
def test_a_wrong_token_is_told_a_sentence_a_code_and_a_number(
    cern: Partner, server: Server, token: str
) -> None:
    wrong = Partner(server.uri, token or None, cern.roots)
    for call in (lambda: wrong.info("jobs"), lambda: wrong.info("nothing"), lambda: listing(wrong)):
        told = refused(call)
        assert told.kind is flight.FlightUnauthenticatedError
        assert told.code == ("I002" if token else "I001")


def listing(partner: Partner) -> list[flight.FlightInfo]:
    """Everything that a partner sees listed."""
    with partner.connect() as client:
        return list(client.list_flights(options=partner.options))


def test_unknown_and_ungranted_datasets_cannot_be_told_apart(cern: Partner) -> None:
    unknown = refused(lambda: cern.info("nothing"))
    odd = refused(lambda: cern.info("../jobs"))
    assert unknown.code == odd.code == "D001"
    assert unknown.sentence == odd.sentence


def test_a_command_is_a_statement_and_what_is_not_one_is_answered_by_its_code(
    cern: Partner,
) -> None:
    def info(command: bytes) -> flight.FlightInfo:
        with cern.connect() as client:
            return client.get_flight_info(
                flight.FlightDescriptor.for_command(command), cern.options
            )

    assert info(b"SELECT * FROM jobs").schema.equals(cern.info("jobs").schema)
    for command, code in ((b"DROP TABLE jobs", "Q002"), (b"SELECT", "Q001"), (b"\xff", "R001")):
        with pytest.raises((flight.FlightError, pa.ArrowException), match=rf"\[{code}, request"):
            info(command)


def test_a_forged_ticket_opens_nothing(cern: Partner) -> None:
    sealed = cern.info("jobs").endpoints[0].ticket.ticket
    forgeries = [b"", b"jobs", sealed[:-1], sealed + b"x", bytes(len(sealed))]
    for place in range(0, len(sealed), 7):
        forgeries.append(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :])
    for forgery in forgeries:
        assert refused(lambda: cern.shard(flight.Ticket(forgery))).code == "T001"


def test_a_ticket_serves_only_the_partner_it_was_issued_to(
    custodian: Custodian, server: Server, cern: Partner
) -> None:
    ticket = client_of(custodian, server, "nersc").info("jobs").endpoints[0].ticket
    assert refused(lambda: cern.shard(ticket)).code == "T003"


def test_a_ticket_can_be_used_again(cern: Partner) -> None:
    ticket = cern.info("jobs").endpoints[0].ticket
    assert cern.shard(ticket).equals(cern.shard(ticket))


def test_two_partners_get_other_pseudonyms_and_the_same_clear_values(
    custodian: Custodian, server: Server
) -> None:
    left, right = (client_of(custodian, server, name).pull("jobs").table for name in PARTNERS)
    for column in ("Job", "Queued"):
        assert left[column].equals(right[column])
    for column in ("User", "Address"):
        both = [set(table[column].to_pylist()) - {None} for table in (left, right)]
        assert len(both[0]) == len(both[1]) > 50
        assert len(both[0] & both[1]) <= (len(both[0]) // 20 if column == "Address" else 0)


def test_endpoints_hold_each_row_once(cern: Partner) -> None:
    pulled = cern.pull("jobs")
    assert pulled.endpoints > 1
    assert sorted(pulled.table["Job"].to_pylist()) == list(range(ROWS))


def test_the_schema_announced_is_the_schema_sent(cern: Partner) -> None:
    info = cern.info("jobs")
    with cern.connect() as client:
        asked = client.get_schema(descriptor("jobs"), cern.options).schema
        sent = client.do_get(info.endpoints[0].ticket, cern.options).schema
    assert info.schema.equals(sent, check_metadata=True)
    assert asked.equals(sent, check_metadata=True)
    assert sent.names == ["Job", "User", "Group", "Address", "Queued"]
    protections = {field.name: field.metadata[b"veilflight.protection"] for field in sent}
    assert protections == {
        "Job": b"keep",
        "User": b"pseudonym.hmac",
        "Group": b"pseudonym.token",
        "Address": b"ip.crypto_pan",
        "Queued": b"truncate",
    }
    assert sent.metadata is None
    assert (info.total_records, info.total_bytes) == (-1, -1)


def test_a_policy_can_be_read_about(cern: Partner) -> None:
    with cern.connect() as client:
        action = flight.Action("veilflight.policy_info", b"jobs")
        (answer,) = client.do_action(action, cern.options)
    said = json.loads(answer.body.to_pybytes())
    assert [column["name"] for column in said["columns"]] == [
        "Job",
        "User",
        "Group",
        "Address",
        "Queued",
    ]
    assert all(column["still_leaks"] for column in said["columns"])


def test_a_cancelled_stream_stops_the_work_and_is_recorded(
    custodian: Custodian, cern: Partner
) -> None:
    ticket = cern.info("long").endpoints[0].ticket
    with cern.connect() as client:
        reader = client.do_get(ticket, cern.options)
        assert reader.read_chunk().data.num_rows > 0
        reader.cancel()

    def recorded() -> bool:
        closes = [flattened(record) for record in records(custodian)]
        return any(close.get("code") == "R003" and close["rows"] < LONG_ROWS for close in closes)

    until(recorded)
    assert cern.shard(ticket).num_rows == LONG_ROWS


def test_a_slow_reader_gets_every_row_and_holds_nobody_up(
    custodian: Custodian, server: Server, cern: Partner
) -> None:
    ticket = cern.info("long").endpoints[0].ticket
    with cern.connect() as client, ThreadPoolExecutor(1) as pool:
        reader = client.do_get(ticket, cern.options)
        rows = reader.read_chunk().data.num_rows
        other = pool.submit(
            lambda: client_of(custodian, server, "nersc").pull("jobs").table.num_rows
        )
        assert other.result(300) == ROWS
        time.sleep(2)
        while True:
            try:
                rows += reader.read_chunk().data.num_rows
            except StopIteration:
                break
    assert rows == LONG_ROWS


def test_a_reader_who_stops_is_cut_off(custodian: Custodian, server: Server) -> None:
    server.stop()
    with custodian.serve("--idle-seconds", "3") as strict:
        cern = client_of(custodian, strict, "cern")
        with cern.connect() as client:
            reader = client.do_get(cern.info("long").endpoints[0].ticket, cern.options)
            reader.read_chunk()
            closed = lambda: any(
                flattened(record).get("code") == "L003" for record in records(custodian)
            )
            until(closed)
            assert refused(lambda: reader.read_all()).code == "L003"
        assert cern.pull("jobs").table.num_rows == ROWS


def test_an_expired_grant_ends_access(custodian: Custodian) -> None:
    policy = write_policy(custodian.policies, "jobs", "../jobs")
    yesterday = datetime.date.today() - datetime.timedelta(days=2)
    text = policy.read_text()
    policy.write_text(text.replace("cern, access: rows", f"cern, access: rows, until: {yesterday}"))
    with custodian.serve() as server:
        assert refused(lambda: client_of(custodian, server, "cern").info("jobs")).code == "D001"
        assert client_of(custodian, server, "nersc").pull("jobs").table.num_rows == ROWS
