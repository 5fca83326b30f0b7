"""Make a folder of parquet files shaped like an HTCondor job history.

Answers for the sample data of the demo: the columns, the types and the distributions of a real
batch system, made from a seed alone. The same arguments give the same rows on every machine; the
handles, addresses and paths are made up.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EXPERIMENTS = "uboone nova dune mu2e minerva icarus sbnd gm2 lariat annie".split()
SITES = """
    FermiGrid BNL Caltech Clemson Colorado Cornell FNAL_GPGrid Florida GPGrid IN2P3 JINR Lancaster
    Lincoln Liverpool MIT Manchester Michigan NIKHEF Nebraska Omaha PIC Prague Purdue QMUL RAL
    SGridOxford SURFsara SU-ITS Sheffield TTU UChicago UCSD UConn-HPC UCL Unesp Vanderbilt WSU
    Wisconsin
""".split()
USERS = 500
ADDRESSES = 2_000
COMMANDS = 20_000
ROWS_A_FILE = 50_000
ROWS_A_GROUP = 25_000
YEAR_START = 1_704_067_200  # 2024-01-01T00:00:00Z
YEAR_SECONDS = 366 * 86_400

Indices = np.ndarray


class Vocabulary:
    """The distinct values that rows are drawn from."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.handles = [handle(rng, i) for i in range(USERS)]
        self.experiment_of = rng.choice(len(EXPERIMENTS), USERS, p=zipf(len(EXPERIMENTS), 1.1))
        self.emails = [
            f"{name}@{'cern.ch' if i % 3 == 0 else 'fnal.gov'}"
            for i, name in enumerate(self.handles)
        ]
        self.groups = [
            f"group_{EXPERIMENTS[e]}.prod.{name}"
            for name, e in zip(self.handles, self.experiment_of)
        ]
        thirds, fourths = rng.integers(0, 255, ADDRESSES), rng.integers(1, 255, ADDRESSES)
        self.addresses = [
            f"{'188.184' if i % 4 == 0 else '131.225'}.{a}.{b}"
            for i, (a, b) in enumerate(zip(thirds, fourths))
        ]
        self.addresses += [f"2001:1458:d00:{i:x}::{100 + i:x}" for i in range(16)]
        owner = rng.choice(USERS, COMMANDS, p=zipf(USERS, 1.1))
        self.commands = [
            f"/exp/{EXPERIMENTS[self.experiment_of[u]]}/app/users/{self.handles[u]}/run_{i}.sh"
            for i, u in enumerate(owner)
        ]


def handle(rng: np.random.Generator, number: int) -> str:
    """A made-up user name: a production account now and then, else syllables and a number."""
    if number % 25 == 7:
        return f"{EXPERIMENTS[number // 25 % len(EXPERIMENTS)]}pro{number // 250 or ''}"
    syllables = "".join(
        "bcdfgklmnprstvz"[rng.integers(15)] + "aeiou"[rng.integers(5)] for _ in range(3)
    )
    return f"{syllables}{number}"


def zipf(size: int, exponent: float) -> np.ndarray:
    """The probabilities of ranks 1 to `size`."""
    weights = 1 / np.arange(1, size + 1) ** exponent
    return weights / weights.sum()


def strings(indices: Indices, values: list[str], missing: np.ndarray | None = None) -> pa.Array:
    """Values by index, null where `missing`."""
    keys = pa.array(indices.astype(np.int32), mask=missing)
    return pa.DictionaryArray.from_arrays(keys, pa.array(values)).cast(pa.string())


def times(seconds: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Seconds since 1970 as timestamps in microseconds."""
    return pa.array(seconds * 1_000_000, pa.timestamp("us"), mask=missing)


def environment(i: int, handle: str, experiment: str, memory: int) -> str:
    """The job's environment: blanks between pairs, now and then commas or quotes within one."""
    text = (
        f"POMS_TASK_ID={i} GRID_USER={handle} EXPERIMENT={experiment} "
        f"JOBSUBJOBID={60_000_000 + i // 10}.{i % 10}@jobsub05.fnal.gov"
    )
    if i % 7 == 0:
        text += f" RFCLNAME=prod_{experiment}.fcl,reco_{i % 40}.fcl"
    if i % 11 == 0:
        text += f" JOB_NOTE='rerun of {handle}, {memory} MB'"
    return text


def rows(
    words: Vocabulary, rng: np.random.Generator, first: int, count: int, total: int
) -> pa.Table:
    """The rows `first` to `first + count` of `total`, in the order in which they were submitted."""
    number = np.arange(first, first + count)
    user = rng.choice(USERS, count, p=zipf(USERS, 1.3))
    address = rng.choice(len(words.addresses), count, p=zipf(len(words.addresses), 1.1))
    command = rng.choice(COMMANDS, count, p=zipf(COMMANDS, 1.05))
    site = rng.choice(len(SITES), count, p=zipf(len(SITES), 1.3))
    experiment = words.experiment_of[user]
    opened, closed = (YEAR_SECONDS * edge // total for edge in (first, first + count))
    queued = YEAR_START + np.sort(rng.integers(opened, closed, count))
    started = queued + rng.integers(1, 14_400, count)
    ran = rng.exponential(7_200, count).astype(np.int64) + 1
    memory = rng.choice([1_000, 2_000, 4_000, 8_000, 16_000], count, p=[0.2, 0.5, 0.2, 0.08, 0.02])
    cpus = rng.choice([1, 2, 4, 8], count, p=[0.85, 0.08, 0.05, 0.02])
    removed = rng.random(count) < 0.02  # taken out of the queue before they started
    failed = rng.random(count) < 0.08
    restarts = (rng.random(count) < 0.05).astype(np.int64)
    codes = np.where(failed, rng.choice([1, 2, 65, 137, 143], count), 0)
    return pa.table(
        {
            "ClusterId": pa.array(number // 10 + 60_000_000, pa.int64()),
            "ProcId": pa.array(number % 10, pa.int32()),
            "User": strings(user, words.emails),
            "AccountingGroup": strings(user, words.groups),
            "Experiment": strings(experiment, EXPERIMENTS),
            "Site": strings(site, SITES, removed),
            "JobsubClientIpAddress": strings(address, words.addresses, rng.random(count) < 1e-4),
            "Cmd": strings(command, words.commands),
            "Environment": pa.array(
                [
                    environment(i, words.handles[u], EXPERIMENTS[e], m)
                    for i, u, e, m in zip(
                        number.tolist(), user.tolist(), experiment.tolist(), memory.tolist()
                    )
                ]
            ),
            "QDate": times(queued),
            "JobStartDate": times(started, removed),
            "CompletionDate": times(started + ran, removed | failed),
            "RequestMemory": pa.array(memory, pa.int32()),
            "RequestCpus": pa.array(cpus, pa.int32()),
            "CumulativeSlotTime": pa.array(np.where(removed, 0, ran * cpus), pa.int64()),
            "NumJobStarts": pa.array(np.where(removed, 0, 1 + restarts), pa.int32()),
            "NumJobCompletions": pa.array(np.where(removed | failed, 0, 1), pa.int32()),
            "ExitCode": pa.array(codes, pa.int32(), mask=removed),
        }
    )


def make(folder: Path, count: int, seed: int) -> list[Path]:
    """Write `count` rows into files of `folder` and return their paths."""
    rng = np.random.default_rng(seed)
    words = Vocabulary(rng)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for first in range(0, count, ROWS_A_FILE):
        table = rows(words, rng, first, min(ROWS_A_FILE, count - first), count)
        path = folder / f"jobs-{first // ROWS_A_FILE:04}.parquet"
        pq.write_table(table, path, compression="zstd", row_group_size=ROWS_A_GROUP)
        paths.append(path)
    return paths


def main() -> None:
    """Read the arguments and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="OUT_DIR")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    paths = make(arguments.folder, arguments.rows, arguments.seed)
    size = sum(path.stat().st_size for path in paths)
    print(
        f"{arguments.rows:,} jobs in {len(paths)} files, {size / 1e6:.1f} MB, in {arguments.folder}"
    )


if __name__ == "__main__":
    main()
