"""Scan a dataset lazily in Polars: the server sends the columns, the rows and the number that are needed.

`scan_veilflight` gives a LazyFrame. A part of a filter goes to the server only where SQL means exactly
the same by it: comparisons of whole numbers, texts, booleans, dates and timestamps without a zone with
values, `is_in`, `is_between`, `is_null`, and, or, not. Floating-point numbers do not: whether -0.0
equals 0.0, and where NaN stands, is another matter in SQL. Polars applies the whole filter again to what
arrives, so what is pushed saves rows and decides nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from access import Access
from polars.io.plugins import register_io_source
from polars_predicate import identifier, where
from pyarrow_sql import batches, command


def scan_veilflight(
    uri: str,
    dataset: str,
    *,
    token: str | None = None,
    ca: str | Path | None = None,
    cert: str | Path | None = None,
    key: str | Path | None = None,
) -> pl.LazyFrame:
    """A dataset as a LazyFrame; rows come in no particular order."""
    access = Access(uri, token, ca, cert, key)
    with access.pyarrow() as client:
        everything = command(f"SELECT * FROM {identifier(dataset)}")
        fields = client.get_schema(everything, access.options).schema
    schema = pl.from_arrow(fields.empty_table()).schema

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        sql = statement(dataset, schema, columns, predicate, rows)
        for batch in batches(access, sql):
            frame = pl.from_arrow(batch)
            yield frame if predicate is None else frame.filter(predicate)

    return register_io_source(source, schema=schema, validate_schema=True)


def statement(
    dataset: str,
    schema: pl.Schema,
    columns: list[str] | None,
    predicate: pl.Expr | None,
    rows: int | None,
) -> str:
    """What the server is asked."""
    sql = f"SELECT {', '.join(map(identifier, columns or schema))} FROM {identifier(dataset)}"
    if rows is not None:
        # Polars limits a scan before it filters it: with a limit there is no WHERE.
        return f"{sql} LIMIT {rows}"
    condition = where(predicate, schema) if predicate is not None else None
    return f"{sql} WHERE {condition}" if condition else sql


def main() -> None:
    """Print how often the largest jobs ran where."""
    arguments = Access.parser(__doc__).parse_args()
    access = Access.of(arguments)
    jobs = scan_veilflight(
        access.uri,
        "htcondor_jobs",
        token=access.token,
        ca=access.ca,
        cert=access.cert,
        key=access.key,
    )
    print(f"{len(jobs.collect_schema())} columns")
    large = pl.col("RequestMemory").is_in([8_000, 16_000]) & (pl.col("Site") != "FermiGrid")
    print(jobs.filter(large).group_by("Site").len().sort("len", "Site", descending=True).collect())
    print(jobs.select("User", "Site").head(3).collect())


if __name__ == "__main__":
    main()
