"""Count guesses in a column that leaves by RAPPOR: how often each occurs, and how sure that is.

    python rappor_decode.py --uri grpc+tls://data.example.org:8815 --token-file token --ca ca.pem \\
        --sql 'SELECT "Site" FROM jobs' --candidates sites.txt
    python rappor_decode.py --parquet jobs.parquet --unit User --candidate BNL --candidate RAL

Answers for the estimates of the paper (Erlingsson, Pihur, Korolova: RAPPOR, CCS 2014, section 4):
counts of bits by cohort, freed of the noise that is expected in them; a lasso that picks
candidates; least squares over these, with standard errors; and a test of each with Bonferroni's
correction. A value that nobody guesses is not found. It knows the column's settings from the
field's metadata.
"""

import argparse
import csv
import hashlib
import math
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Of the normal distribution: 95 % lie within so many deviations.
DEVIATIONS = 1.959964


@dataclass(frozen=True)
class Settings:
    """How a column was made: bits, hashes and cohorts, and the three chances."""

    bits: int
    hashes: int
    cohorts: int
    p: float
    q: float
    f: float

    @classmethod
    def told(cls, field: pa.Field) -> "Settings | None":
        """What the metadata of a field say, if it left by RAPPOR."""
        told = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        names = ["bits", "hashes", "cohorts", "p", "q", "f"]
        if any(f"veilflight.rappor.{name}" not in told for name in names):
            return None
        return cls.of([told[f"veilflight.rappor.{name}"] for name in names])

    @classmethod
    def of(cls, words: Sequence[str]) -> "Settings":
        """Six numbers in the order of the paper's tools: k, h, m, p, q, f."""
        k, h, m, p, q, f = words
        return cls(int(k), int(h), int(m), float(p), float(q), float(f))

    @property
    def unset(self) -> float:
        """The chance that a bit which the value does not set is one."""
        return self.p + self.f / 2 * (self.q - self.p)

    @property
    def gain(self) -> float:
        """By how much that chance is greater for a bit that the value sets."""
        return (1 - self.f) * (self.q - self.p)

    def places(self, value: str, cohort: int) -> list[int]:
        """The bits that a value sets in a cohort, by the order of hashes."""
        digest = hashlib.md5(struct.pack(">L", cohort) + value.encode()).digest()
        return [byte % self.bits for byte in digest[: self.hashes]]


@dataclass(frozen=True)
class Reports:
    """What left: the cohort of each report, its bits from the first on, and whose it is."""

    cohorts: np.ndarray
    bytes: np.ndarray
    units: np.ndarray

    @classmethod
    def of(cls, table: pa.Table, column: str, unit: str | None = None) -> "Reports":
        """The rows that have a value; without a unit each is somebody else's."""
        table = table.filter(pc.is_valid(table[column]))
        reports = table[column].combine_chunks()
        if isinstance(reports, pa.ChunkedArray):
            reports = pa.concat_arrays(reports.chunks)
        cohorts, bits = reports.flatten()
        width = bits.type.byte_width
        whole = np.frombuffer(bits.buffers()[1], np.uint8)
        packed = whole[bits.offset * width :][: len(bits) * width].reshape(-1, width)
        # The last byte holds the first bits.
        packed = packed[:, ::-1]
        units = np.arange(table.num_rows)
        if unit is not None:
            units = table[unit].combine_chunks().dictionary_encode(null_encoding="encode").indices
            units = units.to_numpy(zero_copy_only=False)
        return cls(cohorts.to_numpy(), packed, units)

    def ones(self, rows: np.ndarray) -> np.ndarray:
        """The bits of some reports, one a column."""
        return np.unpackbits(self.bytes[rows], axis=1, bitorder="little")


@dataclass(frozen=True)
class Estimate:
    """How often a value occurs: its share of all reports and half the width of the 95 % interval."""

    value: str
    share: float
    half_width: float
    chance: float
    found: bool


def decode(
    settings: Settings, reports: Reports, candidates: Sequence[str], alpha: float = 0.05
) -> list[Estimate]:
    """Estimates for all candidates, the most frequent first; those not picked have a share of 0."""
    if not candidates:
        return []
    rows_of = [np.flatnonzero(reports.cohorts == at) for at in range(settings.cohorts)]
    rates = np.zeros((settings.cohorts, settings.bits))
    weights = np.zeros_like(rates)
    for cohort, rows in enumerate(rows_of):
        if len(rows):
            counts = reports.ones(rows).sum(axis=0, dtype=np.int64)
            rates[cohort] = counts / len(rows)
            # A little towards the middle, so that a bit that is never one has a deviation too.
            middle = (counts + 1) / (len(rows) + 2)
            weights[cohort] = len(rows) * settings.gain**2 / (middle * (1 - middle))
    # The share of reports whose value sets the bit: the paper's t_ij over the number of reports.
    shares, weight = ((rates - settings.unset) / settings.gain).ravel(), weights.ravel()
    design = designed(settings, candidates)
    picked = lasso(design, shares, weight)
    estimates = {value: Estimate(value, 0.0, math.nan, 1.0, False) for value in candidates}
    if len(picked):
        chosen = design[:, picked]
        weighted = chosen * weight[:, None]
        inverse = np.linalg.pinv(chosen.T @ weighted)
        share = inverse @ (weighted.T @ shares)
        left = shares - chosen @ share
        freedom = max(1, np.count_nonzero(weight) - len(picked))
        # What the candidates do not explain, other values above all, makes all of them less sure.
        spread = max(1.0, float(weight @ left**2) / freedom)
        # Bits of one report, and reports of one unit, are not independent of each other.
        pull = (weighted @ inverse).reshape(settings.cohorts, settings.bits, len(picked))
        whose = np.zeros((int(reports.units.max()) + 1, len(picked)))
        for cohort, rows in enumerate(rows_of):
            if len(rows):
                moved = (reports.ones(rows) - rates[cohort]) @ pull[cohort]
                np.add.at(whose, reports.units[rows], moved / (len(rows) * settings.gain))
        variance = np.maximum(np.diag(inverse) * spread, (whose**2).sum(axis=0))
        for at, share, deviation in zip(picked, share, np.sqrt(variance)):
            chance = math.erfc(share / deviation / math.sqrt(2)) / 2
            found = chance < alpha / len(candidates)
            value = candidates[at]
            estimates[value] = Estimate(value, share, DEVIATIONS * deviation, chance, found)
    return sorted(estimates.values(), key=lambda one: -one.share)


def designed(settings: Settings, candidates: Sequence[str]) -> np.ndarray:
    """Which candidate, a column, sets which bit of which cohort, a row."""
    design = np.zeros((settings.cohorts, settings.bits, len(candidates)))
    for at, value in enumerate(candidates):
        for cohort in range(settings.cohorts):
            design[cohort, settings.places(value, cohort), at] = 1
    return design.reshape(-1, len(candidates))


def lasso(design: np.ndarray, shares: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The candidates that a lasso without negative shares keeps, each against its own noise."""
    weighted = design * weight[:, None]
    gram, toward = design.T @ weighted, weighted.T @ shares
    scale = np.diag(gram)
    penalty = np.sqrt(scale)
    share = np.zeros(len(toward))
    for _ in range(1_000):
        before = share.copy()
        for at in np.flatnonzero(scale > 0):
            rest = toward[at] - gram[at] @ share + scale[at] * share[at]
            share[at] = max(0.0, (rest - penalty[at]) / scale[at])
        if np.abs(share - before).max() < 1e-9:
            break
    return np.flatnonzero(share > 0)


def export(folder: Path, settings: Settings, reports: Reports, candidates: Sequence[str]) -> None:
    """Write params.csv, counts.csv and map.csv as the tools of github.com/google/rappor read them."""
    folder.mkdir(parents=True, exist_ok=True)
    s = settings

    def write(name: str, rows: Sequence[Sequence[object]]) -> None:
        with (folder / name).open("x", newline="") as file:
            csv.writer(file).writerows(rows)

    write("params.csv", [list("khmpqf"), [s.bits, s.hashes, s.cohorts, s.p, s.q, s.f]])
    counts = []
    for cohort in range(s.cohorts):
        rows = np.flatnonzero(reports.cohorts == cohort)
        counts.append([len(rows), *reports.ones(rows).sum(axis=0, dtype=np.int64).tolist()])
    write("counts.csv", counts)
    places = [
        [value, *(c * s.bits + bit + 1 for c in range(s.cohorts) for bit in s.places(value, c))]
        for value in candidates
    ]
    write("map.csv", places)


def plot(path: Path, estimates: Sequence[Estimate], total: int) -> None:
    """A picture of what was found, with the intervals."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        sys.exit("--plot needs matplotlib: `pip install matplotlib`; the table needs nothing more")
    shown = [one for one in estimates if one.found]
    figure = Figure(figsize=(8, 1.5 + 0.3 * len(shown)), layout="constrained")
    axes = figure.subplots()
    counts = [one.share * total for one in shown]
    axes.barh([one.value for one in shown], counts, xerr=[one.half_width * total for one in shown])
    axes.invert_yaxis()
    axes.set_xlabel("reports, with 95 % intervals")
    figure.savefig(path)


def column_of(schema: pa.Schema, named: str | None) -> str:
    """The column to decode: the one named, or the only one that left by RAPPOR."""
    made = [field.name for field in schema if Settings.told(field)]
    if named is None and len(made) != 1:
        sys.exit(f"say which one with --column; by RAPPOR left {', '.join(made) or 'none'}")
    if named is not None and named not in schema.names:
        sys.exit(f"there is no column `{named}`; there are {', '.join(schema.names)}")
    return named or made[0]


def read(arguments: argparse.Namespace) -> pa.Table:
    """The reports, from the server or from a file."""
    if arguments.parquet:
        return pq.read_table(arguments.parquet)
    if not arguments.uri or not arguments.sql:
        sys.exit("say where reports are: --uri and --sql, or --parquet")
    from access import Access
    from pyarrow_sql import query

    return query(Access.of(arguments), arguments.sql)


def guesses(arguments: argparse.Namespace) -> list[str]:
    """The candidates, each once, in the order in which they were given."""
    lines = list(arguments.candidate)
    if arguments.candidates:
        lines += Path(arguments.candidates).read_text().splitlines()
    found = list(dict.fromkeys(line for line in lines if line))
    return found or sys.exit("name values to look for: --candidates FILE or --candidate VALUE")


def main() -> None:
    """Print a table of the candidates."""
    from access import Access

    parser = Access.parser(__doc__, server=False)
    add = parser.add_argument
    add("--sql", help='a statement with the column, such as SELECT "Site" FROM jobs')
    add("--parquet", help="a file with the column, instead of a server")
    add("--column", help="the column to decode; needed where several left by RAPPOR")
    add("--unit", help="a column that tells persons apart (a pseudonym), where they have many rows")
    add("--candidates", help="a file of values to look for, one a line")
    add("--candidate", action="append", default=[], help="a value to look for")
    add("--alpha", type=float, default=0.05, help="the chance to find anything that is not there")
    add("--settings", help="k,h,m,p,q,f, where the schema does not say them")
    add("--plot", help="write a picture (PNG, SVG) with error bars; needs matplotlib")
    add("--export", help="a folder for params.csv, counts.csv and map.csv of google/rappor's tools")
    arguments = parser.parse_args()
    table, candidates = read(arguments), guesses(arguments)
    column = column_of(table.schema, arguments.column)
    settings = Settings.told(table.schema.field(column))
    if arguments.settings:
        settings = Settings.of(arguments.settings.split(","))
    if settings is None:
        sys.exit(f"the schema does not say how `{column}` was made: --settings k,h,m,p,q,f")
    reports = Reports.of(table, column, arguments.unit)
    estimates = decode(settings, reports, candidates, arguments.alpha)
    total = len(reports.cohorts)
    print(f"{total:,} reports of {column}, {len(candidates):,} candidates")
    if not arguments.unit:
        print("rows are taken to be of different persons; where they are not, name them: --unit")
    print(f"{'value':30} {'estimate':>10} {'95 %':>11} {'share':>8} {'p':>9}")
    for one in estimates:
        if one.found:
            count, width = round(one.share * total), round(one.half_width * total)
            print(f"{one.value:30} {count:>10,} +-{width:>9,} {one.share:>8.2%} {one.chance:>9.2g}")
    missing = [one.value for one in estimates if not one.found]
    print(f"not found: {', '.join(missing) or 'none'}")
    if arguments.plot:
        plot(Path(arguments.plot), estimates, total)
    if arguments.export:
        export(Path(arguments.export), settings, reports, candidates)


if __name__ == "__main__":
    main()
