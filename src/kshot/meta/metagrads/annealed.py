"""Derivative-order annealing: a cheap meta-gradient early, an exact one later (MAML++)."""

from __future__ import annotations

import equinox as eqx
import jax
from jaxtyping import PyTree

from kshot.core.errors import OptionError
from kshot.meta.learner import Learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.base import MetaGrad, Outcome, When, start_of_training
from kshot.meta.metagrads.unrolled import first_order, mixed_mode
from kshot.meta.task import Task


class Annealed(MetaGrad):
    """One meta-gradient before an outer step, another from then on; see `annealed`."""

    early: MetaGrad
    late: MetaGrad
    switch_at: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)

    def __call__(
        self,
        learner: Learner,
        loss: Objective,
        task: Task,
        when: When | None = None,
        stats: PyTree = None,
    ) -> tuple[Outcome, Learner]:
        """Return what the meta-gradient in force at this outer step returns; only it is run."""
        when = start_of_training() if when is None else when
        return jax.lax.cond(
            when.step < self.switch_at,
            lambda: self.early(learner, loss, task, when, stats),
            lambda: self.late(learner, loss, task, when, stats),
        )

    def needs_query(self) -> bool:
        """Whether either needs a query set."""
        return self.early.needs_query() or self.late.needs_query()


def annealed(early: MetaGrad, late: MetaGrad, switch_at: int) -> Annealed:
    """Return a meta-gradient that changes at an outer step. Nest them for longer schedules.

    Args:
        early: used before ``switch_at``, for instance ``first_order(k)``.
        late: used from ``switch_at`` on, for instance ``mixed_mode(k)``.
        switch_at: the outer step of the change.
    """
    if early.steps != late.steps:
        todo = "The two must adapt alike."
        raise OptionError("equal numbers of inner steps", f"{early.steps} and {late.steps}", todo)
    return Annealed(steps=late.steps, early=early, late=late, switch_at=switch_at)


def example_annealed() -> Annealed:
    """Return the instance the contract tests run."""
    return annealed(first_order(3), mixed_mode(3), switch_at=0)
