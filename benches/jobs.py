"""Make one large parquet file of batch jobs: 19 columns, few distinct texts, from a seed.

Answers for the data of the benchmark. A million rows at a time, so that any size fits in memory.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EXPERIMENTS = "uboone nova dune mu2e minerva icarus sbnd gm2 lariat annie".split()
USERS, ADDRESSES, COMMANDS, SITES = 500, 2_000, 20_000, 40
ROWS_A_CHUNK = 1_000_000
ROWS_A_GROUP = 250_000
YEAR_START, YEAR_SECONDS = 1_704_067_200, 366 * 86_400


class Jobs:
    """Distinct values and a stream of random numbers."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = np.random.default_rng(seed)
        self.users = [f"user{i}@{'fnal.gov' if i % 3 else 'cern.ch'}" for i in range(USERS)]
        # One group a user, so that a user's name stands in two columns, as it does in real jobs.
        self.groups = [
            f"group_{EXPERIMENTS[i % 10]}.prod.{user.split('@')[0]}"
            for i, user in enumerate(self.users)
        ]
        octets = rng.integers(1, 255, (ADDRESSES, 2))
        self.addresses = [
            f"{'131.225' if i % 4 else '188.184'}.{a}.{b}" for i, (a, b) in enumerate(octets)
        ]
        owners = rng.integers(0, USERS, COMMANDS)
        self.commands = [
            f"/exp/{EXPERIMENTS[owner % 10]}/app/users/user{owner}/run_{i}.sh"
            for i, owner in enumerate(owners)
        ]
        self.sites = [f"Site_{i:02}" for i in range(SITES)]

    def drawn(self, values: list[str], rows: int, exponent: float) -> pa.Array:
        """Texts, the first ones more often."""
        weights = 1 / np.arange(1, len(values) + 1) ** exponent
        keys = self.rng.choice(len(values), rows, p=weights / weights.sum()).astype(np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(keys), pa.array(values)).cast(pa.string())

    def chosen(self, values: list[int], rows: int) -> pa.Array:
        """Whole numbers, each as often as the other."""
        return pa.array(self.rng.choice(values, rows).astype(np.int32))

    def table(self, first: int, rows: int) -> pa.Table:
        """The next rows."""
        rng, number = self.rng, np.arange(first, first + rows)
        queued = YEAR_START + np.sort(rng.integers(0, YEAR_SECONDS, rows))
        started = queued + rng.integers(1, 3_600, rows)
        ran = rng.exponential(7_200, rows).astype(np.int64)
        return pa.table(
            {
                "ClusterId": pa.array(number // 10 + 60_000_000),
                "ProcId": pa.array((number % 10).astype(np.int32)),
                "User": self.drawn(self.users, rows, 1.3),
                "AccountingGroup": self.drawn(self.groups, rows, 1.3),
                "Experiment": self.drawn(EXPERIMENTS, rows, 1.3),
                "JobsubClientIpAddress": self.drawn(self.addresses, rows, 1.1),
                "Site": self.drawn(self.sites, rows, 1.3),
                "Cmd": self.drawn(self.commands, rows, 1.05),
                "QDate": pa.array(queued * 1_000_000, pa.timestamp("us")),
                "JobStartDate": pa.array(started * 1_000_000, pa.timestamp("us")),
                "CompletionDate": pa.array((started + ran) * 1_000_000, pa.timestamp("us")),
                "RequestMemory": self.chosen([1_000, 2_000, 4_000, 8_000], rows),
                "RequestCpus": self.chosen([1, 2, 4, 8], rows),
                "CumulativeSlotTime": pa.array(ran),
                "RemoteUserCpu": pa.array(rng.random(rows) * ran),
                "DiskUsage": pa.array(rng.integers(1, 1 << 24, rows)),
                "NumJobStarts": pa.array(np.ones(rows, np.int32)),
                "NumJobCompletions": pa.array((rng.random(rows) > 0.08).astype(np.int32)),
                "ExitCode": self.chosen([0, 0, 0, 0, 1, 137], rows),
            }
        )


def make(path: Path, rows: int, seed: int = 7) -> None:
    """Write the file, unless it is there; it appears whole or not at all."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    jobs, part = Jobs(seed), path.with_suffix(".part")
    writer = None
    for first in range(0, rows, ROWS_A_CHUNK):
        table = jobs.table(first, min(ROWS_A_CHUNK, rows - first))
        writer = writer or pq.ParquetWriter(part, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=ROWS_A_GROUP)
    if writer:
        writer.close()
    part.rename(path)
