"""Ask in SQL with pyarrow.flight alone, and pull the answer's endpoints in parallel.

A descriptor's command may be the statement itself. Clients of Flight SQL wrap it in a message; pyarrow
has no such messages, and needs none here.
"""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.flight as flight
from access import Access

SQL = """\
SELECT "Site", "User", "RequestMemory", "CumulativeSlotTime"
FROM "htcondor_jobs" WHERE "RequestMemory" >= 4000"""


def query(access: Access, sql: str, threads: int = 8) -> pa.Table:
    """The answer to a statement, with `threads` endpoints at a time."""
    with access.pyarrow() as client, ThreadPoolExecutor(threads) as pool:
        descriptor = flight.FlightDescriptor.for_command(sql.encode())
        info = client.get_flight_info(descriptor, access.options)

        def pull(endpoint: flight.FlightEndpoint) -> pa.Table:
            return client.do_get(endpoint.ticket, access.options).read_all()

        # An answer without rows still has an endpoint, or at least this schema.
        return pa.concat_tables([info.schema.empty_table(), *pool.map(pull, info.endpoints)])


def main() -> None:
    """Print the answer, and what was done to each of its columns."""
    parser = Access.parser(__doc__)
    parser.add_argument("--sql", default=SQL)
    arguments = parser.parse_args()
    table = query(Access.of(arguments), arguments.sql)
    for field in table.schema:
        protection = (field.metadata or {}).get(b"veilflight.protection", b"computed").decode()
        print(f"{field.name:20} {str(field.type):15} {protection}")
    print(f"{table.num_rows:,} rows; the first:")
    for row in table.slice(0, 3).to_pylist():
        print(" ", *row.values())


if __name__ == "__main__":
    main()
