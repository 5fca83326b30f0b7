"""Where two columns differ."""

from typing import Any


def different(received: list[Any], expected: list[Any]) -> list[Any]:
    """The first rows where two columns differ, floats compared by their digits."""
    if len(received) != len(expected):
        return [f"{len(received)} rows instead of {len(expected)}"]
    pairs = enumerate(zip(received, expected))
    return [
        (row, got, want) for row, (got, want) in pairs if got != want and repr(got) != repr(want)
    ][:3]
