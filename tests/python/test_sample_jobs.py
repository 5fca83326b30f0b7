"""The sample jobs and the demo: the same from the same seed, and served as the policy says."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import sample_jobs
from custodian import PROJECT, Custodian
from reference.compare import different
from reference.keys import Ring
from reference.policy import Reference, plain_values
from support import PARTNERS, client_of

COLUMNS = {
    "ClusterId": "int64",
    "ProcId": "int32",
    "User": "string",
    "AccountingGroup": "string",
    "Experiment": "string",
    "Site": "string",
    "JobsubClientIpAddress": "string",
    "Cmd": "string",
    "Environment": "string",
    "QDate": "timestamp[us]",
    "JobStartDate": "timestamp[us]",
    "CompletionDate": "timestamp[us]",
    "RequestMemory": "int32",
    "RequestCpus": "int32",
    "CumulativeSlotTime": "int64",
    "NumJobStarts": "int32",
    "NumJobCompletions": "int32",
    "ExitCode": "int32",
}
POLICY = PROJECT / "policies" / "htcondor-jobs.yaml"


def made(folder: Path, rows: int, seed: int) -> pa.Table:
    """Sample jobs in a folder, read back."""
    sample_jobs.make(folder, rows, seed)
    return ds.dataset(folder, format="parquet").to_table()


def test_a_seed_makes_the_same_jobs_again_and_another_seed_others(tmp_path: Path) -> None:
    first, again, other = (made(tmp_path / str(i), 3_000, seed) for i, seed in enumerate((7, 7, 8)))
    assert {field.name: str(field.type) for field in first.schema} == COLUMNS
    assert first.equals(again) and not first.equals(other)


def test_every_job_is_served_as_the_policy_says(alone: Custodian) -> None:
    raw = made(alone.home / "htcondor", 60_000, 7)
    policy = alone.publish(POLICY, "../htcondor", PARTNERS)
    reference = Reference(policy, Ring.read(alone.key))
    with alone.serve() as server:
        for partner in PARTNERS:
            received = client_of(alone, server, partner).pull("htcondor_jobs").table
            expected = reference.apply(raw, partner)
            assert received.schema.names == list(expected)
            scrubbed = [column for column, values in expected.items() if values is None]
            assert scrubbed == ["Cmd", "Environment"]
            for column in scrubbed:
                joined(raw, received, column)
            for column, values in expected.items():
                if values is None:
                    continue
                assert not different(plain_values(received[column]), values), (partner, column)


def joined(raw: pa.Table, received: pa.Table, column: str) -> None:
    """Texts hold no user of the data as a word, and where a row's own user stood, what leaves for them."""
    users = {user.split("@")[0].strip().casefold() for user in raw["User"].to_pylist()}
    handles = {user for user in users if len(user) >= 3}
    own = 0
    texts = zip(raw["User"].to_pylist(), raw[column].to_pylist(), plain_values(received["User"]),
                plain_values(received[column]))
    for user, before, stands, after in texts:
        words = set(re.findall(r"[a-z0-9]+", after.casefold()))
        assert not words & handles, after
        if user.split("@")[0] in re.findall(r"[A-Za-z0-9]+", before):
            own += stands.split("@")[0] in after
            assert stands.split("@")[0] in after, (before, after)
    assert column != "Environment" or own > 0


def test_the_demo_runs_from_start_to_end(tmp_path: Path) -> None:
    command = [sys.executable, PROJECT / "examples" / "demo.py", "--once", "--rows", "4000"]
    command += ["--folder", tmp_path / "demo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("raw", "JobsubClientIpAddress", "# pyarrow", "# Polars", "DoGet"):
        assert line in done.stdout, line
