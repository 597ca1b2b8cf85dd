"""The inner loop: the one place where a rule is stepped along the support set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from kshot.meta.inner_loss import InnerLoss, Route
from kshot.meta.learner import Learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.scan import Memory, checkpointed_scan

# called after each step with the parameters and that step's index; what it returns is stacked.
Each = Callable[[PyTree, Array], PyTree]


class Segment(NamedTuple):
    """A stretch of inner steps that are differentiated in one way.

    Args:
        steps: how many.
        route: how their inner gradients are differentiated.
        memory: what the backward pass keeps of them.
        unroll: how many of them the compiler sees at once.
    """

    steps: int
    route: Route
    memory: Memory = "none"
    unroll: int = 1


class Path(NamedTuple):
    """What the inner loop leaves behind.

    Args:
        params: the adapted parameters φᵏ, all leaves.
        losses: the support loss before each step.
        stats: model statistics after each step, stacked; ``None`` for models without state.
        each: what ``each`` returned after every step, stacked.
        steps: k.
    """

    params: PyTree
    losses: Float[Array, " steps"]
    stats: PyTree
    each: Any
    steps: int


def run_inner_loop(
    learner: Learner,
    loss: Objective,
    data: PyTree,
    segments: Sequence[Segment],
    stats: PyTree = None,
    each: Each | None = None,
) -> Path:
    """Step the rule from the learner's initialisation, segment after segment.

    Args:
        learner: the initialisation and the rule.
        loss: the objective.
        data: the support set.
        segments: how many steps to take, and how each is differentiated.
        stats: model statistics, one row per step; ``None`` for models without state.
        each: called after each step.
    """
    moving, still = learner.split()
    carry, told, done = (moving, learner.rule.init(moving)), [], 0
    for segment in segments:

        def body(carry: PyTree, index: Array, route: Route = segment.route) -> tuple:
            moving, state = carry
            inner = InnerLoss(loss, still, stats_at(stats, index), route)
            moving, state, info = learner.rule.step(inner, moving, data, state)
            seen = each(eqx.combine(moving, still), index) if each else None
            return (moving, state), (info.loss, info.extra.stats, seen)

        rows = jnp.arange(done, done + segment.steps, dtype=jnp.int32)
        carry, out = checkpointed_scan(body, carry, rows, segment.memory, segment.unroll)
        told.append(out)
        done += segment.steps
    losses, new_stats, seen = jax.tree.map(lambda *parts: jnp.concatenate(parts), *told)
    return Path(eqx.combine(carry[0], still), losses, new_stats, seen, done)


def stats_at(stats: PyTree, index: int | Array) -> PyTree:
    """Return the statistics of one step; past the last row, the last one serves on."""
    return jax.tree.map(lambda rows: rows[jnp.minimum(index, len(rows) - 1)], stats)
