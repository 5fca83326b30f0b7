"""What a partner should be answered, computed row by row in Python over the plain pull.

Answers for the expected rows of guard cases, without a query engine. Rows are dictionaries of what
the policy let out.
"""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Rows = list[Row]
Found = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Tables:
    """The two tables as the partner may see them."""

    jobs: Rows
    people: Rows


def only(column: str, rows: Rows) -> Found:
    """One column."""
    return [(row[column],) for row in rows]


def some(column: str, rows: Rows) -> list[Any]:
    """One column's values without nulls."""
    return [row[column] for row in rows if row[column] is not None]


def where(rows: Rows, keep: Callable[[Row], bool | None]) -> Rows:
    """The rows for which something holds."""
    return [row for row in rows if keep(row)]


def pks(keep: Callable[[Row], bool | None]) -> Callable[[Tables], Found]:
    """The keys of the jobs for which something holds."""
    return lambda t: only("pk", where(t.jobs, keep))


def whole(rows: Rows) -> Found:
    """Every column."""
    return [tuple(row.values()) for row in rows]


def extremes(rows: Rows, *columns: str) -> list[Any]:
    """The least and greatest of columns."""
    return [extreme(some(column, rows)) for column in columns for extreme in (min, max)]


def joined(t: Tables) -> list[tuple[Row, Row]]:
    """Jobs with their people."""
    return [
        (job, person)
        for job in t.jobs
        for person in t.people
        if job["user_id"] is not None and job["user_id"] == person["user_id"]
    ]


def groups(rows: Rows, column: str) -> dict[Any, Rows]:
    """Rows by the value of a column."""
    found: dict[Any, Rows] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def numbered(t: Tables) -> Found:
    """Each user's jobs, numbered in the order of their keys."""
    return [
        (user, number + 1)
        for user, rows in groups(t.jobs, "user_id").items()
        for number, _ in enumerate(sorted(rows, key=lambda row: row["pk"]))
    ]


def users(rows: Rows) -> set[Any]:
    """The distinct users, null among them."""
    return {row["user_id"] for row in rows}


def last_by(rows: Rows, column: str, number: int) -> Found:
    """The rows with the greatest values of a column, nulls last, then by key."""
    known = where(rows, lambda row: row[column] is not None)
    first = sorted(known, key=lambda row: row["pk"])
    first.sort(key=lambda row: row[column], reverse=True)
    return [(row[column], row["pk"]) for row in first[:number]]


def like(column: str, mark: str) -> Callable[[Row], bool | None]:
    """Rows whose text holds a mark."""
    return lambda row: row[column] is not None and mark in row[column]


def upper(text: str | None) -> str | None:
    """As SQL does it."""
    return None if text is None else text.upper()


def mean(values: list[int]) -> float:
    """As SQL does it."""
    return sum(values) / len(values)


def concatenated(row: Row) -> str | None:
    """Three texts in one, null if any is."""
    parts = [row["user_id"], row["ip"], row["notes"]]
    return None if None in parts else "".join(parts)


def cut(text: str | None, count: int) -> str | None:
    """The first characters."""
    return None if text is None else text[:count]


ORACLES: dict[str, Callable[[Tables], Found]] = {
    "M01": lambda t: only("user_id", t.jobs),
    "M07": lambda t: only("user_id", where(t.jobs, lambda row: row["user_id"] == "alice")),
    "M09": lambda t: whole(where(t.jobs, lambda row: row["pk"] == 1)),
    "M23": lambda t: only("user_id", where(t.jobs, lambda row: row["age"] == "37")),
    "M29": lambda t: [(upper(row["user_id"]),) for row in t.jobs],
    "A1a": lambda t: [(row["user_id"], row["ip"]) for row in t.jobs],
    "A1b": lambda t: only("user_id", t.jobs) + only("ip", t.jobs),
    "A1c": lambda t: [(user,) for user in users(t.jobs) & users(t.people)],
    "A1d": lambda t: [(user,) for user in users(t.people) - users(t.jobs)],
    "A1e": lambda t: [
        (max(some("user_id", t.people)),) for _ in where(t.jobs, lambda row: row["pk"] < 3)
    ],
    "A1f": lambda t: only("pk", [job for job, _ in joined(t)]),
    "A1g": lambda t: only("pk", [job for job, person in joined(t) if person["team"] == "team 3"]),
    "A1h": lambda t: [(job["pk"], person["team"]) for job, person in joined(t)],
    "A1i": numbered,
    "A1j": lambda t: [(user, len(rows)) for user, rows in groups(t.jobs, "user_id").items()],
    "A1k": lambda t: [(ip,) for ip in groups(t.jobs, "ip")],
    "A1l": lambda t: [(concatenated(row),) for row in t.jobs],
    "A1m": lambda t: [
        (cut(row["user_id"], 3), cut(row["notes"], 2), row["ip"] and row["ip"][::-1])
        for row in t.jobs
    ],
    "A1n": lambda t: only("user_id", where(t.jobs, lambda row: row["pk"] < 9)),
    "A1o": lambda t: only("user_id", where(t.jobs, lambda row: row["pk"] < 9)),
    "A1p": lambda t: only("user_id", where(t.jobs, lambda row: row["pk"] < 9)),
    "A1r": lambda t: [(row["user_id"] or "nobody",) for row in t.jobs],
    "A3a": lambda t: [(len(where(t.jobs, like("ip", "198.51.100."))),)],
    "A3b": pks(lambda row: "198.51.100.0" < row["ip"] < "198.51.100.9"),
    "A3c": pks(lambda row: row["user_id"] in ("alice", "bob")),
    "A3d": pks(like("notes", "Xq7")),
    "A3e": pks(like("age", "37")),
    "A3f": lambda t: [
        (dept, len(rows))
        for dept, rows in groups(t.jobs, "dept").items()
        if max(some("user_id", rows)) == "alice"
    ],
    "A3g": lambda t: [("x" if row["user_id"] == "alice" else "y",) for row in t.jobs],
    "A3h": pks(lambda row: row["user_id"] and re.search("^(alice|bob)$", row["user_id"])),
    "A3i": pks(lambda row: row["user_id"] in ("alice", "bob")),
    "A3j": pks(lambda row: row["user_id"] is not None and "a" <= row["user_id"] <= "c"),
    "A3k": pks(lambda row: row["user_id"] and row["user_id"].startswith("Xq7")),
    "A3l": pks(lambda row: len(row["notes"]) > 9),
    "A3m": pks(lambda row: row["user_id"] in (None, "alice")),
    "A4a": lambda t: [tuple(extremes(t.jobs, "user_id", "ip", "age"))],
    "A4b": lambda t: [
        (
            *extremes(t.jobs, "pk"),
            len(t.jobs),
            *extremes(t.jobs, "wait_s"),
            len(some("wait_s", t.jobs)),
        )
    ],
    "A4c": lambda t: [(len(t.jobs),)],
    "A4d": lambda t: [(len(t.jobs), len(t.jobs))],
    "A4e": lambda t: last_by(t.jobs, "wait_s", 5),
    "A4f": lambda t: last_by(t.jobs, "user_id", 5),
    "A4g": lambda t: only("dept", where(t.jobs, lambda row: row["pk"] > 1_000_000)),
    "A4h": lambda t: only("dept", where(t.jobs, like("dept", "Xq7"))),
    "A4i": lambda t: [
        (max(some("dept", t.jobs)), min(some("dept", t.jobs)), len(groups(t.jobs, "dept")))
    ],
    "A4j": lambda t: [(len(set(some("user_id", t.jobs))), len(some("user_id", t.jobs)))],
    "A4k": pks(lambda row: 148 <= row["pk"] <= 152),
    "A4l": pks(lambda row: row["wait_s"] is None),
    "A4m": lambda t: [(max(some("dept", t.jobs)),)],
    "A4n": lambda t: [(sum(some("wait_s", t.jobs)), mean(some("wait_s", t.jobs)))],
    "A4o": pks(lambda row: row["pk"] == 4),
    "A4p": lambda t: [(0,)],
    "A4q": lambda t: [],
    "A4r": lambda t: sorted(only("pk", t.jobs))[1000:],
    "A5l": lambda t: [(*job.values(), person["team"]) for job, person in joined(t)],
    "A6m": lambda t: [(None,) for _ in t.jobs],
    "A13a": lambda t: [
        (
            len(rows),
            sum(row["pk"] for row in rows),
            min(row["dept"] for row in rows),
        )
        for rows in [where(t.jobs, lambda row: row["pk"] > 100)]
    ],
}


def alike(found: Found, expected: Found) -> str | None:
    """What differs between two multisets of rows; nothing if nothing does."""
    left, right = (sorted(map(repr, rows)) for rows in (found, expected))
    for a, b in itertools.zip_longest(left, right):
        if a != b:
            return f"{len(left)} rows, expected {len(right)}; first other row {a}, expected {b}"
    return None
