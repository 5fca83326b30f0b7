"""Files that are cut, replaced, changed or gone.

Each is a fixed sentence for the partner and a story for the operator, and all else goes on.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from custodian import Custodian
from partner import Partner
from support import client_of, refused
from tables import jobs, write_jobs, write_policy

from audit import until

ROWS = 5_000


def cut(path: Path) -> None:
    """Lose the second half, footer and all."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path: Path) -> None:
    """Keep length and footer, and lose the data."""
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])


def not_parquet(path: Path) -> None:
    """Put something else there."""
    path.write_text("ClusterId,ProcId\n1,2\n")


def another_column(path: Path) -> None:
    """Add a column that the policy does not know."""
    pq.write_table(jobs(ROWS).append_column("Salary", pa.array(range(ROWS))), path)


def lost_column(path: Path) -> None:
    """Lose a column that the policy names."""
    pq.write_table(jobs(ROWS).drop_columns(["User"]), path)


def other_type(path: Path) -> None:
    """Hold times as text, which cannot be truncated."""
    table = jobs(ROWS)
    place = table.schema.get_field_index("Queued")
    pq.write_table(table.set_column(place, "Queued", table["Queued"].cast(pa.string())), path)


def look_again() -> None:
    """Wait until the server looks at files again, which it does once a second."""
    time.sleep(1.2)


BAD = {
    cut: "S001",
    garble: "S001",
    not_parquet: "S001",
    Path.unlink: "S001",
    another_column: "D003",
    lost_column: "D003",
    other_type: "D003",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_bad_file_is_told_by_a_code_and_leaves_other_datasets_alone(
    alone: Custodian, spoil: Callable[[Path], None]
) -> None:
    for dataset in ("bad", "good"):
        write_jobs(alone.home / dataset / "a.parquet", ROWS)
        write_policy(alone.policies, dataset, f"../{dataset}/a.parquet")
    path = alone.home / "bad" / "a.parquet"
    spoil(path)
    with alone.serve() as server:
        cern = client_of(alone, server, "cern")
        told = refused(lambda: cern.pull("bad"))
        assert told.code == BAD[spoil]
        assert "a.parquet" not in told.everything
        assert "a.parquet" in server.said() or "User" in server.said() or "Queued" in server.said()
        assert cern.pull("good").table.num_rows == ROWS
        with cern.connect() as client:
            listed = [info.descriptor.path[0] for info in client.list_flights(options=cern.options)]
        assert b"good" in listed
        write_jobs(path, ROWS)
        look_again()
        assert cern.pull("bad").table.num_rows == ROWS, "a repaired file is served again"


def test_a_ticket_of_replaced_data_is_stale(alone: Custodian) -> None:
    path = alone.home / "jobs" / "a.parquet"
    write_jobs(path, ROWS)
    write_policy(alone.policies, "jobs", "../jobs")
    with alone.serve() as server:
        cern = client_of(alone, server, "cern")
        ticket = cern.info("jobs").endpoints[0].ticket
        write_jobs(path, ROWS // 2)
        assert refused(lambda: cern.shard(ticket)).code == "T004"
        look_again()
        assert cern.pull("jobs").table.num_rows == ROWS // 2


def test_a_file_that_shrinks_under_a_stream_ends_the_stream(alone: Custodian) -> None:
    path = alone.home / "jobs" / "a.parquet"
    write_jobs(path, 1_000_000, 100_000)
    write_policy(alone.policies, "jobs", "../jobs")
    with alone.serve("--shards-max", "1") as server:
        cern = client_of(alone, server, "cern")
        with cern.connect() as client:
            ticket = cern.info("jobs").endpoints[0].ticket
            reader = client.do_get(ticket, cern.options)
            reader.read_chunk()
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size // 8)
            told = refused(reader.read_all)
        assert told.code in ("S001", "T004")
        assert server.process.poll() is None
        write_jobs(path, ROWS)
        look_again()
        assert cern.pull("jobs").table.num_rows == ROWS


def test_a_policy_that_changes_takes_effect_and_a_broken_one_does_not(alone: Custodian) -> None:
    write_jobs(alone.home / "jobs" / "a.parquet", ROWS)
    policy = write_policy(alone.policies, "jobs", "../jobs")
    good = policy.read_text()
    with alone.serve("--reload-seconds", "1") as server:
        cern = client_of(alone, server, "cern")
        ticket = cern.info("jobs").endpoints[0].ticket
        policy.write_text(good.replace("truncate: hour", "truncate: hower"))
        until(lambda: "a policy is refused" in server.said())
        assert cern.shard(ticket).num_rows > 0, "the old policy stays in force"
        policy.write_text(
            good.replace("  Queued:  {class: quasi, truncate: hour}", "  Queued: drop")
        )
        until(lambda: "Queued" not in cern.info("jobs").schema.names)
        assert refused(lambda: cern.shard(ticket)).code == "T004"
        policy.write_text(good.replace("  - {partner: cern, access: rows}\n", ""))
        until(lambda: cern_is_out(cern))


def test_a_policy_that_does_not_fit_its_data_is_told_before_anybody_asks(alone: Custodian) -> None:
    write_jobs(alone.home / "jobs" / "a.parquet", ROWS)
    policy = write_policy(alone.policies, "jobs", "../jobs")
    good = policy.read_text()
    policy.write_text(good.replace("  Queued:", "  Queud:"))
    with alone.serve("--reload-seconds", "1") as server:
        until(lambda: "its data cannot be served as they are" in server.said())
        assert "`Queued` without a rule" in server.said()
        policy.write_text(good)
        until(lambda: "a policy takes effect" in server.said())
        assert client_of(alone, server, "cern").pull("jobs").table.num_rows == ROWS
        assert server.said().count("its data cannot be served as they are") == 1


def cern_is_out(partner: Partner) -> bool:
    """Whether the partner no longer sees anything."""
    with partner.connect() as client:
        return not list(client.list_flights(options=partner.options))
