"""Named recipes: each is the one bilevel algorithm with its own rule, meta-gradient and leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, Unpack

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from kshot.core.errors import OptionError
from kshot.meta import metagrads, rules
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.algorithms.reduce import Reduce
from kshot.meta.learner import Where
from kshot.meta.loss import Objective, as_objective
from kshot.meta.memory import Policy
from kshot.meta.metagrads.base import MetaGrad
from kshot.meta.rules.base import InnerRule

Loss = Callable | Objective


class Common(TypedDict, total=False):
    """Options every recipe takes.

    ``outer``: the outer optax transform (Adam at 1e-3). ``adapts``: ``params -> subtree`` that the
    inner rule moves (all). ``frozen``: leaves the outer loop leaves alone (none). ``reduce``:
    ``"mean"`` (default) or ``"sum"`` over tasks. ``tasks_in_parallel``: tasks per chunk (all).
    ``adapt_steps``: inner steps at adaptation (those of training).
    """

    outer: optax.GradientTransformation
    adapts: Where | None
    frozen: Where | None
    reduce: Reduce
    tasks_in_parallel: int | None
    adapt_steps: int | None


def bilevel(loss: Loss, rule: InnerRule, metagrad: MetaGrad, **options: Unpack[Common]) -> Bilevel:
    """Return any combination of rule, meta-gradient, adapting leaves and outer optimiser.

    Args:
        loss: ``(params, data) -> scalar``, or one of the richer losses.
        rule: the inner rule.
        metagrad: how the outer gradient is taken.
        **options: see :class:`Common`.
    """
    outer = options.pop("outer", None) or optax.adam(1e-3)
    return Bilevel(as_objective(loss), rule, metagrad, outer, **options)


def maml(
    loss: Loss,
    rule: InnerRule | None = None,
    steps: int = 1,
    memory: Policy = "auto",
    **options: Unpack[Common],
) -> Bilevel:
    """Return MAML with the exact meta-gradient (Finn et al. 2017, arXiv 1703.03400)."""
    return bilevel(loss, rule or rules.sgd(0.01), metagrads.exact(steps, memory), **options)


def fomaml(
    loss: Loss, rule: InnerRule | None = None, steps: int = 1, **options: Unpack[Common]
) -> Bilevel:
    """Return first-order MAML: the inner gradients count as constants."""
    return bilevel(loss, rule or rules.sgd(0.01), metagrads.first_order(steps), **options)


def reptile(
    loss: Loss, rule: InnerRule | None = None, steps: int = 5, **options: Unpack[Common]
) -> Bilevel:
    """Return Reptile (Nichol et al. 2018, arXiv 1803.02999): towards φᵏ, no query set needed."""
    return bilevel(loss, rule or rules.sgd(0.01), metagrads.reptile(steps), **options)


def anil(
    loss: Loss, head: Where, rule: InnerRule | None = None, steps: int = 1, **options: Unpack[Common]
) -> Bilevel:
    """Return ANIL (Raghu et al. 2020, arXiv 1909.09157): only ``head(params)`` adapts."""
    return maml(loss, rule, steps, adapts=head, **options)


def boil(
    loss: Loss, body: Where, rule: InnerRule | None = None, steps: int = 1, **options: Unpack[Common]
) -> Bilevel:
    """Return BOIL (Oh et al. 2021, arXiv 2008.08882): only ``body(params)`` adapts."""
    return maml(loss, rule, steps, adapts=body, **options)


def meta_sgd(loss: Loss, rate: float = 0.01, steps: int = 1, **options: Unpack[Common]) -> Bilevel:
    """Return Meta-SGD (Li et al. 2017, arXiv 1707.09835): one learned rate per parameter."""
    return maml(loss, rules.meta_sgd(rate), steps, **options)


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
        **options: see :class:`Common`; ``outer`` replaces the cosine-rated Adam.
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


def imaml(
    loss: Loss,
    rule: InnerRule | None = None,
    steps: int = 16,
    strength: float = 1.0,
    cg_steps: int = 10,
    **options: Unpack[Common],
) -> Bilevel:
    """Return iMAML (Rajeswaran et al. 2019, arXiv 1909.04630): through the proximal optimum.

    Args:
        loss: the loss.
        rule: the gradient rule that solves the inner problem.
        steps: inner steps towards its optimum.
        strength: λ of the pull towards the initialisation.
        cg_steps: conjugate-gradient steps for the meta-gradient.
        **options: see :class:`Common`.
    """
    inner = rules.proximal(strength, rule or rules.sgd(0.01))
    return bilevel(loss, inner, metagrads.implicit(steps, cg_steps), **options)


def gauss_newton(
    loss: Objective, precision: float = 1.0, damping: float = 1.0, steps: int = 2,
    **options: Unpack[Common],
) -> Bilevel:
    """Return MAML whose inner steps are Gauss-Newton steps around a meta-learned prior."""
    rule = rules.gauss_newton(precision, damping)
    return bilevel(loss, rule, metagrads.exact(steps), **options)


def ridge(loss: Objective, head: Where, precision: float = 1.0, **options: Unpack[Common]) -> Bilevel:
    """Return a meta-learned body with a closed-form ridge head (R2-D2, arXiv 1805.08136).

    Args:
        loss: a :class:`SumOfSquares` whose residuals are linear in ``head(params)``.
        head: the leaves the closed form solves for.
        precision: where the prior precision starts.
        **options: see :class:`Common`.
    """
    return bilevel(loss, rules.ridge(precision), metagrads.exact(1), adapts=head, **options)
