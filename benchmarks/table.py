"""Printing measurements as a small table."""

from __future__ import annotations

from collections.abc import Sequence


def print_table(title: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Rows of what, figure, and what it is compared with."""
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    print(f"\n{title}", flush=True)
    for what, figure, note in rows:
        print(f"  {what:<{widths[0]}}  {figure:>{widths[1]}}  {note}".rstrip(), flush=True)


def verdict(value: float, limit: float, *, at_most: bool) -> str:
    """How a figure stands to the one to reach."""
    reached = value <= limit if at_most else value >= limit
    return f"{'at most' if at_most else 'at least'} {limit:g}: {'reached' if reached else 'NOT reached'}"
