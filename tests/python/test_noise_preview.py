"""What is known of noise beforehand, over real data; and the picture of noisy counts.

The estimates are compared with what the rows say, which the server does not look at for them.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.flight as flight
import pyarrow.parquet as pq
from custodian import PROJECT, Custodian, pointed_at
from driver import ask, connected
from support import client_of

SCRIPT = PROJECT / "examples" / "noisy_counts.py"
PER_TEST = 'SELECT "test", count(*) AS n, avg("value") AS mean FROM lab_values GROUP BY "test"'
ROWS_MAX, GROUPS_MAX = 30, 6


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

        with connected(alone, server) as connection:
            answer = ask(connection, PER_TEST).to_pylist()
    assert sorted(row["test"] for row in answer) == sorted(kept)
    for row in answer:
        # Five half-widths at 95 %: past with a chance of 20^-5 each.
        assert abs(row["n"] - kept[row["test"]]) <= 5 * row["n_hw95"], row
        assert 0 <= row["mean"] <= 250


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
    # Of ten intervals of 95 % four or fewer hold once in 360,000 times; so do three times ten once in 120,000.
    assert min(held) > 4, printed


def test_the_picture_of_adult_counts_its_persons(tmp_path: Path, shared: Path) -> None:
    adult = shared / "data" / "adult" / "adult.csv"
    printed, picture = plotted(tmp_path, "--adult", adult, "--by", "education")
    exact, held = look(printed, picture)
    assert len(exact) == 16 and sum(exact.values()) == 30_162
    # Of 16 intervals nine or fewer hold once in 167,000 times; so do three times 16 once in 55,000.
    assert min(held) > 9, printed


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
