"""One curve from several seeds: what training again would change, beside what the tasks change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from kshot.core.errors import OptionError
from kshot.meta.evaluate.curves import Curve
from kshot.meta.evaluate.record import Record
from kshot.meta.evaluate.statistics import CONFIDENCE, mean_interval, standard_error, student_t


@dataclass(frozen=True, eq=False)
class SeedCurve(Record):
    """Curves of one algorithm over several seeds.

    Args:
        axis: what runs along the curve.
        at: where on the axis each point is.
        seed_means: each seed's mean over its tasks.
        mean: the mean over seeds.
        low: the lower end of the interval over seeds (Student's, on the seed means; NaN for one).
        high: the upper end.
        task_low: the lower end of the interval over tasks, the seeds held fixed.
        task_high: the upper end.
        diverged_tasks: how many tasks diverged, for each seed.
        confidence: of both intervals.
    """

    axis: str
    at: Int[np.ndarray, " points"]
    seed_means: Float[np.ndarray, "seeds points"]
    mean: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]
    task_low: Float[np.ndarray, " points"]
    task_high: Float[np.ndarray, " points"]
    diverged_tasks: Int[np.ndarray, "seeds points"]
    confidence: float = CONFIDENCE


def over_seeds(curves: Sequence[Curve]) -> SeedCurve:
    """Return the mean curve over seeds with intervals over seeds and over tasks.

    Args:
        curves: one curve per seed, along the same axis at the same points.

    Raises:
        OptionError: no curves, or curves along different axes.
    """
    if not curves:
        raise OptionError("at least one curve", "none", "Evaluate at least one seed.")
    first = curves[0]
    for index, curve in enumerate(curves):
        if curve.axis != first.axis or not np.array_equal(curve.at, first.at):
            want = f"every curve over {first.axis} {first.at.tolist()}"
            got = f"curve {index} over {curve.axis} {curve.at.tolist()}"
            raise OptionError(want, got, "Evaluate every seed at the same points.")
    means = np.stack([curve.mean for curve in curves])
    mean, low, high = mean_interval(means)
    errors = np.stack([standard_error(c.errors, ~c.diverged) for c in curves])
    freedom = sum(len(c.errors) - 1.0 for c in curves)
    half = student_t(freedom) * np.sqrt((errors**2).sum(0)) / len(curves)
    lost = np.stack([curve.diverged_tasks for curve in curves])
    return SeedCurve(first.axis, first.at, means, mean, low, high, mean - half, mean + half, lost)
