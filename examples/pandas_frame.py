"""Read an answer into pandas, over ADBC: Arrow's types stay, and nulls stay nulls."""

import pandas as pd
from access import Access

SQL = """\
SELECT "Site", date_trunc('day', "QDate") AS day, "RequestMemory", "CumulativeSlotTime"
FROM "htcondor_jobs" WHERE "CumulativeSlotTime" > 0"""


def frame(access: Access, sql: str) -> pd.DataFrame:
    """A statement's answer as a data frame over Arrow's memory."""
    with access.adbc() as connection:
        return pd.read_sql(sql, connection, dtype_backend="pyarrow")


def main() -> None:
    """Print types, and what pandas then makes of the rows."""
    parser = Access.parser(__doc__)
    parser.add_argument("--sql", default=SQL)
    arguments = parser.parse_args()
    jobs = frame(Access.of(arguments), arguments.sql)
    print(jobs.dtypes.to_string())
    print(f"{len(jobs):,} rows")
    if arguments.sql == SQL:
        hours = jobs.groupby(jobs["day"].dt.month)["CumulativeSlotTime"].sum() / 3600
        print("hours by month:", hours.round(1).to_dict())


if __name__ == "__main__":
    main()
