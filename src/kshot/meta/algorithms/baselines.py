"""The baselines every meta-learner must beat, in the same interface."""

from __future__ import annotations

from typing import Unpack

import optax

from kshot.meta import metagrads, rules
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.algorithms.common import Common, Loss, bilevel
from kshot.meta.problems import squared_error
from kshot.meta.rules.base import InnerRule


def joint(loss: Loss, **options: Unpack[Common]) -> Bilevel:
    """Return joint training without adaptation: the zero-shot baseline."""
    options.setdefault("adapt_steps", 0)
    return bilevel(loss, rules.sgd(0.01), metagrads.joint(), **options)


def finetune(
    loss: Loss, rule: InnerRule | None = None, steps: int = 10, **options: Unpack[Common]
) -> Bilevel:
    """Return joint training, then fine-tuning on the support set: the baseline to beat.

    Args:
        loss: the loss.
        rule: how fine-tuning moves.
        steps: fine-tuning steps.
        **options: see `Common`.
    """
    options.setdefault("adapt_steps", steps)
    return bilevel(loss, rule or rules.sgd(0.01), metagrads.joint(), **options)


def scratch(
    loss: Loss, rule: InnerRule | None = None, steps: int = 100, **options: Unpack[Common]
) -> Bilevel:
    """Return training from scratch on each support set: outer steps change nothing.

    Args:
        loss: the loss.
        rule: how training moves.
        steps: training steps.
        **options: see `Common`.
    """
    options.setdefault("adapt_steps", steps)
    options["outer"] = optax.set_to_zero()
    return bilevel(loss, rule or rules.adam(0.01), metagrads.joint(), **options)


def example_joint() -> Bilevel:
    """Return the instance the contract tests run."""
    return joint(squared_error)


def example_finetune() -> Bilevel:
    """Return the instance the contract tests run."""
    return finetune(squared_error, steps=3)


def example_scratch() -> Bilevel:
    """Return the instance the contract tests run."""
    return scratch(squared_error, steps=3)
