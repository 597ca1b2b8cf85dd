"""Reptile: θ ← θ + β (φᵏ − θ). It needs no query set and no second derivative."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import PyTree

from kshot.core import trees
from kshot.meta.learner import Learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.base import MetaGrad, Outcome, When, check_steps, judge
from kshot.meta.task import Task


class Reptile(MetaGrad):
    """Hands θ − φᵏ to the outer optimiser as if it were a gradient; see `reptile`."""

    steps: int = eqx.field(static=True)

    def __call__(
        self,
        learner: Learner,
        loss: Objective,
        task: Task,
        when: When | None = None,
        stats: PyTree = None,
    ) -> tuple[Outcome, Learner]:
        """Return the outcome and θ − φᵏ; rule leaves get zero.

        The loss told is that of the query set where there is one, else of the support set.
        """
        del when
        path = self.adapt(learner, loss, task.support, stats=stats)
        outcome = judge(loss, path, task.support if task.query is None else task.query, stats)
        still = trees.zeros_like(learner.rule)
        grad = Learner(trees.subtract(learner.params, path.params), still, learner.moves)
        return outcome, grad

    def needs_query(self) -> bool:
        """Return False."""
        return False


def reptile(steps: int = 5) -> Reptile:
    """Return the Reptile direction.

    Args:
        steps: the number of inner steps k ≥ 1 (at k = 1 it is joint training on the support sets).
    """
    return Reptile(check_steps(steps, 1))


def example_reptile() -> Reptile:
    """Return the instance the contract tests run."""
    return reptile(3)
