"""How an example reaches a server: what it is told on the command line, in each client's words.

Answers for URI, token, authority and client certificate. Knows no statement and no dataset. A token is
read from a file or the environment, since other users of a machine see arguments.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.flight as flight


@dataclass(frozen=True)
class Access:
    """Where the server is, and who asks: a token, a client certificate, or both."""

    uri: str
    token: str | None = None
    ca: str | Path | None = None
    cert: str | Path | None = None
    key: str | Path | None = None

    @classmethod
    def parser(cls, description: str, server: bool = True) -> argparse.ArgumentParser:
        """The arguments that every example takes; without a server some read files."""
        parser = argparse.ArgumentParser(description=description.splitlines()[0])
        add = parser.add_argument
        add("--uri", required=server, help="such as grpc+tls://data.example.org:8815")
        add("--token-file", help="a file with the token; else $VEILFLIGHT_TOKEN, else none")
        add("--ca", help="the authority to trust, PEM; without it those that the client trusts")
        add("--cert", help="a client certificate, PEM (mTLS)")
        add("--key", help="the client certificate's key, PEM")
        return parser

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Access":
        """What the arguments say."""
        file, token = arguments.token_file, os.environ.get("VEILFLIGHT_TOKEN")
        if file:
            token = Path(file).read_text().strip()
        return cls(arguments.uri, token, arguments.ca, arguments.cert, arguments.key)

    def pyarrow(self) -> flight.FlightClient:
        """A connection of pyarrow.flight; the token goes with each call, in `options`."""
        files = {"tls_root_certs": self.ca, "cert_chain": self.cert, "private_key": self.key}
        given = {name: Path(file).read_bytes() for name, file in files.items() if file}
        return flight.connect(self.uri, **given)

    @property
    def options(self) -> flight.FlightCallOptions:
        """What each call of pyarrow.flight carries."""
        header = [(b"authorization", f"Bearer {self.token}".encode())] if self.token else []
        return flight.FlightCallOptions(headers=header)

    def adbc(self, **more: str) -> Any:
        """A connection of the ADBC driver for Flight SQL, a DB-API connection that speaks Arrow."""
        from adbc_driver_flightsql import DatabaseOptions
        from adbc_driver_flightsql.dbapi import connect

        files = {
            DatabaseOptions.TLS_ROOT_CERTS: self.ca,
            DatabaseOptions.MTLS_CERT_CHAIN: self.cert,
            DatabaseOptions.MTLS_PRIVATE_KEY: self.key,
        }
        given = {name.value: Path(file).read_text() for name, file in files.items() if file}
        if self.token:
            given[DatabaseOptions.AUTHORIZATION_HEADER.value] = f"Bearer {self.token}"
        # A server that only reads has no transactions: autocommit is what it always does.
        return connect(self.uri, db_kwargs=given | more, autocommit=True)
