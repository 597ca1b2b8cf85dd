"""The memory policy: predict what a meta-step needs, and choose how to take it."""

from __future__ import annotations

from typing import Literal

from jaxtyping import PyTree

from kshot.core import trees
from kshot.meta.learner import Learner
from kshot.meta.loss import Objective

Memory = Literal["none", "per_step", "nested"]
Policy = Literal["auto", "none", "per_step", "nested"]

UNROLL_LIMIT = 10


def resolve(
    policy: Policy, learner: Learner, loss: Objective, support: PyTree, steps: int
) -> tuple[Memory, int]:
    """Return the memory mode and the number of unrolled steps for an inner loop."""
    del loss, support
    small = trees.count(learner.params) < 100_000
    unroll = steps if small and steps <= UNROLL_LIMIT else 1
    if policy != "auto":
        return policy, unroll
    return ("none", unroll) if small else ("nested", 1)
