"""Ask in SQL with ADBC, as any program that speaks Python's DB-API can.

Shows the catalogue, a whole answer, an answer as a stream, bound parameters, and endpoints that are
pulled one by one, each by a thread (or a machine) of its own.
"""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from access import Access

BY_SITE = """\
SELECT "Site", count(*) AS jobs, sum("CumulativeSlotTime") / 3600 AS hours
FROM "htcondor_jobs" GROUP BY "Site" ORDER BY jobs DESC LIMIT 5"""
LARGE = 'SELECT "User", "RequestMemory" FROM "htcondor_jobs" WHERE "RequestMemory" >= ?'
ALL = 'SELECT "ClusterId", "ProcId", "Site" FROM "htcondor_jobs"'


def in_parallel(access: Access, sql: str, threads: int = 8) -> pa.Table:
    """Every partition of an answer, each through a connection of its own."""
    with access.adbc() as connection, connection.cursor() as cursor:
        partitions, _ = cursor.adbc_execute_partitions(sql)

    def pull(partition: bytes) -> pa.Table:
        # A partition is bytes: it can as well be sent to another machine.
        with access.adbc() as connection, connection.cursor() as cursor:
            cursor.adbc_read_partition(partition)
            return cursor.fetch_arrow_table()

    with ThreadPoolExecutor(threads) as pool:
        return pa.concat_tables(pool.map(pull, partitions))


def main() -> None:
    """Print what each way gives."""
    access = Access.of(Access.parser(__doc__).parse_args())
    with access.adbc() as connection, connection.cursor() as cursor:
        for catalog in connection.adbc_get_objects(depth="tables").read_all().to_pylist():
            for schema in catalog["catalog_db_schemas"] or []:
                tables = [table["table_name"] for table in schema["db_schema_tables"] or []]
                print("tables of", catalog["catalog_name"], schema["db_schema_name"], tables)

        cursor.execute(BY_SITE)
        for row in cursor.fetchall():
            print("site, jobs, hours:", *row)

        cursor.execute(LARGE, parameters=(16_000,))
        print("over 16 GB:", cursor.fetch_arrow_table().num_rows, "jobs")

        cursor.execute(ALL)
        with cursor.fetch_record_batch() as stream:
            sizes = [batch.num_rows for batch in stream]
        print(f"as a stream: {sum(sizes):,} rows in {len(sizes)} batches")
    print(f"in parallel: {in_parallel(access, ALL).num_rows:,} rows")


if __name__ == "__main__":
    main()
