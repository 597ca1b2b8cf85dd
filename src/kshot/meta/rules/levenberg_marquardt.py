"""Levenberg-Marquardt: Gauss-Newton steps that are taken only when they help.

A full Gauss-Newton step can overshoot at larger K; here the damping grows until a step lowers the
objective, and relaxes after one that did.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from kshot.core import trees
from kshot.meta.inner_loss import InnerLoss
from kshot.meta.loss import Extra
from kshot.meta.rules.base import PosteriorRule, StepInfo
from kshot.meta.rules.gauss_newton import GaussNewton, gauss_newton
from kshot.meta.rules.least_squares import Solver
from kshot.meta.rules.posterior import Posterior

GROW, SHRINK = 4.0, 0.25


class LevenbergMarquardt(PosteriorRule):
    """Damped Gauss-Newton with acceptance; see `levenberg_marquardt`."""

    inner: GaussNewton

    def prepare(self, params: PyTree, steps: int) -> LevenbergMarquardt:
        """Prepare the Gauss-Newton rule inside."""
        return LevenbergMarquardt(self.inner.prepare(params, steps))

    def learned(self) -> PyTree:
        """Return what the Gauss-Newton rule learns: precisions and the first damping."""
        return eqx.tree_at(lambda r: r.inner, self, self.inner.learned())

    def init(self, params: PyTree) -> tuple[PyTree, Float[Array, ""]]:
        """Return the anchor θ and the damping to start from."""
        return params, jnp.exp(self.inner.log_damping)

    def step(
        self, loss: InnerLoss, params: PyTree, data: PyTree, state: PyTree
    ) -> tuple[PyTree, PyTree, StepInfo]:
        """Try one damped step; keep it if the objective falls, else stay and damp more."""
        anchor, damping = state
        move = self.inner.move(loss, params, data, anchor, damping)
        tried = trees.add(params, move)
        before = self.objective(loss, params, data, anchor)
        better = self.objective(loss, tried, data, anchor) < before
        params_next = trees.where(better, tried, params)
        damping = damping * jnp.where(better, SHRINK, GROW).astype(damping.dtype)
        info = StepInfo(loss(params, data), Extra())
        return params_next, (anchor, damping), info

    def objective(self, loss: InnerLoss, params: PyTree, data: PyTree, anchor: PyTree) -> Array:
        """Return |r|² + (φ − θ)ᵀ Λ (φ − θ), what a step must lower."""
        residuals = loss.residuals(data)(params)
        away = trees.subtract(params, anchor)
        weighted = jax.tree.map(jnp.multiply, self.inner.prior(params), away)
        return jnp.sum(jnp.square(residuals)) + trees.dot(weighted, away)

    def posterior(self, loss: InnerLoss, params: PyTree, data: PyTree) -> Posterior:
        """Return the linearised Gaussian posterior around adapted ``params``."""
        return self.inner.posterior(loss, params, data)


def levenberg_marquardt(
    precision: float = 1.0, damping: float = 1.0, noise: float = 1.0, solver: Solver = "auto"
) -> LevenbergMarquardt:
    """Return Levenberg-Marquardt steps around a meta-learned prior.

    Args:
        precision: as in `kshot.meta.rules.gauss_newton`.
        damping: the first damping; it then falls or grows by four as steps are kept or refused.
        noise: the variance σ² of one residual.
        solver: as in `kshot.meta.rules.gauss_newton`.
    """
    return LevenbergMarquardt(gauss_newton(precision, damping, noise, solver))


def example_levenberg_marquardt() -> LevenbergMarquardt:
    """Return the instance the contract tests run."""
    return levenberg_marquardt(precision=0.1, damping=0.5)
