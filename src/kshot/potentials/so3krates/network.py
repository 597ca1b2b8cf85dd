"""SO3krates with physics, as in SO3LR: attention among neighbours, and forces of long range.

SO3krates: 10.1038/s41467-024-50620-6; SO3LR: 10.1021/jacs.5c09558. Charge and spin are inputs.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree, Scalar

from kshot.atoms import Structure
from kshot.atoms.elements import symbol
from kshot.atoms.graph import Graph
from kshot.core.errors import OptionError, StructureError
from kshot.potentials.base import Potential
from kshot.potentials.so3krates.layers import embedded, layer, two_layers
from kshot.potentials.so3krates.pairs import Pairs, pairs_of
from kshot.potentials.so3krates.parameters import random_parameters
from kshot.potentials.so3krates.physics import (
    HEAVIEST,
    dispersion,
    electrostatics,
    far_distances,
    free_atoms,
    repulsion,
)
from kshot.potentials.so3krates.sizes import Sizes


class AtomicProperties(NamedTuple):
    """What the network predicts of each atom; zero for padding.

    Args:
        energy: in eV, without physics.
        charge: in elementary charges; their sum is the molecule's charge.
        ratio: of its volume to that of a free atom, after Hirshfeld.
    """

    energy: Float[Array, " atoms"]
    charge: Float[Array, " atoms"]
    ratio: Float[Array, " atoms"]


class So3krates(Potential):
    """SO3krates with repulsion, electrostatics and dispersion; of molecules, not of crystals.

    Args:
        elements: atomic numbers it knows, ascending.
        cutoff: in Å, of messages between neighbours; physics reaches further.
        sizes: of the network.
    """

    elements: tuple[int, ...] = eqx.field(static=True)
    cutoff: float = eqx.field(static=True, default=4.5)
    sizes: Sizes = eqx.field(static=True, default=Sizes())

    def __check_init__(self) -> None:
        """Raise unless free atoms of all elements are known.

        Raises:
            OptionError: an element is too heavy, or the far cutoff is not further.
        """
        if max(self.elements) > HEAVIEST:
            todo = "Drop the heavier ones: their dispersion is not known here."
            expected = f"elements up to {symbol(HEAVIEST)}"
            raise OptionError(expected, symbol(max(self.elements)), todo)
        if self.sizes.far_cutoff < self.cutoff:
            got = f"{self.sizes.far_cutoff}"
            raise OptionError(f"a far cutoff of at least {self.cutoff} Å", got, "Raise it.")

    def init(self, key: PRNGKeyArray) -> PyTree:
        """Return random parameters."""
        return random_parameters(key, len(self.elements), self.sizes)

    def refuse(self, structure: Structure) -> None:
        """Raise for a periodic structure: its electrostatics would need sums over images.

        Raises:
            StructureError: it is periodic.
        """
        if structure.pbc.any():
            todo = "Give a molecule without a cell, or take another start."
            raise StructureError("no periodic cell: SO3krates is of molecules", "one", todo)

    def energies(self, params: PyTree, graph: Graph) -> Float[Array, " atoms"]:
        """Return each atom's share of the energy in eV."""
        return _energies(self, params, _inputs(self, graph))

    def properties(self, params: PyTree, graph: Graph) -> AtomicProperties:
        """Return what the network predicts of each atom."""
        return _properties(self.sizes, params, _inputs(self, graph))


def so3krates(
    elements: tuple[int, ...], *, cutoff: float = 4.5, sizes: Sizes | None = None
) -> So3krates:
    """Return an SO3krates network with physics.

    Args:
        elements: atomic numbers it is to know.
        cutoff: in Å, of messages between neighbours.
        sizes: of the network; SO3LR's if None.
    """
    return So3krates(tuple(sorted(set(elements))), cutoff, sizes or Sizes())


def example_so3krates() -> So3krates:
    """Return the instance the contract tests run."""
    return so3krates((1, 6, 7, 8), sizes=Sizes(features=16, heads=2, layers=2, radial=8))


class _Inputs(NamedTuple):
    """A graph as the network wants it.

    Args:
        kinds: each atom's element as a row of zeros with a one; padding has zeros only.
        numbers: atomic numbers; 1 for padding, whose powers have finite derivatives.
        positions: in Å.
        real: which atoms are no padding.
        together: which atoms are of one molecule.
        charge: of the molecule, in elementary charges.
        unpaired: electrons.
        pairs: of neighbours.
    """

    kinds: Float[Array, "atoms elements"]
    numbers: Float[Array, " atoms"]
    positions: Float[Array, "atoms 3"]
    real: Bool[Array, " atoms"]
    together: Bool[Array, "atoms atoms"]
    charge: Scalar
    unpaired: Scalar
    pairs: Pairs


def _inputs(potential: So3krates, graph: Graph) -> _Inputs:
    positions = jnp.asarray(graph.positions)
    numbers, real = jnp.asarray(graph.numbers), jnp.asarray(graph.real)
    dtype, elements = positions.dtype, jnp.asarray(potential.elements, numbers.dtype)
    return _Inputs(
        kinds=(numbers[:, None] == elements).astype(dtype),
        numbers=jnp.where(real, numbers, 1).astype(dtype),
        positions=positions,
        real=real,
        together=jnp.asarray(graph.together),
        charge=jnp.asarray(graph.charge, dtype),
        unpaired=jnp.asarray(graph.multiplicity, dtype) - 1,
        pairs=pairs_of(graph, potential.cutoff, potential.sizes),
    )


def _energies(potential: So3krates, params: PyTree, given: _Inputs) -> Float[Array, " atoms"]:
    predicted, sizes = _properties(potential.sizes, params, given), potential.sizes
    distance, pair = far_distances(given.positions, given.together)
    real = given.real
    free = given.kinds @ jnp.asarray(free_atoms(potential.elements), given.kinds.dtype)
    free, ratios = jnp.where(real[:, None], free, 1), jnp.where(real, predicted.ratio, 1)
    shares = predicted.energy + repulsion(params["repulsion"], given.numbers, given.pairs)
    shares = shares + electrostatics(predicted.charge, distance, pair, sizes)
    shares = shares + dispersion(ratios, free, distance, pair, sizes)
    return jnp.where(real, shares, 0)


def _properties(sizes: Sizes, params: PyTree, given: _Inputs) -> AtomicProperties:
    kinds, scalars = given.kinds, _features(sizes, params, given)
    heads = {name: params[name] for name in ("readout", "charge", "ratio")}
    energy = two_layers(heads["readout"], scalars)[:, 0] * (kinds @ heads["readout"]["scale"])
    charge = two_layers(heads["charge"], scalars)[:, 0] + kinds @ heads["charge"]["shift"]
    key, query = two_layers(heads["ratio"], scalars), kinds @ heads["ratio"]["query"]
    ratio = jnp.sum(query * key, axis=-1) / key.shape[-1] ** 0.5 + kinds @ heads["ratio"]["shift"]
    every = energy, _neutralised(charge, given), jnp.abs(ratio)
    return AtomicProperties(*(jnp.where(given.real, value, 0) for value in every))


def _features(sizes: Sizes, params: PyTree, given: _Inputs) -> Float[Array, "atoms features"]:
    """Return the atoms' invariant features after all layers."""
    parts = [
        given.kinds @ params["embedding"],
        embedded(params["charge_embedding"], given.kinds, given.charge, given.together),
        embedded(params["spin_embedding"], given.kinds, given.unpaired, given.together),
    ]
    scalars = sum(parts[1:], parts[0]) / len(parts) ** 0.5
    tensors = jnp.zeros((scalars.shape[0], sizes.components), scalars.dtype)
    for number in range(sizes.layers):
        scalars, tensors = layer(params[f"layer_{number}"], sizes, given.pairs, scalars, tensors)
    return scalars


def _neutralised(charges: Float[Array, " atoms"], given: _Inputs) -> Float[Array, " atoms"]:
    """Return charges shifted by one amount, so that they add up to the molecule's."""
    members = given.together.astype(charges.dtype)
    excess = given.charge - members @ charges
    return charges + excess / jnp.maximum(jnp.sum(members, axis=1), 1)
