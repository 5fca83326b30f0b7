"""Every example, run as its reader runs it, over the sample jobs."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
import sample_jobs
from custodian import PROJECT, Custodian, Server, program
from jre import java_home
from support import PARTNERS
from things import arguments_of

POLICY = PROJECT / "policies" / "htcondor-jobs.yaml"
ROWS = 20_000


@pytest.fixture(scope="module")
def server(custodian: Custodian) -> Iterator[Server]:
    """A server with the sample jobs, as the demo has it."""
    sample_jobs.make(custodian.home / "htcondor", ROWS, 7)
    custodian.publish(POLICY, "../htcondor", PARTNERS)
    with custodian.serve() as server:
        yield server


def run(command: list[str | Path], folder: Path, **environment: str) -> str:
    """Run an example to its end and return what it printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def example(custodian: Custodian, server: Server, tmp_path: Path) -> Callable[..., str]:
    """Runs an example in Python with a partner's credentials."""

    def started(name: str, *more: str | Path, **environment: str) -> str:
        command = [sys.executable, PROJECT / "examples" / f"{name}.py"]
        command += [*arguments_of(custodian, server, PARTNERS[0]), *more]
        return run(command, tmp_path, **environment)

    return started


@pytest.fixture(scope="module")
def raw(custodian: Custodian, server: Server) -> pa.Table:
    """The jobs as the custodian has them."""
    return ds.dataset(custodian.home / "htcondor").to_table()


def test_pyarrow(example: Callable[..., str], raw: pa.Table) -> None:
    printed = example("pyarrow_sql")
    large = pc.sum(pc.greater_equal(raw["RequestMemory"], 4_000)).as_py()
    assert f"{large:,} rows" in printed
    assert re.search(r"^User +string +pseudonym\.hmac$", printed, re.MULTILINE)


def test_adbc(example: Callable[..., str], raw: pa.Table) -> None:
    printed = example("adbc_sql")
    listed = re.search(r"^tables of veilflight public (\[.*\])$", printed, re.MULTILINE)
    assert listed and {"'htcondor_jobs'", "'htcondor_users'"} <= set(listed[1][1:-1].split(", "))
    assert printed.count("site, jobs, hours:") == 5
    large = pc.sum(pc.equal(raw["RequestMemory"], 16_000)).as_py()
    assert f"over 16 GB: {large} jobs" in printed
    assert f"as a stream: {ROWS:,} rows" in printed and f"in parallel: {ROWS:,} rows" in printed


def test_polars_frame(example: Callable[..., str]) -> None:
    printed = example("polars_frame", "--site", "FermiGrid")
    assert "Experiment" in printed and "jobs" in printed and "uboone" in printed


def test_polars_scan(example: Callable[..., str]) -> None:
    printed = example("polars_scan")
    assert "18 columns" in printed and "shape: (3, 2)" in printed


def test_pandas(example: Callable[..., str], raw: pa.Table) -> None:
    printed = example("pandas_frame")
    ran = pc.sum(pc.greater(raw["CumulativeSlotTime"], 0)).as_py()
    assert f"{ran:,} rows" in printed
    assert re.search(r"^RequestMemory +int32\[pyarrow\]$", printed, re.MULTILINE)


def test_duckdb(example: Callable[..., str], raw: pa.Table, tmp_path: Path) -> None:
    printed = example("duckdb_join", "--file", tmp_path / "jobs.duckdb")
    users = pc.count_distinct(raw["User"]).as_py()
    assert f"{users} users, counted while the answer arrived" in printed
    assert f"{ROWS:,} rows are in" in printed
    american = pc.sum(pc.is_in(raw["Site"], pa.array(["FermiGrid", "BNL"]))).as_py()
    assert re.search(rf"^US: {american:,} jobs", printed, re.MULTILINE)


def test_spark(example: Callable[..., str], raw: pa.Table, tmp_path: Path) -> None:
    printed = example("spark_source", JAVA_HOME=str(java_home(tmp_path / "java")))
    large = pc.sum(pc.greater_equal(raw["RequestMemory"], 8_000)).as_py()
    assert re.search(rf"^{large:,} large jobs, read by \d+ tasks", printed, re.MULTILINE)
    assert "|FermiGrid|" in printed.replace(" ", "")


def test_rust(custodian: Custodian, server: Server, raw: pa.Table, tmp_path: Path) -> None:
    binary = program().parent / "examples" / "sql_client"
    assert binary.is_file(), "build it with `cargo build --examples`"
    printed = run([binary, *arguments_of(custodian, server, PARTNERS[0])], tmp_path)
    assert printed.startswith(f"{ROWS} rows of User, Site, RequestMemory from ")
    large = pc.sum(pc.equal(raw["RequestMemory"], 16_000)).as_py()
    assert f"{large} jobs over 16 GB" in printed


PYTHON = ["pyarrow_sql", "adbc_sql", "polars_frame", "polars_scan", "pandas_frame", "duckdb_join"]


@pytest.mark.parametrize("name", PYTHON)
def test_an_example_that_is_refused_fails(
    custodian: Custodian, server: Server, name: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("wrong")
    command = [sys.executable, PROJECT / "examples" / f"{name}.py", "--uri", server.uri]
    command += ["--token-file", tmp_path / "token", "--ca", custodian.authority]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode != 0 and "I002" in done.stderr
