"""MAML++: what it takes to train MAML stably over several steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from kshot.core.errors import OptionError
from kshot.meta import metagrads, rules
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.algorithms.common import Common, Loss, bilevel
from kshot.meta.problems import squared_error


def mamlpp(
    loss: Loss,
    rate: float = 0.01,
    steps: int = 5,
    total: int = 10_000,
    peak: float = 1e-3,
    **options: Unpack[Common],
) -> Bilevel:
    """Return MAML++ (Antoniou et al. 2019, arXiv 1810.09502).

    Multi-step query loss whose weights anneal to the last step, rates per layer and per step, first
    order early and exact later, and a cosine outer rate.

    Args:
        loss: the loss.
        rate: where the inner rates start.
        steps: inner steps.
        total: outer steps planned; the schedules are laid over them.
        peak: the outer Adam rate at the start of its cosine.
        **options: see `Common`; ``outer`` replaces the cosine-rated Adam.
    """
    if total < 1:
        raise OptionError("total ≥ 1 outer steps", str(total), "Give the length of the training.")
    weights = multi_step_weights(steps, until=total // 3)
    early = metagrads.first_order(steps, step_weights=weights)
    late = metagrads.exact(steps, step_weights=weights)
    options.setdefault("outer", optax.adam(optax.cosine_decay_schedule(peak, total, alpha=1e-2)))
    metagrad = metagrads.annealed(early, late, switch_at=total // 5)
    return bilevel(loss, rules.per_step(rate), metagrad, **options)


def multi_step_weights(steps: int, until: int) -> Callable[[Array], Float[Array, " steps"]]:
    """Return weights of the query loss after each step: equal at first, all on the last in the end.

    Args:
        steps: the number of inner steps.
        until: the outer step by which all weight is on the last.
    """

    def weights(step: Array) -> Float[Array, " steps"]:
        early = jnp.clip(1.0 - step / max(until, 1), 0.0, 1.0) / steps
        return jnp.full((steps,), early).at[-1].set(1.0 - early * (steps - 1))

    return weights


def example_mamlpp() -> Bilevel:
    """Return the instance the contract tests run."""
    return mamlpp(squared_error, steps=2, total=20)
