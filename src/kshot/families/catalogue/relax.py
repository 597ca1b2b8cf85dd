"""A short relaxation by whatever engine is passed in."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kshot.atoms import Failure, Labeler, Labels, Structure

LARGEST_STEP = 0.15  # Å


class Relaxed(NamedTuple):
    """A relaxed structure.

    Args:
        structure: the last geometry.
        labels: of that geometry.
        converged: whether the largest force fell below the target.
        steps: how many labels it took.
    """

    structure: Structure
    labels: Labels
    converged: bool
    steps: int


def relax(
    structure: Structure, labeler: Labeler, *, fmax: float = 0.05, steps: int = 300
) -> Relaxed | Failure:
    """Walk downhill with ASE's LBFGS until the largest force is below ``fmax``.

    Args:
        structure: where to start.
        labeler: gives energies and forces.
        fmax: in eV/Å.
        steps: how many labels at most.

    Returns:
        What was reached, or the failure that ended it.
    """
    from ase.optimize import LBFGS

    atoms = _atoms(structure)
    atoms.calc = calculator = _calculator(labeler, structure)
    try:
        with LBFGS(atoms, logfile=None, maxstep=LARGEST_STEP) as walk:
            converged = bool(walk.run(fmax=fmax, steps=steps - 1))
            taken = walk.get_number_of_steps() + 1
    except _FailedError as failed:
        return failed.failure
    last = structure.replace(positions=atoms.positions)
    labels = calculator.labels_of(last)
    return labels if isinstance(labels, Failure) else Relaxed(last, labels, converged, taken)


class _FailedError(Exception):
    """Carries a failure through ASE's optimiser, which knows only exceptions."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


def _atoms(structure: Structure) -> Any:  # noqa: ANN401 - ASE is imported late
    from ase import Atoms

    return Atoms(numbers=structure.numbers, positions=structure.positions)


def _calculator(labeler: Labeler, start: Structure) -> Any:  # noqa: ANN401
    from ase.calculators.calculator import Calculator, all_changes

    class Through(Calculator):
        """ASE's view of a labeler."""

        implemented_properties = ("energy", "forces")

        def calculate(
            self,
            atoms: Any = None,  # noqa: ANN401
            properties: Any = ("energy",),  # noqa: ANN401
            system_changes: Any = all_changes,  # noqa: ANN401
        ) -> None:
            super().calculate(atoms, properties, system_changes)
            here = start.replace(positions=np.array(self.atoms.positions))
            labels = labeler.label(here)
            if isinstance(labels, Failure):
                raise _FailedError(labels)
            self._last = (here.key, labels)
            self.results = {"energy": labels.energy, "forces": np.array(labels.forces)}

        def labels_of(self, structure: Structure) -> Labels | Failure:
            """Return the labels of the last geometry, computed anew only if it is another."""
            key, labels = self._last
            return labels if key == structure.key else labeler.label(structure)

    return Through()
