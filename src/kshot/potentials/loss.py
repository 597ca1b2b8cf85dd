"""The energy-force loss, as a number and as a vector of residuals.

L = w_E mean_n ((Ê_n − E_n + s_n)/N_n)² + w_F mean_c (F̂_c − F_c)²

The first mean is over structures with an energy, energies per atom; the second over all Cartesian
components of atoms with forces. So neither the number of structures nor their size changes what a
weight means. s_n is a shift per element, solved in closed form (see `fit_shift`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree, Scalar

from kshot.atoms import Labelled
from kshot.atoms.graph import Graph, Size, graph, stack
from kshot.potentials.base import Potential
from kshot.potentials.derived import energy_and_forces

RIDGE = 1e-6  # of the normal equations of the shift: a fixed composition leaves them singular


class Frames(NamedTuple):
    """Labelled structures of one shape; leading axis shots throughout.

    Args:
        graph: stacked graphs.
        energy: in eV, less the sum of E0s; anything where it is not known.
        forces: in eV/Å; anything where they are not known.
        has_energy: whether the energy is known.
        has_forces: whether the forces are known.
    """

    graph: Graph
    energy: Float[Array | np.ndarray, " shots"]
    forces: Float[Array | np.ndarray, "shots atoms 3"]
    has_energy: Bool[Array | np.ndarray, " shots"]
    has_forces: Bool[Array | np.ndarray, " shots"]


def frames(
    labelled: Sequence[Labelled],
    potential: Potential,
    *,
    sums: Sequence[float] | None = None,
    size: Size | None = None,
    dtype: np.typing.DTypeLike = np.float32,
) -> Frames:
    """Return labelled structures as arrays.

    Args:
        labelled: at least one; an energy or forces of NaN are not known.
        potential: whose cutoff decides about edges.
        sums: the sum of E0s of each structure in eV, subtracted in float64; zeros if None.
        size: the room each graph gets; what is needed if None.
        dtype: of everything real-valued.
    """
    graphs = [graph(one.structure, potential.cutoff, dtype) for one in labelled]
    stacked = stack(graphs, potential.cutoff, size)
    forces = np.zeros(stacked.positions.shape, dtype)
    for row, one in enumerate(labelled):
        forces[row, : len(one.structure)] = one.labels.forces
    energy = np.array([one.labels.energy for one in labelled]) - (0.0 if sums is None else sums)
    known = np.isfinite(energy), np.asarray(np.isfinite(forces).all(axis=(1, 2)))
    zero = np.nan_to_num
    return Frames(stacked, zero(energy).astype(dtype), zero(forces), *known)


class EnergyForces(eqx.Module):
    """The loss of a potential's parameters on frames; a call gives the number.

    Args:
        potential: what predicts.
        energy_weight: w_E, of eV² per atom².
        forces_weight: w_F, of (eV/Å)².
        shift: ``"fitted"`` solves a shift per element on the very frames it is given; ``"none"``
            takes energies as they are.
        huber: from which residual on (in units of its weight's square root) the loss grows
            linearly; None squares all. Residuals for Gauss-Newton are then reweighted alike.
    """

    potential: Potential
    energy_weight: float = eqx.field(static=True, default=1.0)
    forces_weight: float = eqx.field(static=True, default=10.0)
    shift: Literal["fitted", "none"] = eqx.field(static=True, default="none")
    huber: float | None = eqx.field(static=True, default=None)

    def __call__(self, params: PyTree, data: Frames) -> Scalar:
        """Return the loss."""
        return jnp.sum(self.residuals(params, data) ** 2)

    def residuals(self, params: PyTree, data: Frames) -> Float[Array, " residuals"]:
        """Return the vector whose sum of squares is the loss."""
        data = jax.tree.map(jnp.asarray, data)
        energy, forces = predict(self.potential, params, data)
        difference = energy - data.energy
        if self.shift == "fitted":
            difference = difference + fit_shift(self.potential, difference, data)
        real = data.graph.real & data.has_forces[:, None]
        atoms = jnp.sum(data.graph.real, axis=1).astype(energy.dtype)
        per_atom = jnp.where(data.has_energy, difference / atoms, 0)
        component = jnp.where(real[..., None], forces - data.forces, 0)
        weights = [self.energy_weight, self.forces_weight]
        counts = [data.has_energy.sum(), 3 * real.sum()]
        parts = [
            _bounded(part.ravel(), self.huber) * _share(weight, count, energy.dtype)
            for part, weight, count in zip([per_atom, component], weights, counts, strict=True)
        ]
        return jnp.concatenate(parts)


def predict(
    potential: Potential, params: PyTree, data: Frames
) -> tuple[Float[Array, " shots"], Float[Array, "shots atoms 3"]]:
    """Return energies (eV) and forces (eV/Å) of all frames."""
    return jax.vmap(lambda one: energy_and_forces(potential, params, one))(data.graph)


def fit_shift(
    potential: Potential, difference: Float[Array, " shots"], data: Frames
) -> Float[Array, " shots"]:
    """Return the sum over atoms of a shift per element that best cancels energy differences.

    Ridge regression of differences per atom on compositions. With one composition it is the one
    constant that a level of theory differs by; a gradient step never has to learn it.

    Args:
        potential: whose elements may be shifted.
        difference: prediction less label, in eV.
        data: the frames.
    """
    kinds = jnp.asarray(potential.elements, data.graph.numbers.dtype)
    counts = jnp.sum(data.graph.numbers[:, :, None] == kinds, axis=1).astype(difference.dtype)
    atoms = jnp.maximum(counts.sum(axis=1), 1)
    known = data.has_energy
    rows = jnp.where(known[:, None], counts / atoms[:, None], 0)
    target = jnp.where(known, difference / atoms, 0)
    normal = rows.T @ rows + RIDGE * jnp.eye(len(kinds), dtype=rows.dtype)
    return -counts @ jnp.linalg.solve(normal, rows.T @ target)


def _share(weight: float, count: Array, dtype: jnp.dtype) -> Array:
    return jnp.sqrt(weight / jnp.maximum(count, 1).astype(dtype))


def _bounded(residual: Array, huber: float | None) -> Array:
    """Return residuals whose squares grow linearly from ``huber`` on, with their sign."""
    if huber is None:
        return residual
    size = jnp.abs(residual)
    # the outer where hides the square root's slope at zero from the branch that is not taken.
    far = jnp.sqrt(huber * (2 * jnp.where(size > huber, size, huber) - huber))
    return jnp.where(size > huber, jnp.sign(residual) * far, residual)
