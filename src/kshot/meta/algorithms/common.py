"""What every recipe shares: one call that combines rule, meta-gradient and outer optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, Unpack

import optax

from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.algorithms.reduce import Reduce
from kshot.meta.learner import Where
from kshot.meta.loss import Objective, as_objective
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
        **options: see `Common`.
    """
    return Bilevel(
        objective=as_objective(loss),
        rule=rule,
        metagrad=metagrad,
        outer=options.get("outer") or optax.adam(1e-3),
        adapts=options.get("adapts"),
        frozen=options.get("frozen"),
        reduce=options.get("reduce", "mean"),
        tasks_in_parallel=options.get("tasks_in_parallel"),
        adapt_steps=options.get("adapt_steps"),
    )
