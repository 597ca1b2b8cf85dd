"""The bilevel algorithm: inner rule × meta-gradient × leaves that adapt × outer optimiser.

MAML, FOMAML, Reptile, ANIL, BOIL, Meta-SGD, MAML++, iMAML, ridge heads, Gauss-Newton and the
baselines are all this one class with other arguments; see :mod:`kshot.meta.algorithms.recipes`.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from kshot.core import trees
from kshot.core.errors import OptionError
from kshot.meta import checks
from kshot.meta.algorithms.base import Info, MetaAlgorithm, State
from kshot.meta.algorithms.reduce import Reduce, Reduced, reduce_tasks
from kshot.meta.inner_loss import InnerLoss
from kshot.meta.learner import Learner, Where, make_learner, selection
from kshot.meta.loss import Objective
from kshot.meta.metagrads.base import MetaGrad, Outcome, When
from kshot.meta.metagrads.inner_loop import stats_at
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
        learned, _ = self.split(learner)
        start = self.objective.initial_stats()
        rows = self.metagrad.steps + 1
        stats = jax.tree.map(lambda x: jnp.broadcast_to(x, (rows, *x.shape)), start)
        key = jax.random.key(key) if isinstance(key, int) else key
        opt_state = trees.strong(self.outer.init(learned))
        return State(learner, opt_state, jnp.zeros((), jnp.int32), key, stats)

    def step(self, state: State, tasks: Task) -> tuple[State, Info]:
        """Take one outer step on a stack of tasks."""
        checks.tasks(tasks, self.metagrad.needs_query(), self.tasks_in_parallel)
        return _step(self, state, tasks)

    def adapt(self, state: State, support: PyTree, steps: int | None = None) -> PyTree:
        """Return the parameters after adapting to a support set."""
        checks.support(support)
        return _adapt(self, state, support, self.steps_to_adapt(steps))

    def losses(self, state: State, task: Task, steps: int | None = None) -> Float[Array, " steps+1"]:
        """Return the query loss before adaptation and after each step."""
        return _losses(self, state, task, self.steps_to_adapt(steps))

    def posterior(self, state: State, support: PyTree, params: PyTree) -> Posterior:
        """Return the linearised posterior around parameters adapted to ``support``.

        Raises:
            OptionError: the rule leaves no posterior.
        """
        rule = state.learner.rule
        if not isinstance(rule, PosteriorRule):
            todo = "Use rules.gauss_newton, rules.levenberg_marquardt or rules.ridge."
            raise OptionError("a rule that leaves a posterior", type(rule).__name__, todo)
        moving, still = Learner(params, rule, state.learner.moves).split()
        return rule.posterior(InnerLoss(self.objective, still, None, REVERSE), moving, support)

    def steps_to_adapt(self, steps: int | None) -> int:
        """Return the number of steps an adaptation takes."""
        if steps is not None:
            return steps
        return self.metagrad.steps if self.adapt_steps is None else self.adapt_steps

    def split(self, learner: Learner) -> tuple[Learner, Learner]:
        """Return ``(learned, fixed)``: the leaves the outer loop trains, and the others."""
        params = jax.tree.map(lambda _: True, learner.params)
        if self.frozen is not None:
            held = selection(learner.params, self.frozen)
            params = jax.tree.map(lambda hold: not hold, held)
        return eqx.partition(learner, Learner(params, learner.rule.learned(), learner.moves))


@eqx.filter_jit
def _step(algorithm: Bilevel, state: State, tasks: Task) -> tuple[State, Info]:
    checks.loss(
        algorithm.objective, state.learner.params, state.stats, take(tasks.support, 0)
    )
    reduced = _meta_gradient(algorithm, state, tasks)
    learned, fixed = algorithm.split(state.learner)
    updates, opt_state = algorithm.outer.update(reduced.grad, state.opt_state, learned)
    moved = optax.apply_updates(learned, updates)
    # a batch in which no task counted must not move anything, momentum included.
    any_kept = reduced.kept.any()
    learned, opt_state = trees.where(any_kept, (moved, opt_state), (learned, state.opt_state))
    stats = _mean_stats(reduced, state.stats)
    following = State(eqx.combine(learned, fixed), opt_state, state.step + 1, state.key, stats)
    return following, _info(algorithm, reduced)


def _meta_gradient(algorithm: Bilevel, state: State, tasks: Task) -> Reduced:
    step_key = jax.random.fold_in(state.key, state.step)

    def per_task(task: Task, index: Array) -> tuple[Outcome, Learner]:
        when = When(state.step, jax.random.fold_in(step_key, index))
        outcome, grad = algorithm.metagrad(
            state.learner, algorithm.objective, task, when, state.stats
        )
        return outcome, algorithm.split(grad)[0]

    return reduce_tasks(per_task, tasks, algorithm.reduce, algorithm.tasks_in_parallel)


def _mean_stats(reduced: Reduced, old: PyTree) -> PyTree:
    if old is None:
        return None
    weights = reduced.kept / jnp.maximum(reduced.kept.sum(), 1)

    def mean(rows: Array, before: Array) -> Array:
        shape = (-1,) + (1,) * (rows.ndim - 1)
        kept = jnp.where(reduced.kept.reshape(shape), rows, 0)
        average = jnp.sum(kept * weights.reshape(shape), 0).astype(before.dtype)
        return jnp.where(reduced.kept.any(), average, before)

    return jax.tree.map(mean, reduced.outcomes.stats, old)


def _info(algorithm: Bilevel, reduced: Reduced) -> Info:
    kept, outcomes = reduced.kept, reduced.outcomes
    total = jnp.sum(jnp.where(kept, outcomes.loss, 0))
    if algorithm.reduce == "mean":
        total = total / jnp.maximum(kept.sum(), 1)
    return Info(
        loss=jnp.where(kept.any(), total, jnp.nan),
        task_losses=outcomes.loss,
        support_losses=outcomes.support_losses,
        kept=kept,
        skipped=jnp.sum(~kept),
        grad_norm=trees.norm(reduced.grad),
        aux=outcomes.aux,
    )


@eqx.filter_jit
def _adapt(algorithm: Bilevel, state: State, support: PyTree, steps: int) -> PyTree:
    checks.loss(algorithm.objective, state.learner.params, state.stats, support)
    metagrad, objective = algorithm.metagrad, algorithm.objective
    return metagrad.adapt(state.learner, objective, support, steps, state.stats).params


@eqx.filter_jit
def _losses(
    algorithm: Bilevel, state: State, task: Task, steps: int
) -> Float[Array, " steps+1"]:
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
