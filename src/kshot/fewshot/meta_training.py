"""Meta-training of a jointly trained start by any algorithm of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from kshot import meta
from kshot.fewshot.adapters.inner import Inner, with_inner
from kshot.fewshot.joint import Errors, Report, errors_of
from kshot.fewshot.task_batches import TaskBatches
from kshot.meta import Task
from kshot.potentials.model import Model

LOOKS = 5  # at how families do, in all of a training


class Gap(NamedTuple):
    """Query errors before and after adaptation, on average over tasks.

    Args:
        before: of the initialisation as it is.
        after: of what is adapted to each task's shots.
    """

    before: Errors
    after: Errors

    def __str__(self) -> str:
        """Say them in meV and meV/Å."""
        energies = f"{1e3 * self.before.energy:.1f} → {1e3 * self.after.energy:.1f} meV"
        forces = f"{1e3 * self.before.forces:.0f} → {1e3 * self.after.forces:.0f} meV/Å"
        return f"{energies}, {forces}"


def meta_train(
    model: Model,
    stream: TaskBatches,
    inner: Inner,
    *,
    watched: Mapping[str, Sequence[Task]],
    folder: Path,
    seed: int,
    say: Callable[[str], None],
) -> Model:
    """Return the start with parameters, and a rule, that adapt well.

    The same call goes on where a killed one ended.

    Args:
        model: jointly trained.
        stream: the tasks to train on.
        inner: the algorithm.
        watched: tasks to report errors on as training goes, by what they are.
        folder: of checkpoints and metrics.
        seed: of the order of tasks.
        say: what lines of progress are given to.
    """
    algorithm, total = inner.algorithm(), inner.options.total

    def watch(report: Report) -> None:
        told = [
            f"{name}: {gap(inner, algorithm, report.state, tasks)}"
            for name, tasks in watched.items()
        ]
        say(f"{inner.name}, step {report.step}: " + "; ".join(told))

    every = max(1, total // LOOKS)
    done = meta.train(
        algorithm,
        inner.state(algorithm, model.params),
        meta.HostTasks(stream),
        total,
        seed=seed,
        steps_per_call=min(10, every),
        log_every=every,
        checkpoint_every=every,
        metrics=folder / f"{inner.name}.jsonl",
        checkpoints=folder / inner.name,
        callbacks=[watch],
    )
    learner = done.state.learner
    params = jax.tree.map(np.asarray, learner.params)
    return with_inner(model, inner, params, learner.rule)


def gap(inner: Inner, algorithm: meta.Bilevel, state: meta.State, tasks: Sequence[Task]) -> Gap:
    """Return query errors before and after adaptation."""
    potential = inner.loss.potential
    before, after = [], []
    for task in tasks:
        adapted = algorithm.adapt(state, task.support, inner.steps)
        before.append(errors_of(potential, state.learner.params, task.query))
        after.append(errors_of(potential, adapted, task.query))
    return Gap(_mean(before), _mean(after))


def _mean(some: Sequence[Errors]) -> Errors:
    return Errors(*(float(np.mean([one[axis] for one in some])) for axis in (0, 1)))
