"""Closed-form ridge regression on leaves that enter the residuals linearly (R2-D2, ALPaCA).

The one inner step is exact: minimise |r(φ)|² + (φ − θ)ᵀ Λ (φ − θ) over the moving leaves, with a
meta-learned prior mean θ, precision Λ and noise. Differentiable through the solve.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from kshot.core import trees
from kshot.core.errors import LossError
from kshot.meta.inner_loss import InnerLoss
from kshot.meta.loss import Extra
from kshot.meta.programs import depends_on_first
from kshot.meta.rules.base import PosteriorRule, StepInfo
from kshot.meta.rules.gauss_newton import GaussNewton, gauss_newton
from kshot.meta.rules.least_squares import Solver
from kshot.meta.rules.posterior import Posterior


class Ridge(PosteriorRule):
    """One exact step on linear leaves; see `ridge`."""

    inner: GaussNewton

    def prepare(self, params: PyTree, steps: int) -> Ridge:
        """Prepare the prior for these leaves."""
        return Ridge(self.inner.prepare(params, steps))

    def learned(self) -> PyTree:
        """Return True for precisions and noise."""
        return jax.tree.map(lambda _: True, self)

    def init(self, params: PyTree) -> PyTree:
        """Return the anchor θ, the mean of the prior."""
        return params

    def step(
        self, loss: InnerLoss, params: PyTree, data: PyTree, state: PyTree
    ) -> tuple[PyTree, PyTree, StepInfo]:
        """Move to the minimum; a second step would stay there."""
        value = loss(params, data)
        check_linear(loss, params, data)
        move = self.inner.move(loss, params, data, state, jnp.zeros((), value.dtype))
        return trees.add(params, move), state, StepInfo(value, Extra())

    def posterior(self, loss: InnerLoss, params: PyTree, data: PyTree) -> Posterior:
        """Return the exact Gaussian posterior over the linear leaves."""
        return self.inner.posterior(loss, params, data)


def ridge(precision: float = 1.0, noise: float = 1.0, solver: Solver = "auto") -> Ridge:
    """Return closed-form ridge regression; let ``adapts=`` pick the linear leaves (the head).

    Args:
        precision: where the prior precision of every leaf starts, relative to the noise, > 0.
        noise: the variance σ² of one residual, for predictive variances, > 0.
        solver: as in `kshot.meta.rules.gauss_newton`.
    """
    return Ridge(gauss_newton(precision, noise=noise, solver=solver))


def check_linear(loss: InnerLoss, params: PyTree, data: PyTree) -> None:
    """Raise unless the residuals are affine in the moving leaves, seen from the traced program.

    Residuals are affine exactly when their derivative does not depend on where it is taken.

    Raises:
        LossError: they are not.
    """
    fn = loss.residuals(data)

    def derivative(point: PyTree, along: PyTree) -> jax.Array:
        return jax.jvp(fn, (point,), (along,))[1]

    if depends_on_first(derivative, params, params):
        raise LossError(
            "residuals linear in the adapted leaves",
            "residuals whose derivative depends on those leaves",
            "Pick only a linear head with adapts=, or use rules.gauss_newton.",
        )


def example_ridge() -> Ridge:
    """Return the instance the contract tests run."""
    return ridge(precision=0.1)
