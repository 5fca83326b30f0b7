"""Read an answer into Polars, over ADBC: `read_database` takes an ADBC connection as it is."""

import polars as pl
from access import Access

SQL = """\
SELECT "Experiment", count(*) AS jobs, avg("CumulativeSlotTime") / 3600 AS hours
FROM "htcondor_jobs" WHERE "Site" = $1 GROUP BY "Experiment" ORDER BY jobs DESC"""


def frame(access: Access, sql: str, parameters: list[object] | None = None) -> pl.DataFrame:
    """A statement's answer as a data frame."""
    options = {"parameters": parameters} if parameters else {}
    with access.adbc() as connection:
        return pl.read_database(sql, connection, execute_options=options)


def main() -> None:
    """Print the answer for one site, which is a bound parameter."""
    parser = Access.parser(__doc__)
    parser.add_argument("--site", default="FermiGrid")
    arguments = parser.parse_args()
    print(frame(Access.of(arguments), SQL, [arguments.site]))


if __name__ == "__main__":
    main()
