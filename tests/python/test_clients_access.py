"""TLS, tokens and client certificates in each client that speaks them.

Spark's are in its own file, since it takes seconds to start.
"""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from access import Access
from adbc_driver_flightsql.dbapi import connect
from adbc_sql import in_parallel
from certificates import client_certificate, fingerprint
from custodian import Custodian, Server, program
from polars_scan import scan_veilflight
from pyarrow_sql import query
from support import PARTNERS
from things import ROWS, access_of, publish

IDS = 'SELECT "id" FROM "things"'
LAB = "lab"


@pytest.fixture(scope="module")
def server(custodian: Custodian) -> Iterator[Server]:
    """A server with one dataset, granted to a partner who has a certificate and no token, too."""
    publish(custodian, "things", [*PARTNERS, LAB])
    certificate, key = client_certificate(LAB)
    (custodian.home / "lab.pem").write_bytes(certificate)
    (custodian.home / "lab.key").write_bytes(key)
    known = fingerprint(certificate)
    custodian.run(
        "partner", "add", LAB, "--fingerprint", known, "--no-token", "--state", custodian.state
    )
    with custodian.serve() as server:
        yield server


@pytest.fixture(scope="module")
def by_token(custodian: Custodian, server: Server) -> Access:
    """TLS and a token."""
    return access_of(custodian, server, PARTNERS[0])


@pytest.fixture(scope="module")
def by_certificate(custodian: Custodian, by_token: Access) -> Access:
    """TLS with a certificate at both ends, and no token."""
    home = custodian.home
    return replace(by_token, token=None, cert=home / "lab.pem", key=home / "lab.key")


def polars(access: Access) -> int:
    given = asdict(access)
    return scan_veilflight(given.pop("uri"), "things", **given).select("id").collect().height


def rust(access: Access) -> int:
    binary = program().parent / "examples" / "sql_client"
    assert binary.is_file(), "build it with `cargo build --examples`"
    command = [binary, "--uri", access.uri, "--sql", IDS]
    token = Path(access.ca).parent / "token-of-a-test" if access.token else None
    if token:
        token.write_text(access.token)
    files = {"--token-file": token, "--ca": access.ca, "--cert": access.cert, "--key": access.key}
    for flag, file in files.items():
        command += [flag, file] if file else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise PermissionError(done.stderr)
    return int(done.stdout.split(" rows")[0])


CLIENTS: dict[str, Callable[[Access], int]] = {
    "pyarrow": lambda access: query(access, IDS).num_rows,
    "adbc": lambda access: in_parallel(access, IDS).num_rows,
    "polars": polars,
    "rust": rust,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_token_over_tls_opens(client: str, by_token: Access) -> None:
    assert CLIENTS[client](by_token) == ROWS


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_certificate_opens_without_a_token(client: str, by_certificate: Access) -> None:
    assert CLIENTS[client](by_certificate) == ROWS


@pytest.mark.parametrize("client", CLIENTS)
def test_nobody_gets_in_with_neither(client: str, by_token: Access) -> None:
    with pytest.raises(Exception, match="I001"):
        CLIENTS[client](replace(by_token, token=None))


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_of_another_authority_is_not_trusted(
    client: str, by_token: Access, tmp_path: Path
) -> None:
    stranger, _ = client_certificate("stranger")
    (tmp_path / "stranger.pem").write_bytes(stranger)
    with pytest.raises(Exception, match="(?i)certificate|tls|ssl|handshake|transport|unavailable"):
        CLIENTS[client](replace(by_token, ca=tmp_path / "stranger.pem"))


def test_name_and_token_as_user_and_password_open_adbc(
    custodian: Custodian, by_token: Access
) -> None:
    options = {
        "username": PARTNERS[0],
        "password": custodian.token(PARTNERS[0]),
        "adbc.flight.sql.client_option.tls_root_certs": custodian.authority.read_text(),
    }
    with connect(by_token.uri, db_kwargs=options, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute('SELECT count(*) FROM "things"')
            assert cursor.fetchall() == [(ROWS,)]


def test_a_server_without_tls_is_reached_by_a_token_alone(
    custodian: Custodian, server: Server
) -> None:
    server.stop()
    with custodian.serve(tls=False) as bare:
        assert query(access_of(custodian, bare, PARTNERS[0]), IDS).num_rows == ROWS
        assert in_parallel(access_of(custodian, bare, PARTNERS[0]), IDS).num_rows == ROWS
