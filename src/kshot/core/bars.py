"""Progress of a job that goes through items: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 10.0


@runtime_checkable
class Advance(Protocol):
    """Moves a bar on; from any thread."""

    def __call__(self, items: int = 1, words: str = "") -> None:
        """Count ``items`` more as done; ``words`` (counts of failures, a rate) stand beside."""
        ...


@contextmanager
def bar(what: str, total: int, *, show: bool = True) -> Iterator[Advance]:
    """Show how many of ``total`` items are done, with the time left, on standard error.

    Args:
        what: what is being done, such as ``"labelling"``.
        total: how many items there are.
        show: False shows nothing.
    """
    console = Console(stderr=True, soft_wrap=True)
    if not show:
        yield _nothing
    elif console.is_terminal:
        with _rich(console) as progress:
            task = progress.add_task(what, total=total, words="")
            yield lambda items=1, words="": progress.update(task, advance=items, words=words)
    else:
        yield _Lines(console, what, total)


def _nothing(items: int = 1, words: str = "") -> None:
    del items, words


def _rich(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[words]}", markup=False),
    )
    return Progress(*columns, console=console, refresh_per_second=4)


class _Lines:
    """A plain line at the start, every ten seconds, and at the end."""

    def __init__(self, console: Console, what: str, total: int) -> None:
        self._console, self._what, self._total, self._done = console, what, total, 0
        self._start = self._last = time.monotonic()
        self._one_at_a_time = threading.Lock()
        self._say(f"{what}: {total}")

    def __call__(self, items: int = 1, words: str = "") -> None:
        with self._one_at_a_time:
            self._count(items, words)

    def _count(self, items: int, words: str) -> None:
        self._done += items
        now = time.monotonic()
        if self._done < self._total and now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = now
        seconds = now - self._start
        left = (self._total - self._done) * seconds / max(self._done, 1)
        self._say(f"{self._what}: {self._done}/{self._total}  {left:.0f} s left  {words}".rstrip())

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)
