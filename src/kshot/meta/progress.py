"""How far a run is: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import abc
import time
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from kshot.core.errors import OptionError

Show = Literal["auto", "bar", "lines", "none"]
SECONDS_BETWEEN_LINES = 10.0


class Reporter(abc.ABC):
    """Shows progress; made by `reporter`."""

    def __init__(self, total: int) -> None:
        """Begin a run of ``total`` outer steps."""
        self.step, self.total = 0, total
        self._clock: tuple[int, float] | None = None

    def begin(self, step: int) -> None:
        """Tell that the first device call, which compiles, starts from ``step``."""
        self.step = step
        self.show("compiling …", at_once=True)

    def update(self, step: int, loss: float, skipped: int) -> None:
        """Tell how far the run is.

        Args:
            step: outer steps taken.
            loss: the latest mean loss.
            skipped: tasks left out so far because they were not finite.
        """
        self.step = step
        # the clock starts when the first call is over: compiling says nothing about speed.
        self._clock = self._clock or (step, time.monotonic())
        self.show(self.words(loss, skipped), at_once=step >= self.total)

    @property
    def speed(self) -> float | None:
        """Outer steps per second since the first device call; ``None`` before the second."""
        if self._clock is None or self.step == self._clock[0]:
            return None
        return (self.step - self._clock[0]) / max(time.monotonic() - self._clock[1], 1e-9)

    def words(self, loss: float, skipped: int) -> str:
        """Return loss, skipped tasks, speed and time left as one text."""
        text = f"loss {loss:.4g}" + (f"  skipped {skipped}" if skipped else "")
        if self.speed:
            left = (self.total - self.step) / self.speed
            text += f"  {self.speed:.3g} steps/s  {_duration(left)} left"
        return text

    @abc.abstractmethod
    def show(self, words: str, *, at_once: bool) -> None:
        """Show the step and some words; ``at_once`` where they must not wait for the next ones."""

    @abc.abstractmethod
    def note(self, text: str) -> None:
        """Show a line that stays."""

    @abc.abstractmethod
    def close(self) -> None:
        """Finish."""


class Bar(Reporter):
    """A rich progress bar on standard error."""

    def __init__(self, total: int) -> None:
        """Show the bar at once."""
        super().__init__(total)
        columns = (
            SpinnerColumn(),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
        )
        self._rich = Progress(*columns, console=Console(stderr=True), refresh_per_second=4)
        self._rich.start()
        self._task = self._rich.add_task("starting …", total=total)

    def show(self, words: str, *, at_once: bool) -> None:
        """Move the bar; it is drawn four times a second."""
        del at_once
        self._rich.update(self._task, completed=self.step, description=words)

    def note(self, text: str) -> None:
        """Print above the bar."""
        self._rich.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._rich.stop()


class Lines(Reporter):
    """A plain line on standard error at the start, every ten seconds, and at the end."""

    def __init__(self, total: int) -> None:
        """Say that it begins."""
        super().__init__(total)
        self._console = Console(stderr=True, soft_wrap=True)
        self._last = time.monotonic()
        self.note(f"training to step {total}")

    def show(self, words: str, *, at_once: bool) -> None:
        """Print a line if the last is old enough, or if it must not wait."""
        now = time.monotonic()
        if not at_once and now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = now
        self.note(f"step {self.step}/{self.total}  {words}")

    def note(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Nothing is left to do."""


class Silent(Reporter):
    """Shows nothing."""

    def show(self, words: str, *, at_once: bool) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing is left to do."""


def reporter(show: Show, total: int) -> Reporter:
    """Return what shows the progress.

    Args:
        show: ``"bar"``, ``"lines"``, ``"none"``, or ``"auto"``: a bar in a terminal, else lines.
        total: the outer step at which training ends.
    """
    kinds = {"bar": Bar, "lines": Lines, "none": Silent}
    if show == "auto":
        show = "bar" if Console(stderr=True).is_terminal else "lines"
    if show not in kinds:
        todo = "Choose one of them."
        raise OptionError("progress: auto, bar, lines or none", repr(show), todo)
    return kinds[show](total)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
