"""What the tests share: a custodian with keys, certificates and partners; the real data."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from custodian import PROJECT, Custodian, Server
from partner import Partner

PARTNERS = ["cern", "nersc"]


@pytest.fixture(scope="module")
def custodian(tmp_path_factory: pytest.TempPathFactory) -> Custodian:
    """A custodian who has everything but policies."""
    return furnished(tmp_path_factory.mktemp("custodian"))


def furnished(home: Path, partners: list[str] = PARTNERS) -> Custodian:
    """A custodian with a key, certificates and partners in an empty folder."""
    custodian = Custodian(home)
    custodian.init()
    custodian.certify()
    for name in partners:
        custodian.enrol(name)
    return custodian


@pytest.fixture
def furnish(tmp_path: Path) -> Callable[[], Custodian]:
    """Make a custodian for one test alone."""
    return lambda: furnished(tmp_path)


def client_of(custodian: Custodian, server: Server, name: str) -> Partner:
    """A partner with their token, over TLS where the server has it."""
    roots = custodian.roots if "tls" in server.uri else None
    return Partner(server.uri, custodian.token_file(name).read_text(), roots)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data; without it the test is skipped, but never in continuous integration."""
    folder = PROJECT.parent / "shared"
    if not folder.is_dir():
        message = f"../shared is not there (`{folder}`)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


def refused(call: Callable[[], object]) -> Refusal:
    """Run what the server must refuse, and return what the client was told."""
    with pytest.raises((flight.FlightError, pa.ArrowException, OSError)) as caught:
        call()
    # What follows is gRPC's own account of the connection, which repeats the server's words.
    told = re.split(r"\.? ?gRPC client debug context", str(caught.value))[0]
    found = TOLD.search(told)
    assert found, f"not one of the server's sentences: {told}"
    return Refusal(type(caught.value), found["sentence"], found["code"], str(caught.value))


# A fixed sentence, a stable code and the request's number, and nothing after it.
TOLD = re.compile(
    r"(?P<sentence>[A-Z][A-Za-z ,:'-]*(?:\. [A-Z][A-Za-z ,:'-]*)*\.) "
    r"\[(?P<code>[A-Z]\d{3}), request (?P<id>[0-9a-f]{16})\]\.?$"
)


@dataclass(frozen=True)
class Refusal:
    """What a client is told of a refusal."""

    kind: type
    sentence: str
    code: str
    everything: str
