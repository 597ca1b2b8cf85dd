"""Inner steps in closed form: Gauss-Newton, ridge heads, Bayesian last layers."""

from __future__ import annotations

from typing import Unpack

from kshot.meta import metagrads, rules
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.algorithms.common import Common, bilevel
from kshot.meta.learner import Where
from kshot.meta.loss import Objective
from kshot.meta.problems import head, squared_error


def gauss_newton(
    loss: Objective,
    precision: float = 1.0,
    damping: float = 1.0,
    steps: int = 2,
    **options: Unpack[Common],
) -> Bilevel:
    """Return MAML whose inner steps are Gauss-Newton steps around a meta-learned prior."""
    rule = rules.gauss_newton(precision, damping)
    return bilevel(loss, rule, metagrads.exact(steps), **options)


def ridge(
    loss: Objective, head: Where, precision: float = 1.0, **options: Unpack[Common]
) -> Bilevel:
    """Return a meta-learned body with a closed-form ridge head (R2-D2, arXiv 1805.08136).

    Args:
        loss: a `SumOfSquares` whose residuals are linear in ``head(params)``.
        head: the leaves the closed form solves for.
        precision: where the prior precision starts.
        **options: see `Common`.
    """
    options["adapts"] = head
    return bilevel(loss, rules.ridge(precision), metagrads.exact(1), **options)


def bayes_head(
    loss: Objective,
    head: Where,
    precision: float = 1.0,
    noise: float = 0.1,
    **options: Unpack[Common],
) -> Bilevel:
    """Return a closed-form Bayesian last layer (ALPaCA, arXiv 1807.08912).

    The prior over the head and the noise are meta-learned by the predictive likelihood of the query
    set, so that variances mean something: see ``Bilevel.posterior``.

    Args:
        loss: a `SumOfSquares` whose residuals are linear in ``head(params)``.
        head: the leaves with a prior.
        precision: where the prior precision starts, relative to the noise.
        noise: where the variance of one residual starts.
        **options: see `Common`.
    """
    rule = rules.ridge(precision, noise)
    options["adapts"] = head
    return bilevel(loss, rule, metagrads.predictive(1), **options)


def example_gauss_newton() -> Bilevel:
    """Return the instance the contract tests run."""
    return gauss_newton(squared_error, steps=1)


def example_ridge() -> Bilevel:
    """Return the instance the contract tests run."""
    return ridge(squared_error, head)


def example_bayes_head() -> Bilevel:
    """Return the instance the contract tests run."""
    return bayes_head(squared_error, head)
