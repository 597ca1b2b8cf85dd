"""Model-agnostic meta-learning and its close relatives."""

from __future__ import annotations

from typing import Unpack

import optax

from kshot.meta import metagrads, rules
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.algorithms.common import Common, Loss, bilevel
from kshot.meta.learner import Where
from kshot.meta.metagrads.memory import Policy
from kshot.meta.problems import body, head, squared_error
from kshot.meta.rules.base import InnerRule


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
    loss: Loss,
    head: Where,
    rule: InnerRule | None = None,
    steps: int = 1,
    **options: Unpack[Common],
) -> Bilevel:
    """Return ANIL (Raghu et al. 2020, arXiv 1909.09157): only ``head(params)`` adapts."""
    options["adapts"] = head
    return maml(loss, rule, steps, **options)


def boil(
    loss: Loss,
    body: Where,
    rule: InnerRule | None = None,
    steps: int = 1,
    **options: Unpack[Common],
) -> Bilevel:
    """Return BOIL (Oh et al. 2021, arXiv 2008.08882): only ``body(params)`` adapts."""
    options["adapts"] = body
    return maml(loss, rule, steps, **options)


def meta_sgd(loss: Loss, rate: float = 0.01, steps: int = 1, **options: Unpack[Common]) -> Bilevel:
    """Return Meta-SGD (Li et al. 2017, arXiv 1707.09835): one learned rate per parameter."""
    return maml(loss, rules.meta_sgd(rate), steps, **options)


def example_maml() -> Bilevel:
    """Return the instance the contract tests run."""
    return maml(squared_error, rules.sgd(0.01), steps=2)


def example_fomaml() -> Bilevel:
    """Return the instance the contract tests run."""
    return fomaml(squared_error, steps=2)


def example_reptile() -> Bilevel:
    """Return the instance the contract tests run."""
    return reptile(squared_error, steps=3, outer=optax.sgd(0.1))


def example_anil() -> Bilevel:
    """Return the instance the contract tests run."""
    return anil(squared_error, head, steps=2)


def example_boil() -> Bilevel:
    """Return the instance the contract tests run."""
    return boil(squared_error, body, steps=2)


def example_meta_sgd() -> Bilevel:
    """Return the instance the contract tests run."""
    return meta_sgd(squared_error, steps=2)
