"""Tables in a terminal: the forms that all of them have."""

from collections.abc import Collection, Iterable, Sequence

from rich import box
from rich.table import Table as Grid
from rich.text import Text

NARROW = (0, 1, 0, 0)
"""Padding with no room left of a column."""


def headed(*, padding: tuple[int, ...] = (0, 1), leading: int = 0) -> Grid:
    """A table without columns yet, with a line below their names."""
    return Grid(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        header_style="bold",
        padding=padding,  # type: ignore[arg-type]
        leading=leading,
    )


def named(rows: Iterable[tuple[str, str]], between: int = 2, *, fold: bool = False) -> Grid:
    """Names and what is said of each, with so much room between them; `fold` breaks long words rather than cut them."""
    grid = Grid.grid(padding=(0, between))
    for name, text in rows:
        grid.add_row(Text(name, style="bold"), Text(text, overflow="fold" if fold else None))
    return grid


def grouped(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    texts: Collection[int],
    by: int,
    padding: tuple[int, ...] = (0, 1),
) -> Grid:
    """A table of unbroken cells, a line between rows that differ in their first `by`; columns `texts` to the left."""
    grid = headed(padding=padding)
    for place, heading in enumerate(headings):
        grid.add_column(heading, justify="left" if place in texts else "right", no_wrap=True)
    before = None
    for row in rows:
        if before not in (None, row[:by]):
            grid.add_section()
        grid.add_row(*row)
        before = row[:by]
    return grid
