"""The lazy scan for Polars: what is pushed to the server, and that no answer changes by it."""

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import asdict

import polars as pl
import pytest
from access import Access
from custodian import Custodian, Server
from polars_scan import scan_veilflight
from support import PARTNERS, client_of
from things import DAY, NOON, ROWS, TEXTS, access_of, publish, statements

c = pl.col


@pytest.fixture(scope="module")
def server(custodian: Custodian) -> Iterator[Server]:
    """A server with rows that are hard to filter."""
    publish(custodian, "things", PARTNERS)
    with custodian.serve() as server:
        yield server


@pytest.fixture(scope="module")
def access(custodian: Custodian, server: Server) -> Access:
    """A partner's way in."""
    return access_of(custodian, server, PARTNERS[0])


@pytest.fixture(scope="module")
def plain(custodian: Custodian, server: Server) -> pl.DataFrame:
    """What a pull by path gives, in the order of its key."""
    table = client_of(custodian, server, PARTNERS[0]).pull("things").table
    return pl.from_arrow(table).sort("id")


@pytest.fixture
def scan(access: Access) -> pl.LazyFrame:
    """The lazy scan."""
    given = asdict(access)
    return scan_veilflight(given.pop("uri"), "things", **given)


def test_a_scan_is_what_a_pull_by_path_gives(scan: pl.LazyFrame, plain: pl.DataFrame) -> None:
    assert scan.collect_schema() == plain.schema
    assert scan.collect().sort("id").equals(plain)
    assert scan.collect(engine="streaming").sort("id").equals(plain)


EXACT = [
    (c("id") > 5_000, '("id" > 5000)'),
    (5_000 < c("id"), '("id" > 5000)'),
    (c("small") <= -4, '("small" <= -4)'),
    (c("small") != 0, '("small" <> 0)'),
    (~(c("small") == 0), '("small" <> 0)'),
    (c("unsigned") > 2**63, '("unsigned" > 9223372036854775808)'),
    (c("unsigned") < 100, '("unsigned" < 100)'),
    (c("text") == "O'Hara", "(\"text\" = 'O''Hara')"),
    (c("text") == "", "(\"text\" = '')"),
    (c("text") > "a", "(\"text\" > 'a')"),
    (c("text") < "Ünï", "(\"text\" < 'Ünï')"),
    (c("text") == "50%_off", "(\"text\" = '50%_off')"),
    (c("text").str.starts_with("50%_"), "starts_with(\"text\", '50%_')"),
    (c("text").is_in(["a", 'say "no"']), "(\"text\" IN ('a', 'say \"no\"'))"),
    (c("flag"), '"flag"'),
    (~c("flag"), '(NOT "flag")'),
    (c("flag") & (c("small") > 2), '"flag"'),
    (c("flag") | (c("small") > 2), '("flag" OR ("small" > 2))'),
    (c("day") == DAY, "(\"day\" = DATE '2024-02-29')"),
    (c("day").is_in([DAY, DAY + dt.timedelta(days=3)]), "DATE '2024-03-03'"),
    (c("moment") > NOON, "(\"moment\" > TIMESTAMP '2024-02-29 12:00:00.000000')"),
    (c("moment") == NOON + dt.timedelta(microseconds=1), "12:00:00.000001"),
    (c("small").is_between(-2, 2, closed="left"), '(("small" >= -2) AND ("small" < 2))'),
    (c("small").is_in([1, 2, 3]), '("small" IN (1, 2, 3))'),
    (~c("small").is_in([1, 2, 3]), '(NOT ("small" IN (1, 2, 3)))'),
    (c("real").is_null(), '("real" IS NULL)'),
    (c("small").eq_missing(None), '("small" IS NULL)'),
    (c("price").is_not_null(), '("price" IS NOT NULL)'),
]

LOCAL = [
    c("real") > 0.0,
    c("real") == 0.0,
    c("real").is_nan(),
    c("real") >= float("inf"),
    c("small") > 1.5,
    c("small") == c("id"),
    c("small") + 1 > 2,
    c("small").is_in([1, None]),
    c("small").eq_missing(1),
    c("text") == "ab\\c",
    c("text").str.contains("a.?c"),
    c("text").str.to_uppercase() == "AB",
    c("text").is_in([]),
    c("fine") > NOON,
    c("price") > 50,
    c("flag") ^ (c("small") > 2),
    (c("real") > 0.0) | (c("id") < 10),
]


@pytest.mark.parametrize(("predicate", "expected"), EXACT, ids=str)
def test_a_filter_that_sql_understands_goes_to_the_server(
    custodian: Custodian, scan: pl.LazyFrame, plain: pl.DataFrame, predicate: pl.Expr, expected: str
) -> None:
    got = scan.filter(predicate).collect().sort("id")
    assert got.equals(plain.filter(predicate))
    assert 0 < len(got) < ROWS
    _, condition = statements(custodian)[-1].split(" WHERE ")
    assert expected in condition


@pytest.mark.parametrize("predicate", LOCAL, ids=str)
def test_a_filter_that_sql_may_read_otherwise_stays_here(
    custodian: Custodian, scan: pl.LazyFrame, plain: pl.DataFrame, predicate: pl.Expr
) -> None:
    before = len(statements(custodian))
    got = scan.filter(predicate).collect().sort("id")
    assert got.equals(plain.filter(predicate))
    assert not any(" WHERE " in said for said in statements(custodian)[before:])


def test_what_can_be_pushed_is_pushed_and_the_rest_stays_here(
    custodian: Custodian, scan: pl.LazyFrame, plain: pl.DataFrame
) -> None:
    both = (c("real") > 0.0) & (c("id") < 1_000) & (c("text") != "b")
    assert scan.filter(both).collect().sort("id").equals(plain.filter(both))
    condition = statements(custodian)[-1].split(" WHERE ")[1]
    assert '("id" < 1000)' in condition and "(\"text\" <> 'b')" in condition
    assert "real" not in condition


def test_only_the_columns_that_are_needed_are_asked(
    custodian: Custodian, scan: pl.LazyFrame, plain: pl.DataFrame
) -> None:
    wanted = scan.filter(c("small") > 3).select("id", c("text").str.len_chars().alias("length"))
    expected = plain.filter(c("small") > 3).select("id", c("text").str.len_chars().alias("length"))
    assert wanted.collect().sort("id").equals(expected)
    said = statements(custodian)[-1]
    columns = said.removeprefix("SELECT ").split(" FROM ")[0].split(", ")
    assert set(columns) == {'"id"', '"small"', '"text"'}


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_a_number_of_rows_goes_to_the_server(
    custodian: Custodian, scan: pl.LazyFrame, plain: pl.DataFrame, engine: str
) -> None:
    got = scan.select("id", "text").head(7).collect(engine=engine)
    assert len(got) == 7
    assert got.join(plain, on=["id", "text"], how="inner", nulls_equal=True).height == 7
    assert statements(custodian)[-1].endswith(" LIMIT 7")


def test_a_number_before_a_filter_and_after_it_are_two_things(
    custodian: Custodian, scan: pl.LazyFrame, plain: pl.DataFrame
) -> None:
    after = scan.filter(c("id") >= 5_990).head(20).collect()
    assert sorted(after["id"]) == list(range(5_990, ROWS))
    before = scan.head(20).filter(c("small") > 3).collect()
    assert " LIMIT 20" in statements(custodian)[-1]
    assert len(before) < 20 and (before["small"] > 3).all()
    assert before.join(plain, on="id").height == len(before)


def test_generated_filters_give_what_polars_gives_over_a_plain_pull(
    scan: pl.LazyFrame, plain: pl.DataFrame
) -> None:
    rng = random.Random(20_261_121)

    def leaf() -> pl.Expr:
        column = rng.choice(["id", "small", "real", "text", "flag", "day", "moment"])
        if rng.random() < 0.15:
            return rng.choice([c(column).is_null(), c(column).is_not_null()])
        value = {
            "id": lambda: rng.randrange(ROWS),
            "small": lambda: rng.randint(-6, 6),
            "real": lambda: rng.choice([0.0, -0.0, 1.5, -2.5, float("nan")]),
            "text": lambda: rng.choice(TEXTS),
            "flag": lambda: rng.random() < 0.5,
            "day": lambda: DAY + dt.timedelta(days=rng.randint(-5, 5)),
            "moment": lambda: NOON + dt.timedelta(microseconds=rng.randint(-3, 3)),
        }[column]
        if rng.random() < 0.2:
            return c(column).is_in([value() for _ in range(rng.randint(1, 4))])
        compare = rng.choice(["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"])
        return getattr(c(column), compare)(pl.lit(value()))

    def tree(depth: int) -> pl.Expr:
        if depth == 0 or rng.random() < 0.2:
            return leaf()
        choice = rng.random()
        if choice < 0.25:
            return ~tree(depth - 1)
        left, right = tree(depth - 1), tree(depth - 1)
        return left & right if choice < 0.65 else left | right

    for _ in range(80):
        predicate = tree(3)
        got = scan.filter(predicate).select("id").collect().sort("id")
        assert got.equals(plain.filter(predicate).select("id")), str(predicate)


def test_a_dataset_that_is_not_there_is_an_error(access: Access) -> None:
    given = asdict(access)
    with pytest.raises(Exception, match="not|no "):
        scan_veilflight(given.pop("uri"), "nothing", **given)
