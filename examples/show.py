"""Rows as text: aligned columns, long values cut. Answers for what the demo prints of tables."""

from collections.abc import Mapping, Sequence

WIDTH = 34


def cell(value: object) -> str:
    """A value in at most `WIDTH` characters."""
    text = "null" if value is None else str(value)
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def beside(names: Sequence[str], rows: Mapping[str, Mapping[str, object]]) -> list[str]:
    """One line a column, one row beside the other; what a row does not have is `-`."""
    table = [["column", *rows]]
    for name in names:
        cells = [cell(row[name]) if name in row else "-" for row in rows.values()]
        table.append([name, *cells])
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths)) for line in table]
    return [
        lines[0].rstrip(),
        "  ".join("-" * width for width in widths),
        *map(str.rstrip, lines[1:]),
    ]
