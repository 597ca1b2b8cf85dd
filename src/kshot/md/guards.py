"""What must stay true of a molecule while it moves: finite, no fusion, no explosion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from kshot.atoms import Structure
from kshot.atoms.bonds import bonds, stretch
from kshot.atoms.elements import symbol
from kshot.core.errors import KshotError

HOTTEST = 10.0  # times the temperature asked for
BROKEN = 1.75  # of the sum of covalent radii: no thermal stretch reaches it
FUSED = 0.5  # of that sum: no two nuclei come so near below thousands of kelvin


class UnstableError(KshotError):
    """Dynamics has left what any molecule does; the last good state is kept."""


class Guard:
    """Watches one molecule."""

    def __init__(self, structure: Structure, temperature: float) -> None:
        """Take down its bonds.

        Args:
            structure: as the run begins.
            temperature: that is asked for, in K.
        """
        self._structure, self._temperature = structure, temperature
        self._bonds = bonds(structure)

    def require_sound(
        self,
        positions: Float64[np.ndarray, "atoms 3"],
        forces: Float64[np.ndarray, "atoms 3"],
        kelvin: float,
    ) -> None:
        """Raise where atoms are nowhere, inside each other, or far hotter than asked for.

        Raises:
            UnstableError: with the atoms.
        """
        lost = ~np.isfinite(positions).all(1) | ~np.isfinite(forces).all(1)
        if lost.any():
            raise UnstableError(
                f"no finite position or force of {self._named(np.flatnonzero(lost))}"
            )
        pairs, ratios = stretch(self._structure.replace(positions=positions))
        if (ratios < FUSED).any():
            nearest = pairs[ratios.argmin()]
            raise UnstableError(f"atoms have run into each other: {self._named(nearest)}")
        if kelvin > HOTTEST * self._temperature:
            strongest = np.argsort(-np.linalg.norm(forces, axis=1))[:2]
            largest = f"the largest forces are on {self._named(strongest)}"
            raise UnstableError(
                f"{kelvin:.0f} K, where {self._temperature:g} K were asked for; {largest}"
            )

    def broken(self, positions: Float64[np.ndarray, "atoms 3"]) -> list[tuple[int, int]]:
        """Return the bonds of the beginning that are none any more."""
        pairs, ratios = stretch(self._structure.replace(positions=positions))
        long = {(int(a), int(b)) for a, b in pairs[ratios > BROKEN]}
        return [pair for pair in map(tuple, self._bonds.tolist()) if pair in long]

    def _named(self, atoms: Sequence[int] | Int64[np.ndarray, " some"]) -> str:
        return ", ".join(f"{symbol(int(self._structure.numbers[a]))}{int(a)}" for a in atoms)
