"""The stock ADBC driver for Flight SQL, connected as a partner is. Answers for its options alone."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from custodian import Custodian, Server

Database = adbc_driver_flightsql.DatabaseOptions
Session = adbc_driver_flightsql.ConnectionOptions


def connected(
    custodian: Custodian, server: Server, partner: str = "cern", **more: str
) -> adbc.Connection:
    """A connection with the partner's token, over TLS where the server has it."""
    options = {
        Database.AUTHORIZATION_HEADER.value: f"Bearer {custodian.token(partner)}",
        Database.WITH_COOKIE_MIDDLEWARE.value: "true",
        **{Database.RPC_CALL_HEADER_PREFIX.value + key: value for key, value in more.items()},
    }
    if "tls" in server.uri:
        options[Database.TLS_ROOT_CERTS.value] = custodian.roots.decode()
    return adbc.connect(server.uri, db_kwargs=options, autocommit=True)


def ask(connection: adbc.Connection, sql: str, parameters: object = None) -> pa.Table:
    """One statement's answer."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetch_arrow_table()


@dataclass(frozen=True)
class Refusal:
    """What the driver tells of a refusal."""

    code: str
    request: str
    text: str
    error: adbc.Error


def refused(call: Callable[[], object]) -> Refusal:
    """Run what the server must refuse; code and number of the request are in the text and details."""
    with pytest.raises(adbc.Error) as caught:
        call()
    text = str(caught.value)
    found = re.search(r"\[([A-Z]\d{3}), request ([0-9a-f]{16})\]", text)
    assert found, f"not one of the server's sentences: {text}"
    details = {key: value for key, value in caught.value.details or []}
    if "veilflight-code" in details:
        assert details["veilflight-code"] == found[1].encode()
    return Refusal(found[1], found[2], text, caught.value)
