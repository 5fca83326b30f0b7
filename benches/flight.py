"""How fast Veilflight sends a protected table, beside a server that sends the same file raw.

One client, one file, one machine, one run; the servers take turns and medians are compared. Says
plainly which bar is met and which is missed, and never fails because of a figure: machines differ.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

import jobs
import pyarrow.flight as flight
import report
from custodian import PROJECT, Custodian, Server, memory_peak
from partner import Partner, descriptor, read
from report import Growth, Line

HOME = PROJECT / "bench-data"
PARTNER = "bench"
POLICY = """\
version: 1
dataset: jobs
source: {parquet: "%s"}
columns:
  ClusterId: keep
  ProcId: keep
  User: {pseudonym: {method: hmac, domain: person, keep: email_domain}}
  AccountingGroup:
    pseudonym: {method: token, domain: accounting_group, style: letters, prefix: group_}
  Experiment: keep
  JobsubClientIpAddress: {ip: crypto_pan}
  Site: keep
  Cmd: {pseudonym: {method: hmac, domain: command}}
  QDate: {truncate: hour}
  JobStartDate: {truncate: hour}
  CompletionDate: {truncate: hour}
  RequestMemory: keep
  RequestCpus: keep
  CumulativeSlotTime: keep
  RemoteUserCpu: keep
  DiskUsage: keep
  NumJobStarts: keep
  NumJobCompletions: keep
  ExitCode: keep
grants: [{partner: bench, access: rows}]
"""


@dataclass
class Contender:
    """A server and how it is pulled."""

    name: str
    partner: Partner
    path: str
    process: int


@dataclass
class Run:
    """One pull."""

    rows: int
    bytes: int
    seconds: float
    first_batch_seconds: float


def pull(contender: Contender) -> Run:
    """Pull all endpoints at once, and keep nothing of what came."""
    partner = contender.partner

    def part(ticket: flight.Ticket) -> tuple[list[tuple[int, int]], float]:
        with partner.connect() as client:
            begun = time.perf_counter()
            shard = read(
                client.do_get(ticket, partner.options),
                begun,
                lambda batch: (batch.num_rows, batch.nbytes),
            )
            return shard.batches, shard.first_batch_seconds

    with partner.connect() as client:
        info = client.get_flight_info(descriptor(contender.path), partner.options)
        tickets = [end.ticket for end in info.endpoints]
        begun = time.perf_counter()
        with ThreadPoolExecutor(len(tickets)) as pool:
            parts = list(pool.map(part, tickets))
        seconds = time.perf_counter() - begun
    rows, size = (sum(batch[i] for batches, _ in parts for batch in batches) for i in (0, 1))
    return Run(rows, size, seconds, min(first for batches, first in parts if batches))


@contextmanager
def raw_server(path: Path, streams: int, custodian: Custodian | None) -> Iterator[Contender]:
    """The peer, in a process of its own; with the custodian's certificate it speaks TLS."""
    ready = HOME / f"raw-ready-{streams}{'-tls' if custodian else ''}"
    ready.unlink(missing_ok=True)
    command = [sys.executable, Path(__file__).with_name("raw_server.py"), path, ready]
    process = subprocess.Popen(command + ([custodian.tls] if custodian else []))
    roots = custodian.roots if custodian else None
    try:
        while not (ready.is_file() and ready.read_text()):
            if process.poll() is not None:
                raise RuntimeError("the raw server did not start")
            time.sleep(0.02)
        name = f"raw pyarrow{' TLS' if custodian else ''}, {plural(streams)}"
        peer = Partner(ready.read_text(), roots=roots)
        yield Contender(name, peer, str(streams), process.pid)
    finally:
        process.terminate()
        process.wait()


def ours(custodian: Custodian, server: Server, name: str) -> Contender:
    """A Veilflight server as a contender."""
    roots = custodian.roots if "tls" in server.uri else None
    token = custodian.token(PARTNER)
    return Contender(name, Partner(server.uri, token, roots), "jobs", server.process.pid)


@contextmanager
def contenders(path: Path, streams: int) -> Iterator[list[Contender]]:
    """All servers over one file: the peer and ours, without and with TLS, one stream and several."""
    custodian = custodian_of(path)
    found = []
    with ExitStack() as stack:
        for certified in (None, custodian):
            for count in (1, streams):
                found.append(stack.enter_context(raw_server(path, count, certified)))
        for kind, tls in (("veilflight", False), ("veilflight TLS", True)):
            for count in (1, streams):
                server = stack.enter_context(custodian.serve("--shards-max", str(count), tls=tls))
                found.append(ours(custodian, server, f"{kind}, {plural(count)}"))
        yield found


def plural(streams: int) -> str:
    """How many streams, in words."""
    return "1 stream" if streams == 1 else f"{streams} streams"


def custodian_of(path: Path) -> Custodian:
    """A custodian with the policy of the benchmark over a file."""
    custodian = Custodian(HOME / path.stem)
    shutil.rmtree(custodian.home, ignore_errors=True)
    custodian.init()
    custodian.certify()
    custodian.enrol(PARTNER)
    (custodian.policies / "jobs.yaml").write_text(POLICY % path)
    return custodian


def measure(path: Path, rows: int, runs: int, streams: int) -> list[Line]:
    """Medians of alternating runs, after one run of each that does not count."""
    with contenders(path, streams) as found:
        results: dict[str, list[Run]] = {contender.name: [] for contender in found}
        for turn in range(runs + 1):
            for contender in found:
                run = pull(contender)
                if run.rows != rows:
                    raise RuntimeError(f"{contender.name} sent {run.rows} rows, not {rows}")
                if turn > 0:
                    results[contender.name].append(run)
            print(f"  run {turn} of {runs} done", flush=True)
        return [summary(contender, results[contender.name]) for contender in found]


def summary(contender: Contender, runs: list[Run]) -> Line:
    """One contender's medians; the spread is that of the rate, largest to smallest."""
    rates = [run.rows / run.seconds for run in runs]
    return Line(
        contender.name,
        statistics.median(rates),
        statistics.median(run.bytes / run.seconds / 1e6 for run in runs),
        max(rates) / min(rates) - 1,
        statistics.median(run.first_batch_seconds for run in runs) * 1e3,
        memory_peak(contender.process) / 1e6,
    )


def memory(rows: int, streams: int) -> list[Growth]:
    """Peak memory of fresh servers at `rows` and four times as many, one pull each."""
    peaks: dict[str, list[float]] = {}
    for count in (rows, 4 * rows):
        path = HOME / f"jobs-{count}.parquet"
        jobs.make(path, count)
        with contenders(path, streams) as found:
            for contender in found:
                pull(contender)
                peaks.setdefault(contender.name, []).append(memory_peak(contender.process) / 1e6)
    return [Growth(name, *pair) for name, pair in peaks.items()]


def main() -> None:
    """Measure, print, and append to the file of results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--streams", type=int, default=4, help="how many endpoints at once")
    parser.add_argument(
        "--memory", action="store_true", help="also peak memory at four times the rows"
    )
    arguments = parser.parse_args()
    path = HOME / f"jobs-{arguments.rows}.parquet"
    print(f"{arguments.rows:,} jobs of 19 columns in {path.relative_to(PROJECT)}")
    jobs.make(path, arguments.rows)

    lines = measure(path, arguments.rows, arguments.runs, arguments.streams)
    growth = memory(arguments.rows, arguments.streams) if arguments.memory else []
    report.show(lines, growth)
    report.append(HOME / "results.jsonl", vars(arguments), lines, growth)
    print(f"\nAppended to {(HOME / 'results.jsonl').relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
