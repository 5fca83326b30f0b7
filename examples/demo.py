"""The whole way in one run: raw jobs behind a policy, two partners who pull them over TLS, one who gets noise.

Answers for `make demo`: each step says what it does, everything lies in one folder, and what is
printed at the end can be pasted. With `--once` it ends after the pulls; otherwise it serves until
Ctrl-C.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import sample_jobs
from access import Access
from custodian import PROJECT, Custodian, Failed, Server, lines
from partner import Partner, Pulled
from pyarrow_sql import query
from show import beside

MARK = ".made-by-the-demo"
POLICY = PROJECT / "policies" / "htcondor-jobs.yaml"
DATASET = "htcondor_jobs"
PARTNERS = ["cern", "nersc"]
# Who gets no row, and answers with noise alone.
DASHBOARD = "dashboard"
JOB = ["ClusterId", "ProcId"]
SQL = f"""\
SELECT "Experiment", count(*) AS jobs, count(DISTINCT "User") AS users
FROM "{DATASET}" GROUP BY "Experiment" ORDER BY jobs DESC, "Experiment" LIMIT 3"""

SQL_WITH_NOISE = f"""\
SELECT "Experiment", count(DISTINCT "User") AS users
FROM "{DATASET}" GROUP BY "Experiment" ORDER BY users DESC LIMIT 3"""
SQL_AGAIN = f"""\
SELECT "Experiment" AS name, count(DISTINCT "User") AS persons
FROM "{DATASET}" GROUP BY 1 HAVING count(DISTINCT "User") > 20 ORDER BY 1"""


@contextmanager
def step(what: str) -> Iterator[list[str]]:
    """One progress line: what is done, then how long it took and what came of it."""
    print(f"  {what} ...", end=" ", flush=True)
    results: list[str] = []
    begun = time.perf_counter()
    yield results
    print(", ".join([f"{time.perf_counter() - begun:.1f} s", *results]), flush=True)


def prepare(home: Path, rows: int, seed: int) -> Custodian:
    """Everything a custodian does before the server starts."""
    if home.exists():
        if not (home / MARK).exists():
            raise Failed(f"`{home}` is there and not made by the demo; move it away")
        shutil.rmtree(home)
    home.mkdir()
    (home / MARK).touch()
    custodian = Custodian(home)
    with step(f"make {rows:,} jobs") as done:
        paths = sample_jobs.make(home / "htcondor", rows, seed)
        size = sum(path.stat().st_size for path in paths)
        done.append(f"{len(paths)} parquet files, {size / 1e6:.1f} MB")
    with step("make a master key"):
        custodian.init()
    with step("make a TLS certificate"):
        custodian.certify()
    with step("register the partners " + ", ".join([*PARTNERS, DASHBOARD])):
        for name in [*PARTNERS, DASHBOARD]:
            custodian.enrol(name)
    with step(f"check {POLICY.relative_to(PROJECT)}"):
        policy = custodian.publish(POLICY, "../htcondor", PARTNERS)
        with policy.open("a") as file:
            file.write(f"  - {budget()}\n")
        custodian.run("policy", "check", policy, "--data")
    return custodian


def budget() -> str:
    """A grant of answers with noise; the experiments are public, who works on them is not."""
    keys = ", ".join(sample_jobs.EXPERIMENTS)
    return (
        f"{{partner: {DASHBOARD}, access: dp, epsilon: 2, groups_max: 1, rows_max: 100, "
        f"keys: {{Experiment: [{keys}]}}, query: {{epsilon: 0.5}}}}"
    )


def pull(custodian: Custodian, server: Server) -> dict[str, Pulled]:
    """Pull as both partners."""
    pulled = {}
    for name in PARTNERS:
        partner = Partner(server.uri, custodian.token(name), custodian.roots)
        with step(f"pull as {name}, endpoints in parallel") as done:
            got = partner.pull(DATASET)
            done.append(f"{got.table.num_rows:,} rows from {got.endpoints} endpoints")
            done.append(f"{got.rows_a_second:,.0f} rows/s")
        pulled[name] = got
    return pulled


def compare(home: Path, pulled: dict[str, Pulled]) -> None:
    """Raw and received rows side by side, and what the pseudonyms are good for."""
    raw = ds.dataset(home / "htcondor").to_table()
    counts = {name: got.table.num_rows for name, got in pulled.items()}
    if set(counts.values()) != {raw.num_rows}:
        raise Failed(f"{raw.num_rows} rows are in the files, and the partners got {counts}")
    for place in (3, raw.num_rows // 2):
        job = [raw[column][place] for column in JOB]
        found = {"raw": raw, **{name: got.table for name, got in pulled.items()}}
        rows = {name: one_row(table, job) for name, table in found.items()}
        print()
        print("\n".join(beside(raw.schema.names, rows)))

    user = pc.mode(raw["User"].dictionary_encode().combine_chunks().indices)[0]["mode"].as_py()
    name = raw["User"].dictionary_encode().combine_chunks().dictionary[user].as_py()
    jobs = raw.filter(pc.equal(raw["User"], name)).select(JOB)
    print(
        f"\nThe user with most jobs has {jobs.num_rows:,} of them; in the partners' tables they are"
    )
    seen = {}
    for partner, got in pulled.items():
        theirs = jobs.join(got.table.select([*JOB, "User"]), JOB)["User"].unique().to_pylist()
        if len(theirs) != 1:
            raise Failed(f"one user has {len(theirs)} pseudonyms with {partner}")
        seen[partner] = theirs[0]
        print(f"  {partner:8} {theirs[0]}   the same in every one of these rows")
    if len(set(seen.values())) != len(seen):
        raise Failed("two partners got the same pseudonym")
    print("Neither can join their table with the other's.")


def ask(custodian: Custodian, server: Server) -> None:
    """Ask in SQL as a partner: pseudonyms group as the persons do."""
    name = PARTNERS[0]
    access = Access(server.uri, custodian.token(name), custodian.authority)
    print(f"\nWhat {name} may also ask in SQL, of the table that they see:\n\n{SQL}\n")
    answer = query(access, SQL)
    for row in answer.to_pylist():
        print(f"  {row['Experiment']:10} {row['jobs']:8,} jobs {row['users']:6,} users")
    raw = ds.dataset(custodian.home / "htcondor").to_table(columns=["Experiment", "User"])
    counts = raw.group_by("Experiment").aggregate([([], "count_all"), ("User", "count_distinct")])
    order = [("count_all", "descending"), ("Experiment", "ascending")]
    expected = [list(row.values()) for row in counts.sort_by(order).slice(0, 3).to_pylist()]
    if [list(row.values()) for row in answer.to_pylist()] != expected:
        raise Failed(f"the files say {expected}")


def ask_with_noise(custodian: Custodian, server: Server) -> None:
    """Ask as the one who gets no row: numbers with noise, on a budget."""
    access = Access(server.uri, custodian.token(DASHBOARD), custodian.authority)
    print(f"\nWhat {DASHBOARD} may ask, who gets no row but answers with noise:\n\n{SQL_WITH_NOISE}\n")
    answer = query(access, SQL_WITH_NOISE)
    raw = ds.dataset(custodian.home / "htcondor").to_table(columns=["Experiment", "User"])
    users = raw.group_by("Experiment").aggregate([("User", "count_distinct")]).to_pylist()
    true = {row["Experiment"]: row["User_count_distinct"] for row in users}
    for row in answer.to_pylist():
        name, found, half_width = row["Experiment"], row["users"], row["users_hw95"]
        print(f"  {name:10} {found:6,} users, 95 % within {half_width:.0f} (the files: {true[name]})")
    again = {row["name"]: row["persons"] for row in query(access, SQL_AGAIN).to_pylist()}
    shown = [row for row in answer.to_pylist() if row["users"] > 20]
    if any(again.get(row["Experiment"]) != row["users"] for row in shown):
        raise Failed(f"asked again in other words the answer is {again}")
    print(f"\nIn other words, which gets the same numbers and costs nothing:\n\n{SQL_AGAIN}\n")
    print("What is left (veilflight budget show):\n")
    book = ("--state", custodian.state, "--policies", custodian.policies)
    print(custodian.run("budget", "show", *book).rstrip())


def one_row(table: pa.Table, job: list[pa.Scalar]) -> dict[str, object]:
    """The row of one job."""
    found = [pc.equal(table[column], value) for column, value in zip(JOB, job)]
    rows = table.filter(pc.and_(*found)).to_pylist()
    if len(rows) != 1:
        raise Failed(f"a job has {len(rows)} rows")
    return rows[0]


def tell(custodian: Custodian) -> None:
    """What the policy means, and what happened."""
    print(f"\nWhat the policy says of {PARTNERS[0]} (veilflight policy explain):\n")
    policy = custodian.policies / POLICY.name
    print(custodian.run("policy", "explain", policy, "--partner", PARTNERS[0]).rstrip())
    print("\nWhat happened (veilflight audit show):\n")
    for line in lines(custodian.run("audit", "show", "--state", custodian.state), 30):
        print(line)
    print("\n" + custodian.run("audit", "verify", "--state", custodian.state).strip())


def snippet(server: Server, custodian: Custodian, last: str) -> str:
    """Lines to paste that pull by path and end with a table in the form of the last lines."""
    return f"""\
import pyarrow.flight as flight
token = open("{custodian.token_file(PARTNERS[0])}").read().strip()
roots = open("{custodian.authority}", "rb").read()
client = flight.connect("{server.uri}", tls_root_certs=roots)
options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {{token}}".encode())])
info = client.get_flight_info(flight.FlightDescriptor.for_path("{DATASET}"), options)
{last}"""


def statement_snippet(server: Server, custodian: Custodian) -> str:
    """Lines to paste that ask in SQL."""
    return f"""\
from adbc_driver_flightsql.dbapi import connect
token = open("{custodian.token_file(PARTNERS[0])}").read().strip()
options = {{
    "adbc.flight.sql.authorization_header": f"Bearer {{token}}",
    "adbc.flight.sql.client_option.tls_root_certs": open("{custodian.authority}").read(),
}}
with connect("{server.uri}", db_kwargs=options, autocommit=True) as connection:
    with connection.cursor() as cursor:
        cursor.execute('SELECT "Site", count(*) FROM "{DATASET}" WHERE "User" LIKE ? GROUP BY "Site"',
                       parameters=("%@cern.ch",))
        print(cursor.fetch_arrow_table().to_pandas())"""


def paste(server: Server, custodian: Custodian) -> None:
    """Print lines for pyarrow, Polars and ADBC, after running each as it stands."""
    endings = {
        "pyarrow": """\
import pyarrow as pa
jobs = pa.concat_tables(client.do_get(e.ticket, options).read_all() for e in info.endpoints)
print(jobs.num_rows, jobs.schema.names)""",
        "Polars": """\
import polars as pl
jobs = pl.concat(pl.from_arrow(client.do_get(e.ticket, options).read_all()) for e in info.endpoints)
print(jobs.head())""",
    }
    texts = {client: snippet(server, custodian, ending) for client, ending in endings.items()}
    texts["ADBC, in SQL"] = statement_snippet(server, custodian)
    for client, text in texts.items():
        command = [sys.executable, "-c", text]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise Failed(f"the lines for {client} do not work:\n{done.stderr}")
        print(f"\n# {client}, with {os.path.relpath(sys.executable)}\n{text}")


def serve_on(server: Server) -> None:
    """Serve until Ctrl-C."""
    print(f"\nServing {DATASET} at {server.uri}. Ctrl-C ends it.", flush=True)
    try:
        code = server.process.wait()
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
    else:
        if code != 0:
            raise Failed(f"the server ended with {code}:\n{server.said()}")


def main() -> int:
    """Run every step; the exit code is 0 when all went well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--folder", type=Path, default=PROJECT / "demo-data", help="where all of it lies"
    )
    parser.add_argument("--once", action="store_true", help="end after the pulls")
    arguments = parser.parse_args()
    # Whoever asks this process to end gets the server stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        custodian = prepare(arguments.folder.resolve(), arguments.rows, arguments.seed)
        with step("start the server") as done:
            server = Server.start(custodian)
            done.append(server.uri)
        try:
            compare(custodian.home, pull(custodian, server))
            ask(custodian, server)
            ask_with_noise(custodian, server)
            tell(custodian)
            paste(server, custodian)
            if not arguments.once:
                serve_on(server)
        finally:
            server.stop()
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130
    except Exception as error:  # whatever it was, the reader gets its story and a failing exit code
        print(f"\n\nThe demo failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
