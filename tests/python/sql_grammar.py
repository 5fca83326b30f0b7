"""Queries by chance, from a seed: every shape of SELECT over two datasets, with types that fit.

Answers for statements that mean the same everywhere: orders are total where a limit cuts, numbers stay
in range, and floats are eighths, whose sums are exact in any order. Runs nothing.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

EVENTS = {
    "id": "int",
    "person": "text",
    "ip": "text",
    "band": "text",
    "small": "int",
    "big": "int",
    "score": "float",
    "ratio": "float",
    "price": "decimal",
    "word": "text",
    "note": "text",
    "day": "date",
    "hour": "time",
    "stamp": "time",
    "fine": "bool",
    "tags": "texts",
    "marks": "ints",
    "place": "struct",
    '"Mixed Case"': "int",
}
PEOPLE = {"person": "text", "team": "text", "level": "int", "joined": "date", "pay": "decimal"}
# What may be a key, an order or a member of a set.
PLAIN = ["int", "float", "decimal", "text", "date", "time", "bool"]

Columns = list[tuple[str, str]]


@dataclass(frozen=True)
class Generated:
    """A statement, and whether the order of its rows is total."""

    sql: str
    ordered: bool


class Grammar:
    """Makes statements."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.columns: Columns = []

    # Choices ------------------------------------------------------------------------------------

    def pick(self, *options: str) -> str:
        """One of some texts."""
        return self.random.choice(options)

    def number(self, least: int, most: int) -> int:
        """A whole number."""
        return self.random.randint(least, most)

    def chance(self, share: float) -> bool:
        """True in a share of cases."""
        return self.random.random() < share

    def column(self, kind: str) -> str | None:
        """A column in scope of a type."""
        found = [name for name, of in self.columns if of == kind]
        return self.random.choice(found) if found else None

    # Expressions --------------------------------------------------------------------------------

    def value(self, kind: str, depth: int = 2) -> str:
        """An expression of a type."""
        column = self.column(kind)
        if depth == 0 or self.chance(0.3):
            if column and self.chance(0.85):
                return column
            return self.literal(kind)
        return {
            "int": self.an_int,
            "float": self.a_float,
            "decimal": self.a_decimal,
            "text": self.a_text,
            "date": self.a_date,
            "time": self.a_time,
            "bool": self.a_bool,
        }[kind](depth - 1)

    def literal(self, kind: str) -> str:
        """A literal of a type."""
        if self.chance(0.05):
            sql = {
                "int": "BIGINT",
                "float": "DOUBLE",
                "decimal": "DECIMAL(12,2)",
                "text": "VARCHAR",
            }
            more = {"date": "DATE", "time": "TIMESTAMP", "bool": "BOOLEAN"}
            return f"CAST(NULL AS {(sql | more)[kind]})"
        return {
            "int": lambda: str(self.number(-20, 400)),
            "float": lambda: str(self.number(-400, 400) / 8),
            "decimal": lambda: (
                f"CAST('{self.number(-99, 999)}.{self.number(10, 99)}' AS DECIMAL(12,2))"
            ),
            "text": lambda: self.pick(
                "''", "'a'", "'alpha'", "'Ünïcode'", "'no such'", "'[20, 30)'"
            ),
            "date": lambda: f"DATE '2024-0{self.number(1, 9)}-1{self.number(0, 9)}'",
            "time": lambda: f"TIMESTAMP '2024-0{self.number(1, 9)}-11T0{self.number(0, 9)}:30:00'",
            "bool": lambda: self.pick("true", "false"),
        }[kind]()

    def either(self, kind: str, depth: int) -> str:
        """What there is for every type."""
        value = lambda: self.value(kind, depth)
        return self.random.choice(
            [
                lambda: f"coalesce({value()}, {value()})",
                lambda: f"nullif({value()}, {value()})",
                lambda: f"CASE WHEN {self.value('bool', depth)} THEN {value()} ELSE {value()} END",
                lambda: f"CASE WHEN {self.value('bool', depth)} THEN {value()} END",
            ]
        )()

    def an_int(self, depth: int) -> str:
        a, b = self.value("int", depth), self.value("int", depth)
        text, time = self.value("text", depth), self.value("time", depth)
        options = [
            f"({a} + {self.number(1, 90)})",
            f"({self.column('int') or a} - {self.number(1, 90)})",
            f"({self.column('int') or 7} * {self.number(2, 9)})",
            f"abs({a})",
            f"({a} % {self.number(2, 17)})",
            f"({a} / {self.number(2, 17)})",
            f"length({text})",
            f"octet_length({text})",
            f"strpos({text}, 'a')",
            f"extract(year FROM {time})",
            f"date_part('{self.pick('month', 'day', 'hour', 'dow')}', {time})",
            f"CAST({self.value('bool', depth)} AS INT)",
            f"CAST(floor({self.column('float') or '2.5'}) AS BIGINT)",
            f"greatest({a}, {b})",
            f"least({a}, {b})",
            f"-({a})",
            self.either("int", depth),
        ]
        if texts := self.column("texts"):
            options += [f"array_length({texts})", f"cardinality({texts})"]
        if ints := self.column("ints"):
            options += [f"{ints}[{self.number(1, 3)}]", f"array_position({ints}, 3)"]
        if struct := self.column("struct"):
            options += [f"{struct}['code']"] * 2
        return self.random.choice(options)

    def a_float(self, depth: int) -> str:
        a = self.value("float", depth)
        return self.random.choice(
            [
                f"({a} + {self.value('float', depth)})",
                f"({a} - {self.number(-9, 9) / 8})",
                f"({a} * {self.pick('2.0', '0.5', '-4.0')})",
                f"({a} / {self.pick('2.0', '8.0')})",
                f"abs({a})",
                f"sqrt(abs({a}))",
                f"floor({a})",
                f"ceil({a})",
                f"round({a}, 1)",
                f"CAST({self.value('int', depth)} AS DOUBLE)",
                f"power({self.column('float') or a}, 2)",
                f"trunc({a})",
                self.either("float", depth),
            ]
        )

    def a_decimal(self, depth: int) -> str:
        a = self.value("decimal", depth)
        return self.random.choice(
            [
                f"CAST({a} + {self.number(1, 99)} AS DECIMAL(16,2))",
                f"CAST({self.column('decimal') or a} * 2 AS DECIMAL(16,2))",
                f"-({a})",
                f"abs({a})",
                f"CAST({self.column('int') or '5'} AS DECIMAL(18,2))",
                self.either("decimal", depth),
            ]
        )

    def a_text(self, depth: int) -> str:
        a, b = self.value("text", depth), self.value("text", depth)
        options = [
            f"upper({a})",
            f"lower({a})",
            f"substr({a}, {self.number(1, 4)}, {self.number(0, 6)})",
            f"left({a}, {self.number(0, 6)})",
            f"right({a}, {self.number(0, 6)})",
            f"reverse({a})",
            f"concat({a}, '-', {b})",
            f"({a} || {b})",
            f"trim({a})",
            f"replace({a}, 'a', 'oo')",
            f"split_part({a}, 'e', 1)",
            f"initcap({a})",
            f"regexp_replace({a}, '[aeiou]+', '_', 'g')",
            f"CAST({self.value('int', depth)} AS VARCHAR)",
            f"CAST({self.value('date', depth)} AS VARCHAR)",
            f"CAST({self.value('decimal', depth)} AS VARCHAR)",
            self.either("text", depth),
        ]
        if texts := self.column("texts"):
            options += [f"array_to_string({texts}, '+')", f"{texts}[1]"]
        if struct := self.column("struct"):
            options += [f"{struct}['city']"] * 2
        return self.random.choice(options)

    def a_date(self, depth: int) -> str:
        return self.random.choice(
            [
                f"CAST({self.value('time', depth)} AS DATE)",
                f"({self.value('date', depth)} + INTERVAL '{self.number(1, 40)} days')",
                self.either("date", depth),
            ]
        )

    def a_time(self, depth: int) -> str:
        a = self.value("time", depth)
        unit = self.pick("minute", "hour", "day", "week", "month", "quarter", "year")
        return self.random.choice(
            [
                f"date_trunc('{unit}', {a})",
                f"({a} + INTERVAL '{self.number(1, 40)} minutes')",
                f"({a} - INTERVAL '1 month')",
                f"CAST({self.value('date', depth)} AS TIMESTAMP)",
                self.either("time", depth),
            ]
        )

    def a_bool(self, depth: int) -> str:
        kind = self.pick("int", "float", "decimal", "text", "date", "time")
        a, b = self.value(kind, depth), self.value(kind, depth)
        text = self.value("text", depth)
        options = [
            f"({a} {self.pick('=', '<>', '<', '<=', '>', '>=')} {b})",
            f"({a} IS {self.pick('', 'NOT ')}NULL)",
            f"({a} IS {self.pick('', 'NOT ')}DISTINCT FROM {b})",
            f"({a} BETWEEN {self.literal(kind)} AND {self.literal(kind)})",
            f"({a} {self.pick('', 'NOT ')}IN ({self.literal(kind)}, {self.literal(kind)}))",
            f"({text} {self.pick('', 'NOT ')}LIKE '{self.pick('a%', '%e%', '_l%', '%')}')",
            f"({text} ILIKE '%A%')",
            f"starts_with({text}, 'a')",
            f"regexp_like({text}, '^[a-m]')",
            f"(NOT {self.value('bool', depth)})",
            f"({self.value('bool', depth)} AND {self.value('bool', depth)})",
            f"({self.value('bool', depth)} OR {self.value('bool', depth)})",
            f"({self.value('bool', depth)} IS TRUE)",
        ]
        if texts := self.column("texts"):
            options.append(f"array_has({texts}, 'alpha')")
        return self.random.choice(options)

    def aggregate(self, kind: str) -> str:
        """An aggregate of a type."""
        where = f" FILTER (WHERE {self.value('bool', 1)})" if self.chance(0.15) else ""
        if kind == "int":
            inner = self.value(self.pick(*PLAIN), 1)
            core = self.pick(
                "count(*)",
                f"count({inner})",
                f"count(DISTINCT {inner})",
                f"sum({self.column('int') or '1'})",
                f"min({self.value('int', 1)})",
                f"max({self.value('int', 1)})",
            )
        elif kind == "float":
            inner = self.value("float", 1)
            core = self.pick(
                f"sum({self.column('float') or '0.5'})",
                f"avg({self.column('int') or '2'})",
                f"min({inner})",
                f"max({inner})",
            )
        elif kind == "decimal":
            core = f"{self.pick('sum', 'min', 'max')}({self.column('decimal') or self.literal('decimal')})"
        elif kind == "bool":
            core = f"{self.pick('bool_and', 'bool_or')}({self.value('bool', 1)})"
        else:
            core = f"{self.pick('min', 'max')}({self.value(kind, 1)})"
        return core + where

    def window(self) -> str:
        """A window function under a total order."""
        a = self.value(self.pick("int", "text", "decimal", "date"), 1)
        core = self.pick(
            "row_number()",
            "rank()",
            "dense_rank()",
            f"ntile({self.number(2, 5)})",
            f"lag({a})",
            f"lead({a}, {self.number(1, 3)})",
            f"first_value({a})",
            f"last_value({a})",
            "count(*)",
            f"sum({self.column('int')})",
            f"min({a})",
            f"max({a})",
        )
        parts = f"PARTITION BY {self.value(self.pick('text', 'bool', 'date'), 1)} "
        frame = ""
        if core.startswith(("sum", "min", "max", "first", "last", "count")) and self.chance(0.5):
            frame = f" ROWS BETWEEN {self.number(1, 4)} PRECEDING AND CURRENT ROW"
        order = self.value(self.pick("int", "text", "float"), 1)
        parts = parts if self.chance(0.7) else ""
        return f"{core} OVER ({parts}ORDER BY {order}, {self.key}{frame})"

    # Statements ---------------------------------------------------------------------------------

    def scope(self, *tables: tuple[str, dict[str, str]]) -> None:
        """The columns of tables under their aliases."""
        self.columns = [
            (f"{alias}.{name}", kind) for alias, columns in tables for name, kind in columns.items()
        ]
        self.key = f"{tables[0][0]}.{next(iter(tables[0][1]))}"

    def outputs(self, count: int, make: Callable[[], str]) -> str:
        """A list of columns c0, c1, ..."""
        return ", ".join(f"{make()} AS c{i}" for i in range(count))

    def where(self, share: float = 0.7) -> str:
        """Perhaps a condition."""
        return f" WHERE {self.value('bool', 2)}" if self.chance(share) else ""

    def key_of_order(self, kind: str) -> str:
        """An expression to order by: no literal, since a bare number is the place of a column."""
        value = self.value(kind, 1)
        return value if "." in value and not value[-1].isdigit() else self.column(kind) or self.key

    def anything(self) -> str:
        """An expression of any type, nested columns as they are too."""
        nested = self.column(self.pick("texts", "ints", "struct"))
        return nested if nested and self.chance(0.15) else self.value(self.pick(*PLAIN), 3)

    def statement(self) -> Generated:
        """The next statement."""
        shapes = [
            (self.projection, 4),
            (self.cut, 4),
            (self.grouped, 5),
            (self.joined, 4),
            (self.windowed, 3),
            (self.combined, 3),
            (self.with_tables, 3),
            (self.with_subquery, 4),
            (self.distinct, 2),
            (self.rolled_up, 1),
            (self.whole, 1),
        ]
        chosen = self.random.choices([s for s, _ in shapes], [w for _, w in shapes])[0]
        return chosen()

    def whole(self) -> Generated:
        """Every column."""
        self.scope(("e", EVENTS))
        return Generated(f"SELECT * FROM events e{self.where(0.5)}", False)

    def projection(self) -> Generated:
        """Expressions over rows."""
        self.scope(("e", EVENTS))
        columns = self.outputs(self.number(1, 4), self.anything)
        return Generated(f"SELECT {columns} FROM events e{self.where()}", False)

    def cut(self) -> Generated:
        """A total order and a limit."""
        self.scope(("e", EVENTS))
        columns = self.outputs(self.number(1, 3), self.anything)
        kind = self.pick("int", "text", "float", "date", "decimal", "bool")
        way = self.pick("", " DESC", " NULLS FIRST", " DESC NULLS LAST")
        order = f"{self.key_of_order(kind)}{way}, e.id{self.pick('', ' DESC')}"
        limit = f" LIMIT {self.number(0, 60)}" + (
            f" OFFSET {self.number(0, 40)}" if self.chance(0.4) else ""
        )
        return Generated(
            f"SELECT {columns} FROM events e{self.where()} ORDER BY {order}{limit}", True
        )

    def grouped(self) -> Generated:
        """Groups and their aggregates."""
        self.scope(("e", EVENTS))
        keys = [
            self.value(self.pick("text", "int", "date", "bool", "time"), 1)
            for _ in range(self.number(0, 2))
        ]
        made = [self.aggregate(self.pick(*PLAIN)) for _ in range(self.number(1, 3))]
        columns = ", ".join(f"{each} AS c{i}" for i, each in enumerate([*keys, *made]))
        by = f" GROUP BY {', '.join(str(i + 1) for i in range(len(keys)))}" if keys else ""
        having = (
            f" HAVING {self.aggregate('int')} > {self.number(0, 9)}" if self.chance(0.4) else ""
        )
        return Generated(f"SELECT {columns} FROM events e{self.where()}{by}{having}", False)

    def rolled_up(self) -> Generated:
        """Grouping sets."""
        self.scope(("e", EVENTS))
        how = self.pick(
            "ROLLUP (e.band, e.fine)",
            "CUBE (e.band, e.fine)",
            "GROUPING SETS ((e.band), (e.fine), ())",
        )
        made = self.aggregate(self.pick("int", "decimal"))
        sql = f"SELECT e.band AS c0, e.fine AS c1, {made} AS c2 FROM events e{self.where()} GROUP BY {how}"
        return Generated(sql, False)

    def joined(self) -> Generated:
        """Two datasets, or one with itself."""
        if self.chance(0.7):
            right, table = PEOPLE, "people"
            on = self.pick("e.person = p.person", "e.person = p.person AND e.small > p.level")
        else:
            right, table = EVENTS, "events"
            on = self.pick("e.id = p.big", "e.small = p.id", "e.band = p.band AND e.id = p.small")
        self.scope(("e", EVENTS), ("p", right))
        kind = self.pick("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "JOIN")
        source = f"events e {kind} {table} p ON {on}"
        if self.chance(0.4):
            key = self.value(self.pick("text", "date", "bool"), 1)
            made = self.aggregate(self.pick("int", "decimal"))
            return Generated(
                f"SELECT {key} AS c0, {made} AS c1 FROM {source}{self.where(0.4)} GROUP BY 1", False
            )
        columns = self.outputs(self.number(1, 4), lambda: self.value(self.pick(*PLAIN), 2))
        return Generated(f"SELECT {columns} FROM {source}{self.where(0.5)}", False)

    def windowed(self) -> Generated:
        """Window functions."""
        self.scope(("e", EVENTS))
        columns = self.outputs(self.number(1, 2), self.window)
        sql = f"SELECT e.id AS k, {columns} FROM events e{self.where(0.5)}"
        if self.chance(0.4):
            return Generated(
                f"SELECT k, c0 FROM ({sql}) q ORDER BY c0 NULLS LAST, k LIMIT 50", True
            )
        return Generated(sql, False)

    def combined(self) -> Generated:
        """Set operations."""
        kinds = [self.pick(*PLAIN) for _ in range(self.number(1, 3))]

        def side(alias: str, table: str, columns: dict[str, str]) -> str:
            self.scope((alias, columns))
            # Both sides have the same types, so that neither engine has to find a common one.
            casts = {"int": "BIGINT", "decimal": "DECIMAL(18,2)", "time": "TIMESTAMP"}
            values = [
                f"CAST({self.value(kind, 1)} AS {casts[kind]})"
                if kind in casts
                else self.value(kind, 1)
                for kind in kinds
            ]
            columns_sql = ", ".join(f"{value} AS c{i}" for i, value in enumerate(values))
            return f"SELECT {columns_sql} FROM {table} {alias}{self.where(0.6)}"

        left = side("e", "events", EVENTS)
        right = side("p", "people", PEOPLE) if self.chance(0.5) else side("x", "events", EVENTS)
        how = self.pick("UNION ALL", "UNION", "INTERSECT", "EXCEPT")
        return Generated(f"{left} {how} {right}", False)

    def with_tables(self) -> Generated:
        """Common table expressions."""
        self.scope(("e", EVENTS))
        first = f"SELECT e.id AS id, {self.value('text', 2)} AS a, {self.value('int', 2)} AS b FROM events e{self.where(0.5)}"
        self.scope(("f", {"id": "int", "a": "text", "b": "int"}))
        if self.chance(0.5):
            made = self.aggregate("int")
            second = f"SELECT f.a AS a, {made} AS n FROM f GROUP BY f.a"
            sql = f"WITH f AS ({first}), g AS ({second}) SELECT f.id AS c0, g.n AS c1 FROM f JOIN g ON f.a = g.a"
            return Generated(sql, False)
        columns = self.outputs(2, lambda: self.value(self.pick("int", "text"), 2))
        return Generated(f"WITH f AS ({first}) SELECT {columns} FROM f{self.where(0.6)}", False)

    def with_subquery(self) -> Generated:
        """Subqueries: in FROM, as a value, in a condition, correlated."""
        self.scope(("p", PEOPLE))
        inner = self.value("bool", 1)
        total = self.aggregate("int")
        self.scope(("e", EVENTS))
        columns = self.outputs(self.number(1, 2), self.anything)
        condition = self.pick(
            f"e.person IN (SELECT p.person FROM people p WHERE {inner})",
            f"e.person NOT IN (SELECT p.person FROM people p WHERE p.person IS NOT NULL AND {inner})",
            f"EXISTS (SELECT 1 FROM people p WHERE p.person = e.person AND {inner})",
            f"NOT EXISTS (SELECT 1 FROM people p WHERE p.person = e.person AND {inner})",
            f"e.small < (SELECT {total} FROM people p)",
        )
        if self.chance(0.3):
            return Generated(
                f"SELECT {columns}, (SELECT {total} FROM people p) AS z FROM events e{self.where(0.5)}",
                False,
            )
        if self.chance(0.3):
            return Generated(
                "SELECT e.id AS c0, (SELECT count(*) FROM people p WHERE p.person = e.person) AS c1 "
                f"FROM events e{self.where(0.5)}",
                False,
            )
        return Generated(f"SELECT {columns} FROM events e WHERE {condition}", False)

    def distinct(self) -> Generated:
        """Distinct rows."""
        self.scope(("e", EVENTS))
        columns = self.outputs(self.number(1, 2), lambda: self.value(self.pick(*PLAIN), 2))
        return Generated(f"SELECT DISTINCT {columns} FROM events e{self.where()}", False)


def statements(count: int, seed: int) -> list[Generated]:
    """So many statements, each its own."""
    grammar, found = Grammar(seed), {}
    while len(found) < count:
        made = grammar.statement()
        found[made.sql] = made
    return list(found.values())
