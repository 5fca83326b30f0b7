"""The tables of the guard test: jobs whose every protected cell holds a canary, and their neighbours.

Answers for what is raw, under which policy, and for the forms in which a raw value could be seen. Two
worlds of the same seed differ only in what no partner may see: hidden columns, rows that are filtered
out, ages within their band, notes under their mask.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1_200
FILES = 2
GROUP = 300
MORE_HIDDEN = 2

# One mark a column, in every protected cell of it; the number's bytes and digits are its mark.
USER, SSN, NOTE, HIDDEN, PLACE, OTHERS = (
    "Xq7userZ",
    "Xq7socialZ",
    "Xq7noteZ",
    "Xq7filteredZ",
    "Xq7placeZ",
    "Xq7foreignZ",
)
NETWORK = "198.51.100."
KNOWN = ["alice", "bob"]
SALARY = int.from_bytes(b"\x01SLRY\x07\x00\x00", "big")
LATER = int.from_bytes(b"\x01FLTR\x07\x00\x00", "big")

DEPARTMENTS = [f"department of {name} research" for name in "physics biology history law".split()]

JOBS = """\
version: 1
dataset: jobs
description: Jobs, each with a person behind it
source: {parquet: "../Xq7placeZ/jobs"}
rows: "visible"
unit: user_id
columns:
  pk:      keep
  user_id: {pseudonym: {method: hmac, domain: person}}
  ssn:     drop
  salary:  drop
  ip:      {ip: crypto_pan}
  age:     {bucket: 10}
  notes:   mask
  dept:    keep
  wait_s:  keep
  visible: drop
grants:
  - {partner: cern, access: rows}
  - {partner: nersc, access: rows}
  - {partner: dashboard, access: dp, epsilon: 3.0, delta: 1e-8, unit: user_id, groups_max: 20,
     rows_max: 50, bounds: {wait_s: [0, 1000]}}
"""

PARTNERS = ["cern", "nersc", "dashboard"]

PEOPLE = """\
version: 1
dataset: people
source: {parquet: "../Xq7placeZ/people.parquet"}
columns:
  user_id: {pseudonym: {method: hmac, domain: person}}
  team:    keep
  ssn:     drop
grants: [{partner: cern, access: rows}]
"""

# Granted to another partner alone; its columns' names are marks too.
FOREIGN = """\
version: 1
dataset: foreign
source: {parquet: "../Xq7placeZ/foreign.parquet"}
columns: {Xq7foreignZ: keep, user_id: keep}
grants: [{partner: nersc, access: rows}]
"""

RELEASED = """\
version: 1
dataset: released
source: {parquet: "../Xq7placeZ/jobs"}
columns:
  {pk: drop, user_id: drop, ssn: drop, salary: drop, ip: drop, age: {class: quasi, keep}, notes: drop,
   dept: {class: quasi, keep}, wait_s: drop, visible: drop}
release: {k_anonymity: {k: 5, quasi_identifiers: [age, dept], method: mondrian, suppress_max: 0.05}}
grants: [{partner: cern, access: rows}]
"""

POLICIES = {
    "jobs": JOBS,
    "people": PEOPLE,
    "foreign": FOREIGN,
    "released": RELEASED,
}


def write(home: Path, world: int = 0) -> None:
    """Write tables and policies below a custodian's folder."""
    folder = home / PLACE
    (folder / "jobs").mkdir(parents=True, exist_ok=True)
    table = jobs(world)
    step = -(-len(table) // FILES)
    for number in range(FILES):
        path = folder / "jobs" / f"{PLACE}-{number}.parquet"
        pq.write_table(table.slice(number * step, step), path, row_group_size=GROUP)
    pq.write_table(people(world), folder / "people.parquet")
    pq.write_table(foreign(), folder / "foreign.parquet")
    (home / "policies").mkdir(exist_ok=True)
    for name, text in POLICIES.items():
        (home / "policies" / f"{name}.yaml").write_text(text)


def user(number: int) -> str:
    """A person: two known by name, the others by a mark."""
    return KNOWN[number] if number < len(KNOWN) else f"{USER}-{number:04}-{USER}"


def jobs(world: int) -> pa.Table:
    """The jobs of a world. The last world has more rows that are filtered out, between the others."""
    rows = []
    for i in range(ROWS):
        rows.append(job(i, i % 9 == 4, 7 * world))
        if world == MORE_HIDDEN and i % 5 == 2:
            rows += [job(i, True, k) for k in range(i % 4)]
    kinds = {"age": pa.int32()}
    columns = {name: pa.array([row[name] for row in rows], kinds.get(name)) for name in rows[0]}
    return marked(pa.table(columns))


def job(i: int, hide: bool, other: int) -> dict[str, object]:
    """A job; what no partner may see differs with `other`."""
    return {
        "pk": LATER + i + other if hide else i,
        "user_id": None if i % 31 == 3 else user(i * 7 % 97),
        "ssn": f"{SSN}-{i * 37 + other}",
        "salary": None if i % 29 == 5 else SALARY + i * 3 + other,
        "ip": f"{NETWORK}{i * 11 % 199}",
        "age": (20 + i % 7 * 10) + (i * 3 + other) % 10,
        "notes": f"{NOTE} {i + other} {NOTE}",
        "dept": f"{HIDDEN}-{other}" if hide else DEPARTMENTS[i % 4],
        "wait_s": None if i % 13 == 2 else LATER + other if hide else i * i % 509,
        "visible": not hide,
    }


def people(world: int) -> pa.Table:
    """A person a row, by the same names."""
    numbers = range(0, 97, 2)
    return marked(
        pa.table(
            {
                "user_id": [user(i) for i in numbers],
                "team": [f"team {i % 5}" for i in numbers],
                "ssn": [f"{SSN}-{i + 7 * world}" for i in numbers],
            }
        )
    )


def foreign() -> pa.Table:
    """What another partner may see."""
    return pa.table(
        {OTHERS: [f"{OTHERS}-{i}" for i in range(50)], "user_id": [user(i) for i in range(50)]}
    )


def marked(table: pa.Table) -> pa.Table:
    """The table with marks in the metadata that writers put into files."""
    fields = [field.with_metadata({"comment": f"{PLACE}-{field.name}"}) for field in table.schema]
    pandas = json.dumps({"index_columns": [f"{PLACE}-index"], "creator": f"{PLACE}-creator"})
    return table.cast(pa.schema(fields, {"pandas": pandas, f"{PLACE}-key": f"{PLACE}-value"}))


# ------------------------------------------------------------------------------------- the canaries


@dataclass(frozen=True)
class Canary:
    """A raw value, or the mark within many, and the bytes by which it would be known."""

    name: str
    forms: tuple[tuple[str, bytes], ...]

    def seen(self, data: bytes) -> str | None:
        """In which form it stands in the data, and what stands around it."""
        for form, pattern in self.forms:
            at = data.find(pattern)
            if at >= 0:
                return f"{self.name} as {form}: {data[max(0, at - 60) : at + 60]!r}"
        return None


def of_text(name: str, text: str) -> Canary:
    """A text in the forms in which functions and formats write it.

    A pseudonym of Base32 holds a given word of five letters by chance once in ten thousand keys, so keys are fixed.
    What is sealed anew in each run, tickets above all, is two million bytes at most: three words of five bytes stand
    in them with a chance of 5e-6 in all six hundred tests together.
    """
    raw = text.encode()
    forms = {
        "text": raw,
        "upper case": raw.upper(),
        "lower case": raw.lower(),
        "text, reversed": raw[::-1],
        "UTF-16, little end first": text.encode("utf-16-le"),
        "UTF-16, big end first": text.encode("utf-16-be"),
        "hexadecimal": raw.hex().encode(),
        "HEXADECIMAL": raw.hex().upper().encode(),
    }
    for shift in range(3):
        # The characters of Base64 that depend on nothing but the text.
        encoded = base64.b64encode(bytes(shift) + raw)
        first, last = -(-8 * shift // 6), 8 * (shift + len(raw)) // 6
        forms[f"Base64, {shift} bytes in"] = encoded[first:last]
    return Canary(
        name, tuple({pattern: (form, pattern) for form, pattern in forms.items()}.values())
    )


def of_number(name: str, least: int) -> Canary:
    """Numbers just above a great one: the bytes and digits that all of them share."""
    greatest = least + (1 << 15)
    digits = "".join(a for a, b in zip(str(least), str(greatest)) if a == b)
    shared = len([1 for a, b in zip(str(least), str(greatest)) if a == b])
    assert digits == str(least)[:shared] and len(digits) >= 10
    little = least.to_bytes(8, "little")[2:]
    return Canary(
        name,
        (
            ("digits", digits.encode()),
            ("digits, reversed", digits[::-1].encode()),
            ("bytes, little end first", little),
            ("bytes, big end first", little[::-1]),
            ("hexadecimal", f"{least:x}"[:-4].encode()),
        ),
    )


CANARIES = [
    of_text("a user", USER),
    *(of_text("a known user", name) for name in KNOWN if len(name) > 3),
    of_text("a social security number", SSN),
    of_number("a salary", SALARY),
    of_text("an address", NETWORK),
    of_text("a note", NOTE),
    of_text("a filtered row's department", HIDDEN),
    of_number("a filtered row's number", LATER),
    of_text("a place or a file's metadata", PLACE),
    of_text("another partner's data", OTHERS),
]

# What the operator's log may say: where files lie, and what other partners' columns are called.
OF_CELLS = [canary for canary in CANARIES if canary.name not in {"a place or a file's metadata"}]


def said_by(request: bytes, canaries: list[Canary] = CANARIES) -> list[Canary]:
    """The canaries that a request does not itself hold, and so no answer may."""
    return [canary for canary in canaries if canary.seen(request) is None]


def assert_clean(where: str, data: bytes | str, canaries: list[Canary]) -> None:
    """No canary stands in the data."""
    raw = data.encode(errors="surrogateescape") if isinstance(data, str) else data
    for canary in canaries:
        seen = canary.seen(raw)
        assert seen is None, f"{where} holds {seen}"
