"""The linearised Gaussian posterior a least-squares step leaves behind: predictive variances."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from kshot.meta.rules.least_squares import Dense, apply_inverse, choose


class Posterior(eqx.Module):
    """A Gaussian over parameters with mean φ and covariance σ² (JᵀJ + Λ)⁻¹.

    Args:
        moving: the mean of the leaves that adapt; ``None`` stands for the others.
        still: the others, known exactly.
        matrix: the support set's Jacobian and Λ over the flat moving leaves.
        noise: σ², the variance of one residual.
    """

    moving: PyTree
    still: PyTree
    matrix: Dense
    noise: Float[Array, ""]

    @property
    def params(self) -> PyTree:
        """The mean φ, all leaves."""
        return eqx.combine(self.moving, self.still)

    def covariance_times(self, vector: Float[Array, " p"]) -> Float[Array, " p"]:
        """Return covariance · vector over flat parameters."""
        n, p = self.matrix.jacobian.shape
        return self.noise * apply_inverse(self.matrix, vector, choose("auto", n, p))

    def variance(self, predict: Callable[[PyTree], Array]) -> Float[Array, " m"]:
        """Return the predictive variance of each entry of ``predict(params)``, without the noise.

        Args:
            predict: parameters → predictions (or residuals) at new inputs.
        """
        flat, unravel = ravel_pytree(self.moving)
        at = lambda v: jnp.ravel(predict(eqx.combine(unravel(v), self.still)))  # noqa: E731
        rows = jax.jacrev(at)(flat)
        return jax.vmap(lambda row: row @ self.covariance_times(row))(rows)

    def sample(self, key: PRNGKeyArray) -> PyTree:
        """Return one draw of the parameters."""
        flat, unravel = ravel_pytree(self.moving)
        jacobian, diagonal = self.matrix
        data_key, prior_key = jax.random.split(key)
        # (JᵀJ + D)⁻¹ (Jᵀ ε₁ + √D ε₂) has covariance (JᵀJ + D)⁻¹: no square root of a P×P matrix.
        noise = jacobian.T @ jax.random.normal(data_key, (len(jacobian),), flat.dtype)
        noise += jnp.sqrt(diagonal) * jax.random.normal(prior_key, flat.shape, flat.dtype)
        how = choose("auto", *jacobian.shape)
        drawn = flat + jnp.sqrt(self.noise) * apply_inverse(self.matrix, noise, how)
        return eqx.combine(unravel(drawn), self.still)
