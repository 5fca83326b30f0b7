"""A table with a marker in every place where a raw value can hide.

Answers for the data of the canary test: cells of every type, unused dictionary entries, rows that
the policy's filter takes out, and the metadata that writers put into parquet files.
"""

import json
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# The texts start with the marker; whole numbers and times hold its bytes, in the order of the wire.
MARKER = "CANARY"
NUMBER = int.from_bytes(b"\x01\x02" + MARKER.encode(), "big")
RAW = [MARKER.encode(), MARKER[::-1].encode(), MARKER.encode("utf-16-le")]
# What may stand in the operator's log, and nowhere on the wire.
PLACES = [b"PLACEMARK", b"HIDDENCOLUMN"]
ROWS = 4_000

POLICY = """\
version: 1
dataset: canaries
source: {parquet: "../PLACEMARK/canaries.parquet"}
rows: "Visible"
nulls: token
columns:
  Visible:   drop
  Row:       keep
  Site:      keep
  HIDDENCOLUMN: drop
  Hashed:    {pseudonym: {method: hmac}}
  Mail:      {pseudonym: {method: hmac, keep: email_domain}}
  Numbered:  {pseudonym: {method: token}}
  Sealed:    {pseudonym: {method: aes_siv}}
  Number:    {pseudonym: {method: hmac}}
  Covered:   mask
  Ends:      {mask: {last: 2}}
  Nothing:   "null"
  Same:      {constant: redacted}
  Domain:    email_domain
  Address:   {ip: crypto_pan}
  Network:   {ip: {method: ipcrypt_pfx, invalid: token}}
  Seldom:    {rare: {below: 10}}
  Matched:   {regex_replace: {pattern: "^[A-Z]+-", with: "x"}}
  Command:   {scrub: {learn_from: [Hashed]}}
  Banded:    {bucket: {edges: [0, 10]}}
  Capped:    {top_code: 10}
  Rounded:   {round: 1000000000000000}
  Hour:      {truncate: year}
  Shifted:   {shift_time: {person: Hashed, days_max: 300, step: second}}
  Spelled:   {pseudonym: {method: ff1, alphabet: upper}}
  Cut:       {ip: {method: truncate, invalid: token}}
  Raised:    {bottom_code: 1000000000000000000}
  Held:      {clamp: {bottom: 0, top: 10}}
  Aged:      {age_band: {as_of: 2026-01-01}}
  Listed:    {hierarchy: {file: levels.csv, level: 1}}
  Gridded:   {geo_grid: {axis: latitude, degrees: 10}}
  North:
    geo_laplace: {axis: latitude, other: East, person: Hashed, level: 1.4, radius_m: 500000,
                  domain: place}
  East:
    geo_laplace: {axis: longitude, other: North, person: Hashed, level: 1.4, radius_m: 500000,
                  domain: place}
  Answered:  {randomized_response: {values: [low, high], person: Hashed, epsilon: 1}}
  Blurred:   {laplace: {low: 0, high: 100, step: 1, person: Hashed, epsilon: 1}}
  Filtered:  {rappor: {person: Hashed, report: Row, f: 0.02}}
  Reported:  {rappor: {person: Hashed, bits: 8, hashes: 1, p: 0, q: 1}}
grants:
  - {partner: cern, access: rows}
"""


def write(folder: Path) -> pa.Table:
    """Write the table and its policy, and return the table."""
    table = canaries()
    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    (policies / "canaries.yaml").write_text(POLICY)
    (policies / "levels.csv").write_text(f"{MARKER}-listed-1;first\n{MARKER}-listed-2;second\n")
    path = folder / PLACES[0].decode() / "canaries.parquet"
    path.parent.mkdir()
    pq.write_table(table, path, row_group_size=700)
    return table


def canaries() -> pa.Table:
    """The table."""
    rows = range(ROWS)
    hidden = [i % 9 == 4 for i in rows]

    def texts(kind: str, tail: str = "") -> pa.Array:
        return pa.array([None if i % 17 == 3 else f"{MARKER}-{kind}-{i % 401}{tail}" for i in rows])

    def numbers() -> pa.Array:
        return pa.array(
            [None if i % 19 == 3 else NUMBER + ((i % 7) << 56) for i in rows], pa.int64()
        )

    # Rows that are filtered out hold the one marker in a column that is kept; another entry of the
    # dictionary is used by no row at all.
    entries = ["BNL", "RAL", f"{MARKER}-filtered", f"{MARKER}-unused"]
    keys = [2 if gone else i % 2 for i, gone in enumerate(hidden)]
    site = pa.DictionaryArray.from_arrays(pa.array(keys, pa.int32()), pa.array(entries))
    # The lowest six bytes of these numbers are the marker.
    degrees = pa.array(
        [struct.unpack("<d", MARKER[::-1].encode() + bytes([i % 8, 0x40]))[0] for i in rows]
    )
    stamps = numbers().cast(pa.timestamp("ns"))
    columns = {
        "Visible": pa.array([not gone for gone in hidden]),
        "Row": pa.array([NUMBER if gone else i for i, gone in enumerate(hidden)], pa.int64()),
        "Site": site,
        "HIDDENCOLUMN": texts("hidden"),
        "Hashed": texts("hashed").dictionary_encode(),
        "Mail": texts("mail", "@example.org"),
        "Numbered": texts("numbered").cast(pa.large_string()),
        "Sealed": texts("sealed"),
        "Number": numbers(),
        "Covered": texts("covered"),
        "Ends": texts("ends").cast(pa.string_view()),
        "Nothing": texts("nothing"),
        "Same": texts("same"),
        "Domain": texts("domain", "@example.org"),
        "Address": texts("address"),
        "Network": texts("network").dictionary_encode(),
        "Seldom": pa.array([f"{MARKER}-seldom-{i}" if i % 3 else "often" for i in rows]),
        "Matched": texts("matched").cast(pa.large_string()),
        # Names of others in free text: all that is marked in it is learned from the other column.
        "Command": pa.array(
            [
                None
                if i % 17 == 3
                else f"/home/{MARKER}-hashed-{i % 401}/run.sh --user={MARKER}-hashed-{i % 401}"
                for i in rows
            ]
        ),
        "Banded": numbers(),
        "Capped": numbers(),
        "Rounded": numbers(),
        "Hour": stamps,
        "Shifted": stamps,
        # FF1 encrypts the capitals of the marker among themselves.
        "Spelled": pa.array([f"{MARKER}-{i % 401}" for i in rows]),
        "Cut": texts("cut"),
        "Raised": numbers(),
        "Held": numbers(),
        "Aged": stamps,
        "Listed": texts("listed"),
        "Gridded": degrees,
        "North": degrees,
        "East": degrees,
        "Answered": texts("answered"),
        "Blurred": numbers(),
        "Filtered": texts("filtered"),
        "Reported": numbers(),
    }
    table = pa.table(columns)
    marked = [
        field.with_metadata({"comment": f"{MARKER}-field-{field.name}"}) for field in table.schema
    ]
    pandas = json.dumps({"index_columns": [f"{MARKER}-index"], "creator": f"{MARKER}-creator"})
    metadata = {"pandas": pandas, f"{MARKER}-key": f"{MARKER}-value"}
    return table.cast(pa.schema(marked, metadata))
