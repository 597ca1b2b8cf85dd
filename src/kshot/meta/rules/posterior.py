"""The linearised Gaussian posterior a least-squares step leaves behind: predictive variances."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from kshot.meta.rules.least_squares import Dense, System, apply_inverse, choose, dense


class Posterior(eqx.Module):
    """A Gaussian over parameters with mean φ and covariance σ² (JᵀJ + Λ)⁻¹.

    Args:
        params: the mean φ (moving leaves only).
        matrix: the support set's Jacobian and Λ over flat parameters.
        noise: σ², the variance of one residual.
    """

    params: PyTree
    matrix: Dense
    noise: Float[Array, ""]

    def covariance_times(self, vector: Float[Array, " p"]) -> Float[Array, " p"]:
        """Return covariance · vector over flat parameters."""
        n, p = self.matrix.jacobian.shape
        return self.noise * apply_inverse(self.matrix, vector, choose("auto", n, p))

    def variance(self, predict: Callable[[PyTree], Array]) -> Float[Array, " m"]:
        """Return the predictive variance of each entry of ``predict(params)``, without the noise.

        Args:
            predict: moving leaves → predictions (or residuals) at new inputs.
        """
        flat, unravel = ravel_pytree(self.params)
        rows = jax.jacrev(lambda v: jnp.ravel(predict(unravel(v))))(flat)
        return jax.vmap(lambda row: row @ self.covariance_times(row))(rows)

    def sample(self, key: PRNGKeyArray) -> PyTree:
        """Return one draw of the moving leaves."""
        flat, unravel = ravel_pytree(self.params)
        jacobian, diagonal = self.matrix
        data_key, prior_key = jax.random.split(key)
        # (JᵀJ + D)⁻¹ (Jᵀ ε₁ + √D ε₂) has covariance (JᵀJ + D)⁻¹: no square root of a P×P matrix.
        noise = jacobian.T @ jax.random.normal(data_key, (len(jacobian),), flat.dtype)
        noise += jnp.sqrt(diagonal) * jax.random.normal(prior_key, flat.shape, flat.dtype)
        how = choose("auto", *jacobian.shape)
        return unravel(flat + jnp.sqrt(self.noise) * apply_inverse(self.matrix, noise, how))


def linearised_posterior(system: System, noise: Float[Array, ""]) -> Posterior:
    """Return the posterior of a system linearised at its own parameters."""
    return Posterior(system.params, dense(system), noise)
