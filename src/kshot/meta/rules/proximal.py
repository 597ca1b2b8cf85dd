"""Any rule on a proximal objective: L_S(φ) + (λ/2)|φ − θ|², the inner problem of iMAML."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from kshot.meta.inner_loss import InnerLoss
from kshot.meta.rules.base import InnerRule, StepInfo
from kshot.meta.rules.sgd import positive_rate, sgd


class Proximal(InnerRule):
    """A rule pulled back to where it started; see `proximal`."""

    strength: Float[Array, ""]
    inner: InnerRule

    def prepare(self, params: PyTree, steps: int) -> Proximal:
        """Prepare the rule inside."""
        return Proximal(self.strength, self.inner.prepare(params, steps))

    def learned(self) -> PyTree:
        """Return what the rule inside learns; the strength is fixed."""
        return eqx.tree_at(lambda r: (r.strength, r.inner), self, (False, self.inner.learned()))

    def init(self, params: PyTree) -> PyTree:
        """Return the anchor and the inner rule's state."""
        return params, self.inner.init(params)

    def step(
        self, loss: InnerLoss, params: PyTree, data: PyTree, state: PyTree
    ) -> tuple[PyTree, PyTree, StepInfo]:
        """Move once on the pulled objective; the loss told includes the pull."""
        anchor, inner = state
        pulled = loss.pulled(anchor, self.strength)
        params, inner, info = self.inner.step(pulled, params, data, inner)
        return params, (anchor, inner), info


def proximal(strength: float, inner: InnerRule) -> Proximal:
    """Return a rule that minimises the support loss plus a pull towards the initialisation.

    Args:
        strength: λ > 0 of (λ/2)|φ − θ|².
        inner: the gradient rule that does the minimising.
    """
    return Proximal(jnp.asarray(positive_rate(strength, "a proximal strength")), inner)


def example_proximal() -> Proximal:
    """Return the instance the contract tests run."""
    return proximal(0.5, sgd(0.05))
