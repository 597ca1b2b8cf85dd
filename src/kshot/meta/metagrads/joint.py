"""Joint training: no adaptation in training; the base every meta-learner must beat."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree, Scalar

from kshot.meta.learner import Learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.base import MetaGrad, Outcome, When, differentiate
from kshot.meta.metagrads.inner_loop import stats_at
from kshot.meta.task import Task


class Joint(MetaGrad):
    """The gradient of the loss on all of a task's data, unadapted; see `joint`."""

    steps: int = eqx.field(static=True)

    def __call__(
        self,
        learner: Learner,
        loss: Objective,
        task: Task,
        when: When | None = None,
        stats: PyTree = None,
    ) -> tuple[Outcome, Learner]:
        """Return the loss of support and query together, and its gradient."""
        del when
        data = pooled(task)

        def value(learner: Learner) -> tuple[Scalar, Outcome]:
            value, extra = loss.evaluate(learner.params, stats_at(stats, 0), data)
            rows = jax.tree.map(lambda row: row[None], extra.stats)
            return value, Outcome(value, jnp.zeros((0,), value.dtype), extra.aux, rows)

        return differentiate(value, learner)

    def needs_query(self) -> bool:
        """Return False."""
        return False


def pooled(task: Task) -> PyTree:
    """Return support and query as one data set."""
    if task.query is None:
        return task.support
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), task.support, task.query)


def joint() -> Joint:
    """Return the gradient of joint training."""
    return Joint(0)


def example_joint() -> Joint:
    """Return the instance the contract tests run."""
    return joint()
