"""The energy-force loss, as a number and as a vector of residuals.

L = w_E mean_n ((Ê_n − E_n + s_n)/N_n)² + w_F mean_c (F̂_c − F_c)²

The first mean is over structures with an energy, energies per atom; the second over all Cartesian
components of atoms with forces. So neither the number of structures nor their size changes what a
weight means. s_n is a shift per element, solved in closed form (see `kshot.potentials.compare`).
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
from kshot.potentials.compare import Compared, element_counts
from kshot.potentials.derived import energy_and_forces
from kshot.potentials.model_predict import require_precision
from kshot.potentials.packed import Packed


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

    def compare(self, potential: Potential, params: PyTree) -> Compared:
        """Return predictions less labels."""
        data: Frames = jax.tree.map(jnp.asarray, self)
        energy, forces = predict(potential, params, data)
        rows = element_counts(jnp.asarray(data.graph.numbers), potential.elements, energy.dtype)
        return Compared(
            energy=energy - data.energy,
            known=jnp.asarray(data.has_energy),
            counts=rows.sum(axis=1),
            forces=forces - data.forces,
            felt=jnp.asarray(data.graph.real & data.has_forces[:, None]),
        )


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
    require_precision(dtype)
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

    def __call__(self, params: PyTree, data: Frames | Packed) -> Scalar:
        """Return the loss."""
        return jnp.sum(self.residuals(params, data) ** 2)

    def residuals(self, params: PyTree, data: Frames | Packed) -> Float[Array, " residuals"]:
        """Return the vector whose sum of squares is the loss."""
        found = data.compare(self.potential, params)
        difference = found.energy
        if self.shift == "fitted":
            difference = difference + found.shift()
        per_atom = jnp.where(found.known, difference / found.atoms, 0)
        component = jnp.where(found.felt[..., None], found.forces, 0)
        weights = [self.energy_weight, self.forces_weight]
        counts = [found.known.sum(), 3 * found.felt.sum()]
        parts = [
            _bounded(part.ravel(), self.huber) * _share(weight, count, difference.dtype)
            for part, weight, count in zip([per_atom, component], weights, counts, strict=True)
        ]
        return jnp.concatenate(parts)


def predict(
    potential: Potential, params: PyTree, data: Frames
) -> tuple[Float[Array, " shots"], Float[Array, "shots atoms 3"]]:
    """Return energies (eV) and forces (eV/Å) of all frames."""
    return jax.vmap(lambda one: energy_and_forces(potential, params, one))(data.graph)


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
