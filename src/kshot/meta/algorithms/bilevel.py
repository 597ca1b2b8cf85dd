"""The bilevel algorithm: inner rule × meta-gradient × leaves that adapt × outer optimiser.

MAML, FOMAML, Reptile, ANIL, BOIL, Meta-SGD, MAML++, iMAML, ridge heads, Gauss-Newton and the
baselines are all this one class with other arguments; see the table in `kshot.meta.algorithms`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from kshot.core.errors import OptionError
from kshot.core.rng import as_key
from kshot.meta import checks
from kshot.meta.algorithms.base import Info, MetaAlgorithm, State
from kshot.meta.algorithms.outer import Outer, outer_step, start
from kshot.meta.algorithms.reduce import Reduce
from kshot.meta.inner_loss import InnerLoss
from kshot.meta.learner import Learner, Where, make_learner, selection
from kshot.meta.loss import Objective
from kshot.meta.metagrads.base import Differentiated, MetaGrad, Outcome, When, differentiate
from kshot.meta.metagrads.inner_loop import stats_at
from kshot.meta.metagrads.memory import is_small
from kshot.meta.metagrads.routes import REVERSE
from kshot.meta.rules.base import InnerRule, PosteriorRule
from kshot.meta.rules.posterior import Posterior
from kshot.meta.task import Task, take


class Bilevel(MetaAlgorithm):
    """Learns an initialisation (and rule) that adapts well.

    Args:
        objective: the loss.
        rule: the inner rule, not yet prepared for parameters.
        metagrad: how the outer gradient is taken.
        outer: the outer optax transform.
        adapts: which leaves the inner rule moves; all if None.
        frozen: which parameter leaves the outer loop leaves alone; none if None.
        reduce: how tasks are reduced.
        tasks_in_parallel: tasks per chunk; all at once if None.
        adapt_steps: inner steps at adaptation; those of the meta-gradient if None.
    """

    objective: Objective
    rule: InnerRule
    metagrad: MetaGrad
    outer: optax.GradientTransformation = eqx.field(static=True)
    adapts: Where | None = eqx.field(static=True, default=None)
    frozen: Where | None = eqx.field(static=True, default=None)
    reduce: Reduce = eqx.field(static=True, default="mean")
    tasks_in_parallel: int | None = eqx.field(static=True, default=None)
    adapt_steps: int | None = eqx.field(static=True, default=None)

    def init(self, params: PyTree, key: int | PRNGKeyArray = 0) -> State:
        """Return the state before the first outer step."""
        learner = make_learner(params, self.rule, self.metagrad.steps, self.adapts)
        rows = self.metagrad.steps + 1
        stats = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (rows, *x.shape)), self.objective.initial_stats()
        )
        return start(learner, self.as_outer(), as_key(key), stats)

    def step(self, state: State, tasks: Task) -> tuple[State, Info]:
        """Take one outer step on a stack of tasks."""
        checks.tasks(tasks, self.metagrad.needs_query(), self.tasks_in_parallel)
        return _step(self, state, tasks)

    def adapt(self, state: State, support: PyTree, steps: int | None = None) -> PyTree:
        """Return the parameters after adapting to a support set."""
        checks.support(support)
        return _adapt(self, state, support, self.steps_to_adapt(steps))

    def losses(self, state: State, task: Task, steps: int | None = None) -> Float[Array, " points"]:
        """Return the query loss before adaptation and after each step."""
        checks.query(task)
        return _losses(self, state, task, self.steps_to_adapt(steps))

    def posterior(self, state: State, support: PyTree, params: PyTree = None) -> Posterior:
        """Return the linearised posterior after adapting to a support set.

        Args:
            state: the algorithm's state.
            support: the support set.
            params: parameters already adapted to it; adapted here if None.

        Raises:
            OptionError: the rule leaves no posterior.
        """
        rule = state.learner.rule
        if not isinstance(rule, PosteriorRule):
            todo = "Use rules.gauss_newton, rules.levenberg_marquardt or rules.ridge."
            raise OptionError("a rule that leaves a posterior", type(rule).__name__, todo)
        params = self.adapt(state, support) if params is None else params
        moving, still = Learner(params, rule, state.learner.moves).split()
        return rule.posterior(InnerLoss(self.objective, still, None, REVERSE), moving, support)

    def steps_to_adapt(self, steps: int | None) -> int:
        """Return the number of steps an adaptation takes."""
        if steps is not None:
            return steps
        return self.metagrad.steps if self.adapt_steps is None else self.adapt_steps

    def as_outer(self) -> Outer:
        """Return how the outer loop moves."""
        return Outer(self.outer, self.split, self.reduce, self.tasks_in_parallel)

    def split(self, learner: Learner) -> tuple[Learner, Learner]:
        """Return ``(learned, fixed)``: the leaves the outer loop trains, and the others."""
        params = jax.tree.map(lambda _: True, learner.params)
        if self.frozen is not None:
            held = selection(learner.params, self.frozen)
            params = jax.tree.map(lambda hold: not hold, held)
        return eqx.partition(learner, Learner(params, learner.rule.learned(), learner.moves))


@functools.partial(jax.jit, static_argnums=0)
def _step(algorithm: Bilevel, state: State, tasks: Task) -> tuple[State, Info]:
    objective, learner, stats = algorithm.objective, state.learner, state.stats
    checks.loss(objective, learner.params, stats, take(tasks.support, 0))

    def gradient(task: Task, when: When) -> tuple[Outcome, Learner]:
        return algorithm.metagrad(learner, objective, task, when, stats)

    as_one = _as_one(algorithm.metagrad, state, objective) if is_small(learner.params) else None
    return outer_step(gradient, algorithm.as_outer(), state, tasks, as_one)


def _as_one(
    metagrad: MetaGrad, state: State, objective: Objective
) -> Callable[[Task, When], tuple[Outcome, Learner]] | None:
    """Return the gradient of the tasks' summed loss, where there is such a thing.

    A step that has it compiles two ways, so only small models, quick to compile, are given it.
    """
    if not isinstance(metagrad, Differentiated):
        return None

    def gradient(tasks: Task, whens: When) -> tuple[Outcome, Learner]:
        def losses(learner: Learner) -> Outcome:
            return jax.vmap(
                lambda task, when: metagrad.outer_loss(learner, objective, task, when, state.stats)
            )(tasks, whens)

        return differentiate(losses, state.learner)

    return gradient


@functools.partial(jax.jit, static_argnums=(0, 3))
def _adapt(algorithm: Bilevel, state: State, support: PyTree, steps: int) -> PyTree:
    checks.loss(algorithm.objective, state.learner.params, state.stats, support)
    metagrad, objective = algorithm.metagrad, algorithm.objective
    return metagrad.adapt(state.learner, objective, support, steps, state.stats).params


@functools.partial(jax.jit, static_argnums=(0, 3))
def _losses(algorithm: Bilevel, state: State, task: Task, steps: int) -> Float[Array, " points"]:
    objective, stats = algorithm.objective, state.stats

    def error(params: PyTree, done: int | Array) -> Array:
        return objective(params, task.query, stats_at(stats, done))

    path = algorithm.metagrad.adapt(
        state.learner,
        objective,
        task.support,
        steps,
        stats,
        each=lambda params, index: error(params, index + 1),
    )
    return jnp.concatenate([error(state.learner.params, 0)[None], path.each])
