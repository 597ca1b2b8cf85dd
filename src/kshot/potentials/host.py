"""Potentials that JAX does not compute: PyTorch's, or any that gives its own derivatives."""

from __future__ import annotations

import abc
from typing import Never

import numpy as np
from jaxtyping import Float, PRNGKeyArray, PyTree

from kshot.atoms.graph import Graph
from kshot.core.errors import OptionError
from kshot.potentials.base import Potential


class HostPotential(Potential):
    """A potential that says itself what adaptation asks of a model: predictions, and derivatives.

    Parameters are a dict of NumPy arrays. A readout's names have ``readout`` in them, if the plain
    baseline "ridge on the readouts" is to mean something.
    """

    @abc.abstractmethod
    def predict(self, params: PyTree, graph: Graph) -> tuple[float, Float[np.ndarray, "atoms 3"]]:
        """Return the energy (eV, without E0s) and forces (eV/Å) of a graph without padding."""

    @abc.abstractmethod
    def slopes(
        self, params: PyTree, graph: Graph, ways: Float[np.ndarray, "ways atoms 3"]
    ) -> Float[np.ndarray, "rows params"]:
        """Return ∂/∂θ of the energy, and then of the forces along each direction.

        Args:
            params: θ; rows have them flat, in the order of JAX's trees: dicts by sorted key.
            graph: without padding.
            ways: directions of motion.
        """

    def init(self, key: PRNGKeyArray) -> Never:
        """Refuse: such a model comes with its parameters."""
        del key
        raise OptionError(
            "a model with parameters", type(self).__name__, "Train it where it lives."
        )

    def energies(self, params: PyTree, graph: Graph) -> Never:
        """Refuse: what JAX differentiates is not there."""
        del params, graph
        todo = "Adapt it, predict with it, and take its parameters back to where it lives."
        raise OptionError("a potential that JAX computes", type(self).__name__, todo)
