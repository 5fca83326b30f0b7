"""Plot noisy against exact counts, with error bars, for three epsilons side by side.

A custodian grants a partner answers with noise; the partner asks how many persons each group has, once
an epsilon; the exact counts are the custodian's own, from the file. The same is printed as a table.
Without `--adult` the persons are the users of sample jobs; with it, those of UCI's Adult. Starts a
server of its own in a folder that goes away.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.flight as flight
import pyarrow.parquet as pq
import sample_jobs
from access import Access
from custodian import Custodian, Failed
from pyarrow_sql import command

PARTNER = "cern"


@dataclass(frozen=True)
class Table:
    """Raw rows: who a row is of, what groups differ in, and epsilons that show it."""

    rows: pa.Table
    person: str
    group: str
    words: str
    epsilons: tuple[str, ...]


@dataclass(frozen=True)
class Noisy:
    """The answer at one epsilon: a number a group and its 95 % half-width."""

    epsilon: str
    counts: dict[str, int]
    half_width: float


def jobs(folder: Path, rows: int) -> Table:
    """Sample jobs: a user has many, all of one experiment."""
    paths = sample_jobs.make(folder / "jobs", rows, 7)
    table = pa.concat_tables(pq.read_table(path, columns=["User", "Experiment"]) for path in paths)
    words = f"Users of {rows:,} sample jobs, by experiment"
    return Table(table, "User", "Experiment", words, ("0.05", "0.2", "1"))


def adult(path: Path, group: str) -> Table:
    """UCI's Adult, with the names of its columns in the first line: a row is a person."""
    with path.open() as file:
        delimiter = ";" if ";" in file.readline() else ","
    rows = csv.read_csv(path, parse_options=csv.ParseOptions(delimiter=delimiter))
    if group not in rows.column_names:
        raise Failed(f"`{path}` has no column `{group}`; it has {', '.join(rows.column_names)}")
    person = pa.array(range(rows.num_rows), pa.int64())
    rows = rows.select([group]).append_column("person", person)
    words = f"Persons of UCI's Adult, by {group}"
    return Table(rows, "person", group, words, ("0.003", "0.01", "0.05"))


def exact(table: Table) -> dict[str, int]:
    """How many persons each group has, the largest first."""
    persons = table.rows.group_by(table.group).aggregate([(table.person, "count_distinct")])
    counts = {row[table.group]: row[f"{table.person}_count_distinct"] for row in persons.to_pylist()}
    counts.pop(None, None)
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def policy(table: Table, groups: Sequence[str]) -> str:
    """A policy with one grant, of answers with noise; names of groups are public."""
    keys = ", ".join(f'"{name}"' for name in sorted(groups))
    return f"""\
version: 1
dataset: persons
description: {table.words}
source: {{parquet: ../raw/persons.parquet}}
unit: {table.person}
columns:
  {table.person}: drop
  {table.group}: {{class: measure, keep}}
grants:
  - {{partner: {PARTNER}, access: dp, epsilon: 2, groups_max: 1, rows_max: 1,
     keys: {{{table.group}: [{keys}]}}, query: {{epsilon: {table.epsilons[0]}}}}}
"""


def ask(access: Access, table: Table, epsilon: str) -> Noisy:
    """Ask as the partner, for an epsilon that goes with the call."""
    sql = (
        f'SELECT "{table.group}" AS name, count(DISTINCT "{table.person}") AS persons '
        f'FROM persons GROUP BY "{table.group}"'
    )
    header = [(b"authorization", f"Bearer {access.token}".encode())]
    options = flight.FlightCallOptions(headers=[*header, (b"veilflight-epsilon", epsilon.encode())])
    with access.pyarrow() as client:
        info = client.get_flight_info(command(sql), options)
        answer = client.do_get(info.endpoints[0].ticket, options).read_all()
    rows = answer.to_pylist()
    counts = {row["name"]: row["persons"] for row in rows}
    return Noisy(epsilon, counts, rows[0]["persons_hw95"])


def answers(folder: Path, table: Table, counts: dict[str, int]) -> list[Noisy]:
    """Everything that a custodian does, and the partner's three questions."""
    custodian = Custodian(folder)
    custodian.init()
    custodian.certify()
    custodian.enrol(PARTNER)
    (folder / "raw").mkdir()
    pq.write_table(table.rows, folder / "raw" / "persons.parquet")
    written = custodian.policies / "persons.yaml"
    written.write_text(policy(table, list(counts)))
    custodian.run("policy", "check", written, "--data")
    with custodian.serve() as server:
        access = Access(server.uri, custodian.token(PARTNER), custodian.authority)
        return [ask(access, table, epsilon) for epsilon in table.epsilons]


def tell(counts: dict[str, int], noisy: list[Noisy]) -> None:
    """Print a line a group; a star where the interval does not hold the exact number."""
    width = max(map(len, counts))
    heads = [f"epsilon {one.epsilon}" for one in noisy]
    print("".join([" " * width, f"{'exact':>9}", *(f"{head:>20}" for head in heads)]))
    inside = [0] * len(noisy)
    for name, count in counts.items():
        cells = []
        for at, one in enumerate(noisy):
            within = abs(one.counts[name] - count) <= one.half_width
            inside[at] += within
            cells.append(f"{one.counts[name]:>10,} ± {one.half_width:<5,.0f}{' ' if within else '*'} ")
        print(f"{name:<{width}}{count:>9,}" + "".join(cells))
    told = ", ".join(f"{held} at {head}" for held, head in zip(inside, heads))
    print(f"Of {len(counts)} intervals of 95 %, these hold the exact count: {told}. A * marks the others.")


def plot(table: Table, counts: dict[str, int], noisy: list[Noisy], out: Path) -> None:
    """Bars for exact counts, points with error bars for noisy ones; a panel an epsilon."""
    import matplotlib

    matplotlib.use("Agg")  # no display
    import matplotlib.pyplot as plt

    names = list(counts)
    places = range(len(names))
    figure, panels = plt.subplots(
        1,
        len(noisy),
        figsize=(11, 1.7 + 0.24 * len(names)),
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for panel, one in zip(panels, noisy):
        panel.barh(places, counts.values(), color="#c9d6e4", height=0.72, label="exact (the file)")
        panel.errorbar(
            [one.counts[name] for name in names],
            places,
            xerr=one.half_width,
            fmt="o",
            color="#b3401f",
            markersize=3.2,
            capsize=2.2,
            linewidth=1.0,
            label="noisy, 95 % half-width",
        )
        panel.set_title(f"epsilon {one.epsilon} (± {one.half_width:,.0f})", fontsize=10)
        panel.axvline(0, color="#555555", linewidth=0.8)
        panel.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
        panel.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,.0f}"))
        panel.tick_params(labelsize=8, length=2)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x", color="#e6e6e6", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right", "left"]].set_visible(False)
    panels[0].set_yticks(places, names)
    panels[0].invert_yaxis()
    figure.suptitle(table.words, fontsize=12)
    marks, words = panels[0].get_legend_handles_labels()
    figure.legend(marks, words, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.savefig(out, dpi=100)


def main() -> int:
    """Ask, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--adult", type=Path, help="UCI's Adult as CSV with a header")
    parser.add_argument("--by", default="education", help="the column of Adult to count by")
    parser.add_argument("--rows", type=int, default=50_000, help="how many sample jobs")
    parser.add_argument("--out", type=Path, default=Path("noisy_counts.png"), help="the picture")
    arguments = parser.parse_args()
    try:
        import matplotlib  # noqa: F401  # before anything is made and asked
    except ModuleNotFoundError:
        print(
            "matplotlib draws the picture and is not installed: `make venv`, or\n"
            f"  {sys.executable} -m pip install -r requirements.txt",
            file=sys.stderr,
        )
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="veilflight-") as made:
            folder = Path(made)
            if arguments.adult:
                table = adult(arguments.adult, arguments.by)
            else:
                table = jobs(folder, arguments.rows)
            counts = exact(table)
            noisy = answers(folder, table, counts)
    except (Failed, OSError, pa.ArrowException) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    tell(counts, noisy)
    plot(table, counts, noisy, arguments.out)
    print(f"The picture is in {arguments.out}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
