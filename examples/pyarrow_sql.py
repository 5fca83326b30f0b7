"""Ask in SQL with pyarrow.flight alone, and pull the answer's endpoints in parallel.

A descriptor's command may be the statement itself. Clients of Flight SQL wrap it in a message; pyarrow
has no such messages, and needs none here.
"""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice

import pyarrow as pa
import pyarrow.flight as flight
from access import Access

SQL = """\
SELECT "Site", "User", "RequestMemory", "CumulativeSlotTime"
FROM "htcondor_jobs" WHERE "RequestMemory" >= 4000"""


def query(access: Access, sql: str, at_once: int = 8) -> pa.Table:
    """The answer to a statement, with so many endpoints at a time."""
    with access.pyarrow() as client, ThreadPoolExecutor(at_once) as pool:
        info = client.get_flight_info(command(sql), access.options)

        def pull(endpoint: flight.FlightEndpoint) -> pa.Table:
            return client.do_get(endpoint.ticket, access.options).read_all()

        return pa.concat_tables([info.schema.empty_table(), *pool.map(pull, info.endpoints)])


def batches(access: Access, sql: str, at_once: int = 8) -> Iterator[pa.RecordBatch]:
    """The answer batch by batch as they come, which is in no order; few are held at a time."""
    with access.pyarrow() as client, ThreadPoolExecutor(at_once) as pool:

        def stream(endpoint: flight.FlightEndpoint) -> Iterator[pa.RecordBatch]:
            reader = client.do_get(endpoint.ticket, access.options)
            try:
                yield from (chunk.data for chunk in reader if chunk.data is not None)
            finally:
                reader.cancel()

        info = client.get_flight_info(command(sql), access.options)
        streams = map(stream, info.endpoints)
        reading = {pool.submit(next, one, None): one for one in islice(streams, at_once)}
        try:
            while reading:
                for done in wait(reading, return_when=FIRST_COMPLETED).done:
                    one, batch = reading.pop(done), done.result()
                    if following := one if batch is not None else next(streams, None):
                        reading[pool.submit(next, following, None)] = following
                    if batch is not None:
                        yield batch
        finally:
            wait(reading)
            for one in reading.values():
                one.close()


def command(sql: str) -> flight.FlightDescriptor:
    """How a statement is named."""
    return flight.FlightDescriptor.for_command(sql.encode())


def main() -> None:
    """Print the answer, and what was done to each of its columns."""
    parser = Access.parser(__doc__)
    parser.add_argument("--sql", default=SQL)
    arguments = parser.parse_args()
    table = query(Access.of(arguments), arguments.sql)
    for field in table.schema:
        protection = (field.metadata or {}).get(b"veilflight.protection", b"computed").decode()
        print(f"{field.name:20} {field.type!s:15} {protection}")
    print(f"{table.num_rows:,} rows; the first:")
    for row in table.slice(0, 3).to_pylist():
        print(" ", *row.values())


if __name__ == "__main__":
    main()
