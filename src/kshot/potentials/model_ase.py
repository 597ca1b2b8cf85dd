"""A model as a calculator of ASE."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from jaxtyping import PyTree

from kshot.atoms import Structure
from kshot.atoms.e0s import E0s
from kshot.atoms.graph import Graph, Size, graph, pad, rung
from kshot.atoms.spin import charge_and_spin
from kshot.core.errors import DataError
from kshot.potentials.base import Potential
from kshot.potentials.coverage import Coverage, CoverageWarning, Departure
from kshot.potentials.derived import energy_and_forces, stress
from kshot.potentials.model_predict import require_precision

if TYPE_CHECKING:
    from ase import Atoms

CALLS_BETWEEN_LOOKS = 10  # at a configuration: what the shots cover is not left within 5 fs
SLACK = 1.25  # room for edges, of what the first call needs: no trajectory has to recompile


class ModelCalculator(Calculator):
    """Energy, forces, and stress of periodic cells; see `kshot.potentials.model.Model.calculator`.

    Charge and multiplicity come from ``atoms.info`` (``total_charge`` and ``total_spin``, 2S + 1,
    as kshot writes them; ``charge`` and ``spin`` are read too) and default to 0 and the lowest.

    Attributes:
        size: the room of the padded graph; grows, with a new compilation, if it must.
        compilations: how many sizes there have been.
        departures: how the first configuration that left what the shots cover did so; looked for
            in every tenth one.
    """

    # ASE reads it from the class, and annotates it as an instance's
    implemented_properties: ClassVar[list[str]] = [  # pyright: ignore[reportIncompatibleVariableOverride]
        "energy",
        "free_energy",
        "forces",
        "stress",
    ]

    def __init__(
        self,
        potential: Potential,
        params: PyTree,
        e0s: E0s,
        dtype: np.dtype,
        refuse: Callable[[Structure], None],
        coverage: Coverage | None = None,
    ) -> None:
        """Keep the model's parts; nothing is computed before the first call."""
        super().__init__()
        require_precision(dtype)
        self.potential, self._params, self._e0s, self._dtype = potential, params, e0s, dtype
        self._refuse, self._coverage = refuse, coverage
        self._checked: tuple[Any, ...] = ()
        self.size = Size(0, 0)
        self.compilations = self._calls = 0
        self.departures: tuple[Departure, ...] = ()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] = ["energy"],  # noqa: B006 - ASE's own signature
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute what is asked for.

        Raises:
            UnseenError: the model has not seen such atoms; asked once for each set of atoms.
        """
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None  # ASE has just copied it
        structure = _structure(self.atoms)
        kind = (structure.numbers.tobytes(), structure.charge, structure.multiplicity)
        if kind != self._checked:
            self._refuse(structure)
            self._checked = kind
        self._look(structure)
        padded = self._padded(structure)
        energy, forces = _run(self.potential, self._params, padded)
        total = float(energy) + self._e0s.sum(structure)
        forces = np.asarray(forces, np.float64)[: len(structure)]
        self.results = {"energy": total, "free_energy": total, "forces": forces}
        if "stress" in properties and structure.pbc.all():
            full = np.asarray(_stress(self.potential, self._params, padded), np.float64)
            self.results["stress"] = full.ravel()[[0, 4, 8, 5, 2, 1]]

    def _look(self, structure: Structure) -> None:
        """Warn, once, where a configuration leaves what the shots cover; look now and then."""
        look = self._calls % CALLS_BETWEEN_LOOKS == 0
        self._calls += 1
        if self._coverage is None or self.departures or not look:
            return
        self.departures = self._coverage.departures(structure)
        if self.departures:
            words = "; ".join(departure.words for departure in self.departures)
            message = f"the model was adapted to nothing like this: {words}"
            warnings.warn(message, CoverageWarning, stacklevel=2)

    def _padded(self, structure: Structure) -> Graph:
        bare = graph(structure, self.potential.cutoff, self._dtype)
        needs = bare.size
        if needs.atoms > self.size.atoms or needs.edges > self.size.edges:
            self.size = Size(rung(needs.atoms), rung(math.ceil(SLACK * needs.edges)))
            self.compilations += 1
        return pad(bare, self.size, self.potential.cutoff)


def _structure(atoms: Atoms) -> Structure:
    numbers = np.asarray(atoms.numbers, np.int64)
    electrons = charge_and_spin(numbers, atoms.info)
    if electrons.problems:
        todo = "Set atoms.info['total_charge'] and atoms.info['total_spin'] (2S + 1)."
        raise DataError("a charge and multiplicity", "; ".join(electrons.problems), todo)
    pbc = np.asarray(atoms.pbc, bool)
    cell = np.asarray(atoms.cell, np.float64) if pbc.any() else None
    return Structure(
        numbers, atoms.positions, electrons.charge, electrons.multiplicity, cell=cell, pbc=pbc
    )


@functools.partial(jax.jit, static_argnums=0)
def _run(potential: Potential, params: PyTree, one: Graph) -> tuple[jax.Array, jax.Array]:
    return energy_and_forces(potential, params, one)


@functools.partial(jax.jit, static_argnums=0)
def _stress(potential: Potential, params: PyTree, one: Graph) -> jax.Array:
    return stress(potential, params, one)
