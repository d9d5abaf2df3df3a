"""The benchmark's table: each figure, its bar, and whether it holds."""

import operator
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One measured figure against its bar; `holds` is None where no bar is set."""

    what: str
    figure: str
    bar: str
    holds: bool | None


def at_least(what: str, value: float, bar: float, unit: str = "") -> Row:
    return _row(what, value, bar, unit, ">=", operator.ge)


def at_most(what: str, value: float, bar: float, unit: str = "") -> Row:
    return _row(what, value, bar, unit, "<=", operator.le)


def only(what: str, value: float, unit: str = "") -> Row:
    return Row(what, _number(value, unit), "", None)


def _row(what: str, value: float, bar: float, unit: str, sign: str, holds: Callable[[float, float], bool]) -> Row:
    return Row(what, _number(value, unit), f"{sign} {_number(bar, unit)}", holds(value, bar))


def _number(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def show(rows: list[Row]) -> None:
    """Print the table, and say which bars fall short."""
    console = Console(width=120)
    table = Table("what", "figure", "bar", "holds", title="One machine")
    for row in rows:
        table.add_row(row.what, row.figure, row.bar, {True: "yes", False: "NO", None: ""}[row.holds])
    console.print(table)
    short = [row.what for row in rows if row.holds is False]
    console.print("every bar holds" if not short else "fall short: " + "; ".join(short))
