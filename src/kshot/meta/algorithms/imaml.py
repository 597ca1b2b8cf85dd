"""iMAML: the meta-gradient through the optimum of a proximal inner problem."""

from __future__ import annotations

from typing import Unpack

from kshot.meta import metagrads, rules
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.algorithms.common import Common, Loss, bilevel
from kshot.meta.problems import squared_error
from kshot.meta.rules.base import InnerRule


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
        **options: see `Common`.
    """
    inner = rules.proximal(strength, rule or rules.sgd(0.01))
    return bilevel(loss, inner, metagrads.implicit(steps, cg_steps), **options)


def example_imaml() -> Bilevel:
    """Return the instance the contract tests run."""
    return imaml(squared_error, steps=4, strength=2.0, cg_steps=5)
