"""The interface of a potential: energies from parameters and a graph; all else is derived."""

from __future__ import annotations

import abc

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from kshot.atoms import Structure
from kshot.atoms.graph import Graph


class Potential(eqx.Module):
    """A family of energy functions with learnable parameters.

    Energies are in eV, relative to lone atoms: sums of E0s are subtracted on the host in float64,
    so that float32 is enough here. A lone atom has the energy zero but for a constant per element.

    Args:
        elements: atomic numbers it knows, ascending.
        cutoff: in Å: how far an atom's energy looks along one edge.
    """

    elements: eqx.AbstractVar[tuple[int, ...]]
    cutoff: eqx.AbstractVar[float]

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray) -> PyTree:
        """Return random parameters."""

    def refuse(self, structure: Structure) -> None:
        """Raise `kshot.core.errors.StructureError` if it can never compute such a structure."""

    @abc.abstractmethod
    def energies(self, params: PyTree, graph: Graph) -> Float[Array, " atoms"]:
        """Return each atom's share of the energy in eV, of one graph; zero for padding.

        Must be smooth in the positions up to third derivatives, and vanish smoothly for edges at
        the cutoff.
        """
