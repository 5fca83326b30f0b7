"""Two datasets of every kind of value, and their policies, for queries by chance.

Answers for values that are exact in any order of summing: floats are eighths.
"""

import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1_500
WORDS = ["alpha", "beta", "gamma", "delta", "Ünïcode", "", "alpine", "e", "Alpha beta", "x" * 40]
START = datetime.datetime(2024, 1, 1)

EVENTS = """\
version: 1
dataset: events
source: {parquet: "../events"}
rows: "seen"
columns:
  id:     keep
  person: {pseudonym: {method: hmac, domain: person}}
  ip:     {ip: crypto_pan}
  band:   {bucket: 10}
  small:  keep
  big:    keep
  score:  keep
  ratio:  keep
  price:  keep
  word:   keep
  note:   {pseudonym: {method: token, domain: note}}
  day:    keep
  hour:   {truncate: hour}
  stamp:  keep
  fine:   keep
  tags:   keep
  marks:  keep
  place:  {keep: {fields: [city, code]}}
  Mixed Case: keep
  seen:   drop
grants: [{partner: cern, access: rows}]
"""

PEOPLE = """\
version: 1
dataset: people
source: {parquet: "../people.parquet"}
columns:
  person: {pseudonym: {method: hmac, domain: person}}
  name:   drop
  team:   keep
  level:  keep
  joined: keep
  pay:    keep
grants: [{partner: cern, access: rows}]
"""


def write(home: Path) -> None:
    """Write both below a custodian's folder."""
    (home / "events").mkdir(parents=True)
    table = events(ROWS)
    for number in range(3):
        part = table.slice(number * 500, 500)
        pq.write_table(part, home / "events" / f"{number}.parquet", row_group_size=170)
    pq.write_table(people(), home / "people.parquet")
    (home / "policies").mkdir(exist_ok=True)
    (home / "policies" / "events.yaml").write_text(EVENTS)
    (home / "policies" / "people.yaml").write_text(PEOPLE)


def events(rows: int) -> pa.Table:
    """The events."""
    number = range(rows)

    def sparse(every: int, values: list[object]) -> list[object]:
        return [None if i % every == every // 2 else value for i, value in enumerate(values)]

    seconds = [START + datetime.timedelta(seconds=i * 5_003) for i in number]
    place = pa.struct([("city", pa.string()), ("code", pa.int32())])
    return pa.table(
        {
            "id": pa.array(number, pa.int64()),
            "person": pa.array(sparse(23, [f"person {i * 7 % 80}" for i in number])),
            "ip": pa.array([f"192.0.{i % 5}.{i % 97}" for i in number]),
            "band": pa.array(sparse(31, [i * 13 % 90 for i in number]), pa.int32()),
            "small": pa.array(sparse(19, [i * 11 % 300 for i in number]), pa.int16()),
            "big": pa.array(sparse(17, [i * 7_919 % 2_003 - 500 for i in number]), pa.int64()),
            "score": pa.array(sparse(13, [(i * 37 % 999 - 300) / 8 for i in number])),
            "ratio": pa.array([(i % 64) / 8 for i in number], pa.float32()),
            "price": pa.array(
                sparse(29, [Decimal(i * 311 % 90_000) / 100 for i in number]), pa.decimal128(12, 2)
            ),
            "word": pa.array(sparse(11, [WORDS[i * 3 % 10] for i in number])).dictionary_encode(),
            "note": pa.array([f"note {i % 6}" for i in number], pa.large_string()),
            "day": pa.array(sparse(37, [each.date() for each in seconds])),
            "hour": pa.array(seconds, pa.timestamp("us")),
            "stamp": pa.array(sparse(41, seconds), pa.timestamp("ns")),
            "fine": pa.array(sparse(7, [i % 3 == 0 for i in number])),
            "tags": pa.array(sparse(43, [WORDS[: i % 4] for i in number]), pa.list_(pa.string())),
            "marks": pa.array(
                sparse(47, [[i % 5, None, i % 11][: i % 4] for i in number]), pa.list_(pa.int64())
            ),
            "place": pa.array(
                sparse(53, [{"city": WORDS[i % 7], "code": i % 9} for i in number]), place
            ),
            "Mixed Case": pa.array([i % 21 for i in number], pa.int32()),
            "seen": pa.array([i % 10 != 6 for i in number]),
        }
    )


def people() -> pa.Table:
    """The people."""
    number = range(0, 80, 3)
    return pa.table(
        {
            "person": [f"person {i}" for i in number],
            "name": [f"name {i}" for i in number],
            "team": [None if i % 5 == 0 else f"team {i % 4}" for i in number],
            "level": pa.array([i % 7 for i in number], pa.int32()),
            "joined": [datetime.date(2020 + i % 5, 1 + i % 12, 3) for i in number],
            "pay": pa.array([Decimal(i) * 100 for i in number], pa.decimal128(10, 2)),
        }
    )
