"""Tables for tests, and policies over them. Answers for small data whose every value is known."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

JOBS = """\
version: 1
dataset: {dataset}
source: {{parquet: "{data}"}}
columns:
  Job:     {{class: measure, keep}}
  User:    {{class: identifier, pseudonym: {{method: hmac, domain: person, keep: email_domain}}}}
  Group:
    class: quasi
    pseudonym: {{method: token, domain: group, style: letters, prefix: group_}}
  Address: {{class: identifier, ip: crypto_pan}}
  Queued:  {{class: quasi, truncate: hour}}
  Notes:   drop
grants:
  - {{partner: cern, access: rows}}
  - {{partner: nersc, access: rows}}
"""


def jobs(rows: int) -> pa.Table:
    """Jobs with every null that can be, and addresses of both kinds."""
    number = range(rows)
    address = [
        f"131.225.{i % 251}.{i % 13}" if i % 5 else f"2001:db8:{i % 17:x}::{i % 29:x}"
        for i in number
    ]
    return pa.table(
        {
            "Job": pa.array(number, pa.int64()),
            "User": pa.array(
                [None if i % 31 == 3 else f"user{i % 97}@example.org" for i in number]
            ),
            "Group": pa.array([None if i % 37 == 5 else f"team{i * 7 % 61}" for i in number]),
            "Address": pa.array([None if i % 41 == 7 else address[i] for i in number]),
            "Queued": pa.array(
                [1_700_000_000_000_000 + i * 61_000_000 for i in number], pa.timestamp("us")
            ),
            "Notes": pa.array([f"note {i}" for i in number]),
        }
    )


def write_jobs(path: Path, rows: int, group: int = 1_000) -> pa.Table:
    """Write jobs as parquet and return them."""
    table = jobs(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)
    return table


def write_policy(folder: Path, dataset: str, data: str) -> Path:
    """Write the policy of such jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{dataset}.yaml"
    path.write_text(JOBS.format(dataset=dataset, data=data))
    return path
