"""The damped linear least-squares problem inside a Gauss-Newton or ridge step, solved three ways.

    minimise over δ   |r + J δ|² + 2 pᵀδ + δᵀ D δ      (D diagonal, p the pull of the prior)
    normal equations  (JᵀJ + D) δ = −(Jᵀ r + p)

``dual`` factorises an n×n matrix for n residuals, ``primal`` a P×P one for P parameters, ``cg``
neither.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from kshot.meta.inner_loss import Residuals

Solver = Literal["auto", "dual", "primal", "cg"]

# above this the Jacobian is not formed: 256 MB of float32.
LARGEST_JACOBIAN = 64_000_000


class System(NamedTuple):
    """Residuals linearised at a point, that point (for its shapes), and the diagonal D."""

    residuals: Residuals
    params: PyTree
    diagonal: PyTree


class Dense(NamedTuple):
    """The system as matrices over flat parameters."""

    jacobian: Float[Array, "n p"]
    diagonal: Float[Array, " p"]


def choose(solver: Solver, n: int, p: int) -> Solver:
    """Return the cheapest solver for n residuals and p parameters, unless one is asked for."""
    if solver != "auto":
        return solver
    if n * p > LARGEST_JACOBIAN:
        return "cg"
    return "dual" if n < p else "primal"


def dense(system: System) -> Dense:
    """Form the Jacobian: row by row when residuals are fewer than parameters, else by columns."""
    flat, unravel = ravel_pytree(system.params)
    push = lambda v: system.residuals.push(unravel(v))  # noqa: E731
    n, p = system.residuals.value.size, flat.size
    if n < p:
        pull = jax.linear_transpose(push, flat)
        rows = jax.vmap(lambda e: pull(e)[0])(jnp.eye(n, dtype=system.residuals.value.dtype))
    else:
        rows = jax.vmap(push, out_axes=1)(jnp.eye(p, dtype=flat.dtype))
    return Dense(rows, ravel_pytree(system.diagonal)[0])


def solve(system: System, pull: PyTree, solver: Solver) -> PyTree:
    """Return δ, shaped like the parameters."""
    flat, unravel = ravel_pytree(system.params)
    n, p = system.residuals.value.size, flat.size
    how = choose(solver, n, p)
    if how == "cg":
        return _solve_cg(system, pull)
    matrix = dense(system)
    right = matrix.jacobian.T @ system.residuals.value + ravel_pytree(pull)[0]
    return unravel(-apply_inverse(matrix, right, how))


def apply_inverse(matrix: Dense, right: Float[Array, " p"], how: Solver) -> Float[Array, " p"]:
    """Return (JᵀJ + D)⁻¹ b by Cholesky, in the dual (Woodbury) or the primal form."""
    jacobian, diagonal = matrix
    if how == "primal":
        full = jacobian.T @ jacobian + jnp.diag(diagonal)
        return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(full), right)
    scaled = jacobian / diagonal
    inner = jnp.eye(len(jacobian), dtype=jacobian.dtype) + scaled @ jacobian.T
    factor = jax.scipy.linalg.cho_factor(inner)
    return right / diagonal - scaled.T @ jax.scipy.linalg.cho_solve(factor, scaled @ right)


def _solve_cg(system: System, pull: PyTree) -> PyTree:
    transpose = jax.linear_transpose(system.residuals.push, system.params)

    def normal(delta: PyTree) -> PyTree:
        (square,) = transpose(system.residuals.push(delta))
        return jax.tree.map(lambda s, d, v: s + d * v, square, system.diagonal, delta)

    (right,) = transpose(system.residuals.value)
    right = jax.tree.map(lambda a, b: -(a + b), right, pull)
    # Jacobi preconditioning by D: precisions differ by orders of magnitude between leaves.
    precondition = lambda v: jax.tree.map(jnp.divide, v, system.diagonal)  # noqa: E731
    tolerance = 1e-6 if system.residuals.value.dtype == jnp.float32 else 1e-12
    return jax.scipy.sparse.linalg.cg(normal, right, tol=tolerance, M=precondition)[0]
