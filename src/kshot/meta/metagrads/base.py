"""The contract of a meta-gradient: how the outer gradient is taken through the inner loop."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Scalar

from kshot.core import trees
from kshot.core.errors import OptionError
from kshot.meta.learner import Learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.inner_loop import Each, Path, Segment, run_inner_loop, stats_at
from kshot.meta.metagrads.routes import REVERSE
from kshot.meta.task import Task


class When(NamedTuple):
    """Where in the outer loop a meta-gradient is taken: schedules and random draws depend on it."""

    step: Int[Array, ""]
    key: PRNGKeyArray


class Outcome(NamedTuple):
    """What one task's meta-step tells.

    Args:
        loss: the objective of the outer loop on this task.
        support_losses: the support loss before each inner step.
        aux: auxiliary values of the query loss.
        stats: updated model statistics, one row per inner step and one for the query set.
    """

    loss: Scalar
    support_losses: Float[Array, " steps"]
    aux: PyTree = None
    stats: PyTree = None


class MetaGrad(eqx.Module):
    """Turns a task into a gradient on every leaf of the learner.

    ``steps`` is the number of inner steps k it was made for.
    """

    steps: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(
        self,
        learner: Learner,
        loss: Objective,
        task: Task,
        when: When | None = None,
        stats: PyTree = None,
    ) -> tuple[Outcome, Learner]:
        """Return the outcome and the gradient, shaped like the learner."""

    def needs_query(self) -> bool:
        """Whether tasks must have a query set."""
        return True

    def adapt(
        self,
        learner: Learner,
        loss: Objective,
        data: PyTree,
        steps: int | None = None,
        stats: PyTree = None,
        each: Each | None = None,
    ) -> Path:
        """Return the inner loop's path on ``data``: adapted parameters, losses, statistics."""
        steps = self.steps if steps is None else check_steps(steps)
        return run_inner_loop(learner, loss, data, [Segment(steps, REVERSE)], stats, each)


class Differentiated(MetaGrad):
    """A meta-gradient that is the derivative of an outer loss.

    Only of such can the sum over tasks be differentiated as one, which is cheaper than summing the
    tasks' gradients: shared parameters then meet all tasks in one product.
    """

    @abc.abstractmethod
    def outer_loss(
        self, learner: Learner, loss: Objective, task: Task, when: When, stats: PyTree
    ) -> Outcome:
        """Return the outcome, whose loss is what the outer loop differentiates."""

    def __call__(
        self,
        learner: Learner,
        loss: Objective,
        task: Task,
        when: When | None = None,
        stats: PyTree = None,
    ) -> tuple[Outcome, Learner]:
        """Return the outcome and the gradient of its loss on every learned leaf of the learner."""
        when = start_of_training() if when is None else when
        return differentiate(lambda part: self.outer_loss(part, loss, task, when, stats), learner)


def check_steps(steps: int, least: int = 0) -> int:
    """Return the step count, or raise OptionError if it is below ``least``."""
    if not isinstance(steps, int) or steps < least:
        todo = "The usual number of inner steps is 1 to 20."
        raise OptionError(f"a whole number of inner steps ≥ {least}", f"{steps!r}", todo)
    return steps


def differentiate(fn: Callable[[Learner], Outcome], learner: Learner) -> tuple[Outcome, Learner]:
    """Return what ``fn`` returns, and the gradient of its summed loss on every learned leaf.

    The gradient is zero on the leaves that are not learned.

    A fixed rate must not be differentiated at all: its gradient alone would make the inner loop
    keep every step's gradient.
    """
    params = jax.tree.map(lambda _: True, learner.params)
    mask = Learner(params, learner.rule.learned(), learner.moves)
    learned, fixed = eqx.partition(learner, mask)

    def total(part: PyTree) -> tuple[Scalar, Outcome]:
        outcome = fn(eqx.combine(part, fixed))
        return jnp.sum(outcome.loss), outcome

    (_, outcome), grad = jax.value_and_grad(total, has_aux=True)(learned)
    return outcome, eqx.combine(grad, trees.zeros_like(fixed))


def start_of_training() -> When:
    """Return the beginning of the outer loop, for a meta-gradient taken outside one."""
    return When(jnp.zeros((), jnp.int32), jax.random.key(0))


def judge(loss: Objective, path: Path, query: PyTree, stats: PyTree) -> Outcome:
    """Judge the adapted parameters of a path on the query set."""
    value, extra = loss.evaluate(path.params, stats_at(stats, path.steps), query)
    return Outcome(value, path.losses, extra.aux, append_row(path.stats, extra.stats))


def append_row(rows: PyTree, row: PyTree) -> PyTree:
    """Return stacked statistics with one more row."""
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), rows, row)
