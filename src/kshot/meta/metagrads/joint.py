"""Joint training: no adaptation in training; the base every meta-learner must beat."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from kshot.meta.learner import Learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.base import Differentiated, Outcome, When
from kshot.meta.metagrads.inner_loop import stats_at
from kshot.meta.task import Task


class Joint(Differentiated):
    """The gradient of the loss on all of a task's data, unadapted; see `joint`."""

    steps: int = eqx.field(static=True)

    def outer_loss(
        self, learner: Learner, loss: Objective, task: Task, when: When, stats: PyTree
    ) -> Outcome:
        """Return the loss of support and query together."""
        del when
        value, extra = loss.evaluate(learner.params, stats_at(stats, 0), pooled(task))
        rows = jax.tree.map(lambda row: row[None], extra.stats)
        return Outcome(value, jnp.zeros((0,), value.dtype), extra.aux, rows)

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
