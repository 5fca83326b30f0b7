"""What is done to values without a key: times, numbers, texts, hierarchy files."""

import csv
import datetime
import math
import re
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa

EPOCH = datetime.date(1970, 1, 1)


def counts_a_day(kind: pa.DataType) -> int:
    """How many counts a day of a date or time type has."""
    if pa.types.is_date32(kind):
        return 1
    if pa.types.is_date64(kind):
        return 86_400_000
    return 86_400 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]


def truncated(count: int, unit: str, a_day: int) -> int:
    """The start of the period that a time lies in, UTC."""
    step = {"minute": a_day // 1_440, "hour": a_day // 24}.get(unit, a_day)
    if unit in ("minute", "hour", "day"):
        return count // step * step
    day = EPOCH + datetime.timedelta(days=count // a_day)
    first = {
        "week": lambda: day - datetime.timedelta(days=day.weekday()),
        "month": lambda: day.replace(day=1),
        "quarter": lambda: day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
        "year": lambda: day.replace(month=1, day=1),
    }[unit]()
    return (first - EPOCH).days * a_day


def age_band(count: int, args: dict[str, Any], a_day: int) -> str | None:
    """The band of ages on a stated day."""
    born, day = EPOCH + datetime.timedelta(days=count // a_day), args["as_of"]
    age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    top, width = args.get("top", 90), args.get("width", 10)
    if age < 0:
        return None
    if age >= top:
        return f"{top}+"
    lower = age // width * width
    upper = min(lower + width, top) - 1
    return str(lower) if lower == upper else f"{lower}-{upper}"


def written(number: float) -> str:
    """A number as people write it."""
    return str(int(number)) if float(number).is_integer() else repr(number)


def interval(value: float, args: dict[str, Any]) -> tuple[int, float | None, float | None]:
    """The place of the interval a number lies in, and its ends."""
    if "width" in args:
        width, origin = Decimal(str(args["width"])), Decimal(str(args.get("origin", 0)))
        index = (Decimal(repr(value)) - origin) // width
        if Decimal(repr(value)) < origin + index * width:  # `//` of decimals rounds towards zero
            index -= 1
        kind = type(value)
        return 0, kind(origin + index * width), kind(origin + (index + 1) * width)
    edges = args["edges"]
    place = sum(1 for edge in edges if edge <= value)
    return place, edges[place - 1] if place else None, edges[place] if place < len(edges) else None


def bucket(value: float, args: dict[str, Any]) -> str | float | None:
    """The interval as text, its midpoint or its lower end."""
    place, lower, upper = interval(value, args)
    told = args.get("as", "label")
    if told == "lower":
        return lower
    if told == "midpoint":
        ends = [float(end) for end in (lower, upper) if end is not None]
        return sum(end / len(ends) for end in ends)
    if "labels" in args:
        return args["labels"][place]
    if lower is None:
        return f"<{written(upper)}"
    return f">={written(lower)}" if upper is None else f"[{written(lower)}, {written(upper)})"


def rounded(value: float, args: dict[str, Any]) -> float:
    """The nearest multiple, halves away from zero."""
    if "decimals" in args:
        step = Decimal(1).scaleb(-args["decimals"])
    else:
        step = Decimal(str(args["to"]))
    if isinstance(value, float):
        # The product is a float's, as any program that multiplies floats has it.
        times = round(1 / float(step))
        if times >= 1 and abs(times * float(step) - 1) < 1e-12:
            product = Decimal(value * times).quantize(Decimal(1), ROUND_HALF_UP)
            return float(product) / times + 0.0
        return float(Decimal(value / float(step)).quantize(Decimal(1), ROUND_HALF_UP)) * float(step)
    return int((Decimal(value) / step).quantize(Decimal(1), ROUND_HALF_UP) * step)


def masked(value: str, args: dict[str, Any]) -> str:
    """The ends of a text, the rest covered."""
    first, last, cover = args.get("first", 0), args.get("last", 0), args.get("with", "*")
    fixed = args.get("fixed_length", 8) if args.get("length", "fixed") == "fixed" else None
    if len(value) <= first + last:
        return cover * (len(value) if fixed is None else fixed + first + last)
    covered = fixed if fixed is not None else len(value) - first - last
    return value[:first] + cover * covered + value[len(value) - last :]


def nearest(value: float, decimals: int) -> float:
    """A float with so many digits after the point."""
    power = 10.0**decimals
    return float(Decimal(value * power).quantize(Decimal(1), ROUND_HALF_UP)) / power + 0.0


def grid(value: float, args: dict[str, Any]) -> float | None:
    """The centre of a coordinate's grid cell; the Earth is a sphere of 6,371,008.8 metres."""
    most = 90.0 if args["axis"] == "latitude" else 180.0
    if math.isnan(value) or abs(value) > most:
        return None
    cell = args.get("degrees")
    if cell is None:
        shrink = 1.0 if most == 90.0 else math.cos(math.radians(args["at_latitude"]))
        cell = min(nearest(args["metres"] / (6_371_008.8 * math.pi / 180.0 * shrink), 9), 2 * most)
    cells = math.ceil(2.0 * most / cell)
    index = min(math.floor((value + most) / cell), cells - 1)
    lower = float(index * Fraction(cell) - Fraction(most))
    return nearest((lower + min(lower + cell, most)) / 2.0, 7)


def replaced(value: str, args: dict[str, Any]) -> str | None:
    """What a pattern finds, rewritten; null where it finds nothing."""
    if not re.search(args["pattern"], value):
        return value if args.get("unmatched") == "dangerous_keep" else None
    with_groups = re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", args["with"])
    return re.sub(args["pattern"], with_groups, value)


class Hierarchy:
    """One level of a file."""

    def __init__(self, folder: Path, args: dict[str, Any]) -> None:
        with open(folder / args["file"], newline="") as file:
            lines = csv.reader(file, delimiter=args.get("delimiter", ";"))
            self.levels = {line[0]: line[args["level"]] for line in lines}
        self.other = args.get("other", "*")

    def of(self, value: Any) -> str | None:
        """What the file says of a value."""
        found = self.levels.get(str(value))
        return found if found is not None or self.other == "null" else self.other
