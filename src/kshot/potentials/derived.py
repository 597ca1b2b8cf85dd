"""Energy, forces and stress of any potential, each derived in one place."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Scalar

from kshot.atoms.graph import Graph
from kshot.potentials.base import Potential


def energy(potential: Potential, params: PyTree, graph: Graph) -> Scalar:
    """Return the energy of one graph, in eV."""
    return jnp.sum(potential.energies(params, graph))


def energy_and_forces(
    potential: Potential, params: PyTree, graph: Graph
) -> tuple[Scalar, Float[Array, "atoms 3"]]:
    """Return energy (eV) and forces (eV/Å) of one graph; padding atoms feel none.

    The positions are this function's own variable: nothing that made the parameters can reach the
    forces through them.
    """

    def at(positions: Array) -> Scalar:
        return energy(potential, params, graph._replace(positions=positions))

    value, gradient = jax.value_and_grad(at)(jnp.asarray(graph.positions))
    return value, -gradient


def stress(potential: Potential, params: PyTree, graph: Graph) -> Float[Array, "3 3"]:
    """Return the stress in eV/Å³ with ASE's sign; the graph must have a cell."""

    def strained(strain: Array) -> Scalar:
        deform = jnp.eye(3, dtype=strain.dtype) + (strain + strain.T) / 2
        moved = {name: getattr(graph, name) @ deform for name in ("positions", "shifts", "cell")}
        return energy(potential, params, graph._replace(**moved))

    cell = jnp.asarray(graph.cell)
    return jax.grad(strained)(jnp.zeros_like(cell)) / jnp.abs(jnp.linalg.det(cell))
