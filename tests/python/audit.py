"""The audit log as other programs read it."""

import json
import time
from collections.abc import Callable
from typing import Any

from custodian import Custodian

Record = dict[str, Any]


def records(custodian: Custodian) -> list[Record]:
    """Every record, oldest first."""
    text = custodian.run("audit", "export", "--state", custodian.state)
    return [json.loads(line)["record"] for line in text.splitlines()]


def flattened(record: Record) -> Record:
    """A record with the fields of its event beside its own."""
    flat: Record = {}
    for name, value in record.items():
        flat.update(flattened(value) if isinstance(value, dict) else {name: value})
    return flat


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
