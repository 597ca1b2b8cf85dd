"""Relaxation of a scaffold to the nearest minimum of an engine's surface."""

from __future__ import annotations

from typing import Any

import numpy as np

from kshot.atoms import Failure, Labeler, Structure
from kshot.families.samplers.base import NoLabelError, Surface, failures_are_values


@failures_are_values
def relax(
    structure: Structure, labeler: Labeler, *, force: float = 1e-3, steps: int = 500
) -> Structure:
    """Return the structure at the nearest minimum, or the Failure that kept it from getting there.

    Args:
        structure: where to start.
        labeler: the engine.
        force: the largest force that may be left on an atom, in eV/Å.
        steps: after this many it is a failure.
    """
    return relaxed(structure, labeler, force=force, steps=steps)


def relaxed(
    structure: Structure, labeler: Labeler, *, force: float = 1e-3, steps: int = 500
) -> Structure:
    """Do what `relax` does, but raise NoLabelError."""
    from ase import Atoms
    from ase.optimize import BFGS

    atoms = Atoms(structure.numbers, structure.positions)
    atoms.calc = _calculator(Surface(structure, labeler))
    optimiser = BFGS(atoms, logfile=None)
    if not optimiser.run(fmax=force, steps=steps):
        left = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
        detail = f"relaxation left {left:.1e} eV/Å after {steps} steps; wanted {force:g}"
        raise NoLabelError(Failure("not converged", detail))
    return structure.replace(positions=atoms.positions)


def _calculator(surface: Surface) -> Any:  # noqa: ANN401 - ASE's class is imported late
    """Return the surface as an ASE calculator."""
    from ase.calculators.calculator import Calculator, all_changes

    class OnSurface(Calculator):
        implemented_properties = ["energy", "forces"]  # noqa: RUF012 - as ASE declares it

        def calculate(
            self,
            atoms: Any = None,  # noqa: ANN401
            properties: Any = ("energy",),  # noqa: ANN401
            system_changes: Any = all_changes,  # noqa: ANN401
        ) -> None:
            super().calculate(atoms, properties, system_changes)
            energy, forces = surface(np.array(atoms.positions))
            self.results = {"energy": energy, "forces": forces}

    return OnSurface()
