"""How many inner steps to take: as many as help, none that makes a task diverge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kshot.meta.algorithms.base import MetaAlgorithm, State
from kshot.meta.evaluate.curves import Curve, adaptation_curve
from kshot.meta.evaluate.measure import TASKS_IN_PARALLEL, Metric
from kshot.meta.evaluate.record import Record
from kshot.meta.task import Task


@dataclass(frozen=True, eq=False)
class StepChoice(Record):
    """A number of inner steps, and the evidence for it.

    Args:
        steps: the number chosen.
        diverged_tasks: how many validation tasks diverge even there; 0 unless every number of
            steps loses some.
        curve: the validation errors it was chosen from.
    """

    steps: int
    diverged_tasks: int
    curve: Curve


def choose_steps(
    algorithm: MetaAlgorithm,
    state: State,
    validation_tasks: Task,
    max_steps: int,
    metric: Metric | None = None,
    tasks_in_parallel: int = TASKS_IN_PARALLEL,
) -> StepChoice:
    """Return the number of inner steps with the lowest mean error at which no task diverges.

    Algorithms taken to more steps than they were trained for may diverge on a few tasks while most
    still improve: a mean would hide that, so such step counts are not eligible. Where every count
    loses some tasks, those that lose fewest are.

    Args:
        algorithm: the algorithm.
        state: its state.
        validation_tasks: tasks that are neither trained on nor reported.
        max_steps: the most steps to consider; 0 is always considered.
        metric: ``(params, query, stats) -> error``; the algorithm's own loss if None.
        tasks_in_parallel: tasks per chunk, to bound memory.
    """
    curve = adaptation_curve(
        algorithm, state, validation_tasks, max_steps, metric, tasks_in_parallel
    )
    fewest = curve.diverged_tasks.min()
    eligible = (curve.diverged_tasks == fewest) & np.isfinite(curve.mean)
    # with no finite error anywhere, argmin of infinities is 0: do not adapt.
    steps = int(np.argmin(np.where(eligible, curve.mean, np.inf)))
    return StepChoice(steps, int(fewest), curve)
