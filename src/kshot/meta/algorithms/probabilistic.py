"""Probabilistic MAML: a Gaussian over initialisations."""

from __future__ import annotations

from typing import Unpack

from kshot.meta import metagrads, rules
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.algorithms.common import Common, Loss, bilevel
from kshot.meta.problems import squared_error
from kshot.meta.rules.base import InnerRule


def probabilistic(
    loss: Loss,
    rule: InnerRule | None = None,
    steps: int = 1,
    kl_weight: float = 1e-4,
    std: float = 0.01,
    **options: Unpack[Common],
) -> Bilevel:
    """Return probabilistic MAML (Finn, Xu & Levine 2018, arXiv 1806.02817).

    Args:
        loss: the loss.
        rule: the rule that adapts a drawn initialisation.
        steps: inner steps.
        kl_weight: weight of KL(posterior ‖ prior) beside the query loss.
        std: where the standard deviations of the initialisation start.
        **options: see `Common`.
    """
    inner = rules.gaussian_start(rule or rules.sgd(0.01), std)
    return bilevel(loss, inner, metagrads.probabilistic(steps, kl_weight), **options)


def example_probabilistic() -> Bilevel:
    """Return the instance the contract tests run."""
    return probabilistic(squared_error, steps=2)
