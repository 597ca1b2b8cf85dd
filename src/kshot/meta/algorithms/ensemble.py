"""An ensemble of learners, trained together and held apart by a diversity term."""

from __future__ import annotations

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Scalar

from kshot.core.errors import LossError, OptionError
from kshot.core.rng import as_key
from kshot.meta import checks
from kshot.meta.algorithms.base import Info, MetaAlgorithm, State
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.algorithms.maml import maml
from kshot.meta.algorithms.outer import outer_step, start
from kshot.meta.learner import Learner
from kshot.meta.loss import Extra, Objective, SumOfSquares
from kshot.meta.metagrads.base import Outcome, When
from kshot.meta.problems import squared_error
from kshot.meta.task import Task


class Diverse(Objective):
    """Squared residuals, less a share of how far they stand from the ensemble's mean residuals.

    Data is ``(data, mean residuals or None)``; with None (the support set) it is the plain loss.
    The mean counts as a constant, as in negative correlation learning.
    """

    base: SumOfSquares
    weight: float = eqx.field(static=True)

    def evaluate(self, params: PyTree, stats: PyTree, data: PyTree) -> tuple[Scalar, Extra]:
        """Return the loss, rewarded for distance from the mean where one is given."""
        inner, mean = data
        value, extra = self.base.evaluate(params, stats, inner)
        if mean is None:
            return value, extra
        away = self.base.vector(params, inner) - jax.lax.stop_gradient(mean)
        return value - self.weight * jnp.mean(jnp.square(away)), extra


class Ensemble(MetaAlgorithm):
    """Members of one bilevel algorithm; see `ensemble`.

    Args:
        base: the algorithm every member follows.
        members: how many.
        diversity: weight of the diversity term, in [0, 1).
    """

    base: Bilevel
    members: int = eqx.field(static=True)
    diversity: float = eqx.field(static=True)

    def init(self, params: PyTree, key: int | PRNGKeyArray = 0) -> State:
        """Return the state before the first outer step.

        Args:
            params: the members' parameters, stacked along a leading axis: for instance
                ``jax.vmap(init)(jax.random.split(key, members))``.
            key: a seed or a JAX key.
        """
        sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(params)}
        if sizes != {(self.members,)}:
            todo = "Stack them: jax.vmap(init)(jax.random.split(key, members))."
            got = f"leading axes {sorted(sizes)}"
            raise OptionError(f"parameters of {self.members} members", got, todo)
        learner = jax.vmap(lambda p: self.base.init(p).learner)(params)
        return start(learner, self.base.as_outer(), as_key(key))

    def step(self, state: State, tasks: Task) -> tuple[State, Info]:
        """Take one outer step of every member on the same tasks."""
        checks.tasks(tasks, self.base.metagrad.needs_query(), self.base.tasks_in_parallel)
        return _step(self, state, tasks)

    def adapt(self, state: State, support: PyTree, steps: int | None = None) -> PyTree:
        """Return the adapted parameters of all members, stacked."""
        checks.support(support)
        return _adapt(self, state, support, self.base.steps_to_adapt(steps))

    def losses(self, state: State, task: Task, steps: int | None = None) -> Float[Array, " points"]:
        """Return the error of the members' mean prediction before and after each step."""
        checks.query(task)
        return _losses(self, state, task, self.base.steps_to_adapt(steps))

    def residuals(self) -> SumOfSquares:
        """Return the loss the members share."""
        objective = self.base.objective
        if isinstance(objective, SumOfSquares):
            return objective
        todo = "Give meta.SumOfSquares(residuals): predictions are compared by their residuals."
        raise LossError("a SumOfSquares loss for an ensemble", type(objective).__name__, todo)


def ensemble(base: Bilevel, members: int = 4, diversity: float = 0.1) -> Ensemble:
    """Return an ensemble of learners with a diversity term.

    Args:
        base: the algorithm every member follows, with a `SumOfSquares` loss.
        members: how many, ≥ 2.
        diversity: the reward for distance from the ensemble's mean, in [0, 1): at 1 a member's own
            error would no longer count.
    """
    if members < 2 or not 0 <= diversity < 1:
        got, todo = f"{members} members, diversity {diversity}", "Start with 4 and 0.1."
        raise OptionError("at least 2 members and a diversity in [0, 1)", got, todo)
    made = Ensemble(base, members, diversity)
    made.residuals()
    return made


@functools.partial(jax.jit, static_argnums=0)
def _step(algorithm: Ensemble, state: State, tasks: Task) -> tuple[State, Info]:
    base, objective = algorithm.base, algorithm.residuals()
    diverse = Diverse(objective, algorithm.diversity)

    def gradient(task: Task, when: When) -> tuple[Outcome, Learner]:
        adapted = _each_member(
            state, lambda m: base.metagrad.adapt(m, objective, task.support).params
        )
        seen = task.support if task.query is None else task.query
        mean = jax.vmap(objective.vector, (0, None))(adapted, seen).mean(0)
        paired = Task((task.support, None), None if task.query is None else (task.query, mean))
        outcomes, grads = _each_member(state, lambda m: base.metagrad(m, diverse, paired, when))
        averaged = Outcome(outcomes.loss.mean(), outcomes.support_losses.mean(0), outcomes.aux)
        return averaged, grads

    return outer_step(gradient, base.as_outer(), state, tasks)


@functools.partial(jax.jit, static_argnums=(0, 3))
def _adapt(algorithm: Ensemble, state: State, support: PyTree, steps: int) -> PyTree:
    metagrad, objective = algorithm.base.metagrad, algorithm.base.objective
    return _each_member(state, lambda m: metagrad.adapt(m, objective, support, steps).params)


@functools.partial(jax.jit, static_argnums=(0, 3))
def _losses(algorithm: Ensemble, state: State, task: Task, steps: int) -> Float[Array, " points"]:
    objective, metagrad = algorithm.residuals(), algorithm.base.metagrad

    def member(learner: Learner) -> Float[Array, "points n"]:
        each = lambda params, index: objective.vector(params, task.query)  # noqa: ARG005, E731
        path = metagrad.adapt(learner, objective, task.support, steps, each=each)
        before = objective.vector(learner.params, task.query)
        return jnp.concatenate([before[None], path.each])

    residuals = _each_member(state, member).mean(0)
    reduce = jnp.mean if objective.reduce == "mean" else jnp.sum
    return reduce(jnp.square(residuals), axis=1)


def _each_member(state: State, fn: Callable[[Learner], PyTree]) -> PyTree:
    return jax.vmap(fn)(state.learner)


def spread(adapted: PyTree, predict: Callable[[PyTree], Array]) -> Array:
    """Return the members' disagreement: the variance over members of ``predict(params)``.

    Args:
        adapted: stacked adapted parameters, as ``Ensemble.adapt`` returns.
        predict: parameters of one member → predictions.
    """
    return jnp.var(jax.vmap(predict)(adapted), axis=0)


def example_ensemble() -> Ensemble:
    """Return the instance the contract tests run."""
    return ensemble(maml(squared_error, steps=2), members=2)
