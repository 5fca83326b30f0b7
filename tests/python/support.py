"""What tests share: furnished custodians, their clients, and what a refused client is told."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from custodian import Custodian, Server
from partner import Partner

PARTNERS = ["cern", "nersc"]

# The master key of every custodian here: pseudonyms, shifts and coins are the same in every run, so that no
# pseudonym holds a word that is looked for, or is another raw value, in one run of many thousands.
KEY = hashlib.sha256(b"the key of all tests").hexdigest()

# A fixed sentence, a stable code and the request's number; around it only what pyarrow itself adds.
TOLD = re.compile(
    r"(?:(?:Flight|gRPC) [a-z ,]+: )?"
    r"(?P<sentence>[A-Z][A-Za-z ,:'-]*(?:\. [A-Z][A-Za-z ,:'-]*)*\.) "
    r"\[(?P<code>[A-Z]\d{3}), request (?P<id>[0-9a-f]{16})\]"
    r"(?:\. Detail: [A-Za-z]+)?"
)


@dataclass(frozen=True)
class Refusal:
    """What a client is told of a refusal."""

    kind: type
    sentence: str
    code: str
    everything: str


def refused(call: Callable[[], object]) -> Refusal:
    """Run what the server must refuse, and return what the client was told."""
    with pytest.raises((flight.FlightError, pa.ArrowException, OSError)) as caught:
        call()
    # What follows is gRPC's own account of the connection, which repeats the server's words.
    told = re.split(r"\.? ?gRPC client debug context", str(caught.value))[0].strip("'\" ")
    found = TOLD.fullmatch(told)
    assert found, f"not one of the server's sentences: {told}"
    return Refusal(type(caught.value), found["sentence"], found["code"], str(caught.value))


def furnished(home: Path, partners: Sequence[str] = PARTNERS) -> Custodian:
    """A custodian with a key, certificates and partners in an empty folder."""
    custodian = Custodian(home)
    custodian.init()
    text, keys = re.subn(r"\b[0-9a-f]{64}\b", KEY, custodian.key.read_text())
    assert keys == 1, "one master key"
    custodian.key.write_text(text)
    custodian.certify()
    for name in partners:
        custodian.enrol(name)
    return custodian


def client_of(custodian: Custodian, server: Server, name: str) -> Partner:
    """A partner with their token, over TLS where the server has it."""
    roots = custodian.roots if "tls" in server.uri else None
    return Partner(server.uri, custodian.token(name), roots)
