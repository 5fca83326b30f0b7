"""What is known of noise beforehand, over real data; and the picture of noisy counts.

The estimates are compared with what the rows say, which the server does not look at for them.
"""

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
from custodian import PROJECT, Custodian, pointed_at
from driver import ask, connected
from support import client_of

SCRIPT = PROJECT / "examples" / "noisy_counts.py"
PER_TEST = 'SELECT "test", count(*) AS n, avg("value") AS mean FROM lab_values GROUP BY "test"'
ROWS_MAX, LOW, HIGH = 30, 0.0, 250.0
# So many half-widths at 95 % of one Laplace noise are passed with a chance of 20^-7 = 8e-10.
HALF_WIDTHS = 7


def test_the_policy_of_lab_values_has_no_warning_and_tells_what_comes(
    alone: Custodian, shared: Path
) -> None:
    data = shared / "data" / "parquet" / "survival_nafld2.parquet"
    text = pointed_at((PROJECT / "policies" / "lab-values.yaml").read_text(), str(data))
    policy = alone.policies / "lab-values.yaml"
    policy.write_text(text)
    said = alone.run("policy", "check", policy, "--data", "--deny-warnings")
    assert "no errors, no warnings" in said
    assert re.search(r"COUNT\(\*\) by `test` \(6 groups\): off by up to 1078, 1\.6 % of an", said)

    raw = pq.read_table(data, columns=["id", "test", "value"])
    cells = Counter(zip(raw["id"].to_pylist(), raw["test"].to_pylist()))
    kept: Counter[str] = Counter()
    for (_, test), count in cells.items():
        kept[test] += min(count, ROWS_MAX)
    clipped = 1 - sum(kept.values()) / raw.num_rows
    with alone.serve("--noise-tick-ms", "5") as server:
        partner = client_of(alone, server, "cern")

        def cost(sql: str) -> dict[str, object]:
            action = flight.Action("veilflight.privacy_cost", sql.encode())
            with partner.connect() as client:
                [result] = client.do_action(action, partner.options)
            return json.loads(result.body.to_pybytes())["privacy"]

        # By test a bound is a patient's and a test's: the estimate, of patients alone, is below.
        assert cost(PER_TEST)["clipped_expected"]["share_min"] <= clipped < 0.05
        # Without groups it is of patients. No law holds of them exactly: it is too low, and not by far.
        patients = Counter(raw["id"].to_pylist())
        left_out = sum(max(0, rows - ROWS_MAX) for rows in patients.values()) / raw.num_rows
        expected = cost("SELECT count(*) AS n FROM lab_values")["clipped_expected"]["share_min"]
        assert expected < left_out < expected + 0.2, (expected, left_out)

        # As partners ask by default, where small tests may have no mean, and for most of what they have:
        # there the mean of the largest is told within 7, and one that is computed wrongly is seen.
        for option in [{}, {"veilflight-epsilon": "1.5"}]:
            with connected(alone, server, **option) as connection:
                near(ask(connection, PER_TEST).to_pylist(), kept, means_kept(raw))


def means_kept(raw: pa.Table) -> dict[str, tuple[float, float]]:
    """By test: between what the mean of the rows that are kept must be, whichever are chosen."""
    cells: dict[tuple[int, str], list[float]] = defaultdict(list)
    for row in raw.to_pylist():
        cells[row["id"], row["test"]].append(min(max(row["value"], LOW), HIGH))
    least, most, count = Counter[str](), Counter[str](), Counter[str]()
    for (_, test), values in cells.items():
        values.sort()
        least[test] += sum(values[:ROWS_MAX])
        most[test] += sum(values[-ROWS_MAX:])
        count[test] += len(values[:ROWS_MAX])
    # Values are counted in steps of 0.1.
    return {test: (least[test] / n - 0.05, most[test] / n + 0.05) for test, n in count.items()}


def near(
    answer: list[dict[str, float]], kept: dict[str, int], means: dict[str, tuple[float, float]]
) -> None:
    """An answer is within the half-widths that it tells.

    False alarms of both answers together: under 2e-7. A count: 20^-7 each. A mean is off by
    (S - d C) / n, for noises S and C of the sum and the count, the mean's distance d from the
    middle of the bounds and the noisy count n, and its half-width is no less than that of S / n.
    At most (d at a bound) S and d C are of one scale b: a sum is past t b with a chance of
    (1 + t / 2) exp(-t), which is 9.0e-9 for t = 7 ln 20. Clamping brings a mean nearer.
    """
    assert sorted(row["test"] for row in answer) == sorted(kept)
    for row in answer:
        count, (low, high) = kept[row["test"]], means[row["test"]]
        reach = HALF_WIDTHS * row["n_hw95"]
        assert abs(row["n"] - count) <= reach, row
        if row["mean"] is None:
            # No value is missing by the policy's word: the mean is divided by the count of rows itself.
            assert row["n"] <= 0 and count <= reach and row["mean_hw95"] is None, row
            continue
        away = HALF_WIDTHS * row["mean_hw95"]
        assert low - away <= row["mean"] <= high + away and LOW <= row["mean"] <= HIGH, row


def plotted(folder: Path, *more: str | Path) -> tuple[str, bytes]:
    """Run the script to its end; what it printed, and the picture."""
    picture = folder / "counts.png"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--out", picture, *more],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, picture.read_bytes()


def look(printed: str, picture: bytes) -> tuple[dict[str, int], list[int]]:
    """Exact counts by group, and how many intervals hold, by epsilon; the numbers are consistent."""
    assert picture.startswith(b"\x89PNG\r\n") and 10_000 < len(picture) < 200_000
    line = re.compile(r"^(\S.*?) +([\d,]+)((?: +-?[\d,]+ ± [\d,]+ *\*?){3}) *$", re.MULTILINE)
    cell = re.compile(r"(-?[\d,]+) ± ([\d,]+) *(\*?)")
    exact, held = {}, [0, 0, 0]
    for name, count, cells in line.findall(printed):
        exact[name] = int(count.replace(",", ""))
        for at, (noisy, width, star) in enumerate(cell.findall(cells)):
            off = abs(int(noisy.replace(",", "")) - exact[name])
            # Widths are printed rounded.
            assert (off <= int(width.replace(",", "")) + 1) or star, (name, noisy, width)
            held[at] += not star
    told = re.search(r"hold the exact count: (\d+) at .*?, (\d+) at .*?, (\d+) at ", printed)
    assert told and [int(number) for number in told.groups()] == held
    return exact, held


def test_the_picture_of_noisy_counts_is_drawn_and_its_intervals_hold(tmp_path: Path) -> None:
    printed, picture = plotted(tmp_path, "--rows", "20000")
    exact, held = look(printed, picture)
    assert len(exact) == 10 and 100 < sum(exact.values()) <= 500
    # Of ten intervals of 95 % three or fewer hold with a chance of 8.2e-8: false alarms 2.5e-7 of three times ten.
    assert min(held) > 3, printed


def test_the_picture_of_adult_counts_its_persons(tmp_path: Path, shared: Path) -> None:
    adult = shared / "data" / "adult" / "adult.csv"
    printed, picture = plotted(tmp_path, "--adult", adult, "--by", "education")
    exact, held = look(printed, picture)
    assert len(exact) == 16 and sum(exact.values()) == 30_162
    # Of 16 intervals seven or fewer hold with a chance of 1.6e-8: false alarms 4.8e-8 of three times 16.
    assert min(held) > 7, printed


def test_without_matplotlib_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError('matplotlib')\n")
    done = subprocess.run(
        [sys.executable, SCRIPT],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "matplotlib draws the picture and is not installed" in done.stderr


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    table = tmp_path / "adult.csv"
    table.write_text("sex,age\nMale,39\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--adult", table, "--by", "education"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "has no column `education`; it has sex, age" in done.stderr
