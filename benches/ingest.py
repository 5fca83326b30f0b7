"""How fast Veilflight brings sacct text in as parquet, beside DuckDB's reader of delimited text.

One text, one machine, one run; the two take turns and medians are compared, in elapsed and in
processor time. DuckDB reads the same text with a type for each column and writes parquet packed by
zstd; it does less with it (no spans, units or lists of hosts: these stay text). Says plainly whether
the bar is met, and never fails because of a figure.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
HOME = PROJECT / "bench-data" / "ingest"
SOURCE = PROJECT.parent / "shared" / "data" / "slurm" / "pozidriv.log"
FIELDS = (
    "JobID JobIDRaw Cluster Partition QOS Account Group GID User UID Submit Eligible Start End"
    " Elapsed ExitCode State NNodes NCPUS ReqCPUS ReqMem ReqTRES AllocTRES Timelimit NodeList"
    " JobName"
).split()
TYPES = {
    **dict.fromkeys(["GID", "UID", "NNodes", "NCPUS", "ReqCPUS"], "BIGINT"),
    **dict.fromkeys(["Submit", "Eligible", "Start", "End"], "TIMESTAMP"),
}
# DuckDB runs as a process of its own, so that its processor time is its own.
DUCKDB = """
import sys, duckdb
source, target, threads, types = sys.argv[1:]
query = f"COPY (SELECT * FROM read_csv('{source}', delim='|', header=true, quote='', " \\
        f"columns={types})) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
connection = duckdb.connect(config={"threads": int(threads)})
connection.execute("SET enable_progress_bar = false")
connection.execute(query)
"""


def generate(path: Path, size: int) -> int:
    """Repeat the dump with other job numbers until it has this size; gives the number of jobs."""
    rows = [line.split(b"|") for line in SOURCE.read_bytes().splitlines()]
    count = 0
    with path.open("wb") as file:
        file.write("|".join(FIELDS).encode() + b"\n")
        while file.tell() < size:
            lines = []
            for row in rows:
                count += 1
                row[0] = row[1] = b"%d" % (1_000_000 + count)
                lines.append(b"|".join(row))
            file.write(b"\n".join(lines) + b"\n")
    return count


def timed(command: list[str]) -> tuple[float, float, int]:
    """Seconds, processor seconds and the peak of memory in bytes of a command."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"failed: {' '.join(command[:3])}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main() -> None:
    """Generate, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000_000, help="bytes of text")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--binary", type=Path, default=PROJECT / "target/debug/veilflight")
    arguments = parser.parse_args()
    if not SOURCE.exists():
        raise SystemExit(f"`{SOURCE}` is not there: nothing to repeat")
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    text = HOME / "sacct.txt"
    jobs = generate(text, arguments.size)
    megabytes = text.stat().st_size / 1e6
    print(f"sacct text of {megabytes:,.0f} MB, {jobs:,} jobs; {arguments.threads} threads each")
    # Or the first to make its output durable would wait for the text to be, too.
    os.sync()
    types = {name: TYPES.get(name, "VARCHAR") for name in FIELDS}
    ours, theirs = HOME / "veilflight", HOME / "duckdb.parquet"
    threads = str(arguments.threads)
    contenders = {
        "veilflight": [
            str(arguments.binary), "ingest", "slurm", str(text), "--out", str(ours), "--overwrite",
            "--threads", threads,
        ],
        "duckdb": [sys.executable, "-c", DUCKDB, str(text), str(theirs), threads, str(types)],
    }
    runs: dict[str, list[tuple[float, float, int]]] = {name: [] for name in contenders}
    for _ in range(arguments.turns):
        for name, command in contenders.items():
            runs[name].append(timed(command))
    sizes = {
        "veilflight": sum(file.stat().st_size for file in ours.glob("*.parquet")),
        "duckdb": theirs.stat().st_size,
    }
    medians = {
        name: tuple(statistics.median(run[at] for run in of_one) for at in range(3))
        for name, of_one in runs.items()
    }
    for name, (seconds, processor, memory) in medians.items():
        print(
            f"  {name:<11} {seconds:7.2f} s {megabytes / seconds:6.0f} MB/s"
            f"  {processor:7.2f} s of processor  {memory / 1e6:6.0f} MB of memory"
            f"  {sizes[name] / 1e6:6.1f} MB of parquet"
        )
    elapsed = medians["duckdb"][0] / medians["veilflight"][0]
    processor = medians["duckdb"][1] / medians["veilflight"][1]
    verdict = "met" if elapsed >= 1 else "MISSED"
    print(f"  speed beside duckdb: {elapsed:.2f} (bar 1.00, {verdict}); by processor time {processor:.2f}")
    shutil.rmtree(HOME)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
