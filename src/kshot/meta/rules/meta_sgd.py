"""Meta-learned rates: one per leaf or per parameter (Meta-SGD), and per step (MAML++).

Rates live as logarithms. The original Meta-SGD lets a rate turn negative, which is how it diverges
once it takes several steps; a positive rate cannot climb, and moves multiplicatively under Adam.
"""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from kshot.meta.inner_loss import InnerLoss
from kshot.meta.rules.base import InnerRule, StepInfo
from kshot.meta.rules.sgd import positive_rate

Per = Literal["leaf", "parameter"]


class MetaSGD(InnerRule):
    """Gradient descent whose rates are leaves of the learner; see `meta_sgd`."""

    log_rates: PyTree
    start: float = eqx.field(static=True)
    per: Per = eqx.field(static=True)
    per_step: bool = eqx.field(static=True)

    def prepare(self, params: PyTree, steps: int) -> MetaSGD:
        """Return the rule with one log-rate per leaf or parameter (and step)."""
        times = (max(steps, 1),) if self.per_step else ()

        def rates(leaf: Array) -> Array:
            shape = times + (leaf.shape if self.per == "parameter" else ())
            return jnp.full(shape, jnp.log(self.start), leaf.dtype)

        return MetaSGD(jax.tree.map(rates, params), self.start, self.per, self.per_step)

    def learned(self) -> PyTree:
        """Return True for every rate."""
        return jax.tree.map(lambda _: True, self)

    def init(self, params: PyTree) -> Int[Array, ""]:
        """Return the step counter."""
        del params
        return jnp.zeros((), jnp.int32)

    def step(
        self, loss: InnerLoss, params: PyTree, data: PyTree, state: PyTree
    ) -> tuple[PyTree, Int[Array, ""], StepInfo]:
        """Move down the gradient, each leaf or parameter at its own rate."""
        (value, extra), grad = loss.value_and_grad(params, data)

        def move(p: Array, g: Array, log_rate: Array) -> Array:
            # past the last trained step, the last step's rates serve on.
            row = log_rate[jnp.minimum(state, len(log_rate) - 1)] if self.per_step else log_rate
            return p - jnp.exp(row) * g

        moved = jax.tree.map(move, params, grad, self.log_rates)
        return moved, state + 1, StepInfo(value, extra)


def meta_sgd(rate: float, per: Per = "parameter") -> MetaSGD:
    """Return gradient descent with meta-learned rates.

    Args:
        rate: where every rate starts, > 0.
        per: ``"leaf"`` for one rate per parameter array, ``"parameter"`` for one per scalar.
    """
    return MetaSGD(None, positive_rate(rate), per, False)


def per_step(rate: float, per: Per = "leaf") -> MetaSGD:
    """Return gradient descent with meta-learned rates per layer and per step (MAML++).

    Args:
        rate: where every rate starts, > 0.
        per: as in `meta_sgd`.
    """
    return MetaSGD(None, positive_rate(rate), per, True)


def example_meta_sgd() -> MetaSGD:
    """Return the instance the contract tests run."""
    return meta_sgd(0.05)


def example_per_step() -> MetaSGD:
    """Return the instance the contract tests run."""
    return per_step(0.05)
