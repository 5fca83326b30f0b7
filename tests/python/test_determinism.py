"""The same policy, data and keys give the same bytes; a token once given stays."""

import contextlib
import hashlib
import signal
import threading
import time

import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
import pytest
from custodian import Custodian
from partner import Partner
from support import client_of
from tables import write_jobs, write_policy

from audit import until

ROWS = 30_000
TEAMS = 300_000


def digests(table: pa.Table) -> list[str]:
    """The digest of each batch's bytes as they travel."""
    return [hashlib.sha256(batch.serialize()).hexdigest() for batch in table.to_batches()]


def one_by_one(partner: Partner, dataset: str) -> pa.Table:
    """Pull the endpoints one after the other."""
    return pa.concat_tables(partner.shard(end.ticket) for end in partner.info(dataset).endpoints)


def test_threads_and_restarts_do_not_change_a_byte(alone: Custodian) -> None:
    write_jobs(alone.home / "jobs" / "a.parquet", ROWS)
    write_policy(alone.policies, "jobs", "../jobs")
    seen = []
    for threads in (1, 8):
        with alone.serve() as server:
            cern = client_of(alone, server, "cern")
            seen.append(digests(one_by_one(cern, "jobs")))
            seen.append(digests(cern.pull("jobs", threads).table))
    assert len(seen[0]) > 1
    assert all(other == seen[0] for other in seen[1:])


def test_another_installation_with_the_same_key_sends_the_same_bytes(
    alone: Custodian, tmp_path_factory: pytest.TempPathFactory
) -> None:
    twin = Custodian(tmp_path_factory.mktemp("twin"))
    twin.init()
    twin.key.write_bytes(alone.key.read_bytes())
    twin.certify()
    twin.enrol("cern")
    seen = []
    for custodian in (alone, twin):
        write_jobs(custodian.home / "jobs" / "a.parquet", ROWS)
        write_policy(custodian.policies, "jobs", "../jobs")
        with custodian.serve() as server:
            seen.append(digests(client_of(custodian, server, "cern").pull("jobs").table))
    assert seen[0] == seen[1]


def test_no_token_is_given_twice_when_the_server_is_killed(alone: Custodian) -> None:
    path = alone.home / "teams" / "a.parquet"
    path.parent.mkdir()
    teams = [f"team{i}" for i in range(TEAMS)]
    pq.write_table(pa.table({"Team": teams}), path, row_group_size=TEAMS // 10)
    alone.policies.joinpath("teams.yaml").write_text(
        'version: 1\ndataset: teams\nsource: {parquet: "../teams"}\n'
        "columns: {Team: {pseudonym: {method: token, prefix: T}}}\n"
        "grants: [{partner: cern, access: rows}]\n"
    )
    before: dict[str, str] = {}
    for seconds in (0.05, 0.2, 0.5, None):
        with alone.serve() as server:
            cern = client_of(alone, server, "cern")
            got: list[pa.Table] = []
            puller = threading.Thread(target=pull_what_comes, args=(cern, got))
            puller.start()
            # While tokens are being given out, and last of all in the midst of sending them.
            if seconds is None:
                until(lambda: bool(got))
            else:
                time.sleep(seconds)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            puller.join(300)
            assert not puller.is_alive()
        # The first shards came whole, so their rows stand where those of the file stand.
        for place, token in enumerate(
            token for shard in got for token in shard["Team"].to_pylist()
        ):
            assert before.setdefault(teams[place], token) == token
    assert before
    with alone.serve() as server:
        after = one_by_one(client_of(alone, server, "cern"), "teams")["Team"].to_pylist()
    assert len(set(after)) == TEAMS
    assert sorted(after, key=lambda token: int(token[1:])) == [f"T{i + 1}" for i in range(TEAMS)]
    assert all(after[int(team[4:])] == token for team, token in before.items())
    verified = alone.attempt("audit", "verify", "--state", alone.state)
    assert verified.returncode == 0, verified.stderr


def pull_what_comes(partner: Partner, got: list[pa.Table]) -> None:
    """Pull endpoints in order until the server is gone."""
    with contextlib.suppress(flight.FlightError, pa.ArrowException, OSError):
        for end in partner.info("teams").endpoints:
            got.append(partner.shard(end.ticket))
