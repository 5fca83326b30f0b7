"""How fast SQL is: beside our own plain pull, beside DataFusion, and beside ROAPI, in one run.

Answers for four ratios, each of medians of runs that take turns on one machine: a whole table by
SQL beside DoGet; eight endpoints beside one; a GROUP BY on a pseudonym beside DataFusion over a
file transformed before; and the ADBC driver's pull with the policy on beside the same driver's
pull of the same file, raw, from ROAPI. Never fails because of a figure: machines differ.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as adbc
import datafusion
import jobs
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
import report
from custodian import PROJECT, Custodian, Server
from flight import HOME, PARTNER, custodian_of
from partner import Partner, descriptor, read

ENDPOINTS = 8
THREADS = 2
WHOLE = "SELECT * FROM jobs"
GROUPS = (
    'SELECT "User", count(*) AS n, sum("CumulativeSlotTime") AS s, avg("RemoteUserCpu") AS c '
    'FROM jobs GROUP BY "User"'
)
ROAPI = PROJECT / ".venv-bench" / "bin" / "roapi"


@dataclass(frozen=True)
class Way:
    """What is timed, and the server that works for it; this process works too where there is none."""

    call: Callable[[], int]
    server: subprocess.Popen[bytes] | None = None


@dataclass
class Measured:
    """The runs of one way."""

    name: str
    seconds: list[float]
    # Processor seconds of all counted runs together, on either side of the connection.
    server: float = 0.0
    client: float = 0.0

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Slowest to fastest."""
        return max(self.seconds) / min(self.seconds) - 1


def statement(sql: str) -> flight.FlightDescriptor:
    """A query as Flight SQL packs it: a type's name and a message with one text, in an envelope."""

    def field(number: int, value: bytes) -> bytes:
        size, length = b"", len(value)
        while length > 0x7F:
            size += bytes([length & 0x7F | 0x80])
            length >>= 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + value

    kind = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    return flight.FlightDescriptor.for_command(field(1, kind) + field(2, field(1, sql.encode())))


def pulled(partner: Partner, asked: flight.FlightDescriptor, at_once: int = ENDPOINTS) -> int:
    """Pull all endpoints, some at once, keep nothing, and return how many rows came."""

    def part(ticket: flight.Ticket) -> int:
        with partner.connect() as client:
            reader = client.do_get(ticket, partner.options)
            return sum(read(reader, 0.0, lambda batch: batch.num_rows).batches)

    with partner.connect() as client:
        tickets = [end.ticket for end in client.get_flight_info(asked, partner.options).endpoints]
    with ThreadPoolExecutor(at_once) as pool:
        return sum(pool.map(part, tickets))


def by_driver(connection: adbc.Connection, sql: str) -> int:
    """Pull with the ADBC driver, keep nothing, and return how many rows came."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return sum(batch.num_rows for batch in cursor.fetch_record_batch())


def take_turns(ways: dict[str, Way], rows: int, runs: int) -> dict[str, Measured]:
    """Run each way in turn, once without counting; every answer has that many rows."""
    found = {name: Measured(name, []) for name in ways}
    for turn in range(runs + 1):
        for name, way in ways.items():
            worked, begun = worked_by(way.server), time.perf_counter()
            came = way.call()
            seconds = time.perf_counter() - begun
            if came != rows:
                raise RuntimeError(f"{name} gave {came} rows, not {rows}")
            if turn > 0:
                server, client = worked_by(way.server)
                found[name].seconds.append(seconds)
                found[name].server += server - worked[0]
                found[name].client += client - worked[1]
    for measured in found.values():
        print(
            f"  {measured.name:32}{measured.median:7.3f} s  spread {measured.spread:4.0%}"
            f"  processor: server {measured.server / runs:.2f} s, client {measured.client / runs:.2f} s"
        )
    return found


def worked_by(server: subprocess.Popen[bytes] | None) -> tuple[float, float]:
    """Processor seconds that a server and this process have used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    stat = Path(f"/proc/{server.pid}/stat") if server else None
    if stat is None or not stat.exists():
        return 0.0, used.ru_utime + used.ru_stime
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    ticks = os.sysconf("SC_CLK_TCK")
    return (int(user) + int(system)) / ticks, used.ru_utime + used.ru_stime


def partner_of(custodian: Custodian, server: Server) -> Partner:
    """The partner of the benchmark."""
    return Partner(server.uri, custodian.token(PARTNER))


def connected(uri: str, token: str | None) -> adbc.Connection:
    """The stock driver."""
    option = adbc_driver_flightsql.DatabaseOptions.AUTHORIZATION_HEADER.value
    options = {option: f"Bearer {token}"} if token else {}
    return adbc.connect(uri.replace("+tcp", ""), db_kwargs=options, autocommit=True)


@contextmanager
def roapi(path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """ROAPI over the file as it is, with its own defaults; gives its Flight SQL address."""
    ports = [free_port() for _ in range(3)]
    http, postgres, sql = (f"127.0.0.1:{port}" for port in ports)
    command = [ROAPI, "-a", http, "-p", postgres, "--addr-flight-sql", sql, "-t", f"jobs={path}"]
    log = (HOME / "roapi.log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"ROAPI did not start; see {log.name}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", ports[2])) == 0:
                    break
            time.sleep(0.1)
        yield f"grpc://{sql}", process
    finally:
        process.terminate()
        process.wait()
        log.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def transformed(partner: Partner, path: Path) -> Path:
    """The table as the policy lets it out, as a parquet file like the raw one."""
    target = path.with_name(f"{path.stem}-transformed.parquet")
    with partner.connect() as client:
        info = client.get_flight_info(descriptor("jobs"), partner.options)
        with pq.ParquetWriter(target, info.schema, compression="zstd") as writer:
            for end in info.endpoints:
                for batch in client.do_get(end.ticket, partner.options):
                    writer.write_table(
                        pa.Table.from_batches([batch.data]), row_group_size=jobs.ROWS_A_GROUP
                    )
    return target


def local(path: Path) -> Callable[[], int]:
    """The same GROUP BY in DataFusion, in this process, over a file."""
    config = datafusion.SessionConfig().with_target_partitions(THREADS)
    context = datafusion.SessionContext(config)
    context.register_parquet("jobs", str(path))
    return lambda: context.sql(GROUPS).to_arrow_table().num_rows


def measure(path: Path, rows: int, runs: int) -> list[tuple[str, bool, str]]:
    """Everything; the bars with whether they are met."""
    custodian, bars = custodian_of(path), []
    with ExitStack() as stack:
        one = stack.enter_context(custodian.serve("--shards-max", "1", tls=False))
        first = partner_of(custodian, one)
        print(f"\n{WHOLE}, one endpoint")
        found = take_turns(
            {
                "DoGet of the dataset": Way(
                    lambda: pulled(first, descriptor("jobs")), one.process
                ),
                "SQL": Way(lambda: pulled(first, statement(WHOLE)), one.process),
            },
            rows,
            runs,
        )
        slower = found["SQL"].median / found["DoGet of the dataset"].median - 1
        bars.append(("SELECT * by SQL within 5 % of DoGet", slower <= 0.05, f"{slower:+.1%}"))
        target = transformed(first, path)

    with ExitStack() as stack:
        other = custodian_copy(custodian, "eight")
        one = stack.enter_context(custodian.serve("--shards-max", "1", tls=False))
        many = stack.enter_context(other.serve("--shards-max", str(ENDPOINTS), tls=False))
        first, eighth = partner_of(custodian, one), partner_of(other, many)
        print(f"\n{WHOLE}, endpoints in parallel")
        found = take_turns(
            {
                "1 endpoint": Way(lambda: pulled(first, statement(WHOLE)), one.process),
                f"{ENDPOINTS} endpoints, one by one": Way(
                    lambda: pulled(eighth, statement(WHOLE), 1), many.process
                ),
                f"{ENDPOINTS} endpoints": Way(
                    lambda: pulled(eighth, statement(WHOLE)), many.process
                ),
            },
            rows,
            runs,
        )
        ratio = found["1 endpoint"].median / found[f"{ENDPOINTS} endpoints"].median
        bars.append(
            (f"{ENDPOINTS} endpoints at least 1.5 times one", ratio >= 1.5, f"{ratio:.2f}x")
        )

        print(f"\n{GROUPS}")
        groups = local(target)()
        raw = local(path)
        found = take_turns(
            {
                "DataFusion, transformed before": Way(local(target)),
                "DataFusion, raw": Way(raw),
                "Veilflight, pyarrow": Way(
                    lambda: pulled(eighth, statement(GROUPS)), many.process
                ),
            },
            groups,
            runs,
        )
        ratio = found["Veilflight, pyarrow"].median / found["DataFusion, transformed before"].median
        bars.append(
            (
                "GROUP BY within 1.3 times DataFusion, transformed before",
                ratio <= 1.3,
                f"{ratio:.2f}x",
            )
        )

        if not ROAPI.is_file():
            bars.append(("twice as fast as ROAPI by ADBC", False, f"not measured: no {ROAPI}"))
            return bars
        uri, process = stack.enter_context(roapi(path))
        peer = stack.enter_context(connected(uri, None))
        ours = stack.enter_context(connected(many.uri, custodian.token(PARTNER)))
        print(f"\n{WHOLE}, by the ADBC driver")
        found = take_turns(
            {
                "ROAPI, raw": Way(lambda: by_driver(peer, "select * from jobs"), process),
                "Veilflight, with the policy": Way(lambda: by_driver(ours, WHOLE), many.process),
            },
            rows,
            runs,
        )
        ratio = found["ROAPI, raw"].median / found["Veilflight, with the policy"].median
        bars.append(("at least twice as fast as ROAPI, raw, by ADBC", ratio >= 2, f"{ratio:.2f}x"))
    return bars


def custodian_copy(custodian: Custodian, name: str) -> Custodian:
    """The same keys, partners and policies in another folder: an audit log has one server."""
    home = custodian.home.with_name(f"{custodian.home.name}-{name}")
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(custodian.home, home)
    return Custodian(home)


def main() -> None:
    """Measure, print, and append to the file of results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    path = HOME / f"jobs-{arguments.rows}.parquet"
    print(f"{arguments.rows:,} jobs of 19 columns in {path.relative_to(PROJECT)}")
    jobs.make(path, arguments.rows)
    bars = measure(path, arguments.rows, arguments.runs)
    print()
    for what, met, figure in bars:
        report.bar(what, met, figure)
    result = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "arguments": vars(arguments),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "datafusion": datafusion.__version__,
        "bars": bars,
    }
    with (HOME / "sql-results.jsonl").open("a") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
