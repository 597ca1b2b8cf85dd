"""The memory policy of the inner loop: predict what each mode keeps, and choose one.

* ``none``: whatever the compiler sees fit; for plain reverse every activation of every step, for
  forward over reverse φ before each step (unrolled, the compiler keeps activations there too).
* ``per_step``: φ before each step; a step's activations are made again, one step at a time.
* ``nested``: φ at every √k-th step; blocks of steps, then steps, are made again. A scan of scans: a
  Python loop of checkpointed scans saves nothing on XLA CPU.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from kshot.core import trees
from kshot.meta.inner_loss import InnerLoss, Route
from kshot.meta.learner import Learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.routes import FORWARD_OVER_REVERSE, REVERSE
from kshot.meta.programs import product_bytes, trace

Memory = Literal["none", "per_step", "nested"]
Policy = Literal["auto", "none", "per_step", "nested"]
MODES: tuple[Memory, ...] = ("none", "per_step", "nested")

# below this a task's whole inner loop is kept: it fits the caches, and making it again would cost
# more than reading it. Beyond it, copies of φ may take half as much before blocks are made again.
KEEP_ALL = 32 * 2**20
UNROLL_STEPS = 10
SMALL = 100_000


class Sizes(NamedTuple):
    """Bytes of one task's inner step: φ, and the products a differentiated step keeps."""

    params: int
    activations: int


class Choice(NamedTuple):
    """How an inner loop is run: its memory mode, and how many steps the compiler sees at once."""

    memory: Memory
    unroll: int


def measure(learner: Learner, loss: Objective, support: PyTree) -> Sizes:
    """Return the sizes of one inner step, from shapes alone."""
    moving, still = learner.split()

    def step(moving: PyTree, support: PyTree) -> PyTree:
        inner = InnerLoss(loss, still, None, REVERSE)
        return learner.rule.step(inner, moving, support, learner.rule.init(moving))[0]

    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x)), support)
    return Sizes(trees.nbytes(moving), product_bytes(trace(step, moving, shapes)))


def predict(sizes: Sizes, steps: int, memory: Memory, route: Route) -> int:
    """Return the predicted peak bytes of one task's exact meta-gradient.

    One differentiated step takes its activations and three copies of φ (φ, gradient, cotangent);
    the mode adds what it keeps of the others.
    """
    base = sizes.activations + 3 * sizes.params
    if steps <= 1:
        return base
    if memory == "nested":
        block = math.isqrt(steps)
        return base + (-(-steps // block) + block) * sizes.params
    if memory == "per_step" or route == FORWARD_OVER_REVERSE:
        return base + steps * sizes.params
    return base + steps * sizes.activations


def is_small(params: PyTree) -> bool:
    """Whether compiling is cheap enough to trade for speed: unrolled loops, two paths in a step."""
    return trees.count(params) < SMALL


def resolve(
    policy: Policy, learner: Learner, loss: Objective, support: PyTree, steps: int, route: Route
) -> Choice:
    """Return how to run an inner loop of ``steps`` steps."""
    small = is_small(learner.params) and steps <= UNROLL_STEPS
    if policy != "auto":
        return Choice(policy, steps if small else 1)
    if steps <= 1:
        return Choice("none", 1)
    sizes = measure(learner, loss, support)
    if steps * sizes.activations <= KEEP_ALL:
        return Choice("none", steps if small else 1)
    if 2 * steps * sizes.params <= KEEP_ALL:
        return Choice("none" if route == FORWARD_OVER_REVERSE else "per_step", 1)
    return Choice("nested", 1)
