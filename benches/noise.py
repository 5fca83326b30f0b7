"""How exact and how fast noisy aggregates are, beside smartnoise-sql, Tumult Analytics and no privacy at all.

One machine, one run: COUNT, SUM and AVG by Site over a million jobs, at an epsilon of 1 a user for the
whole statement, public sites, the same bounds for all; a null (there is none) counts as nought, as it
does where a peer divides a sum by a count of rows. Each peer runs in an environment of its own and only
its call is timed, without loading Python or data; ours is timed as a partner meets it, from the statement
to the last byte, on a server that waits for no tick, with an epsilon that differs by a millionth each
time so that nothing is answered from what is kept. "Without privacy" is the same statement on the same
server under a grant of rows; "joined" finds its sites in a public table. Errors are those of 40 sites
against what the file holds, all runs together.
Says plainly which bar is met, and never fails because of a figure.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as flight
import pyarrow.parquet as pq
import report
from custodian import PROJECT, Custodian
from partner import Partner
from sql import statement

HOME = PROJECT / "bench-data" / "noise"
TOOL = PROJECT.parent / "shared" / "tools" / "make_jobs.py"
VALUE, HIGH = "CumulativeSlotTime", 100_000
EPSILON, SITES = 1.0, [f"Site_{at:02}" for at in range(40)]
SQL = f'SELECT "Site", count(*) AS n, sum("{VALUE}") AS s, avg("{VALUE}") AS a FROM %s GROUP BY "Site"'
# The same by way of a public table.
JOINED = (
    f'SELECT site AS "Site", count(*) AS n, sum("{VALUE}") AS s, avg("{VALUE}") AS a '
    'FROM %s JOIN %s.sites ON "Site" = sites.site GROUP BY site'
)
# Groups of a user, rows of a user in a group; the peer knows only how many rows of a user there are.
BOUNDS = {"one": (1, 1), "ten": (10, 1), "fifty": (10, 5)}
SMARTNOISE = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import pandas as pd, snsql
from snsql import Privacy
path, value, bound, high, epsilon, runs = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])
data = pd.read_parquet(path, columns=["User", "Site", value])
table = {
    "row_privacy": False, "max_ids": int(bound), "sample_max_ids": True, "censor_dims": False,
    "clamp_columns": True, "clamp_counts": False,
    "User": {"type": "string", "private_id": True}, "Site": {"type": "string"},
    value: {"type": "int", "lower": 0, "upper": int(high)},
}
sql = f"SELECT Site, COUNT(*) AS n, SUM({value}) AS s, AVG({value}) AS a FROM lab.jobs GROUP BY Site"
def reader(epsilon):
    privacy = Privacy(epsilon=epsilon, delta=1e-8)
    return snsql.from_df(data, privacy=privacy, metadata={"": {"lab": {"jobs": table}}})
# It takes an epsilon a column, and tells what the statement then costs.
share = epsilon / float(reader(1.0).get_privacy_cost(sql)[0])
answers, seconds = [], []
for run in range(int(runs)):
    asked = reader(share)
    start = time.perf_counter()
    answer = asked.execute_df(sql)
    seconds.append(time.perf_counter() - start)
    answers.append({row["Site"]: [float(row[name]) for name in "nsa"] for _, row in answer.iterrows()})
cost = float(reader(share).get_privacy_cost(sql)[0])
print(json.dumps({"seconds": seconds, "answers": answers, "cost": cost}))
"""

Answers = list[dict[str, list[float]]]


@dataclass
class Found:
    """The runs of one contender."""

    seconds: list[float]
    answers: Answers

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    def errors(self, true: dict[str, list[float]]) -> list[float]:
        """Of each column: the median of errors relative to the truth."""
        each: list[list[float]] = [[], [], []]
        for answer in self.answers:
            for site, truth in true.items():
                told = answer.get(site, [0.0] * 3)
                for column, (is_, should) in enumerate(zip(told, truth, strict=True)):
                    each[column].append(abs(is_ - should) / abs(should))
        return [statistics.median(column) for column in each]


def policy(dataset: str, path: Path, columns: list[str], grant: str) -> str:
    """A policy that keeps sites and seconds; with noise they may be joined with what is public of sites."""
    kept = {"Site": "keep", VALUE: "keep"}
    lines = ["version: 1", f"dataset: {dataset}", "description: Jobs of a batch system"]
    lines += [f"source: {{parquet: '{path}'}}", "unit: User"]
    lines += ["public_tables: {sites: {parquet: sites.parquet}}"] * ("access: dp" in grant) + ["columns:"]
    lines += [f"  {column}: {kept.get(column, 'drop')}" for column in columns]
    return "\n".join([*lines, "grants:", f"  - {grant}", ""])


def custodian_of(path: Path) -> Custodian:
    """A custodian with the file as rows for one partner, and with noise for another."""
    custodian = Custodian(HOME / "custodian")
    custodian.init()
    pq.write_table(pa.table({"site": SITES}), custodian.policies / "sites.parquet")
    columns = pq.read_schema(path).names
    granted = {"jobs": "{partner: clear, access: rows}"}
    for name, (groups, rows) in BOUNDS.items():
        granted[f"jobs_{name}"] = "\n  - ".join(
            f"{{partner: {partner}, access: dp, epsilon: 20, delta: 1e-6, groups_max: {groups}, "
            f"rows_max: {rows}, bounds: {{{VALUE}: {{low: 0, high: {HIGH}, null_as: 0}}}}, "
            f"keys: {{Site: [{', '.join(SITES)}]}}, query: {{epsilon: 1, delta: 1e-9}}}}"
            for partner in ("noisy", "joining")
        )
    for dataset, grant in granted.items():
        text = policy(dataset, path, columns, grant)
        (custodian.policies / f"{dataset}.yaml").write_text(text)
    for partner in ("clear", "noisy", "joining"):
        custodian.enrol(partner)
    return custodian


def asked(partner: Partner, sql: str, epsilon: float | None = None) -> dict[str, list[float]]:
    """Ask once; the answer by site."""
    headers = [(b"authorization", b"Bearer " + (partner.token or "").encode())]
    if epsilon is not None:
        headers.append((b"veilflight-epsilon", f"{epsilon:.6f}".encode()))
    options = flight.FlightCallOptions(headers=headers, timeout=300.0)
    with partner.connect() as client:
        info = client.get_flight_info(statement(sql), options)
        tables = [client.do_get(end.ticket, options).read_all() for end in info.endpoints]
    rows = pa.concat_tables(tables).to_pylist()
    nought = {None: 0.0}
    return {row["Site"]: [nought.get(row[name], row[name]) for name in "nsa"] for row in rows}


def take_turns(ways: dict[str, Callable[[int], dict[str, list[float]]]], runs: int) -> dict[str, Found]:
    """Run each in turn, once without counting."""
    found = {name: Found([], []) for name in ways}
    for turn in range(runs + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            answer = way(turn)
            seconds = time.perf_counter() - start
            if turn > 0:
                found[name].seconds.append(seconds)
                found[name].answers.append(answer)
    return found


def truth(path: Path) -> dict[str, list[float]]:
    """What the file holds."""
    table = pq.read_table(path, columns=["Site", VALUE])
    sums = table.group_by("Site").aggregate([(VALUE, "count"), (VALUE, "sum"), (VALUE, "mean")])
    names = [f"{VALUE}_{name}" for name in ("count", "sum", "mean")]
    return {row["Site"]: [row[name] for name in names] for row in sums.to_pylist()}


def smartnoise(python: Path, path: Path, bound: int, runs: int) -> Found | None:
    """The peer; none where it fails, which is said."""
    words = [str(path), VALUE, str(bound), str(HIGH), str(EPSILON), str(runs)]
    command = [str(python), "-W", "ignore", "-c", SMARTNOISE, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  smartnoise-sql answers nothing: {done.stderr.strip().splitlines()[-1][:200]}")
        return None
    told = json.loads(done.stdout.splitlines()[-1])
    if abs(told["cost"] - EPSILON) > 1e-6:
        raise RuntimeError(f"the peer spent {told['cost']}, not {EPSILON}")
    return Found(told["seconds"], told["answers"])


def tumult(python: Path, path: Path, runs: int) -> dict[str, Found]:
    """The other peer, for each pair of bounds; nothing where it fails, which is said."""
    request = {"path": str(path), "value": VALUE, "high": HIGH, "epsilon": EPSILON, "runs": runs}
    request |= {"sites": SITES, "bounds": BOUNDS, "scratch": str(HOME / "spark")}
    command = [str(python), str(Path(__file__).with_name("noise_tumult.py")), json.dumps(request)]
    print("Tumult Analytics, some minutes ...", flush=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  it answers nothing: {done.stderr.strip().splitlines()[-1][:200]}")
        return {}
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return {each["bounds"]: Found(each["seconds"], each["answers"]) for each in told}


def line(name: str, found: Found, true: dict[str, list[float]]) -> None:
    """One contender in one line."""
    count, total, mean = found.errors(true)
    print(
        f"  {name:24}{found.median * 1000:9.1f} ms   median relative error: COUNT {count:8.3f}"
        f"   SUM {total:8.3f}   AVG {mean:8.3f}"
    )


def measure(path: Path, smart: Path, spark: Path, runs: int) -> None:
    """Everything, and the bars."""
    true = truth(path)
    tumults = tumult(spark, path, max(1, runs // 5))
    custodian = custodian_of(path)
    with ExitStack() as stack:
        server = stack.enter_context(custodian.serve("--noise-tick-ms", "1", tls=False))
        clear = Partner(server.uri, custodian.token("clear"))
        noisy = Partner(server.uri, custodian.token("noisy"))
        joining = Partner(server.uri, custodian.token("joining"))
        for name, (groups, rows) in BOUNDS.items():
            dataset = f"jobs_{name}"
            print(f"\na user in at most {groups} sites with at most {rows} jobs each, epsilon {EPSILON}")
            found = take_turns(
                {
                    "without privacy": lambda _: asked(clear, SQL % "jobs"),
                    "veilflight": lambda turn, of=dataset: asked(noisy, SQL % of, EPSILON + turn / 1e6),
                    "veilflight, joined": lambda turn, of=dataset: asked(
                        joining, JOINED % (of, of), EPSILON + turn / 1e6
                    ),
                },
                runs,
            )
            plain, ours = found["without privacy"], found["veilflight"]
            theirs = smartnoise(smart, path, groups * rows, max(3, runs // 5))
            line("without privacy", plain, true)
            line("veilflight", ours, true)
            line("veilflight, joined", found["veilflight, joined"], true)
            ratio = ours.median / plain.median
            figure = f"{ratio:.2f}x of {plain.median * 1000:.0f} ms"
            if theirs:
                line("smartnoise-sql", theirs, true)
                faster = theirs.median / ours.median
                report.bar("at least 20 times faster than smartnoise-sql", faster >= 20, f"{faster:.0f}x")
                pairs = zip(ours.errors(true), theirs.errors(true), ("COUNT", "SUM", "AVG"), strict=True)
                for mine, other, column in pairs:
                    report.bar(f"error of {column} not larger", mine <= other, f"{mine:.3f} to {other:.3f}")
            if last := tumults.get(name):
                line("Tumult Analytics", last, true)
                print(f"  {last.median / ours.median:.0f} times as fast as Tumult Analytics")
            report.bar("within 2 times of no privacy", ratio <= 2, figure)


def main() -> None:
    """Generate, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--smartnoise", type=Path, default=PROJECT / ".venv-noise/bin/python")
    parser.add_argument("--tumult", type=Path, default=PROJECT / ".venv-tumult/bin/python")
    arguments = parser.parse_args()
    if not TOOL.exists():
        raise SystemExit(f"`{TOOL}` is not there: no jobs to ask about")
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    path = HOME / "jobs.parquet"
    made = [sys.executable, str(TOOL), str(path), str(arguments.rows)]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    print(f"{platform.machine()}, {platform.system()} {platform.release()}, {arguments.rows:,} jobs")
    total = pc.sum(pq.read_table(path, columns=[VALUE])[VALUE]).as_py()
    print(f"{VALUE} sums to {total:,}")
    measure(path, arguments.smartnoise, arguments.tumult, arguments.runs)
    shutil.rmtree(HOME)


if __name__ == "__main__":
    main()
