"""What the benchmark found, as a table, as bars that are met or missed, and as JSON."""

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa


@dataclass
class Line:
    """The medians of one contender."""

    name: str
    rows_a_second: float
    megabytes_a_second: float
    spread: float
    first_batch_ms: float
    memory_mb: float
    to_raw: float = 0.0
    to_alike: float = 0.0


@dataclass
class Growth:
    """Peak memory in MB over some rows, and over four times as many."""

    name: str
    small: float
    large: float


def show(lines: list[Line], growth: list[Growth]) -> None:
    """Print the table and the bars.

    The first four lines are the peer's, the next four ours, in the same order: one stream, several,
    and both again with TLS. "to raw" compares with the peer in clear, "alike" with the peer that
    also has TLS.
    """
    peer, ours = lines[:4], lines[4:]
    for group in (peer, ours):
        for place, line in enumerate(group):
            line.to_raw = line.rows_a_second / peer[place % 2].rows_a_second
            line.to_alike = line.rows_a_second / peer[place].rows_a_second
    heads = f"{'Mrows/s':>9}{'MB/s':>8}{'to raw':>8}{'alike':>8}{'spread':>8}"
    print(f"\n{'':28}{heads}{'first ms':>10}{'peak MB':>9}")
    for line in lines:
        print(
            f"{line.name:28}{line.rows_a_second / 1e6:9.2f}{line.megabytes_a_second:8.0f}"
            f"{line.to_raw:7.2f}x{line.to_alike:7.2f}x{line.spread:8.0%}"
            f"{line.first_batch_ms:10.0f}{line.memory_mb:9.0f}"
        )
    print()
    for line in ours:
        met, figure = line.to_raw >= 1, f"{line.to_raw:.2f}x (aim 1.5x)"
        bar(f"{line.name}: at least as fast as raw in clear", met, figure)
    for line in ours:
        first, peak = line.first_batch_ms, line.memory_mb
        bar(f"{line.name}: first batch under 200 ms", first < 200, f"{first:.0f} ms")
        bar(f"{line.name}: peak memory under 400 MB", peak < 400, f"{peak:.0f} MB")
    for found in growth:
        figure = f"{found.small:.0f} -> {found.large:.0f} MB"
        if found.name.startswith("raw"):
            print(f"        {found.name}: memory at 4 times the rows: {figure}")
        else:
            met = found.large <= 1.1 * found.small and found.large < 400
            bar(f"{found.name}: memory at 4 times the rows within 10 %", met, figure)


def bar(what: str, met: bool, figure: str) -> None:
    """One bar in one line."""
    print(f"  {'pass' if met else 'MISS'}  {what}: {figure}")


def append(path: Path, arguments: dict[str, Any], lines: list[Line], growth: list[Growth]) -> None:
    """Add a line of JSON to the file of results."""
    result = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "arguments": arguments,
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "pyarrow": pa.__version__,
        "lines": [asdict(line) for line in lines],
        "memory": [asdict(found) for found in growth],
    }
    with path.open("a") as file:
        file.write(json.dumps(result) + "\n")
