"""Plain gradient descent: φ ← φ − α ∇L_S(φ)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from kshot.core.errors import OptionError
from kshot.meta.inner_loss import InnerLoss
from kshot.meta.rules.base import InnerRule, StepInfo


class SGD(InnerRule):
    """Gradient descent with one fixed rate; see `sgd`."""

    rate: Float[Array, ""]

    def step(
        self, loss: InnerLoss, params: PyTree, data: PyTree, state: PyTree
    ) -> tuple[PyTree, PyTree, StepInfo]:
        """Move down the gradient."""
        (value, extra), grad = loss.value_and_grad(params, data)
        moved = jax.tree.map(lambda p, g: p - self.rate.astype(p.dtype) * g, params, grad)
        return moved, state, StepInfo(value, extra)


def sgd(rate: float) -> SGD:
    """Return gradient descent with a fixed inner rate.

    Args:
        rate: α > 0. To meta-learn rates, use `kshot.meta.rules.meta_sgd`.
    """
    return SGD(jnp.asarray(positive_rate(rate)))


def positive_rate(rate: float, what: str = "an inner rate") -> float:
    """Return the rate, or raise OptionError unless it is a finite number above zero."""
    if not 0 < rate < float("inf"):
        raise OptionError(f"{what} > 0", f"{rate}", "Typical inner rates are 1e-3 to 1e-1.")
    return rate


def example_sgd() -> SGD:
    """Return the instance the contract tests run."""
    return sgd(0.05)
