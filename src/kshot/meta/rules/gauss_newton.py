"""Gauss-Newton and Levenberg-Marquardt steps for sum-of-squares losses, with a prior around θ.

The inner problem is maximum a posteriori for noise σ and a Gaussian prior of precision Λ/σ²,
one Λ per leaf:  minimise |r(φ)|² + (φ − θ)ᵀ Λ (φ − θ).  One step linearises r.
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
from kshot.meta.rules.least_squares import Solver, System, dense, solve
from kshot.meta.rules.posterior import Posterior
from kshot.meta.rules.sgd import positive_rate


class GaussNewton(PosteriorRule):
    """Gauss-Newton steps with meta-learned precision and damping; see `gauss_newton`."""

    log_precision: PyTree
    log_damping: Float[Array, ""]
    log_noise: Float[Array, ""]
    precision: float = eqx.field(static=True)
    solver: Solver = eqx.field(static=True)

    def prepare(self, params: PyTree, steps: int) -> GaussNewton:
        """Return the rule with one log-precision per leaf."""
        del steps
        rows = jax.tree.map(lambda leaf: jnp.log(jnp.asarray(self.precision, leaf.dtype)), params)
        return eqx.tree_at(lambda r: r.log_precision, self, rows, is_leaf=lambda x: x is None)

    def learned(self) -> PyTree:
        """Return True for precisions, damping and noise (felt only through the posterior)."""
        return jax.tree.map(lambda _: True, self)

    def init(self, params: PyTree) -> PyTree:
        """Return the anchor θ, the mean of the prior."""
        return params

    def step(
        self, loss: InnerLoss, params: PyTree, data: PyTree, state: PyTree
    ) -> tuple[PyTree, PyTree, StepInfo]:
        """Move to the minimum of the linearised, damped problem."""
        value = loss(params, data)
        move = self.move(loss, params, data, state, jnp.exp(self.log_damping))
        return trees.add(params, move), state, StepInfo(value, Extra())

    def move(
        self, loss: InnerLoss, params: PyTree, data: PyTree, anchor: PyTree, damping: Array
    ) -> PyTree:
        """Return the step δ of the linearised problem at ``params``."""
        residuals = loss.linearise(params, data)
        params, anchor = loss.route.enter((params, anchor))
        prior = self.prior(params)
        pull = jax.tree.map(lambda w, p, a: w * (p - a), prior, params, anchor)
        diagonal = jax.tree.map(lambda w: w + damping.astype(w.dtype), prior)
        return solve(System(residuals, params, diagonal), pull, self.solver)

    def prior(self, params: PyTree) -> PyTree:
        """Return Λ as a tree of full leaves like ``params``."""
        return jax.tree.map(
            lambda leaf, row: jnp.broadcast_to(jnp.exp(row), leaf.shape), params, self.log_precision
        )

    def posterior(self, loss: InnerLoss, params: PyTree, data: PyTree) -> Posterior:
        """Return the linearised Gaussian posterior around adapted ``params``."""
        system = System(loss.linearise(params, data), params, self.prior(params))
        return Posterior(params, loss.still, dense(system), jnp.exp(self.log_noise))


def gauss_newton(
    precision: float = 1.0, damping: float = 1e-6, noise: float = 1.0, solver: Solver = "auto"
) -> GaussNewton:
    """Return full Gauss-Newton steps around a meta-learned prior.

    Args:
        precision: where the prior precision of every leaf starts, relative to the noise, > 0.
        damping: where the damping starts; it shortens steps and fades from the fixed point, > 0.
        noise: the variance σ² of one residual, for predictive variances, > 0.
        solver: ``"dual"`` (n×n), ``"primal"`` (P×P), ``"cg"`` (matrix-free) or ``"auto"``.
    """
    positive_rate(precision, "a prior precision")
    logs = [jnp.log(jnp.asarray(positive_rate(x, "damping and noise"))) for x in (damping, noise)]
    return GaussNewton(None, logs[0], logs[1], precision, solver)


def example_gauss_newton() -> GaussNewton:
    """Return the instance the contract tests run."""
    return gauss_newton(precision=1.0, damping=1.0)
