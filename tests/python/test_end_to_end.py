"""From a scheduler's dump to what leaves, as a stranger would do it: with the program alone.

Ingest, a proposed policy, check, explain, serve, pulls, SQL, files, verify, reports, mappings. The users,
groups, accounts, hosts, numbers and folders that must not leave are read from the dump by this file, and
looked for in all that came out: batches, files, reports, what was said in errors, the server's log and the
audit log. The last tests show that it would be seen.

Some people are called as the program's own words are: `grace`, `field`, `data`. What stands at the same place
when nobody is called so is no find; a dump of invented people tells.
"""

import csv
import functools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import support
from custodian import Custodian
from driver import ask, connected
from driver import refused as sql_refused

# What the dumps of sacct without a header hold, as their owner says.
FIELDS = (
    "jobid jobidraw cluster partition qos account group gid user uid submit eligible start end elapsed "
    "exitcode state nnodes ncpus reqcpus reqmem reqtres alloctres timelimit nodelist jobname"
).split()
FORMATS = ["parquet", "csv", "jsonl", "arrow"]
REPORTS = [
    *("users ips correlations summary failed-users commands ragged vectors efficiency".split()),
]
# Says nothing about anybody, wherever it stands.
NOTHING = {"", "none", "none assigned", "unknown", "undefined", "default", "null", "(null)"}
FOLDERS = {"home", "scratch", "work", "projects", "usr", "bin", "tmp"}
WORD = re.compile(r"[^\W_]+")
# Columns of numbers in which a number of a user or group is no chance.
NUMBERED = {"uid", "gid", "user", "group", "cancelledby", "owner", "account"}


# ------------------------------------------------------------------------------ who is in a dump


@dataclass
class Names:
    """What must not leave: words and texts, and numbers of users and groups."""

    texts: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)

    def add(self, *texts: str) -> None:
        """Add texts that name somebody or something."""
        for text in texts:
            text = text.strip()
            if text.lower() not in NOTHING:
                (self.numbers if text.isdigit() else self.texts).add(text)

    def add_path(self, path: str) -> None:
        """Add the folders of a path, but for those that every machine has."""
        parts = [part for part in re.split(r"[/\\]+", path) if not part.startswith("$")]
        self.add(*(part for part in parts if part.lower() not in FOLDERS))


def hosts(text: str) -> list[str]:
    """The hosts of a node list: `cpn-f13-03-[01-02],login1`."""
    found: list[str] = []
    for part in re.findall(r"[^,\[]+(?:\[[^\]]*\][^,\[]*)*", text):
        head, bracket, rest = part.partition("[")
        if not bracket:
            found.append(head)
            continue
        spans, _, tail = rest.partition("]")
        for span in spans.split(","):
            first, _, last = span.partition("-")
            numbers = range(int(first), int(last or first) + 1)
            found += [head + str(number).zfill(len(first)) + tail for number in numbers]
    return found


def of_sacct(text: str, fields: list[str] | None = None) -> Names:
    """Who is in the text of `sacct --parsable2`."""
    names = Names()
    lines = text.splitlines()
    fields = fields or lines.pop(0).lower().split("|")
    for line in lines:
        row = dict(zip(fields, line.split("|"), strict=True))
        names.add(row["user"], row["group"], row["account"], row.get("uid", ""), row.get("gid", ""))
        if told := re.search(r"by (\S+)", row["state"]):
            names.add(told[1])
        if row["nodelist"].lower() not in NOTHING:
            names.add(*hosts(row["nodelist"]))
        names.add_path(row.get("workdir", ""))
        names.add(*re.findall(r"[\w.]+@[\w.]+", row.get("submitline", "")))
    return names


def of_condor(text: str) -> Names:
    """Who is in the table of `condor_history -af:ht`."""
    names = Names()
    for row in csv.DictReader(text.splitlines(), delimiter="\t"):
        names.add(row["Owner"], row["AcctGroup"], row["AccountingGroup"])
        names.add(row["LastRemoteHost"].partition("@")[2])
    return names


def of_pbs(text: str) -> Names:
    """Who is in an accounting log of PBS."""
    names = Names()
    names.add(*re.findall(r"\b(?:user|group|project|account)=([^;\s]+)", text))
    names.add(*re.findall(r"([\w.-]+)/\d", " ".join(re.findall(r"exec_host=(\S+?);", text))))
    return names


def of_lsf(text: str) -> Names:
    """Who is in what `bhist -l` prints."""
    names = Names()
    text = re.sub(r"\n {10,}", "", text)
    names.add(*re.findall(r"\b(?:User|Project|from host|Dispatched to|Execution Hosts:) <([^>]+)>", text))
    names.add(*re.findall(r"User Group: (\S+)", text))
    for path in re.findall(r"CWD <([^>]*)>", text):
        names.add_path(path)
    return names


def of_uge(text: str) -> Names:
    """Who is in what `qacct -j` prints."""
    names = Names()
    names.add(*re.findall(r"^(?:owner|group|project|account|hostname) +(\S+)", text, re.MULTILINE))
    return names


def of_eagle(text: str) -> Names:
    """Who is in a table of jobs."""
    names = Names()
    for row in csv.DictReader(text.splitlines()):
        names.add(row["user"], row["account"])
        names.add_path(row["work_dir"])
    return names


# ---------------------------------------------------------------------------- looking for them


@functools.cache
def words_of(each: str) -> frozenset[str]:
    """The words of what is sought, which is sought in hundreds of columns."""
    return frozenset(WORD.findall(each))


def found(text: str, sought: set[str]) -> set[str]:
    """What of it stands in a text, letters and digits on neither side."""
    words = set(WORD.findall(text))
    likely = [each for each in sought if words_of(each) <= words]

    def stands(each: str) -> bool:
        before = r"(?<![^\W_])" if re.match(r"[^\W_]", each) else ""
        after = r"(?![^\W_])" if re.search(r"[^\W_]$", each) else ""
        return re.search(before + re.escape(each) + after, text) is not None

    return {each for each in likely if stands(each)}


def leaves(column: pa.ChunkedArray) -> Iterator[str]:
    """Every value of a column as text, those of lists and structs one by one."""

    def walk(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(key)
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)
        elif value is not None:
            yield str(value)

    for value in column.to_pylist():
        yield from walk(value)


def in_table(table: pa.Table, names: Names) -> set[str]:
    """Who stands in a table, its names and its metadata."""
    schema = table.schema
    metadata = [schema.metadata, *(field.metadata for field in schema)]
    told = [str(part) for pairs in metadata for pair in (pairs or {}).items() for part in pair]
    seen = found("\n".join(told + schema.names), names.texts)
    for name, column in zip(table.column_names, table.columns, strict=True):
        text = "\n".join(leaves(column))
        seen |= found(text, names.texts)
        number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        if not number or name.lower() in NUMBERED:
            seen |= found(text, names.numbers)
    return seen


def in_file(path: Path, names: Names) -> set[str]:
    """Who stands in a file, as its readers see it and as bytes."""
    raw = path.read_bytes()
    # In packed bytes a short word stands by chance.
    seen = found(raw.decode("latin-1"), {each for each in names.texts if len(each) >= 5})
    match path.suffix:
        case ".parquet":
            return seen | in_table(pq.read_table(path), names)
        case ".arrow":
            return seen | in_table(feather.read_table(path), names)
        case ".csv":
            header, *rows = list(csv.reader(raw.decode().splitlines()))
            columns = {name: [row[at] or None for row in rows] for at, name in enumerate(header)}
            return seen | in_table(typed(columns), names)
        case ".jsonl":
            # A line of the ragged report is a list of pairs.
            lines = [dict(json.loads(line)) for line in raw.splitlines()]
            keys = dict.fromkeys(key for line in lines for key in line)
            columns = {key: [line.get(key) for line in lines] for key in keys}
            return seen | in_table(typed(columns), names)
        case _:
            return seen | found(raw.decode(), names.texts | names.numbers)


def typed(columns: dict[str, list]) -> pa.Table:
    """Columns of texts and values; a column of numbers alone is one of numbers."""
    arrays = {}
    for name, values in columns.items():
        texts = [None if value is None else str(value) for value in values]
        numbers = all(text is None or re.fullmatch(r"-?\d+(\.\d+)?", text) for text in texts)
        nested = [json.dumps(v) if isinstance(v, list | dict) else t for v, t in zip(values, texts)]
        arrays[name] = pa.array(nested).cast(pa.float64()) if numbers else pa.array(nested)
        if numbers and name.lower() in NUMBERED:
            arrays[name] = pa.array([None if t is None else t.removesuffix(".0") for t in texts])
    return pa.table(arrays)


def in_log(text: str, names: Names) -> set[str]:
    """Who stands in a log: times, ports and counts are numbers of their own."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z?", "", text)
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    text = re.sub(r"(127\.0\.0\.1|\[::1\]|localhost):\d+", "", text)
    text = re.sub(r"\"?\b(rows|bytes|sequence|number|time|micros|millis|seconds)\"?\s*[=:]\s*\d+", "", text)
    return found(text, names.texts | names.numbers)


# -------------------------------------------------------------------------------- the dumps


@dataclass(frozen=True)
class Dump:
    """One dump: its format, where it is, who is in it, and what its owner says of its columns."""

    name: str
    kind: str
    path: str
    names: Callable[[str], Names]
    fields: tuple[str, ...] = ()
    person: str = "User"
    group: str = "Group"


def of_phillips(text: str) -> Names:
    """Who is in a dump without a header."""
    return of_sacct(text, FIELDS)


PHILLIPS = Dump("phillips", "slurm", "phillips.log", of_phillips, tuple(FIELDS))
DUMPS = [
    PHILLIPS,
    Dump("pozidriv", "slurm", "pozidriv.log", of_phillips, tuple(FIELDS)),
    Dump("sacct", "slurm", "fixtures/slurm/sacct_parsable2.txt", of_sacct),
    Dump("condor", "condor", "fixtures/htcondor/condor_history.txt", of_condor, (), "Owner", "AcctGroup"),
    Dump("pbs", "pbs", "fixtures/pbs/20240115", of_pbs, (), "user", "group"),
    Dump("lsf", "lsf", "fixtures/lsf/bhist_l.txt", of_lsf, (), "user", "project"),
    Dump("lsf9", "lsf", "fixtures/lsf/bhist_l_9x.txt", of_lsf, (), "user", "project"),
    Dump("uge", "uge", "fixtures/uge/qacct.txt", of_uge, (), "owner", "group"),
    Dump("eagle", "csv", "sample_eagle_data.csv", of_eagle, (), "user", "account"),
]


@dataclass
class Scene:
    """A stranger's machine with a dump that was brought in, and a policy that was proposed and accepted."""

    dump: Dump
    names: Names
    custodian: Custodian
    policy: Path
    said: list[str] = field(default_factory=list)

    @property
    def places(self) -> list[str | Path]:
        """Where keys and policies are."""
        return ["--state", self.custodian.state, "--policies", self.custodian.policies]

    @property
    def dataset(self) -> list[str]:
        """The dataset, for the partner."""
        return ["--dataset", "jobs", "--partner", "cern"]

    def run(self, *words: str | Path, code: int = 0) -> str:
        """Run the program; what it says is remembered as what others may see."""
        done = self.custodian.attempt(*words)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        self.said += [done.stdout, done.stderr]
        return done.stdout

    def export(self, kind: str, out: Path, name: str = "jobs") -> Path:
        """Write the dataset, or a view of it, to a file."""
        self.run("export", name, "--partner", "cern", "--to", kind, "--out", out, *self.places)
        return out


def bring_in(home: Path, dump: Dump, path: Path, edits: dict[str, str] | None = None) -> Scene:
    """Ingest a dump and accept the policy that is proposed, after changing rules of some columns."""
    # Under a key that is the same in every run: a name of five letters stands in packed bytes by chance once in
    # thousands of keys.
    custodian = support.furnished(home, ["cern"])
    policy = custodian.policies / "jobs.yaml"
    scene = Scene(dump, dump.names(path.read_text()), custodian, policy)
    fields = ["--fields", ",".join(dump.fields)] if dump.fields else []
    scene.run("ingest", dump.kind, path, "--out", home / "jobs", *fields)
    propose = ["--dataset", "jobs", "--partner", "cern", "--out", policy]
    scene.run("policy", "init", home / "jobs", *propose)
    text = policy.read_text()
    for column, rule in (edits or {}).items():
        text, count = re.subn(rf"^  {column}: .*$", f"  {column}: {rule}", text, flags=re.MULTILINE)
        assert count == 1, column
    # A view is written by hand, under the grants that were proposed.
    sql = f'SELECT "{dump.person}" AS who, count(*) AS n FROM jobs GROUP BY 1'
    view = f"views:\n  - name: heads\n    sql: '{sql}'\n\ngrants:"
    policy.write_text(text.replace("\ngrants:", f"\n{view}"))
    scene.run("policy", "check", custodian.policies, "--data")
    scene.run("policy", "explain", policy, "--partner", "cern")
    return scene


def taken_in(scene: Scene) -> None:
    """Tokens of an older script: two groups keep the number that they have there."""
    first, second = sorted(scene.names.texts & raw_values(scene, scene.dump.group))[:2]
    prefix = re.search(rf"^  {scene.dump.group}: .*prefix: (\w+_)", scene.policy.read_text(), re.MULTILINE)
    assert prefix, "the proposed policy has no tokens for groups"
    mapping = scene.custodian.home / "mapping.txt"
    lines = ["GROUP MAPPINGS:", f"{prefix[1]}A       -> {first}", f"{prefix[1]}B       -> {second}"]
    mapping.write_text("\n".join(lines) + "\n")
    of = [*scene.dataset, "--column", scene.dump.group, "--reason", "tokens of the old script stay"]
    scene.run("mapping", "import", mapping, *of, *scene.places)
    # The way back is for the custodian's eyes alone: what is told here is not part of what leaves.
    told = scene.custodian.run("mapping", "lookup", f"{prefix[1]}A", *of, *scene.places)
    assert first in told


def raw_values(scene: Scene, column: str) -> set[str]:
    """The distinct raw values of a column, as they were brought in."""
    tables = [pq.read_table(path) for path in (scene.custodian.home / "jobs").glob("*.parquet")]
    return {value for table in tables for value in table[column].to_pylist() if value}


def pulled(scene: Scene) -> list[pa.Table]:
    """All that a partner pulls, by Flight and by Flight SQL, and what they are told of what fails."""
    custodian, person = scene.custodian, scene.dump.person
    # Whatever the server tells who runs it.
    with custodian.serve("--log", "debug") as server:
        client = support.client_of(custodian, server, "cern")
        tables = [client.pull("jobs").table, client.pull("heads").table]
        with connected(custodian, server) as connection:
            sql = f'SELECT "{person}", count(*) AS n FROM jobs GROUP BY 1 ORDER BY n DESC'
            tables.append(ask(connection, sql))
            for wrong in [
                f'SELECT CAST("{person}" AS BIGINT) FROM jobs',
                "SELECT nobody FROM jobs",
                f'SELECT "{person}" FROM jbos',
                "SELECT * FROM jobs WHERE",
            ]:
                scene.said.append(sql_refused(lambda: ask(connection, wrong)).text)
        for wrong in ("strict", "nothing"):
            scene.said.append(support.refused(lambda: client.pull(wrong)).everything)
        scene.said.append(repr(client.info("jobs").schema))
    return tables


def made_strict(scene: Scene) -> None:
    """A second dataset over the same rows, with a rule that their values do not fit."""
    text = scene.policy.read_text().replace("dataset: jobs", "dataset: strict")
    text = re.sub(r"^views:.*?(?=^grants:)", "", text, flags=re.MULTILINE | re.DOTALL)
    rule = f"  {scene.dump.person}: {{ip: {{method: crypto_pan, invalid: error}}}}"
    text, count = re.subn(rf"^  {scene.dump.person}: .*$", rule, text, flags=re.MULTILINE)
    assert count == 1
    (scene.custodian.policies / "strict.yaml").write_text(text)


@dataclass
class Outcome:
    """All that came out of one scene, by what it is."""

    tables: dict[str, pa.Table]
    files: dict[str, Path]
    logs: dict[str, str]

    def who(self, names: Names) -> dict[str, set[str]]:
        """Who stands where."""
        seen = {place: in_table(table, names) for place, table in self.tables.items()}
        seen |= {place: in_file(path, names) for place, path in self.files.items()}
        seen |= {place: in_log(text, names) for place, text in self.logs.items()}
        return {place: who for place, who in seen.items() if who}


def everything(scene: Scene) -> Outcome:
    """Do all that is to be done with a dump."""
    custodian, home = scene.custodian, scene.custodian.home
    taken_in(scene)
    made_strict(scene)
    tables = {f"pull {at}": table for at, table in enumerate(pulled(scene))}
    assert all(table.num_rows > 0 for table in tables.values())
    files: dict[str, Path] = {}
    for kind in FORMATS:
        files[kind] = scene.export(kind, home / f"out.{kind}")
        files[f"view {kind}"] = scene.export(kind, home / f"heads.{kind}", "heads")
    for path in files.values():
        verdict = json.loads(scene.run("verify", path, "--json", *scene.places))
        assert verdict["verdict"] == "clean" and verdict["identifiers"] > 0, verdict
        assert set(verdict["differs"].values()) == {None}, verdict
    for at, name in enumerate(["parquet", "view parquet"]):
        assert pq.read_metadata(files[name]).num_rows == tables[f"pull {at}"].num_rows
    for report in REPORTS:
        folder = home / "reports" / report
        scene.run("report", report, *scene.dataset, "--out", folder, *scene.places)
        made = {f"{report} {path.name}": path for path in folder.rglob("*") if path.is_file()}
        assert made, report
        files |= made
    # What goes wrong on the custodian's machine is told without a value, too.
    wrong = ["--to", "csv", "--out", home / "x.csv", *scene.places]
    scene.run("export", "strict", "--partner", "cern", *wrong, code=1)
    scene.run("export", "jobs", "--partner", "desy", *wrong, code=2)
    log = custodian.run("audit", "export", "--state", custodian.state)
    assert log.count("\n") > 20 and "mapping" in log
    custodian.run("audit", "verify", "--state", custodian.state)
    logs = {
        "what was said": "\n".join(scene.said),
        "the server's log": (home / "server.log").read_text(),
        "the audit log": log,
        "audit show": custodian.run("audit", "show", "--state", custodian.state),
    }
    return Outcome(tables, files, logs)


@pytest.fixture(scope="module")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """All that comes out of a dump of invented people: the program's own words."""
    home = tmp_path_factory.mktemp("nobody")
    path = home / "nobody.log"
    with path.open("w") as file:
        for at in range(60):
            person, group = f"qqperson{at % 7}", f"qqgroup{at % 3}"
            job, uid, gid = 900_000 + at, 700_001 + at % 7, 800_001 + at % 3
            state = f"CANCELLED by {uid}" if at % 5 == 0 else "COMPLETED"
            moment = f"2026-01-{1 + at % 28:02}T08:00:0"
            row = [job, job, "qqcluster", "qqpart", "qqqos", group, group, gid, person, uid]
            row += [f"{moment}{second}" for second in (0, 1, 2, 9)]
            row += ["00:00:07", "0:0", state, 1, 4, 4, "4Gn", "cpu=4,node=1", "cpu=4,mem=4G,node=1"]
            row += ["1-00:00:00", f"qqnode-{at % 9}", f"{at:064x}"]
            file.write("|".join(map(str, row)) + "\n")
    dump = Dump("nobody", "slurm", path.name, of_phillips, tuple(FIELDS))
    scene = bring_in(home, dump, path)
    outcome = everything(scene)
    assert outcome.who(scene.names) == {}
    return outcome


# How many people of one dump may be called as the program's own words are.
CALLED_SO_MAX = 3


def leaked(outcome: Outcome, names: Names, nobody: Outcome) -> dict[str, set[str]]:
    """Who stands where, unless the same word stands there when nobody is called so."""
    own = nobody.who(names)
    called_so = set().union(*own.values())
    assert len(called_so) <= CALLED_SO_MAX and all(each.isalpha() for each in called_so), called_so
    seen = {place: who - own.get(place, set()) for place, who in outcome.who(names).items()}
    return {place: who for place, who in seen.items() if who}


# ---------------------------------------------------------------------------------- the tests


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.name)
def test_nobody_of_the_dump_stands_in_anything_that_comes_out(
    shared: Path, tmp_path: Path, dump: Dump, nobody: Outcome
) -> None:
    scene = bring_in(tmp_path, dump, shared / "data" / "slurm" / dump.path)
    assert len(scene.names.texts) >= 4, scene.names
    assert leaked(everything(scene), scene.names, nobody) == {}


def told_more(shared: Path, folder: Path) -> tuple[Dump, Path]:
    """The dump of a centre that also keeps working folders and command lines."""
    path = folder / "more.log"
    with path.open("w") as file:
        for line in (shared / "data" / "slurm" / PHILLIPS.path).read_text().splitlines():
            row = dict(zip(FIELDS, line.split("|"), strict=True))
            user, group, host = row["user"], row["group"], hosts(row["nodelist"])[0]
            work = f"/scratch/{group}/{user}/{row['jobname'][:8]}"
            submit = (
                f"sbatch -A {row['account']} --mail-user={user}@ccr.example.edu --chdir={work} -w {host} "
                f"--export=OWNER={row['uid']},SSH_CLIENT=10.7.{int(row['uid']) % 200}.9 run_{user}.sh"
            )
            file.write(f"{line}|{work}|{submit}\n")
    fields = (*FIELDS, "workdir", "submitline")

    def names(text: str) -> Names:
        found = of_sacct(text, list(fields))
        # The folder of a job is a part of its name, which is no word that a column holds.
        found.texts = {each for each in found.texts if not re.fullmatch(r"[0-9a-f]{8}", each)}
        found.numbers = {each for each in found.numbers if not re.fullmatch(r"\d{8}", each)}
        found.add(*re.findall(r"SSH_CLIENT=([\d.]+)", text))
        return found

    return Dump("more", "slurm", path.name, names, fields), path


SCRUB = "{class: text, scrub: {learn_from: [User, UID, Group, Account, NodeList]}}"


def test_nor_in_command_lines_and_folders_that_were_scrubbed(
    shared: Path, tmp_path: Path, nobody: Outcome
) -> None:
    dump, path = told_more(shared, tmp_path)
    scene = bring_in(tmp_path, dump, path, {"WorkDir": SCRUB, "SubmitLine": SCRUB})
    assert any("@" in each for each in scene.names.texts)
    assert leaked(everything(scene), scene.names, nobody) == {}
    verdict = json.loads(scene.run("verify", tmp_path / "out.csv", "--json", *scene.places))
    assert {"WorkDir", "SubmitLine"} <= set(verdict["identifiers_of"])
    # One command line as it was is found by this file, and by the program.
    raw = sorted(raw_values(scene, "SubmitLine"))[0]
    file = tmp_path / "tampered.csv"
    shutil.copy(tmp_path / "out.csv", file)
    with file.open("a") as text:
        text.write(f'"{raw}"\r\n')
    assert found(file.read_text(), scene.names.texts)
    done = scene.custodian.attempt("verify", file, *scene.dataset, *scene.places)
    assert done.returncode == 2, done.stdout
    assert "FOUND" in done.stdout and raw not in done.stdout


@pytest.mark.parametrize("column", ["User", "UID", "GID", "Group", "Account", "NodeList"])
def test_a_column_that_leaves_in_clear_would_be_seen(
    shared: Path, tmp_path: Path, column: str
) -> None:
    path = shared / "data" / "slurm" / PHILLIPS.path
    scene = bring_in(tmp_path, PHILLIPS, path, {column: "{class: identifier, keep}"})
    with scene.custodian.serve() as server:
        table = support.client_of(scene.custodian, server, "cern").pull("jobs").table
    at = FIELDS.index(column.lower())
    values = {line.split("|")[at] for line in path.read_text().splitlines()} - {"None assigned"}
    sought = {host for value in values for host in hosts(value)} if column == "NodeList" else values
    assert len(sought) > 2 and in_table(table, scene.names) >= sought
    for kind in FORMATS:
        out = scene.export(kind, tmp_path / f"out.{kind}")
        assert in_file(out, scene.names) >= sought, kind
    if column == "User":
        folder = tmp_path / "reports"
        scene.run("report", "users", *scene.dataset, "--out", folder, *scene.places)
        for report in folder.iterdir():
            assert in_file(report, scene.names), report


def test_what_is_sought_is_found_between_words_and_in_no_other() -> None:
    names = Names({"ada", "cpn-f11-31", "ada@x.org"}, {"423120"})
    for text, expected in [
        ("user=ada;", {"ada"}),
        ("canada Ada ada2", set()),
        ("/home/ada_2", {"ada"}),
        ("on cpn-f11-31.", {"cpn-f11-31"}),
        ("on cpn-f11-310 xcpn-f11-31", set()),
        ("to ada@x.org", {"ada", "ada@x.org"}),
    ]:
        assert found(text, names.texts) == expected, text
    log = '2026-11-21T10:00:00.423120Z 127.0.0.1:423120 rows=423120 "bytes":423120'
    assert in_log(log, names) == set()
    assert in_log(log + " uid 423120", names) == {"423120"}
    assert hosts("a-[01-03,7]b,c,d[1-2]") == ["a-01b", "a-02b", "a-03b", "a-7b", "c", "d1", "d2"]
