"""What a command prints: data on stdout in the form asked for, remarks and progress on stderr."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import click

from gateway.cli.text import cell, printable

Form = Literal["table", "json", "jsonl"]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Output:
    """Prints rows as a table, as one JSON array, or as JSON lines. JSON is ASCII: nothing in it steers a terminal."""

    form: Form

    def rows(self, rows: Iterable[Row], columns: Sequence[str], *, empty: str = "none") -> None:
        """Print rows; a table shows `columns` alone, JSON everything. `empty` is said on stderr if there is no row."""
        if self.form == "jsonl":
            for row in rows:
                self.line(row)
            return
        listed = list(rows)
        if self.form == "json":
            click.echo(json.dumps(listed, indent=2))
        elif listed:
            _draw(columns, [[cell(row.get(column)) for column in columns] for row in listed])
        else:
            self.note(empty)

    def item(self, item: Row) -> None:
        """Print one thing with all its fields."""
        if self.form == "table":
            _draw((), [[key, cell(value)] for key, value in item.items()])
        else:
            click.echo(json.dumps(item, indent=2 if self.form == "json" else None))

    def line(self, row: Row) -> None:
        """Print one JSON line at once."""
        click.echo(json.dumps(row))
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Say something to the person, not to a program that reads the data."""
        click.echo(printable(text), err=True)

    def follow(self, steps: Iterator[tuple[int, int]], title: str) -> None:
        """Show (done, total) as it grows: a bar on a terminal, lines as JSON lines, else nothing."""
        if self.form == "jsonl":
            for done, total in steps:
                self.line({"progress": {"what": title, "done": done, "total": total}})
        elif sys.stderr.isatty():
            _bar(steps, title)
        else:
            for _ in steps:
                pass


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from gateway.cli.drawing import draw  # noqa: PLC0415 - rich takes 50 ms to import; JSON and --help need none

    draw(columns, rows)


def _bar(steps: Iterator[tuple[int, int]], title: str) -> None:
    from gateway.cli.drawing import bar  # noqa: PLC0415 - as above

    bar(steps, title)
