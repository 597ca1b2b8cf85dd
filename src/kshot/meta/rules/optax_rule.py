"""Any optax transform as an inner rule."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from kshot.core import trees
from kshot.meta.inner_loss import InnerLoss
from kshot.meta.rules.base import InnerRule, StepInfo
from kshot.meta.rules.sgd import positive_rate


class Optax(InnerRule):
    """Steps by an optax transform, scaled by a rate that is a leaf; see `optax_rule`."""

    rate: Float[Array, ""]
    transform: optax.GradientTransformation = eqx.field(static=True)

    def init(self, params: PyTree) -> PyTree:
        """Return the transform's state."""
        return trees.strong(self.transform.init(params))

    def step(
        self, loss: InnerLoss, params: PyTree, data: PyTree, state: PyTree
    ) -> tuple[PyTree, PyTree, StepInfo]:
        """Move by the transformed gradient."""
        (value, extra), grad = loss.value_and_grad(params, data)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counts with floats.
            updates, state = self.transform.update(grad, state, params)
        moved = jax.tree.map(lambda p, u: p + self.rate.astype(p.dtype) * u, params, updates)
        return moved, state, StepInfo(value, extra)


def optax_rule(transform: optax.GradientTransformation, rate: float = 1.0) -> Optax:
    """Return any optax transform as an inner rule.

    Args:
        transform: a gradient transformation, its own learning rate included; its hyper-parameters
            are constants to the meta-gradient.
        rate: a factor on its updates, > 0.
    """
    return Optax(jnp.asarray(positive_rate(rate)), transform)


def adam(rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optax:
    """Return Adam as an inner rule.

    Args:
        rate: the inner rate, > 0.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: the term beside the root; ``eps²`` also goes under it, because the derivative of √v is
            infinite where a gradient has been zero, and an exact meta-gradient meets it there.
    """
    inner = optax.chain(optax.scale_by_adam(b1, b2, eps=eps, eps_root=eps**2), optax.scale(-1.0))
    return Optax(jnp.asarray(positive_rate(rate)), inner)


def example_optax() -> Optax:
    """Return the instance the contract tests run."""
    return optax_rule(optax.chain(optax.trace(0.5), optax.scale(-0.05)))


def example_adam() -> Optax:
    """Return the instance the contract tests run."""
    return adam(0.05)
