"""Query an answer in DuckDB while it arrives, join it with a local table, and keep it in a file.

DuckDB reads Arrow streams by the name of a Python variable. A stream is read once: what is needed twice
is stored first. What DuckDB filters, it filters here; what the server shall filter goes into the
statement.
"""

from pathlib import Path

import duckdb
import pyarrow as pa
from access import Access

SQL = 'SELECT "User", "Site", "CumulativeSlotTime" FROM "htcondor_jobs"'
PLACES = pa.table(
    {
        "Site": ["FermiGrid", "BNL", "Liverpool", "NIKHEF", "IN2P3"],
        "Country": ["US", "US", "UK", "NL", "FR"],
    }
)


def store(access: Access, sql: str, database: duckdb.DuckDBPyConnection, table: str) -> int:
    """Put an answer into a table, batch by batch, and return how many rows it has."""
    with access.adbc() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        with cursor.fetch_record_batch() as stream:
            database.register("stream", stream)
            database.execute(f'CREATE OR REPLACE TABLE "{table}" AS SELECT * FROM stream')
            database.unregister("stream")
    return database.execute(f'SELECT count(*) FROM "{table}"').fetchall()[0][0]


def main() -> None:
    """Query a stream, store one, join it."""
    parser = Access.parser(__doc__)
    parser.add_argument("--file", type=Path, default=Path("jobs.duckdb"), help="the DuckDB file")
    arguments = parser.parse_args()
    access = Access.of(arguments)

    with access.adbc() as connection, connection.cursor() as cursor:
        cursor.execute(SQL)
        with cursor.fetch_record_batch() as stream, duckdb.connect() as memory:
            memory.register("stream", stream)
            users = memory.execute('SELECT count(DISTINCT "User") FROM stream').fetchall()
            print(f"{users[0][0]} users, counted while the answer arrived")

    with duckdb.connect(arguments.file) as database:
        rows = store(access, SQL, database, "jobs")
        print(f"{rows:,} rows are in {arguments.file}")
        database.register("places", PLACES)
        joined = database.execute("""
            SELECT "Country", count(*) AS jobs, sum("CumulativeSlotTime") / 3600 AS hours
            FROM jobs JOIN places USING ("Site") GROUP BY "Country" ORDER BY jobs DESC""")
        for country, jobs, hours in joined.fetchall():
            print(f"{country}: {jobs:,} jobs, {hours:,.0f} hours")


if __name__ == "__main__":
    main()
