"""A release measured by others: what its manifest says of the file, pyCANON finds in the export.

pyCANON pins other versions of numpy and pandas than the clients have, so it lives in an
environment of its own (`make test` makes it).
"""

import json
import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from custodian import PROJECT, Custodian

QUASI = ["sex", "age", "race", "marital-status", "education", "native-country", "workclass"]

POLICY = """\
version: 1
dataset: adult
description: One row per person of the 1994 census extract
source:
  delimited:
    paths: "{data}"
    delimiter: ";"
    header: true
    columns: {{sex: text, age: integer, race: text, marital-status: text, education: text,
      native-country: text, workclass: text, occupation: text, salary-class: text}}
columns:
  sex: {{class: quasi, keep}}
  age: {{class: quasi, keep}}
  race: {{class: quasi, keep}}
  marital-status: {{class: quasi, keep}}
  education: {{class: quasi, keep}}
  native-country: {{class: quasi, keep}}
  workclass: {{class: quasi, keep}}
  occupation: {{class: sensitive, keep}}
  salary-class: {{class: sensitive, keep}}
release:
  quasi_identifiers:
    - sex
    - {{column: age, intervals: {{from: 0, widths: [5, 10, 20]}}}}
    - race
    - marital-status
    - {{column: education, hierarchy: {education}}}
    - {{column: native-country, hierarchy: {country}}}
    - workclass
  method: {method}
  suppress_max: 0.1
  k_anonymity: {{k: 5}}
  l_diversity: {{column: occupation, l: 3}}
grants:
  - {{partner: cern, access: rows}}
"""


@pytest.fixture(scope="module")
def peer() -> Path:
    """The Python of the environment that has pyCANON."""
    named = os.environ.get("VEILFLIGHT_PEERS")
    python = Path(named) if named else PROJECT / ".venv-peers" / "bin" / "python"
    if not python.is_file():
        message = f"pyCANON is not there (`{python}`); `make test` makes its environment"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return python


@pytest.mark.parametrize("method", ["lattice", "mondrian"])
def test_what_the_manifest_says_pycanon_finds(
    custodian: Custodian, shared: Path, peer: Path, method: str
) -> None:
    adult = shared / "data" / "adult"
    hierarchies = PROJECT / "policies" / "hierarchies"
    policy = POLICY.format(
        data=adult / "adult.csv",
        education=hierarchies / "education.csv",
        country=hierarchies / "country.csv",
        method=method,
    ).replace("dataset: adult", f"dataset: adult_{method}")
    (custodian.policies / f"adult_{method}.yaml").write_text(policy)
    at = ["--policies", custodian.policies, "--state", custodian.state]
    dataset = f"adult_{method}"
    manifest = json.loads(custodian.run("release", "build", dataset, "--json", *at))
    out = custodian.home / f"{dataset}.parquet"
    custodian.run("export", dataset, "--partner", "cern", "--to", "parquet", "--out", out, *at)
    assert pq.read_metadata(out).num_rows == manifest["rows"]["released"]
    found = {}
    for column in ("occupation", "salary-class"):
        command = [peer, PROJECT / "tests/python/peer_measure.py", out, ",".join(QUASI), column]
        done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=600)
        found[column] = json.loads(done.stdout)
    theirs = found["occupation"]
    assert theirs["rows"] == manifest["rows"]["released"]
    assert theirs["k"] == manifest["rows"]["smallest"] >= 5
    ours = {guarantee["model"]: guarantee["achieved"] for guarantee in manifest["guarantees"]}
    assert ours["k"] == theirs["k"]
    assert ours["distinct l of occupation"] == theirs["l"] >= 3
    # What is told of the file that is served, by the same measure, agrees as well.
    risk = custodian.home / f"{dataset}.json"
    custodian.run("risk", dataset, "--json", risk, *at)
    after = json.loads(risk.read_text())["after"]
    assert after["rows"] == theirs["rows"]
    assert after["prosecutor"]["highest"] == pytest.approx(1 / theirs["k"])
