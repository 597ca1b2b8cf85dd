"""Are forces the derivative of the energy? Asked of a few labels, while they are made."""

from __future__ import annotations

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.core.errors import InputError


class SpotChecked(Labeler):
    """Compares the forces of some labels with central differences along a random direction.

    The structure's content decides whether it is checked and along what, so that every process
    checks the same ones. A checked label takes two more energies.

    Args:
        labeler: the engine.
        share: of the structures that are checked.
        step: displacement of the atom that moves most, in Å.
        tolerance: largest difference of the force along the direction, in eV/Å.
    """

    def __init__(
        self, labeler: Labeler, *, share: float = 0.01, step: float = 0.005, tolerance: float = 0.02
    ) -> None:
        """Keep the settings."""
        if not (0 <= share <= 1 and step > 0 and tolerance > 0):
            raise InputError(
                "0 ≤ share ≤ 1, step > 0 and tolerance > 0",
                f"{share}, {step} and {tolerance}",
                "The defaults suit most engines.",
            )
        self._labeler, self._share = labeler, share
        self._step, self._tolerance = step, tolerance

    @property
    def fingerprint(self) -> Fingerprint:
        """That of the engine: checking moves no number."""
        return self._labeler.fingerprint

    def label(self, structure: Structure) -> Labels | Failure:
        """Return what the engine says, or a failure if its forces are not its energy's."""
        labels = self._labeler.label(structure)
        chosen = int(structure.key[:8], 16) < self._share * 16**8
        if isinstance(labels, Failure) or not chosen:
            return labels
        return self._check(structure, labels)

    def _check(self, structure: Structure, labels: Labels) -> Labels | Failure:
        direction = np.random.default_rng(int(structure.key, 16)).normal(size=(len(structure), 3))
        direction /= np.linalg.norm(direction, axis=1).max()
        ends = []
        for sign in (1, -1):
            moved = structure.positions + sign * self._step * direction
            end = self._labeler.label(structure.replace(positions=moved))
            if isinstance(end, Failure):
                return Failure(end.reason, f"a neighbour's label failed: {end.detail}")
            ends.append(end.energy)
        length = float(np.linalg.norm(direction))
        difference = -(ends[0] - ends[1]) / (2 * self._step) / length
        force = float(np.sum(labels.forces * direction)) / length
        if abs(force - difference) > self._tolerance:
            return Failure(
                "unphysical",
                f"the force along a direction is {force:.4f} eV/Å, but energies say "
                f"{difference:.4f}: the forces are not minus the energy's gradient",
            )
        return labels
