"""The contract of a meta-algorithm: ``init``, ``step``, ``adapt``; state, info and config apart."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, Scalar

from kshot.meta.learner import Learner
from kshot.meta.task import Task


class State(eqx.Module):
    """All that the next outer step needs, and nothing else.

    Args:
        learner: the initialisation and the rule, with every meta-learned leaf.
        opt_state: the outer optimiser's state.
        step: outer steps taken.
        key: the random key of this run; each step folds its number in.
        stats: statistics of models with state, one row per inner step and one for the query set.
    """

    learner: Learner
    opt_state: PyTree
    step: Int[Array, ""]
    key: PRNGKeyArray
    stats: PyTree = None

    @property
    def params(self) -> PyTree:
        """The meta-learned initialisation θ."""
        return self.learner.params


class Info(eqx.Module):
    """What one outer step tells; nothing here is needed to go on.

    Args:
        loss: the objective after adaptation, reduced over the tasks that counted.
        task_losses: the same per task; not finite for a task that diverged.
        support_losses: the support loss before each inner step, per task.
        kept: for each task, whether its gradient was finite and so counted.
        skipped: how many did not count.
        grad_norm: the norm of the reduced meta-gradient.
        aux: auxiliary values of the query loss, per task.
    """

    loss: Scalar
    task_losses: Float[Array, " tasks"]
    support_losses: Float[Array, "tasks steps"]
    kept: Bool[Array, " tasks"]
    skipped: Int[Array, ""]
    grad_norm: Scalar
    aux: PyTree = None


class MetaAlgorithm(eqx.Module):
    """A way to learn to adapt.

    All methods are pure; ``step`` and ``adapt`` compile once per shape. An algorithm is equal only
    to itself, so that its bound methods can be given to ``jax.jit`` and ``jax.lax.scan``.
    """

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    @abc.abstractmethod
    def init(self, params: PyTree, key: int | PRNGKeyArray = 0) -> State:
        """Return the state before the first outer step.

        Args:
            params: the parameters to start from, any pytree of floating arrays.
            key: a seed or a JAX key.
        """

    @abc.abstractmethod
    def step(self, state: State, tasks: Task) -> tuple[State, Info]:
        """Take one outer step on a stack of tasks."""

    @abc.abstractmethod
    def adapt(self, state: State, support: PyTree, steps: int | None = None) -> Any:  # noqa: ANN401
        """Return what adapting to a support set gives: adapted parameters, for most algorithms."""

    @abc.abstractmethod
    def losses(self, state: State, task: Task, steps: int | None = None) -> Float[Array, " points"]:
        """Return the query error before adaptation and after each of ``steps`` steps.

        Every algorithm reports the error of its plain loss here (mean squared error, say), whatever
        its outer objective is, so that algorithms can stand in one table.
        """
