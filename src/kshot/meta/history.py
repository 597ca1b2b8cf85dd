"""What outer steps told, gathered into rows of metrics and into the history of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from kshot.meta.device_loop import Told
from kshot.meta.evaluate.gap import Gap
from kshot.meta.metrics import Row


@dataclass(frozen=True)
class History:
    """What the outer steps of one call to ``train`` told, one entry a step.

    Args:
        first: the number of the first of these steps: 1 in a run from the beginning.
        loss: the objective after adaptation; NaN where no task counted.
        grad_norm: the norm of the meta-gradient.
        skipped: tasks left out because their gradient was not finite.
        gaps: outer step → the meta-overfitting gap, whenever it was measured.
    """

    first: int
    loss: Float[np.ndarray, " steps"]
    grad_norm: Float[np.ndarray, " steps"]
    skipped: Int[np.ndarray, " steps"]
    gaps: Mapping[int, Gap]


class Tally:
    """Gathers what each device call told.

    Args:
        start: outer steps taken before.
    """

    def __init__(self, start: int) -> None:
        """Begin with nothing told."""
        self._start = start
        self._calls: list[Told] = [
            Told(np.zeros(0), np.zeros(0), np.zeros(0, np.int32), np.zeros(0, bool))
        ]
        self._rowed = 0
        self._gaps: dict[int, Gap] = {}
        self.skipped = 0
        self.lost_in_a_row = 0
        self.latest_loss = float("nan")

    def add(self, told: Told) -> None:
        """Take what one call told."""
        self._calls.append(told)
        self.skipped += int(told.skipped.sum())
        kept = np.flatnonzero(~told.lost)
        if len(kept):
            self.lost_in_a_row = len(told.lost) - 1 - int(kept[-1])
            self.latest_loss = _mean(told.loss)
        else:
            self.lost_in_a_row += len(told.lost)

    def row(self, step: int, gap: Gap | None) -> Row:
        """Return the row of the steps since the last one: means, and the sum of skipped tasks."""
        told = _joined(self._calls)
        since = Told(*(part[self._rowed :] for part in told))
        self._calls, self._rowed = [told], len(told.loss)
        values = {
            "loss": _mean(since.loss),
            "grad_norm": _mean(since.grad_norm),
            "skipped": int(since.skipped.sum()),
        }
        if gap is not None:
            self._gaps[step] = gap
            values |= {"train_tasks": gap.train, "new_tasks": gap.new, "gap": gap.gap}
        return Row(step, values)

    def history(self) -> History:
        """Return everything gathered."""
        told = _joined(self._calls)
        parts = (told.loss, told.grad_norm, told.skipped)
        return History(self._start + 1, *parts, dict(self._gaps))


def _joined(calls: list[Told]) -> Told:
    return Told(*(np.concatenate(parts) for parts in zip(*calls, strict=True)))


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean(dtype=np.float64)) if len(finite) else float("nan")
