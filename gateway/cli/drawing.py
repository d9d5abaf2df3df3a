"""Tables and progress bars, by rich. Cells come in escaped; rich's own markup is never read from them."""

import sys
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

# A row is one line however narrow the terminal: an id that is folded into its column cannot be copied, or grepped.
_WIDE = 10_000


def draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout, with a header if there are `columns`."""
    console = Console(file=sys.stdout, width=_WIDE)
    table = Table(box=None, show_header=bool(columns), pad_edge=False, header_style="bold")
    for column in columns or [""] * len(rows[0]):
        table.add_column(Text(column.replace("_", " ")), overflow="fold")
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def bar(steps: Iterator[tuple[int, int]], title: str) -> None:
    """Show (done, total) as a bar on stderr, until the steps end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None)
        for done, total in steps:
            progress.update(task, completed=done, total=total)
