"""Adaptation that cannot leave a task worse off on its own support set than before."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from kshot.core import trees
from kshot.meta import checks
from kshot.meta.algorithms.base import State
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.evaluate.measure import along
from kshot.meta.learner import Learner


class Guarded(NamedTuple):
    """What a guarded adaptation returns.

    Args:
        params: the parameters kept.
        support_losses: the support loss before adaptation and after each step.
        diverged: whether the last step was not fit to keep.
        steps_kept: after how many steps the kept parameters are.
    """

    params: PyTree
    support_losses: Float[Array, " points"]
    diverged: Bool[Array, ""]
    steps_kept: Int[Array, ""]


def adapt_guarded(
    algorithm: Bilevel, state: State, support: PyTree, steps: int | None = None
) -> Guarded:
    """Adapt to one support set, and keep the last step only if the support loss says it is sound.

    The last step is kept when the loss and the parameters stayed finite all the way and the loss
    did not end above where it began; else the step with the lowest finite loss is (step 0, the
    initialisation, if there is none). Pure: ``jax.jit`` and ``jax.vmap`` apply. The adapting leaves
    of every step are held at once.

    Args:
        algorithm: a bilevel algorithm.
        state: its state.
        support: a support set.
        steps: inner steps; the algorithm's own number if None.
    """
    checks.support(support)
    return _adapt_guarded(algorithm, state, support, algorithm.steps_to_adapt(steps))


@eqx.filter_jit
def _adapt_guarded(algorithm: Bilevel, state: State, support: PyTree, steps: int) -> Guarded:
    learner = state.learner

    def look(params: PyTree, stats: PyTree) -> tuple[Array, Array, PyTree]:
        moving, _ = Learner(params, learner.rule, learner.moves).split()
        loss = algorithm.objective(params, support, stats)
        return loss, jnp.isfinite(loss) & trees.all_finite(moving), moving

    losses, finite, path = along(algorithm, state, support, steps, look)
    sound = finite.all() & (losses[-1] <= losses[0])
    best = jnp.argmin(jnp.where(finite, losses, jnp.inf)).astype(jnp.int32)
    kept = jnp.where(sound, jnp.asarray(steps, jnp.int32), best)
    moving = jax.tree.map(lambda rows: rows[kept], path)
    return Guarded(eqx.combine(moving, learner.split()[1]), losses, ~sound, kept)
